"""Whether a request is admitted: system, app, flavor, overrides and limits, decided on one reading of the ledger."""

from dataclasses import dataclass
from typing import Any

from ..protocol.errors import ErrorCode, RoadsteadError
from ..protocol.servers import ServerRequest, Titles
from .config import Allowance, AppSettings, OutpostSettings, SystemSettings
from .flavors import flavors_for, label, obstacle
from .overrides import check_overrides
from .rows import Usage


@dataclass(frozen=True, slots=True)
class Grant:
    """What a request gets, before its limits are counted."""

    system: str
    app: str | None
    flavor: str | None
    titles: Titles
    allowance: Allowance
    label: str
    settings: dict[str, Any]
    start_timeout: int

    @property
    def limited(self) -> bool:
        """Whether there is any limit to be counted against."""
        limits = (self.allowance.max, self.allowance.max_per_user)
        return any(most is not None for limit in limits for most in (limit.hub, limit.all))

    def count(self, usage: dict[str | None, Usage]) -> None:
        """Raises RoadsteadError when one more server would cross a limit."""
        refusal = obstacle(self.allowance, self.label, usage.get(self.flavor, Usage()))
        if refusal:
            raise refusal


async def examine(outpost: OutpostSettings, hub: str, request: ServerRequest) -> Grant:
    """Check everything that needs no count. Raises RoadsteadError with what is offered instead."""
    options = request.options
    name, system = _system(outpost, hub, options.system)
    app_name, app = _app(name, system, options.app)
    flavor_name, allowance, title = await _allowance(name, system, hub, request)
    check_overrides(system.overrides, options.overrides, name)
    return Grant(
        system=name,
        app=app_name,
        flavor=flavor_name,
        titles=Titles(
            system=system.display_name or name,
            app=(app.display_name if app else None) or app_name,
            flavor=getattr(allowance, "display_name", None) or flavor_name,
        ),
        allowance=allowance,
        label=title,
        settings=(app.settings if app else {}) | _flavor_settings(allowance) | options.overrides,
        start_timeout=system.start_timeout,
    )


def _flavor_settings(allowance: Allowance) -> dict[str, Any]:
    return getattr(allowance, "spawner_settings", allowance.settings)


def _system(outpost: OutpostSettings, hub: str, name: str | None) -> tuple[str, SystemSettings]:
    offered = sorted(system for system in outpost.systems if hub in outpost.hubs_of(system))
    if name is None and len(offered) == 1:
        name = offered[0]
    if name is None or name not in offered:
        complaint = "The request names no system." if name is None else f"There is no system '{name}' here."
        raise RoadsteadError(ErrorCode.SYSTEM_UNKNOWN, complaint, f"Systems: {', '.join(offered) or 'none'}.")
    return name, outpost.systems[name]


def _app(name: str, system: SystemSettings, app: str | None) -> tuple[str | None, AppSettings | None]:
    if app is None:
        return next(iter(system.apps.items()), (None, None))
    if app not in system.apps:
        raise RoadsteadError(
            ErrorCode.APP_UNKNOWN,
            f"The system '{name}' has no app '{app}'.",
            f"Apps: {', '.join(system.apps) or 'none; leave it out'}.",
        )
    return app, system.apps[app]


async def _allowance(
    name: str, system: SystemSettings, hub: str, request: ServerRequest
) -> tuple[str | None, Allowance, str]:
    wanted = request.options.flavor
    if wanted is None:
        if system.flavor_required:
            raise RoadsteadError(
                ErrorCode.FLAVOR_REQUIRED, f"The system '{name}' starts servers with a flavor only.", "Choose a flavor."
            )
        return None, system.without_flavor or Allowance(), label("", None)
    flavors = await flavors_for(name, system, hub, request.user)
    if wanted not in flavors:
        raise RoadsteadError(
            ErrorCode.FLAVOR_UNKNOWN,
            f"{request.user.name} has no flavor '{wanted}' on '{name}'.",
            f"Flavors: {', '.join(flavors) or 'none'}.",
        )
    return wanted, flavors[wanted], label(wanted, flavors[wanted])
