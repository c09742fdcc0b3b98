"""What a shell offers for products and streams, and how quickly."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nadows.cli.completion import complete_product, complete_stream
from nadows.cli.symbol_cache import recall, remember
from nadows.messages import STREAM_PARAMS
from nadows.products import Product
from tests.test_project import clean_environment, cpu_seconds

from .conftest import NADOWS, Run


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user who has seen nothing yet; returns where the symbols will be."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "nadows" / "symbols.json"


def product(number: int, symbol: str) -> Product:
    return Product(number, symbol, symbol.endswith("PERP"), 1, 1, 1, 0, 0)


def test_symbols_that_were_seen_are_offered() -> None:
    """With and without -PERP, in the case that was begun; nothing, before any venue was seen."""
    assert [] == complete_product("")
    remember([product(4, "ETH-PERP"), product(1, "KBTC")])
    remember([product(8, "SOL-PERP")])
    assert ["ETH", "ETH-PERP", "KBTC", "SOL", "SOL-PERP"] == complete_product("")
    assert ["ETH", "ETH-PERP"] == complete_product("ET")
    assert ["etH", "etH-PERP"] == complete_product("et")


def test_streams_are_offered_with_their_products() -> None:
    """The type first, then what it takes."""
    remember([product(4, "ETH-PERP")])
    assert [*STREAM_PARAMS, "all"] == complete_stream("")
    assert ["book_depth"] == complete_stream("book")
    assert ["trade:ETH", "trade:ETH-PERP"] == complete_stream("trade:")
    assert [] == complete_stream("nonsense:") == complete_stream("all:") == complete_stream("all_bbo:")


@pytest.mark.parametrize("content", ["", "{}", "[1, 2]", "not json"])
def test_a_cache_that_is_damaged_is_none(cache: Path, content: str) -> None:
    """And is written anew."""
    cache.parent.mkdir()
    cache.write_text(content)
    assert [] == recall()
    remember([product(4, "ETH-PERP")])
    assert ["ETH-PERP"] == recall() == json.loads(cache.read_text())
    assert [cache] == list(cache.parent.iterdir())


def test_a_cache_that_cannot_be_written_harms_nobody(cache: Path) -> None:
    """Completion is a convenience."""
    cache.parent.write_text("in the way")
    remember([product(4, "ETH-PERP")])
    assert [] == recall()


def test_commands_remember_what_they_see(nadows: Run, url: str, cache: Path) -> None:
    """Every venue that was connected to."""
    nadows("tail", "--limit", "1", "--url", url, env={"XDG_CACHE_HOME": str(cache.parent.parent)})
    assert {"ETH-PERP", "BTC-PERP"} < set(recall())


def complete(*words: str) -> list[str]:
    """Ask as bash does."""
    env = clean_environment() | {
        "_NADOWS_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(("nadows", *words)),
        "COMP_CWORD": str(len(words)),
    }
    result = subprocess.run(NADOWS, capture_output=True, text=True, env=env, timeout=60, check=False)
    assert "" == result.stderr
    return result.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("book", "E"), ["ETH", "ETH-PERP"]),
        (("tail", "trade:E"), ["trade:ETH", "trade:ETH-PERP"]),
        (("tail", "--product", "E"), ["ETH", "ETH-PERP"]),
        (("sy",), ["symbols"]),
    ],
)
def test_a_shell_is_told(words: tuple[str, ...], offered: list[str]) -> None:
    """Through the very command that shells run."""
    remember([product(4, "ETH-PERP")])
    assert offered == complete(*words)


@pytest.mark.parametrize("command", ["book", "tail"])
def test_completion_waits_for_no_socket(command: str) -> None:
    """What it would not use is not even imported."""
    program = (
        "import os, sys\n"
        "os.environ.update(_NADOWS_COMPLETE='complete_bash', COMP_CWORD='2')\n"
        f"os.environ['COMP_WORDS'] = 'nadows {command} E'\n"
        "from nadows.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print({'eth_account', 'aiohttp', 'websockets', 'nadows.client'} & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert "set()" == result.stdout.splitlines()[-1]


@pytest.mark.slow
def test_completion_is_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Below 0.3 s of processor time over Python by itself."""
    bare, completed = [], []
    for name, value in (
        ("_NADOWS_COMPLETE", "complete_bash"),
        ("COMP_WORDS", "nadows book E"),
        ("COMP_CWORD", "2"),
    ):
        monkeypatch.setenv(name, value)
    for _ in range(5):  # side by side, the best of each
        bare.append(cpu_seconds([sys.executable, "-c", "pass"]))
        completed.append(cpu_seconds(NADOWS))
    assert min(completed) - min(bare) < 0.3
