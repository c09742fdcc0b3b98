"""Where private keys come from.

From the environment, a file, or a keystore, never from an argument: arguments are seen by every user of the
machine and stay in the shell's history. No message here repeats what was read.
"""

from __future__ import annotations

import json
import secrets
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from nadows.configuration import KEY_VARIABLES
from nadows.errors import UsageError
from nadows.signing import Signer

__all__ = ["KEY_VARIABLES", "load_signer", "throw_away_signer"]

_MAX_FILE: Final = 100_000
"""Larger than any key or keystore (bytes)."""


def load_signer(
    environment: Mapping[str, str],
    *,
    key_file: Path | None = None,
    keystore: Path | None = None,
    password: Callable[[], str],
) -> Signer | None:
    """Load the key that the user has, if any: keystore, else key file, else environment.

    Args:
        environment: Such as ``os.environ``; see `KEY_VARIABLES`.
        key_file: Holds the key as hex; nobody else may be able to read it.
        keystore: A Web3 V3 keystore, as Foundry and geth write them.
        password: Asks for the keystore's password; called only if there is a keystore.

    Raises:
        UsageError: If a source cannot be read, is readable by others, or does not hold a key.
    """
    if keystore is not None:
        return _from_keystore(keystore, password)
    if key_file is not None:
        return _signer(_read_private(key_file, "key file"), f"key file {key_file}")
    for name in KEY_VARIABLES:
        if environment.get(name):
            return _signer(environment[name], name)
    return None


def throw_away_signer() -> Signer:
    """Make a new random key, for a venue where any wallet has paper money. It is kept nowhere."""
    while True:
        try:
            return Signer(secrets.token_bytes(32))
        except UsageError:
            # Zero, or beyond the curve's order: once in 2**128 times.
            continue


def _signer(key: str | bytes, source: str) -> Signer:
    try:
        return Signer(key)
    except UsageError as error:
        raise UsageError(f"{source}: {error}") from None


def _read_private(path: Path, what: str) -> str:
    """Read a small text file that is nobody else's business."""
    try:
        with path.open(encoding="utf-8") as file:
            mode = stat.S_IMODE(path.stat().st_mode)
            if mode & 0o077:
                raise UsageError(f"{what} {path} can be read by others (mode {mode:03o}): chmod 600 {path}")
            return file.read(_MAX_FILE)
    except OSError as error:
        raise UsageError(f"cannot read {what} {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise UsageError(f"{what} {path} is not text; it should hold 64 hex digits") from None


def _from_keystore(path: Path, password: Callable[[], str]) -> Signer:
    try:
        content: Any = json.loads(_read_private(path, "keystore"))
    except ValueError:
        raise UsageError(f"keystore {path} is not JSON: is it a Web3 V3 keystore?") from None
    if not isinstance(content, dict) or not {"crypto", "Crypto"} & content.keys():
        raise UsageError(f'keystore {path} has no "crypto" part: is it a Web3 V3 keystore?')
    # Importing it takes longer than everything else here together; only keystores need it.
    from eth_account import Account  # noqa: PLC0415

    try:
        key = bytes(Account.decrypt(content, password()))
    except (ValueError, TypeError, KeyError, NotImplementedError) as error:
        reason = "the password is wrong" if "MAC" in str(error) else "it is damaged or of an unknown kind"
        raise UsageError(f"keystore {path} cannot be opened: {reason}") from None
    return _signer(key, f"keystore {path}")
