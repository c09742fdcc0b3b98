"""The file of a journal: one writer, lines that are whole or missing, and errors that stop everything."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from nadows.errors import JournalError, UsageError
from nadows.journal.journal import COMPACT_BYTES, SYNC_INTERVAL_NS, Journal, Sync
from nadows.journal.records import Contents, Header, read_lines

__all__ = ["JournalFile", "read_journal"]

T = TypeVar("T")

_MODE: Final = 0o600
"""What was traded is nobody else's business."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalFile:
    """Where a client keeps its journal, and how safely; give it to `nadows.connect`."""

    path: Path
    sync: Sync = Sync.ALWAYS
    """When what was written is made to survive a crash of the machine."""
    interval_ns: int = SYNC_INTERVAL_NS
    """For `Sync.INTERVAL`; looked at every 50 ms."""
    compact_bytes: int = COMPACT_BYTES
    """A larger journal is compacted when it is opened."""

    def open(self, header: Header) -> Journal:
        """Open it for writing, or begin it.

        Raises:
            UsageError: If it cannot be opened, belongs to somebody else, or another process has it open.
            JournalDamaged: If it cannot be read.
            JournalError: If it cannot be written.
        """
        storage = FileStorage(self.path)
        try:
            return Journal(
                storage,
                header,
                sync=self.sync,
                interval_ns=self.interval_ns,
                compact_bytes=self.compact_bytes,
            )
        except BaseException:
            storage.close()
            raise


def read_journal(path: Path) -> Contents:
    """Read a journal, also while a client writes it.

    Raises:
        UsageError: If there is no such file.
        JournalDamaged: If it cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the journal {path}: {error.strerror}") from error
    return read_lines(data, str(path))


class FileStorage:
    """A file that one process writes at a time.

    The lock is on a file of its own (``.lock``), because compacting puts another file in the journal's place.

    Args:
        path: The journal.

    Raises:
        UsageError: If it cannot be opened, or another process has it open.
    """

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        self._failure: str | None = None
        self._fd: int | None = None
        self._lock: int | None = None
        try:
            self._lock = self._locked()
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, _MODE)
        except OSError as error:
            self.close()
            raise UsageError(f"cannot open the journal {path}: {error.strerror}") from error

    def read(self) -> bytes:
        """Give everything, also after it was closed."""
        try:
            return self._path.read_bytes()
        except OSError as error:
            raise self._failed("read", error) from error

    def append(self, data: bytes) -> None:
        """Add to the end."""
        self._do("written", lambda fd: _write_all(fd, data))

    def sync(self) -> None:
        """Make what was added survive a crash of the machine."""
        self._do("synced", os.fdatasync)

    def cut(self, size: int) -> None:
        """Shorten to *size* bytes, and sync."""
        self._do("cut", lambda fd: os.ftruncate(fd, size))
        self.sync()

    def replace(self, data: bytes) -> None:
        """Put *data* in the place of everything, whole or not at all, and sync."""
        new = self._path.with_name(self._path.name + ".new")

        def written(old: int) -> None:
            fd = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND, _MODE)
            _write_all(fd, data)
            os.fsync(fd)
            os.rename(new, self._path)
            _sync_directory(self._path.parent)
            os.close(old)
            self._fd = fd

        self._do("replaced", written)

    def close(self) -> None:
        """Let go of it; idempotent."""
        for fd in (self._fd, self._lock):
            if fd is not None:
                os.close(fd)
        self._fd = self._lock = None

    def _locked(self) -> int:
        fd = os.open(self._path.with_name(self._path.name + ".lock"), os.O_RDWR | os.O_CREAT, _MODE)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(fd, 20).decode(errors="replace").strip()
            os.close(fd)
            raise UsageError(
                f"journal {self._path} is in use by process {owner}: a journal has one writer; "
                "end that process, or give this one another journal"
            ) from None
        os.ftruncate(fd, 0)
        os.write(fd, b"%d\n" % os.getpid())
        return fd

    def _do(self, done: str, work: Callable[[int], T]) -> T:
        if self._failure is not None:
            raise JournalError(self._failure)
        if self._fd is None:
            raise JournalError(f"the journal {self._path} is closed")
        try:
            return work(self._fd)
        except OSError as error:
            raise self._failed(done, error) from error

    def _failed(self, done: str, error: OSError) -> JournalError:
        # Never tried again: after a failed sync nobody knows what is on the disk.
        self._failure = (
            f"the journal {self._path} could not be {done}: {error.strerror}. The client has stopped; "
            "orders may be open. Make room or mend the disk, and connect again with the same journal"
        )
        return JournalError(self._failure)


def _write_all(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
