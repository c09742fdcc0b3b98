"""Commands on a real (pseudo) terminal: what is drawn, how often, and how it is given back."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from nadows.client import connect
from nadows.network import Network
from nadows.signing import OrderType, Signer
from nadows.units import from_x18

from .conftest import CLEAN, NADOWS
from .test_commands import market_file

_PICTURE: Final = b"\x1b[?2026h"
_LEAVES: Final = b"\x1b[?25h\x1b[?1049l"


@dataclass
class Session:
    """What happened on a terminal."""

    output: bytes = b""
    pictures: list[float] = field(default_factory=list)
    """When each picture came (s)."""
    code: int = -1
    restored: bool = False
    """Whether the terminal's settings are what they were before."""

    @property
    def text(self) -> str:
        """Everything shown, without colours and movements."""
        # Ctrl-C makes the terminal drop what it has not shown yet, perhaps in the middle of a character.
        shown = self.output.decode(errors="replace")
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown).replace("\r\n", "\n")

    @property
    def last_picture(self) -> list[str]:
        """Lines of the last picture that was drawn whole."""
        picture = self.output.rpartition(_PICTURE)[2].partition(b"\x1b[?2026l")[0]
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", picture.decode()).replace("\r\n", "\n").split("\n")


def on_terminal(
    *arguments: str,
    keys: tuple[tuple[int, bytes | int], ...] = (),
    size: tuple[int, int] = (80, 24),
    env: dict[str, str] | None = None,
    typed: tuple[str, ...] = (),
) -> Session:
    """Run a command on a terminal of its own.

    Args:
        arguments: Of ``nadows``.
        keys: After how many pictures to type something, or to send a signal.
        size: Columns and lines.
        env: Environment besides the clean one.
        typed: Lines to type, one whenever something is asked for.
    """
    session, pending, lines = Session(), list(keys), list(typed)
    primary, secondary = pty.openpty()
    fcntl.ioctl(secondary, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    before = termios.tcgetattr(secondary)
    command = subprocess.Popen(
        [*NADOWS, *arguments],
        stdin=secondary,
        stdout=secondary,
        stderr=secondary,
        env=CLEAN | {"TERM": "xterm-256color"} | (env or {}),
        start_new_session=True,
        # The terminal becomes the session's own, so that Ctrl-C typed on it is a signal.
        # (The test has one thread, and what runs in the child before it becomes the command takes no lock.)
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
    )
    deadline = time.monotonic() + 60
    while command.poll() is None or select.select([primary], [], [], 0)[0]:
        if select.select([primary], [], [], 0.02)[0]:
            data = os.read(primary, 65536)
            session.output += data
            session.pictures += [time.monotonic()] * data.count(_PICTURE)
        if lines and session.output.endswith(b": "):
            os.write(primary, lines.pop(0).encode() + b"\n")
            # What is seen next is not the question again.
            session.output += b"\n"
        while pending and len(session.pictures) >= pending[0][0]:
            what = pending.pop(0)[1]
            if isinstance(what, int):
                command.send_signal(what)
            else:
                os.write(primary, what)
        if time.monotonic() > deadline:
            command.kill()
    session.code = command.returncode
    session.restored = before == termios.tcgetattr(secondary)
    os.close(primary)
    os.close(secondary)
    return session


# -- the live book ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "code"),
    [(b"q", 0), (b"\x04", 0), (b"\x03", 130), (signal.SIGTERM, 0), (signal.SIGINT, 130)],
)
def test_the_live_book_ends_and_gives_the_terminal_back(url: str, what: bytes | int, code: int) -> None:
    """q, Ctrl-C or a signal: the alternate screen is left, the cursor is back, and so are the settings."""
    session = on_terminal("book", "ETH", "--url", url, keys=((3, what),))

    assert code == session.code
    assert session.restored
    assert session.output.rstrip().endswith(_LEAVES)
    assert "Traceback" not in session.text
    # The sentence about where it is comes before the screen is taken.
    assert session.output.startswith(b"127.0.0.1")


