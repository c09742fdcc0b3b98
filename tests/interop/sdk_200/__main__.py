"""Run all checks: ``python -m tests.interop.sdk_200 READY_LINE``, the line that `nadows serve` prints."""

from __future__ import annotations

import json
import logging
import sys

from tests.interop.sdk_200 import accounts, executes, history, queries, services, sockets
from tests.interop.sdk_200.checks import World, run

KEY = "0x" + "4e" * 32


LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def fence(event: str, arguments: tuple[object, ...]) -> None:
    """Keep the SDK on this machine: its defaults are the public hosts. An audit hook."""
    host: object = None
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    if host is not None and host not in LOOPBACK:
        raise PermissionError(f"the checks stay on this machine, and somebody asked for {host!r}")


def main() -> int:
    sys.addaudithook(fence)
    logging.basicConfig(level=logging.WARNING)
    world = World(ready=json.loads(sys.argv[1]), key=KEY)
    suites = (queries.suite, executes.suite, accounts.suite, history.suite, services.suite, sockets.suite)
    return 0 if run(suites, world) else 1


if __name__ == "__main__":
    sys.exit(main())
