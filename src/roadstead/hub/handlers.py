"""The few addresses below the hub's path that JupyterHub does not have: start, wait, stop, remove, events, files."""

import asyncio
import json
from typing import Any, Final
from urllib.parse import urlsplit

from jupyterhub.apihandlers.base import APIHandler
from jupyterhub.apihandlers.users import UserServerAPIHandler
from jupyterhub.handlers.base import BaseHandler
from jupyterhub.handlers.static import CacheControlStaticFilesHandler
from jupyterhub.scopes import needs_scope
from jupyterhub.utils import url_path_join
from pydantic import TypeAdapter, ValidationError
from tornado import web
from tornado.iostream import StreamClosedError

from ..protocol.errors import RoadsteadError
from ..protocol.model import ServerName
from . import form
from .form import TEMPLATES
from .options import options_from_form
from .pages import EVENTS_PATH, REMOVE_PATH, STOP_PATH, Pages, line_for_page, message_of, server_path, state_of
from .responder import WAIT_PATH
from .spawner import RoadsteadSpawner

START_PATH: Final = "roadstead/start"
_STOP_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = (0.25, 5.0)
"""How often to look at what JupyterHub knows: when that alone is missing, and otherwise."""
_KEEPALIVE_SECONDS: Final = 5.0
"""An event, for a comment does not reach the page: a proxy may hold a connection open behind which the hub is gone."""
_SERVER_NAME: Final[TypeAdapter[str]] = TypeAdapter(ServerName)
_PAGES: Final = Pages()


class _UserHandler(BaseHandler):  # type: ignore[misc]
    """Finds the user and the server that an address names."""

    def user_named(self, user_name: str) -> Any:
        user = self.find_user(user_name)
        if user is None:
            raise web.HTTPError(404, "There is no such user.")
        return user

    def spawner_named(self, user_name: str, server_name: str) -> RoadsteadSpawner:
        user = self.user_named(user_name)
        if server_name and server_name not in user.orm_user.orm_spawners:
            raise web.HTTPError(404, "There is no such server.")
        spawner = user.spawners[server_name]
        if not isinstance(spawner, RoadsteadSpawner):
            raise web.HTTPError(404, "This server does not run at an outpost.")
        return spawner


class StartHandler(_UserHandler):
    """The start page of a server that may be given a name, and where the filled-in page goes."""

    @web.authenticated
    async def get(self) -> None:
        """An empty page, also when the default server runs."""
        await self._page(self.get_argument("user", None) or self.current_user.name, "")

    @web.authenticated
    async def post(self) -> None:
        """Check the name; JupyterHub's own handler takes the same form from there."""
        await self._take(self.get_argument("user", None) or self.current_user.name)

    @needs_scope("servers")  # type: ignore[untyped-decorator]
    async def _take(self, user_name: str) -> None:
        user = self.user_named(user_name)
        name = self.get_argument("name", "").strip()
        problem = self._problem(user, name)
        if problem:
            self.set_status(400)
            await self._page(user_name, name, problem)
            return
        self.redirect(server_path(self.hub.base_url, "spawn", user, name), status=307)

    def _problem(self, user: Any, name: str) -> str:
        if name and not self.allow_named_servers:
            return "This hub has one server for each user; leave the name empty."
        if not _fits(name):
            return (
                f"'{name[:60]}' cannot be a name: take small letters, digits and single hyphens, beginning with a"
                " letter, at most 30; for example my-analysis."
            )
        spawner = user.spawners[name] if name in user.orm_user.orm_spawners else None
        if spawner is not None and spawner.active:
            called = f"A server called '{name}'" if name else "Your main server"
            return f"{called} is already there. Give the new one another name, or stop that one first."
        return ""

    @needs_scope("servers")  # type: ignore[untyped-decorator]
    async def _page(self, user_name: str, server_name: str, problem: str = "") -> None:
        user = self.user_named(user_name)
        spawner = user.spawner
        if self.request.method == "POST":
            self._keep(user, server_name)
        page = await self.render_template(
            "spawn.html",
            for_user=user,
            auth_state=await user.get_auth_state(),
            spawner_options_form=await spawner.start_form(self.get_argument("next", "")),
            error_message=problem,
            html_error_message="",
            url=self.request.uri,
            spawner=spawner,
        )
        self.finish(page)

    def _keep(self, user: Any, server_name: str) -> None:
        fields = {
            key: [value.decode("utf-8", "replace") for value in values]
            for key, values in self.request.body_arguments.items()
        }
        try:
            form.remember_name(user, server_name, options_from_form(fields, {}))
        except RoadsteadError:
            return


def _fits(name: str) -> bool:
    try:
        _SERVER_NAME.validate_python(name)
    except ValidationError:
        return False
    try:
        from jupyterhub.slugs import is_valid_safe_slug
    except ImportError:
        # JupyterHub 5 takes any name without a slash.
        return True
    return not name or bool(is_valid_safe_slug(name))


