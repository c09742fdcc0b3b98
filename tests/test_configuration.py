"""Settings come from a file, the environment and the command line, and the weightiest counts."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nadows.configuration import (
    BUILT_IN,
    KEY_VARIABLES,
    SETTINGS,
    Configuration,
    read_configuration,
    resolve,
    strange_variables,
)
from nadows.errors import UsageError

FILE = """\
# a comment
profile = "mine"

[profiles.mine]
network = "testnet"
subaccount = "arb"
account = "trader"
owner = "0x1a642f0e3c3af545e7acbd38b07251b3990914f1"
orders = true

[profiles.local]
url = "http://127.0.0.1:8080"

[profiles.testnet]
key_file = "~/key"
"""
MINE = read_configuration(FILE, "config.toml")
NOTHING = Configuration()


def test_without_anything_there_is_the_embedded_venue() -> None:
    """Works on a fresh machine, has no key, and signs no orders."""
    settings = resolve(NOTHING, {}, {})
    assert ("sim", "sim", None) == (settings.profile, settings.network, settings.url)
    assert ("default", False) == (settings.subaccount, settings.orders)
    assert (None, None, None) == (settings.account, settings.keystore, settings.key_file)
    assert (None, None, None) == (settings.password_file, settings.owner, settings.key_variable)
    assert ("profile sim", "default") == (settings.origins["network"], settings.origins["orders"])


def test_a_file_names_its_profile_and_its_lines() -> None:
    """Each value is known by where it stands."""
    settings = resolve(MINE, {}, {})
    assert ("mine", "config.toml:2") == (settings.profile, settings.profile_from)
    assert ("testnet", "arb", "trader", True) == (
        settings.network,
        settings.subaccount,
        settings.account,
        settings.orders,
    )
    assert "0x1a642f0E3c3aF545E7AcBD38b07251B3990914F1" == settings.owner
    assert "config.toml:6" == settings.origins["subaccount"]
    assert "config.toml:9" == settings.origins["orders"]


@pytest.mark.parametrize(
    ("environment", "typed", "expected"),
    [
        ({}, {}, ("mine", "config.toml:2")),
        ({"NADOWS_NETWORK": "mainnet"}, {}, ("mainnet", "NADOWS_NETWORK")),
        ({"NADO_MODE": "testnet"}, {}, ("testnet", "NADO_MODE")),
        ({"NADO_MODE": "testnet", "NADOWS_PROFILE": "local"}, {}, ("local", "NADOWS_PROFILE")),
        ({"NADOWS_PROFILE": "local"}, {"network": "sim"}, ("sim", "--network")),
        ({"NADOWS_PROFILE": "local"}, {"network": "sim", "profile": "mine"}, ("mine", "--profile")),
        ({"NADOWS_PROFILE": ""}, {"profile": None, "network": None}, ("mine", "config.toml:2")),
    ],
)
def test_which_profile_it_is(
    environment: Mapping[str, str], typed: Mapping[str, str | None], expected: tuple[str, str]
) -> None:
    """A network that is named is the profile of that name, unless a profile is named with equal weight."""
    settings = resolve(MINE, environment, typed)
    assert expected == (settings.profile, settings.profile_from)


@pytest.mark.parametrize("name", [name for name in SETTINGS if name != "network"])
@given(kinds=st.sets(st.sampled_from(["file", "environment", "typed"])))
def test_weight_grows_from_file_to_environment_to_command_line(name: str, kinds: set[str]) -> None:
    """Of the sources that say something the weightiest counts, and is named."""
    samples = {
        "url": ("http://a", "http://b", "http://c"),
        "owner": tuple("0x" + digit * 40 for digit in "123"),
        "orders": ("false", "true", "false"),
    }.get(name, ("a", "b", "c"))
    quoted = samples[0] if name == "orders" else f'"{samples[0]}"'
    text = f"[profiles.p]\n{name} = {quoted}" if "file" in kinds else "[profiles.p]"
    environment = {SETTINGS[name].variables[0]: samples[1]} if "environment" in kinds else {}
    typed = {"profile": "p", name: samples[2] if "typed" in kinds else None}

    settings = resolve(read_configuration(text, "f"), environment, typed)

    sources = {
        "typed": "--" + name.replace("_", "-"),
        "environment": SETTINGS[name].variables[0],
        "file": "f:2",
    }
    expected = next((source for kind, source in sources.items() if kind in kinds), None)
    value = dict(zip(("file", "environment", "typed"), samples, strict=True))
    read = SETTINGS[name].read
    if expected is None:
        assert SETTINGS[name].default == settings.values[name]
    else:
        kind = next(kind for kind in sources if kind in kinds)
        assert (read(value[kind]), expected) == (settings.values[name], settings.origins[name])


def test_of_two_variables_the_first_counts() -> None:
    """Our own outweighs the one that strategies set."""
    settings = resolve(NOTHING, {"NADO_MODE": "mainnet", "NADOWS_NETWORK": "testnet"}, {})
    assert ("testnet", "NADOWS_NETWORK") == (settings.network, settings.origins["network"])


def test_a_venue_has_a_name_or_an_address() -> None:
    """The weightier one excludes the other, and the loser says so."""
    by_url = resolve(MINE, {"NADO_MODE": "mainnet"}, {"url": "http://x"})
    assert (None, "http://x") == (by_url.network, by_url.url)
    assert "NADO_MODE, outweighed by --url" == by_url.origins["network"]
    by_name = resolve(MINE, {"NADOWS_URL": "http://x"}, {"network": "sim"})
    assert ("sim", None) == (by_name.network, by_name.url)
    # Set both, the address is the more exact.
    assert "http://x" == resolve(MINE, {"NADOWS_URL": "http://x", "NADO_MODE": "mainnet"}, {}).url
    assert "http://127.0.0.1:8080" == resolve(MINE, {}, {"profile": "local"}).url


@pytest.mark.parametrize("variable", KEY_VARIABLES)
def test_a_key_lies_in_one_place(variable: str) -> None:
    """The environment outweighs the file, a typed source outweighs the environment; no value is held here."""
    environment = {variable: "5b" * 32}
    settings = resolve(MINE, environment, {})
    assert (None, variable) == (settings.account, settings.key_variable)
    assert f"config.toml:7, outweighed by {variable}" == settings.origins["account"]
    typed = resolve(MINE, environment, {"key_file": "k"})
    assert ("k", None) == (typed.key_file, typed.key_variable)
    assert f"{variable}, outweighed by --key-file" == typed.origins["private_key"]
    assert "5b5b" not in repr(settings) + repr(typed)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ({"url": "http://x", "network": "sim"}, "--url and --network exclude each other: give one of them"),
        ({"keystore": "x", "key_file": "y"}, "--keystore and --key-file exclude each other"),
        ({"network": "moon"}, "--network: 'moon' is not one of 'sim', 'testnet', 'mainnet'"),
        ({"url": "ftp://x"}, "--url: url must be a URL such as"),
        ({"subaccount": "x" * 13}, "--subaccount: a subaccount name is ASCII text of at most 12"),
        ({"owner": "0x12"}, "--owner: a wallet's address must be 20 bytes of hex"),
        ({"account": ""}, "--account: it is empty"),
        ({"profile": "testnte"}, "--profile: no profile is called 'testnte': did you mean testnet?"),
        (
            {"profile": "q"},
            "--profile: no profile is called 'q': there are sim, testnet, mainnet, mine, local",
        ),
    ],
)
def test_what_is_typed_wrong_is_named(typed: Mapping[str, str], message: str) -> None:
    """With the option, and with what would be right."""
    with pytest.raises(UsageError) as caught:
        resolve(MINE, {}, typed)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"NADO_MODE": "devnet"}, "NADO_MODE: 'devnet' is not one of"),
        ({"NADOWS_ORDERS": "perhaps"}, "NADOWS_ORDERS: 'perhaps' is neither true nor false"),
        ({"NADOWS_PROFILE": "x"}, "NADOWS_PROFILE: no profile is called 'x'"),
    ],
)
def test_what_is_set_wrong_is_named(environment: Mapping[str, str], message: str) -> None:
    """With the variable."""
    with pytest.raises(UsageError, match=message):
        resolve(NOTHING, environment, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("profile = ", "c.toml: this is no TOML: Invalid value (at "),
        ("\nprofil = 'x'", "c.toml, line 2: profil: no setting is called so: did you mean profile?"),
        (
            "[profiles.a]\n\nnetwrok = 'sim'",
            "c.toml, line 3: profiles.a.netwrok: no setting is called so: did you",
        ),
        (
            "[profiles.a]\nzzz = 1",
            "c.toml, line 2: profiles.a.zzz: no setting is called so: there are url, network",
        ),
        ("profiles = 3", "c.toml, line 1: profiles: it is no table; write [profiles.NAME]"),
        ("profiles.a = 3", "c.toml, line 1: profiles.a: it is no table; write [profiles.a]"),
        ("profile = 3", "c.toml, line 1: profile: it must be a text in quotes"),
        ("\nprofile = 'tesnet'", "c.toml:2: no profile is called 'tesnet': did you mean testnet?"),
        ("[profiles.a]\norders = 'yes'", "c.toml, line 2: profiles.a.orders: it must be true or false"),
        ("[profiles.a]\nurl = 8080", "c.toml, line 2: profiles.a.url: it must be a text in quotes"),
        ("[profiles.a]\nnetwork = 'x'", "c.toml, line 2: profiles.a.network: 'x' is not one of"),
        (
            "[profiles.a]\nurl='http://x'\nnetwork='sim'",
            "c.toml, line 3: profiles.a.network: it excludes url",
        ),
        (
            "[profiles.a]\nkeystore='x'\naccount='y'",
            "c.toml, line 3: profiles.a.account: it excludes keystore",
        ),
        (
            "[profiles.mainnet]\nnetwork='sim'",
            "c.toml, line 2: profiles.mainnet.network: mainnet is the network",
        ),
        (
            "[profiles.sim]\nurl='http://x'",
            "c.toml, line 2: profiles.sim.url: sim is the network of that name",
        ),
        ("[profiles.a]\nurl = '''\nftp://x'''", "c.toml, line 3: profiles.a.url: url must be a URL"),
    ],
)
def test_what_a_file_says_wrong_is_told_with_its_line(text: str, message: str) -> None:
    """And with the nearest name, where a name is unknown."""
    with pytest.raises(UsageError) as caught:
        read_configuration(text, "c.toml")
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("name", ["private_key", "privatekey", "nado_private_key"])
def test_a_key_in_the_file_is_refused_and_not_repeated(name: str) -> None:
    """There are better places, and the message names one."""
    with pytest.raises(
        UsageError, match="a key has no place in this file; keep it with `nadows auth import`"
    ) as e:
        read_configuration(f"[profiles.a]\n{name} = '{'5b' * 32}'", "c.toml")
    assert "5b5b" not in str(e.value)


def test_a_built_in_profile_takes_settings_from_the_file() -> None:
    """`[profiles.testnet]` adds to it."""
    settings = resolve(MINE, {}, {"profile": "testnet"})
    assert ("testnet", "~/key", "config.toml:15") == (
        settings.network,
        settings.key_file,
        settings.origins["key_file"],
    )
    assert [*BUILT_IN, "mine", "local"] == MINE.names


def test_a_profile_without_a_venue_is_the_embedded_one() -> None:
    """What is forgotten costs no money."""
    assert "sim" == resolve(read_configuration("[profiles.a]", ""), {}, {"profile": "a"}).network


def test_variables_that_are_nearly_ours_are_noticed() -> None:
    """A typing mistake in a variable would be silent otherwise."""
    told = strange_variables({"NADOWS_NETWROK": "x", "NADOWS_URL": "y", "NADO_X": "z", "NADOWS_CONFIG": ""})
    assert {"NADOWS_NETWROK": "no variable is called so: did you mean NADOWS_NETWORK?"} == told
