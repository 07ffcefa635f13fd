"""Every message that crosses a process border: typed, bounded, one version. Imports nothing else of ours."""

from .errors import ErrorBody, ErrorCode, RoadsteadError
from .events import Event, ProgressEvent, StateEvent, WarningEvent
from .identifiers import attempt_time, new_attempt_id
from .model import Message
from .servers import End, EndCode, ServerOptions, ServerPage, ServerRequest, ServerState, ServerView
from .systems import AppView, FlavorView, OverrideRule, SystemView
from .version import PROTOCOL_HEADER, PROTOCOL_VERSION

__all__ = [
    "PROTOCOL_HEADER",
    "PROTOCOL_VERSION",
    "AppView",
    "End",
    "EndCode",
    "ErrorBody",
    "ErrorCode",
    "Event",
    "FlavorView",
    "Message",
    "OverrideRule",
    "ProgressEvent",
    "RoadsteadError",
    "ServerOptions",
    "ServerPage",
    "ServerRequest",
    "ServerState",
    "ServerView",
    "StateEvent",
    "SystemView",
    "WarningEvent",
    "attempt_time",
    "new_attempt_id",
]
