"""Builds what the hub asks of an outpost, from what JupyterHub has prepared on a Spawner object."""

from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import ValidationError

from ..protocol.errors import ErrorCode, RoadsteadError
from ..protocol.servers import Certificates, HubAddress, ServerOptions, ServerRequest, User
from .settings import OutpostSettings

_HOSTS: Final = frozenset(
    {
        "JUPYTERHUB_SERVICE_URL",
        "JUPYTERHUB_SSL_CERTFILE",
        "JUPYTERHUB_SSL_CLIENT_CA",
        "JUPYTERHUB_SSL_KEYFILE",
    }
)
"""Variables that only the side can know on which the server runs."""


def build_user(spawner: Any, auth_state: dict[str, Any] | None) -> User:
    """The user of a Spawner. Raises RoadsteadError `bad-request` for one whom outposts cannot take."""
    user = spawner.user
    try:
        return User(
            name=user.name,
            id=user.id,
            groups=[group.name for group in user.groups],
            admin=bool(user.admin),
            auth_state=auth_state,
        )
    except ValidationError as error:
        raise _unusable("user", error) from None


def build_request(
    spawner: Any,
    settings: OutpostSettings,
    options: ServerOptions,
    user: User,
    certificates: Certificates | None,
) -> ServerRequest:
    """The request for one attempt; `options.system` is the outpost's own name of it. Raises RoadsteadError."""
    environment = _environment(spawner, settings)
    api_url = environment["JUPYTERHUB_API_URL"]
    if urlsplit(api_url).scheme not in ("http", "https"):
        raise RoadsteadError(
            ErrorCode.BAD_REQUEST,
            "Servers cannot reach this hub: it listens on a Unix socket.",
            "Those who run it have to set hub_api_url for this outpost.",
        )
    client = spawner.orm_spawner.oauth_client
    try:
        return ServerRequest(
            user=user,
            server_name=spawner.name,
            options=options,
            environment=environment,
            hub=HubAddress(api_url=api_url, base_url=spawner.hub.base_url, public_host=spawner.hub.public_host),
            base_url=spawner.server.base_url,
            oauth_client_id=spawner.oauth_client_id,
            oauth_access_scopes=list(spawner.oauth_access_scopes),
            oauth_client_allowed_scopes=list(client.allowed_scopes or ()) if client is not None else [],
            certificates=certificates,
        )
    except ValidationError as error:
        raise _unusable("server", error) from None


def read_certificates(paths: dict[str, str], trust_bundles: dict[str, str]) -> Certificates:
    """The certificates that JupyterHub has made for a server. Reads files: not for the event loop."""
    return Certificates(
        keyfile=Path(paths["keyfile"]).read_text(encoding="ascii"),
        certfile=Path(paths["certfile"]).read_text(encoding="ascii"),
        cafile=Path(paths["cafile"]).read_text(encoding="ascii"),
        trust_bundles={name: Path(path).read_text(encoding="ascii") for name, path in trust_bundles.items()},
    )


def _environment(spawner: Any, settings: OutpostSettings) -> dict[str, str]:
    """The hub's own variables for a server; what a site puts into environments is the outpost's to say."""
    environment = {
        name: str(value)
        for name, value in spawner.get_env().items()
        if name.startswith(("JUPYTERHUB_", "JPY_")) and name not in _HOSTS
    }
    if settings.hub_api_url is not None:
        here, there = environment["JUPYTERHUB_API_URL"], settings.hub_api_url.rstrip("/")
        environment["JUPYTERHUB_API_URL"] = there
        environment["JUPYTERHUB_ACTIVITY_URL"] = there + environment["JUPYTERHUB_ACTIVITY_URL"].removeprefix(here)
    return environment


def _unusable(what: str, error: ValidationError) -> RoadsteadError:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return RoadsteadError(
        ErrorCode.BAD_REQUEST,
        f"This {what} cannot be handed to an outpost: {where} {first['msg'].removeprefix('Value error, ')}.",
        "Those who run this hub can help." if what == "user" else "Give the server another name.",
    )
