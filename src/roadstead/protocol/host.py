"""Messages between an outpost and the host process of one system: one JSON object a line over a Unix socket pair.

Every operation is about a `key`, the name of an attempt that is unique over all hubs. The outpost may repeat any order:
the host answers the same again, for it keeps what it did until the outpost says `Forget`.
"""

from typing import Annotated, Final, Literal

from pydantic import Field, JsonValue, TypeAdapter

from .model import Message, Name, Progress, Text, TraitName, Url
from .servers import ServerRequest

MAX_LINE_BYTES: Final = 4_194_304
"""The longest line on the socket, in bytes."""

SpawnerState = dict[str, JsonValue]
"""What a Spawner's get_state() gave; it goes back into load_state() unread."""


class Job(Message):
    """All that a host needs to build the Spawner of an attempt."""

    key: str
    hub: Name
    server_id: str
    request: ServerRequest
    settings: dict[TraitName, JsonValue] = {}
    """Spawner settings of the app, the flavor and the allowed overrides, later ones winning, in this order."""
    state: SpawnerState = {}


class Start(Message):
    """Start this server. With `again` a start before it may have got anywhere: first end what it left behind."""

    type: Literal["start"] = "start"
    job: Job
    again: bool = False


class Resume(Message):
    """Take up a server that runs: load its state and watch it."""

    type: Literal["resume"] = "resume"
    job: Job


class Stop(Message):
    """Stop this server and whatever a start in progress has made; answered by Stopped when nothing is left."""

    type: Literal["stop"] = "stop"
    job: Job
    now: bool = False


class Forget(Message):
    """The end of this attempt is in the ledger; drop what is remembered of it."""

    type: Literal["forget"] = "forget"
    key: str


class Ping(Message):
    """Are you there? Answered at once by Pong, unless a Spawner blocks the loop."""

    type: Literal["ping"] = "ping"
    number: int


Order = Start | Resume | Stop | Forget | Ping
ORDER: Final[TypeAdapter[Order]] = TypeAdapter(Annotated[Order, Field(discriminator="type")])


class Ready(Message):
    """The Spawner class is loaded, its names keep hubs and servers apart, orders may come."""

    type: Literal["ready"] = "ready"
    spawner_class: str
    takes_up_starts: bool = False
    """A start that was cut off goes on where it was, so it may be begun again as often as need be."""


class Refused(Message):
    """This system cannot work as it is configured; the host ends after saying so."""

    type: Literal["refused"] = "refused"
    message: Text


class Pong(Message):
    """The answer to Ping."""

    type: Literal["pong"] = "pong"
    number: int
    watched: int = 0
    """How many servers this host watches."""
    oldest_poll: float = 0.0
    """Seconds since the least recently answered poll of a watched server."""


class Advanced(Message):
    """A line of progress of a start."""

    type: Literal["progress"] = "progress"
    key: str
    progress: Progress | None = None
    message: Text


class StateChanged(Message):
    """get_state() gives something new, also while the start goes on."""

    type: Literal["state"] = "state"
    key: str
    state: SpawnerState


class Started(Message):
    """start() came back."""

    type: Literal["started"] = "started"
    key: str
    url: Url
    state: SpawnerState
    api_token: str | None = None


class StartFailed(Message):
    """start() raised, and what it left has been stopped."""

    type: Literal["start-failed"] = "start-failed"
    key: str
    message: Text


class Resumed(Message):
    """A running server is watched again."""

    type: Literal["resumed"] = "resumed"
    key: str


class Ended(Message):
    """poll() said twice that the server is not running."""

    type: Literal["ended"] = "ended"
    key: str
    exit_code: int
    message: Text = ""
    """Why, in a sentence, where the class knows that."""


class Stopped(Message):
    """Nothing is left of this attempt: poll() says so after stop(), and no process carries its id."""

    type: Literal["stopped"] = "stopped"
    key: str


class StopFailed(Message):
    """stop() raised, hung, or the server still runs; the outpost will order it again."""

    type: Literal["stop-failed"] = "stop-failed"
    key: str
    message: Text


Report = (
    Ready | Refused | Pong | Advanced | StateChanged | Started | StartFailed | Resumed | Ended | Stopped | StopFailed
)
REPORT: Final[TypeAdapter[Report]] = TypeAdapter(Annotated[Report, Field(discriminator="type")])
