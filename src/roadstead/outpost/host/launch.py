"""Starts a server in the order in which JupyterHub does it, and tells meanwhile what the Spawner knows and shows."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any, Final

from ...protocol.host import Advanced, Job, Report, StateChanged
from .answers import address
from .attempt import Attempt
from .build import Builder
from .calls import GUEST_ERRORS, ask, settle
from .sentences import failure, progress_line

_LOG: Final = logging.getLogger(__name__)
_FIRST_LOOK: Final = 0.1
_SLOWEST_LOOK: Final = 2.0
_BETWEEN_LINES: Final = 0.05
_MOST_LINES: Final = 2000
_LAST_WORDS: Final = 2.0
"""How long progress() may go on after start() is over; some classes say the reason of a failure then."""


class Launch:
    """The start of one attempt; `call` is the class's own start() while it runs."""

    def __init__(self, attempt: Attempt, job: Job, builder: Builder, report: Callable[[Report], None]) -> None:
        self._attempt = attempt
        self._job = job
        self._builder = builder
        self._report = report
        self.call: asyncio.Task[Any] | None = None

    async def prepare(self, *, take_up: bool = False) -> None:
        """All that comes before start(). Raises whatever the site's hooks raise.

        With `take_up` the class keeps its state, for its start() goes on where an earlier one was cut off.
        """
        spawner, job = self._attempt.spawner, self._job
        if not take_up:
            spawner.clear_state()
        self._attempt.mark, self._attempt.resumed = None, False
        self._builder.identify(spawner, job)
        await ask(lambda: spawner.run_auth_state_hook(job.request.user.auth_state))
        await ask(spawner.apply_group_overrides)
        if spawner.apply_user_options:
            await ask(lambda: spawner._run_apply_user_options(spawner.user_options))  # noqa: SLF001
        await ask(spawner.run_pre_spawn_hook)
        if job.request.certificates:
            files = await asyncio.to_thread(self._builder.certificates.write, job.key, job.request.certificates)
            spawner.cert_paths = await ask(lambda: spawner.move_certs(dict(files.own)))

    async def start(self) -> str:
        """Let the class start it and wait for the server's address. Raises whatever the class raises."""
        spawner = self._attempt.spawner
        # Progress is asked of a Spawner only while it is pending.
        spawner._spawn_pending = spawner._start_pending = True  # noqa: SLF001
        self.call = asyncio.create_task(ask(spawner.start))
        progress = asyncio.create_task(self._forward_progress())
        try:
            answer = await self._watch_start()
            return address(answer, spawner)
        finally:
            spawner._spawn_pending = spawner._start_pending = False  # noqa: SLF001
            asyncio.get_running_loop().call_later(_LAST_WORDS, progress.cancel)

    async def _watch_start(self) -> Any:
        assert self.call is not None
        pause = _FIRST_LOOK
        try:
            while True:
                done, _ = await asyncio.wait([self.call], timeout=pause)
                if done:
                    return self.call.result()
                self.look()
                pause = min(2 * pause, _SLOWEST_LOOK)
        except asyncio.CancelledError:
            self.call.cancel()
            raise

    def look(self) -> None:
        """Report the Spawner's state if it is new."""
        try:
            state = self._attempt.export()
        except GUEST_ERRORS as error:
            _LOG.error("The state of %s is not known: %s", self._attempt.key, failure(error, self._builder.class_name))
            return
        if state != (self._attempt.reported or {}):
            self._attempt.reported = state
            self._report(StateChanged(key=self._attempt.key, state=state))

    async def unwind(self) -> bool:
        """After a cancelled start: wait until start() has ended; False when it goes on in spite of that."""
        return self.call is None or self.call.done() or await settle(self.call)

    async def _forward_progress(self) -> None:
        try:
            lines, last = 0, None
            async with contextlib.aclosing(self._attempt.spawner.progress()) as events:
                async for event in events:
                    line = progress_line(event)
                    if line[1] and line != last and lines < _MOST_LINES:
                        lines, last = lines + 1, line
                        self._report(Advanced(key=self._attempt.key, progress=line[0], message=line[1]))
                    await asyncio.sleep(_BETWEEN_LINES)
        except asyncio.CancelledError:
            return
        except GUEST_ERRORS as error:
            _LOG.warning("progress() of %s failed: %s", self._attempt.key, failure(error, self._builder.class_name))
