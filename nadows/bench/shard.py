"""One shard of a run: a generator as a child process, wherever an executor puts it.

`run_shard` is what a `concurrent.futures.Executor` is given, so it takes and returns plain values, and any
executor will do: threads or processes of this machine, or a cluster's. It connects back to the parent, starts
the generator (`nadows.bench.worker`), and carries the bytes of both from one to the other. The generator is a
process of its own, since whoever measures must not share an interpreter with anybody.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from typing import IO, Final

__all__ = ["run_shard"]

END_S: Final = 5.0
"""How long a generator may take to end by itself when it is told to, and again when it is terminated."""
_TOLD: Final = 2_000
"""How much of a dead generator's last words is handed back (bytes)."""


def run_shard(address: tuple[str, int], token: str, index: int) -> tuple[int, str]:
    """Run one generator until it ends, or until the parent hangs up.

    Args:
        address: Where the parent listens.
        token: What it knows us by.
        index: Which shard this is.

    Returns:
        The generator's exit code, and the end of what it wrote to its standard error.
    """
    with socket.create_connection(address) as wire, tempfile.TemporaryFile() as errors:
        wire.sendall(f"{token} {index}\n".encode())
        with subprocess.Popen(
            [sys.executable, "-m", "nadows.bench.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            # Ctrl-C is for the parent alone; the generator is told to stop and hands over what it has.
            process_group=0,
        ) as child:
            inward = threading.Thread(target=_carry_in, args=(wire, child), daemon=True)
            inward.start()
            _carry_out(child, wire)
            code = child.wait()
        # The parent reads the end of it, and the thread the end of the wire.
        with suppress(OSError):
            wire.shutdown(socket.SHUT_RDWR)
        inward.join()
        return code, _last_words(errors)


def _carry_in(wire: socket.socket, child: subprocess.Popen[bytes]) -> None:
    """Carry what the parent says to the child; when it says no more, end the child, and insist."""
    assert child.stdin is not None
    # Either side may be gone; the end is the same.
    with suppress(OSError):
        while data := wire.recv(2**16):
            child.stdin.write(data)
            child.stdin.flush()
    with suppress(OSError):
        child.stdin.close()
    for insist in (child.terminate, child.kill):
        try:
            child.wait(END_S)
            return
        except subprocess.TimeoutExpired:
            insist()


def _carry_out(child: subprocess.Popen[bytes], wire: socket.socket) -> None:
    """Carry what the child says to the parent, until it says no more."""
    assert child.stdout is not None
    is_heard = True
    while data := os.read(child.stdout.fileno(), 2**18):
        try:
            if is_heard:
                wire.sendall(data)
        except OSError:
            # Nobody listens; the child is being ended, and must not be kept from it by a full pipe.
            is_heard = False


def _last_words(errors: IO[bytes]) -> str:
    size = errors.seek(0, os.SEEK_END)
    errors.seek(max(0, size - _TOLD))
    return errors.read().decode(errors="replace").strip()
