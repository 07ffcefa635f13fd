"""What an outpost offers: systems, their apps and flavors with live counts, and the overrides it allows."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, StringConstraints, model_validator

from .model import Message, Moment, Name, ShortText, Text, TraitName
from .servers import User


class AppView(Message):
    """An app that a system offers."""

    name: Name
    display_name: ShortText
    description: Text = ""


class FlavorView(Message):
    """A flavor as one user of one hub sees it. Counts are those of this hub alone."""

    name: Name
    display_name: ShortText
    description: Text = ""
    runtime: Annotated[int, Field(ge=1)] | None = None
    """Seconds after which a server is stopped; null is for ever."""
    resources: dict[TraitName, JsonValue] = {}
    """What a server gets, for people to read: {"cpus": 2, "memory": "4G"}."""
    in_use: Annotated[int, Field(ge=0)] = 0
    """Servers of this hub with this flavor."""
    max: Annotated[int, Field(ge=0)] | None = None
    """How many this hub may have at once; null is no limit."""
    in_use_by_user: Annotated[int, Field(ge=0)] = 0
    max_per_user: Annotated[int, Field(ge=0)] | None = None
    available: bool = True
    """False when a limit is reached now; also when it is one over all hubs, whose counts are nobody's business."""
    reason: Text = ""
    """Why it is not available."""


class OverrideRule(Message):
    """What a request may put into one Spawner setting."""

    type: Literal["string", "integer", "number", "boolean", "list", "mapping"]
    display_name: ShortText = ""
    description: Text = ""
    pattern: Annotated[str, StringConstraints(max_length=500)] | None = None
    """A regular expression that the whole string, or every string in a list or mapping, must match."""
    choices: Annotated[list[JsonValue], Field(max_length=1000)] | None = None
    minimum: float | None = None
    maximum: float | None = None
    max_length: Annotated[int, Field(ge=1, le=65_536)] = 1000
    """Of a string in characters, of a list or mapping in items."""

    @model_validator(mode="after")
    def _meaningful(self) -> Self:
        if self.pattern is not None and self.type not in ("string", "list", "mapping"):
            raise ValueError(f"a pattern says nothing about a {self.type}")
        if (self.minimum is not None or self.maximum is not None) and self.type not in ("integer", "number"):
            raise ValueError(f"minimum and maximum say nothing about a {self.type}")
        return self


class SystemView(Message):
    """A system as one user of one hub sees it."""

    name: Name
    display_name: ShortText
    description: Text = ""
    up: bool = True
    """False while the system's host is being restarted; starts are then refused for a moment."""
    reason: Text = ""
    apps: list[AppView] = []
    flavors: list[FlavorView] = []
    flavor_required: bool = True
    """False where the site also starts servers without a flavor."""
    overrides: dict[TraitName, OverrideRule] = {}
    start_timeout: int
    """Seconds after which a start is given up."""


class SystemsQuestion(Message):
    """Asks what one user may start."""

    user: User


class SystemsAnswer(Message):
    """All systems that this user of this hub may use."""

    systems: list[SystemView]


class OutpostInfo(Message):
    """What an outpost says of itself to a hub that it knows."""

    name: Name
    software: str
    protocol_versions: list[int]
    hub: Name
    """The hub's name at this outpost, as its credential says."""
    started_at: Moment
    """A change tells the hub that the outpost was restarted."""


class HealthAnswer(Message):
    """Whether the outpost works, without any detail that a stranger could use."""

    status: Literal["ok", "degraded", "failed"]
    checks: dict[str, Any] = {}
