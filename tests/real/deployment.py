"""A real deployment: JupyterHub, configurable-http-proxy and outposts as processes of their own, each killed alone."""

import contextlib
import json
import re
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

import httpx
import psutil

from roadstead.protocol import PROTOCOL_HEADER, PROTOCOL_VERSION
from roadstead.up.proxy_program import find_proxy
from tests.real.outposts import Outpost, local_system

ROOT: Final = Path(__file__).parents[2]
ADMIN: Final = {
    "name": "test",
    "scopes": [
        "admin:users",
        "admin:servers",
        "admin:server_state",
        "tokens",
        "proxy",
        "read:hub",
        "shutdown",
    ],
}

Value = TypeVar("Value")


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(what: str, check: Callable[[], Value], seconds: float = 30.0, pause: float = 0.05) -> Value:
    """Poll until the check gives something true, and give that."""
    deadline = time.monotonic() + seconds
    while not (value := check()):
        assert time.monotonic() < deadline, f"not within {seconds} seconds: {what}"
        time.sleep(pause)
    return value


class Process:
    """A program with a log, to be started, signalled and started again."""

    def __init__(self, name: str, command: list[str], folder: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.command = command
        self.folder = folder
        self.environment = dict(environment)
        self.log = folder / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Start it."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def signal(self, number: int = signal.SIGKILL) -> None:
        """Send a signal and, if it is one that ends, wait for the end."""
        assert self.process is not None
        self.process.send_signal(number)
        if number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
            self.process.wait(30)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def said(self, characters: int = 6000) -> str:
        """The end of its log, without the lines of single requests."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(line for line in lines if " log:1" not in line and " _xsrf_utils:" not in line)[-characters:]

    def clean_up(self) -> None:
        """End it for good."""
        if self.alive:
            assert self.process is not None
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(15)


class Deployment:
    """One hub with its proxy and outposts; ports are free ones, everything lies in one folder."""

    def __init__(
        self,
        folder: Path,
        outposts: Mapping[str, Outpost] | None = None,
        lines: str = "",
        *,
        internal_ssl: bool = False,
    ) -> None:
        """`lines` end the hub's configuration, before configure(c). With internal_ssl the hub runs the proxy."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        if outposts is None:
            outposts = {"site": outpost_at_fixed_port(folder / "site")}
        self.outposts = dict(outposts)
        self.hub_port, self.proxy_port, self.proxy_api_port = free_port(), free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.proxy_port}"
        self.internal_ssl = internal_ssl
        # Under internal_ssl nobody speaks to the hub without a certificate, except through the proxy.
        self.hub_api = f"{self.url if internal_ssl else f'http://127.0.0.1:{self.hub_port}'}/hub/api"
        self.token = secrets.token_hex(16)
        self._proxy_token = secrets.token_hex(16)
        self.config = folder / "jupyterhub_config.py"
        self.lines = lines
        self.extra: dict[str, Any] = {}
        environment = {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "PYTHONUNBUFFERED": "1",
            "HOME": str(folder),
        }
        options = ["--ip", "127.0.0.1", "--port", str(self.proxy_port), "--api-ip", "127.0.0.1"]
        options += ["--api-port", str(self.proxy_api_port)]
        options += ["--error-target", f"http://127.0.0.1:{self.hub_port}/hub/error"]
        command = find_proxy(ROOT)
        assert command is not None, "configurable-http-proxy is missing: run 'make proxy'"
        self._proxy_program = command
        self.proxy = Process(
            "proxy",
            [*command, *options],
            folder,
            environment | {"CONFIGPROXY_AUTH_TOKEN": self._proxy_token},
        )
        self.hub = Process("hub", [sys.executable, "-m", "jupyterhub", "-f", str(self.config)], folder, environment)
        self._http = httpx.Client(trust_env=False, timeout=40)

    # -- processes

    def start(self) -> None:
        """Start everything and wait until it answers."""
        for outpost in self.outposts.values():
            if outpost.process is None:
                outpost.begin()
        self.write_config()
        if not self.internal_ssl:
            self.start_proxy()
        self.begin_hub()
        for outpost in self.outposts.values():
            wait_for_outpost(outpost)
        self.wait_for_hub()

    def write_config(self) -> None:
        """Write jupyterhub_config.py; again after `lines`, `outposts` or `extra`, what each of them has, changed."""
        entries = {
            name: {"url": outpost.url, "credential": outpost.tokens["hub"], "display_name": f"Site {name}"}
            | self.extra
            | ({"ca_file": str(outpost.ca_file)} if outpost.ca_file else {})
            for name, outpost in self.outposts.items()
        }
        self.config.write_text(
            f"""from roadstead.hub import configure
c = get_config()
c.RoadsteadSpawner.outposts = {entries!r}
c.JupyterHub.bind_url = {self.url!r}
c.JupyterHub.hub_bind_url = "{"https" if self.internal_ssl else "http"}://127.0.0.1:{self.hub_port}"
c.JupyterHub.internal_ssl = {self.internal_ssl}
c.JupyterHub.db_url = "sqlite:///{self.folder}/jupyterhub.sqlite"
c.JupyterHub.cookie_secret_file = "{self.folder}/cookie_secret"
c.JupyterHub.cleanup_proxy = False
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {{"admin"}}
c.ConfigurableHTTPProxy.should_start = {self.internal_ssl}
c.ConfigurableHTTPProxy.command = {self._proxy_program!r}
c.ConfigurableHTTPProxy.api_url = "{"https" if self.internal_ssl else "http"}://127.0.0.1:{self.proxy_api_port}"
c.ConfigurableHTTPProxy.auth_token = {self._proxy_token!r}
c.JupyterHub.services = [{{"name": "test", "api_token": {self.token!r}}}]
c.JupyterHub.load_roles = [{ADMIN | {"services": ["test"]}!r}]
c.JupyterHub.tornado_settings = {{"slow_spawn_timeout": 1}}
{self.lines}
configure(c)
"""
        )

    def start_proxy(self) -> None:
        """Start the proxy and wait until its API answers."""
        self.proxy.begin()
        wait_until("the proxy answers", lambda: self.routes() is not None)

    def begin_hub(self) -> None:
        """Start the hub without waiting."""
        self.hub.begin()

    def wait_for_hub(self, seconds: float = 60) -> float:
        """Wait until the hub answers; how long that took."""
        begun = time.monotonic()
        wait_until(f"the hub answers\n{self.hub.said()}", self.hub_answers, seconds)
        return time.monotonic() - begun

    def restart_hub(self, number: int = signal.SIGKILL) -> float:
        """End the hub with a signal and start it again; seconds until it answers."""
        self.hub.signal(number)
        self.begin_hub()
        return self.wait_for_hub()

    def hub_answers(self) -> bool:
        """Whether the hub serves its API."""
        assert self.hub.alive, f"the hub ended:\n{self.hub.said()}"
        try:
            return self._http.get(f"{self.hub_api}/").status_code == 200
        except httpx.TransportError:
            return False

    def clean_up(self) -> None:
        """End everything that was started, servers too."""
        self._http.close()
        for process in (self.hub, self.proxy):
            process.clean_up()
        if self.internal_ssl:
            self._end_proxy_of_the_hub()
        for outpost in self.outposts.values():
            outpost.clean_up()

    def _end_proxy_of_the_hub(self) -> None:
        pid_file = self.folder / "jupyterhub-proxy.pid"
        if pid_file.exists():
            with contextlib.suppress(psutil.NoSuchProcess):
                psutil.Process(int(pid_file.read_text().splitlines()[0])).kill()

    # -- REST

    def api(self, method: str, path: str, body: Mapping[str, Any] | None = None, token: str = "") -> httpx.Response:
        """Call the hub's API directly, as administrator or with another token."""
        return self._http.request(
            method,
            f"{self.hub_api}{path}",
            headers={"Authorization": f"token {token or self.token}"},
            content=json.dumps(body or {}) if body or method == "POST" else None,
        )

    def add_user(self, name: str) -> str:
        """Make a user if need be; a token of theirs."""
        self.api("POST", f"/users/{name}")
        answer = self.api("POST", f"/users/{name}/tokens")
        assert answer.status_code == 201, answer.text
        return str(answer.json()["token"])

    def begin_server(self, user: str, name: str = "", **options: Any) -> httpx.Response:
        """Ask the hub for a server."""
        self.api("POST", f"/users/{quote(user)}")
        return self.api("POST", server_path(user, name), {"user_options": options} if options else None)

    def start_server(self, user: str, name: str = "", **options: Any) -> None:
        """Ask for a server and wait until it is ready."""
        answer = self.begin_server(user, name, **options)
        assert answer.status_code in (201, 202), answer.text
        self.wait_for_server(user, name)

    def stop_server(self, user: str, name: str = "", **body: Any) -> httpx.Response:
        """Ask the hub for the end of a server."""
        return self.api("DELETE", server_path(user, name), body)

    def server(self, user: str, name: str = "") -> dict[str, Any] | None:
        """The hub's model of an active server; None when it has none."""
        answer = self.api("GET", f"/users/{quote(user)}")
        servers = answer.json().get("servers", {}) if answer.status_code == 200 else {}
        model: dict[str, Any] | None = servers.get(name)
        return None if model is None or model.get("stopped") else model

    def wait_for_server(self, user: str, name: str = "", seconds: float = 40) -> dict[str, Any]:
        """Wait until a server is ready and can be reached through the proxy."""

        def ready() -> dict[str, Any] | None:
            model = self.server(user, name)
            return model if model is not None and model["ready"] and self.reach(user, name) else None

        try:
            return wait_until("the server is ready", ready, seconds) or {}
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.server(user, name)}\n{self.hub.said()}") from None

    def wait_until_stopped(self, user: str, name: str = "", seconds: float = 30) -> None:
        """Wait until the hub has no such server."""
        wait_until(f"{user}/{name} is stopped", lambda: self.server(user, name) is None, seconds)

    def reach(self, user: str, name: str = "") -> bool:
        """Whether the user's server itself answers through the proxy."""
        try:
            answer = self._http.get(f"{self.url}{user_path(user, name)}hello")
        except httpx.TransportError:
            return False
        return answer.status_code == 200 and answer.text.strip() == f"{user}/{name}"

    def progress(self, user: str, name: str = "", seconds: float = 40) -> list[dict[str, Any]]:
        """The hub's own progress stream of a start, to its end."""
        return list(self._events(f"{server_path(user, name)}/progress", seconds))

    def event_log(self, user: str, name: str = "", seconds: float = 40) -> list[dict[str, Any]]:
        """Roadstead's event stream of a server, to its end."""
        path = f"/roadstead/events/{user}" + (f"/{name}" if name else "")
        return list(self._events(path, seconds))

    def _events(self, path: str, seconds: float) -> Iterator[dict[str, Any]]:
        headers = {"Authorization": f"token {self.token}"}
        with self._http.stream("GET", f"{self.hub_api}{path}", headers=headers, timeout=seconds) as answer:
            assert answer.status_code == 200, answer.read()
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    yield json.loads(line.removeprefix("data: "))

    # -- what others hold

    def routes(self) -> dict[str, Any] | None:
        """The proxy's routes; None while it does not answer."""
        headers = {"Authorization": f"token {self._proxy_token}"}
        try:
            answer = self._http.get(f"http://127.0.0.1:{self.proxy_api_port}/api/routes", headers=headers)
        except httpx.TransportError:
            return None
        return dict(answer.json()) if answer.status_code == 200 else None

    def target(self, user: str, name: str = "") -> str | None:
        """Where the proxy sends a server's visitors."""
        route = (self.routes() or {}).get(user_path(user, name).rstrip("/"))
        return None if route is None else str(route["target"])

    def stored_state(self, user: str, name: str = "") -> dict[str, Any]:
        """The state of a Spawner in the hub's database."""
        with sqlite3.connect(f"file:{self.folder}/jupyterhub.sqlite?mode=rw", uri=True, timeout=10) as database:
            row = database.execute(
                "SELECT s.state FROM spawners s JOIN users u ON u.id = s.user_id WHERE u.name = ? AND s.name = ?",
                (user, name),
            ).fetchone()
        return dict(json.loads(row[0])) if row and row[0] else {}

    def ask_outpost(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, outpost: str = "site"
    ) -> httpx.Response:
        """Speak to an outpost as the hub does."""
        at = self.outposts[outpost]
        headers = {"Authorization": f"Bearer {at.tokens['hub']}", PROTOCOL_HEADER: str(PROTOCOL_VERSION)}
        return httpx.request(
            method, f"{at.url}/api/v1{path}", headers=headers, json=body, verify=at.trust, trust_env=False, timeout=40
        )

    def initialized_in(self) -> float:
        """How long JupyterHub took to check its servers at its last start, by its own measure."""
        found = re.findall(r"Initialized \d+ spawners in ([0-9.]+) seconds", self.hub.said(1_000_000))
        return float(found[-1])

    def processes(self, user: str, name: str = "") -> list[psutil.Process]:
        """The leading process of each server of this user and name, wherever it runs."""
        found = []
        for outpost in self.outposts.values():
            for family in outpost.servers().values():
                environment = family[0].environ()
                if (environment.get("JUPYTERHUB_USER"), environment.get("JUPYTERHUB_SERVER_NAME", "")) == (user, name):
                    found.append(family[0])
        return found

    def attempt(self, user: str, name: str = "") -> str:
        """The id of the attempt that the hub's database holds, waited for."""
        stored = wait_until("the attempt is stored", lambda: self.stored_state(user, name))
        return str(stored["roadstead"]["id"])

    # -- a person

    @contextmanager
    def browser(self, user: str) -> Iterator["Browser"]:
        """A person who has logged in through the proxy."""
        with httpx.Client(base_url=self.url, trust_env=False, timeout=40, follow_redirects=True) as http:
            http.get("/hub/login").raise_for_status()
            data = {"username": user, "password": "", "_xsrf": http.cookies["_xsrf"]}
            answer = http.post("/hub/login", data=data, follow_redirects=False)
            assert answer.status_code == 302, answer.text
            http.get("/hub/home").raise_for_status()
            yield Browser(http)


