"""What every command is given beside its own options: a venue, perhaps a key, and where output goes."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from nadows.cli.options import AsJson, LogLevel, LogLevelOption, Quiet
from nadows.configuration import PROFILE_VARIABLE, SETTINGS, Settings, resolve

if TYPE_CHECKING:
    from nadows.cli.output import Output

__all__ = ["Given", "given_options"]

_VENUE: Final = ("network", "url")
_KEY: Final = ("subaccount", "owner", "account", "keystore", "key_file", "password_file")
_METAVARS: Final = {
    "network": "sim|testnet|mainnet",
    "url": "URL",
    "owner": "ADDRESS",
    "keystore": "FILE",
    "key_file": "FILE",
    "password_file": "FILE",
}


@dataclass(frozen=True)
class Given:
    """What a command was given."""

    settings: Settings
    output: Output


def given_options(
    *, venue: bool = True, key: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options that others have too, and hand it what they come to as ``given``.

    Args:
        venue: Whether it talks to a venue.
        key: Whether it may need a private key.
    """
    names = ("profile", *(_VENUE if venue else ()), *(_KEY if key else ()))

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        def called(**arguments: Any) -> None:
            # Only commands that run need these; a shell that completes one does not wait for them.
            from nadows.cli.output import Output, set_up_logging  # noqa: PLC0415
            from nadows.config_file import load_configuration  # noqa: PLC0415
            from nadows.keys import without_keys  # noqa: PLC0415

            as_json, quiet = arguments.pop("as_json"), arguments.pop("quiet")
            set_up_logging(arguments.pop("log_level"), quiet=quiet)
            typed = {name: arguments.pop(name) for name in names}
            environment = without_keys(os.environ)
            settings = resolve(load_configuration(environment), environment, typed)
            command(**arguments, given=Given(settings, Output(as_json=as_json, quiet=quiet)))

        return _with_parameters(called, command, names)

    return decorate


def _with_parameters(
    called: Callable[..., None], command: Callable[..., None], names: tuple[str, ...]
) -> Callable[..., None]:
    """Make *called* look like *command* with the shared options in place of ``given``."""
    own = inspect.signature(command, eval_str=True)
    shared = {name: (_option(name), None) for name in names} | {
        "as_json": (AsJson, False),
        "quiet": (Quiet, False),
        "log_level": (LogLevelOption, LogLevel.WARNING),
    }
    parameters = [each for each in own.parameters.values() if each.name != "given"]
    parameters += [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in shared.items()
    ]
    called.__name__, called.__doc__, called.__module__ = command.__name__, command.__doc__, command.__module__
    # Typer looks at both.
    called.__annotations__ = {each.name: each.annotation for each in parameters}
    called.__dict__["__signature__"] = inspect.Signature(parameters)
    return called


def _option(name: str) -> Any:
    """Make the option of a setting, or of the profile."""
    about, variables = (
        (
            "which settings to use, of the built-in ones (sim, testnet, mainnet) or your own",
            (PROFILE_VARIABLE,),
        )
        if name == "profile"
        else (SETTINGS[name].about, SETTINGS[name].variables)
    )
    text = f"{about[0].upper()}{about[1:]}.  [{', '.join(variables)}]"
    return Annotated[
        str | None,
        typer.Option("--" + name.replace("_", "-"), metavar=_METAVARS.get(name, "NAME"), help=text),
    ]
