"""A day with `roadstead up`: log in, start a server, stop, come back, lose processes, end everything."""

import os
import pwd
import re
import signal
import stat

import httpx
import psutil
import pytest

from roadstead.up.supervisor import NAMES
from tests.real.up.house import House, run, wait_until


@pytest.fixture
def running(house: House) -> House:
    """A house that is up, on loopback alone, and has a server of alice."""
    if house.is_up() and house.public:
        house.interrupt()
    if not house.is_up():
        house.up()
    if not house.answers():
        house.start_server()
    return house


def test_it_says_what_it_does_and_how_to_log_in(running: House) -> None:
    said = running.said()
    assert re.search(r"^proxy: ready after [\d.]+ s$", said, re.MULTILINE)
    assert re.search(r"^outpost: ready after [\d.]+ s$", said, re.MULTILINE)
    assert re.search(r"^hub: ready after [\d.]+ s$", said, re.MULTILINE)
    assert f"Roadstead is ready: {running.url}" in said
    assert running.secret("password") in said
    assert running.secret("admin-password") not in said


def test_a_wrong_password_opens_no_door(running: House) -> None:
    with httpx.Client(base_url=running.url, follow_redirects=True, timeout=30, trust_env=False) as stranger:
        stranger.get("/hub/login")
        form = {"username": "alice", "password": "password", "_xsrf": stranger.cookies["_xsrf"]}
        assert stranger.post("/hub/login", data=form).status_code == 403


def test_only_loopback_is_listened_on(running: House) -> None:
    ours = {process.pid for process in running.processes()}
    listening = [
        connection.laddr[0]
        for connection in psutil.net_connections("tcp")
        if connection.laddr and connection.pid in ours and connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 4
    assert set(listening) == {"127.0.0.1"}


def test_nothing_runs_as_root_and_no_secret_can_be_seen(running: House) -> None:
    account = pwd.getpwnam("roadstead").pw_uid if os.geteuid() == 0 else os.geteuid()
    secrets = [path.read_text().strip() for path in (running.state / "secrets").iterdir()]
    assert len(secrets) == 7
    processes = [process for process in running.processes() if process.pid != running.process.pid]  # type: ignore[union-attr]
    assert len(processes) >= 5
    for process in processes:
        assert process.uids().real == account
        words = " ".join(process.cmdline())
        assert not [secret for secret in secrets if secret in words]
        server_environment = process.environ() if "JUPYTERHUB_USER" in process.environ() else {}
        assert not [secret for secret in secrets if secret in " ".join(server_environment.values())]
    for path in (running.state / "secrets").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(running.state.stat().st_mode) == 0o700
    logs = " ".join(path.read_text(errors="replace") for path in (running.state / "logs").iterdir())
    assert not [secret for secret in secrets if secret in logs]


def test_status_tells_what_runs(running: House) -> None:
    found = running.status()
    assert found["up"] is True
    assert found["url"] == running.url
    assert {name: each["state"] for name, each in found["processes"].items()} == dict.fromkeys(NAMES, "ready")
    assert found["servers_from"] == "outpost"
    [server] = found["servers"]
    assert (server["user"], server["server_name"], server["state"]) == ("alice", "", "running")
    assert (server["system"], server["app"], server["flavor"]) == ("this-machine", "lab", "small")
    told = run("status", "--state", str(running.state))
    assert told.returncode == 0
    assert "alice/(default): running this-machine lab small, until" in told.stdout


def test_a_second_up_on_the_same_folder_is_refused(running: House) -> None:
    done = run("up", "--state", str(running.state), "--port", "1")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"is in use by process {running.status()['supervisor']} at {running.url}" in done.stderr
    assert running.status()["up"] is True


@pytest.mark.parametrize("name", NAMES)
def test_a_killed_process_is_started_again_and_the_server_stays(running: House, name: str) -> None:
    server, killed = running.server(), running.child(name)
    killed.kill()
    wait_until(f"{name} is mended", lambda: running.pid(name) != killed.pid and running.status()["up"])
    assert f"{name}: was killed by signal 9; starting it again" in running.said()
    wait_until("the server answers again", running.answers, 30)
    assert running.server().pid == server.pid
    assert running.browser().get("/hub/home").status_code == 200


def test_a_silent_process_is_told_by_status(running: House) -> None:
    outpost = running.child("outpost")
    outpost.suspend()
    try:
        found = running.status()
    finally:
        outpost.resume()
    assert found["up"] is False
    assert found["processes"]["outpost"]["state"] == "silent"
    assert found["servers_from"] == "process table"
    assert [server["user"] for server in found["servers"]] == ["alice"]


def test_ctrl_c_leaves_servers_alone_and_the_next_up_finds_them(running: House) -> None:
    server = running.server()
    assert running.interrupt(signal.SIGINT) == 0
    assert "servers are left alone" in running.said()
    assert [process.pid for process in running.processes() if "JUPYTERHUB_USER" not in process.environ()] == []
    assert server.is_running()
    found = running.status()
    assert found["up"] is False
    assert [server["user"] for server in found["servers"]] == ["alice"]
    running.up()
    wait_until("the same server answers", running.answers, 30)
    assert running.server().pid == server.pid
    assert running.api("GET", "/hub/api/users/alice").json()["servers"][""]["ready"] is True
    assert running.status()["servers"][0]["state"] == "running"


def test_up_after_a_killed_supervisor_ends_its_leftovers(running: House) -> None:
    server, children = running.server(), [running.child(name) for name in NAMES]
    running.interrupt(signal.SIGKILL)
    assert all(child.is_running() for child in children)
    running.up()
    assert "though its 'roadstead up' is gone; ending it" in running.said()
    assert not any(child.is_running() for child in children)
    wait_until("the same server answers", running.answers, 30)
    assert running.server().pid == server.pid


def test_what_the_user_changed_is_kept(running: House) -> None:
    assert running.interrupt(signal.SIGTERM) == 0
    config = running.state / "outpost_config.py"
    config.write_text(config.read_text().replace('"display_name": "Small"', '"display_name": "Tiny"'))
    running.up()
    assert "Wrote" not in running.said()
    assert "Tiny" in running.browser().get("/hub/spawn/alice/another").text


def test_public_is_a_choice_that_comes_with_a_warning(running: House) -> None:
    assert "WARNING" not in running.said()
    running.interrupt()
    running.up("--public")
    assert "the password travels unencrypted" in running.said()
    proxy = [each.laddr[0] for each in running.child("proxy").net_connections("tcp") if each.status == "LISTEN"]
    assert sorted(proxy) == ["0.0.0.0", "127.0.0.1"]


def test_down_ends_everything(running: House) -> None:
    running.start_server("second", app="notebook")
    assert "Jupyter" in running.api("GET", "/user/alice/second/tree").text
    second = running.server("second")
    done = running.down()
    assert done.returncode == 0, done.stderr
    assert "Ending 2 servers: alice/(default), alice/second" in done.stdout
    assert done.stdout.endswith("Everything has ended.\n")
    assert running.processes() == []
    assert not second.is_running()
    assert running.process is not None
    assert running.process.wait(10) == 0
    found = running.status()
    assert (found["up"], found["servers"]) == (False, [])


def test_down_without_up_ends_servers_too_and_the_hub_learns_of_it(running: House) -> None:
    server = running.server()
    running.interrupt()
    assert server.is_running()
    done = running.down()
    assert done.returncode == 0, done.stderr
    assert running.processes() == []
    running.up()
    wait_until("the hub knows", lambda: not running.api("GET", "/hub/api/users/alice").json()["servers"], 30)
    running.start_server()
