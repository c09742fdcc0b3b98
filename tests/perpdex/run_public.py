"""``make perpdex``: the public project's own bots, unmodified, over the drop-in against ``nadows serve``.

``PERPDEX_DIR`` is a checkout of your-quantguy/perp-dex-tools. It is copied, its ``exchanges/nado.py``
replaced by the drop-in, and three bots are run at once: ``runbot.py`` buying BTC and selling ETH, and the
hedge mode on SOL (its other exchange is faked). A counterparty fills their orders, some in two parts, some
while the bot is cut off; then the venue's own records are compared with what the bots should have done.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from nadows import messages
from nadows.client import Client, connect
from nadows.embedded import embedded_venue
from nadows.messages import OrderObject
from nadows.messages.archive import (
    ArchivedOrder,
    OrderHistoryQuery,
    decode_archive_answer,
    encode_archive_request,
)
from nadows.network import Network
from nadows.rest import Rest
from nadows.signing import OrderType, Signer, Subaccount
from nadows.units import from_x18
from tests.perpdex.relay import GATEWAY, STREAMS, Relay, relay

ROOT: Final = Path(__file__).resolve().parents[2]
DROP_IN: Final = """from nadows.perpdex import NadoAdapter
from .base import BaseExchangeClient, OrderInfo, OrderResult


class NadoClient(NadoAdapter, BaseExchangeClient):
    order_result, order_info = OrderResult, OrderInfo
"""
NEEDED: Final = "import dotenv, pytz, tenacity, requests, nadows.perpdex"
FILLS: Final = 5
"""Grid orders that a bot opens before it has as many as it may."""
LIVES_S: Final = 75.0
"""How long a grid bot runs: through its position check, which comes after 60 s."""


class NotAtHand(Exception):
    """What the run needs is not here."""


@dataclass
class Bot:
    """One bot, and what it is to do."""

    name: str
    ticker: str
    size: str
    direction: str
    key: bytes
    arguments: tuple[str, ...]
    lines: list[str] = field(default_factory=list)
    matches: list[tuple[int, str, Decimal]] = field(default_factory=list)
    """Instant before a match (ns, monotonic), side of the bot, size."""
    problems: list[str] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)

    @property
    def subaccount(self) -> str:
        return Subaccount.of(Signer(self.key).address).hex

    def check(self, holds: bool, what: str) -> None:
        if not holds:
            self.problems.append(what)


def grid(ticker: str, size: str, direction: str, key: bytes) -> Bot:
    options = {
        "--exchange": "nado",
        "--ticker": ticker,
        "--quantity": size,
        # A tenth of a basis point beside the tick, so that the wanted price is never on it.
        "--take-profit": "0.0213",
        "--direction": direction,
        "--max-orders": str(FILLS),
        "--wait-time": "1",
    }
    arguments = ("runbot.py", *(text for pair in options.items() for text in pair))
    return Bot(f"runbot {direction} {ticker}", ticker, size, direction, key, arguments)


def hedge(ticker: str, size: str, key: bytes) -> Bot:
    maximum = str(2 * Decimal(size))
    return Bot(f"hedge mode {ticker}", ticker, size, "", key, ("hedge_driver.py", ticker, size, "2", maximum))


def prepare(checkout: Path, target: Path) -> None:
    """Copy the project, and replace one file."""
    shutil.copytree(checkout, target, ignore=shutil.ignore_patterns(".git", "logs", ".env"))
    (target / "exchanges" / "nado.py").write_text(DROP_IN)
    (target / ".env").touch()
    shutil.copy(ROOT / "tests" / "perpdex" / "hedge_driver.py", target)


@asynccontextmanager
async def running(bot: Bot, folder: Path, python: Path, port: int) -> AsyncIterator[Process]:
    """Run a bot, and collect what it says; it is ended with the block."""
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "NADO_PRIVATE_KEY": "0x" + bot.key.hex(),
        "NADO_MODE": "TESTNET",
        "NADO_GATEWAY_URL": f"http://127.0.0.1:{port}/v1",
        "LIGHTER_ACCOUNT_INDEX": "1",
        "LIGHTER_API_KEY_INDEX": "1",
        "API_KEY_PRIVATE_KEY": "none",
    }
    process = await asyncio.create_subprocess_exec(
        python, *bot.arguments, cwd=folder, env=environment, stdout=PIPE, stderr=STDOUT, process_group=0
    )

    async def collect() -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            bot.lines.append(line.decode(errors="replace").rstrip())

    collecting = asyncio.ensure_future(collect())
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        try:
            async with asyncio.timeout(10):
                await process.wait()
        except TimeoutError:
            bot.problems.append("it did not end within 10 s of Ctrl-C")
            process.kill()
            await process.wait()
        await collecting


async def open_orders(client: Client, bot: Bot) -> tuple[OrderObject, ...]:
    product_id = client.products.find(bot.ticker).product_id
    listed: messages.SubaccountOrders = await client.query(
        messages.SubaccountOrdersQuery(bot.subaccount, product_id)
    )
    return listed.orders


async def take(client: Client, bot: Bot, order: OrderObject, share: Decimal) -> None:
    """Fill a share of what is left of a bot's order."""
    amount = from_x18(order.unfilled_amount) * share
    taking = client.limit_order(
        order.product_id, -amount, from_x18(order.price_x18), order_type=OrderType.IOC
    )
    # Taken before it is sent: the bot may hear of the match before the counterparty does.
    bot.matches.append((time.monotonic_ns(), "buy" if amount > 0 else "sell", abs(amount)))
    await client.place_order(taking)


