"""What happens by itself as time goes on: start deadlines, warnings, the end of run times, removal of old records."""

import asyncio
import logging
import time
from dataclasses import replace
from typing import Final

from ..protocol.errors import RoadsteadError
from ..protocol.servers import End, EndCode, ServerState
from . import lifecycle
from .conductor import Conductor, next_due
from .rows import Attempt
from .steps import Transaction
from .views import iso, now_iso

_LOG: Final = logging.getLogger(__name__)
_TICK: Final = 1.0
_PRUNE_SECONDS: Final = 600.0
_EVENTS_KEPT: Final = 3600.0

RUNTIME_OVER: Final = End(code=EndCode.RUNTIME_OVER, message="The run time of the chosen flavor is used up.")


class Clock:
    """Looks every second for attempts that are due; the ledger's index makes that one cheap question."""

    def __init__(self, conductor: Conductor, warn_before: tuple[int, ...], keep_ended: float) -> None:
        self._conductor = conductor
        self._ledger = conductor.ledger
        self._warn_before = warn_before
        self._keep_ended = keep_ended

    async def run(self) -> None:
        """Deadlines, warnings, the end of run times, and removal of old records; until cancelled."""
        pruned = time.monotonic()
        while True:
            await asyncio.sleep(_TICK)
            try:
                for attempt in await self._ledger.due(time.time()):
                    await self._safely_due(attempt)
                if time.monotonic() - pruned > _PRUNE_SECONDS:
                    pruned = time.monotonic()
                    now = time.time()
                    await self._ledger.prune(now - _EVENTS_KEPT, now - self._keep_ended)
            except RoadsteadError as error:
                _LOG.error("%s", error.body.message)

    async def _safely_due(self, attempt: Attempt) -> None:
        try:
            await self._due(attempt)
        except RoadsteadError:
            raise
        except Exception:  # noqa: BLE001 - a clock that stood still would enforce no limit for anybody
            _LOG.exception("What is due for %s failed; it is tried again.", attempt.key)

    async def _due(self, attempt: Attempt) -> None:
        now = time.time()
        if attempt.deadline_at is not None and attempt.deadline_at <= now:
            seconds = round(attempt.deadline_at - attempt.accepted_at)
            message = f"The server was not ready within {seconds} s, the limit of the system '{attempt.system}'."
            end = End(code=EndCode.START_TIMEOUT, message=message)
            await self._conductor.step(attempt.key, lifecycle.EndAsked(end))
        elif attempt.expires_at is not None and attempt.expires_at <= now:
            await self._conductor.step(attempt.key, lifecycle.EndAsked(RUNTIME_OVER))
        elif attempt.expires_at is not None:
            await self._warn(attempt, attempt.expires_at - now)

    async def _warn(self, attempt: Attempt, left: float) -> None:
        # None when the warning that came due is not in the configuration any more.
        passed = min((before for before in self._warn_before if before >= left), default=None)
        assert attempt.expires_at is not None
        after = replace(
            attempt, warned=passed, due_at=next_due(attempt.expires_at, attempt.runtime, self._warn_before, passed)
        )
        minutes = max(1, round(left / 60))
        unit = f"{minutes} minute{'' if minutes == 1 else 's'}" if left >= 45 else f"{max(1, round(left))} seconds"
        body = {
            "type": "warning",
            "at": now_iso(),
            "server_id": attempt.id,
            "message": f"This server will be stopped in {unit}: the run time of its flavor ends. Save your work.",
            "expires_at": iso(attempt.expires_at),
        }

        def warn(transaction: Transaction) -> None:
            current = transaction.get(attempt.hub, attempt.id)
            if current is not None and current.record.state is ServerState.RUNNING:
                transaction.save(attempt, after)
                if passed is not None:
                    transaction.tell(attempt.hub, attempt.id, body)

        await self._ledger.write(warn)
