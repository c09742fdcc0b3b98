"""Who may do what: signatures, receive windows, and accounts funded on sight.

Source: protocol.md 3.2 (nonce), 3.10 (codes), section 4 (what is signed).
"""

from __future__ import annotations

from typing import Final

from nadows.errors import UsageError
from nadows.signing import (
    BadSignature,
    BadSignatureLength,
    BadSignatureV,
    Subaccount,
    nonce_recv_time_ms,
    recover,
)
from nadows.venue.engine import Engine
from nadows.venue.isolated import is_isolated_name
from nadows.venue.ledger import Account
from nadows.venue.refusal import Refusal

__all__ = ["MAX_AHEAD_MS", "Authority", "parse_sender"]

MAX_AHEAD_MS: Final = 100_000
"""How far ahead of the venue's clock a receive time or an expiration may lie."""

_ZERO_ADDRESS: Final = "0x" + "00" * 20


def parse_sender(text: str) -> Subaccount:
    """Read the subaccount of a request.

    Raises:
        Refusal: 2038 if it is not 32 bytes of hex.
    """
    try:
        return Subaccount.parse(text)
    except UsageError as error:
        raise Refusal(2038, str(error)) from None


class Authority:
    """Checks requests against accounts, and opens accounts for wallets that show up."""

    def __init__(self, engine: Engine, paper_money: int) -> None:
        """Give each new wallet *paper_money* (USDT0, x18)."""
        self._engine = engine
        self._paper_money = paper_money
        # Digests that were accepted, in buckets by the second of their receive time. Once that has passed
        # the receive window refuses the same bytes, so the buckets before it can go.
        self._seen: dict[int, set[str]] = {}
        self._tx_nonces: dict[str, int] = {}

    def signer(self, digest: bytes, signature: str) -> str:
        """Return the address that signed.

        Raises:
            Refusal: 2027, 2034 or 2035 for a text that is no signature.
        """
        try:
            return recover(digest, signature)
        except BadSignatureLength as error:
            raise Refusal(2027, str(error)) from None
        except BadSignatureV as error:
            raise Refusal(2034, str(error)) from None
        except BadSignature as error:
            raise Refusal(2035, str(error)) from None

    def check(self, sender: Subaccount, digest: bytes, signature: str, now_ns: int) -> tuple[Account, str]:
        """Return the sender's account, funding it if it is new, and the address that signed.

        Raises:
            Refusal: If the signature is not the wallet's nor the linked signer's (2028), or is none at all.
        """
        signer = self.signer(digest, signature)
        account = self._engine.ledger.account(sender.hex)
        if sender.address == _ZERO_ADDRESS:
            raise Refusal(2029, "The sender's address must not be zero.")
        if signer != sender.address and (account is None or signer != account.linked_signer):
            raise Refusal(
                2028,
                "The provided signature does not match with the sender's or the linked signer's. "
                f"Signature digest: 0x{digest.hex()}",
            )
        return account or self._open(sender, now_ns), signer

    def account(self, sender: Subaccount, now_ns: int) -> Account:
        """Return the account, funding it if it is new, for a request that needs no signature."""
        return self._engine.ledger.account(sender.hex) or self._open(sender, now_ns)

    def _open(self, sender: Subaccount, now_ns: int) -> Account:
        if is_isolated_name(sender.hex):
            raise Refusal(2024, "There is no such isolated subaccount, and nobody can open one by its name.")
        return self._engine.fund(sender.hex, now_ns, self._paper_money)

    def tx_nonce(self, address: str) -> int:
        """Return the counter that the address's next withdrawal, transfer or the like must carry."""
        return self._tx_nonces.get(address, 0)

    def count_tx(self, address: str) -> None:
        """Count such a request as done."""
        self._tx_nonces[address] = self.tx_nonce(address) + 1

    def check_nonce(self, nonce: int, now_ns: int) -> None:
        """Refuse a receive time that has passed (2011) or lies too far ahead (2012)."""
        self.check_recv_time(nonce_recv_time_ms(nonce), now_ns)

    def check_recv_time(self, recv_ms: int, now_ns: int) -> None:
        """Refuse a receive time (ms) that has passed (2011) or lies too far ahead (2012)."""
        now_ms = now_ns // 10**6
        if now_ms > recv_ms:
            raise Refusal(2011, f"The receive time {recv_ms} has passed; it is {now_ms} here.")
        if recv_ms > now_ms + MAX_AHEAD_MS:
            raise Refusal(2012, f"The receive time {recv_ms} is over 100 s ahead; it is {now_ms} here.")

    def check_fresh(self, digest: str, nonce: int) -> None:
        """Refuse a digest that was accepted before (2013)."""
        if digest in self._seen.get(_bucket(nonce), ()):
            raise Refusal(2013, f"An order with the digest {digest} exists already.")

    def remember(self, digest: str, nonce: int, now_ns: int) -> None:
        """Note that *digest* has been accepted."""
        bucket = _bucket(nonce)
        if bucket not in self._seen:
            for old in [second for second in self._seen if second < now_ns // 10**9]:
                del self._seen[old]
            self._seen[bucket] = set()
        self._seen[bucket].add(digest)


def _bucket(nonce: int) -> int:
    return nonce_recv_time_ms(nonce) // 1000
