"""What the hub's database keeps of a server that an outpost runs, in the state of its Spawner."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from ..protocol.model import AttemptId, Name, Url
from . import keys

MARK: Final = "roadstead"
"""The key of the state under which everything of ours is."""


class _Stored(BaseModel):
    """Read leniently: a later release may have written more."""

    model_config = ConfigDict(extra="ignore")

    id: AttemptId
    outpost: Name
    system: Name
    app: Name | None = None
    flavor: Name | None = None
    url: Url | None = None
    ending: bool | None = None
    token: str | None = None


@dataclass(slots=True)
class Attempt:
    """The attempt that a Spawner object holds."""

    id: str
    outpost: str
    system: str
    app: str | None = None
    flavor: str | None = None
    url: str | None = None
    """Set once the server has answered there."""
    ending: bool = False
    """Its end was asked for; a hub that starts again goes on asking."""


def dump(attempt: Attempt, sealed_token: str) -> dict[str, Any]:
    """The state to store."""
    entry = {
        "id": attempt.id,
        "outpost": attempt.outpost,
        "system": attempt.system,
        "app": attempt.app,
        "flavor": attempt.flavor,
        "url": attempt.url,
        "ending": attempt.ending or None,
        "token": sealed_token or None,
    }
    return {MARK: {key: value for key, value in entry.items() if value is not None}}


def load(state: Any, key_file: Path) -> tuple[Attempt, str | None] | None:
    """Attempt and token from a stored state; None if there is none of ours in it. No token: its key is not there."""
    stored = _read(state)
    if stored is None:
        return None
    attempt = Attempt(
        stored.id, stored.outpost, stored.system, stored.app, stored.flavor, stored.url, bool(stored.ending)
    )
    token = keys.unseal(stored.token, key_file) if stored.token else ""
    return attempt, token


def attempt_of(state: Any) -> tuple[str, str] | None:
    """Outpost and attempt id of a stored state, without touching its secret."""
    stored = _read(state)
    return None if stored is None else (stored.outpost, stored.id)


def _read(state: Any) -> _Stored | None:
    try:
        return _Stored.model_validate(state[MARK])
    except (ValidationError, KeyError, TypeError, IndexError):
        return None
