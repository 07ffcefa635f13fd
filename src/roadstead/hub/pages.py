"""What templates may ask about servers, as the variable `roadstead`."""

from datetime import UTC, datetime
from typing import Any, Final

from jupyterhub.utils import url_escape_path, url_path_join

from ..protocol.servers import ServerOptions, ServerState
from .options import last_options
from .records import Labels, Line, ServerRecord
from .responder import WAIT_PATH
from .spawner import RoadsteadSpawner
from .state import Attempt

EVENTS_PATH: Final = "api/roadstead/events"
STOP_PATH: Final = "roadstead/stop"
REMOVE_PATH: Final = "roadstead/remove"


def server_path(hub_base_url: str, path: str, user: Any, server_name: str) -> str:
    """The address of one of our pages about a server."""
    parts = [hub_base_url, path, user.escaped_name]
    if server_name:
        parts.append(url_escape_path(server_name))
    joined: str = url_path_join(*parts)
    return joined


class Pages:
    """The servers of a user, and one that is on its way, as mappings for templates."""

    def waiting(self, spawner: RoadsteadSpawner) -> dict[str, Any]:
        """A server that is starting: log, progress, state and where to go from here."""
        record = spawner.record
        lines = list(record.lines or ()) if record is not None else []
        base_url = spawner.hub.base_url
        return {
            "log": [line_for_page(line) for line in lines],
            "progress": max((line.progress for line in lines if line.progress is not None), default=0),
            "state": state_of(spawner),
            "message": message_of(spawner),
            "events_url": server_path(base_url, EVENTS_PATH, spawner.user, spawner.name),
            "stop_url": server_path(base_url, STOP_PATH, spawner.user, spawner.name),
            "next_url": spawner.user.server_url(spawner.name),
        }

    def servers(self, user: Any) -> list[dict[str, Any]]:
        """All servers of a user that ever ran or have a name, the default one first."""
        return [
            self._server(user, spawner)
            for spawner in user.all_spawners(include_default=True)
            if spawner.name or spawner.active or spawner.orm_spawner.last_activity is not None
        ]

    def _server(self, user: Any, spawner: Any) -> dict[str, Any]:
        live = spawner if isinstance(spawner, RoadsteadSpawner) else None
        attempt = live.attempt if live is not None else None
        record = live.record if live is not None and attempt is not None else None
        options = last_options(spawner.orm_spawner.user_options)
        state = state_of(live) if live is not None else "stopped"
        expires_at = record.expires_at if record is not None else None
        base_url = user.settings["hub"].base_url
        labels = _labels(user, attempt, record, options)
        return {
            "name": spawner.name,
            "title": getattr(spawner.orm_spawner, "display_name", "") or spawner.name,
            "system": labels.system,
            "app": labels.app,
            "flavor": labels.flavor,
            "state": state,
            "url": user.server_url(spawner.name),
            "wait_url": server_path(base_url, WAIT_PATH, user, spawner.name),
            "start_url": server_path(base_url, "spawn", user, spawner.name),
            "stop_url": server_path(base_url, STOP_PATH, user, spawner.name),
            "delete_url": server_path(base_url, REMOVE_PATH, user, spawner.name) if spawner.name else None,
            "expires_at": expires_at,
            "seconds_left": seconds_left(expires_at),
            "message": message_of(live) if live is not None else "",
            "options": options.model_dump(mode="json", exclude_defaults=True) if options is not None else {},
        }


def _labels(user: Any, attempt: Attempt | None, record: ServerRecord | None, options: ServerOptions | None) -> Labels:
    """What runs or ran where: as the outpost calls it, else by name."""
    if record is not None and record.labels is not None:
        return record.labels
    if attempt is not None:
        outpost, system, app, flavor = attempt.outpost, attempt.system, attempt.app, attempt.flavor
    else:
        options = options or ServerOptions()
        outpost, _, system = (options.system or "").rpartition("/")
        app, flavor = options.app, options.flavor
    named = f"{outpost}/{system}" if outpost else system
    # JupyterHub keeps no Spawner object of a named server that is stopped, but always one of the default server.
    mirror = user.spawner.mirror_at(outpost) if isinstance(user.spawner, RoadsteadSpawner) else None
    return mirror.titles.of(system, app, flavor, named) if mirror is not None else Labels(named, app, flavor)


def state_of(spawner: RoadsteadSpawner) -> str:
    """In a word for people: running, starting, stopping, stopped or failed."""
    record = spawner.record if spawner.attempt is not None else None
    if spawner.pending == "stop" or (record is not None and record.state is ServerState.STOPPING):
        return "stopping"
    if spawner.pending in ("spawn", "check") or spawner.waiting:
        return "starting"
    if spawner.ready:
        # While a start is cancelled JupyterHub takes the server as ready for a moment.
        return "running" if spawner.attempt is None or spawner.attempt.url is not None else "stopping"
    return "failed" if spawner.last_failure else "stopped"


def message_of(spawner: RoadsteadSpawner) -> str:
    """The one thing worth saying about a server: why it failed, what comes, what its outpost said last."""
    if spawner.last_failure and not spawner.active:
        return spawner.last_failure
    record = spawner.record if spawner.attempt is not None else None
    if record is None:
        return ""
    if record.running and not spawner.waiting:
        return record.warning
    return last_message(record)


def last_message(record: ServerRecord) -> str:
    """The newest line of the log."""
    return record.lines[-1].message if record.lines else ""


def line_for_page(line: Line) -> dict[str, Any]:
    """A line of the event log as templates and the event stream have it."""
    return {"at": line.at.isoformat(timespec="milliseconds"), "progress": line.progress, "message": line.message}


def seconds_left(expires_at: datetime | None) -> int | None:
    """Until a server's time is up, not below 0."""
    if expires_at is None:
        return None
    return max(0, round((expires_at - datetime.now(UTC)).total_seconds()))
