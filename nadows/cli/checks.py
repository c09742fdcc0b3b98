"""What `nadows doctor` looks at: one `Check` for each thing that may be in the way."""

from __future__ import annotations

import asyncio
import platform
import resource
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from nadows.cli.connecting import key_source
from nadows.cli.figures import span
from nadows.client import connect
from nadows.configuration import Settings, strange_variables
from nadows.errors import NadowsError, TransportError, UsageError
from nadows.keys import KeySource, read_private
from nadows.network import Network
from nadows.rest import Rest
from nadows.signing import AUTHENTICATION, TRADING
from nadows.transport import compression_of, open_socket

__all__ = ["Check", "Verdict", "local_checks", "venue_checks"]

NEEDED: Final = ("aiohttp", "coincurve", "msgspec", "safe-pysha3", "websockets")
FAST: Final = ("picows", "uvloop")
_PROXIES: Final = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "http_proxy", "HTTP_PROXY")
_MS: Final = 1_000_000
_SKEW_WARN_MS: Final = 2_000
_SKEW_FAIL_MS: Final = 10_000
"""Requests are signed for 90 s ahead of a venue that allows 100 s, so this is where it begins to refuse."""
_FILES: Final = 256
"""Files that a client with several lines, captures and a metrics page may have open."""
_TIMEOUT_S: Final = 10


