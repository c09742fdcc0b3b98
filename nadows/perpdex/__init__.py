"""A drop-in for the strategies of the public project perp-dex-tools, served by events instead of polling.

A user's whole new ``exchanges/nado.py``::

    from nadows.perpdex import NadoAdapter

    from .base import BaseExchangeClient, OrderInfo, OrderResult


    class NadoClient(NadoAdapter, BaseExchangeClient):
        order_result, order_info = OrderResult, OrderInfo

docs/perpdex.md says what changes for a strategy, and what does not.
"""

from nadows.perpdex.adapter import NadoAdapter

__all__ = ["NadoAdapter"]
