"""Sets in a JupyterHub configuration what RoadsteadSpawner needs, and refuses what would work against it."""

import asyncio
from typing import Any, Final

from traitlets.config import Config
from traitlets.config.loader import LazyConfigValue

from .form import TEMPLATES
from .handlers import HANDLERS
from .pages import Pages
from .registry import REGISTRY
from .settings import KEY, ConfigurationError, read_outposts
from .spawner import RoadsteadSpawner

START_TIMEOUT: Final = 30 * 86_400
"""Seconds. A start lasts as long as the outpost's queue; each system has its own limit there."""

POLL_INTERVAL: Final = 300
"""Seconds. The mirror tells JupyterHub of ends at once; polling is the second line only."""

_MIN_START_TIMEOUT: Final = 86_400
_FIRST_LOOK: Final = 5.0
"""Seconds after which a hub that starts looks what its outposts run, if no server or visitor had it look before."""


def configure(c: Config) -> None:
    """Prepare `c` for servers at outposts; to be called at the end of jupyterhub_config.py.

    Raises ConfigurationError with every setting that contradicts.
    """
    findings = [*_contradictions(c), *_outposts(c)]
    if findings:
        raise ConfigurationError(findings)
    hub, spawner = c.JupyterHub, c.RoadsteadSpawner
    if not isinstance(hub.get("spawner_class"), type):
        hub.spawner_class = RoadsteadSpawner
    hub.concurrent_spawn_limit = 0
    hub.cleanup_servers = False
    _default(c, ("JupyterHub",), "allow_named_servers", True)
    _default(c, ("JupyterHub",), "logo_file", str(TEMPLATES.parent / "static" / "logo.svg"))
    _default(c, ("RoadsteadSpawner", "Spawner"), "start_timeout", START_TIMEOUT)
    _default(c, ("RoadsteadSpawner", "Spawner"), "poll_interval", POLL_INTERVAL)
    spawner.consecutive_failure_limit = 0
    hub.template_paths = _with(_list(hub, "template_paths"), [str(TEMPLATES)])
    hub.template_vars = {**_dict(hub, "template_vars"), "roadstead": Pages()}
    hub.extra_handlers = _with(_list(hub, "extra_handlers"), HANDLERS)
    _watch_soon(c)


def _watch_soon(c: Config) -> None:
    """A hub that holds no server may have left one at an outpost, which nobody would notice before a visitor comes."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        # Not a hub that starts, but one of JupyterHub's commands, which reads the configuration only.
        return
    loop.call_later(_FIRST_LOOK, REGISTRY.watch, read_outposts(_dict(c.RoadsteadSpawner, "outposts")))


def _is_ours(value: Any) -> bool:
    return value == "roadstead.hub.RoadsteadSpawner" or (
        isinstance(value, type) and issubclass(value, RoadsteadSpawner)
    )


_HUB_RULES: Final = (
    ("spawner_class", _is_ours, "is set by configure(c); leave it out"),
    (
        "concurrent_spawn_limit",
        lambda value: value == 0,
        "must be 0: a start waits as long as the queue of its system, and waiting starts would use the limit up",
    ),
    ("cleanup_servers", lambda value: value is False, "must be False: servers outlive the hub's process"),
)
_SPAWNER_RULES: Final = (
    (
        "start_timeout",
        lambda value: value >= _MIN_START_TIMEOUT,
        "must be a day at least: queued starts are pending while they wait; outposts have a limit for each system",
    ),
    (
        "consecutive_failure_limit",
        lambda value: value == 0,
        "must be 0: an outpost that fails says nothing about this hub, which would end itself",
    ),
    ("options_form", lambda _: False, "has no effect: the start page is made from what the outposts offer"),
    ("options_from_form", lambda _: False, "has no effect: Roadstead reads its own form"),
)


def _contradictions(c: Config) -> list[str]:
    rules = [("JupyterHub", *rule) for rule in _HUB_RULES]
    rules += [(section, *rule) for section in ("Spawner", "RoadsteadSpawner") for rule in _SPAWNER_RULES]
    return [
        f"c.{section}.{name} {sentence}"
        for section, name, fits, sentence in rules
        if section in c and name in c[section] and not fits(c[section][name])
    ]


def _outposts(c: Config) -> list[str]:
    value = c.RoadsteadSpawner.get("outposts")
    if isinstance(value, LazyConfigValue):
        value = value.get_value({})
    if value is None:
        return [f"{KEY} is not set; set it before configure(c) is called"]
    try:
        read_outposts(value)
    except ConfigurationError as error:
        return list(error.findings)
    return []


def _default(c: Config, sections: tuple[str, ...], name: str, value: Any) -> None:
    if not any(section in c and name in c[section] for section in sections):
        c[sections[0]][name] = value


def _list(section: Any, name: str) -> list[Any]:
    value = section.get(name, [])
    return list(value.get_value([]) if isinstance(value, LazyConfigValue) else value)


def _with(present: list[Any], ours: list[Any]) -> list[Any]:
    return [*present, *(each for each in ours if each not in present)]


def _dict(section: Any, name: str) -> dict[str, Any]:
    value = section.get(name, {})
    return dict(value.get_value({}) if isinstance(value, LazyConfigValue) else value)
