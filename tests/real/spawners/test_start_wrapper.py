"""The start wrapper as a process: secrets, ports, hand-over, reports; with the system's own Python."""

import http.server
import json
import os
import signal
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from roadstead.spawners.folder import WRAPPER
from roadstead.spawners.reports import read_report
from tests.real.deployment import free_port, wait_until
from tests.real.outposts import PROGRAMS

PYTHON = ["/usr/bin/python3", "-I"]
TINY = ["/usr/bin/python3", str(PROGRAMS / "tiny_server.py")]
TAKES_A_SOCKET = """
import http.server, os, socket, sys
assert os.environ["LISTEN_FDS"] == "1" and os.environ["LISTEN_PID"] == str(os.getpid())
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(204)
        self.end_headers()
server = http.server.HTTPServer(("", 0), Handler, bind_and_activate=False)
server.socket = socket.socket(fileno=3)
server.serve_forever()
"""


class Jobs:
    """Jobs of one home, without a scheduler."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "SLURMD_NODENAME": "c1"}
        self.processes: list[subprocess.Popen[bytes]] = []

    def wrapper(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [*PYTHON, str(WRAPPER), *words]
        return subprocess.run(command, input=stdin, env=self.environment, capture_output=True, text=True, check=False)

    def stage(self, name: str, **changes: Any) -> Path:
        start = {
            "name": name,
            "secret": "s3cret",
            "command": TINY,
            "environment": {"JUPYTERHUB_USER": "alice", "JUPYTERHUB_SERVICE_URL": "http://0.0.0.0:0/user/alice/"},
            "ip": "127.0.0.1",
            "first_port": 0,
            "last_port": 0,
            "hand_over": False,
            "report_url": "",
        } | changes
        done = self.wrapper("stage", stdin=json.dumps({"name": name, "start": start, "keep_days": 7}))
        assert done.returncode == 0, done.stderr
        return Path(json.loads(done.stdout)["folder"])

    def run(self, folder: Path) -> subprocess.Popen[bytes]:
        with (folder / "log").open("ab") as log:
            command = [*PYTHON, str(folder / "start.py"), "run", str(folder)]
            process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def look(self, name: str) -> dict[str, Any]:
        return dict(json.loads(self.wrapper("look", name).stdout))

    def port(self, name: str) -> int:
        text = wait_until("the job reports", lambda: self.look(name)["report"])
        report = read_report(text, name, "s3cret", 0)
        assert report.node == "c1"
        return report.port


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    made = Jobs(tmp_path)
    yield made
    for process in made.processes:
        process.kill()
        process.wait(10)


def test_a_server_gets_its_secrets_and_nobody_else(jobs: Jobs) -> None:
    folder = jobs.stage("job")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    process = jobs.run(folder)
    assert httpx.get(f"http://127.0.0.1:{jobs.port('job')}/").text == "alice/\n"
    assert not (folder / "start.json").exists()
    assert b"s3cret" not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
    assert b"tiny_server" in Path(f"/proc/{process.pid}/cmdline").read_bytes(), "the wrapper became the server"


def test_jobs_that_start_together_never_get_one_port(jobs: Jobs) -> None:
    first = free_port()
    names = [f"job-{number}" for number in range(8)]
    for name in names:
        jobs.run(jobs.stage(name, first_port=first, last_port=first + 39))
    assert len({jobs.port(name) for name in names}) == 8


def test_a_range_that_is_full_says_so(jobs: Jobs) -> None:
    port = free_port()
    jobs.run(jobs.stage("one", first_port=port, last_port=port))
    assert jobs.port("one") == port
    assert jobs.run(jobs.stage("two", first_port=port, last_port=port)).wait(20) == 1
    assert jobs.look("two")["notes"] == [f"All ports from {port} to {port} are in use on c1."]


def test_a_socket_is_handed_over(jobs: Jobs) -> None:
    jobs.run(jobs.stage("job", hand_over=True, command=["/usr/bin/python3", "-c", TAKES_A_SOCKET]))
    assert httpx.get(f"http://127.0.0.1:{jobs.port('job')}/").status_code == 204


def test_a_job_does_not_start_twice(jobs: Jobs) -> None:
    folder = jobs.stage("job")
    jobs.run(folder)
    jobs.port("job")
    assert jobs.run(folder).wait(20) == 1
    assert "started a second time" in jobs.look("job")["notes"][0]


def test_a_program_that_is_not_there_is_named(jobs: Jobs) -> None:
    assert jobs.run(jobs.stage("job", command=["no-such-server"])).wait(20) == 127
    assert "no-such-server cannot be run on c1" in jobs.look("job")["notes"][0]


def test_the_companion_ends_with_the_server(jobs: Jobs) -> None:
    process = jobs.run(jobs.stage("job", report_url=f"http://127.0.0.1:{free_port()}/"))
    jobs.port("job")
    [companion] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    wait_until("the companion is gone", lambda: not Path(f"/proc/{companion}").exists())


def test_a_home_that_does_not_exist_is_named(jobs: Jobs) -> None:
    jobs.environment["HOME"] = str(jobs.home / "none")
    done = jobs.wrapper("stage", stdin=json.dumps({"name": "job", "start": {}, "keep_days": 7}))
    assert done.returncode == 1
    assert "does not exist yet" in done.stderr


def test_old_folders_are_removed(jobs: Jobs) -> None:
    old, new = jobs.stage("old"), jobs.stage("new")
    os.utime(old, (0, 0))
    jobs.stage("job")
    assert (old.exists(), new.exists()) == (False, True)


@pytest.fixture
def receiver() -> Iterator[Callable[[], tuple[str, list[bytes]]]]:
    """Somebody who takes a report at the third try only."""
    heard: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(503 if len(heard) < 3 else 204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield lambda: (f"http://127.0.0.1:{server.server_port}/", heard)
        server.shutdown()
        thread.join()


def test_a_report_is_sent_until_it_is_taken(jobs: Jobs, receiver: Callable[[], tuple[str, list[bytes]]]) -> None:
    url, heard = receiver()
    process = jobs.run(jobs.stage("job", report_url=url))
    wait_until("three tries", lambda: len(heard) == 3)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    wait_until("the companion is done", lambda: zombie(children.read_text().split()))
    assert len(heard) == 3
    assert {read_report(each, "job", "s3cret", 0).port for each in heard} == {jobs.port("job")}


def zombie(pids: list[str]) -> bool:
    """Whether these processes have ended, and only wait for their parent to notice."""
    return all(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z" for pid in pids)
