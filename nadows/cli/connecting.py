"""From options to a venue, a key and a connected client."""

from __future__ import annotations

import asyncio
import getpass
import ipaddress
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from nadows.cli.given import Given
from nadows.cli.output import Output
from nadows.configuration import KEY_VARIABLES, Settings
from nadows.embedded import EmbeddedVenue, embedded_venue
from nadows.errors import ConnectionLost, UsageError
from nadows.keys import KeySource, Secret, load_signer, read_private, throw_away_signer
from nadows.keystores import find_keystore
from nadows.network import MAINNET, TESTNET, Network
from nadows.signing import AUTHENTICATION, TRADING, Signer

__all__ = ["key_source", "load_key", "reach", "read_password", "read_secret", "signer_or_new"]

STANDARD_INPUT: Final = "-"
"""In the place of a file."""

_EXCHANGES: Final[Mapping[str | None, Network]] = {"testnet": TESTNET, "mainnet": MAINNET}


def key_source(settings: Settings) -> KeySource:
    """Say where the settings have the key.

    Raises:
        UsageError: If no keystore has the name that they give.
    """
    if settings.account is not None:
        return KeySource(keystore=find_keystore(settings.account))
    if settings.keystore is not None:
        return KeySource(keystore=Path(settings.keystore).expanduser())
    if settings.key_file is not None:
        path = None if settings.key_file == STANDARD_INPUT else Path(settings.key_file).expanduser()
        return KeySource(key_file=path, standard_input=path is None)
    return KeySource(variable=settings.key_variable)


def load_key(given: Given) -> Signer | None:
    """Load the user's key, if there is one; may ask for a password, so not inside an event loop.

    What it may sign is what the profile says.

    Raises:
        UsageError: As `nadows.keys.load_signer`, or if there is nobody to ask.
    """
    settings = given.settings

    def password() -> Secret:
        entered = read_password(settings.password_file, "Password of the keystore: ")
        if sys.stderr.isatty():
            given.output.say("opening the keystore ...")
        return entered

    return load_signer(
        key_source(settings),
        password=password,
        standard_input=lambda: read_secret("Private key (not shown): "),
        owner=settings.owner,
        policy=TRADING if settings.orders else AUTHENTICATION,
    )


def read_password(file: str | None, prompt: str) -> Secret:
    """Read a password from its file, or ask for it.

    Raises:
        UsageError: If the file cannot be read or is open to others, or there is nobody to ask.
    """
    if file == STANDARD_INPUT:
        return read_secret(prompt)
    if file is not None:
        text = read_private(Path(file).expanduser(), "password file")
        return Secret(text.reveal().rstrip("\r\n"))
    if not _somebody_is_there():
        raise UsageError("there is no terminal to ask for the keystore's password: give --password-file")
    return _ask(prompt)


def read_secret(prompt: str) -> Secret:
    """Read one line from standard input; on a terminal it is asked for and not shown.

    Raises:
        UsageError: If there is none.
    """
    if _somebody_is_there():
        return _ask(prompt)
    line = sys.stdin.readline() if sys.stdin is not None else ""
    if not line.strip():
        raise UsageError("standard input is empty, where a secret should come from")
    return Secret(line.rstrip("\r\n"))


def _somebody_is_there() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _ask(prompt: str) -> Secret:
    try:
        return Secret(getpass.getpass(prompt))
    except EOFError:
        raise UsageError("nothing was entered") from None


def signer_or_new(signer: Signer | None, network: Network, output: Output) -> Signer:
    """Take the user's key; on a venue with paper money make one if there is none, and say so.

    Raises:
        UsageError: If there is none, and the venue is one where it matters.
    """
    if signer is not None:
        if network is MAINNET and not signer.is_linked:
            output.say(
                "this key is the wallet's own and can withdraw; a linked signer can be taken back "
                "(docs/security.md)"
            )
        return signer
    if not _is_here(network):
        raise UsageError(
            f"this needs a private key for {network.name}: set {KEY_VARIABLES[0]}, "
            "or give --account, --key-file or --keystore"
        )
    signer = throw_away_signer()
    output.say(f"no key was given: a throw-away wallet {signer.checksum_address} is used, with paper money")
    return signer


def _is_here(network: Network) -> bool:
    """Tell whether a venue runs on this machine: then it is a simulated one."""
    host = urlsplit(network.gateway).hostname or ""
    try:
        # Not by the first digits: 127.0.0.1.example.org is anybody's.
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@asynccontextmanager
async def reach(given: Given) -> AsyncIterator[Network]:
    """Find the venue; the embedded one is started, and ends with the block.

    Raises:
        ConnectFailed: If the embedded venue does not start.
        ConnectionLost: If it ends while it is needed.
    """
    settings, output = given.settings, given.output
    if settings.url is not None:
        network = Network.from_url(settings.url)
        output.say(f"{network.name}: the venue at {settings.url}")
        yield network
    elif settings.network in _EXCHANGES:
        network = _EXCHANGES[settings.network]
        output.say(f"{network.name}: the exchange itself{', real money' if network is MAINNET else ''}")
        yield network
    else:
        async with embedded_venue() as venue:
            output.say(f"sim: embedded venue, paper money (process {venue.pid})")
            async with _alive(venue):
                yield venue.network


@asynccontextmanager
async def _alive(venue: EmbeddedVenue) -> AsyncIterator[None]:
    """Cancel the block when the venue ends, and raise what it said."""
    failure: BaseException | None = None

    async def watch() -> None:
        raise ConnectionLost(await venue.died())

    try:
        async with asyncio.TaskGroup() as tasks:
            watcher = tasks.create_task(watch(), name="nadows embedded venue")
            try:
                yield
            except BaseException as error:  # noqa: BLE001 - raised again below
                # Kept out of the group, which would wrap it.
                failure = error
            finally:
                watcher.cancel()
    except* ConnectionLost as died:
        failure = died.exceptions[0]
    if failure is not None:
        raise failure
