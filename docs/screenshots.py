"""Draw the pictures of the README: real commands, on a real terminal, as SVG.

Run by ``make screenshots``. Each command runs on a pseudo terminal; what it wrote last is what is drawn.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

IMAGES: Final = Path(__file__).parent / "img"
_PICTURE: Final = b"\x1b[?2026h\x1b[H"
_END: Final = b"\x1b[?2026l"
_LEAVE: Final = b"\x1b[?1049l"

THEME: Final = TerminalTheme(
    (13, 17, 23),
    (201, 209, 217),
    [
        (72, 79, 88),
        (255, 123, 114),
        (63, 185, 80),
        (210, 153, 34),
        (88, 166, 255),
        (188, 140, 255),
        (57, 197, 207),
        (177, 186, 196),
    ],
    [
        (110, 118, 129),
        (255, 161, 152),
        (86, 211, 100),
        (227, 179, 65),
        (121, 192, 255),
        (210, 168, 255),
        (86, 212, 221),
        (240, 246, 252),
    ],
)


class Shot(NamedTuple):
    """One picture."""

    name: str
    arguments: tuple[str, ...]
    size: tuple[int, int]
    pictures: int = 0
    """For a live screen: after how many pictures it has shown enough; 0 for a command that ends."""


SHOTS: Final = (
    Shot("book", ("book", "ETH", "--depth", "8"), (82, 24), pictures=40),
    Shot("bench", ("bench", "--rps", "1000", "--duration", "10s"), (110, 50)),
)


def main() -> int:
    """Draw all pictures, or those that are named."""
    wanted = set(sys.argv[1:]) or {shot.name for shot in SHOTS}
    IMAGES.mkdir(exist_ok=True)
    for shot in SHOTS:
        if shot.name in wanted:
            title = f"nadows {' '.join(shot.arguments)}"
            path = IMAGES / f"{shot.name}.svg"
            path.write_text(draw(screen_of(shot), shot.size[0], title), encoding="utf-8")
            sys.stderr.write(f"{path.name}: {title}\n")
    return 0


def screen_of(shot: Shot) -> str:
    """Run a command and return what its terminal showed at the end, with its colours."""
    primary, secondary = pty.openpty()
    fcntl.ioctl(secondary, termios.TIOCSWINSZ, struct.pack("HHHH", shot.size[1], shot.size[0], 0, 0))
    # Progress and remarks go to standard error, which is not in the picture.
    command = subprocess.Popen(
        [sys.executable, "-m", "nadows", *shot.arguments],
        stdin=secondary,
        stdout=secondary,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor"},
    )
    output, deadline = b"", time.monotonic() + 120
    while command.poll() is None or select.select([primary], [], [], 0)[0]:
        if select.select([primary], [], [], 0.05)[0]:
            output += os.read(primary, 65536)
        if shot.pictures and output.count(_PICTURE) >= shot.pictures:
            os.write(primary, b"q")
        if time.monotonic() > deadline:
            command.kill()
    if command.returncode:
        raise SystemExit(f"nadows {' '.join(shot.arguments)} ended with code {command.returncode}")
    if shot.pictures:
        output = output.rpartition(_PICTURE)[2].partition(_END)[0]
    else:
        # What a live screen showed meanwhile is gone when it is left.
        output = output.rpartition(_LEAVE)[2]
    # What is left besides colours are movements; a picture needs none.
    text = re.sub(r"\x1b\[[0-9;?]*[A-HJKSTfhl]", "", output.decode())
    return text.replace("\r\n", "\n").strip("\n")


def draw(screen: str, width: int, title: str) -> str:
    """Draw coloured text as a terminal window."""
    console = Console(
        width=width, record=True, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(Text.from_ansi(screen))
    svg = console.export_svg(title=title, theme=THEME, unique_id="nadows")
    # Without rich's link to a font on somebody's server: any monospaced one will do.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    return svg.replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace")


if __name__ == "__main__":
    sys.exit(main())
