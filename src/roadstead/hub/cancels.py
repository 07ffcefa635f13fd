"""What the hub wants ended is asked for again and again, over failures, until its outpost has it in its ledger."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from tornado.log import app_log

from ..protocol.errors import ErrorCode, RoadsteadError
from ..protocol.servers import ServerView
from .client import OutpostClient
from .pauses import pauses

_PAUSES: Final = (0.2, 30.0)
"""Seconds between tries: the first, the longest."""


class Cancels:
    """The cancels of one outpost that it has not confirmed yet."""

    def __init__(
        self,
        client: OutpostClient,
        connected: asyncio.Event,
        few: asyncio.Semaphore,
        confirmed: Callable[[ServerView], None],
        unknown: Callable[[str], None],
    ) -> None:
        """`connected` is set while the outpost is there, `few` bounds the calls at once; the others hear answers."""
        self._client = client
        self._connected = connected
        self._few = few
        self._confirmed = confirmed
        self._unknown = unknown
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def ask(self, server_id: str) -> asyncio.Task[None]:
        """Begin, if that has not begun; the task ends when the outpost has confirmed it."""
        task = self._tasks.get(server_id)
        if task is None:
            work = self._until_confirmed(server_id)
            task = asyncio.get_running_loop().create_task(work, name=f"roadstead {self._client.name} ends {server_id}")
            self._tasks[server_id] = task
            task.add_done_callback(lambda _: self._tasks.pop(server_id, None))
        return task

    async def close(self) -> None:
        """Ask no more."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _until_confirmed(self, server_id: str) -> None:
        for pause in pauses(*_PAUSES):
            try:
                async with self._few:
                    view = await self._client.delete(server_id)
            except RoadsteadError as error:
                if error.code is ErrorCode.NOT_FOUND:
                    # The outpost remembers that: should the request still be on its way, it will be refused.
                    self._unknown(server_id)
                    return
                app_log.warning("Cannot end server %s yet: %s", server_id, error.sentence)
            else:
                self._confirmed(view)
                return
            await self._pause(pause)

    async def _pause(self, seconds: float) -> None:
        """Wait before the next try; while the outpost is away, until it is back or for the longest pause."""
        if self._connected.is_set():
            await asyncio.sleep(seconds)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PAUSES[1]):
                await self._connected.wait()
