"""The hub killed in every state of a server: it comes back at once and takes everything up again."""

import json
import signal
import time
from datetime import datetime

import pytest

from tests.real.deployment import Deployment, wait_until
from tests.real.hub.conftest import Gates, Make

PROMPT = 5.0
"""Seconds that JupyterHub's check of its servers may take on a busy machine; waiting for queued ones takes 10."""

ENDINGS = pytest.mark.parametrize(
    "number", [signal.SIGKILL, signal.SIGTERM], ids=lambda number: signal.Signals(number).name
)


@pytest.fixture(scope="module")
def deployment(make: Make) -> Deployment:
    return make()


@ENDINGS
def test_a_running_server_is_kept_and_its_route_never_moves(deployment: Deployment, number: int) -> None:
    user = f"runner{number}"
    deployment.start_server(user, system="site/local")
    before = deployment.target(user)
    [process] = deployment.processes(user)
    deployment.hub.signal(number)
    assert deployment.reach(user)
    targets = set[str | None]()
    deployment.begin_hub()
    while not deployment.hub_answers():
        targets.add(deployment.target(user))
    targets.add(deployment.target(user))
    assert deployment.initialized_in() < PROMPT
    deployment.wait_for_server(user, seconds=20)
    assert targets == {before}
    assert deployment.processes(user) == [process]
    assert deployment.stop_server(user).status_code in (202, 204)
    deployment.wait_until_stopped(user)
    assert deployment.processes(user) == []


@ENDINGS
def test_a_starting_server_is_followed_until_it_is_ready(deployment: Deployment, gates: Gates, number: int) -> None:
    user = f"queued{number}"
    deployment.begin_server(user, "job", system="site/gated")
    attempt = deployment.attempt(user, "job")
    deployment.restart_hub(number)
    assert deployment.initialized_in() < PROMPT
    assert deployment.server(user, "job") is not None
    assert deployment.attempt(user, "job") == attempt
    with deployment.browser(user) as browser:
        wait_until("the route leads to the responder", lambda: deployment.target(user, "job"))
        page = browser.get(f"/user/{user}/job/lab")
        assert page.url.path == f"/hub/roadstead/wait/{user}", page.text
        assert "Waiting at the gate." in page.text
        assert f"/hub/roadstead/stop/{user}/job" in page.text
        assert browser.http.get(f"/user/{user}/job/api/kernels").status_code == 503
        assert browser.http.get(f"/user/{user}/job/api").status_code == 503
        gates.open(user, "job")
        assert deployment.event_log(user, "job")[-1] == {"ready": True, "progress": 100, "url": f"/user/{user}/job/"}
        deployment.wait_for_server(user, "job")
        assert browser.get(f"/hub/roadstead/wait/{user}/job").text.strip() == f"{user}/job"
    assert len(deployment.processes(user, "job")) == 1


def test_a_server_that_became_ready_while_the_hub_was_away_is_ready_at_once(
    deployment: Deployment, gates: Gates
) -> None:
    deployment.begin_server("lucky", system="site/gated")
    deployment.attempt("lucky")
    deployment.hub.signal(signal.SIGKILL)
    gates.open("lucky")
    wait_until("it runs", lambda: deployment.processes("lucky"))
    deployment.begin_hub()
    deployment.wait_for_hub()
    deployment.wait_for_server("lucky", seconds=15)


def test_a_second_restart_while_it_is_still_queued_changes_nothing(deployment: Deployment, gates: Gates) -> None:
    deployment.begin_server("twice", system="site/gated")
    attempt = deployment.attempt("twice")
    deployment.restart_hub()
    deployment.restart_hub()
    assert deployment.attempt("twice") == attempt
    gates.open("twice")
    deployment.wait_for_server("twice")
    deployment.restart_hub()
    deployment.wait_for_server("twice")
    assert len(deployment.processes("twice")) == 1


def test_a_queued_server_is_cancelled_at_once_after_a_restart(deployment: Deployment) -> None:
    deployment.begin_server("changed", system="site/gated")
    attempt = deployment.attempt("changed")
    deployment.restart_hub()
    begun = time.monotonic()
    answer = deployment.stop_server("changed")
    assert answer.status_code in (202, 204), answer.text
    deployment.wait_until_stopped("changed")
    assert time.monotonic() - begun < 10
    assert deployment.stored_state("changed") == {}
    wait_until("the route is gone", lambda: deployment.target("changed") is None)
    wait_until("it ended", lambda: deployment.ask_outpost("GET", f"/servers/{attempt}").json()["state"] == "ended")


