"""`nadows config`: which settings count, and why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nadows.cli.config import template
from nadows.configuration import SETTINGS, read_configuration

from .conftest import Run
from .test_terminal import on_terminal

KEY = "5b" * 32


def test_show_says_where_each_value_comes_from(
    here: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """File with line, variable, option or default; the key is not shown."""
    file = tmp_path / "c.toml"
    file.write_text('profile = "mine"\n[profiles.mine]\nsubaccount = "arb"\n')
    file.chmod(0o600)
    for name, value in {"NADOWS_CONFIG": str(file), "NADO_PRIVATE_KEY": KEY, "NADOWS_ORDERS": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NADOWS_NETWROK", "x")

    result = here("config", "show", "--network", "testnet", "--profile", "mine")

    rows = {
        row["setting"]: (row["value"], row["from"]) for row in map(json.loads, result.stdout.splitlines())
    }
    assert {"profile", *SETTINGS, "private_key"} == set(rows)
    assert ("mine", "--profile") == rows["profile"]
    assert ("testnet", "--network") == rows["network"]
    assert ("arb", f"{file}:3") == rows["subaccount"]
    assert (True, "NADOWS_ORDERS") == rows["orders"]
    assert ("(set)", "NADO_PRIVATE_KEY") == rows["private_key"]
    assert (None, "") == rows["url"]
    assert "the environment sets NADOWS_NETWROK: no variable is called so" in result.stderr
    assert KEY not in result.stdout + result.stderr


def test_show_on_a_terminal_is_a_table() -> None:
    """One line a setting."""
    session = on_terminal("config", "show", env={"NADOWS_ORDERS": "true"})
    assert 0 == session.code
    lines = session.text.splitlines()
    assert "network       sim                       profile sim" in lines
    assert "orders        true                      NADOWS_ORDERS" in lines


def test_a_wrong_file_stops_every_command(here: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code 2, with file and line: better than going on with half of it."""
    file = tmp_path / "c.toml"
    file.write_text('[profiles.mine]\nnetwrok = "testnet"\n')
    monkeypatch.setenv("NADOWS_CONFIG", str(file))
    for command in (("config", "show"), ("tail",), ("book", "ETH"), ("auth",)):
        result = here(*command)
        assert 2 == result.returncode
        assert f"{file}, line 2: profiles.mine.netwrok: no setting is called so" in result.stderr


def test_init_writes_a_file_that_changes_nothing(
    here: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every setting is in it as a comment; it is not written twice, and path says where it is."""
    file = tmp_path / "sub" / "c.toml"
    monkeypatch.setenv("NADOWS_CONFIG", str(file))
    assert f"{file}\n" == here("config", "path").stdout
    assert f"{file}\n" == here("config", "init").stdout
    assert 0o600 == file.stat().st_mode & 0o777
    assert {} == read_configuration(file.read_text(), "x").profiles
    assert 2 == here("config", "init").returncode
    assert all(f"# {name} = " in template() for name in SETTINGS)


def test_the_documentation_names_every_setting_with_its_variables() -> None:
    """The table of docs/usage.md is the table of the program."""
    text = (Path(__file__).parents[2] / "docs" / "usage.md").read_text()
    for name, setting in SETTINGS.items():
        row = next(line for line in text.splitlines() if line.startswith(f"| `{name}`"))
        assert all(f"`{variable}`" in row for variable in setting.variables)
