"""Ends a server so that nothing is left of it: the class's own stop(), its own word that it is gone, then leftovers.

It may be done again and again: each time it looks anew.
"""

import asyncio
import inspect
import logging
import time
from functools import partial
from typing import Any, Final

from .attempt import Attempt
from .calls import GUEST_ERRORS, ask_within
from .leftovers import Leftovers
from .sentences import RefusedError, failure

_LOG: Final = logging.getLogger(__name__)
_POLL_SECONDS: Final = 10.0
_AFTER_STOP: Final = 10.0
"""How long a class whose stop() came back may still say that the server runs."""
_AGAIN: Final = 0.2


class Ending:
    """How servers of one system are ended."""

    def __init__(self, leftovers: Leftovers, stop_timeout: float) -> None:
        self._leftovers = leftovers
        self._stop_timeout = stop_timeout

    async def end(self, attempt: Attempt, *, now: bool) -> None:
        """End whatever there is. Raises RefusedError with a sentence when something is left, or nobody can tell.

        After an unfinished start stop() is called in any case, else as in JupyterHub only if the server runs. With
        `now` the server gets no time of its own, and its processes are ended also when the class cannot do it.
        """
        trouble = ""
        if not attempt.is_stranger():
            gone = await self._poll(attempt)
            if gone is not True or attempt.unfinished:
                trouble = await self._stop(attempt.spawner, now)
            if trouble and now:
                await self._leftovers.end(attempt.key)
            await self._confirm(attempt, trouble)
        await self.sweep(attempt)

    async def sweep(self, attempt: Attempt) -> None:
        """End the processes that a server left behind. Raises RefusedError when some do not end."""
        left = await self._leftovers.end(attempt.key)
        if left:
            raise RefusedError(
                f"{len(left)} processes of this server do not end even when killed (pid {left[0]} is one). "
                "The site's operator can see what they wait for."
            )

    async def after(self, attempt: Attempt) -> None:
        """What JupyterHub does when a server has ended: the site's hook, then the class forgets what is over."""
        spawner = attempt.spawner
        try:
            await ask_within(self._stop_timeout, spawner.run_post_stop_hook, "post_stop_hook")
        except GUEST_ERRORS as error:
            _LOG.error("post_stop_hook of %s failed: %s", attempt.key, failure(error, type(spawner).__name__))
        try:
            spawner.clear_state()
        except GUEST_ERRORS as error:
            _LOG.error("clear_state() of %s failed: %s", attempt.key, failure(error, type(spawner).__name__))

    async def _stop(self, spawner: Any, now: bool) -> str:
        # JupyterHub gives no argument, so not every class takes one.
        takes_now = "now" in inspect.signature(spawner.stop).parameters
        call = partial(spawner.stop, now=True) if now and takes_now else spawner.stop
        try:
            await ask_within(self._stop_timeout, call, f"stop() of {type(spawner).__name__}")
        except GUEST_ERRORS as error:
            return failure(error, type(spawner).__name__)
        return ""

    async def _poll(self, attempt: Attempt) -> bool | str:
        """True when it is gone, False when it runs, a sentence when that is not known."""
        try:
            what = f"poll() of {type(attempt.spawner).__name__}"
            return await ask_within(_POLL_SECONDS, attempt.poll, what) is not None
        except GUEST_ERRORS as error:
            return failure(error, type(attempt.spawner).__name__)

    async def _confirm(self, attempt: Attempt, trouble: str) -> None:
        """Wait until two answers in a row say that it is gone."""
        patience = 1.0 if trouble else min(_AFTER_STOP, self._stop_timeout)
        deadline = time.monotonic() + patience
        clean = 0
        while clean < 2:
            answer = await self._poll(attempt)
            clean = clean + 1 if answer is True else 0
            if not clean and time.monotonic() > deadline:
                why = answer if isinstance(answer, str) else "poll() says that it still runs."
                raise RefusedError(f"The server is not known to have ended. {f'{trouble} {why}'.strip()}")
            if clean < 2:
                await asyncio.sleep(_AGAIN)
