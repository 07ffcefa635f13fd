"""The life of servers through a real hub, proxy and outpost."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import jupyterhub

from tests.real.deployment import Deployment, server_path, wait_until
from tests.real.hub.conftest import Gates


def test_a_default_and_a_named_server_start_and_stop(deployment: Deployment) -> None:
    deployment.start_server("alice", system="site/local")
    deployment.start_server("alice", "second", system="site/local")
    assert deployment.stop_server("alice").status_code in (202, 204)
    deployment.wait_until_stopped("alice")
    assert deployment.reach("alice", "second")
    assert deployment.stored_state("alice") == {}
    deployment.stop_server("alice", "second")
    deployment.wait_until_stopped("alice", "second")
    assert deployment.outposts["site"].servers() == {}


def test_the_only_fitting_system_needs_no_outpost_in_its_name(deployment: Deployment) -> None:
    deployment.start_server("bare", system="local")
    deployment.stop_server("bare")
    deployment.wait_until_stopped("bare")


def test_without_a_choice_among_several_systems_the_answer_names_them(deployment: Deployment) -> None:
    answer = deployment.begin_server("undecided")
    assert answer.status_code == 400
    assert "site/local" in answer.json()["message"]
    assert "site/gated" in answer.json()["message"]


def test_options_that_make_no_sense_are_refused_at_once(deployment: Deployment) -> None:
    for options, word in (
        ({"system": "site/local", "image": "evil"}, "image"),
        ({"system": ["site/local"]}, "system"),
        ({"system": "elsewhere/local"}, "elsewhere"),
        ({"system": "site/nothing"}, "nothing"),
        ({"system": "site/local", "flavor": "huge"}, "huge"),
        ({"system": "site/local", "overrides": {"cmd": ["/bin/sh"]}}, "cmd"),
        ({"system": "site/local", "overrides": {"_secret": 1}}, "overrides"),
    ):
        answer = deployment.begin_server("mallory", **options)
        assert answer.status_code in (400, 403), answer.text
        assert word in answer.json()["message"], answer.text
        assert deployment.server("mallory") is None
    assert deployment.stored_state("mallory") == {}


def test_options_of_the_newer_form_are_understood_on_both_lines(deployment: Deployment) -> None:
    deployment.api("POST", "/users/wrapped")
    body = {"user_options": {"system": "site/local"}}
    assert deployment.api("POST", server_path("wrapped", ""), body).status_code in (201, 202)
    deployment.wait_for_server("wrapped")


def test_progress_replays_the_log_and_follows_it(deployment: Deployment, gates: Gates) -> None:
    deployment.begin_server("patient", system="site/gated")
    with ThreadPoolExecutor() as pool:
        early = pool.submit(deployment.progress, "patient")
        ours = pool.submit(deployment.event_log, "patient")
        time.sleep(1.5)
        late = pool.submit(deployment.progress, "patient")
        threading.Timer(2.0, gates.open, ("patient",)).start()
        for events in (early.result(), late.result()):
            messages = [event["message"] for event in events]
            assert "Waiting at the gate." in messages
            assert events[-1]["ready"]
            shown = [event["progress"] for event in events if "progress" in event]
            assert shown == sorted(shown)
        lines = ours.result()
    assert "Waiting at the gate." in [line.get("message") for line in lines]
    assert lines[-1]["ready"]
    assert lines[-1]["url"] == "/user/patient/"


def test_a_pending_start_is_cancelled_at_the_outpost(deployment: Deployment) -> None:
    deployment.begin_server("hasty", "one", system="site/gated")
    attempt = deployment.attempt("hasty", "one")
    assert deployment.server("hasty", "one")["pending"] == "spawn"  # type: ignore[index]
    assert deployment.stop_server("hasty", "one").status_code in (202, 204)
    deployment.wait_until_stopped("hasty", "one")
    assert deployment.ask_outpost("GET", f"/servers/{attempt}").json()["state"] in ("stopping", "ended")


def test_a_failed_start_tells_the_sentence_of_the_outpost(deployment: Deployment) -> None:
    deployment.begin_server("unlucky", system="site/refusing")
    deployment.wait_until_stopped("unlucky")
    with deployment.browser("unlucky") as browser:
        page = browser.get("/hub/spawn-pending/unlucky")
        assert "The quota of this project is used up." in page.text
        home = browser.get("/hub/home")
        assert "The quota of this project is used up." in home.text
    assert deployment.event_log("unlucky")[-1]["failed"]


def test_the_token_of_a_server_ends_with_it(deployment: Deployment) -> None:
    deployment.start_server("careful", system="site/local")
    [process] = deployment.processes("careful")
    token = process.environ()["JUPYTERHUB_API_TOKEN"]
    assert token not in str(deployment.stored_state("careful"))
    assert deployment.api("GET", "/user", token=token).status_code == 200
    deployment.stop_server("careful")
    deployment.wait_until_stopped("careful")
    assert deployment.api("GET", "/user", token=token).status_code == 403


def test_the_hub_knows_at_once_when_a_server_ended_by_itself(deployment: Deployment) -> None:
    deployment.start_server("brief", system="site/local")
    deployment.processes("brief")[0].kill()
    deployment.wait_until_stopped("brief", seconds=10)
    wait_until("the route is gone", lambda: deployment.target("brief") is None)


def test_a_flavor_ends_its_server_after_a_warning(deployment: Deployment) -> None:
    deployment.start_server("timed", system="site/local", flavor="short")
    with deployment.browser("timed") as browser:
        assert "Time left" in browser.get("/hub/home").text
        wait_until("the person is warned", lambda: "will be stopped in" in browser.get("/hub/home").text, 10)
    deployment.wait_until_stopped("timed", seconds=15)


def test_a_stopped_server_gets_another_name_where_jupyterhub_can_do_that(deployment: Deployment) -> None:
    deployment.start_server("nora", "before", system="site/local")
    deployment.stop_server("nora", "before")
    deployment.wait_until_stopped("nora", "before")
    answer = deployment.api("PATCH", server_path("nora", "before"), {"name": "after"})
    if jupyterhub.version_info < (6,):
        assert answer.status_code == 405
        return
    assert answer.status_code == 200, answer.text
    deployment.start_server("nora", "after")
    assert deployment.attempt("nora", "after")


def test_many_starts_and_stops_of_one_server_leave_one_behind(deployment: Deployment) -> None:
    for _ in range(4):
        deployment.begin_server("nervous", system="site/local")
        deployment.stop_server("nervous")
        wait_until("it is stopped", lambda: deployment.server("nervous") is None)
    deployment.start_server("nervous", system="site/local")
    assert len(deployment.processes("nervous")) == 1
