"""Reading captures and market data, and saying what is wrong with them."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Final, cast

import msgspec

from nadows.capture.lines import FORMAT, End, Frame, Header, MarketHeader, Record
from nadows.errors import CaptureError

__all__ = ["Reader"]

_MAX_HEADER: Final = 64 * 2**20
"""A first line longer than this belongs to something else."""
_FOREIGN: Final = (msgspec.MsgspecError, UnicodeError, RecursionError)
_UNREADABLE: Final = (OSError, EOFError, zlib.error)
"""What reading a file raises when the disk, or the compression, fails."""


class _Version(msgspec.Struct):
    nadows_capture: int
    nadows: str = "of another version"


_VERSION: Final = msgspec.json.Decoder(_Version)
_RECORD: Final[msgspec.json.Decoder[Record]] = msgspec.json.Decoder(Record)
_HEADER: Final = msgspec.json.Decoder(Header)
_MARKET_HEADER: Final = msgspec.json.Decoder(MarketHeader)
_MARKET_LINE: Final = msgspec.json.Decoder(tuple[int, msgspec.Raw])


class Reader:
    """Reads a capture, or a file of market data, and finds what is wrong with it.

    ::

        with Reader(path) as reader:
            if isinstance(reader.header, Header):
                for record in reader.records():
                    ...

    Args:
        path: Compressed or not; the contents tell.

    Raises:
        CaptureError: If there is no such file, or it is neither of the two.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.line = 0
        """Number of the line read last; the header is line 1."""
        with ExitStack() as closing:
            self._file = _open(path, closing)
            self.header = self._read_header()
            self._closing = closing.pop_all()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *exc: object) -> None:
        self._closing.close()

    def records(self, *, partial: bool = False) -> Iterator[Record]:
        """Read a capture, record by record, the end included.

        Args:
            partial: Accept a recording that was interrupted: one that has no end, or whose last line is cut.

        Raises:
            CaptureError: At the first line that is not what must be there, with its number.
        """
        decode, n, frames = _RECORD.decode, 0, 0
        ended = False
        try:
            for line in self._lines():
                if ended:
                    raise self.error("there is more after the end of the recording")
                try:
                    record = decode(line)
                except _FOREIGN as error:
                    raise self._broken(line, error) from error
                n += 1
                if record.n != n:
                    raise self.error(
                        f"this is record {record.n} where {n} must be: lines were removed, doubled or moved"
                    )
                if type(record) is Frame:
                    frames += 1
                elif type(record) is End:
                    ended = True
                    if record.frames != frames:
                        raise self.error(f"the recording had {record.frames} frames, the file has {frames}")
                yield record
        except _CutOff:
            if not partial:
                raise
        if not ended and not partial:
            self.line += 1
            raise self.error(
                "the recording has no end: it was interrupted, or the file was cut off; "
                "--partial takes it as it is"
            )

    def market_lines(self) -> Iterator[tuple[int, msgspec.Raw]]:
        """Read a file of market data: receive time (ns) and frame.

        Raises:
            CaptureError: At the first line that is something else, with its number.
        """
        decode = _MARKET_LINE.decode
        for line in self._lines():
            try:
                yield decode(line)
            except _FOREIGN as error:
                raise self._broken(line, error) from error

    def error(self, reason: str) -> CaptureError:
        """Make an error about the line read last."""
        return CaptureError(f"{self.path}, line {self.line}: {reason}")

    # -- inside ------------------------------------------------------------------------------

    def _lines(self) -> Iterator[bytes]:
        try:
            for line in self._file:
                self.line += 1
                yield line
        except _UNREADABLE as error:
            self.line += 1
            raise _CutOff(f"{self.path}, line {self.line}: {_reading_failed(error)}") from error

    def _broken(self, line: bytes, error: Exception) -> CaptureError:
        if line.endswith(b"\n"):
            return self.error(str(error))
        return _CutOff(f"{self.path}, line {self.line}: cut off in the middle ({error})")

    def _read_header(self) -> Header | MarketHeader:
        try:
            line = self._file.readline(_MAX_HEADER)
        except _UNREADABLE as error:
            raise CaptureError(f"{self.path}, line 1: {_reading_failed(error)}") from error
        self.line = 1
        if not line:
            raise CaptureError(f"{self.path} is empty")
        header: Header | MarketHeader
        try:
            version = _VERSION.decode(line)
        except _FOREIGN:
            try:
                header = _MARKET_HEADER.decode(line)
            except _FOREIGN:
                raise self.error(
                    'neither a capture (its first line has "nadows_capture", see `nadows tail --record`) '
                    "nor market data (its first line has a snapshot)"
                ) from None
            return header
        if version.nadows_capture != FORMAT:
            raise self.error(
                f"format {version.nadows_capture}, and this version reads format {FORMAT}: "
                f"use nadows {version.nadows}"
            )
        try:
            header = _HEADER.decode(line)
        except _FOREIGN as error:
            raise self._broken(line, error) from error
        return header


class _CutOff(CaptureError):
    """The file ends in the middle of something."""


def _open(path: Path, closing: ExitStack) -> IO[bytes]:
    try:
        raw = closing.enter_context(path.open("rb"))
        # Looked at and not read, so that pipes will do.
        is_gzip = raw.peek(2)[:2] == b"\x1f\x8b"
    except OSError as error:
        raise CaptureError(f"cannot read {path}: {error.strerror}") from error
    return cast(IO[bytes], closing.enter_context(gzip.GzipFile(fileobj=raw))) if is_gzip else raw


def _reading_failed(error: Exception) -> str:
    if isinstance(error, EOFError):
        return "the compressed data ends too early: the file was cut off; --partial takes it as it is"
    return f"cannot be read: {error}"
