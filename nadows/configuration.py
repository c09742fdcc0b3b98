"""Settings: their names, where they may come from, and which source counts.

A *profile* is a set of settings with a name. ``sim``, ``testnet`` and ``mainnet`` are always there; a file
adds to them and makes others::

    profile = "mine"          # the one that is used when none is named

    [profiles.mine]
    network = "testnet"
    account = "trader"        # a keystore, see `nadows auth list`
    orders = true             # let the key sign orders, too

Weight grows from what is built in over the file and the environment to what is typed. Some settings exclude
each other (a venue has a name or an address; a key lies in one place): then the weightiest counts alone.

Nothing is read here: texts come in, and values go out, each with where it came from.
"""

from __future__ import annotations

import difflib
import enum
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from nadows.errors import UsageError
from nadows.network import Network
from nadows.signing import Subaccount, checksum_address, parse_address

__all__ = [
    "BUILT_IN",
    "KEY_VARIABLES",
    "PREFIX",
    "PROFILE_VARIABLE",
    "SETTINGS",
    "Configuration",
    "Entry",
    "Origin",
    "Setting",
    "Settings",
    "Value",
    "read_configuration",
    "resolve",
    "strange_variables",
]

Value = str | bool

NETWORKS: Final = ("sim", "testnet", "mainnet")
BUILT_IN: Final[Mapping[str, Mapping[str, Value]]] = {name: {"network": name} for name in NETWORKS}
"""The profiles that need no file."""
PREFIX: Final = "NADOWS_"
PROFILE_VARIABLE: Final = "NADOWS_PROFILE"
KEY_VARIABLES: Final = ("NADOWS_PRIVATE_KEY", "NADO_PRIVATE_KEY")
"""Environment variables that may hold a key, the first one that is set counts."""
_OTHER_VARIABLES: Final = (PROFILE_VARIABLE, "NADOWS_CONFIG", "NADOWS_LOG_LEVEL", *KEY_VARIABLES)


def _text(value: str) -> Value:
    if not value:
        raise UsageError("it is empty")
    return value


def _network(value: str) -> Value:
    if value not in NETWORKS:
        raise UsageError(f"{value!r} is not one of {', '.join(map(repr, NETWORKS))}")
    return value


def _url(value: str) -> Value:
    Network.from_url(value)
    return value


def _subaccount(value: str) -> Value:
    Subaccount.of("0x" + "00" * 20, value)
    return value


def _address(value: str) -> Value:
    return checksum_address("0x" + parse_address(value, "a wallet's address").hex())


_SWITCH: Final = {"true": True, "1": True, "on": True, "false": False, "0": False, "off": False}


def _switch(value: str) -> Value:
    if value.lower() not in _SWITCH:
        raise UsageError(f"{value!r} is neither true nor false")
    return _SWITCH[value.lower()]


class Setting(NamedTuple):
    """One setting of a profile."""

    about: str
    read: Callable[[str], Value] = _text
    """Of its text; raises `UsageError`."""
    variables: tuple[str, ...] = ()
    """Environment variables, the first one that is set counts."""
    group: str = ""
    """Settings of one group exclude each other."""
    default: Value | None = None


SETTINGS: Final[Mapping[str, Setting]] = {
    "url": Setting(
        "address of a venue, such as http://127.0.0.1:8080",
        _url,
        ("NADOWS_URL",),
        group="venue",
    ),
    "network": Setting(
        "which venue: sim (one of the command's own, paper money), testnet or mainnet (the exchange)",
        _network,
        ("NADOWS_NETWORK", "NADO_MODE"),
        group="venue",
    ),
    "subaccount": Setting(
        "name of the subaccount",
        _subaccount,
        ("NADOWS_SUBACCOUNT", "NADO_SUBACCOUNT_NAME"),
        default="default",
    ),
    "owner": Setting(
        "wallet that the key is a linked signer of; without it the key is the wallet's own",
        _address,
        ("NADOWS_OWNER",),
    ),
    "account": Setting(
        "name of a keystore, as `nadows auth list` shows it",
        variables=("NADOWS_ACCOUNT",),
        group="key",
    ),
    "keystore": Setting(
        "file of a keystore (Web3 V3, as Foundry and geth write it)",
        variables=("NADOWS_KEYSTORE",),
        group="key",
    ),
    "key_file": Setting(
        "file that holds a key as hex; - for standard input",
        variables=("NADOWS_KEY_FILE",),
        group="key",
    ),
    "password_file": Setting(
        "file that holds a keystore's password; - for standard input; else it is asked for",
        variables=("NADOWS_PASSWORD_FILE",),
    ),
    "orders": Setting(
        "whether the key may sign orders and cancellations, and not only prove who one is",
        _switch,
        ("NADOWS_ORDERS",),
        default=False,
    ),
}


