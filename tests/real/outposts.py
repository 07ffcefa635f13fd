"""A real outpost as a process of its own, with its hosts, on a free port and in a folder of its own."""

import asyncio
import json
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import psutil

from roadstead.outpost.credentials import new_credential
from roadstead.protocol import PROTOCOL_HEADER, PROTOCOL_VERSION, new_attempt_id

PROGRAMS: Final = Path(__file__).parent / "programs"
TINY: Final = [sys.executable, str(PROGRAMS / "tiny_server.py")]
KEY_VARIABLE: Final = "ROADSTEAD_SERVER_KEY"


def local_system(folder: Path, **changes: Any) -> dict[str, Any]:
    """A system that starts tiny servers on this machine."""
    homes = str(folder / "homes" / "{username}")
    # A signal that comes while Python is just starting may be lost: do not wait long before the next.
    pauses = {"interrupt_timeout": 1, "term_timeout": 2}
    config = {"SimpleLocalProcessSpawner": {"cmd": TINY, "args": [], "home_dir_template": homes} | pauses}
    return {"spawner_class": "simple", "poll_interval": 0.5, "silence_timeout": 5.0, "config": config} | changes


def request_body(user: str = "alice", server_name: str = "", **options: Any) -> dict[str, Any]:
    """What a hub sends to start a server."""
    path = f"/user/{user}/{server_name}/" if server_name else f"/user/{user}/"
    return {
        "user": {"name": user},
        "server_name": server_name,
        "options": {"system": "local"} | options,
        "environment": {
            "JUPYTERHUB_USER": user,
            "JUPYTERHUB_SERVER_NAME": server_name,
            "JUPYTERHUB_API_TOKEN": f"token-of-{user}-{server_name}",
            "JUPYTERHUB_SERVICE_PREFIX": path,
        },
        "hub": {"api_url": "http://127.0.0.1:9/hub/api", "base_url": "/hub/"},
        "base_url": path,
        "oauth_client_id": f"jupyterhub-user-{user}-{server_name}",
    }


