"""From options to a venue, a key and a connected client."""

from __future__ import annotations

import asyncio
import getpass
import ipaddress
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from nadows.cli.given import Given
from nadows.cli.output import Output
from nadows.configuration import KEY_VARIABLES, Settings
from nadows.embedded import EmbeddedVenue, embedded_venue
from nadows.errors import ConnectionLost, UsageError
from nadows.keys import load_signer, throw_away_signer
from nadows.network import MAINNET, TESTNET, Network
from nadows.signing import Signer

__all__ = ["Keys", "reach", "signer_or_new"]

_EXCHANGES: Final[Mapping[str | None, Network]] = {"testnet": TESTNET, "mainnet": MAINNET}


@dataclass(frozen=True)
class Keys:
    """Where the user's key may be."""

    key_file: Path | None = None
    keystore: Path | None = None
    password_file: Path | None = None

    @classmethod
    def of(cls, settings: Settings) -> Keys:
        """Look where the settings say."""
        return cls(*map(_path, (settings.key_file, settings.keystore, settings.password_file)))

    def load(self) -> Signer | None:
        """Load the key, if there is one; may ask for a password, so not inside an event loop.

        Raises:
            UsageError: As `nadows.keys.load_signer`, or if there is nobody to ask.
        """
        return load_signer(
            os.environ, key_file=self.key_file, keystore=self.keystore, password=self._read_password
        )

    def _read_password(self) -> str:
        if self.password_file is not None:
            try:
                return self.password_file.read_text(encoding="utf-8").rstrip("\n")
            except (OSError, UnicodeDecodeError) as error:
                raise UsageError(f"cannot read the password file {self.password_file}: {error}") from error
        if sys.stdin is None or not sys.stdin.isatty():
            raise UsageError("there is no terminal to ask for the keystore's password: give --password-file")
        try:
            return getpass.getpass("Password of the keystore: ")
        except EOFError:
            raise UsageError("no password was entered") from None


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text).expanduser()


def signer_or_new(signer: Signer | None, network: Network, output: Output) -> Signer:
    """Take the user's key; on a venue with paper money make one if there is none, and say so.

    Raises:
        UsageError: If there is none, and the venue is one where it matters.
    """
    if signer is not None:
        return signer
    if not _is_here(network):
        raise UsageError(
            f"this needs a private key for {network.name}: set {KEY_VARIABLES[0]}, "
            "or give --key-file or --keystore"
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
