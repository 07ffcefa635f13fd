"""What a row of the ledger is in this program: an attempt, and how many of them live."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from ..protocol.servers import End, ServerState, Titles
from .lifecycle import Record


@dataclass(frozen=True, slots=True)
class Attempt:
    """One row of the ledger, its secrets still encrypted."""

    hub: str
    id: str
    user: str
    server_name: str
    system: str
    app: str | None
    flavor: str | None
    titles: Titles
    record: Record
    digest: str
    request: str
    settings: str
    accepted_at: float
    spawner_state: str | None = None
    url: str | None = None
    api_token: str | None = None
    runtime: int | None = None
    running_at: float | None = None
    deadline_at: float | None = None
    expires_at: float | None = None
    ended_at: float | None = None
    warned: int | None = None
    due_at: float | None = None
    missing_since: float | None = None

    @property
    def key(self) -> str:
        """The attempt's name over all hubs."""
        return f"{self.hub}.{self.id}"

    @property
    def live(self) -> bool:
        return self.record.state is not ServerState.ENDED


def split_key(key: str) -> tuple[str, str]:
    """Hub and id of a key."""
    hub, _, server_id = key.rpartition(".")
    return hub, server_id


def read_row(row: Row[Any]) -> Attempt:
    """The attempt of a row."""
    values = row._asdict()
    end = values.pop("end")
    record = Record(
        state=ServerState(values.pop("state")),
        starts=values.pop("starts"),
        end=End.model_validate_json(end) if end else None,
    )
    titles = Titles.model_validate_json(values.pop("titles"))
    return Attempt(record=record, titles=titles, **values)


def row_of(attempt: Attempt) -> dict[str, Any]:
    """The values of its columns."""
    values = {name: getattr(attempt, name) for name in Attempt.__slots__ if name != "record"}
    record = attempt.record
    return values | {
        "titles": attempt.titles.model_dump_json(),
        "state": record.state.value,
        "starts": record.starts,
        "end": record.end.model_dump_json() if record.end else None,
    }


@dataclass(frozen=True, slots=True)
class Usage:
    """How many live servers a flavor has: of a hub, of all, and of one user at both."""

    hub: int = 0
    all: int = 0
    user_hub: int = 0
    user_all: int = 0
