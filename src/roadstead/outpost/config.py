"""The outpost's configuration: read as traitlets (Python or YAML), checked as a whole by typed models."""

import os
from collections.abc import Awaitable, Callable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from ..protocol.model import Moment, Name, ShortText, Text, TraitName
from ..protocol.servers import User
from ..protocol.systems import OverrideRule


class ConfigurationError(Exception):
    """The configuration cannot be used; the text names every finding with its key."""

    def __init__(self, where: Path | str, findings: list[str]) -> None:
        self.findings = findings
        super().__init__(f"The configuration {where} cannot be used:\n" + "\n".join(f"  {line}" for line in findings))


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, use_attribute_docstrings=True)


def _midnight(value: Any) -> Any:
    """YAML and people write a day for its beginning in UTC."""
    if isinstance(value, date) and not isinstance(value, datetime):
        value = value.isoformat()
    return f"{value}T00:00:00Z" if isinstance(value, str) and len(value) == 10 else value


class CredentialSettings(_Settings):
    """One bearer credential; the outpost keeps only its hash."""

    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{4,32}$")]
    """The part of the credential before the dot."""
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    """The SHA-256 of the part after it, in hexadecimal digits."""
    expires: Annotated[Moment | None, BeforeValidator(_midnight, json_schema_input_type=datetime | date | None)] = None
    """When it stops being valid: a day, or a moment with its time zone."""


class HubSettings(_Settings):
    """A hub that may use this outpost."""

    credentials: Annotated[tuple[CredentialSettings, ...], Field(min_length=1, max_length=2)]
    """Two are valid at a time, so that a credential can be replaced without a pause."""


class Limit(_Settings):
    """How many servers at once: of one hub, and of all hubs together. None is no limit."""

    hub: Annotated[int, Field(ge=0)] | None = None
    """Of each hub."""
    all: Annotated[int, Field(ge=0)] | None = None
    """Of all hubs together."""


def _limit(value: Any) -> Any:
    return {"hub": value} if isinstance(value, int) and not isinstance(value, bool) else value


LimitOrNumber = Annotated[Limit, BeforeValidator(_limit, json_schema_input_type=Limit | int)]

_UNITS: Final = {"days": 86_400, "hours": 3600, "minutes": 60, "seconds": 1}


