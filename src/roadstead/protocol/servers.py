"""Servers on the wire: the hub's request, the outpost's view, the end and its reason."""

from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import Field, JsonValue, StringConstraints, model_validator

from .model import (
    AttemptId,
    EnvironmentName,
    EnvironmentValue,
    Message,
    Moment,
    Name,
    Progress,
    ServerName,
    ShortText,
    Text,
    TraitName,
    Url,
    UrlPath,
    UserName,
    bounded_json,
)

MAX_REQUEST_BYTES: Final = 1_048_576
"""The largest body of a request, in bytes."""

Pem = Annotated[str, StringConstraints(max_length=65_536, pattern=r"^\s*-----BEGIN [A-Z ]+-----")]


class ServerState(StrEnum):
    """Where an attempt is in its life; the table of moves is `roadstead.outpost.lifecycle`."""

    ACCEPTED = "accepted"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    ENDED = "ended"


class EndCode(StrEnum):
    """Why an attempt ended."""

    STOPPED = "stopped"
    """The hub asked for it."""
    EXITED = "exited"
    """The server's own process ended."""
    START_FAILED = "start-failed"
    """The Spawner said that it could not start the server."""
    START_TIMEOUT = "start-timeout"
    """The start took longer than the system's start_timeout."""
    RUNTIME_OVER = "runtime-over"
    """The flavor's runtime was used up."""
    FORGOTTEN = "forgotten"
    """The hub did not know the server any more."""


class End(Message):
    """The end of an attempt."""

    code: EndCode
    message: Text
    exit_code: int | None = None


class User(Message):
    """The user for whom a server is started, as the hub knows them."""

    name: UserName
    id: int | None = None
    groups: Annotated[list[ShortText], Field(max_length=1000)] = []
    admin: bool = False
    auth_state: Annotated[dict[str, JsonValue] | None, bounded_json(131_072)] = None
    """Sent only if the hub's configuration says so."""


class ServerOptions(Message):
    """What a person chooses: the only form of `user_options`, from start page, REST and the hub's database alike."""

    system: Annotated[str, StringConstraints(max_length=127, pattern=r"^(?:[a-z0-9-]+/)?[a-z0-9-]+$")] | None = None
    """At the hub 'outpost/system', or only 'system' where that is unambiguous; at the outpost 'system'."""
    app: Name | None = None
    flavor: Name | None = None
    overrides: Annotated[dict[TraitName, JsonValue], Field(max_length=50), bounded_json(65_536)] = {}
    """Spawner settings for this server alone; the outpost's allow list decides."""


class HubAddress(Message):
    """How a server, and a Spawner that acts for it, finds the hub."""

    api_url: Url
    base_url: UrlPath
    public_host: Annotated[str, StringConstraints(max_length=2000)] = ""


class Certificates(Message):
    """JupyterHub's internal_ssl material for one server, as PEM."""

    keyfile: Pem
    certfile: Pem
    cafile: Pem
    trust_bundles: Annotated[dict[ShortText, Pem], Field(max_length=20)] = {}


class ServerRequest(Message):
    """One attempt to start a server, as the hub asks for it; the same id and body again are the same request."""

    user: User
    server_name: ServerName = ""
    options: ServerOptions
    environment: Annotated[dict[EnvironmentName, EnvironmentValue], Field(max_length=100)] = {}
    """The hub's JUPYTERHUB_* variables for this server, its API token among them."""
    hub: HubAddress
    base_url: UrlPath
    """The path of the server behind the hub's proxy, with a trailing slash."""
    oauth_client_id: ShortText
    oauth_access_scopes: Annotated[list[Text], Field(max_length=50)] = []
    oauth_client_allowed_scopes: Annotated[list[Text], Field(max_length=200)] = []
    certificates: Certificates | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if sum(len(key) + len(value) for key, value in self.environment.items()) > 262_144:
            raise ValueError("the environment must not be larger than 262144 characters")
        foreign = [key for key in self.environment if not key.startswith(("JUPYTERHUB_", "JPY_", "ROADSTEAD_"))]
        if foreign:
            raise ValueError(f"the environment may carry JUPYTERHUB_* variables only, not {foreign[0]}")
        return self


class Titles(Message):
    """What people call the choices of a server."""

    system: ShortText
    app: ShortText | None = None
    flavor: ShortText | None = None


class ServerView(Message):
    """An attempt as the outpost knows it. Secrets are never part of it."""

    id: AttemptId
    user: UserName
    server_name: ServerName
    system: Name
    app: Name | None = None
    flavor: Name | None = None
    titles: Titles
    state: ServerState
    url: Url | None = None
    """Where the server listens, as the Spawner says; known from `running` on."""
    api_token: str | None = None
    """Only where a Spawner resumed a server that has a token of its own (DockerSpawner with `remove` off)."""
    stop_requested: bool = False
    accepted_at: Moment
    running_at: Moment | None = None
    expires_at: Moment | None = None
    """When the flavor's runtime is used up."""
    ended_at: Moment | None = None
    end: End | None = None


class ServerPage(Message):
    """One page of servers, in the order of their ids."""

    servers: list[ServerView]
    next: AttemptId | None = None
    """Pass it as `after` to get the next page; null on the last."""
    seq: int
    """The newest event of this hub when the page was read: stream from the *first* page's number to miss nothing."""


class KnownServers(Message):
    """All attempts that the hub still holds; whatever else of this hub lives is ended after a grace period."""

    ids: Annotated[list[AttemptId], Field(max_length=200_000)]


class KnownAnswer(Message):
    """What the outpost makes of a list of known servers."""

    unknown_here: list[AttemptId]
    """Ids that the hub holds and the outpost never heard of, or has ended."""
    will_end: list[AttemptId]
    """Live attempts that the hub did not name; they end when they are still not named after the grace period."""


class ProgressLine(Message):
    """One line of a server's event log."""

    at: Moment
    progress: Progress | None = None
    message: Text
