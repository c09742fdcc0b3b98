"""The file: whole lines, one writer, and a disk that fails."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from nadows.errors import JournalDamaged, JournalError, UsageError
from nadows.journal.file import JournalFile, read_journal
from nadows.journal.records import Confirmed, as_line

from .rig import HEADER, fill, fill_line


def test_what_was_written_is_there_for_the_next_life(tmp_path: Path) -> None:
    """Also for whoever reads while it is written, and after it was closed."""
    path = tmp_path / "a.journal"
    journal = JournalFile(path=path).open(HEADER)
    journal.write(journal.number([fill(7), fill(8)]), urgent=True)

    assert as_line(HEADER) + fill_line(1, 7) + fill_line(2, 8) == path.read_bytes()
    assert 2 == len(read_journal(path).records)
    journal.close()
    journal.close()
    assert [7, 8] == [entry.fill.index for entry in journal.fills()]
    again = JournalFile(path=path).open(HEADER)
    assert 2 == again.fill_count
    again.close()


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    """What was traded is the owner's business."""
    JournalFile(path=tmp_path / "a").open(HEADER).close()

    assert {0o600} == {stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()}
    assert {"a", "a.lock"} == {each.name for each in tmp_path.iterdir()}


def test_a_torn_tail_is_cut_off_the_file(tmp_path: Path) -> None:
    """What is written next begins a line of its own."""
    path = tmp_path / "a"
    path.write_bytes(as_line(HEADER) + fill_line(1, 7) + fill_line(2, 8)[:-1])
    journal = JournalFile(path=path).open(HEADER)
    journal.write(journal.number([fill(9)]), urgent=True)
    journal.close()

    assert as_line(HEADER) + fill_line(1, 7) + fill_line(2, 9) == path.read_bytes()


def test_compacting_leaves_one_whole_file_that_is_written_on(tmp_path: Path) -> None:
    """The new file takes the place of the old one, lock included."""
    path = tmp_path / "a"
    path.write_bytes(as_line(HEADER) + as_line(Confirmed(n=1)) * 9)
    journal = JournalFile(path=path, compact_bytes=300).open(HEADER)
    with pytest.raises(UsageError, match="in use"):
        JournalFile(path=path).open(HEADER)
    journal.write([Confirmed(n=2)], urgent=True)
    journal.close()

    assert as_line(HEADER) + as_line(Confirmed(n=1)) + as_line(Confirmed(n=2)) == path.read_bytes()
    assert {"a", "a.lock"} == {each.name for each in tmp_path.iterdir()}


def test_a_second_writer_is_told_who_the_first_one_is(tmp_path: Path) -> None:
    """Until that one has ended, however it ended."""
    path = tmp_path / "a"
    script = (
        "import sys, pathlib; from tests.journal.rig import HEADER\n"
        "from nadows.journal.file import JournalFile\n"
        "journal = JournalFile(path=pathlib.Path(sys.argv[1])).open(HEADER); print(flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(UsageError, match=f"is in use by process {other.pid}: a journal has one writer"):
            JournalFile(path=path).open(HEADER)
        other.kill()
    JournalFile(path=path).open(HEADER).close()


def test_a_journal_that_is_refused_is_let_go_of(tmp_path: Path) -> None:
    """Damage does not leave a lock behind."""
    path = tmp_path / "a"
    path.write_text("hello\n")
    for _ in range(2):
        with pytest.raises(JournalDamaged, match="is not a journal"):
            JournalFile(path=path).open(HEADER)
    assert "hello\n" == path.read_text()


@pytest.mark.parametrize("use", [lambda path: JournalFile(path=path).open(HEADER), read_journal])
def test_a_place_that_cannot_be_used_is_named(tmp_path: Path, use: Callable[[Path], Any]) -> None:
    """With what the system says."""
    with pytest.raises(UsageError, match=r"the journal .*/none/a: No such file or directory"):
        use(tmp_path / "none" / "a")


@pytest.mark.parametrize(
    ("function", "code", "message"),
    [
        ("write", errno.ENOSPC, "could not be written: No space left on device. The client has stopped"),
        ("fdatasync", errno.EIO, "could not be synced: Input/output error"),
    ],
)
def test_a_failing_disk_ends_it_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, code: int, message: str
) -> None:
    """After a failure nobody knows what is on the disk, so it is not tried again."""
    journal = JournalFile(path=tmp_path / "a").open(HEADER)

    def fails(*_: Any) -> int:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as broken:
        broken.setattr(os, function, fails)
        with pytest.raises(JournalError, match=message):
            journal.write([Confirmed(n=1)], urgent=True)
    with pytest.raises(JournalError, match=message):
        journal.write([Confirmed(n=1)], urgent=True)
    with suppress(JournalError):
        journal.close()
    JournalFile(path=tmp_path / "a").open(HEADER).close()


def test_a_disk_that_takes_a_part_is_given_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short write is no error; what is left of it after a full disk is a torn tail."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:7]))
    journal = JournalFile(path=tmp_path / "a").open(HEADER)
    journal.write([Confirmed(n=1)], urgent=True)
    journal.close()

    assert as_line(HEADER) + as_line(Confirmed(n=1)) == (tmp_path / "a").read_bytes()


def test_a_closed_journal_cannot_be_written(tmp_path: Path) -> None:
    """A mistake of the program, told as one."""
    journal = JournalFile(path=tmp_path / "a").open(HEADER)
    journal.close()
    with pytest.raises(JournalError, match="is closed"):
        journal.write([Confirmed(n=1)], urgent=False)


def test_a_journal_that_is_gone_cannot_be_read(tmp_path: Path) -> None:
    """Whoever removed it is told when its fills are asked for."""
    journal = JournalFile(path=tmp_path / "a").open(HEADER)
    (tmp_path / "a").unlink()
    with pytest.raises(JournalError, match="could not be read: No such file"):
        list(journal.fills())
    with pytest.raises(JournalError, match="could not be read"):
        journal.write([Confirmed(n=1)], urgent=False)
