"""Keeps one host process per system alive and speaks with it: orders go in, reports come out.

A host that is silent or ended is replaced. Its servers are not touched by that: the next host takes them up again.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from pydantic import ValidationError

from ..protocol.host import MAX_LINE_BYTES, REPORT, Order, Ping, Pong, Ready, Refused, Report

_LOG: Final = logging.getLogger(__name__)
_SHORTEST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 60.0
_LONG_ENOUGH: Final = 10.0
"""A host that lived for so many seconds is started again at once; one that ends sooner waits longer each time."""
_START_SECONDS: Final = 60.0


class Listener(Protocol):
    """Who wants to know what hosts report."""

    async def host_ready(self, system: str) -> None:
        """A host takes orders."""

    async def host_lost(self, system: str) -> None:
        """A host is gone with everything it had in hand."""

    async def host_reports(self, report: Report) -> None:
        """A host reports about an attempt."""


@dataclass(slots=True)
class HostStatus:
    """What is known of a host; read by health, metrics and the start page."""

    up: bool = False
    refusal: str = ""
    takes_up_starts: bool = False
    restarts: int = 0
    watched: int = 0
    oldest_poll: float = 0.0
    pid: int = 0


@dataclass(slots=True)
class _Line:
    """The connection to one running host."""

    process: asyncio.subprocess.Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    heard: float = field(default_factory=time.monotonic)


class Host:
    """The host of one system."""

    def __init__(self, system: str, config: Path, state_folder: Path, silence: float, listener: Listener) -> None:
        self.system = system
        self.status = HostStatus()
        self._config = config
        self._lock_file = state_folder / f"host-{system}.lock"
        self._silence = silence
        self._listener = listener
        self._line: _Line | None = None
        self._pings = 0

    def send(self, order: Order) -> bool:
        """Give an order; False when there is no host to take it, which the next host_ready makes good."""
        if self._line is None:
            return False
        self._line.writer.write(order.model_dump_json().encode() + b"\n")
        return True

    async def run(self) -> None:
        """Start the host, and start it again whenever it ends, until cancelled."""
        pause = _SHORTEST_PAUSE
        while True:
            began = time.monotonic()
            try:
                await self._live()
            except (OSError, EOFError, ValidationError, ValueError, TimeoutError) as error:
                _LOG.warning("The host of system %s is lost: %s", self.system, str(error) or type(error).__name__)
            except Exception:  # noqa: BLE001 - without this task the system would never have a host again
                _LOG.exception("The host of system %s is lost.", self.system)
                if (task := asyncio.current_task()) and task.cancelling():
                    return
            self.status.restarts += 1
            lived = time.monotonic() - began
            pause = _SHORTEST_PAUSE if lived > _LONG_ENOUGH else min(2 * pause, _LONGEST_PAUSE)
            await asyncio.sleep(pause)

    async def _live(self) -> None:
        line = await self._spawn()
        pinging: asyncio.Task[None] | None = None
        try:
            async with asyncio.timeout(_START_SECONDS):
                first = await self._read(line)
            if isinstance(first, Refused):
                self.status.refusal = first.message
                _LOG.error("System %s cannot be used: %s", self.system, first.message)
                raise EOFError("it refuses its configuration")  # noqa: TRY004
            if not isinstance(first, Ready):
                raise EOFError("it did not say that it is ready")  # noqa: TRY004
            _LOG.info(
                "The host of system %s is ready with %s, pid %s.", self.system, first.spawner_class, line.process.pid
            )
            self._line, self.status.up, self.status.refusal = line, True, ""
            self.status.takes_up_starts = first.takes_up_starts
            await self._listener.host_ready(self.system)
            pinging = asyncio.create_task(self._ping(line))
            while True:
                await self._hear(await self._read(line))
        finally:
            was_up, self._line, self.status.up = self.status.up, None, False
            if pinging:
                pinging.cancel()
            await self._end(line)
            if was_up:
                await self._listener.host_lost(self.system)

    async def _hear(self, report: Report) -> None:
        if isinstance(report, Pong):
            self.status.watched, self.status.oldest_poll = report.watched, report.oldest_poll
        else:
            await self._listener.host_reports(report)

    async def _read(self, line: _Line) -> Report:
        try:
            text = await line.reader.readuntil(b"\n")
        except asyncio.IncompleteReadError:
            raise EOFError("it ended") from None
        except asyncio.LimitOverrunError:
            raise EOFError("it sent a line that is too long") from None
        line.heard = time.monotonic()
        return REPORT.validate_json(text)

    async def _ping(self, line: _Line) -> None:
        interval = self._silence / 4
        while (asked := time.monotonic()) - line.heard < self._silence:
            self._pings += 1
            self.send(Ping(number=self._pings))
            await asyncio.sleep(interval)
            # While this process itself was stopped, nobody could be heard.
            line.heard += max(0.0, time.monotonic() - asked - interval)
        _LOG.warning("The host of system %s has been silent for %.0f s and is ended.", self.system, self._silence)
        _kill(line.process)

    async def _spawn(self) -> _Line:
        await self._end_stale()
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "roadstead.outpost.host", "--config", str(self._config)),
                *("--system", self.system, "--fd", str(theirs.fileno()), "--lock", str(self._lock_file)),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        except BaseException:
            # A host that begins all the same ends by itself when it finds nobody on the line.
            ours.close()
            raise
        finally:
            theirs.close()
        self.status.pid = process.pid
        try:
            reader, writer = await asyncio.open_connection(sock=ours, limit=MAX_LINE_BYTES)
        except BaseException:
            _kill(process)
            raise
        return _Line(process, reader, writer)

    async def _end_stale(self) -> None:
        """End a host that an earlier outpost left, stopped or stuck: two hosts of one system must never act at once."""
        with contextlib.suppress(OSError, ValueError):
            pid = int(self._lock_file.read_text().strip())
            if _is_host(pid, self._lock_file):
                os.kill(pid, signal.SIGKILL)

    async def _end(self, line: _Line) -> None:
        line.writer.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                await line.process.wait()
        if line.process.returncode is None:
            _kill(line.process)
            await line.process.wait()


def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()


def _is_host(pid: int, lock_file: Path) -> bool:
    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return b"roadstead.outpost.host" in words and str(lock_file).encode() in words


class Hosts:
    """All hosts of an outpost."""

    def __init__(self, hosts: list[Host]) -> None:
        self._hosts = {host.system: host for host in hosts}
        self._tasks: list[asyncio.Task[None]] = []

    def __getitem__(self, system: str) -> Host:
        return self._hosts[system]

    def get(self, system: str) -> Host | None:
        """The host of a system; None when the system is not configured any more."""
        return self._hosts.get(system)

    def start(self) -> None:
        """Start every host; each is on its own from then on."""
        self._tasks = [asyncio.create_task(host.run(), name=f"host {host.system}") for host in self._hosts.values()]

    async def stop(self) -> None:
        """End every host; servers go on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def status(self) -> dict[str, HostStatus]:
        return {name: host.status for name, host in self._hosts.items()}
