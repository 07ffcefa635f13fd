"""A real `roadstead up` in a state folder of its own, driven as a person would: signals, HTTP, the command line."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil

ROADSTEAD = str(Path(sys.executable).with_name("roadstead"))
OPTIONS = {"system": "local/this-machine", "flavor": "small"}

Value = TypeVar("Value")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(what: str, check: Callable[[], Value], seconds: float = 60.0) -> Value:
    """Poll until the check gives something true."""
    deadline = time.monotonic() + seconds
    while not (value := check()):
        assert time.monotonic() < deadline, f"not within {seconds} seconds: {what}"
        time.sleep(0.1)
    return value


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command line, to its end."""
    return subprocess.run(
        [ROADSTEAD, *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


class House:
    """A state folder in a place that every account can reach, and what runs on it."""

    def __init__(self) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="roadstead-up-"))
        self.base.chmod(0o755)
        self.state = self.base / "state"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.public = False
        self.process: subprocess.Popen[str] | None = None
        self.output = self.base / "output"
        self._browser: httpx.Client | None = None
        self._token: str | None = None

    # -- roadstead

    def up(self, *options: str) -> None:
        """Start, and wait until it says that it is ready."""
        if self.process:
            self.process.wait(60)
        self.public = "--public" in options
        with self.output.open("w") as output:
            self.process = process = subprocess.Popen(
                [ROADSTEAD, "up", "--state", str(self.state), "--port", str(self.port), *options],
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )
        wait_until("ready", lambda: "Roadstead is ready" in self.said() or process.poll() is not None, 150)
        assert process.poll() is None, self.said()

    def said(self) -> str:
        return self.output.read_text()

    def is_up(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> int:
        """Signal the supervisor alone and give its exit code."""
        assert self.process
        self.process.send_signal(number)
        return self.process.wait(60)

    def status(self) -> dict[str, Any]:
        done = run("status", "--json", "--state", str(self.state))
        assert done.returncode in (0, 3), done.stderr
        return dict(json.loads(done.stdout))

    def down(self) -> subprocess.CompletedProcess[str]:
        return run("down", "--state", str(self.state))

    def secret(self, name: str) -> str:
        return (self.state / "secrets" / name).read_text().strip()

    # -- a person

    def browser(self) -> httpx.Client:
        """A person's session, logged in through the proxy with the password that was shown."""
        if self._browser is None:
            shown = re.search(r"the password (\S+)", self.said())
            assert shown
            browser = httpx.Client(base_url=self.url, follow_redirects=True, timeout=30, trust_env=False)
            browser.get("/hub/login").raise_for_status()
            form = {"username": "alice", "password": shown[1], "_xsrf": browser.cookies["_xsrf"]}
            page = browser.post("/hub/login", data=form)
            assert page.status_code == 200, page.text
            assert "/hub/login" not in str(page.url)
            self._browser = browser
        return self._browser

    def api(self, method: str, path: str, **body: Any) -> httpx.Response:
        """JupyterHub's REST API with a token of the user alice."""
        if self._token is None:
            browser = self.browser()
            answer = browser.post(
                "/hub/api/users/alice/tokens",
                json={"note": "tests"},
                headers={
                    "X-XSRFToken": browser.cookies.get("_xsrf", path="/hub/") or "",
                    "Referer": f"{self.url}/hub/token",
                },
            )
            assert answer.status_code == 201, answer.text
            self._token = str(answer.json()["token"])
        headers = {"Authorization": f"token {self._token}"}
        return httpx.request(
            method, f"{self.url}{path}", json=body or None, headers=headers, timeout=30, trust_env=False
        )

    def start_server(self, name: str = "", app: str = "lab") -> None:
        """Start a server by REST and wait until its app answers through the proxy."""
        path = f"/hub/api/users/alice/servers/{name}" if name else "/hub/api/users/alice/server"
        answer = self.api("POST", path, **OPTIONS, app=app)
        assert answer.status_code in (201, 202), answer.text
        wait_until("the server answers", lambda: self.answers(name), 100)

    def answers(self, name: str = "") -> bool:
        """Whether the app itself, not hub or proxy, answers this user."""
        try:
            answer = self.api("GET", f"/user/alice/{name + '/' if name else ''}api/status")
        except httpx.HTTPError:
            return False
        return answer.status_code == 200 and "kernels" in answer.text

    # -- the process table

    def processes(self) -> list[psutil.Process]:
        """Every process that works in or for this state folder, users' servers among them."""
        found = []
        for process in psutil.process_iter():
            try:
                words = [*process.cmdline(), *process.environ().values(), process.cwd()]
            except psutil.Error:
                continue
            if any(str(self.state) in word for word in words) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        return found

    def server(self, name: str = "") -> psutil.Process:
        """The one process of a user's server."""
        found = []
        for process in self.processes():
            environment = process.environ()
            if environment.get("JUPYTERHUB_USER") == "alice" and environment.get("JUPYTERHUB_SERVER_NAME", "") == name:
                found.append(process)
        leaders = [process for process in found if process.ppid() not in {other.pid for other in found}]
        assert len(leaders) == 1, leaders
        return leaders[0]

    def child(self, name: str) -> psutil.Process:
        """A supervised process."""
        return psutil.Process(self.pid(name))

    def pid(self, name: str) -> int:
        """The process id that was written down last for a supervised process."""
        return int(json.loads((self.state / "run" / f"{name}.json").read_text())["pid"])

    def remove(self) -> None:
        """End what is left, and forget all."""
        if self.is_up():
            self.interrupt(signal.SIGTERM)
        for process in self.processes():
            process.kill()
        if self._browser:
            self._browser.close()
        shutil.rmtree(self.base)