class Entry(NamedTuple):
    """A value of the file, and its line (from 1)."""

    value: Value
    line: int


@dataclass(frozen=True)
class Configuration:
    """What a configuration file says."""

    source: str = ""
    """What to call it."""
    profile: Entry | None = None
    profiles: Mapping[str, Mapping[str, Entry]] = field(default_factory=dict)

    def where(self, entry: Entry) -> str:
        """Name the place of an entry."""
        return f"{self.source}:{entry.line}"

    @property
    def names(self) -> list[str]:
        """All profiles there are, those that are built in first."""
        return list(dict.fromkeys([*BUILT_IN, *self.profiles]))


# -- the file -----------------------------------------------------------------------------------------


def read_configuration(text: str, source: str) -> Configuration:
    """Read a configuration file.

    Args:
        text: TOML.
        source: What to call it in errors: its path.

    Raises:
        UsageError: With the line, and with the nearest name for one that is unknown.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{source}: this is no TOML: {error}") from None
    read = _FileReader(text, source)
    read.known(table, ("profile", "profiles"), ())
    given = table.get("profiles", {})
    if not isinstance(given, dict):
        raise read.wrong(("profiles",), "it is no table; write [profiles.NAME]")
    profiles = {name: read.profile(name, content) for name, content in given.items()}
    configuration = Configuration(source, profiles=profiles)
    if "profile" not in table:
        return configuration
    chosen = Entry(read.text(("profile",), table["profile"]), read.line(("profile",)))
    _check_profile(str(chosen.value), configuration, configuration.where(chosen))
    return Configuration(source, chosen, profiles)


class _FileReader:
    """Checks what a file holds, and finds the lines of what is wrong."""

    def __init__(self, text: str, source: str) -> None:
        self._lines = text.splitlines(keepends=True)
        self._source = source

    def profile(self, name: str, content: Any) -> dict[str, Entry]:
        """Read the settings of one profile."""
        path = ("profiles", name)
        if not isinstance(content, dict):
            raise self.wrong(path, f"it is no table; write [profiles.{name}]")
        self.known(content, SETTINGS, path)
        entries = {key: self._entry((*path, key), value) for key, value in content.items()}
        if name in BUILT_IN and (key := next((k for k in ("url", "network") if k in entries), None)):
            raise self.wrong(
                (*path, key), f"{name} is the network of that name; another one needs a profile of your own"
            )
        for group in sorted({SETTINGS[key].group for key in entries} - {""}):
            both = [key for key in entries if SETTINGS[key].group == group]
            if len(both) > 1:
                raise self.wrong((*path, both[1]), f"it excludes {both[0]}: give one of them")
        return entries

    def known(self, table: Mapping[str, Any], names: Iterable[str], path: tuple[str, ...]) -> None:
        """Refuse names that are not among *names*."""
        for key in table:
            if key not in names:
                raise self.wrong((*path, key), _unknown(key, names))

    def text(self, path: tuple[str, ...], value: Any) -> str:
        """Take a text."""
        if not isinstance(value, str):
            raise self.wrong(path, "it must be a text in quotes")
        return value

    def line(self, path: tuple[str, ...]) -> int:
        """Find the line on which something is said: the first one with which the file says it.

        The beginning of a file is mostly a file, too; where it is not, something goes on in the next line.
        """
        for number in range(1, len(self._lines)):
            try:
                node: Any = tomllib.loads("".join(self._lines[:number]))
            except tomllib.TOMLDecodeError:
                continue
            for key in path:
                node = node.get(key) if isinstance(node, dict) else None
            if node is not None:
                return number
        return len(self._lines)

    def wrong(self, path: tuple[str, ...], why: str) -> UsageError:
        """Make the error that says what is wrong with something, and on which line."""
        return UsageError(f"{self._source}, line {self.line(path)}: {'.'.join(path)}: {why}")

    def _entry(self, path: tuple[str, ...], value: Any) -> Entry:
        setting = SETTINGS[path[-1]]
        if setting.read is _switch:
            if not isinstance(value, bool):
                raise self.wrong(path, "it must be true or false, without quotes")
            return Entry(value, self.line(path))
        text = self.text(path, value)
        try:
            return Entry(setting.read(text), self.line(path))
        except UsageError as error:
            raise self.wrong(path, str(error)) from None


def _unknown(key: str, names: Iterable[str]) -> str:
    if "key" in key and "private" in key:
        return "a key has no place in this file; keep it with `nadows auth import`, and name it with account"
    near = difflib.get_close_matches(key, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
    return f"no setting is called so: {hint}"


# -- which one counts ---------------------------------------------------------------------------------


class Origin(enum.IntEnum):
    """Kinds of sources; the greater outweighs the lesser."""

    DEFAULT = 0
    FILE = 1
    ENVIRONMENT = 2
    TYPED = 3


class _Given(NamedTuple):
    value: Value
    weight: Origin
    where: str


@dataclass(frozen=True)
class Settings:
    """What counts, for one command."""

    profile: str
    profile_from: str
    """Where the profile's name came from."""
    values: Mapping[str, Value | None]
    """By the name of the setting; ``None`` if nothing says so, or something weightier excludes it."""
    origins: Mapping[str, str]
    """Where each came from, or what outweighs it; also of ``private_key``."""
    key_variable: str | None = None
    """The environment variable with the key, if that is where it is; its value is not here."""

    @property
    def network(self) -> str | None:
        """``sim``, ``testnet`` or ``mainnet``; ``None`` if there is a URL."""
        return self._text("network")

    @property
    def url(self) -> str | None:
        """Of the venue, if it has no name."""
        return self._text("url")

    @property
    def subaccount(self) -> str:
        """Name of the subaccount."""
        return str(self.values["subaccount"])

    @property
    def owner(self) -> str | None:
        """The wallet that the key is linked to (hex with ``0x``), if it is not the key's own."""
        return self._text("owner")

    @property
    def account(self) -> str | None:
        """Name of the keystore."""
        return self._text("account")

    @property
    def keystore(self) -> str | None:
        """File of the keystore."""
        return self._text("keystore")

    @property
    def key_file(self) -> str | None:
        """File of the key."""
        return self._text("key_file")

    @property
    def password_file(self) -> str | None:
        """File of the keystore's password."""
        return self._text("password_file")

    @property
    def orders(self) -> bool:
        """Whether the key may sign orders."""
        return self.values["orders"] is True

    def _text(self, name: str) -> str | None:
        value = self.values[name]
        return None if value is None else str(value)


