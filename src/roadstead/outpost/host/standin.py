"""What a Spawner class reads of the hub that it does not run in: user, hub, server, database and authenticator.

Each stands in for what JupyterHub would pass, with the hub's own values. What an outpost cannot know is not there, and
asking for it says so in a sentence; the manual has the list.
"""

from typing import Any, Final
from urllib.parse import urlsplit

from jupyterhub import objects, orm
from jupyterhub.utils import url_escape_path, url_path_join

from ...protocol.host import Job
from ...protocol.servers import HubAddress


class _Absent:
    """Says what is missing when a Spawner asks for more than an outpost has."""

    _what: str
    _offers: str

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"At an outpost {self._what} has no {name!r}; it offers {self._offers}.")


class Group:
    """A group of the user, for group_overrides and hooks."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"Group({self.name!r})"


class DatabaseStandIn(_Absent):
    """There is no database: what a Spawner commits is its state, which the host reads by itself."""

    _what = "the database session"
    _offers = "commit, flush, rollback, refresh and expire, which do nothing"

    def commit(self) -> None:
        """Nothing to commit."""

    def flush(self) -> None:
        """Nothing to flush."""

    def rollback(self) -> None:
        """Nothing to take back."""

    def refresh(self, instance: Any) -> None:
        """What a Spawner holds is as fresh as it gets."""

    def expire(self, instance: Any) -> None:
        """What a Spawner holds is as fresh as it gets."""


class AuthenticatorStandIn(_Absent):
    """The hub's authenticator stays at the hub, which ran its pre_spawn_start already."""

    _what = "the authenticator"
    _offers = "enable_auth_state, refresh_pre_spawn and refresh_pre_stop"

    enable_auth_state = True
    refresh_pre_spawn = False
    refresh_pre_stop = False


class UserStandIn(_Absent):
    """The user as the hub sent them."""

    _what = "the user"
    _offers = (
        "name, id, admin, groups, url, base_url, escaped_name, settings, authenticator, "
        "get_auth_state() and server_url()"
    )

    def __init__(self, job: Job, hub: Any, config: Any) -> None:
        user = job.request.user
        self.name = user.name
        self.id = user.id
        self.admin = user.admin
        self.groups = [Group(name) for name in user.groups]
        self.escaped_name = url_escape_path(user.name)
        self.base_url = self.url = _user_path(job.request.base_url, job.request.server_name)
        self.authenticator = AUTHENTICATOR
        self.settings = {
            "hub": hub,
            "base_url": hub.base_url.removesuffix("hub/"),
            "config": config,
            "internal_ssl": job.request.certificates is not None,
        }
        self._auth_state = user.auth_state

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    async def get_auth_state(self) -> dict[str, Any] | None:
        """What the hub's authenticator remembers of the user, if the hub sends it."""
        return self._auth_state

    def learn_auth_state(self, auth_state: dict[str, Any] | None) -> None:
        """It may hold secrets: it is here while the server starts or stops, and None in between."""
        self._auth_state = auth_state

    def server_url(self, server_name: str = "") -> str:
        """The path of one of the user's servers."""
        return str(url_path_join(self.url, url_escape_path(server_name), "/")) if server_name else self.url


def _user_path(base_url: str, server_name: str) -> str:
    suffix = f"/{url_escape_path(server_name)}/"
    return base_url.removesuffix(suffix) + "/" if server_name and base_url.endswith(suffix) else base_url


DATABASE: Final = DatabaseStandIn()
AUTHENTICATOR: Final = AuthenticatorStandIn()


class Hubs:
    """The hubs that have asked, one object for all servers of a hub with the same address."""

    def __init__(self) -> None:
        self._hubs: dict[tuple[str, str, str], Any] = {}

    def at(self, address: HubAddress) -> Any:
        key = (address.api_url, address.base_url, address.public_host)
        if key not in self._hubs:
            self._hubs[key] = _hub(address)
        return self._hubs[key]


class _Hub(objects.Hub):  # type: ignore[misc]
    """JupyterHub makes the API's address from other parts; here it is what the hub says."""

    exact_api_url = ""

    @property
    def api_url(self) -> str:
        return self.exact_api_url


def _hub(address: HubAddress) -> Any:
    url = urlsplit(address.api_url)
    hub = _Hub(
        proto=url.scheme,
        ip=url.hostname or "",
        port=url.port or (443 if url.scheme == "https" else 80),
        base_url=address.base_url,
        public_host=address.public_host,
        routespec=address.base_url,
    )
    hub.connect_url = address.api_url.removesuffix("/").removesuffix("/api") + "/"
    hub.exact_api_url = address.api_url.removesuffix("/")
    return hub


def orm_spawner(job: Job) -> Any:
    """JupyterHub's row of a server, in memory only and complete, for defaults would be set by a database."""
    server = orm.Server(proto="http", ip="", port=0, base_url=job.request.base_url, cookie_name="cookie")
    columns: dict[str, Any] = {"name": job.request.server_name, "server": server, "state": {}, "user_options": {}}
    if hasattr(orm.Spawner, "display_name"):
        columns["display_name"] = job.request.server_name
    return orm.Spawner(**columns)
