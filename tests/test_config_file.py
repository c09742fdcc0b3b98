"""The user's file of settings, and making files that nobody else reads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nadows.config_file import config_folder, config_path, create_private, load_configuration
from nadows.errors import UsageError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text('[profiles.mine]\nnetwork = "testnet"\n')
    path.chmod(0o600)
    return path


def test_it_lies_where_the_platform_keeps_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless the environment names another place."""
    monkeypatch.setenv("XDG_CONFIG_HOME", "/somewhere")
    assert config_folder() / "config.toml" == config_path({})
    assert "nadows" == config_folder().name
    assert Path("/else/x.toml") == config_path({"NADOWS_CONFIG": "/else/x.toml"})


def test_it_is_read(file: Path) -> None:
    """And known by its path."""
    configuration = load_configuration({"NADOWS_CONFIG": str(file)})
    assert (str(file), {"mine"}) == (configuration.source, set(configuration.profiles))


def test_there_need_not_be_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless it was named."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert {} == load_configuration({}).profiles
    with pytest.raises(UsageError, match=r"NADOWS_CONFIG names .*gone, which is not there"):
        load_configuration({"NADOWS_CONFIG": str(tmp_path / "gone")})


@pytest.mark.parametrize("mode", [0o602, 0o620, 0o666])
def test_a_file_that_others_can_write_is_refused(file: Path, mode: int) -> None:
    """They could have the user's key sign orders somewhere."""
    file.chmod(mode)
    with pytest.raises(UsageError, match=rf"can be written by others \(mode {mode:03o}\): chmod go-w"):
        load_configuration({"NADOWS_CONFIG": str(file)})


def test_what_cannot_be_read_is_told(tmp_path: Path, file: Path) -> None:
    """A folder, and bytes that are no text."""
    with pytest.raises(UsageError, match=r"cannot read the configuration .*Is a directory"):
        load_configuration({"NADOWS_CONFIG": str(tmp_path)})
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="is not text in UTF-8"):
        load_configuration({"NADOWS_CONFIG": str(file)})


def test_a_private_file_is_private_from_the_beginning(tmp_path: Path) -> None:
    """Whatever the umask; its folders too."""
    before = os.umask(0)
    try:
        create_private(tmp_path / "new" / "file", "x")
    finally:
        os.umask(before)
    assert "x" == (tmp_path / "new" / "file").read_text()
    assert 0o600 == (tmp_path / "new" / "file").stat().st_mode & 0o777
    assert 0o700 == (tmp_path / "new").stat().st_mode & 0o777


def test_a_private_file_replaces_nothing_and_follows_no_link(tmp_path: Path) -> None:
    """Not even a link that leads nowhere: somebody else may have put it there."""
    (tmp_path / "kept").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("kept", "link"):
        with pytest.raises(UsageError, match="exists already, and is not replaced"):
            create_private(tmp_path / name, "x")
    assert "precious" == (tmp_path / "kept").read_text()
    assert not (tmp_path / "elsewhere").exists()


def test_a_private_file_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """With the reason."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cannot make the folder .*file: File exists"):
        create_private(tmp_path / "file" / "x", "x")
    with pytest.raises(UsageError, match=r"cannot make .*: File name too long"):
        create_private(tmp_path / ("x" * 300), "x")


def test_a_private_file_is_there_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up leaves no half of a key."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match=r"cannot write .*No space left on device"):
        create_private(tmp_path / "key", "x")
    assert not (tmp_path / "key").exists()