class Verdict(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Check(NamedTuple):
    """One line of the report."""

    name: str
    verdict: Verdict
    found: str
    remedy: str = ""


# -- here ---------------------------------------------------------------------------------------------


def local_checks(settings: Settings, environment: Mapping[str, str], config: Path) -> Iterator[Check]:
    """Look at this machine and at the settings; nothing is sent anywhere."""
    yield Check("python", Verdict.OK, f"{platform.python_version()} at {sys.executable}")
    yield packages(NEEDED, is_needed=True)
    yield packages(FAST, is_needed=False)
    yield open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    yield from configuration(settings, environment, config)
    yield key(settings)
    yield proxy(environment)


def packages(names: Sequence[str], *, is_needed: bool) -> Check:
    """See whether packages are installed."""
    found: dict[str, str] = {}
    missing = []
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            missing.append(name)
    text = ", ".join([*(f"{name} {number}" for name, number in found.items())] or ["none"])
    if not missing:
        return Check("packages" if is_needed else "fast extras", Verdict.OK, text)
    without = f"{text}; without {', '.join(missing)}"
    if is_needed:
        return Check(
            "packages", Verdict.FAIL, without, "install nadows again: pip install --force-reinstall nadows"
        )
    return Check(
        "fast extras", Verdict.OK, without, "pip install 'nadows[fast]' is quicker on compressed streams"
    )


def open_files(limit: int) -> Check:
    """See whether enough files can be open at a time."""
    if 0 <= limit < _FILES:
        return Check("limits", Verdict.WARN, f"{limit} files may be open", f"ulimit -n {_FILES * 4}")
    return Check("limits", Verdict.OK, f"{'any number of' if limit < 0 else limit} files may be open")


def configuration(settings: Settings, environment: Mapping[str, str], config: Path) -> Iterator[Check]:
    """See which settings count, and whether a variable is misspelt."""
    where = str(config) if config.exists() else f"no file at {config}"
    named = f"profile {settings.profile} ({settings.profile_from}), {where}"
    yield Check("configuration", Verdict.OK, named)
    for name, why in strange_variables(environment).items():
        yield Check("environment", Verdict.WARN, f"{name} is set: {why}", f"unset {name}")


def key(settings: Settings) -> Check:
    """See where the key is and who can read it; it is not opened."""
    policy = TRADING if settings.orders else AUTHENTICATION
    try:
        source = key_source(settings)
        for path, what in ((source.keystore, "keystore"), (source.key_file, "key file")):
            if path is not None:
                read_private(path, what)
    except UsageError as error:
        what, _, remedy = str(error).rpartition(": ")
        return Check("key", Verdict.FAIL, what, remedy)
    if source == KeySource():
        return Check("key", Verdict.OK, "none: public data only, and paper money on this machine")
    found = f"{source}, signs for {policy.name}" + (f", linked to {settings.owner}" if settings.owner else "")
    if source.variable is not None:
        return Check(
            "key", Verdict.WARN, found, "every process of yours can read it; nadows auth import NAME"
        )
    return Check("key", Verdict.OK, found)


def proxy(environment: Mapping[str, str]) -> Check:
    """See whether a proxy stands between here and the venue."""
    named = [name for name in _PROXIES if environment.get(name)]
    if not named:
        return Check("proxy", Verdict.OK, "none")
    # The address may hold a password.
    host = urlsplit(environment[named[0]]).hostname or "?"
    remedy = f"unset {' '.join(named)}, unless you want it"
    return Check(
        "proxy", Verdict.WARN, f"{named[0]}: sockets go through {host}, the archive directly", remedy
    )


# -- there --------------------------------------------------------------------------------------------


async def venue_checks(network: Network) -> AsyncIterator[Check]:
    """Look at a venue: names, certificates, every endpoint, compression and clock."""
    addresses = {
        (parts.hostname or "", parts.port or (443 if parts.scheme in ("https", "wss") else 80), parts.scheme)
        for parts in map(urlsplit, (network.gateway, network.subscribe, network.archive))
    }
    for host, port in sorted({(host, port) for host, port, _ in addresses}):
        named = await _name(host, port)
        yield named
        if named.verdict is Verdict.OK and any(
            (host, port, scheme) in addresses for scheme in ("https", "wss")
        ):
            yield await _certificate(host, port)
    for name, url in (
        ("gateway", network.ws_v2),
        ("serial gateway", network.ws),
        ("streams", network.subscribe),
    ):
        yield await _socket(name, url)
    yield await _archive(network.archive)
    async for check in _client(network):
        yield check


async def _name(host: str, port: int) -> Check:
    began_ns = time.perf_counter_ns()
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        return Check(
            "dns", Verdict.FAIL, f"{host}: {error.strerror}", "check the name, and this machine's DNS"
        )
    addresses = sorted({str(each[4][0]) for each in found})
    return Check("dns", Verdict.OK, f"{host} is {', '.join(addresses)} ({_since(began_ns)})")


async def _certificate(host: str, port: int) -> Check:
    began_ns = time.perf_counter_ns()
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            _, writer = await asyncio.open_connection(host, port, ssl=ssl.create_default_context())
    except ssl.SSLError as error:
        return Check(
            "tls", Verdict.FAIL, f"{host}: {error.reason}", "somebody stands between, or the clock is wrong"
        )
    except (OSError, TimeoutError) as error:
        return Check(
            "tls",
            Verdict.FAIL,
            f"{host}: {str(error) or 'no answer'}",
            "check the network; a proxy may be needed",
        )
    agreed = writer.get_extra_info("ssl_object").version()
    writer.close()
    return Check("tls", Verdict.OK, f"{host} with {agreed} ({_since(began_ns)})")


async def _socket(name: str, url: str) -> Check:
    began_ns = time.perf_counter_ns()
    try:
        opened = await open_socket(url)
    except TransportError as error:
        what, _, remedy = str(error).rpartition("; ")
        return Check(name, Verdict.FAIL, what or str(error), remedy)
    took, compression = _since(began_ns), compression_of(opened)
    await opened.close()
    if compression is None:
        return Check(
            name, Verdict.WARN, f"{url}, not compressed ({took})", "a proxy may have taken the offer out"
        )
    return Check(name, Verdict.OK, f"{url}, {compression} ({took})")


async def _archive(url: str) -> Check:
    began_ns = time.perf_counter_ns()
    rest = Rest(_TIMEOUT_S * 10**9)
    try:
        answer = await rest.post(url, b'{"products":{"limit":1,"product_ids":[2]}}')
    except TransportError as error:
        return Check(
            "archive", Verdict.FAIL, str(error), "missed fills cannot be found without it; check the network"
        )
    finally:
        await rest.close()
    if not answer.startswith((b"{", b"[")):
        return Check("archive", Verdict.FAIL, f"{url} answers {answer[:40]!r}", "check the URL")
    return Check("archive", Verdict.OK, f"{url} ({_since(began_ns)})")


async def _client(network: Network) -> AsyncIterator[Check]:
    """Connect as every command does: chain, products, and the venue's clock."""
    try:
        async with connect(network) as client:
            pongs = [(await client.ping(), time.time_ns()) for _ in range(3)]
            products = len(client.products)
    except NadowsError as error:
        yield Check("client", Verdict.FAIL, str(error), "see the lines above")
        return
    yield Check("client", Verdict.OK, f"chain {network.chain_id}, {products} products")
    pong, here_ns = min(pongs, key=lambda each: each[0].round_trip_ns)
    venue_ns = pong.server_time_ms * _MS + pong.round_trip_ns // 2
    yield clock(round((venue_ns - here_ns) / _MS), pong.round_trip_ns)


def clock(skew_ms: int, round_trip_ns: int) -> Check:
    """Judge how far the venue's clock is ahead of this machine's."""
    found = f"the venue's is {skew_ms:+} ms against this one, round trip {span(round_trip_ns)}"
    for limit_ms, verdict in ((_SKEW_FAIL_MS, Verdict.FAIL), (_SKEW_WARN_MS, Verdict.WARN)):
        if abs(skew_ms) > limit_ms:
            return Check("clock", verdict, found, "set the clock: timedatectl set-ntp true")
    return Check("clock", Verdict.OK, found)


def _since(began_ns: int) -> str:
    return span(time.perf_counter_ns() - began_ns)
