"""What a mirror remembers of one server: small, for there are thousands, and only ever moving forward."""

from collections import deque
from datetime import UTC, datetime
from typing import Final, NamedTuple

from ..protocol.events import ProgressEvent, StateEvent, WarningEvent
from ..protocol.servers import End, ServerState, ServerView

LOG_LINES: Final = 200
"""How many lines of an event log are kept; the oldest go first."""

_RANK: Final = {state: rank for rank, state in enumerate(ServerState)}


class Line(NamedTuple):
    """One line of an event log; its number tells a reader what it has seen."""

    number: int
    at: datetime
    progress: int | None
    message: str


class Labels(NamedTuple):
    """What runs where, in words for people."""

    system: str
    app: str | None
    flavor: str | None


_labels: Final[dict[Labels, Labels]] = {}


class ContradictionError(Exception):
    """What the outpost says now cannot be true together with what it said before."""


class ServerRecord:
    """One attempt as its outpost last described it; `state` is None as long as the outpost has said nothing."""

    __slots__ = (
        "api_token",
        "end",
        "expected",
        "expires_at",
        "gone",
        "labels",
        "lines",
        "log_complete",
        "misses",
        "numbered",
        "server_id",
        "server_name",
        "settled",
        "state",
        "stop_requested",
        "url",
        "user",
        "version",
        "warning",
    )

    def __init__(self, server_id: str) -> None:
        self.server_id = server_id
        self.user: str | None = None
        self.server_name = ""
        self.labels: Labels | None = None
        self.state: ServerState | None = None
        self.stop_requested = False
        self.url: str | None = None
        self.api_token: str | None = None
        self.expires_at: datetime | None = None
        self.warning = ""
        self.end: End | None = None
        self.gone = False
        """Two clean and complete listings did not have it."""
        self.misses = 0
        self.expected = False
        """The hub holds this attempt, whatever the outpost says."""
        self.settled = 0.0
        """Monotonic seconds at which it began to run or ended."""
        self.version = 0
        self.lines: deque[Line] | None = None
        self.numbered = 0
        self.log_complete = False
        """The outpost's log from before the mirror was there has been read."""

    @property
    def over(self) -> bool:
        """It ended, or the outpost does not have it."""
        return self.gone or self.state is ServerState.ENDED

    @property
    def running(self) -> bool:
        return self.state is ServerState.RUNNING and self.url is not None and not self.gone

    @property
    def exit_code(self) -> int | None:
        """As Spawner.poll() gives it: None while it lives or nothing is known."""
        if not self.over:
            return None
        if self.end is not None and self.end.exit_code is not None:
            return self.end.exit_code
        return 0 if self.end is not None and self.end.code.value == "stopped" else 1

    @property
    def last_words(self) -> str:
        """Why it ended, as a sentence."""
        if self.end is not None:
            return self.end.message
        return "The outpost does not know this server any more." if self.gone else ""

    def apply_view(self, view: ServerView) -> None:
        """Take in what a listing or an answer says. Raises ContradictionError."""
        self._identify(view.user, view.server_name)
        self.misses, self.gone = 0, False
        # Thousands of records share a few names.
        labels = Labels(view.titles.system, view.titles.app, view.titles.flavor)
        self.labels = _labels.setdefault(labels, labels)
        self.stop_requested = view.stop_requested or self.stop_requested
        self._advance(view.state, view.url, view.api_token, view.expires_at, view.end)

    def apply_state(self, event: StateEvent) -> None:
        """Take in a change of state. Raises ContradictionError."""
        self._identify(event.user, event.server_name)
        self._advance(event.state, event.url, event.api_token, event.expires_at, event.end)

    def apply_warning(self, event: WarningEvent) -> None:
        """The server will be stopped soon."""
        self.warning, self.expires_at = event.message, event.expires_at
        self._write(event.at, None, event.message)

    def apply_progress(self, event: ProgressEvent) -> None:
        """A line for the log."""
        self._write(event.at, event.progress, event.message)

    def note(self, message: str, progress: int | None = None) -> None:
        """A line of the hub's own."""
        self._write(datetime.now(UTC), progress, message)

    def drop_log(self) -> None:
        """Give the log's memory back; its numbers go on."""
        self.lines = None

    def lines_after(self, number: int) -> list[Line]:
        """The lines that a reader who has seen `number` of them has not seen."""
        return [line for line in self.lines or () if line.number > number]

    def prepend(self, earlier: list[tuple[datetime, int | None, str]]) -> None:
        """Put the lines that the outpost kept before those that the mirror saw itself; numbers begin anew."""
        seen = {(line.at, line.message) for line in self.lines or ()}
        merged = [line for line in earlier if (line[0], line[2]) not in seen]
        merged += [(line.at, line.progress, line.message) for line in self.lines or ()]
        merged.sort(key=lambda line: line[0])
        self.lines, self.numbered, self.log_complete = None, 0, True
        for at, progress, message in merged:
            self._write(at, progress, message)

    def _identify(self, user: str, server_name: str) -> None:
        if self.user is None:
            self.user, self.server_name = user, server_name
        elif (self.user, self.server_name) != (user, server_name):
            raise ContradictionError(f"attempt {self.server_id} was another user's or server's before")

    def _advance(
        self, state: ServerState, url: str | None, token: str | None, expires_at: datetime | None, end: End | None
    ) -> None:
        if state is ServerState.RUNNING and url is None:
            raise ContradictionError(f"attempt {self.server_id} is said to run, but not where")
        if state is ServerState.ENDED and end is None:
            raise ContradictionError(f"attempt {self.server_id} is said to have ended, but not how")
        if self.state is not None and _RANK[state] < _RANK[self.state]:
            # Listings and the event stream overlap; a life never goes backward, so this is old news.
            return
        self.state = state
        self.url, self.api_token = url or self.url, token or self.api_token
        self.expires_at = expires_at or self.expires_at
        self.end = end or self.end
        self.stop_requested = self.stop_requested or state in (ServerState.STOPPING, ServerState.ENDED)
        self.version += 1

    def _write(self, at: datetime, progress: int | None, message: str) -> None:
        if self.lines is None:
            self.lines = deque(maxlen=LOG_LINES)
        self.numbered += 1
        self.lines.append(Line(self.numbered, at, progress, message))
        self.version += 1
