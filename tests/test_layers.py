"""Imports point down the layers, and what decides touches neither sockets nor clocks.

The rules are the data at the top; every new module must find its place there. They are read from the
syntax trees, so an import inside a function or under ``TYPE_CHECKING`` counts like any other.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final

import pytest

PACKAGE: Final = Path(__file__).parent.parent / "nadows"

# Top to bottom. The first pattern that fits a module is its place, so a module of a package that belongs
# higher than its siblings stands above their pattern.
LAYERS: Final = (
    ("nadows.__main__", "nadows.cli", "nadows.cli.*", "nadows.perpdex", "nadows.perpdex.*"),
    ("nadows.bench", "nadows.bench.*"),
    (
        "nadows.capture",
        "nadows.capture.*",
        "nadows.client",
        "nadows.config_file",
        "nadows.delivery",
        "nadows.driver",
        "nadows.embedded",
        "nadows.journal.file",
        "nadows.keys",
        "nadows.lines",
        "nadows.keystores",
        "nadows.metrics",
        "nadows.metrics.*",
        "nadows.pool",
        "nadows.replay",
        "nadows.rest",
        "nadows.sending",
        "nadows.transport",
        "nadows.venue.server",
        "nadows.venue.server.*",
    ),
    (
        "nadows.account",
        "nadows.arrivals",
        "nadows.audit",
        "nadows.batching",
        "nadows.book",
        "nadows.bookkeeping",
        "nadows.clock",
        "nadows.copies",
        "nadows.configuration",
        "nadows.desk",
        "nadows.lifecycle",
        "nadows.inbox",
        "nadows.journal",
        "nadows.journal.*",
        "nadows.merging",
        "nadows.placement",
        "nadows.polling",
        "nadows.products",
        "nadows.quotes",
        "nadows.recovery",
        "nadows.session",
        "nadows.throttle",
        "nadows.timings",
        "nadows.venue",
        "nadows.venue.*",
    ),
    (
        "nadows.messages",
        "nadows.messages.*",
        "nadows.network",
        "nadows.pacing",
        "nadows.signing",
        "nadows.signing.*",
        "nadows.weights",
    ),
    ("nadows.distribution", "nadows.error_codes", "nadows.errors", "nadows.units"),
)

FIRST_PURE_LAYER: Final = 3

# The public face re-exports from everywhere; inside the package only the version may be taken from it.
FACE: Final = "nadows"
FROM_THE_FACE: Final = frozenset({"__version__"})

# Client and venue share what lies below both and nothing else: a mistake made twice would be invisible.
CLIENT_SIDE: Final = (
    "nadows.account",
    "nadows.arrivals",
    "nadows.audit",
    "nadows.batching",
    "nadows.book",
    "nadows.bookkeeping",
    "nadows.client",
    "nadows.clock",
    "nadows.copies",
    "nadows.delivery",
    "nadows.desk",
    "nadows.driver",
    "nadows.inbox",
    "nadows.journal",
    "nadows.journal.*",
    "nadows.keys",
    "nadows.lifecycle",
    "nadows.lines",
    "nadows.merging",
    "nadows.perpdex",
    "nadows.perpdex.*",
    "nadows.placement",
    "nadows.polling",
    "nadows.pool",
    "nadows.quotes",
    "nadows.recovery",
    "nadows.rest",
    "nadows.sending",
    "nadows.session",
    "nadows.throttle",
    "nadows.timings",
    "nadows.transport",
    "nadows.weights",
)
VENUE_SIDE: Final = ("nadows.venue", "nadows.venue.*")

# What a module that only decides has no business with: sockets, clocks, files, processes, terminals.
IMPURE: Final = frozenset(
    {
        *(
            "asyncio",
            "selectors",
            "select",
            "signal",
            "socket",
            "socketserver",
            "ssl",
            "http",
            "urllib.request",
        ),
        *("multiprocessing", "subprocess", "concurrent", "queue"),
        *(
            "time",
            "sched",
            "secrets",
            "uuid",
            "os",
            "sys",
            "io",
            "pathlib",
            "shutil",
            "tempfile",
            "glob",
            "gzip",
        ),
        *("importlib", "platform", "platformdirs", "resource", "mmap"),
        *(
            "aiohttp",
            "picows",
            "uvloop",
            "websockets",
            "rich",
            "typer",
            "eth_account",
            "hdrh",
            "prometheus_client",
        ),
    }
)
IMPURE_CALLS: Final = frozenset({"open", "print", "input", "__import__", "eval", "exec"})
IMPURE_METHODS: Final = frozenset({"now", "utcnow", "today"})

# Modules of which the type is welcome and the rest is not: a generator or a lock of one's own shares nothing.
ONLY: Final[Mapping[str, frozenset[str]]] = {
    "random": frozenset({"Random"}),
    "threading": frozenset({"Lock"}),
}

# Slow to import (over a second), and needed by few: only inside the function that needs it.
LAZY_ONLY: Final = frozenset({"eth_account"})


@dataclass(frozen=True)
class Import:
    """One name that a module takes from another."""

    target: str
    """The module, as deep as it is known to be one."""
    name: str | None
    """What is taken from it; ``None`` for the module itself."""
    line: int
    at_module_level: bool
    at_run_time: bool


def fits(module: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(module, pattern) for pattern in patterns)


def layer_of(module: str) -> int | None:
    return next((number for number, patterns in enumerate(LAYERS) if fits(module, patterns)), None)


def within(target: str, roots: frozenset[str]) -> bool:
    parts = target.split(".")
    return any(".".join(parts[:depth]) in roots for depth in range(1, len(parts) + 1))


def walk(node: ast.AST, *, top: bool = True, run_time: bool = True) -> Iterator[tuple[ast.AST, bool, bool]]:
    """Yield every node below *node*, with: is it run on import, is it run at all."""
    for child in ast.iter_child_nodes(node):
        child_top = top and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield child, child_top, run_time
        is_guard = isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING")
        yield from walk(child, top=child_top, run_time=run_time and not is_guard)


def imports_of(
    module: str, source: str, *, modules: frozenset[str], is_package: bool = False
) -> list[Import]:
    """List every import of a source text; *modules* are the known modules of the package."""
    package = module if is_package else module.rpartition(".")[0]
    found = []
    for node, top, run_time in walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [Import(alias.name, None, node.lineno, top, run_time) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            for alias in node.names:
                deeper = f"{base}.{alias.name}"
                target, name = (deeper, None) if deeper in modules else (base, alias.name)
                found.append(Import(target, name, node.lineno, top, run_time))
    return found


def layer_violations(module: str, imports: list[Import]) -> list[str]:
    """Say which imports point up, across from venue to client or back, or into the public face."""
    if module == FACE:
        return []
    here = layer_of(module)
    if here is None:
        return [f"{module} has no place: add it to LAYERS"]
    problems = []
    for item in imports:
        where = f"{module}:{item.line}"
        if item.target == FACE:
            if item.name not in FROM_THE_FACE:
                problems.append(f"{where} imports {item.name} from the public face; name the module")
            continue
        if item.target.partition(".")[0] != "nadows":
            continue
        there = layer_of(item.target)
        if there is None:
            problems.append(f"{where} imports {item.target}, which has no place in LAYERS")
        elif there < here:
            problems.append(f"{where} imports {item.target}, which lies above it")
        for one, other in ((CLIENT_SIDE, VENUE_SIDE), (VENUE_SIDE, CLIENT_SIDE)):
            if fits(module, one) and fits(item.target, other):
                problems.append(f"{where} imports {item.target}: client and venue share only what is below")
    return problems


def purity_violations(module: str, source: str, imports: list[Import]) -> list[str]:
    """Say what a module that only decides does beyond deciding."""
    layer = layer_of(module)
    if layer is None or layer < FIRST_PURE_LAYER:
        return []
    problems = []
    for item in imports:
        if within(item.target, IMPURE) or within(f"{item.target}.{item.name}", IMPURE):
            problems.append(f"{module}:{item.line} imports {item.target}")
        if item.name is not None and item.name not in ONLY.get(item.target, {item.name}):
            problems.append(f"{module}:{item.line} imports {item.target}.{item.name}: take one as argument")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.attr not in ONLY.get(node.value.id, {node.attr}):
                problems.append(
                    f"{module}:{node.lineno} uses {node.value.id}.{node.attr}: take one as argument"
                )
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS:
            problems.append(f"{module}:{node.lineno} calls {node.func.id}()")
        if isinstance(node, ast.Attribute) and node.attr in IMPURE_METHODS:
            owner = ast.unparse(node.value).rpartition(".")[2]
            if owner in {"datetime", "date"}:
                problems.append(f"{module}:{node.lineno} reads the clock with {owner}.{node.attr}")
    return problems


def eager_violations(module: str, imports: list[Import]) -> list[str]:
    """Say which slow library is imported before anybody needs it."""
    return [
        f"{module}:{item.line} imports {item.target} for everybody; import it in the function that needs it"
        for item in imports
        if within(item.target, LAZY_ONLY) and item.at_module_level and item.at_run_time
    ]


def read_package() -> dict[str, tuple[str, list[Import]]]:
    """Read every module: its source and its imports, by dotted name."""
    sources: dict[str, tuple[str, bool]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        sources[".".join(parts[:-1] if is_package else parts)] = (path.read_text(), is_package)
    modules = frozenset(sources)
    return {
        module: (source, imports_of(module, source, modules=modules, is_package=is_package))
        for module, (source, is_package) in sources.items()
    }


@pytest.fixture(scope="module")
def package() -> Mapping[str, tuple[str, list[Import]]]:
    return read_package()


def test_imports_point_down(package: Mapping[str, tuple[str, list[Import]]]) -> None:
    """Every module has a place in the table and imports only from its own layer or below."""
    assert [] == [
        line for module, (_, imports) in package.items() for line in layer_violations(module, imports)
    ]


def test_what_decides_is_pure(package: Mapping[str, tuple[str, list[Import]]]) -> None:
    """The lower layers touch no socket, clock, file, terminal, or shared source of randomness."""
    assert [] == [
        line
        for module, (source, imports) in package.items()
        for line in purity_violations(module, source, imports)
    ]


def test_slow_libraries_are_imported_late(package: Mapping[str, tuple[str, list[Import]]]) -> None:
    """Nobody pays for eth-account who does not use it."""
    assert [] == [
        line for module, (_, imports) in package.items() for line in eager_violations(module, imports)
    ]


def test_no_two_modules_need_each_other(package: Mapping[str, tuple[str, list[Import]]]) -> None:
    """The graph of the imports at run time has no cycle, not even one hidden inside a function."""
    graph = {
        module: {item.target for item in imports if item.at_run_time and item.target in package} - {FACE}
        for module, (_, imports) in package.items()
    }

    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


KNOWN: Final = frozenset({"nadows", "nadows.book", "nadows.client", "nadows.venue.matching", "nadows.units"})


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        ("nadows.book", "from nadows.units import X18", []),
        ("nadows.cli.book", "from nadows import __version__", []),
        (
            "nadows.units",
            "from nadows import book",
            ["nadows.units:1 imports nadows.book, which lies above it"],
        ),
        ("nadows.units", "import nadows.book", ["nadows.units:1 imports nadows.book, which lies above it"]),
        ("nadows.units", "from . import book", ["nadows.units:1 imports nadows.book, which lies above it"]),
        (
            "nadows.units",
            "def f():\n    from nadows.book import Book",
            ["nadows.units:2 imports nadows.book, which lies above it"],
        ),
        (
            "nadows.units",
            "if TYPE_CHECKING:\n    from nadows.book import Book",
            ["nadows.units:2 imports nadows.book, which lies above it"],
        ),
        (
            "nadows.cli.book",
            "from nadows import connect",
            ["nadows.cli.book:1 imports connect from the public face; name the module"],
        ),
        (
            "nadows.venue.server",
            "from nadows.client import Client",
            ["nadows.venue.server:1 imports nadows.client: client and venue share only what is below"],
        ),
        (
            "nadows.client",
            "import nadows.venue.matching",
            ["nadows.client:1 imports nadows.venue.matching: client and venue share only what is below"],
        ),
        (
            "nadows.book",
            "import nadows.novelty",
            ["nadows.book:1 imports nadows.novelty, which has no place in LAYERS"],
        ),
        ("nadows.novelty", "", ["nadows.novelty has no place: add it to LAYERS"]),
    ],
)
def test_wrong_way_is_seen(module: str, source: str, expected: list[str]) -> None:
    """The rule sees each way of writing an import that points the wrong way."""
    assert expected == layer_violations(module, imports_of(module, source, modules=KNOWN))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import random\nrng: random.Random", []),
        ("from random import Random", []),
        ("import datetime\ndatetime.timedelta(seconds=1)", []),
        ("from urllib.parse import urlsplit", []),
        ("import time", ["nadows.book:1 imports time"]),
        ("import asyncio.events", ["nadows.book:1 imports asyncio.events"]),
        ("from urllib import request", ["nadows.book:1 imports urllib"]),
        ("def f():\n    import socket", ["nadows.book:2 imports socket"]),
        ("from random import choice", ["nadows.book:1 imports random.choice: take one as argument"]),
        ("import random\nrandom.random()", ["nadows.book:2 uses random.random: take one as argument"]),
        ("import datetime\ndatetime.datetime.now()", ["nadows.book:2 reads the clock with datetime.now"]),
        ("from datetime import date\nread = date.today", ["nadows.book:2 reads the clock with date.today"]),
        ("import threading\nlock = threading.Lock()", []),
        ("from threading import Thread", ["nadows.book:1 imports threading.Thread: take one as argument"]),
        ("open('x')", ["nadows.book:1 calls open()"]),
    ],
)
def test_impurity_is_seen(source: str, expected: list[str]) -> None:
    """The rule sees clocks, sockets, files and shared randomness, and lets types and arithmetic be."""
    imports = imports_of("nadows.book", source, modules=KNOWN)

    assert expected == purity_violations("nadows.book", source, imports)
    assert [] == purity_violations("nadows.client", source, imports)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f():\n    from eth_account import Account", 0),
        ("if TYPE_CHECKING:\n    from eth_account import Account", 0),
        ("import eth_account", 1),
        ("try:\n    from eth_account.messages import encode_typed_data\nfinally:\n    pass", 1),
    ],
)
def test_early_import_is_seen(source: str, expected: int) -> None:
    """Only an import that runs when the module is imported is early."""
    imports = imports_of("nadows.keys", source, modules=KNOWN)

    assert expected == len(eager_violations("nadows.keys", imports))