async def fill_all(client: Client, bot: Bot, line: Relay, process: Process) -> None:
    """Fill every opening order of a bot: whole, in two parts, or while it is cut off."""
    seen: set[str] = set()
    wanted = {"buy": (1,), "sell": (-1,), "": (1, -1)}[bot.direction]
    while process.returncode is None and bot.name not in bot.facts:
        for order in await open_orders(client, bot):
            if order.digest in seen or (1 if order.amount > 0 else -1) not in wanted:
                continue
            seen.add(order.digest)
            # Long enough that the bot has heard that the order is open: what is in flight when a line is cut
            # is another matter, and takes as long as the venue may still take it.
            await asyncio.sleep(0.3)
            if len(seen) % 5 == 3:
                line.refuse = {GATEWAY, STREAMS}
                line.cut()
                await take(client, bot, order, Decimal(1))
                await asyncio.sleep(2)
                line.refuse = set()
            elif len(seen) % 5 == 2:
                await take(client, bot, order, Decimal("0.5"))
                await asyncio.sleep(0.2)
                line.cut(STREAMS)
                (rest,) = [each for each in await open_orders(client, bot) if each.digest == order.digest]
                await take(client, bot, rest, Decimal(1))
            else:
                await take(client, bot, order, Decimal(1))
        # All of them share the address and its rate limit with the bots.
        await asyncio.sleep(0.3)


async def archived(network: Network, bot: Bot) -> tuple[ArchivedOrder, ...]:
    rest, query = Rest(5 * 10**9), OrderHistoryQuery(subaccounts=(bot.subaccount,), limit=500)
    try:
        answer: Any = decode_archive_answer(
            await rest.post(network.archive, encode_archive_request(query)), query
        )
        return tuple(answer.orders)
    finally:
        await rest.close()


async def judge_grid(client: Client, bot: Bot, network: Network) -> None:
    """Compare the venue's records with what a grid bot should have done."""
    product = client.products.find(bot.ticker)
    sign = 1 if bot.direction == "buy" else -1
    matched = await archived(network, bot)
    opened = [each for each in matched if each.amount * sign > 0]
    closing = [each for each in await open_orders(client, bot) if each.amount * sign < 0]
    bot.check(len(opened) == FILLS, f"{len(opened)} orders were filled instead of {FILLS}")
    bot.check(
        all(each.base_filled == each.amount for each in opened), "an opening order was filled only in part"
    )
    bot.check(len(closing) == len(opened), f"{len(opened)} fills, but {len(closing)} closing orders")
    sizes = sum(abs(each.amount) for each in closing)
    bot.check(sizes == sum(abs(each.base_filled) for each in opened), f"{from_x18(sizes)} is being closed")
    bot.check(all(each.price_x18 % product.tick == 0 for each in closing), "a closing price is off the tick")
    checks = [line for line in bot.lines if "Current Position:" in line]
    bot.check(len(checks) >= 2, f"{len(checks)} position checks in {LIVES_S:.0f} s")
    for words in ("mismatch", "Error", "Failed", "Traceback", "Critical"):
        told = [line for line in bot.lines if words in line]
        bot.check(not told, f"it says: {told[:1]}")
    prices = ", ".join(str(from_x18(each.price_x18)) for each in closing)
    bot.facts += [
        f"{len(opened)} grid orders filled, {len(closing)} closing orders at {prices}",
        *checks[-1:],
    ]