class Browser:
    """What a person's browser does, without JavaScript."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    @property
    def xsrf(self) -> str:
        return next(
            cookie.value or "" for cookie in self.http.cookies.jar if cookie.name == "_xsrf" and cookie.path == "/hub/"
        )

    def get(self, path: str, **query: str) -> httpx.Response:
        headers = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin"}
        return self.http.get(path, params=query or None, headers=headers)

    def post(self, path: str, **fields: str) -> httpx.Response:
        headers = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin"}
        return self.http.post(path, data={"_xsrf": self.xsrf} | fields, headers=headers)

    def start(self, name: str, system: str, **fields: str) -> httpx.Response:
        """Fill in the start page; `fields` without the system in their names."""
        named = {f"{key}--{system}": value for key, value in fields.items()}
        return self.post("/hub/roadstead/start", name=name, system=system, **named)


def outpost_at_fixed_port(folder: Path, **changes: Any) -> Outpost:
    """An outpost that comes back at the same address when it is started again."""
    return Outpost(folder, **({"systems": {"local": local_system(folder)}} | changes), port=free_port())


def wait_for_outpost(outpost: Outpost) -> None:
    """Wait until all systems of an outpost can start servers."""
    outpost.wait_for(outpost.healthy)


def server_path(user: str, name: str) -> str:
    """The path of a server in JupyterHub's API."""
    return f"/users/{quote(user)}/servers/{name}" if name else f"/users/{quote(user)}/server"


def user_path(user: str, name: str) -> str:
    """The path of a server behind the proxy."""
    return f"/user/{quote(user, safe='@')}/{name}/" if name else f"/user/{quote(user, safe='@')}/"
