"""Places an attempt at its outpost: the same request again until an answer comes, after an older attempt has ended."""

import asyncio
import time
from typing import Final

from ..protocol.errors import ErrorCode, RoadsteadError
from ..protocol.servers import ServerRequest, ServerView
from .client import UnreachableError
from .mirror import Mirror
from .pauses import pauses

_LATER: Final = frozenset(
    {ErrorCode.OUTPOST_UNREACHABLE, ErrorCode.SYSTEM_DOWN, ErrorCode.LEDGER_DOWN, ErrorCode.INTERNAL}
)
"""Errors that a moment may cure."""

_TRIES: Final = 4
_PAUSES: Final = (0.25, 5.0)
"""Seconds between tries: the first, the longest."""


class NotPlacedError(Exception):
    """The attempt was not placed. `perhaps` tells that an answer was lost, so that it may live at the outpost."""

    def __init__(self, error: RoadsteadError, *, perhaps: bool) -> None:
        self.error = error
        self.perhaps = perhaps
        super().__init__(error.sentence)


async def place(
    mirror: Mirror, server_id: str, request: ServerRequest, *, seconds: float, clearing_seconds: float
) -> ServerView:
    """Ask for an attempt until the outpost answers.

    For `seconds`, and a few times at least, failures that may pass are met with another try: a hub that is very busy
    finds answers late that came in time. An older attempt of the same server is ended first, which may take
    `clearing_seconds`. Raises NotPlacedError.
    """
    deadline, tries = time.monotonic() + seconds, 0
    perhaps = False
    waits = pauses(*_PAUSES)
    while True:
        try:
            return await mirror.client.put(server_id, request)
        except UnreachableError as error:
            perhaps = perhaps or error.sent
            failure: RoadsteadError = error
        except RoadsteadError as error:
            perhaps = perhaps or error.code is ErrorCode.OUTPOST_LIED
            failure = error
        if failure.code is ErrorCode.SERVER_LIVE and failure.body.server_id not in (None, server_id):
            assert failure.body.server_id is not None
            mirror.note(server_id, "An earlier start of this server is being ended first.")
            await _clear(mirror, failure.body.server_id, clearing_seconds, perhaps=perhaps)
            deadline = time.monotonic() + seconds
            continue
        pause = next(waits)
        tries += 1
        if failure.code not in _LATER or (tries >= _TRIES and time.monotonic() + pause > deadline):
            raise NotPlacedError(failure, perhaps=perhaps)
        mirror.note(server_id, f"{failure.body.message} Trying again.")
        await asyncio.sleep(pause)


async def _clear(mirror: Mirror, server_id: str, seconds: float, *, perhaps: bool) -> None:
    """End an older attempt and wait until it is over."""
    record = mirror.expect(server_id)
    _ = mirror.cancel(server_id)
    try:
        async with asyncio.timeout(seconds):
            while not record.over:
                await mirror.changed(record, record.version)
    except TimeoutError:
        error = RoadsteadError(
            ErrorCode.SERVER_LIVE,
            "The server that ran here before has not ended yet.",
            "It is being ended; start again in a minute.",
            server_id=server_id,
        )
        raise NotPlacedError(error, perhaps=perhaps) from None
    finally:
        mirror.release(server_id)
