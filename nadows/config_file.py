"""Where the configuration of this user lies, and reading it."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from platformdirs import user_config_path

from nadows.configuration import Configuration, read_configuration
from nadows.errors import UsageError

__all__ = ["CONFIG_VARIABLE", "config_folder", "config_path", "create_private", "load_configuration"]

CONFIG_VARIABLE: Final = "NADOWS_CONFIG"
"""Names another file."""
_MAX_BYTES: Final = 1_000_000


def config_folder() -> Path:
    """Return the folder of this platform for nadows' settings and keystores; it need not exist."""
    return user_config_path("nadows", appauthor=False)


def config_path(environment: Mapping[str, str]) -> Path:
    """Return where the configuration file is, or would be."""
    named = environment.get(CONFIG_VARIABLE)
    return Path(named) if named else config_folder() / "config.toml"


def load_configuration(environment: Mapping[str, str]) -> Configuration:
    """Read the user's configuration file; there need not be one, unless the environment names it.

    Raises:
        UsageError: If it cannot be read, others can write it, or it is wrong.
    """
    path = config_path(environment)
    try:
        with path.open(encoding="utf-8") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            # It says which key is used where, and what for.
            if mode & 0o022:
                raise UsageError(f"{path} can be written by others (mode {mode:03o}): chmod go-w {path}")
            text = file.read(_MAX_BYTES)
    except FileNotFoundError as error:
        if environment.get(CONFIG_VARIABLE):
            raise UsageError(f"{CONFIG_VARIABLE} names {path}, which is not there") from error
        return Configuration(str(path))
    except OSError as error:
        raise UsageError(f"cannot read the configuration {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise UsageError(f"the configuration {path} is not text in UTF-8") from None
    return read_configuration(text, str(path))


def create_private(path: Path, content: str) -> None:
    """Make a file that nobody else can read, and its folder so if it is not there; never replace one.

    Nothing is written through a symbolic link, and a failure leaves no half of a file.

    Raises:
        UsageError: If it exists, or cannot be made.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the folder {path.parent}: {error.strerror}") from error
    try:
        # O_EXCL does not follow a link that stands in its place, whether it leads somewhere or not.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise UsageError(
            f"{path} exists already, and is not replaced: remove it, or choose another"
        ) from error
    except OSError as error:
        raise UsageError(f"cannot make {path}: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