def test_the_live_book_is_drawn_at_most_ten_times_a_second(url: str) -> None:
    """However often the venue speaks, the pictures keep their pace; they show a LIVE ladder."""
    session = on_terminal("book", "BTC", "--url", url, keys=((25, b"q"),), size=(100, 24))

    between = [later - earlier for earlier, later in pairwise(session.pictures)]
    # Pictures that waited together in the terminal are seen together, so it is the whole that counts.
    assert sum(between) >= 0.099 * len(between)
    lines = session.last_picture
    assert re.match(r" BTC-PERP LIVE .*updates/s .* old .* as of .* UTC", lines[0])
    assert re.match(r" spread \d+ \(\d+\.\d\d bp\)   microprice", lines[1])
    assert 24 == len(lines)


def test_the_live_book_fits_its_terminal(url: str) -> None:
    """Narrow and low, nothing wraps and nothing scrolls."""
    session = on_terminal("book", "ETH", "--url", url, keys=((3, b"q"),), size=(30, 9))
    lines = session.last_picture
    assert max(map(len, lines)) <= 30
    assert len(lines) <= 9


def test_keys_change_the_depth(url: str) -> None:
    """Plus shows more, minus less, and there is always one level left."""
    session = on_terminal(
        "book", "ETH", "--depth", "3", "--url", url, keys=((2, b"+"), (5, b"----x"), (9, b"q")), size=(80, 50)
    )
    pictures = session.output.split(_PICTURE)[1:]
    rows = [picture.count(b"\x1b[31m") for picture in pictures]
    assert 0 == session.code
    assert max(rows) > rows[0]
    assert min(rows) < rows[0]


def test_keys_group_prices_and_change_the_product(url: str) -> None:
    """One product where it is narrow; the brackets join prices and take them apart again."""
    session = on_terminal(
        "book",
        "ETH",
        "BTC",
        "--url",
        url,
        keys=((2, b"]"), (6, b"n"), (10, b"[p"), (14, b"q")),
        size=(80, 24),
    )
    pictures = [
        re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", each).decode(errors="replace")
        for each in session.output.split(_PICTURE)[1:]
    ]
    assert 0 == session.code
    assert not {2} & {("ETH-PERP" in each) + ("BTC-PERP" in each) for each in pictures}
    assert any("ETH-PERP" in each and "by 0.2" in each for each in pictures)
    assert any("BTC-PERP" in each and "by 2" in each for each in pictures)
    assert "ETH-PERP" in pictures[-1]
    assert "by " not in pictures[-1]
    assert "n p product" in pictures[-1]


def test_several_books_stand_beside_each_other(url: str) -> None:
    """Where the terminal is wide enough, with their last trades below."""
    session = on_terminal("book", "ETH", "BTC", "--url", url, keys=((30, b"q"),), size=(200, 50))
    lines = session.last_picture
    assert re.match(r" ETH-PERP LIVE .* BTC-PERP LIVE ", lines[0])
    assert max(map(len, lines)) <= 200
    assert re.search(r"(buy |sell) \d\d:\d\d:\d\d\.\d{3}", "\n".join(lines))


def test_a_wallet_that_is_given_marks_its_own_orders(url: str) -> None:
    """At their level, as long as they are open."""
    signer = Signer("7a" * 32)

    async def place_and_look() -> Session:
        async with connect(Network.from_url(url), signer) as client:
            book = await client.book("SOL")
            # Far from where the market moves in a few seconds.
            level = book.levels(40)[0][-1]
            amount = client.products.find("SOL").min_size(level.price)
            order = client.limit_order(
                "SOL", from_x18(amount), from_x18(level.price), order_type=OrderType.POST_ONLY
            )
            await client.place_order(order)
            return await asyncio.to_thread(
                on_terminal,
                *("book", "SOL", "--depth", "80", "--url", url),
                keys=((15, b"q"),),
                size=(100, 160),
                env={"NADO_PRIVATE_KEY": "7a" * 32},
            )

    session = asyncio.run(place_and_look())
    assert 0 == session.code
    assert "▸" in session.text


