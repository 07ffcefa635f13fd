"""What a user may start, asked of all outposts at once; a silent one is told of and keeps nobody waiting."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ..protocol.errors import ErrorCode, RoadsteadError
from ..protocol.servers import ServerOptions, User
from ..protocol.systems import SystemView
from .client import CALL_SECONDS
from .registry import Registry
from .settings import OutpostSettings

ASK_SECONDS: Final = 3.0
"""How long one outpost may take to say what it offers to somebody who waits for a page."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One system of one outpost, as one user sees it."""

    outpost: str
    outpost_title: str
    system: SystemView

    @property
    def id(self) -> str:
        return f"{self.outpost}/{self.system.name}"

    def for_page(self) -> dict[str, Any]:
        """The mapping that the start page is made from."""
        view = self.system.model_dump(mode="json")
        return view | {"id": self.id, "outpost": self.outpost, "outpost_display_name": self.outpost_title}


@dataclass(frozen=True, slots=True)
class Silence:
    """An outpost that said nothing useful."""

    outpost: str
    outpost_title: str
    error: RoadsteadError


@dataclass(frozen=True, slots=True)
class Offers:
    """What all outposts said."""

    systems: list[Offer] = field(default_factory=list)
    silent: list[Silence] = field(default_factory=list)


async def ask(
    registry: Registry, outposts: Mapping[str, OutpostSettings], users: Mapping[str, User], *, patiently: bool = False
) -> Offers:
    """Ask the outposts for which `users` has an entry: whom each of them is to judge.

    `patiently` is for a start that hangs on the answer: an outpost whose event stream stands gets its time.
    """
    offers = Offers()
    questions = (_ask(registry, outposts, name, user, patiently) for name, user in users.items())
    for answer in await asyncio.gather(*questions):
        if isinstance(answer, Silence):
            offers.silent.append(answer)
        else:
            offers.systems.extend(answer)
    return offers


async def _ask(
    registry: Registry, outposts: Mapping[str, OutpostSettings], name: str, user: User, patiently: bool
) -> list[Offer] | Silence:
    title = outposts[name].display_name or name
    mirror = registry.mirror(name, outposts)
    try:
        answer = await mirror.client.systems(user, CALL_SECONDS if patiently and mirror.connected else ASK_SECONDS)
    except RoadsteadError as error:
        return Silence(name, title, error)
    for system in answer.systems:
        mirror.titles.learn_offer(system)
    return [Offer(name, title, system) for system in answer.systems]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server is to be started."""

    outpost: str
    system: str


def named_place(options: ServerOptions, outposts: Mapping[str, OutpostSettings]) -> Place | None:
    """The place that the options name; None when the outposts have to be asked. Raises RoadsteadError."""
    if options.system is None:
        return None
    outpost, separator, system = options.system.rpartition("/")
    if not separator:
        return Place(next(iter(outposts)), system) if len(outposts) == 1 else None
    if outpost not in outposts:
        raise RoadsteadError(
            ErrorCode.OUTPOST_UNKNOWN,
            f"There is no outpost '{outpost}' here.",
            f"There are: {', '.join(outposts)}. Choose the system again on the start page.",
        )
    return Place(outpost, system)


def only_place(options: ServerOptions, offers: Offers) -> Place:
    """The one place that fits options which name no outpost, or nothing at all. Raises RoadsteadError."""
    fitting = [offer for offer in offers.systems if options.system in (None, offer.system.name)]
    if len(fitting) == 1:
        return Place(fitting[0].outpost, fitting[0].system.name)
    if fitting:
        choices = ", ".join(offer.id for offer in fitting)
        raise RoadsteadError(
            ErrorCode.SYSTEM_UNKNOWN, "It is not clear which system is meant.", f"Choose one of {choices}."
        )
    if offers.silent:
        raise offers.silent[0].error
    what = (
        f"There is no system '{options.system}' that you may use."
        if options.system
        else "There is no system that you may use."
    )
    raise RoadsteadError(ErrorCode.SYSTEM_UNKNOWN, what, "Ask those who run this hub.")