def judge_hedge(bot: Bot, code: int | None) -> None:
    """Compare the fills of the hedge mode with its orders on the other exchange."""
    hedges = [json.loads(line) for line in bot.lines if line.startswith('{"hedge"')]
    for side, other in (("buy", "sell"), ("sell", "buy")):
        filled = sum(size for _, which, size in bot.matches if which == side)
        hedged = sum(Decimal(each["size"]) for each in hedges if each["hedge"] == other)
        bot.check(filled == hedged != 0, f"{side}: {filled} filled, {hedged} hedged")
    bot.check(any("Position back to zero" in line for line in bot.lines), "it did not come to its end")
    bot.check(code == 0, f"it ended with code {code}")
    # The last part of each order is what the hedge answers: orders come one at a time.
    late = sorted(
        min(each["at_ns"] - at for at, _, _ in bot.matches if at <= each["at_ns"]) / 1e6 for each in hedges
    )
    bot.facts.append(f"{len(hedges)} hedges, ms after the fill: {', '.join(f'{each:.0f}' for each in late)}")


async def run_bot(bot: Bot, folder: Path, python: Path, network: Network) -> None:
    port = urlsplit(network.gateway).port
    assert port is not None
    counterparty = Signer(bot.key[:31] + b"\x07")
    async with relay(port) as line, connect(network, counterparty) as client:
        async with running(bot, folder, python, line.port) as process:
            filling = asyncio.ensure_future(fill_all(client, bot, line, process))
            await asyncio.wait((asyncio.ensure_future(process.wait()),), timeout=LIVES_S)
            is_grid = bool(bot.direction)
            bot.check(not is_grid or process.returncode is None, "it ended by itself")
            if is_grid:
                await judge_grid(client, bot, network)
            filling.cancel()
            failed = (await asyncio.gather(filling, return_exceptions=True))[0]
            if isinstance(failed, Exception):
                bot.problems.append(f"the counterparty failed: {failed!r}")
        if not is_grid:
            judge_hedge(bot, process.returncode)
        bot.facts.append(f"connections made: {line.seen}")


def find(checkout: str | None, python: str | None) -> tuple[Path, Path]:
    """Find the checkout and a Python that can run it.

    Raises:
        NotAtHand: If one of them is missing.
    """
    if not checkout or not (Path(checkout) / "runbot.py").exists():
        raise NotAtHand("PERPDEX_DIR names no checkout of your-quantguy/perp-dex-tools")
    candidates = [python] if python else [sys.executable, str(ROOT / ".venv-beside" / "bin" / "python")]
    for candidate in candidates:
        if Path(candidate).exists() and not os.spawnv(
            os.P_WAIT, candidate, [candidate, "-c", f"try: {NEEDED}\nexcept ImportError: raise SystemExit(1)"]
        ):
            return Path(checkout).absolute(), Path(candidate).absolute()
    raise NotAtHand("no Python here has what the bots import; `make perpdex` makes one")


async def run_all(checkout: Path, python: Path) -> list[Bot]:
    """Run the three bots at once; what they did wrong is in their `problems`."""
    bots = [
        grid("BTC", "0.01", "buy", b"\x31" * 32),
        grid("ETH", "0.3", "sell", b"\x32" * 32),
        hedge("SOL", "5", b"\x33" * 32),
    ]
    with tempfile.TemporaryDirectory() as folder:
        async with embedded_venue(flow="off") as venue:
            copies = []
            for number, _ in enumerate(bots):
                copies.append(Path(folder) / str(number))
                prepare(checkout, copies[-1])
            async with asyncio.TaskGroup() as tasks:
                for bot, copy in zip(bots, copies, strict=True):
                    tasks.create_task(run_bot(bot, copy, python, venue.network))
    return bots


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.perpdex.run_public", description=__doc__)
    parser.add_argument("--checkout", default=os.environ.get("PERPDEX_DIR"), help="default: PERPDEX_DIR")
    parser.add_argument("--python", help="interpreter that can import what the bots import")
    parser.add_argument("--show", action="store_true", help="print what the bots say")
    options = parser.parse_args()
    try:
        checkout, python = find(options.checkout, options.python)
    except NotAtHand as missing:
        sys.stdout.write(f"skipped: {missing}\n")
        return 0
    bots = asyncio.run(run_all(checkout, python))
    for bot in bots:
        told = [*bot.facts, *(f"PROBLEM: {each}" for each in bot.problems)]
        if options.show or bot.problems:
            told += [f"  {line}" for line in bot.lines]
        sys.stdout.write(f"{bot.name}: {'FAILED' if bot.problems else 'ok'}\n")
        sys.stdout.writelines(f"  {line}\n" for line in told)
    return int(any(bot.problems for bot in bots))


if __name__ == "__main__":
    sys.exit(main())
