"""Starts the real host process over a real socket pair and speaks with it as the outpost does."""

import asyncio
import contextlib
import os
import pprint
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypeVar

from roadstead.outpost.host.processes import carriers
from roadstead.protocol.host import (
    MAX_LINE_BYTES,
    REPORT,
    Forget,
    Job,
    Order,
    Ping,
    Pong,
    Ready,
    Refused,
    Report,
    Resume,
    Resumed,
    Start,
    Started,
    StartFailed,
    Stop,
    StopFailed,
    Stopped,
)
from roadstead.protocol.servers import Certificates, HubAddress, ServerOptions, ServerRequest, User

R = TypeVar("R", bound=Report)
ROOT = Path(__file__).parents[4]
_PATH = [path for path in [os.environ.get("PYTHONPATH")] if path]
GUESTS = "tests.real.outpost.host.guests"
KEYS: set[str] = set()
"""The attempts of the test that runs."""
TINY = [sys.executable, str(ROOT / "tests/real/programs/tiny_server.py")]
HUBS = ("north", "south")
TOKEN = "token-0123456789abcdef"


def configuration(folder: Path, text: str = "", *, hubs: tuple[str, ...] = HUBS[:1], **system: Any) -> Path:
    """An outpost's configuration file with one system called 'test', which starts tiny servers on this machine."""
    values = {"spawner_class": "simple", "poll_interval": 0.3, "stop_timeout": 5} | system
    outpost = {
        "name": "site",
        "state_folder": str(folder),
        "hubs": {
            hub: {"credentials": [{"id": f"key{number}", "sha256": f"{number}" * 64}]}
            for number, hub in enumerate(hubs)
        },
    }
    path = folder / "outpost_config.py"
    path.write_text(
        f"c.Outpost.update({pprint.pformat(outpost)})\nc.Outpost.systems = {{'test': {pprint.pformat(values)}}}\n"
        f"c.Spawner.cmd = {TINY!r}\n"
        "c.LocalProcessSpawner.update({'interrupt_timeout': 2, 'term_timeout': 2})\n"
        f"c.SimpleLocalProcessSpawner.home_dir_template = {str(folder / 'homes' / '{username}')!r}\n\n{text}\n"
    )
    return path


def job(
    key: str = "north:1",
    *,
    user: str = "alice",
    server_name: str = "",
    settings: dict[str, Any] | None = None,
    state: dict[str, Any] | None = None,
    environment: dict[str, str] | None = None,
    certificates: Certificates | None = None,
    overrides: dict[str, Any] | None = None,
    **who: Any,
) -> Job:
    """A job as the outpost makes it."""
    KEYS.add(key)
    base_url = f"/user/{user}/{server_name}/" if server_name else f"/user/{user}/"
    variables = {
        "JUPYTERHUB_API_TOKEN": TOKEN,
        "JPY_API_TOKEN": TOKEN,
        "JUPYTERHUB_API_URL": "http://10.1.2.3:8081/hub/api",
        "JUPYTERHUB_ACTIVITY_URL": f"http://10.1.2.3:8081/hub/api/users/{user}/activity",
        "JUPYTERHUB_BASE_URL": "/",
        "JUPYTERHUB_CLIENT_ID": f"jupyterhub-user-{user}",
        "JUPYTERHUB_SERVER_NAME": server_name,
        "JUPYTERHUB_SERVICE_PREFIX": base_url,
        "JUPYTERHUB_SERVICE_URL": "http://hubs-own-idea:1/",
        "JUPYTERHUB_USER": user,
    }
    return Job(
        key=key,
        hub=key.split(":", maxsplit=1)[0],
        server_id="01890a5d-ac96-774b-bcce-b302099a8057",
        request=ServerRequest(
            user=User(name=user, id=7, **who),
            server_name=server_name,
            options=ServerOptions(system="test", app="lab", overrides=overrides or {}),
            environment=variables | (environment or {}),
            hub=HubAddress(api_url="http://10.1.2.3:8081/hub/api", base_url="/hub/"),
            base_url=base_url,
            oauth_client_id=f"jupyterhub-user-{user}",
            certificates=certificates,
        ),
        settings=settings or {},
        state=state or {},
    )


_CONTRADICTIONS: dict[type, type] = {Started: StartFailed, Stopped: StopFailed}