def _seconds(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    if unknown := set(value) - set(_UNITS):
        raise ValueError(f"unknown unit {min(unknown)!r}; use {', '.join(_UNITS)}")
    return int(sum(amount * _UNITS[unit] for unit, amount in value.items()))


Runtime = Annotated[
    int,
    Field(ge=1),
    BeforeValidator(_seconds, json_schema_input_type=int | dict[Literal["days", "hours", "minutes", "seconds"], float]),
]


class AppSettings(_Settings):
    """An app that a person can choose; its settings go to the Spawner."""

    display_name: ShortText | None = None
    """What people see; the app's name if not set."""
    description: Text = ""
    """A sentence for people."""
    settings: dict[TraitName, Any] = {}
    """Settings of the Spawner, such as {"default_url": "/lab"}."""


class Allowance(_Settings):
    """How many servers may run at once, for how long, and with which Spawner settings."""

    max: LimitOrNumber = Limit()
    """How many servers at once; a number alone is a limit for each hub."""
    max_per_user: LimitOrNumber = Limit()
    """How many of them one user may have; a number alone is a limit for each hub."""
    runtime: Runtime | None = None
    """Seconds; a mapping such as {"hours": 2} is accepted too. None is for ever."""
    settings: dict[TraitName, Any] = {}
    """Settings of the Spawner, such as {"extra_resource_limits": {"nvidia.com/gpu": "1"}}."""


class FlavorSettings(Allowance):
    """A named amount of resources and run time, with limits."""

    display_name: ShortText | None = None
    """What people see; the flavor's name if not set."""
    description: Text = ""
    """A sentence for people."""
    resources: dict[TraitName, Any] = {}
    """For people to read, and given to the Spawner as `cpus` -> cpu_limit and `memory` -> mem_limit."""
    hubs: tuple[Name, ...] | None = None
    """The hubs whose users may choose it; None is all."""
    users: tuple[str, ...] | None = None
    """The users who may choose it; with `groups`, one of the two is enough. None in both is everybody."""
    groups: tuple[str, ...] | None = None
    """The groups, as the hub knows them, whose members may choose it."""

    @property
    def spawner_settings(self) -> dict[str, Any]:
        """Resources under the names that every Spawner has, then the site's own settings."""
        names = {"cpus": "cpu_limit", "memory": "mem_limit"}
        return {names[key]: value for key, value in self.resources.items() if key in names} | self.settings


FlavorFunction = Callable[[str, User], Mapping[str, Any] | Awaitable[Mapping[str, Any]]]
"""Given the hub's name and the user, gives the flavors that this user has now."""


class SystemSettings(_Settings):
    """One resource: which Spawner class starts servers there, with what configuration, for whom."""

    display_name: ShortText | None = None
    """What people see; the system's name if not set."""
    description: Text = ""
    """A sentence for people."""
    spawner_class: str | type
    """A name that packages register with JupyterHub, such as `docker`, a dotted path, or the class itself."""
    config: dict[str, dict[str, Any]] = {}
    """Sections of configuration for this system alone, such as {"DockerSpawner": {"image": "..."}}."""
    hub_config: dict[Name, dict[str, dict[str, Any]]] = {}
    """The same for the servers of one hub."""
    hubs: tuple[Name, ...] = ()
    """The hubs that may use it; empty is all."""
    apps: dict[Name, AppSettings] = {}
    """What people can choose to work with; a request that names none gets the first."""
    flavors: dict[Name, FlavorSettings] | FlavorFunction = {}
    """The flavors, or a function that gets the hub's name and the user and gives them; it may be async."""
    without_flavor: Allowance | None = None
    """For servers without a flavor. None refuses them where there are flavors, and allows them where there are none."""
    overrides: dict[TraitName, OverrideRule] = {}
    """Spawner settings that a request may set; empty by default."""
    start_timeout: Annotated[int, Field(ge=1)] = 300
    """Seconds after which a start is given up."""
    stop_timeout: Annotated[int, Field(ge=1)] = 90
    """Seconds that one try to stop a server may take."""
    poll_interval: Annotated[float, Field(ge=0.1)] = 30.0
    """Seconds between two questions whether a server still runs."""
    silence_timeout: Annotated[float, Field(ge=0.5)] = 60.0
    """Seconds after which a host that does not answer is ended and started again."""

    @property
    def flavor_required(self) -> bool:
        return self.without_flavor is None and bool(self.flavors)


class OutpostSettings(_Settings):
    """Everything under `c.Outpost`."""

    name: Name
    """The outpost's own name."""
    ip: str = "127.0.0.1"
    """The address to listen on; anything but loopback needs TLS."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8765
    """0 takes a free one; the file `address` in the state folder says which."""
    tls_certificate: Path | None = None
    """The certificate with its chain, as PEM."""
    tls_key: Path | None = None
    """The certificate's key, as PEM."""
    state_folder: Path
    """Where the ledger, its key and the hosts' locks are; for this outpost alone."""
    ledger_url: Annotated[str, StringConstraints(pattern=r"^(sqlite|postgresql)(\+\w+)?://")] | None = None
    """The ledger's database, such as postgresql://outpost@db/outpost; SQLite in the state folder if not set."""
    hubs: Annotated[dict[Name, HubSettings], Field(min_length=1)]
    """The hubs that may use this outpost."""
    metrics_credentials: tuple[CredentialSettings, ...] = ()
    """Who may read the metrics; hubs may not, for the counts are of all hubs."""
    systems: Annotated[dict[Name, SystemSettings], Field(min_length=1)]
    """What this outpost offers."""
    grace: Annotated[float, Field(ge=0)] = 600.0
    """Seconds for which a server must be missing from the hub's lists before it is ended."""
    warn_before: tuple[Annotated[int, Field(ge=1)], ...] = (1800, 600, 60)
    """Seconds before the end of the runtime at which the user is warned."""
    keep_ended: Annotated[float, Field(ge=60)] = 7 * 86_400.0
    """Seconds for which the record of an ended server is kept."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """How much is written to standard error."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key belong together: set both or none")
        if self.tls_certificate is None and self.ip not in ("127.0.0.1", "::1", "localhost"):
            raise ValueError(
                f"ip {self.ip} can be reached by others: set tls_certificate and tls_key, or use 127.0.0.1"
            )
        ids = [entry.id for hub in self.hubs.values() for entry in hub.credentials]
        ids += [entry.id for entry in self.metrics_credentials]
        if twice := {entry for entry in ids if ids.count(entry) > 1}:
            raise ValueError(f"credential id {min(twice)} is used twice; make a new one with 'roadstead credential'")
        for name, system in self.systems.items():
            for hub in (*system.hubs, *system.hub_config):
                if hub not in self.hubs:
                    raise ValueError(f"system {name} names the hub {hub}, which is not in hubs")
        return self

    def hubs_of(self, system: str) -> tuple[str, ...]:
        """The hubs that may use a system."""
        return self.systems[system].hubs or tuple(self.hubs)

    @property
    def database(self) -> str:
        """The ledger's address with its driver."""
        url = self.ledger_url or f"sqlite:///{self.state_folder / 'ledger.sqlite'}"
        scheme, rest = url.split("://", 1)
        return f"{'sqlite' if scheme.startswith('sqlite') else 'postgresql+asyncpg'}://{rest}"