def resolve(
    configuration: Configuration, environment: Mapping[str, str], typed: Mapping[str, str | None]
) -> Settings:
    """Find out what counts.

    Args:
        configuration: The file.
        environment: Such as ``os.environ``; a variable that is empty is not set.
        typed: Options by the names of their settings, and ``profile``; ``None`` if not given.

    Raises:
        UsageError: If a value is wrong, naming where it stands, or two that are typed exclude each other.
    """
    given = {name: _from_environment(setting, environment) for name, setting in SETTINGS.items()}
    given |= {name: found for name, value in typed.items() if (found := _typed(name, value)) is not None}
    profile, profile_from = _profile(configuration, environment, typed.get("profile"), given["network"])
    for name, entry in configuration.profiles.get(profile, {}).items():
        if given[name] is None:
            given[name] = _Given(entry.value, Origin.FILE, configuration.where(entry))
    built_in = BUILT_IN.get(profile, BUILT_IN[NETWORKS[0]])
    for name, setting in SETTINGS.items():
        value = built_in.get(name, setting.default)
        if given[name] is None and value is not None:
            where = f"profile {profile}" if name in built_in else "default"
            given[name] = _Given(value, Origin.DEFAULT, where)
    variable = next((name for name in KEY_VARIABLES if environment.get(name)), None)
    if variable is not None:
        given["private_key"] = _Given(variable, Origin.ENVIRONMENT, variable)
    outweighed = _outweighed(given)
    origins = {name: outweighed.get(name) or (one.where if one else "") for name, one in given.items()}
    return Settings(
        profile=profile,
        profile_from=profile_from,
        values={
            name: None if name in outweighed or (one := given[name]) is None else one.value
            for name in SETTINGS
        },
        origins=origins,
        key_variable=None if "private_key" in outweighed else variable,
    )


