"""One supervised process: started, found healthy, started again when it dies, ended on request."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from .errors import UpError
from .processes import log_file, record
from .state import Say, State

LONGEST_PAUSE: Final = 60.0
"""Seconds between two attempts to start a process that dies again and again."""
LONG_ENOUGH: Final = 60.0
"""A process that lived for so many seconds is started again at once."""
LOG_LIMIT: Final = 10_000_000
"""Bytes after which a log is set aside at the next start; one older log is kept."""


@dataclass(frozen=True)
class Program:
    """What to run and how to tell that it works."""

    name: str
    command: list[str]
    healthy: Callable[[], Awaitable[bool]]
    environment: Mapping[str, str] = field(default_factory=dict)
    patience: float = 60.0
    """Seconds until it must be healthy."""
    stop_patience: float = 20.0
    """Seconds that it may take to end when asked."""
    after_restart: Callable[[], Awaitable[None]] | None = None


class Child:
    """Runs a Program. It gets a session of its own, so that Ctrl-C in a terminal reaches only the supervisor."""

    def __init__(self, program: Program, state: State, say: Say) -> None:
        self.program = program
        self.name = program.name
        self._state = state
        self._say = say
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it and wait until it is healthy. Raises UpError."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        await self._spawn()
        while not await self._is_healthy():
            if self._returned is not None:
                raise UpError(self._obituary("ended before it was ready"))
            if loop.time() - begin > self.program.patience:
                raise UpError(self._obituary(f"was not ready after {self.program.patience:.0f} seconds"))
            await asyncio.sleep(0.1)
        self._say(f"{self.name}: ready after {loop.time() - begin:.1f} s")

    async def keep(self) -> None:
        """Start it again whenever it dies, with growing pauses, until cancelled."""
        loop = asyncio.get_running_loop()
        pause = 0.0
        while True:
            begin = loop.time()
            assert self._process is not None
            await self._process.wait()
            pause = 0.0 if loop.time() - begin > LONG_ENOUGH else min(LONGEST_PAUSE, pause * 2 or 0.5)
            self._say(f"{self.name}: {_cause(self._process.returncode)}; starting it again in {pause:.1f} s")
            await asyncio.sleep(pause)
            try:
                await self.start()
                if self.program.after_restart:
                    await self.program.after_restart()
            except UpError as error:
                self._say(str(error))
                await self.stop()

    async def stop(self) -> None:
        """Ask it to end; kill it if it does not."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), self.program.stop_patience)
        except TimeoutError:
            self._say(f"{self.name}: does not end when asked; killing it")
            self.kill()
            await process.wait()

    def kill(self) -> None:
        """End it now."""
        if self._process and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)

    async def _spawn(self) -> None:
        path = log_file(self._state, self.name)
        _set_aside(path)
        with path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.program.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
                cwd=self._state.folder,
                env=dict(os.environ) | dict(self.program.environment),
                start_new_session=True,
            )
        record(self._state, self.name, self._process.pid)

    async def _is_healthy(self) -> bool:
        return self._returned is None and await self.program.healthy()

    @property
    def _returned(self) -> int | None:
        return self._process.returncode if self._process else None

    def _obituary(self, what: str) -> str:
        path = log_file(self._state, self.name)
        return f"The {self.name} {what}; its last words are '{_last_words(path)}'; see {path}."


def _cause(code: int | None) -> str:
    if code is not None and code < 0:
        return f"was killed by signal {-code}"
    return f"ended with code {code}"


def _last_words(path: Path) -> str:
    lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""


def _set_aside(path: Path) -> None:
    if path.exists() and path.stat().st_size > LOG_LIMIT:
        path.replace(path.with_suffix(".old.log"))
