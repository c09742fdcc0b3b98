"""Everything that nadows raises on purpose.

::

    NadowsError
    ├── UsageError            the caller's mistake: wrong argument, key, file or state
    │   ├── CaptureError      a capture file that is damaged or not one of ours
    │   └── JournalDamaged    a journal that is damaged or not one of ours
    ├── JournalError          a journal could not be written, so what it protects must not go on
    ├── TransportError        the connection could not be made or broke
    │   ├── ConnectFailed
    │   └── ConnectionLost
    ├── ProtocolError         the venue said something that its protocol does not allow
    │   ├── MalformedFrame
    │   └── BookGap           a book update that does not join the one before
    ├── VenueError            the venue answered with a refusal (carries its code)
    │   ├── TransientError    the same request may succeed later
    │   ├── InvalidRequest    the request itself is wrong
    │   ├── Rejected          a business rule says no
    │   └── Unauthorized      signature, signer or access
    ├── RateLimited           the venue's limit leaves no room; nothing was sent
    ├── OrderUnknown          a request was sent and its outcome is not known
    └── BookNotLive           a book was asked for prices while it does not know them

Every message says what is wrong, where, and what to do now.
"""

from __future__ import annotations

from typing import Final

from nadows.error_codes import ERROR_CODES, ErrorCode, ErrorKind

__all__ = [
    "ERROR_CODES",
    "BookGap",
    "BookNotLive",
    "CaptureError",
    "ConnectFailed",
    "ConnectionLost",
    "ErrorCode",
    "ErrorKind",
    "InvalidRequest",
    "JournalDamaged",
    "JournalError",
    "MalformedFrame",
    "NadowsError",
    "OrderUnknown",
    "ProtocolError",
    "RateLimited",
    "Rejected",
    "TransientError",
    "TransportError",
    "Unauthorized",
    "UsageError",
    "VenueError",
    "venue_error",
]


class NadowsError(Exception):
    """Root of the tree."""


class UsageError(NadowsError):
    """The caller's mistake; nothing was sent."""


class CaptureError(UsageError):
    """A capture file is damaged, truncated, or not a capture; names the line where it can."""


class JournalDamaged(UsageError):
    """A journal is damaged before its end, or is none; names the file and the byte."""


class JournalError(NadowsError):
    """A journal could not be written or made durable.

    It ends the client: what was not written is not delivered, and nothing is sent any more.
    """


class TransportError(NadowsError):
    """The connection could not be made, broke, or does not lead to the venue."""


class ConnectFailed(TransportError):
    """No connection: refused, not resolved, handshake refused, or timed out."""

    retry_after_ns: int = 0
    """How long the server asked to be left alone, ns."""


class ConnectionLost(TransportError):
    """An established connection ended."""

    is_known: bool = True
    """Whether the other side knows; if it fell silent, it may think the connection open still."""


class ProtocolError(NadowsError):
    """The venue said something that its protocol does not allow."""


class MalformedFrame(ProtocolError):
    """A frame that is not valid, with its first bytes for the log."""

    def __init__(self, reason: str, frame: bytes | str = b"") -> None:
        self.reason = reason
        self.frame = frame.encode() if isinstance(frame, str) else bytes(frame)
        super().__init__(reason)

    def __str__(self) -> str:
        shown = self.frame[:120]
        return f"{self.reason} (frame starts with {shown!r})" if shown else self.reason


class BookGap(ProtocolError):
    """A book update does not join the one before: something between them is missing.

    Attributes ``product_id``, ``expected`` (the ``max_timestamp`` we hold, ns) and ``got`` (the
    ``last_max_timestamp`` of the update, ns).
    """

    def __init__(self, product_id: int, expected: int, got: int) -> None:
        self.product_id = product_id
        self.expected = expected
        self.got = got
        # All three as arguments, so that the error survives pickling (results cross processes in the bench).
        super().__init__(product_id, expected, got)

    def __str__(self) -> str:
        return (
            f"book of product {self.product_id}: the update follows {self.got}, "
            f"but the book stands at {self.expected}; load a new snapshot"
        )


class VenueError(NadowsError):
    """The venue refused a request.

    Attributes:
        code: The venue's number, to branch on; ``None`` where it sent none (subscription socket, geo block).
        text: The venue's words; unstable, for people only.
        request_type: What was asked, as the venue names it, for example ``execute_place_order``.
    """

    def __init__(self, text: str, *, code: int | None = None, request_type: str | None = None) -> None:
        self.text = text
        self.code = code
        self.request_type = request_type
        super().__init__(text)

    @property
    def name(self) -> str:
        """The code's name, for example ``OrderNotFound``; ``Unknown`` for a code that is not in the table."""
        known = ERROR_CODES.get(self.code) if self.code is not None else None
        return known.name if known else "Unknown"

    def __str__(self) -> str:
        head = f"{self.code} {self.name}: " if self.code is not None else ""
        tail = f" ({self.request_type})" if self.request_type else ""
        return f"{head}{self.text}{tail}"


class TransientError(VenueError):
    """The same request may succeed later: rate limit, maintenance, late arrival."""


class InvalidRequest(VenueError):
    """The request itself is wrong and will never succeed."""


class Rejected(VenueError):
    """A rule of the market or of the account says no."""


class Unauthorized(VenueError):
    """Signature, signer or access is refused."""


class RateLimited(NadowsError):
    """The venue's limit leaves no room for a request, and its sender would not wait; nothing was sent."""

    def __init__(self, reason: str, wait_ns: int) -> None:
        self.reason = reason
        self.wait_ns = wait_ns
        """How long until there is room, if nobody else spends it."""
        super().__init__(reason, wait_ns)

    def __str__(self) -> str:
        return self.reason


class OrderUnknown(NadowsError):
    """A request was sent and its outcome is not known; query the digest, do not send it again.

    Attribute ``digest``: the order's digest where the request was a placement, else ``None``.
    """

    def __init__(self, reason: str, digest: str | None = None) -> None:
        self.digest = digest
        super().__init__(reason)


class BookNotLive(NadowsError):
    """The book does not know the market right now; wait for it to be LIVE."""


_CLASSES: Final[dict[ErrorKind, type[VenueError]]] = {
    ErrorKind.TRANSIENT: TransientError,
    ErrorKind.CLIENT: InvalidRequest,
    ErrorKind.REJECT: Rejected,
    ErrorKind.AUTH: Unauthorized,
}


def venue_error(text: str, code: int | None = None, request_type: str | None = None) -> VenueError:
    """Build the exception that fits a refusal; a code that the table does not sort gives a `VenueError`."""
    known = ERROR_CODES.get(code) if code is not None else None
    kind = _CLASSES.get(known.kind, VenueError) if known else VenueError
    return kind(text, code=code, request_type=request_type)