def strange_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """List variables that begin like ours and are none, each with what to make of it."""
    known = [*_OTHER_VARIABLES, *(name for setting in SETTINGS.values() for name in setting.variables)]
    return {
        name: _unknown(name, known).replace("setting", "variable")
        for name in sorted(environment)
        if name.startswith(PREFIX) and name not in known
    }


def _from_environment(setting: Setting, environment: Mapping[str, str]) -> _Given | None:
    for variable in setting.variables:
        if environment.get(variable):
            return _Given(_read(setting, environment[variable], variable), Origin.ENVIRONMENT, variable)
    return None


def _typed(name: str, value: str | None) -> _Given | None:
    if value is None or name == "profile":
        return None
    option = "--" + name.replace("_", "-")
    return _Given(_read(SETTINGS[name], value, option), Origin.TYPED, option)


def _read(setting: Setting, text: str, where: str) -> Value:
    try:
        return setting.read(text)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None


def _profile(
    configuration: Configuration, environment: Mapping[str, str], typed: str | None, network: _Given | None
) -> tuple[str, str]:
    """Choose the profile, and say where its name came from."""
    found = None
    if typed is not None:
        found = typed, "--profile"
    elif network is not None and network.weight is Origin.TYPED:
        # What is known of a network belongs to it, however it was named.
        found = str(network.value), network.where
    elif environment.get(PROFILE_VARIABLE):
        found = environment[PROFILE_VARIABLE], PROFILE_VARIABLE
    elif network is not None:
        found = str(network.value), network.where
    elif configuration.profile is not None:
        found = str(configuration.profile.value), configuration.where(configuration.profile)
    if found is None:
        return NETWORKS[0], "default"
    _check_profile(found[0], configuration, found[1])
    return found


def _check_profile(name: str, configuration: Configuration, where: str) -> None:
    if name not in configuration.names:
        near = difflib.get_close_matches(name, configuration.names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(configuration.names)}"
        raise UsageError(f"{where}: no profile is called {name!r}: {hint}")


def _outweighed(given: Mapping[str, _Given | None]) -> dict[str, str]:
    """Say which settings do not count because of another of their group, and which that is."""
    losers = {}
    groups: dict[str, list[tuple[str, _Given]]] = {}
    for name, one in given.items():
        group = SETTINGS[name].group if name in SETTINGS else "key"
        if group and one is not None:
            groups.setdefault(group, []).append((name, one))
    for members in groups.values():
        # Of those of equal weight the first in the list of settings, which is the more exact one.
        best, winner = max(members, key=lambda member: member[1].weight)
        for name, one in members:
            if name == best:
                continue
            if one.weight is winner.weight is Origin.TYPED:
                raise UsageError(f"{winner.where} and {one.where} exclude each other: give one of them")
            losers[name] = f"{one.where}, outweighed by {winner.where}"
    return losers
