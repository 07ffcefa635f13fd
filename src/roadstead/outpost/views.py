"""How a row of the ledger looks to a hub: views and events, with moments as RFC 3339 and no secrets."""

from datetime import UTC, datetime
from typing import Any

from ..protocol.servers import ServerState, ServerView
from .ledger import Ledger
from .rows import Attempt


def moment(seconds: float | None) -> datetime | None:
    """Seconds since 1970 as a moment in UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def iso(seconds: float | None) -> str | None:
    """The same as text."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def now_iso() -> str:
    """The present moment as text."""
    return datetime.now(UTC).isoformat()


def server_view(attempt: Attempt, ledger: Ledger) -> ServerView:
    """An attempt as its hub may see it."""
    state = attempt.record.state
    return ServerView(
        id=attempt.id,
        user=attempt.user,
        server_name=attempt.server_name,
        system=attempt.system,
        app=attempt.app,
        flavor=attempt.flavor,
        titles=attempt.titles,
        state=state,
        url=attempt.url,
        api_token=ledger.keyring.decrypt(attempt.api_token) if attempt.api_token else None,
        stop_requested=state in (ServerState.STOPPING, ServerState.ENDED),
        accepted_at=datetime.fromtimestamp(attempt.accepted_at, UTC),
        running_at=moment(attempt.running_at),
        expires_at=moment(attempt.expires_at),
        ended_at=moment(attempt.ended_at),
        end=attempt.record.end if state is ServerState.ENDED else None,
    )


def state_event(attempt: Attempt, ledger: Ledger) -> dict[str, Any]:
    """The event that says in which state an attempt now is; its number is added when it is written."""
    state = attempt.record.state
    body: dict[str, Any] = {
        "type": "state",
        "at": now_iso(),
        "server_id": attempt.id,
        "user": attempt.user,
        "server_name": attempt.server_name,
        "state": state.value,
    }
    if state is ServerState.RUNNING:
        body |= {"url": attempt.url, "expires_at": iso(attempt.expires_at)}
        if attempt.api_token:
            body["api_token"] = ledger.keyring.decrypt(attempt.api_token)
    if state is ServerState.ENDED and attempt.record.end:
        body["end"] = attempt.record.end.model_dump(mode="json")
    return body
