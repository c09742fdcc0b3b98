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

    Ctrl-C and SIGTERM cancel it, so that everything it opened is closed; the second one does not wait.

    Args:
        command: What to do.
        until_stopped: Whether it has no end of its own, so that SIGTERM is how it is meant to end (exit
            code 0); otherwise SIGTERM interrupts it (130), as Ctrl-C always does.
    """
    stopped_by: list[signal.Signals] = []

    async def stoppable() -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def stop(number: signal.Signals) -> None:
            stopped_by.append(number)
            # Back to what it did before: to raise KeyboardInterrupt, or to exit.
            loop.remove_signal_handler(number)
            task.cancel()

        # Also where a shell has its background jobs ignore Ctrl-C: a venue must not outlive its script.
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop, number)
        await command

    try:
        asyncio.run(stoppable())
    except asyncio.CancelledError:
        if not stopped_by:
            raise
        is_end = until_stopped and stopped_by[0] is signal.SIGTERM
        raise typer.Exit(0 if is_end else 130) from None
