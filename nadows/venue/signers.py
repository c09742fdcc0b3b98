"""Who else may sign for a subaccount, and how often that may change.

Source: protocol.md section 7 (50 changes in 7 days) and the venue's error texts (2025, 2026, 2030, 2089).
"""

from __future__ import annotations

from collections import deque
from typing import Final

from nadows.venue.ledger import Account
from nadows.venue.refusal import Refusal

__all__ = ["LinkedSigners"]

_WINDOW_S: Final = 7 * 86_400


class LinkedSigners:
    """Counts the changes of each subaccount's linked signer."""

    MOST_CHANGES: Final = 50
    """In seven days."""

    def __init__(self) -> None:
        self._changes: dict[Account, deque[int]] = {}

    def allowance(self, account: Account | None, now_s: int) -> tuple[int, int]:
        """Return how many changes are left, and in how many seconds the next is possible."""
        changes = None if account is None else self._changes.get(account)
        if changes is None:
            return self.MOST_CHANGES, 0
        while changes and changes[0] <= now_s - _WINDOW_S:
            changes.popleft()
        remaining = self.MOST_CHANGES - len(changes)
        return remaining, 0 if remaining else changes[0] + _WINDOW_S - now_s

    def link(self, account: Account, signer: str | None, now_s: int) -> None:
        """Let *signer* sign for *account*, or nobody else.

        Raises:
            Refusal: 2026 for the signer that is linked already, 2030 over the limit, 2089 for an isolated
                subaccount.
        """
        if account.parent is not None:
            raise Refusal(2089, "Cannot link a signer to an isolated subaccount.")
        if signer is not None and signer == account.linked_signer:
            raise Refusal(2026, f"{signer} is the linked signer already.")
        remaining, wait_s = self.allowance(account, now_s)
        if not remaining:
            raise Refusal(2030, f"Linked signer update limit exceeded. Please wait for {wait_s} seconds.")
        account.linked_signer = signer
        self._changes.setdefault(account, deque()).append(now_s)
