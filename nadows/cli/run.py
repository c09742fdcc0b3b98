"""Running a command's coroutine, and ending it in order when it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

import typer

__all__ = ["run"]


def run(command: Coroutine[Any, Any, None], *, until_stopped: bool = False) -> None:
    """Run *command* to its end.

    Ctrl-C and SIGTERM cancel it, so that everything it opened is closed.

    Args:
        command: What to do.
        until_stopped: Whether it has no end of its own, so that SIGTERM is how it is meant to end (exit
            code 0); otherwise SIGTERM interrupts it (130), as Ctrl-C always does.
    """
    stopped = False

    async def stoppable() -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def stop() -> None:
            nonlocal stopped
            stopped = True
            task.cancel()

        loop.add_signal_handler(signal.SIGTERM, stop)
        await command

    try:
        asyncio.run(stoppable())
    except asyncio.CancelledError:
        if not stopped:
            raise
        raise typer.Exit(0 if until_stopped else 130) from None