class Host:
    """One running host process."""

    def __init__(
        self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, log: Path
    ) -> None:
        self.process = process
        self.reader = reader
        self.writer = writer
        self.log = log
        self.heard: list[Report] = []
        """Everything that was read, in its order."""
        self._pings = 0

    def order(self, *orders: Order) -> None:
        for order in orders:
            self.writer.write(order.model_dump_json().encode() + b"\n")

    async def read(self) -> Report:
        line = await self.reader.readline()
        if not line:
            raise EOFError(self.log.read_text())
        report = REPORT.validate_json(line)
        self.heard.append(report)
        return report

    async def expect(self, kind: type[R], key: str | None = None, seconds: float = 15) -> R:
        """The next report of this kind; others are passed over, except a report that contradicts it."""
        async with asyncio.timeout(seconds):
            while True:
                report = await self.read()
                concerned = key in (None, getattr(report, "key", None))
                if isinstance(report, kind) and concerned:
                    return report
                contradiction = _CONTRADICTIONS.get(kind)
                assert not (concerned and contradiction and isinstance(report, contradiction)), report

    async def quiet(self, seconds: float) -> list[Report]:
        """What comes within so many seconds."""
        began = len(self.heard)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    await self.read()
        return self.heard[began:]

    async def ping(self, seconds: float = 5) -> Pong:
        self._pings += 1
        self.order(Ping(number=self._pings))
        while True:
            pong = await self.expect(Pong, seconds=seconds)
            if pong.number == self._pings:
                return pong

    async def start(self, job: Job, *, again: bool = False, seconds: float = 15) -> Started:
        self.order(Start(job=job, again=again))
        return await self.expect(Started, job.key, seconds)

    async def stop(self, job: Job, *, now: bool = False, seconds: float = 20) -> Stopped:
        self.order(Stop(job=job, now=now))
        stopped = await self.expect(Stopped, job.key, seconds)
        self.order(Forget(key=job.key))
        return stopped

    async def resume(self, job: Job) -> None:
        self.order(Resume(job=job))
        await self.expect(Resumed, job.key)

    async def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGKILL)
        await self.process.wait()
        self.writer.close()

    async def hang_up(self, seconds: float = 5) -> int:
        """Close the socket as an outpost that ends does, and give the host's exit code."""
        self.writer.close()
        async with asyncio.timeout(seconds):
            return await self.process.wait()


async def spawn(config: Path, *, env: dict[str, str] | None = None, prefix: tuple[str, ...] = ()) -> Host:
    """Start a host process of the configuration's system, without waiting for its first word."""
    ours, theirs = socket.socketpair()
    log = config.with_name("host.log")
    with log.open("ab") as file:
        process = await asyncio.create_subprocess_exec(
            *(*prefix, sys.executable, "-m", "roadstead.outpost.host"),
            *("--config", str(config), "--system", "test", "--fd", str(theirs.fileno())),
            *("--lock", str(config.with_name("host-test.lock"))),
            pass_fds=[theirs.fileno()],
            stdin=asyncio.subprocess.DEVNULL,
            stderr=file,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *_PATH])} | (env or {}),
            start_new_session=True,
        )
    theirs.close()
    reader, writer = await asyncio.open_connection(sock=ours, limit=MAX_LINE_BYTES)
    return Host(process, reader, writer, log)


@contextlib.asynccontextmanager
async def running(config: Path, **options: Any) -> AsyncIterator[Host]:
    """A host that is ready, killed at the end."""
    host = await spawn(config, **options)
    try:
        first = await asyncio.wait_for(host.read(), 30)
        assert isinstance(first, Ready), first
        yield host
    finally:
        await host.kill()


async def refused(config: Path, **options: Any) -> str:
    """The sentence with which a host refuses its configuration."""
    host = await spawn(config, **options)
    try:
        first = await asyncio.wait_for(host.read(), 30)
        assert isinstance(first, Refused), first
        assert await asyncio.wait_for(host.process.wait(), 10) == 2
        return first.message
    finally:
        await host.kill()


def processes_of(key: str) -> list[int]:
    """The process table: who carries this attempt's key."""
    return carriers().get(key, [])


async def until(condition: Any, seconds: float = 10) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not become true in time"
        await asyncio.sleep(0.02)


def environment_of(pid: int) -> dict[str, str]:
    """The environment with which a process began."""
    entries = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)
