"""Scenarios from flags and files, and what is wrong with others."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from nadows.bench import scenario_file
from nadows.bench.scenario import LoadPhase, MixEntry, Scenario
from nadows.bench.scenario_file import build, find_scenario, read_scenario, scenario_names
from nadows.bench.thresholds import Threshold
from nadows.errors import UsageError

SECOND = 10**9

HEAD = 'schema = 1\nname = "a"\n'
PHASE = 'phase = [{ name = "steady", rate = 100, duration = "2s" }]\n'


def test_flags_make_a_warm_up_and_a_steady_phase() -> None:
    """--rps and --duration describe one measured phase, after three seconds at the same rate."""
    scenario = Scenario.from_flags(rate="1k", duration="30s")

    assert (
        LoadPhase("warmup", Fraction(1000), 3 * SECOND, record=False),
        LoadPhase("steady", Fraction(1000), 30 * SECOND),
    ) == scenario.phases


def test_warm_up_can_be_left_out() -> None:
    """A warm-up of 0s is none."""
    assert ["steady"] == [phase.name for phase in Scenario.from_flags(warmup="0s").phases]


def test_options_override_a_file() -> None:
    """Rate goes to all phases, duration to the measured one, thresholds are added."""
    scenario = read_scenario(
        HEAD + 'phase = [{ name = "w", rate = 1, duration = "1s", record = false },'
        ' { name = "s", rate = 2, duration = "2s" }]\nthreshold = [{ expr = "errors.count == 0" }]\n',
        "f.toml",
    )

    changed = scenario.with_rate("50").with_duration("4s").with_thresholds(["rate > 49"])

    assert [(50, 1 * SECOND), (50, 4 * SECOND)] == [(each.rate, each.duration_ns) for each in changed.phases]
    assert ["errors.count == 0", "rate > 49"] == [each.expr for each in changed.thresholds]
    assert ["s"] == [each.name for each in changed.with_warmup("0s").phases]


def test_options_that_do_not_say_which_phase_are_refused() -> None:
    """With two measured phases a rate could mean either."""
    two = Scenario(
        name="two", phases=(LoadPhase("a", Fraction(1), SECOND), LoadPhase("b", Fraction(2), SECOND))
    )

    for change in (two.with_rate, two.with_duration):
        with pytest.raises(UsageError, match="does not say which phase"):
            change("1s")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"phases": ()}, "nothing would be measured"),
        ({"phases": (LoadPhase("a", Fraction(1), SECOND, record=False),)}, "nothing would be measured"),
        ({"phases": (LoadPhase("a", Fraction(1), SECOND),) * 2}, "names of their own"),
        ({"phases": (LoadPhase("a", Fraction(1), 0),)}, "has no duration"),
        ({"phases": (LoadPhase("a", Fraction(10**6), 1000 * SECOND),)}, "are more than"),
        ({"mix": ()}, "a mix needs weights"),
        ({"mix": (MixEntry("cross", 0),)}, "a mix needs weights"),
        ({"mix": (MixEntry("cross", 2), MixEntry("rest", -1))}, "a mix needs weights"),
        ({"mix": (MixEntry("cross", 10_001),)}, "at most 10000"),
        ({"connections": 0}, "connections must lie between"),
        ({"connections": 51}, "connections must lie between"),
        ({"timeout_ns": 0}, "timeout must lie between"),
        ({"arrival": "burst"}, "arrival must be one of uniform, poisson"),
        ({"flow": "wild"}, "flow must be one of off, calm, busy, storm"),
        ({"thresholds": (Threshold.parse("rate > 1", "nowhere"),)}, "no phase is called 'nowhere'"),
    ],
)
def test_what_cannot_be_run_is_refused(changes: dict[str, object], reason: str) -> None:
    """Every scenario that exists can be run; the others say what is wrong with them."""
    with pytest.raises(UsageError, match=reason):
        replace(Scenario.from_flags(), **changes)  # type: ignore[arg-type]  # values of any field


def test_scenario_survives_being_written() -> None:
    """Its plain values are a scenario file, from which the same is made: worker and result rely on it."""
    scenario = replace(
        Scenario.from_flags(rate="0.5", duration="1.5s"),
        mix=(MixEntry("rest", 3),),
        thresholds=(Threshold.parse("rate > 1"), Threshold.parse("lag.max < 1s", "steady")),
        connections=3,
        arrival="poisson",
        flow="off",
        seed=7,
        timeout_ns=1_500_000,
    )

    assert scenario == build(scenario.as_dict(), "x")


def test_hash_is_of_the_work_alone() -> None:
    """Names, texts and thresholds do not change what is done; the seed does."""
    scenario = Scenario.from_flags()

    assert scenario.sha256() == replace(scenario.with_thresholds(["rate > 1"]), name="b", about="c").sha256()
    assert scenario.sha256() != replace(scenario, seed=1).sha256()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x=", "f.toml: this is no TOML: Invalid value"),
        (
            HEAD + 'phase = [\n{name="s", rat=3, duration="3s"}]',
            "f.toml, line 4: no key is called 'rat' here; did you mean rate?",
        ),
        (
            HEAD + PHASE + "[laod]\nseed=3",
            "f.toml, line 4: no key is called 'laod' here; did you mean load?",
        ),
        (
            HEAD + PHASE + "[load]\nconections=2",
            "f.toml, line 5: no key is called 'conections' here; did you mean connections?",
        ),
        (
            HEAD + PHASE + "[load]\nxyz=2",
            "f.toml, line 5: no key is called 'xyz' here; there are arrival, connections",
        ),
        (
            HEAD + 'phase=[{name="s", rate=true, duration="3s"}]',
            "f.toml, line 3: phase[0].rate: expected `int | float | str`, got `bool`",
        ),
        (
            HEAD + 'phase=[{name="s", rate=1, duration="3"}]',
            "f.toml: duration of phase 's' '3' is no duration",
        ),
        (HEAD + 'phase=[{name="s", rate=0, duration="3s"}]', "f.toml: rate of phase 's' 0 is no rate"),
        ("schema = 2\n" + PHASE, "f.toml, line 1: schema: invalid enum value 2"),
        (HEAD, "f.toml: object missing required field `phase`"),
        (
            HEAD + PHASE + '[[threshold]]\nexpr="respons.p99<3ms"',
            "f.toml: threshold 'respons.p99<3ms': no metric",
        ),
    ],
)
def test_mistake_in_a_file_names_its_line(text: str, message: str) -> None:
    """A wrong file says where, what, and which name was probably meant."""
    with pytest.raises(UsageError) as caught:
        read_scenario(text, "f.toml")

    assert str(caught.value).startswith(message)


def test_scenarios_of_the_repository_are_right() -> None:
    """Every file in scenarios/ can be read, and is called what its file is called."""
    names = scenario_names()

    assert {"smoke", "sustain-1000"} <= set(names)
    assert names == [find_scenario(name).name for name in names]


def test_scenario_is_found_by_path(tmp_path: Path) -> None:
    """A path is taken as it is."""
    path = tmp_path / "mine.toml"
    path.write_text(HEAD + PHASE)

    assert "a" == find_scenario(str(path)).name


@pytest.mark.parametrize(
    ("name", "hint"), [("smok", "did you mean smoke?"), ("zzz", "there are smoke, sustain-1000")]
)
def test_unknown_scenario_names_those_there_are(name: str, hint: str) -> None:
    """A name that is none says which are."""
    with pytest.raises(UsageError, match=r"no scenario is called") as caught:
        find_scenario(name)

    assert hint in str(caught.value)


def test_no_scenarios_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Away from a checkout there may be none to name."""
    monkeypatch.setattr(scenario_file, "_folders", lambda: [tmp_path])

    with pytest.raises(UsageError, match="there are none here"):
        find_scenario("smoke")


def test_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are a bad file, not a traceback."""
    path = tmp_path / "bad.toml"
    path.write_bytes(b"\xff\xfe")

    with pytest.raises(UsageError, match=r"bad\.toml: cannot be read"):
        find_scenario(str(path))
