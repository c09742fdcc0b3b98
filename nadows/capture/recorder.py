"""Writing a capture while a client runs."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Final, cast

import msgspec

from nadows.capture.lines import (
    CancelAndPlace,
    Connect,
    Disconnect,
    End,
    Execute,
    Frame,
    Header,
    Place,
    PlacedOrder,
    PlaceOrders,
    QueryAsked,
    Record,
    Restored,
    StreamPing,
    SubscribeAsked,
    Tick,
    UnsubscribeAsked,
    redact,
    redact_text,
)
from nadows.errors import NadowsError, UsageError
from nadows.messages import Stream, encode
from nadows.signing import SignedCancelAndPlace, SignedOrder, SignedPlaceOrders

__all__ = ["Recorder"]

_FLUSH_NS: Final = 1_000_000_000
"""How much of a recording a crash may cost."""
_GZIP_LEVEL: Final = 1
"""Digits compress well at any level; the higher ones cost the receiving loop more than they save."""
_ENCODER: Final = msgspec.json.Encoder()
_ONE_VALUE: Final = msgspec.json.Decoder(msgspec.Raw)


class Recorder:
    """Writes a capture; give it to `nadows.connect` as *tap*.

    It never raises into the client: a disk that fills up ends the recording, `check` says so, and the
    client goes on.

    Args:
        path: Where to; a name ending in ``.gz`` compresses.
        header: The first line.
        overwrite: Replace a file that holds something.
        wall_ns: The wall clock.

    Raises:
        UsageError: If the file cannot be made, or holds something already.
    """

    def __init__(
        self,
        path: Path,
        header: Header,
        *,
        overwrite: bool = False,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.path = path
        self.frames = 0
        """Frames written."""
        self._wall_ns = wall_ns
        self._n = 0
        self._last_m = 0
        self._flushed_ns = 0
        self._failure: NadowsError | None = None
        self._file: IO[bytes] | None = _create(path, overwrite=overwrite)
        self._write(header)

    # -- what the client tells it (nadows.client.Tap) -----------------------------------------

    def connected(self, line: str, now_ns: int) -> None:
        """Record that a socket opened."""
        self._put(Connect, now_ns, line=line)

    def frame(self, line: str, frame: str | bytes, now_ns: int) -> None:
        """Record a frame."""
        data = redact(frame.encode() if isinstance(frame, str) else frame)
        self._put(Frame, now_ns, line=line, **_as_member(data))
        self.frames += 1

    def lost(self, line: str, reason: str, now_ns: int) -> None:
        """Record that a socket was lost."""
        self._put(Disconnect, now_ns, line=line, reason=redact_text(reason))

    def tick(self, now_ns: int) -> None:
        """Record that something was due."""
        self._put(Tick, now_ns)

    def asked(self, what: str, argument: Any, now_ns: int) -> None:
        """Record what the user asked for: see `nadows.client.Tap`."""
        match what, argument:
            case "subscribe", Stream():
                self._put(SubscribeAsked, now_ns, stream=argument)
            case "unsubscribe", Stream():
                self._put(UnsubscribeAsked, now_ns, stream=argument)
            case "restore", records:
                raw = tuple(msgspec.Raw(encode(each)) for each in records)
                self._put(Restored, now_ns, records=raw)
            case "ping", _:
                self._put(StreamPing, now_ns)
            case "query", query:
                self._put(QueryAsked, now_ns, query=msgspec.Raw(redact(encode(query))))
            case "place", SignedOrder():
                self._put(Place, now_ns, order=_placed(argument))
            case "place_orders", SignedPlaceOrders():
                self._put(PlaceOrders, now_ns, orders=tuple(_placed(order) for order in argument.orders))
            case "cancel_and_place", SignedCancelAndPlace():
                cancels = tuple(argument.cancel.digests)
                self._put(CancelAndPlace, now_ns, order=_placed(argument.order), cancels=cancels)
            case "execute", (request_type, signature, *cancels):
                signature = redact_text(signature)
                self._put(
                    Execute, now_ns, request_type=request_type, signature=signature, cancels=tuple(cancels)
                )
            case _:
                raise AssertionError(f"the capture format has no record for {what!r}")

    # -- its own end --------------------------------------------------------------------------

    def check(self) -> None:
        """Raise what stopped the recording, if anything did."""
        if self._failure is not None:
            raise self._failure

    def finish(self, state_hash: str) -> None:
        """Write the end and close; what comes later is not recorded.

        Args:
            state_hash: `Desk.state_hash` of the client, taken at this moment.

        Raises:
            NadowsError: If the capture could not be written whole.
        """
        self._put(End, self._last_m, frames=self.frames, state_hash=state_hash)
        self.close()
        self.check()

    def close(self) -> None:
        """Close without an end, as after an error; idempotent."""
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError as error:
                self._fail(error)

    # -- inside ------------------------------------------------------------------------------

    def _put(self, kind: Callable[..., Record], now_ns: int, **members: Any) -> None:
        if self._file is None:
            return
        self._n += 1
        self._last_m = now_ns
        wall_ns = self._wall_ns()
        self._write(kind(n=self._n, w=wall_ns, m=now_ns, **members))
        if wall_ns - self._flushed_ns > _FLUSH_NS:
            self._flush(wall_ns)

    def _write(self, line: Header | Record) -> None:
        assert self._file is not None
        try:
            self._file.write(_ENCODER.encode(line) + b"\n")
        except OSError as error:
            self._fail(error)

    def _flush(self, wall_ns: int) -> None:
        self._flushed_ns = wall_ns
        if self._file is None:
            return
        try:
            self._file.flush()
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        self._failure = self._failure or NadowsError(
            f"the capture {self.path} ends at record {self._n}: {error.strerror or error}; "
            "make room or record elsewhere"
        )
        self.close()


def _create(path: Path, *, overwrite: bool) -> IO[bytes]:
    try:
        if not overwrite and path.exists() and path.stat().st_size:
            raise UsageError(f"{path} exists already: give another name, or --force to replace it")
        if path.suffix == ".gz":
            return cast(IO[bytes], gzip.open(path, "wb", compresslevel=_GZIP_LEVEL))
        return path.open("wb")
    except OSError as error:
        raise UsageError(f"cannot write the capture {path}: {error.strerror}") from error


def _as_member(frame: bytes) -> dict[str, Any]:
    """Find the form in which a frame goes into a line unchanged."""
    try:
        text = frame.decode()
    except UnicodeDecodeError:
        return {"base64": frame}
    return {"frame": msgspec.Raw(frame)} if _is_json_on_one_line(frame) else {"text": text}


def _is_json_on_one_line(frame: bytes) -> bool:
    if frame[:1] not in (b"{", b"[") or frame[-1:] not in (b"}", b"]") or b"\n" in frame or b"\r" in frame:
        return False
    try:
        _ONE_VALUE.decode(frame)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return True


def _placed(order: SignedOrder) -> PlacedOrder:
    return PlacedOrder(
        digest=order.digest,
        product_id=order.product_id,
        price_x18=str(order.price_x18),
        amount=str(order.amount),
        signature=redact_text(order.signature),
        id=order.id,
    )
