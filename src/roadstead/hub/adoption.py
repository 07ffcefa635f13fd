"""Takes up again, after a restart of the hub, what was starting or running before.

JupyterHub's check at its start is answered by the responder. A server that had been reached before is at its own
address again as soon as the check is over; one that was still on its way is followed here until it runs or has ended.
The detour is `Server.connect_url`, which lives in memory only: the database keeps the true address all the time.
"""

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from jupyterhub.utils import make_ssl_context, utcnow
from tornado.log import app_log

from . import responder
from .ending import commit, end_attempt
from .starting import NotStartedError, until_reached

if TYPE_CHECKING:
    from .spawner import RoadsteadSpawner
    from .state import Attempt

_ACTIVITY_SECONDS: Final = 60.0
_STARTING_SECONDS: Final = 120.0
"""A hub takes no longer to start."""
_PROXY_PAUSES: Final = (0.5, 30.0)

_listening: list[responder.Responder] = []


class Adoption:
    """One server that this process did not start itself."""

    def __init__(self, spawner: "RoadsteadSpawner", attempt: "Attempt") -> None:
        self._spawner = spawner
        self._attempt = attempt
        self._begun = asyncio.get_running_loop().time()
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> bool:
        """The route leads to the waiting page as long as this is so."""
        return self._attempt.url is None

    def settle(self) -> None:
        """The check is over: the server is where it was, or is followed until it is somewhere."""
        if self._attempt.url is not None:
            self._spawner.server.connect_url = ""
            return
        self._task = asyncio.get_running_loop().create_task(self._finish(), name=f"roadstead adopts {self._attempt.id}")

    def cancel(self) -> None:
        """Follow it no more."""
        if self._task is not None:
            self._task.cancel()

    async def remove_route(self) -> None:
        """The server is over: while a hub starts, JupyterHub's check of all routes may have put this one back."""
        if asyncio.get_running_loop().time() - self._begun < _STARTING_SECONDS and self._spawner.server is None:
            with contextlib.suppress(Exception):
                await self._spawner.user.settings["proxy"].delete_user(self._spawner.user, self._spawner.name)

    async def _finish(self) -> None:
        activity = asyncio.get_running_loop().create_task(self._keep_active())
        try:
            url = await until_reached(self._spawner, self._attempt)
        except NotStartedError as failure:
            self._spawner.last_failure = str(failure)
            await end_attempt(self._spawner, self._attempt)
            # Not told from this task: JupyterHub's stop cancels it.
            self._spawner.attempt_over()
            return
        finally:
            activity.cancel()
        # Its check of all routes sets this one to the responder; of two that are set at once, either may be the last.
        await until_hub_started(self._spawner)
        self._attempt.url = url
        set_address(self._spawner, url)
        await self._add_route()

    async def _add_route(self) -> None:
        pause, longest = _PROXY_PAUSES
        user, name = self._spawner.user, self._spawner.name
        while self._spawner.server is not None and self._spawner.pending != "stop":
            try:
                await user.settings["proxy"].add_user(user, name)
                return
            except Exception:  # noqa: BLE001 - a proxy class may raise anything; the route must come all the same
                app_log.exception("The route of %s could not be set yet.", self._spawner.log_name)
            await asyncio.sleep(pause)
            pause = min(2 * pause, longest)

    async def _keep_active(self) -> None:
        """A server that waits for its turn is not idle; whoever ends idle servers looks at this moment."""
        while True:
            self._spawner.orm_spawner.last_activity = utcnow(with_tz=False)
            commit(self._spawner)
            await asyncio.sleep(_ACTIVITY_SECONDS)


async def until_hub_started(spawner: "RoadsteadSpawner") -> None:
    """Wait until JupyterHub's own start is over.

    Its last step sets the routes of all servers that it takes as running. One that goes away in the middle of that
    would end the hub's process. JupyterHub says nowhere public when it is over; in a release that names its own mark of
    that otherwise, this comes back at once.
    """
    started = getattr(spawner.user.settings.get("app"), "_start_future", None)
    if started is not None:
        await asyncio.wait({started})


def set_address(spawner: "RoadsteadSpawner", url: str) -> None:
    """Make `url` the server's address, in memory and in the database, and store the state that goes with it."""
    parts = urlsplit(url)
    server = spawner.server
    if server is None or parts.hostname is None:
        return
    server.proto = parts.scheme
    server.ip = parts.hostname
    server.port = parts.port or (443 if parts.scheme == "https" else 80)
    server.connect_url = ""
    spawner.orm_spawner.state = spawner.get_state()
    commit(spawner)


def responder_address(spawner: "RoadsteadSpawner") -> str:
    """The address of this hub's responder, which begins to listen when it is first asked for. Raises OSError."""
    if not _listening:
        _listening.append(_listen(spawner, spawner.responder_port))
        app_log.info("Servers that are still on their way are answered for at %s", _listening[0].address)
    return _listening[0].address


def _listen(spawner: "RoadsteadSpawner", port: int) -> responder.Responder:
    hub = spawner.hub
    on_socket = urlsplit(hub.url).scheme not in ("http", "https")
    ip = spawner.responder_ip or ("127.0.0.1" if on_socket else hub.ip)
    connect_ip = spawner.responder_connect_ip or (ip if on_socket else urlsplit(hub.url).hostname)
    try:
        return responder.listen(
            ip,
            port,
            connect_ip=connect_ip,
            base_url=hub.base_url.removesuffix("hub/"),
            hub_url=hub.public_host + hub.base_url,
            trust=_hub_certificate(spawner),
        )
    except OSError as error:
        if not port:
            raise
        app_log.error("Port %d of responder_port cannot be used (%s); taking any free one.", port, error.strerror)
        return _listen(spawner, 0)


def _hub_certificate(spawner: "RoadsteadSpawner") -> ssl.SSLContext | None:
    """What the hub itself listens with under internal_ssl."""
    settings: dict[str, Any] = spawner.user.settings
    if not settings.get("internal_ssl"):
        return None
    context: ssl.SSLContext = make_ssl_context(
        settings["internal_ssl_key"],
        settings["internal_ssl_cert"],
        cafile=settings["internal_ssl_ca"],
        purpose=ssl.Purpose.CLIENT_AUTH,
    )
    return context
