# mypy: disable-error-code="misc, no-any-return"
"""Spawner classes for the tests: real local processes, each with one way of misbehaving or of telling what was done."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from jupyterhub.spawner import SimpleLocalProcessSpawner, Spawner
from traitlets import Dict, Unicode


class Talks(SimpleLocalProcessSpawner):
    """Shows everything that progress() may yield."""

    async def start(self) -> Any:
        await asyncio.sleep(0.6)
        return await super().start()

    async def progress(self) -> AsyncIterator[Any]:
        yield {"progress": 10, "message": "Asking the queue"}
        yield {"progress": 10, "message": "Asking the queue"}
        yield {"progress": 55.5, "html_message": "<p>Node <b>n1</b> &amp; <script>no()</script>n2</p>"}
        yield {"progress": 1000, "message": "Too far\x1b[2J"}
        yield "only text"
        yield {"progress": 70}
        raise RuntimeError("the log is gone")


class TalksForEver(SimpleLocalProcessSpawner):
    """Its progress() never ends."""

    async def progress(self) -> AsyncIterator[Any]:
        number = 0
        while True:
            number += 1
            yield {"message": f"line {number}"}


class FindsItLater(SimpleLocalProcessSpawner):
    """Knows the number of its job before its start() is over, as classes for queues do."""

    job = Unicode()

    def get_state(self) -> dict[str, Any]:
        return super().get_state() | ({"job": self.job, "raw": b"\x00\xff"} if self.job else {})

    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        self.job = state.get("job", "")
        assert state.get("raw", b"\x00\xff") == b"\x00\xff"

    async def start(self) -> Any:
        await asyncio.sleep(0.3)
        self.job = "4711"
        await asyncio.sleep(1)
        return await super().start()


class StartsThenHangs(SimpleLocalProcessSpawner):
    """Makes the process and never says so."""

    def get_state(self) -> dict[str, Any]:
        return {}

    async def start(self) -> Any:
        await super().start()
        await asyncio.sleep(3600)


class IgnoresCancel(SimpleLocalProcessSpawner):
    """Its start() goes on when it is cancelled, and makes the process after that."""

    async def start(self) -> Any:
        end = time.monotonic() + 7
        while time.monotonic() < end:
            try:
                await asyncio.sleep(0.1)
            except asyncio.CancelledError:
                continue
        return await super().start()


class StopHangs(SimpleLocalProcessSpawner):
    """Its stop() never comes back."""

    async def stop(self, now: bool = False) -> None:
        await asyncio.sleep(3600)


class StopKnowsNoNow(SimpleLocalProcessSpawner):
    """Its stop() takes no argument; JupyterHub itself gives none."""

    async def stop(self) -> None:
        await super().stop(now=True)


class PollsBadly(SimpleLocalProcessSpawner):
    """Its poll() does what a file in its home says."""

    async def poll(self) -> Any:
        file = Path(self.home_dir) / "poll"
        match file.read_text() if file.exists() else "":
            case "hang":
                await asyncio.sleep(3600)
            case "raise":
                raise RuntimeError("the daemon does not answer")
            case "exit":
                sys.exit(1)
            case "flap":
                file.unlink()
                return 1
            case "words":
                return "ExitCode=137, Error='', FinishedAt=now"
        return await super().poll()


class Blocks(SimpleLocalProcessSpawner):
    """Blocks the whole process."""

    async def start(self) -> Any:
        time.sleep(3600)


class KillsItsProcess(SimpleLocalProcessSpawner):
    """Makes the process, then ends the one that it runs in."""

    async def start(self) -> Any:
        await super().start()
        os.kill(os.getpid(), signal.SIGKILL)


class Exits(SimpleLocalProcessSpawner):
    """Calls sys.exit in start(), or in a task that start() waits for."""

    async def start(self) -> Any:
        if self.name == "inner":
            await asyncio.ensure_future(self._give_up())
        sys.exit(1)

    async def _give_up(self) -> None:
        await asyncio.sleep(0)
        sys.exit(1)


class ExitsLater(SimpleLocalProcessSpawner):
    """Calls sys.exit in a task that nobody waits for, as KubeSpawner does when its watch of the cluster fails."""

    async def start(self) -> Any:
        asyncio.get_running_loop().call_later(0.5, sys.exit, 1)
        return await super().start()


class ExitsAtOnce(SimpleLocalProcessSpawner):
    """Calls sys.exit when it is made."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        sys.exit("this machine is too old")


class CancelsItself(SimpleLocalProcessSpawner):
    """Something inside start() is cancelled."""

    async def start(self) -> Any:
        task = asyncio.ensure_future(asyncio.sleep(60))
        task.cancel()
        await task


class FailsHalfWay(SimpleLocalProcessSpawner):
    """Makes the process, then fails with the token in its message."""

    async def start(self) -> Any:
        await super().start()
        raise RuntimeError(f"curl -H 'Authorization: token {self.api_token}' failed")


class Addresses(SimpleLocalProcessSpawner):
    """Gives its address in the form that the server's name says."""

    async def start(self) -> Any:
        _, port = await super().start()
        match self.name:
            case "url":
                return f"http://127.0.0.1:{port}"
            case "six":
                return ("::1", port)
            case "later":
                self.server.ip, self.server.port = "127.0.0.1", port
                return None
            case "nothing":
                return None
            case "foreign":
                return "ftp://127.0.0.1/"
            case "socket":
                return "http+unix://%2Ftmp%2Fsocket"
            case _:
                return 17


class Remembers(SimpleLocalProcessSpawner):
    """Keeps something beyond the end of its server, as KubeSpawner keeps the name of a volume."""

    volume = Unicode()

    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        self.volume = state.get("volume", "")

    def get_state(self) -> dict[str, Any]:
        return super().get_state() | {"volume": self.volume}

    async def start(self) -> Any:
        self.volume = self.volume or "claim-1"
        return await super().start()


class ReusesToken(SimpleLocalProcessSpawner):
    """Finds a server that has a token of its own, as DockerSpawner does."""

    async def start(self) -> Any:
        self.api_token = "the-token-of-an-older-container"
        return await super().start()


class LooksUp(Spawner):
    """Starts nothing: its servers are lines of a table, whose poll() is a look-up."""

    table = Dict(config=True)
    gone: set[str] = set()

    def get_state(self) -> dict[str, Any]:
        return {"row": f"{self.user.name}/{self.name}"}

    async def start(self) -> Any:
        return ("127.0.0.1", 1)

    async def poll(self) -> int | None:
        return 0 if self.user.name in self.gone else None

    async def stop(self, now: bool = False) -> None:
        self.gone.add(self.user.name)