def test_a_book_is_drawn_into_a_file(url: str, tmp_path: Path) -> None:
    """As a picture; a place where nothing can be written is named."""
    path = tmp_path / "book.svg"
    session = on_terminal("book", "ETH", "BTC", "--svg", str(path), "--depth", "5", "--url", url)
    assert 0 == session.code
    assert f"drawn in {path}" in session.text
    assert path.read_text().startswith("<svg")
    assert "BTC-PERP" in path.read_text()
    refused = on_terminal("book", "ETH", "--svg", str(tmp_path / "no" / "x.svg"), "--url", url)
    assert (2, True) == (refused.code, "cannot write the picture" in refused.text)


def test_without_colour_there_is_none(url: str) -> None:
    """NO_COLOR is respected; movements are not colours."""
    session = on_terminal("book", "ETH", "--url", url, keys=((3, b"q"),), env={"NO_COLOR": "1"})
    assert not re.search(rb"\x1b\[[0-9;]*3[0-9]m", session.output)
    assert any("LIVE" in line for line in session.last_picture)


# -- lines for people ------------------------------------------------------------------------------


def test_tail_on_a_terminal_is_for_people(url: str) -> None:
    """One aligned line an event, exact decimals, no JSON."""
    session = on_terminal("tail", "trade", "--limit", "5", "--url", url, size=(60, 24))
    lines = session.text.splitlines()[1:]
    assert 0 == session.code
    assert 5 == len(lines)
    # Neither wraps where most terminals end.
    assert max(map(len, lines)) < 80
    assert all(
        re.match(r"\d\d:\d\d:\d\d\.\d{3}  +-?[\d.]+ m?s  \S+ +trade +(buy |sell) +[\d.]+ @ [\d.]+$", each)
        for each in lines
    )


def test_a_terminal_gets_json_if_it_is_asked_for(url: str) -> None:
    """Also there, one object a line."""
    session = on_terminal("tail", "--limit", "2", "--json", "--quiet", "--url", url)
    assert 2 == len([json.loads(line) for line in session.text.splitlines()])


def test_auth_on_a_terminal_is_a_short_list(url: str) -> None:
    """Who one is, in words."""
    session = on_terminal("auth", "--url", url)
    assert 0 == session.code
    for title in ("network ", "address ", "subaccount ", "authenticated ", "round trip ", "clock skew "):
        assert f"\n{title}" in session.text


def test_book_once_on_a_terminal_is_a_ladder(url: str) -> None:
    """Printed once, on the screen as it is."""
    session = on_terminal("book", "ETH", "--once", "--depth", "4", "--url", url)
    assert 0 == session.code
    assert not session.pictures
    assert b"\x1b[?1049h" not in session.output
    assert 8 == len(re.findall(r"(?m)^ +\d+\.\d +\d+\.\d{3} +\d+\.\d{3}", session.text))


def test_replay_on_a_terminal_ends_with_a_summary(tmp_path: Path) -> None:
    """The book if it is asked for, a line a book, the speed, gaps and the hash."""
    path = str(market_file(tmp_path / "m.jsonl"))
    session = on_terminal("replay", path, "--book", "ETH")
    assert 0 == session.code
    assert "ETH-PERP LIVE" in session.text
    assert "\nETH-PERP    LIVE      0.0000000000000001 x 0.000000000000000001" in session.text
    assert re.search(r"2 frames in [\d.]+ s: [\d,]+ a second\n0 gaps, state [0-9a-f]{64}", session.text)
    lost = on_terminal("replay", str(market_file(tmp_path / "h.jsonl", hole=True)), "--book", "4")
    assert "no prices: waits for a snapshot" in lost.text
    assert "1 gaps" in lost.text
