"""The tree of errors: one root, typed by what the caller can do, and able to cross processes."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest

from nadows import errors
from nadows.errors import (
    ERROR_CODES,
    BookGap,
    BookNotLive,
    CaptureError,
    ConnectFailed,
    ConnectionLost,
    ErrorKind,
    InvalidRequest,
    JournalDamaged,
    JournalError,
    MalformedFrame,
    NadowsError,
    OrderUnknown,
    ProtocolError,
    Rejected,
    TransientError,
    TransportError,
    Unauthorized,
    UsageError,
    VenueError,
    venue_error,
)

CLASS_OF = {
    ErrorKind.TRANSIENT: TransientError,
    ErrorKind.CLIENT: InvalidRequest,
    ErrorKind.REJECT: Rejected,
    ErrorKind.AUTH: Unauthorized,
    ErrorKind.UNKNOWN: VenueError,
}

EXAMPLES: list[NadowsError] = [
    UsageError("wrong"),
    CaptureError("line 3 is cut off"),
    JournalDamaged("the line at byte 7 is damaged"),
    JournalError("the disk is full"),
    ConnectFailed("refused"),
    ConnectionLost("gone"),
    MalformedFrame("not JSON", b"<html>"),
    BookGap(4, 100, 90),
    VenueError("?"),
    venue_error("Order not found", 2020, "execute_cancel_orders"),
    OrderUnknown("no answer within 5 s", "0xabc"),
    BookNotLive("book of product 4 is SYNCING"),
]


@pytest.mark.parametrize(
    ("kind", "parent"),
    [
        (UsageError, NadowsError),
        (CaptureError, UsageError),
        (TransportError, NadowsError),
        (ConnectFailed, TransportError),
        (ConnectionLost, TransportError),
        (ProtocolError, NadowsError),
        (MalformedFrame, ProtocolError),
        (BookGap, ProtocolError),
        (VenueError, NadowsError),
        (TransientError, VenueError),
        (InvalidRequest, VenueError),
        (Rejected, VenueError),
        (Unauthorized, VenueError),
        (OrderUnknown, NadowsError),
        (BookNotLive, NadowsError),
    ],
)
def test_tree(kind: type[NadowsError], parent: type[NadowsError]) -> None:
    """Each error stands where the module's docstring draws it."""
    assert parent is kind.__base__
    assert kind.__name__ in (errors.__doc__ or "")


def test_everything_has_one_root() -> None:
    """Catching NadowsError catches everything that nadows raises on purpose."""
    raised = [
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, BaseException) and kind.__module__ == errors.__name__
    ]

    assert [] == [kind.__name__ for kind in raised if not issubclass(kind, NadowsError)]
    assert set(errors.__all__) >= {kind.__name__ for kind in raised}


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_survives_pickling_and_copying(error: NadowsError) -> None:
    """An error of a child process arrives as it was raised: type, message and attributes."""
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(error) is type(twin)
        assert str(error) == str(twin)
        assert vars(error) == vars(twin)


@pytest.mark.parametrize("frame", [b"<html>", "<html>"])
def test_malformed_frame_shows_how_it_starts(frame: bytes | str) -> None:
    """The message quotes the frame's beginning, whether it came as text or as bytes."""
    error = MalformedFrame("not JSON", frame)

    assert b"<html>" == error.frame
    assert "not JSON (frame starts with b'<html>')" == str(error)


def test_malformed_frame_quotes_little() -> None:
    """A large frame is kept whole and quoted in part."""
    error = MalformedFrame("not JSON", b"x" * 10_000)

    assert len(error.frame) == 10_000
    assert len(str(error)) < 200


def test_malformed_frame_without_bytes() -> None:
    """Without a frame only the reason is said."""
    assert "not JSON" == str(MalformedFrame("not JSON"))


def test_book_gap_says_where_and_what_to_do() -> None:
    """The message names product, both ends of the gap, and the remedy."""
    error = BookGap(4, expected=100, got=90)

    assert (4, 100, 90) == (error.product_id, error.expected, error.got)
    assert "book of product 4: the update follows 90, but the book stands at 100; load a new snapshot" == str(
        error
    )


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (VenueError("no"), "no"),
        (VenueError("no", request_type="execute_place_order"), "no (execute_place_order)"),
        (VenueError("Order not found", code=2020), "2020 OrderNotFound: Order not found"),
        (VenueError("new", code=999_999), "999999 Unknown: new"),
    ],
)
def test_venue_error_says_code_and_name(error: VenueError, expected: str) -> None:
    """Code and name stand before the venue's own words, the request after them."""
    assert expected == str(error)


def test_venue_error_without_code_has_no_name() -> None:
    """Some refusals carry no code; their name says so."""
    assert "Unknown" == VenueError("blocked").name


@pytest.mark.parametrize("code", sorted(ERROR_CODES))
def test_every_code_gets_its_class(code: int) -> None:
    """The class of a refusal follows the table, so that callers can branch on it."""
    error = venue_error("text", code, "execute_place_order")

    assert CLASS_OF[ERROR_CODES[code].kind] is type(error)
    assert (code, "text", "execute_place_order") == (error.code, error.text, error.request_type)


@pytest.mark.parametrize("code", [None, -1, 999_999])
def test_unknown_code_is_kept(code: int | None) -> None:
    """The venue adds codes; one that is not in the table is a plain refusal with its number kept."""
    error = venue_error("something new", code)

    assert VenueError is type(error)
    assert code == error.code


def test_order_unknown_names_the_order() -> None:
    """Whoever catches it can ask for the digest; a request that was no placement has none."""
    assert "0xabc" == OrderUnknown("no answer", "0xabc").digest
    assert OrderUnknown("no answer").digest is None
