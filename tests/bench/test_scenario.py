"""Scenarios from flags and files, and what is wrong with others."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from nadows.bench import scenario_file
from nadows.bench.scenario import Disconnect, LoadPhase, MixEntry, Scenario, Stall
from nadows.bench.scenario_file import build, change, find_scenario, read_scenario, scenario_names
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

    for with_value in (two.with_rate, two.with_duration):
        with pytest.raises(UsageError, match="does not say which phase"):
            with_value("1s")


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
        ({"arrival": "sudden"}, "arrival must be one of uniform, poisson, burst"),
        ({"model": "ajar"}, "model must be one of open, closed"),
        ({"on_full": "spill"}, "on_full must be one of queue, drop"),
        ({"burst": 0}, "burst must lie between 1 and 10000"),
        ({"users": 0}, "users must lie between"),
        ({"max_inflight": 0}, "max_inflight must lie between"),
        ({"model": "closed"}, "an open model needs a rate, and a closed one has none"),
        ({"phases": (LoadPhase("a", Fraction(0), SECOND),)}, "an open model needs a rate"),
        ({"stall": Stall(0, 0)}, "a stall must last some time"),
        ({"stall": Stall(0, SECOND, SECOND)}, "less than the time to the next one"),
        ({"disconnect": Disconnect(0, 1000)}, "a disconnect comes at most every 100ms"),
        ({"mix": (MixEntry("cancel_product_orders", 1),)}, "a mix has no 'cancel_product_orders'"),
        ({"mix": (MixEntry("rest", 1), MixEntry("rest", 2))}, "rest is there twice"),
        (
            {"mix": (MixEntry("rest", 6), MixEntry("cancel_and_place", 3), MixEntry("cancel_orders", 1))},
            r"weight 6\) and cancel_orders \(weight 1\) the same",
        ),
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


def test_full_scenario_survives_being_written() -> None:
    """The same with every part of the grammar that is left out elsewhere."""
    scenario = Scenario(
        name="full",
        phases=(LoadPhase("ramp", Fraction(10), SECOND, to=Fraction(1, 2)),),
        mix=(
            *(MixEntry("rest", 1), MixEntry("cancel_and_place", 8, "random"), MixEntry("cancel_orders", 1)),
            *(MixEntry("query_status", 2), MixEntry("connect", 1), MixEntry("cross", 0)),
        ),
        arrival="burst",
        burst=3,
        max_inflight=7,
        on_full="drop",
        stall=Stall(5, 6, SECOND),
        disconnect=Disconnect(SECOND),
    )
    closed = Scenario(
        name="closed", phases=(LoadPhase("s", Fraction(0), 1),), model="closed", users=8, think_ns=9
    )

    assert [scenario, closed] == [build(each.as_dict(), "x") for each in (scenario, closed)]


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
            "f.toml, line 5: no key is called 'xyz' here; there are model, users",
        ),
        (
            HEAD + 'phase=[{name="s", rate=true, duration="3s"}]',
            "f.toml, line 3: phase[0].rate: expected `int | float | str | object`, got `bool`",
        ),
        (
            HEAD + 'phase=[{name="s", rate=1, duration="3"}]',
            "f.toml: duration of phase 's' '3' is no duration",
        ),
        (HEAD + 'phase=[{name="s", rate=0, duration="3s"}]', "f.toml: rate of phase 's' 0 is no rate"),
        (HEAD + 'phase=[{name="s", duration="3s"}]', "f.toml: rate of phase 's' 0 is no rate"),
        (
            HEAD + 'phase=[{name="s", rate={from=1}, duration="3s"}]',
            "f.toml: rate of phase 's': give a number, { from, to } for a ramp",
        ),
        (
            HEAD + 'phase=[{name="s", rate={start=1, step=1, count=101}, duration="3s"}]',
            "f.toml: rate of phase 's': give a number, { from, to } for a ramp",
        ),
        (
            HEAD + 'phase=[{name="s", rate={form=1, to=2}, duration="3s"}]',
            "f.toml, line 3: no key is called 'form' here; did you mean from?",
        ),
        (HEAD + PHASE + "mix=[{weight=1}]", "f.toml: mix: place_order needs a price"),
        (HEAD + PHASE + 'mix=[{price="rest", of="oldest"}]', "f.toml: mix: place_order has no of"),
        (HEAD + PHASE + 'mix=[{op="connect", type="x"}]', "f.toml: mix: connect has no type"),
        (
            HEAD + PHASE + 'mix=[{op="query", type="statsu"}]',
            "f.toml: mix: no query is called 'statsu'; did you mean status?",
        ),
        (
            HEAD + PHASE + 'mix=[{op="query"}]',
            "f.toml: mix: no query is called None; there are all_products",
        ),
        (
            HEAD + PHASE + '[target.sim]\nstal = { for = "1s" }',
            "f.toml, line 5: no key is called 'stal' here; did you mean stall?",
        ),
        (HEAD + PHASE + '[target.sim]\nstall = { for = "1s" }', "f.toml: stall: say when: at, every"),
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


@pytest.mark.parametrize(
    ("rate", "phases"),
    [
        ("2000", [("p", 2000, None)]),
        ('"2k"', [("p", 2000, None)]),
        ("{ from = 10, to = 50 }", [("p", 10, 50)]),
        (
            "{ start = 20, step = 10, count = 3 }",
            [("p-20", 20, None), ("p-30", 30, None), ("p-40", 40, None)],
        ),
    ],
)
def test_rates_are_constant_ramps_or_steps(rate: str, phases: list[tuple[str, int, int | None]]) -> None:
    """A ramp is one phase; each step is one of its own, so that each is reported."""
    scenario = read_scenario(HEAD + f'phase = [{{ name = "p", rate = {rate}, duration = "2s" }}]', "f.toml")

    assert phases == [(each.name, each.rate, each.to) for each in scenario.phases]
    assert {2 * SECOND} == {each.duration_ns for each in scenario.phases}


def test_mix_of_all_operations_is_read() -> None:
    """Each operation is a kind of request, queries one for each type."""
    scenario = read_scenario(
        HEAD
        + PHASE
        + 'mix = [{ op = "place_order", price = "rest", weight = 2 }, { op = "cancel_and_place" },'
        + '{ op = "cancel_orders", of = "random", weight = 2 }, { op = "query", type = "status" },'
        + '{ op = "connect", weight = 3 }]',
        "f.toml",
    )

    assert (
        MixEntry("rest", 2),
        MixEntry("cancel_and_place", 1),
        MixEntry("cancel_orders", 2, "random"),
        MixEntry("query_status", 1),
        MixEntry("connect", 3),
    ) == scenario.mix


def test_faults_of_the_venue_are_read() -> None:
    """Without an instant the first comes after one period."""
    scenario = read_scenario(
        HEAD + PHASE + '[target.sim]\nstall = { at = "2s", for = "1s" }\ndisconnect = { every = "3s" }\n',
        "f.toml",
    )

    assert (Stall(2 * SECOND, SECOND), Disconnect(3 * SECOND, 3 * SECOND)) == (
        scenario.stall,
        scenario.disconnect,
    )


def test_scenario_extends_another(tmp_path: Path) -> None:
    """What a file does not say is as in the one it names; its own lists and values win."""
    path = tmp_path / "base.toml"
    path.write_text(HEAD + PHASE + "[load]\nseed = 7\nconnections = 2\n")

    scenario = read_scenario(f'extends = "{path}"\nname = "mine"\n[load]\nseed = 8\n', "f.toml")

    assert ("mine", 8, 2, 100) == (
        scenario.name,
        scenario.seed,
        scenario.connections,
        scenario.phases[0].rate,
    )


def test_scenario_that_extends_itself_is_refused(tmp_path: Path) -> None:
    """A circle ends with an error."""
    path = tmp_path / "a.toml"
    path.write_text(f'extends = "{path}"\n' + HEAD + PHASE)

    with pytest.raises(UsageError, match="extends names another scenario"):
        find_scenario(str(path))


@pytest.mark.parametrize(
    "setting",
    ["phase.steady.rate=2000", "phase.0.rate = 2e3", "phase.0.rate=2k"],
)
def test_single_values_are_set(setting: str) -> None:
    """An entry of a list is named by its number or its name; a value that is no TOML is text."""
    scenario = read_scenario(HEAD + PHASE, "f.toml", [setting, "load.seed=3"])

    assert (2000, 3) == (scenario.phases[0].rate, scenario.seed)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("phase", "write a path and a value"),
        ("phase..rate=3", "write a path and a value"),
        ("phase.ramp.rate=3", "there is no 'ramp'"),
        ("name.x=3", "name.x is no table"),
        ("name.x.y=3", "there is no 'x'"),
        ("load.sed=3", "no key is called 'sed' here; did you mean seed?"),
    ],
)
def test_setting_that_does_not_fit_is_refused(setting: str, message: str) -> None:
    """A path that leads nowhere is named."""
    with pytest.raises(UsageError, match=message):
        read_scenario(HEAD + PHASE, "f.toml", [setting])


def test_change_makes_a_table_that_is_not_there() -> None:
    """What a file leaves out can be set too."""
    table: dict[str, object] = {}

    change(table, "load.model=closed")

    assert {"load": {"model": "closed"}} == table


def test_scenarios_of_the_repository_are_right() -> None:
    """Every file in scenarios/ can be read, and is called what its file is called."""
    names = scenario_names()

    assert {
        *("connect-storm", "maker-burst", "queries", "ramp-to-knee", "reconnect-under-load", "smoke", "soak"),
        *("stall", "stall-closed", "sustain-1000"),
    } <= set(names)
    assert names == [find_scenario(name).name for name in names]


def test_scenario_is_found_by_path(tmp_path: Path) -> None:
    """A path is taken as it is."""
    path = tmp_path / "mine.toml"
    path.write_text(HEAD + PHASE)

    assert "a" == find_scenario(str(path)).name


@pytest.mark.parametrize(
    ("name", "hint"), [("smok", "did you mean smoke?"), ("zzz", "there are connect-storm, ")]
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