class WaitHandler(_UserHandler):
    """Where people wait for a server that JupyterHub takes as ready since its restart, and the responder sends them."""

    @web.authenticated
    async def get(self, user_name: str, server_name: str | None = None) -> None:
        """The waiting page; when there is nothing to wait for, on to the server or home."""
        await self._get(user_name, server_name or self._server_of_next(user_name))

    @needs_scope("servers")  # type: ignore[untyped-decorator]
    async def _get(self, user_name: str, server_name: str) -> None:
        spawner = self.spawner_named(user_name, server_name)
        state = state_of(spawner)
        if state == "running":
            self.redirect(self.get_next_url(spawner.user, default=spawner.user.server_url(server_name)))
            return
        if state in ("stopped", "stopping"):
            self.redirect(url_path_join(self.hub.base_url, "home"))
            return
        mirror = spawner.mirror_of(spawner.attempt) if spawner.attempt is not None else None
        if mirror is not None and spawner.record is not None:
            await mirror.complete_log(spawner.record)
        waiting = _PAGES.waiting(spawner)
        if state == "failed":
            waiting["log"] = waiting["log"] or [{"at": "", "progress": None, "message": waiting["message"]}]
        self.finish(
            await self.render_template("roadstead/wait.html", server_name=server_name, spawner=spawner, **waiting)
        )

    def _server_of_next(self, user_name: str) -> str:
        """The server whose page somebody wanted: like JupyterHub, the first part of the path if it names one."""
        user = self.find_user(user_name)
        if user is None:
            return ""
        path = urlsplit(self.get_argument("next", "")).path
        below = path.removeprefix(user.base_url)
        first = below.split("/", 1)[0] if below != path else ""
        return first if first and first in user.orm_user.orm_spawners else ""


class StopHandler(UserServerAPIHandler):  # type: ignore[misc]
    """Stops exactly the named server from a form; JupyterHub's own code does it."""

    SUPPORTED_METHODS = ("POST",)
    remove = False
    _accept_token_auth = False

    def check_post_content_type(self) -> bool:
        """Forms are what comes here; the `_xsrf` field, which is always checked, tells whose."""
        return True

    def get_content_type(self) -> str:
        return "text/html"

    def get_json_body(self) -> dict[str, bool]:
        """What JupyterHub's handler reads from a request with a body."""
        return {"remove": self.remove}

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """A page rather than JSON."""
        BaseHandler.write_error(self, status_code, **kwargs)

    async def post(self, user_name: str, server_name: str | None = None) -> None:
        """Stop, look for a moment whether that is done already, and go home."""
        stopping = asyncio.ensure_future(self.delete(user_name, server_name or ""))
        done, _ = await asyncio.wait({stopping}, timeout=_STOP_SECONDS)
        if done:
            stopping.result()
        else:
            stopping.add_done_callback(self._tell)
        self.redirect(url_path_join(self.hub.base_url, "home"), status=303)

    def _tell(self, stopping: asyncio.Future[Any]) -> None:
        if not stopping.cancelled() and (error := stopping.exception()) is not None:
            self.log.error("Stopping a server failed after its form was answered: %s", error)


class RemoveHandler(StopHandler):
    """Takes a stopped server with a name off the list."""

    remove = True


class EventsHandler(APIHandler, _UserHandler):  # type: ignore[misc]
    """The event log of one server as a stream: replayed, followed to its end; works in every state of the server."""

    def get_content_type(self) -> str:
        return "text/event-stream"

    @needs_scope("read:servers")  # type: ignore[untyped-decorator]
    async def get(self, user_name: str, server_name: str = "") -> None:
        """Lines as they come, then `ready` or `failed`."""
        spawner = self.spawner_named(user_name, server_name or "")
        self.set_header("Cache-Control", "no-cache")
        self.set_header("X-Accel-Buffering", "no")
        try:
            await self._follow(spawner)
        except StreamClosedError:
            raise web.Finish from None

    async def _follow(self, spawner: RoadsteadSpawner) -> None:
        seen, silent = 0, 0.0
        await self._say(": following\n\n")
        if spawner.attempt is not None and spawner.record is not None:
            mirror = spawner.mirror_of(spawner.attempt)
            if mirror is not None:
                await mirror.complete_log(spawner.record)
        while True:
            record, state = spawner.record, state_of(spawner)
            version = record.version if record is not None else 0
            for line in record.lines_after(seen) if record is not None else ():
                seen, silent = line.number, 0.0
                await self._event(line_for_page(line))
            if state == "running":
                await self._event({"ready": True, "progress": 100, "url": spawner.user.server_url(spawner.name)})
                return
            if state in ("failed", "stopped"):
                await self._event({"failed": True, "message": message_of(spawner) or "The server was stopped."})
                return
            mirror = spawner.mirror_of(spawner.attempt) if spawner.attempt is not None else None
            pause = _LOOK_SECONDS[0 if record is None or record.running else 1]
            if record is not None and mirror is not None:
                await mirror.changed(record, version, pause)
            else:
                await asyncio.sleep(pause)
            silent += pause
            if silent >= _KEEPALIVE_SECONDS:
                silent = 0.0
                await self._say("event: keepalive\ndata: {}\n\n")

    async def _event(self, data: dict[str, Any]) -> None:
        await self._say(f"data: {json.dumps(data)}\n\n")

    async def _say(self, text: str) -> None:
        self.write(text)
        await self.flush()


_NAMED: Final = r"/(?P<user_name>[^/]+)(?:/(?P<server_name>[^/]*))?"

HANDLERS: Final[list[tuple[Any, ...]]] = [
    (rf"/{START_PATH}", StartHandler),
    (rf"/{WAIT_PATH}{_NAMED}", WaitHandler),
    (rf"/{STOP_PATH}{_NAMED}", StopHandler),
    (rf"/{REMOVE_PATH}{_NAMED}", RemoveHandler),
    (rf"/{EVENTS_PATH}{_NAMED}", EventsHandler),
    (r"/roadstead/static/(.*)", CacheControlStaticFilesHandler, {"path": str(TEMPLATES.parent / "static")}),
]
"""For `c.JupyterHub.extra_handlers`."""
