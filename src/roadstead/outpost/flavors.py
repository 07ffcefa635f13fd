"""Which flavors a user of a hub has, and how much of them is taken."""

import asyncio
import inspect
import logging
from collections.abc import Mapping
from typing import Final

from ..protocol.errors import ErrorCode, RoadsteadError
from ..protocol.servers import User
from ..protocol.systems import FlavorView
from .config import Allowance, FlavorSettings, SystemSettings, parse_flavors
from .rows import Usage

_LOG: Final = logging.getLogger(__name__)
_FUNCTION_SECONDS: Final = 10.0


async def flavors_for(system: str, settings: SystemSettings, hub: str, user: User) -> dict[str, FlavorSettings]:
    """The flavors of a system that this user of this hub may use.

    Raises RoadsteadError `system-down` when the site's flavor function fails: without its word nothing is allowed.
    """
    if isinstance(settings.flavors, Mapping):
        flavors = settings.flavors
    else:
        try:
            answer = settings.flavors(hub, user)
            if inspect.isawaitable(answer):
                answer = await asyncio.wait_for(answer, _FUNCTION_SECONDS)
            flavors = parse_flavors(answer)
        except Exception as error:
            _LOG.exception("The flavor function of system %s failed for hub %s.", system, hub)
            raise RoadsteadError(
                ErrorCode.SYSTEM_DOWN,
                f"The outpost could not find out which flavors {user.name} has on {system}.",
                "Try again in a minute; the site's operator finds the cause in the outpost's log.",
            ) from error
    return {name: flavor for name, flavor in flavors.items() if _permitted(flavor, hub, user)}


def _permitted(flavor: FlavorSettings, hub: str, user: User) -> bool:
    if flavor.hubs is not None and hub not in flavor.hubs:
        return False
    if flavor.users is None and flavor.groups is None:
        return True
    return user.name in (flavor.users or ()) or not set(user.groups).isdisjoint(flavor.groups or ())


def obstacle(allowance: Allowance, label: str, usage: Usage) -> RoadsteadError | None:
    """The limit that one more server would cross, as the error that says so."""
    per_user, overall = allowance.max_per_user, allowance.max
    for used, most in ((usage.user_hub, per_user.hub), (usage.user_all, per_user.all)):
        if most is not None and used >= most:
            return RoadsteadError(
                ErrorCode.USER_LIMIT,
                f"You may have {most} server{'' if most == 1 else 's'} {label} at once, and not one more.",
                "Stop one of your servers, or choose another flavor.",
            )
    if overall.hub is not None and usage.hub >= overall.hub:
        return RoadsteadError(
            ErrorCode.FLAVOR_FULL,
            _all_taken(overall.hub, label),
            "Choose another flavor or system, or try again later.",
        )
    if overall.all is not None and usage.all >= overall.all:
        return RoadsteadError(
            ErrorCode.FLAVOR_FULL,
            f"All places {label} at this site are taken.",
            "Choose another flavor or system, or try again later.",
        )
    return None


def _all_taken(places: int, label: str) -> str:
    match places:
        case 0:
            return f"There is no place {label} at the moment."
        case 1:
            return f"The one place {label} is taken."
        case _:
            return f"All {places} places {label} are taken."


def view(name: str, flavor: FlavorSettings, usage: Usage) -> FlavorView:
    """A flavor with the counts of this hub and this user."""
    refusal = obstacle(flavor, label(name, flavor), usage)
    return FlavorView(
        name=name,
        display_name=flavor.display_name or name,
        description=flavor.description,
        runtime=flavor.runtime,
        resources=flavor.resources,
        in_use=usage.hub,
        max=flavor.max.hub,
        in_use_by_user=usage.user_hub,
        max_per_user=flavor.max_per_user.hub,
        available=refusal is None,
        reason=refusal.body.message if refusal else "",
    )


def label(name: str, flavor: FlavorSettings | None) -> str:
    """How a flavor is named in a sentence."""
    return f"of the flavor '{(flavor.display_name if flavor else None) or name}'" if name else "without a flavor"
