"""Events on the stream that the hub opens: server-sent events, numbered per hub, resumable.

On the wire (https://html.spec.whatwg.org/multipage/server-sent-events.html) `id` is the event's number, `event` its
type and `data` the model as JSON. A comment line is sent every few seconds so that silence means a broken connection.
"""

from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter

from .model import AttemptId, Message, Moment, Progress, ServerName, Text, Url, UserName
from .servers import End, ServerState

KEEPALIVE_SECONDS: Final = 10
"""How often the outpost sends a comment line on a silent stream."""


class _ServerEvent(Message):
    seq: Annotated[int, Field(ge=0)]
    at: Moment
    server_id: AttemptId


class StateEvent(_ServerEvent):
    """A server came into a new state; all that the hub needs of it is in the event."""

    type: Literal["state"] = "state"
    user: UserName
    server_name: ServerName
    state: ServerState
    url: Url | None = None
    api_token: str | None = None
    expires_at: Moment | None = None
    end: End | None = None


class ProgressEvent(_ServerEvent):
    """A line for the server's event log."""

    type: Literal["progress"] = "progress"
    progress: Progress | None = None
    message: Text


class WarningEvent(_ServerEvent):
    """A server will be stopped soon."""

    type: Literal["warning"] = "warning"
    message: Text
    expires_at: Moment


class ResetEvent(Message):
    """The outpost cannot continue from the number given: list all servers, then stream from the list's `seq`."""

    type: Literal["reset"] = "reset"
    seq: int


Event = StateEvent | ProgressEvent | WarningEvent | ResetEvent

EVENT: Final[TypeAdapter[Event]] = TypeAdapter(Annotated[Event, Field(discriminator="type")])
"""Reads any event from its JSON."""
