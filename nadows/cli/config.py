"""``nadows config``: which settings count, and why."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import typer
from rich.text import Text

from nadows.cli.figures import ALERT, FAINT
from nadows.cli.given import Given, given_options
from nadows.cli.output import Output
from nadows.config_file import config_path, create_private
from nadows.configuration import SETTINGS, Settings, strange_variables

__all__ = ["app", "template"]

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True)


def template() -> str:
    """Write a configuration file that changes nothing: every setting as a comment."""
    lines = [
        "# Settings of nadows; `nadows config show` says which count.",
        "# Keys do not belong here: `nadows auth import`.",
        "",
        "# The profile that is used when none is named: sim, testnet, mainnet, or one from below.",
        '# profile = "sim"',
        "",
        "# [profiles.mine]",
    ]
    for name, setting in SETTINGS.items():
        value = "false" if setting.default is False else '"..."'
        lines.append(f"# {name} = {value}  # {setting.about}")
    return "\n".join([*lines, ""])


@app.callback()
def config() -> None:
    """Show which settings count, and where each comes from."""


@app.command()
@given_options(key=True)
def show(given: Given) -> None:
    """Show which settings count, and where each comes from.

    Takes the options of other commands, to see what would count with them. Keys are never shown, only where
    they are.

    Example: nadows config show --profile testnet
    """
    for row in _rows(given.settings):
        _print(row, given.output)
    for name, why in strange_variables(os.environ).items():
        given.output.say(f"the environment sets {name}: {why}")
    given.output.flush()


def _rows(settings: Settings) -> Iterator[dict[str, Any]]:
    yield {"setting": "profile", "value": settings.profile, "from": settings.profile_from}
    for name in SETTINGS:
        yield {"setting": name, "value": settings.values[name], "from": settings.origins[name]}
    variable = settings.key_variable
    yield {
        "setting": "private_key",
        "value": "(set)" if variable else None,
        "from": settings.origins.get("private_key", ""),
    }


def _print(row: dict[str, Any], output: Output) -> None:
    if output.as_json:
        output.json({"type": "setting"} | row)
        return
    value = row["value"]
    shown = "-" if value is None else {True: "true", False: "false"}.get(value, value)
    style = ALERT if (row["setting"], value) == ("orders", True) else "default"
    text = Text(f"{row['setting']:14}", style=FAINT).append(
        f"{shown:24}", style="default" if value is None else style
    )
    output.text(text.append(f"  {row['from']}", style=FAINT))


@app.command()
def path() -> None:
    """Print where the configuration file is, or would be.

    Example: $EDITOR "$(nadows config path)"
    """
    typer.echo(config_path(os.environ))


@app.command()
def init() -> None:
    """Write a configuration file with every setting as a comment; one that exists is left alone.

    Example: nadows config init
    """
    where = config_path(os.environ)
    create_private(where, template())
    typer.echo(where)
