"""Several outposts, dead and slow ones; and both sides' lists compared, so that nothing is forgotten on either."""

import signal
import sqlite3
import time
from collections.abc import Iterator

import pytest

from roadstead.protocol import new_attempt_id
from tests.real.deployment import Deployment, wait_until
from tests.real.hub.conftest import Gates, Make
from tests.real.outposts import request_body

OFTEN = "from roadstead.hub import mirror\nmirror._KNOWN_SECONDS = (0.5, 1.0)"
"""Lists are compared every second rather than every few minutes."""


@pytest.fixture(scope="module")
def deployment(make: Make) -> Deployment:
    return make("site", "other", lines=OFTEN, grace=3)


@pytest.fixture
def stopped(deployment: Deployment) -> Iterator[Deployment]:
    """The same with the other outpost killed."""
    deployment.outposts["other"].kill(signal.SIGKILL)
    try:
        yield deployment
    finally:
        deployment.outposts["other"].start()


def test_each_server_runs_where_it_was_asked_for(deployment: Deployment) -> None:
    deployment.start_server("alice", "here", system="site/local")
    deployment.start_server("alice", "there", system="other/local")
    assert len(deployment.outposts["other"].servers()) == 1
    assert len(deployment.outposts["site"].servers()) == 1
    answer = deployment.begin_server("alice", system="local")
    assert answer.status_code == 400
    assert "site/local" in answer.json()["message"]
    for name in ("here", "there"):
        deployment.stop_server("alice", name)
        deployment.wait_until_stopped("alice", name)


def test_a_dead_outpost_is_told_of_and_slows_nobody(stopped: Deployment) -> None:
    with stopped.browser("bob") as browser:
        begun = time.monotonic()
        page = browser.get("/hub/spawn")
        assert time.monotonic() - begun < 3
        assert "Site other" in page.text
        assert "cannot be reached" in page.text
        assert "site/local" in page.text
    stopped.start_server("bob", system="site/local")


def test_an_outpost_that_hangs_is_waited_for_three_seconds(deployment: Deployment) -> None:
    deployment.outposts["other"].kill(signal.SIGSTOP)
    try:
        with deployment.browser("ben") as browser:
            begun = time.monotonic()
            page = browser.get("/hub/spawn")
            assert 2.5 < time.monotonic() - begun < 6
            assert "cannot be reached" in page.text
    finally:
        deployment.outposts["other"].kill(signal.SIGCONT)


def test_a_start_that_names_no_outpost_gives_all_of_them_their_time(deployment: Deployment) -> None:
    # Where a server has come up, the event stream stands.
    deployment.start_server("abe", system="other/local")
    deployment.outposts["other"].kill(signal.SIGSTOP)
    try:
        assert deployment.begin_server("bea", system="local").status_code == 202
        time.sleep(5)
        assert deployment.server("bea") is not None
    finally:
        deployment.outposts["other"].kill(signal.SIGCONT)
    failed = deployment.progress("bea")[-1]
    assert "Choose one of site/local, other/local" in failed["message"]
    assert deployment.processes("bea") == []


def test_a_start_waits_a_moment_for_an_outpost_that_comes_back(stopped: Deployment) -> None:
    stopped.begin_server("cara", system="other/local")
    time.sleep(3)
    assert stopped.server("cara") is not None
    stopped.outposts["other"].start()
    stopped.wait_for_server("cara")
    assert len(stopped.processes("cara")) == 1
    stopped.outposts["other"].kill(signal.SIGKILL)


def test_a_user_is_free_when_the_outpost_is_away_and_its_server_ends_later(
    deployment: Deployment,
) -> None:
    deployment.start_server("dan", system="other/local")
    [process] = deployment.processes("dan")
    deployment.outposts["other"].kill(signal.SIGKILL)
    begun = time.monotonic()
    assert deployment.stop_server("dan").status_code in (202, 204)
    deployment.wait_until_stopped("dan", seconds=20)
    assert time.monotonic() - begun < 20
    assert process.is_running()
    deployment.start_server("dan", system="site/local")
    deployment.outposts["other"].start()
    wait_until("the old server is ended", lambda: not process.is_running(), 30)
    assert deployment.reach("dan")


