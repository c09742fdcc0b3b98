"""Keystores by name: those of nadows, and Foundry's, which are read but never written."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from nadows.config_file import config_folder, create_private
from nadows.errors import UsageError
from nadows.keys import Secret, keystore_content, read_private
from nadows.signing import checksum_address, parse_address

__all__ = [
    "StoredKey",
    "find_keystore",
    "keystore_folders",
    "list_keystores",
    "remove_keystore",
    "save_keystore",
]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII).fullmatch


@dataclass(frozen=True)
class StoredKey:
    """A keystore, looked at from outside."""

    name: str
    path: Path
    kept_by: str
    """``nadows`` or ``foundry``."""
    address: str | None = None
    """With the capitals of EIP-55; ``None`` if the keystore does not tell."""
    problem: str | None = None
    """Why it could not be opened, and what to do."""


def keystore_folders() -> dict[str, Path]:
    """Return where keystores lie, by who keeps them; the first one is ours."""
    return {
        "nadows": config_folder() / "keystores",
        "foundry": Path("~/.foundry/keystores").expanduser(),
    }


def list_keystores() -> list[StoredKey]:
    """List all keystores there are."""
    found = []
    for keeper, folder in keystore_folders().items():
        paths = sorted(folder.iterdir()) if folder.is_dir() else []
        found += [_look_at(path, keeper) for path in paths if not path.name.startswith(".")]
    return found


def find_keystore(name: str) -> Path:
    """Find a keystore by name; ours before Foundry's.

    Raises:
        UsageError: If there is none; names the nearest one.
    """
    stored = list_keystores()
    for key in stored:
        if key.name == name:
            return key.path
    raise UsageError(f"no keystore is called {name!r}: {_hint(name, stored)}")


def save_keystore(name: str, key: Secret, password: Secret) -> StoredKey:
    """Encrypt a key and keep it, readable by nobody else; takes about a second.

    Args:
        name: Letters, digits, dots, dashes and underscores.
        key: 64 hex digits.
        password: What opens it.

    Raises:
        UsageError: If the name is none or taken, or the file cannot be made.
    """
    if _NAME(name) is None:
        raise UsageError(f"a keystore's name has letters, digits, dots, dashes and underscores, got {name!r}")
    path = keystore_folders()["nadows"] / name
    if path.exists():
        # Before the work and not only after it.
        raise UsageError(
            f"{path} exists already: choose another name, or remove it with `nadows auth remove`"
        )
    # It takes long to import, and only keystores need it.
    from eth_account import Account  # noqa: PLC0415

    content: dict[str, Any] = Account.encrypt(_raw(key), password.reveal())
    create_private(path, json.dumps(content) + "\n")
    return _look_at(path, "nadows")


def remove_keystore(name: str) -> Path:
    """Remove a keystore of ours.

    Raises:
        UsageError: If there is none of ours with that name, or it cannot be removed.
    """
    stored = list_keystores()
    for key in stored:
        if key.name == name and key.kept_by == "nadows":
            try:
                key.path.unlink()
            except OSError as error:
                raise UsageError(f"cannot remove {key.path}: {error.strerror}") from error
            return key.path
    if any(key.name == name for key in stored):
        raise UsageError(f"{name} is Foundry's and left alone: cast wallet remove --name {name}")
    raise UsageError(f"no keystore is called {name!r}: {_hint(name, stored)}")


def _raw(key: Secret) -> bytes:
    return bytes.fromhex(key.reveal().strip().lower().removeprefix("0x"))


def _look_at(path: Path, keeper: str) -> StoredKey:
    try:
        content = keystore_content(read_private(path, "keystore"))
        if content is None:
            raise UsageError(f"{path} is no Web3 V3 keystore")
        told = content.get("address")
        # Foundry's do not tell.
        address = checksum_address("0x" + parse_address(told).hex()) if isinstance(told, str) else None
    except UsageError as error:
        return StoredKey(path.name, path, keeper, problem=str(error))
    return StoredKey(path.name, path, keeper, address)


def _hint(name: str, stored: Sequence[StoredKey]) -> str:
    names = [key.name for key in stored]
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"there are {', '.join(names)}" if names else "there is none; make one with `nadows auth new`"
