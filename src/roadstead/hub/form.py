"""Renders the fields of the start page, beginning with what was chosen last."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..protocol.errors import ErrorCode, RoadsteadError
from ..protocol.servers import ServerOptions
from .offers import Offers
from .options import last_options

if TYPE_CHECKING:
    from .spawner import RoadsteadSpawner

TEMPLATES: Final = Path(__file__).parent / "templates"

_tried: Final[WeakKeyDictionary[Any, tuple[str, ServerOptions]]] = WeakKeyDictionary()
"""By user: the name and the choices of a form that came back. JupyterHub makes the form anew from another Spawner."""


def remember(spawner: "RoadsteadSpawner", options: ServerOptions) -> None:
    """Begin this user's next form with these choices."""
    _tried[spawner.user] = (spawner.name, options)


def remember_name(user: Any, name: str, options: ServerOptions) -> None:
    """The same for a form whose name was refused before there was a Spawner."""
    _tried[user] = (name, options)


def forget(spawner: "RoadsteadSpawner") -> None:
    """The choices were taken."""
    _tried.pop(spawner.user, None)


def render(spawner: "RoadsteadSpawner", offers: Offers, next_url: str) -> str:
    """The fields as HTML; `next_url` is where somebody wanted to go."""
    user = spawner.user
    name, tried = _tried.pop(user, (spawner.name, None))
    html: str = _template().render(
        systems=[offer.for_page() for offer in offers.systems],
        unreachable=[
            {"outpost": one.outpost, "display_name": one.outpost_title, "message": _silence(one.error)}
            for one in offers.silent
        ],
        last=tried or last_options(spawner.user_options),
        server_name=name,
        user_name=user.name,
        can_name=bool(user.allow_named_servers) and not spawner.name,
        next_url=next_url,
    )
    return html


def _silence(error: RoadsteadError) -> str:
    """What people are told; where the outpost is and how it cannot be reached is for the hub's log."""
    if error.code is ErrorCode.OUTPOST_UNREACHABLE:
        return "It cannot be reached at the moment. Servers that run there go on; try again in a few minutes."
    return error.sentence


@cache
def _template() -> Any:
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
    return environment.get_template("roadstead/form.html")