class Outpost:
    """One outpost: started, killed, stopped and asked like a site's."""

    def __init__(
        self,
        folder: Path,
        systems: dict[str, dict[str, Any]] | None = None,
        hubs: tuple[str, ...] = ("hub",),
        lines: str = "",
        *,
        prefix: tuple[str, ...] = (),
        ca_file: Path | None = None,
        **section: Any,
    ) -> None:
        """`prefix` begins its command, `ca_file` is what its clients trust if it speaks https."""
        self.folder = folder
        self.prefix, self.ca_file = prefix, ca_file
        self.trust: ssl.SSLContext | bool = ssl.create_default_context(cafile=ca_file) if ca_file else False
        self.state = folder / "state"
        folder.mkdir(parents=True, exist_ok=True)
        credentials = {hub: new_credential() for hub in hubs}
        self.tokens = {hub: credential.token for hub, credential in credentials.items()}
        metrics = new_credential()
        self.metrics_token = metrics.token
        settings: dict[str, Any] = {
            "name": folder.name.replace("_", "-")[:60].lower(),
            "port": 0,
            "state_folder": str(self.state),
            "hubs": {hub: {"credentials": [credential.entry]} for hub, credential in credentials.items()},
            "metrics_credentials": [metrics.entry],
            "systems": systems or {"local": local_system(folder)},
            **section,
        }
        self.config = folder / "outpost_config.py"
        text = "\n".join(f"c.Outpost.{name} = {value!r}" for name, value in settings.items())
        self.config.write_text(f"{text}\n{lines}\n")
        self.log = folder / "outpost.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def start(self, seconds: float = 30) -> None:
        """Start it and wait until every system can start servers."""
        self.begin()
        self.wait_for(self.healthy, seconds)

    def healthy(self) -> bool:
        """Whether all its systems can start servers."""
        return bool(httpx.get(f"{self.url}/health", verify=self.trust).json()["status"] == "ok")

    def begin(self) -> None:
        """Start it and wait for its address only."""
        address = self.state / "address"
        address.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            command = [*self.prefix, sys.executable, "-m", "roadstead.outpost", "--config", str(self.config)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        self.wait_for(lambda: bool(address.read_text().strip()))
        self.url = address.read_text().strip()

    def wait_for(self, condition: Callable[[], bool], seconds: float = 30) -> None:
        """Wait until something is so; shows the log when it never is."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if condition():
                    return
            except (httpx.HTTPError, OSError, KeyError, ValueError):
                pass
            assert self.process is None or self.process.poll() is None, f"the outpost ended:\n{self.log.read_text()}"
            time.sleep(0.05)
        raise AssertionError(f"the outpost did not get there:\n{self.log.read_text()[-4000:]}")

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal and, if it is one that ends, wait for the end."""
        assert self.process is not None
        self.process.send_signal(number)
        if number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
            self.process.wait(15)

    def host_pid(self, system: str = "local") -> int:
        """The process of a system's host."""
        return int((self.state / f"host-{system}.lock").read_text())

    def servers(self) -> dict[str, list[psutil.Process]]:
        """All processes on this machine that belong to attempts of this outpost's hubs, by key."""
        found: dict[str, list[psutil.Process]] = {}
        for process in psutil.process_iter():
            try:
                environment = process.environ()
                key = environment.get(KEY_VARIABLE)
                mine = environment.get("HOME", "").startswith(str(self.folder))
            except (psutil.Error, OSError):
                continue
            if key and mine and process.status() != psutil.STATUS_ZOMBIE:
                found.setdefault(key, []).append(process)
        return found

    def clean_up(self) -> None:
        """End the outpost and every server it left."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(15)
        for lock in self.state.glob("host-*.lock"):
            try:
                host = psutil.Process(int(lock.read_text()))
                if "roadstead.outpost.host" in host.cmdline():
                    host.kill()
                    host.wait(5)
            except (psutil.Error, ValueError):
                continue
        for processes in self.servers().values():
            for process in processes:
                process.kill()

    @asynccontextmanager
    async def client(self, hub: str = "hub", **headers: str) -> AsyncIterator["HubClient"]:
        """Speak to it as one of its hubs."""
        standard = {"Authorization": f"Bearer {self.tokens[hub]}", PROTOCOL_HEADER: str(PROTOCOL_VERSION)}
        async with httpx.AsyncClient(
            base_url=self.url, headers=standard | headers, timeout=20, verify=self.trust
        ) as http:
            yield HubClient(http)


class HubClient:
    """What a hub does at an outpost, in a test's words."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def put(self, body: dict[str, Any], server_id: str | None = None) -> httpx.Response:
        return await self.http.put(f"/api/v1/servers/{server_id or new_attempt_id()}", json=body)

    async def get(self, server_id: str) -> dict[str, Any]:
        answer = await self.http.get(f"/api/v1/servers/{server_id}")
        answer.raise_for_status()
        view: dict[str, Any] = answer.json()
        return view

    async def delete(self, server_id: str) -> httpx.Response:
        return await self.http.delete(f"/api/v1/servers/{server_id}")

    async def start(self, *args: Any, **options: Any) -> str:
        """Ask for a server and give the attempt's id."""
        answer = await self.put(request_body(*args, **options))
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def until(self, server_id: str, *states: str, seconds: float = 30) -> dict[str, Any]:
        """Wait until an attempt is in one of these states."""
        deadline = time.monotonic() + seconds
        while True:
            view = await self.get(server_id)
            if view["state"] in states:
                return view
            assert time.monotonic() < deadline, f"still {view['state']}, not {states}"
            await asyncio.sleep(0.05)

    async def events(self, after: int = 0, seconds: float = 2.0) -> list[dict[str, Any]]:
        """What the stream says after a number within some seconds of silence."""
        found: list[dict[str, Any]] = []
        try:
            async with self.http.stream("GET", "/api/v1/events", params={"after": after}, timeout=seconds) as answer:
                assert answer.status_code == 200
                async for line in answer.aiter_lines():
                    found += [json.loads(line.removeprefix("data: "))] if line.startswith("data: ") else []
        except httpx.ReadTimeout:
            pass
        return found


def outpost_in(folder: Path, **settings: Any) -> Iterator[Outpost]:
    """For fixtures: a running outpost that is ended with all it started."""
    outpost = Outpost(folder, **settings)
    try:
        outpost.start()
        yield outpost
    finally:
        outpost.clean_up()