def test_a_server_that_ended_meanwhile_is_found_out(deployment: Deployment) -> None:
    deployment.start_server("mortal", system="site/local")
    [process] = deployment.processes("mortal")
    deployment.hub.signal(signal.SIGKILL)
    process.kill()
    deployment.begin_hub()
    deployment.wait_for_hub()
    deployment.wait_until_stopped("mortal", seconds=15)
    wait_until("the route is gone", lambda: deployment.target("mortal") is None)


def test_a_start_that_came_to_nothing_meanwhile_is_found_out(deployment: Deployment) -> None:
    deployment.begin_server("failing", system="site/gated")
    attempt = deployment.attempt("failing")
    deployment.hub.signal(signal.SIGKILL)
    assert deployment.ask_outpost("DELETE", f"/servers/{attempt}").status_code == 202
    deployment.begin_hub()
    deployment.wait_for_hub()
    deployment.wait_until_stopped("failing", seconds=15)


def test_an_attempt_that_the_outpost_never_got_is_given_up(deployment: Deployment) -> None:
    outpost = deployment.outposts["site"]
    outpost.kill(signal.SIGSTOP)
    try:
        deployment.begin_server("lost", system="site/local")
        deployment.attempt("lost")
        deployment.hub.signal(signal.SIGKILL)
    finally:
        outpost.kill(signal.SIGKILL)
    outpost.start()
    deployment.begin_hub()
    deployment.wait_for_hub()
    deployment.wait_until_stopped("lost", seconds=30)
    assert deployment.processes("lost") == []


def test_the_outpost_is_away_when_the_hub_comes_back(deployment: Deployment, gates: Gates) -> None:
    outpost = deployment.outposts["site"]
    deployment.start_server("stays", system="site/local")
    deployment.begin_server("waits", system="site/gated")
    deployment.attempt("waits")
    [process] = deployment.processes("stays")
    deployment.hub.signal(signal.SIGKILL)
    outpost.kill(signal.SIGKILL)
    deployment.begin_hub()
    deployment.wait_for_hub()
    assert deployment.initialized_in() < PROMPT
    assert deployment.reach("stays")
    time.sleep(3)
    assert deployment.server("stays") is not None
    assert deployment.server("waits") is not None
    outpost.start()
    gates.open("waits")
    deployment.wait_for_server("waits")
    assert deployment.processes("stays") == [process]
    assert deployment.reach("stays")


def test_the_outpost_restarts_and_nobody_notices(deployment: Deployment, gates: Gates) -> None:
    outpost = deployment.outposts["site"]
    deployment.start_server("calm", system="site/local")
    deployment.begin_server("asleep", system="site/gated")
    deployment.attempt("asleep")
    outpost.kill(signal.SIGKILL)
    time.sleep(1)
    assert deployment.server("calm") is not None
    outpost.start()
    gates.open("asleep")
    deployment.wait_for_server("asleep")
    assert deployment.reach("calm")
    deployment.processes("calm")[0].kill()
    deployment.wait_until_stopped("calm", seconds=20)


def test_the_token_is_revoked_after_restart_and_stop(deployment: Deployment) -> None:
    deployment.start_server("wary", system="site/local")
    token = deployment.processes("wary")[0].environ()["JUPYTERHUB_API_TOKEN"]
    deployment.restart_hub()
    assert deployment.api("GET", "/user", token=token).status_code == 200
    assert token not in json.dumps(deployment.stored_state("wary"))
    deployment.stop_server("wary")
    deployment.wait_until_stopped("wary")
    assert deployment.api("GET", "/user", token=token).status_code == 403


def test_a_waiting_server_is_never_idle(deployment: Deployment) -> None:
    deployment.begin_server("idle", system="site/gated")
    deployment.attempt("idle")
    deployment.hub.signal(signal.SIGKILL)
    time.sleep(2)
    restarted = time.time()
    deployment.begin_hub()
    deployment.wait_for_hub()

    def active() -> bool:
        model = deployment.server("idle")
        return model is not None and datetime.fromisoformat(model["last_activity"]).timestamp() >= restarted

    wait_until("it counts as active", active)
    deployment.stop_server("idle")
    deployment.wait_until_stopped("idle")


def test_a_server_that_is_silent_while_the_hub_starts_is_left_alone(deployment: Deployment) -> None:
    deployment.start_server("mute", system="site/local")
    [process] = deployment.processes("mute")
    process.suspend()
    try:
        deployment.restart_hub()
        assert deployment.initialized_in() < PROMPT
        time.sleep(2)
        assert deployment.server("mute") is not None
        assert process.is_running()
    finally:
        process.resume()
    assert deployment.reach("mute")