def load_config(path: Path) -> Config:
    """The file as traitlets configuration: `.py` is run with `c`, `.yaml` and `.yml` are read as a nested mapping.

    Raises ConfigurationError with the line of a mistake where there is one.
    """
    if not path.is_file():
        raise ConfigurationError(path, ["The file does not exist; give its path with --config."])
    try:
        if path.suffix in (".yaml", ".yml"):
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
            if not isinstance(content, dict) or not all(isinstance(section, dict) for section in content.values()):
                raise ConfigurationError(path, ["The file must be a mapping of sections, such as 'Outpost:'."])
            return Config(content)
        config: Config = PyFileConfigLoader(path.name, path=str(path.parent)).load_config()
        return config
    except ConfigurationError:
        raise
    except Exception as error:
        raise ConfigurationError(path, [f"{type(error).__name__}{_line(error, path)}: {error}"]) from error


def _line(error: BaseException, path: Path) -> str:
    if isinstance(error, SyntaxError) and error.lineno:
        return f" in line {error.lineno}"
    trace, line = error.__traceback__, None
    while trace:
        if trace.tb_frame.f_code.co_filename.endswith(os.sep + path.name):
            line = trace.tb_lineno
        trace = trace.tb_next
    return f" in line {line}" if line else ""


def read_settings(config: Config, where: Path | str = "of the outpost") -> OutpostSettings:
    """The section `Outpost`, checked. Raises ConfigurationError with all findings at once."""
    try:
        return OutpostSettings.model_validate(dict(config.get("Outpost", {})))
    except ValidationError as error:
        raise ConfigurationError(where, [_finding(item) for item in error.errors()]) from None


def parse_flavors(raw: Mapping[str, Any]) -> dict[str, FlavorSettings]:
    """The answer of a site's flavor function, checked. Raises ValueError."""
    return _Flavors.model_validate({"flavors": dict(raw)}).flavors


class _Flavors(_Settings):
    flavors: dict[Name, FlavorSettings]


def _finding(item: Any) -> str:
    key = ".".join(str(part) for part in ("Outpost", *item["loc"]) if not str(part).startswith("function-"))
    if item["type"] == "missing":
        return f"{key}: is required."
    if item["type"] == "extra_forbidden":
        return f"{key}: there is no such setting; see the manual's list of outpost settings."
    message = item["msg"].removeprefix("Value error, ")
    return f"{key}: {message}."


__all__ = [
    "Allowance",
    "AppSettings",
    "ConfigurationError",
    "CredentialSettings",
    "FlavorSettings",
    "HubSettings",
    "Limit",
    "OutpostSettings",
    "SystemSettings",
    "load_config",
    "parse_flavors",
    "read_settings",
]
