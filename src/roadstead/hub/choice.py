"""From what a person chose to where and as what a server is started; asks the outposts where that is not clear."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy.orm import object_session

from ..protocol.servers import ServerOptions, User
from ..protocol.systems import OverrideRule
from . import form
from .offers import Place, ask, named_place, only_place
from .options import Form, chosen_system, has_overrides, options_from_form, read_options
from .registry import REGISTRY
from .request import build_user

if TYPE_CHECKING:
    from .spawner import RoadsteadSpawner


@dataclass(frozen=True, slots=True)
class Choice:
    """Everything that a request needs and that had to be waited for."""

    place: Place
    options: ServerOptions
    """With the outpost's own name of the system."""
    person: User


async def choose(spawner: "RoadsteadSpawner") -> Choice:
    """Read the options that JupyterHub holds, which nobody has checked yet. Raises RoadsteadError."""
    options = read_options(spawner.user_options)
    place = named_place(options, spawner.outposts)
    users = await people(spawner)
    if place is None:
        place = only_place(options, await ask(REGISTRY, spawner.outposts, users, patiently=True))
    return Choice(place, options.model_copy(update={"system": place.system}), users[place.outpost])


async def people(spawner: "RoadsteadSpawner") -> dict[str, User]:
    """The user as each outpost is to see them. Raises RoadsteadError."""
    wanted = any(settings.send_auth_state for settings in spawner.outposts.values())
    auth_state = await spawner.user.get_auth_state() if wanted else None
    return {
        name: build_user(spawner, auth_state if settings.send_auth_state else None)
        for name, settings in spawner.outposts.items()
    }


async def start_form(spawner: "RoadsteadSpawner", next_url: str) -> str:
    """The start page's fields: all systems of all outposts with what is free on them now. Raises RoadsteadError."""
    REGISTRY.use(object_session(spawner.orm_spawner))
    return form.render(spawner, await ask(REGISTRY, spawner.outposts, await people(spawner)), next_url)


async def options_of_form(spawner: "RoadsteadSpawner", fields: Form) -> ServerOptions:
    """The options of a filled-in start page; should it come back, it begins with them. Raises RoadsteadError."""
    options = options_from_form(fields, {})
    form.remember(spawner, options)
    chosen = chosen_system(fields)
    if chosen is not None and has_overrides(fields, chosen):
        options = options_from_form(fields, await _rules(spawner, options))
        form.remember(spawner, options)
    return options


async def _rules(spawner: "RoadsteadSpawner", options: ServerOptions) -> Mapping[str, OverrideRule]:
    place = named_place(options, spawner.outposts)
    if place is None:
        return {}
    users = await people(spawner)
    offers = await ask(REGISTRY, spawner.outposts, {place.outpost: users[place.outpost]}, patiently=True)
    if offers.silent:
        raise offers.silent[0].error
    return next((offer.system.overrides for offer in offers.systems if offer.system.name == place.system), {})
