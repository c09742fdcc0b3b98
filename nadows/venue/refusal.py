"""A request that the venue refuses: the code and text of its answer."""

from __future__ import annotations

__all__ = ["Refusal"]


class Refusal(Exception):
    """Raised anywhere below the gateway to answer with a failure; it never reaches a caller of the venue."""

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        self.text = text
        super().__init__(f"{code}: {text}")