def test_the_same_server_started_again_waits_for_the_end_of_the_old_one(deployment: Deployment) -> None:
    deployment.start_server("eva", system="other/local")
    [old] = deployment.processes("eva")
    deployment.outposts["other"].kill(signal.SIGKILL)
    deployment.stop_server("eva")
    deployment.wait_until_stopped("eva", seconds=20)
    deployment.begin_server("eva", system="other/local")
    deployment.outposts["other"].start()
    deployment.wait_for_server("eva")
    [new] = deployment.processes("eva")
    assert new != old


def test_the_outpost_ends_what_the_hub_does_not_know(deployment: Deployment) -> None:
    stray = new_attempt_id()
    assert deployment.ask_outpost("PUT", f"/servers/{stray}", request_body("stranger")).status_code == 201
    deployment.start_server("fred", system="site/local")
    wait_until("it runs", lambda: deployment.processes("stranger"))
    wait_until("it is ended", lambda: not deployment.processes("stranger"), 30)
    view = wait_until("the end is written", lambda: deployment.ask_outpost("GET", f"/servers/{stray}").json()["end"])
    assert view["code"] == "forgotten"
    assert deployment.reach("fred")


def test_a_server_whose_user_was_deleted_in_the_database_is_ended(deployment: Deployment) -> None:
    deployment.start_server("gone", system="site/local")
    deployment.hub.signal(signal.SIGKILL)
    with sqlite3.connect(f"{deployment.folder}/jupyterhub.sqlite") as database:
        database.execute("PRAGMA foreign_keys = ON")
        database.execute("DELETE FROM users WHERE name = 'gone'")
    deployment.begin_hub()
    deployment.wait_for_hub()
    wait_until("it is ended", lambda: not deployment.processes("gone"), 30)


def test_nothing_is_ended_while_the_hub_is_away(deployment: Deployment) -> None:
    deployment.start_server("ines", system="site/local")
    [process] = deployment.processes("ines")
    deployment.hub.signal(signal.SIGKILL)
    time.sleep(6)
    assert process.is_running()
    deployment.begin_hub()
    deployment.wait_for_hub()
    time.sleep(5)
    assert deployment.processes("ines") == [process]
    assert deployment.reach("ines")


def test_an_outpost_under_another_name_keeps_its_servers(deployment: Deployment, gates: Gates) -> None:
    deployment.start_server("jo", system="site/local")
    [process] = deployment.processes("jo")
    deployment.outposts["renamed"] = deployment.outposts.pop("site")
    deployment.write_config()
    try:
        deployment.restart_hub()
        with deployment.browser("visitor") as browser:
            assert "renamed/local" in browser.get("/hub/spawn").text
        time.sleep(6)
        assert deployment.processes("jo") == [process]
        assert deployment.reach("jo")
    finally:
        deployment.outposts["site"] = deployment.outposts.pop("renamed")
        deployment.write_config()
        deployment.restart_hub()


def test_a_revoked_credential_is_told_and_costs_no_server(deployment: Deployment) -> None:
    deployment.start_server("karl", system="site/local")
    right = deployment.outposts["site"].tokens["hub"]
    deployment.outposts["site"].tokens["hub"] = right[:-4] + "AAAA"
    deployment.write_config()
    try:
        deployment.restart_hub()
        with deployment.browser("lea") as browser:
            assert "does not accept this hub" in browser.get("/hub/spawn").text
        assert deployment.reach("karl")
        assert deployment.server("karl") is not None
    finally:
        deployment.outposts["site"].tokens["hub"] = right
        deployment.write_config()
        deployment.restart_hub()
    deployment.stop_server("karl")
    deployment.wait_until_stopped("karl")
    assert deployment.processes("karl") == []
