"""The life of an attempt as a pure function: a record and an event in, a new record and orders out. No I/O, no clock.

An event that means nothing in a state changes nothing: reports may come late, twice, or from a host that is gone.
"""

from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from ..protocol.servers import End, EndCode, ServerState

MAX_STARTS: Final = 3
"""How often a start is begun again after its host ended, before the start is given up."""


@dataclass(frozen=True, slots=True)
class Record:
    """What the life of an attempt depends on."""

    state: ServerState = ServerState.ACCEPTED
    starts: int = 0
    """How many times the host was ordered to start it; above 0 something may exist."""
    end: End | None = None
    """Why it ended or, while it stops, why it is stopped."""


@dataclass(frozen=True, slots=True)
class HostReady:
    """The system's host takes orders."""

    takes_up: bool = False
    """Its class goes on with a start that was cut off, so that no number of them is too many."""


@dataclass(frozen=True, slots=True)
class HostLost:
    """The system's host, and with it every start in progress, is gone."""


@dataclass(frozen=True, slots=True)
class Started:
    """The Spawner's start() came back with an address."""


@dataclass(frozen=True, slots=True)
class StartFailed:
    """The Spawner's start() raised, and nothing is left of it."""

    message: str


@dataclass(frozen=True, slots=True)
class Gone:
    """Clean answers say that the server is not running any more."""

    exit_code: int
    message: str = ""
    """Why, where the class knows that."""


@dataclass(frozen=True, slots=True)
class EndAsked:
    """The hub, a deadline, the runtime or reconciliation wants it to end."""

    end: End


@dataclass(frozen=True, slots=True)
class Stopped:
    """The host confirms that nothing is left of it."""


@dataclass(frozen=True, slots=True)
class StopFailed:
    """The host could not stop it, or cannot tell."""


Event = HostReady | HostLost | Started | StartFailed | Gone | EndAsked | Stopped | StopFailed


class Order(Enum):
    """What the host is to do next."""

    START = "start"
    START_AGAIN = "start, after ending what an earlier start left"
    RESUME = "resume"
    STOP = "stop"
    STOP_LATER = "stop, after a pause"
    FORGET = "forget"


GIVEN_UP: Final = End(
    code=EndCode.START_FAILED,
    message=f"The process that starts servers on this system ended {MAX_STARTS} times during this start. "
    "Tell the site's operator; its log says why.",
)


def step(record: Record, event: Event) -> tuple[Record, Order | None]:
    """The next record, and the order for the host if there is one."""
    match record.state, event:
        case ServerState.ACCEPTED, HostReady(takes_up):
            order = Order.START_AGAIN if record.starts else Order.START
            starts = 1 if takes_up else record.starts + 1
            return replace(record, state=ServerState.STARTING, starts=starts), order
        case ServerState.ACCEPTED, EndAsked(end) if not record.starts:
            return replace(record, state=ServerState.ENDED, end=end), None

        case ServerState.STARTING, Started():
            return replace(record, state=ServerState.RUNNING), None
        case ServerState.STARTING, StartFailed(message):
            end = End(code=EndCode.START_FAILED, message=message)
            return replace(record, state=ServerState.ENDED, end=end), Order.FORGET
        case ServerState.STARTING, HostLost() if record.starts >= MAX_STARTS:
            return replace(record, state=ServerState.STOPPING, end=GIVEN_UP), None
        case ServerState.STARTING, HostLost():
            return replace(record, state=ServerState.ACCEPTED), None

        case ServerState.RUNNING, HostReady():
            return record, Order.RESUME
        case ServerState.RUNNING, Gone(exit_code, message):
            end = End(code=EndCode.EXITED, message=message or _exited(exit_code), exit_code=exit_code)
            return replace(record, state=ServerState.ENDED, end=end), Order.FORGET

        case ServerState.ACCEPTED | ServerState.STARTING | ServerState.RUNNING, EndAsked(end):
            return replace(record, state=ServerState.STOPPING, end=end), Order.STOP

        case ServerState.STOPPING, HostReady():
            return record, Order.STOP
        case ServerState.STOPPING, StopFailed():
            return record, Order.STOP_LATER
        case ServerState.STOPPING, Stopped():
            return replace(record, state=ServerState.ENDED), Order.FORGET

        case ServerState.ENDED, HostReady():
            return record, None
        case ServerState.ENDED, Started() | StartFailed() | Gone() | Stopped() | StopFailed():
            return record, Order.FORGET
    return record, None


def _exited(exit_code: int) -> str:
    if exit_code == 0:
        return "The server ended by itself."
    if exit_code < 0:
        return f"The server was ended by signal {-exit_code}."
    return f"The server ended by itself with exit code {exit_code}."


_EXAMPLES: Final[dict[str, Event]] = {
    "host ready": HostReady(),
    "host lost": HostLost(),
    "started": Started(),
    "start failed": StartFailed("..."),
    "gone": Gone(0),
    "end asked": EndAsked(End(code=EndCode.STOPPED, message="...")),
    "stopped": Stopped(),
    "stop failed": StopFailed(),
}


def _beginnings() -> dict[str, Record]:
    end = End(code=EndCode.STOPPED, message="...")
    return {
        "accepted": Record(),
        "accepted, begun before": Record(starts=1),
        "starting": Record(ServerState.STARTING, 1),
        f"starting, {MAX_STARTS} times": Record(ServerState.STARTING, MAX_STARTS),
        "running": Record(ServerState.RUNNING, 1),
        "stopping": Record(ServerState.STOPPING, 1, end),
        "ended": Record(ServerState.ENDED, 1, end),
    }


def transitions() -> list[tuple[str, str, str, str]]:
    """Every move of the table as (state, event, next state, order), for the manual and for the tests."""
    rows = []
    for name, record in _beginnings().items():
        for cause, event in _EXAMPLES.items():
            after, order = step(record, event)
            if after != record or order:
                rows.append((name, cause, str(after.state), order.value if order else ""))
    return rows
