"""Where private keys come from.

From a keystore, a file, standard input or the environment, never from an argument: arguments are seen by
every user of the machine and stay in the shell's history. No message here repeats what was read, and while it
is on its way it is held as a `Secret`, which does not show itself in tracebacks.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from nadows.configuration import KEY_VARIABLES
from nadows.errors import UsageError
from nadows.signing import AUTHENTICATION, Signer, SigningPolicy

__all__ = [
    "KEY_VARIABLES",
    "KeySource",
    "Secret",
    "keystore_content",
    "load_signer",
    "open_keystore",
    "read_private",
    "secret_key",
    "throw_away_signer",
    "without_keys",
]

_MAX_FILE: Final = 100_000
"""Larger than any key or keystore (bytes)."""


class Secret:
    """A text that is not shown by mistake."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return "Secret(***)"

    def reveal(self) -> str:
        """Return the text."""
        return self._text


@dataclass(frozen=True)
class KeySource:
    """Where the user's key is: one of these, or nowhere."""

    keystore: Path | None = None
    """A Web3 V3 keystore, as Foundry and geth write them."""
    key_file: Path | None = None
    """Holds the key as hex."""
    standard_input: bool = False
    """Whether the key comes from there, as hex."""
    variable: str | None = None
    """An environment variable that holds the key as hex."""

    def __bool__(self) -> bool:
        return self != KeySource()

    def __str__(self) -> str:
        if self.keystore is not None:
            return f"keystore {self.keystore}"
        if self.key_file is not None:
            return f"key file {self.key_file}"
        return "standard input" if self.standard_input else self.variable or "no key"


def load_signer(
    source: KeySource,
    *,
    password: Callable[[], Secret],
    standard_input: Callable[[], Secret],
    owner: str | None = None,
    policy: SigningPolicy = AUTHENTICATION,
) -> Signer | None:
    """Load the key that the user has, if any.

    Args:
        source: Where it is.
        password: Asks for the keystore's password; called only if there is a keystore.
        standard_input: Reads the key from there; called only if it is there.
        owner: The wallet that the key is a linked signer of, if it is not the key's own.
        policy: What the key may sign.

    Raises:
        UsageError: If the source cannot be read, is open to others, or does not hold a key.
    """
    if source.keystore is not None:
        key = open_keystore(source.keystore, password)
    elif source.key_file is not None:
        key = read_private(source.key_file, "key file")
    elif source.standard_input:
        key = standard_input()
    elif source.variable is not None:
        key = Secret(os.environ[source.variable])
    else:
        return None
    try:
        return Signer(key.reveal(), owner=owner, policy=policy)
    except UsageError as error:
        why = str(error)
    # Out here, so that the frame that held the key is not even the context of this.
    raise UsageError(f"{source}: {why}")


def without_keys(environment: Mapping[str, str]) -> dict[str, str]:
    """Copy an environment, with stars in the place of keys."""
    return {name: "***" if value and name in KEY_VARIABLES else value for name, value in environment.items()}


def throw_away_signer() -> Signer:
    """Make a new random key, for a venue where any wallet has paper money. It is kept nowhere."""
    return Signer(secret_key().reveal())


def secret_key() -> Secret:
    """Make a new random private key, as hex."""
    while True:
        key = Secret(secrets.token_bytes(32).hex())
        try:
            Signer(key.reveal())
        except UsageError:
            # Zero, or beyond the curve's order: once in 2**128 times.
            continue
        return key


def read_private(path: Path, what: str) -> Secret:
    """Read a small text file that is nobody else's business.

    Args:
        path: The file itself, not a link to it.
        what: What to call it in errors.

    Raises:
        UsageError: If it cannot be read, or others can read it, or put another in its place.
    """
    try:
        # Not through a link, which somebody else may have made; and without waiting, if it is a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if path.is_symlink():
            raise UsageError(f"{what} {path} is a symbolic link: name {path.resolve()} itself") from error
        raise UsageError(f"cannot read {what} {path}: {error.strerror}") from error
    try:
        _check_private(os.fstat(descriptor), path, what)
        return Secret(os.read(descriptor, _MAX_FILE).decode())
    except OSError as error:
        raise UsageError(f"cannot read {what} {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise UsageError(f"{what} {path} is not text") from None
    finally:
        os.close(descriptor)


def _check_private(found: os.stat_result, path: Path, what: str) -> None:
    """Refuse a file that is none, or is open to others."""
    if not stat.S_ISREG(found.st_mode):
        raise UsageError(f"{what} {path} is no regular file; use - to read standard input")
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077:
        raise UsageError(f"{what} {path} can be read by others (mode {mode:03o}): chmod 600 {path}")
    _check_folder(path.absolute().parent, what)


def _check_folder(folder: Path, what: str) -> None:
    """Refuse a folder in which others can put another file in the place of this one."""
    mode = stat.S_IMODE(folder.stat().st_mode)
    # In a sticky one, such as /tmp, nobody can take away the files of others.
    if mode & 0o022 and not mode & stat.S_ISVTX:
        raise UsageError(
            f"{what}: the folder {folder} can be written by others (mode {mode:03o}): chmod go-w {folder}"
        )


def keystore_content(text: Secret) -> dict[str, Any] | None:
    """Read a keystore as JSON; ``None`` if it is none, which may be anything, also a key."""
    try:
        content: Any = json.loads(text.reveal())
    except ValueError:
        return None
    return content if isinstance(content, dict) and {"crypto", "Crypto"} & content.keys() else None


def open_keystore(path: Path, password: Callable[[], Secret]) -> Secret:
    """Open a Web3 V3 keystore; return the key as hex.

    Raises:
        UsageError: As `read_private`, or if it is none, or the password is wrong.
    """
    content = keystore_content(read_private(path, "keystore"))
    if content is None:
        raise UsageError(f'keystore {path} is no JSON with a "crypto" part: is it a Web3 V3 keystore?')
    entered = password()
    # Importing it takes longer than everything else here together; only keystores need it.
    from eth_account import Account  # noqa: PLC0415

    try:
        return Secret(bytes(Account.decrypt(content, entered.reveal())).hex())
    except (ValueError, TypeError, KeyError, NotImplementedError) as error:
        reason = "the password is wrong" if "MAC" in str(error) else "it is damaged or of an unknown kind"
        raise UsageError(f"keystore {path} cannot be opened: {reason}") from None
