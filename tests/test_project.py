"""The project itself: what it installs, what it says about that, and how quickly it starts."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT: Final = Path(__file__).parent.parent
LOCKS: Final = ("requirements-dev.txt", "requirements-sdk.txt")
COMMAND: Final = Path(sysconfig.get_path("scripts")) / "nadows"

PYPROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUNTIME: Final = [Requirement(line) for line in PYPROJECT["project"]["dependencies"]]
EXTRAS: Final = {
    extra: [Requirement(line) for line in lines]
    for extra, lines in PYPROJECT["project"]["optional-dependencies"].items()
}
EVERYTHING: Final = [*RUNTIME, *(requirement for extra in EXTRAS.values() for requirement in extra)]


def lines_of(path: str) -> list[str]:
    """Read a requirements file: one requirement a line, without comments."""
    text = (ROOT / path).read_text().replace("\\\n", " ")
    return [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def pins_of(path: str) -> dict[str, Version]:
    """Read the versions that a requirements file pins, by canonical name."""
    pairs = (line.split()[0].split("==") for line in lines_of(path))
    return {canonicalize_name(name): Version(version) for name, version in pairs}


def lower_bound(requirement: Requirement) -> Version:
    (bound,) = [spec for spec in requirement.specifier if spec.operator == ">="]
    return Version(bound.version)


def clean_environment() -> dict[str, str]:
    """Leave out what make, pytest and coverage tell their children: it would be measured too."""
    told = ("COV", "COVERAGE", "MAKE", "MFLAGS", "PYTEST", "PYTHON")
    return {name: value for name, value in os.environ.items() if not name.startswith(told)}


def run(command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=ROOT,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_names_no_host(lock: str) -> None:
    """Where packages come from is the business of whoever installs them."""
    text = (ROOT / lock).read_text()

    assert [] == re.findall(r"\S*://\S*|--(?:extra-)?index-url.*|--find-links.*|--trusted-host.*|@ .*", text)


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_has_only_pins_with_hashes(lock: str) -> None:
    """Each line is one exact version and at least one hash of it."""
    pinned = re.compile(r"[a-z0-9.-]+==[^\s=*]+( +--hash=sha256:[0-9a-f]{64})+( +#.*)?")

    lines = lines_of(lock)

    assert lines
    assert [] == [line[:80] for line in lines if pinned.fullmatch(line) is None]


def test_lock_covers_what_the_project_asks_for() -> None:
    """Every requirement of the project is pinned, at a version it allows."""
    pins = pins_of("requirements-dev.txt")

    assert [] == [
        str(requirement)
        for requirement in EVERYTHING
        if not requirement.specifier.contains(pins.get(canonicalize_name(requirement.name), Version("0")))
    ]


def test_build_backend_is_locked() -> None:
    """An editable install takes the backend from the lock, so it must be there."""
    pins = pins_of("requirements-dev.txt")

    for requirement in map(Requirement, PYPROJECT["build-system"]["requires"]):
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)])


def test_lowest_versions_are_the_bounds() -> None:
    """The bounds that users are promised are those that `make test-lowest` runs with."""
    promised = {canonicalize_name(r.name): lower_bound(r) for r in [*RUNTIME, *EXTRAS["fast"]]}
    tested = pins_of("requirements-lowest.txt")

    assert promised == {name: version for name, version in tested.items() if name in promised}


def test_every_dependency_is_explained() -> None:
    """Each dependency has exactly one line that says what it is worth, and no other has."""
    explained = re.findall(r"^- `([^`]+)`: ", (ROOT / "docs/dependencies.md").read_text(), re.MULTILINE)

    assert sorted(requirement.name for requirement in EVERYTHING) == sorted(explained)


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "docs/dependencies.md"])
def test_documented_targets_exist(document: str) -> None:
    """A document names only targets that the Makefile has, and the Makefile describes each of them."""
    described = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", (ROOT / document).read_text(), re.MULTILINE))

    assert named
    assert set() == named - described


def test_old_python_is_refused_in_a_sentence(tmp_path: Path) -> None:
    """Whoever has only an old Python reads what to do, not a traceback, and nothing is left behind."""
    old = tmp_path / "python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)

    result = run(["make", "demo", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}"])

    assert result.returncode == 2
    assert f"nadows needs Python 3.11 or newer, and {old} is not." in result.stderr
    assert "make demo PYTHON=" in result.stderr
    assert not (tmp_path / "venv").exists()


def test_command_is_installed_and_helps() -> None:
    """`nadows --help` answers on stdout, and says nothing else."""
    result = run([COMMAND, "--help"])

    assert (0, "") == (result.returncode, result.stderr)
    assert "Usage" in result.stdout


def test_module_runs_like_the_command() -> None:
    """`python -m nadows` is the command, for those whose PATH does not have it."""
    result = run([sys.executable, "-m", "nadows", "--help"])

    assert (0, "") == (result.returncode, result.stderr)
    assert "Usage" in result.stdout


def test_help_imports_nothing_slow() -> None:
    """Help waits for no cryptography and no network library."""
    program = (
        "import sys; from nadows.cli import main; sys.argv = ['nadows', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([name for name in ('eth_account', 'aiohttp', 'websockets', 'picows') if name in sys.modules])"
    )

    result = run([sys.executable, "-c", program])

    assert (0, "") == (result.returncode, result.stderr)
    assert "[]" == result.stdout.splitlines()[-1]


def cpu_seconds(command: Sequence[str | Path]) -> float:
    """Run a command and say how much processor time it took, which a busy machine stretches little."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert run(command).returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.slow
def test_help_starts_about_as_fast_as_its_libraries() -> None:
    """Help takes at most 1.2 times what importing typer and rich takes, and a tenth of a second."""
    libraries, command = [], []
    for _ in range(7):  # side by side, the best of each: what else the machine does hits both alike
        libraries.append(cpu_seconds([sys.executable, "-c", "import typer, rich"]))
        command.append(cpu_seconds([COMMAND, "--help"]))

    assert min(command) <= 1.2 * min(libraries) + 0.1
