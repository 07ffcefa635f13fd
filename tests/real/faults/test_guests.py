"""Spawners that hang in start, poll and stop, and every time-out, through a whole deployment."""

import os
import signal
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.real.deployment import wait_until
from tests.real.faults.place import Place, place
from tests.real.faults.truths import agree, keep, processes

GUESTS: Final = (
    "NeverStarts",
    "StartsThenHangs",
    "StartHangsHard",
    "Blocks",
    "StopHangs",
    "PollHangs",
    "PollFails",
)
HANGING: Final = [name.lower() for name in GUESTS[:3]]
LINES: Final = """
def impatient(spawner):
    if spawner.user.name.startswith("impatient"):
        spawner.start_timeout = 2
c.Spawner.pre_spawn_hook = impatient
c.RoadsteadSpawner.stop_timeout = 6
c.RoadsteadSpawner.reach_timeout = 4
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with place(tmp_path_factory.mktemp("guests"), GUESTS, LINES) as made:
        yield made


@pytest.fixture
def site(whole: Place) -> Place:
    """The deployment, whole."""
    whole.mend()
    return whole


def begin(site: Place, user: str, system: str) -> str:
    """Ask for a server; its attempt."""
    answer = site.deployment.begin_server(user, system=f"site/{system}")
    assert answer.status_code in (201, 202), answer.text
    return site.deployment.attempt(user)


def ended(site: Place, user: str, attempt: str) -> dict[str, Any]:
    """Wait until a server is gone at both sides; how it ended."""
    site.deployment.wait_until_stopped(user, seconds=60)
    end: dict[str, Any] = site.until(attempt, "ended", seconds=60)["end"]
    return end


def test_a_start_that_hangs_is_given_up_by_the_outpost(site: Place) -> None:
    attempts = {system: begin(site, f"slow-{system}", system) for system in HANGING}
    for system, attempt in attempts.items():
        assert ended(site, f"slow-{system}", attempt)["code"] == "start-timeout"
    agree(site, [])


def test_a_start_that_hangs_is_cancelled(site: Place) -> None:
    attempts = {system: begin(site, f"hasty-{system}", system) for system in HANGING}
    for attempt in attempts.values():
        site.until(attempt, "starting")
    wait_until("one has made a process", lambda: attempts["startsthenhangs"] in processes(site))
    for system in attempts:
        assert site.deployment.stop_server(f"hasty-{system}").status_code in (202, 204)
    for system, attempt in attempts.items():
        assert ended(site, f"hasty-{system}", attempt)["code"] == "stopped"
    agree(site, [])


def test_a_start_that_blocks_its_host_is_given_up_and_costs_nobody_else(site: Place) -> None:
    attempt = begin(site, "blocked", "blocks")
    site.deployment.start_server("meanwhile", system="site/held")
    end = ended(site, "blocked", attempt)
    assert end["code"] in ("start-timeout", "start-failed")
    site.deployment.stop_server("meanwhile")
    agree(site, [])


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_start_that_takes_too_long_for_the_hub_leaves_nothing(site: Place, moment: str) -> None:
    user = f"impatient-{moment}"
    site.hold(user, moment)
    attempt = begin(site, user, "held")
    assert ended(site, user, attempt)["code"] == "stopped"
    agree(site, [])


def test_a_server_that_never_answers_is_ended(site: Place) -> None:
    attempt = begin(site, "mute", "mute")
    site.until(attempt, "running")
    assert ended(site, "mute", attempt)["code"] == "stopped"
    agree(site, [])


@pytest.mark.parametrize("fault", ["nothing", "hub", "outpost", "host"])
def test_a_stop_that_hangs_frees_the_user_and_comes_to_its_end(site: Place, fault: str) -> None:
    user = f"stuck-{fault}"
    attempt = begin(site, user, "stophangs")
    site.deployment.wait_for_server(user)
    assert site.deployment.stop_server(user).status_code in (202, 204)
    site.until(attempt, "stopping")
    if fault == "hub":
        site.kill_hub()
        site.begin_hub()
    elif fault == "outpost":
        site.kill_outpost()
    elif fault == "host":
        site.signal_hosts(signal.SIGKILL, "stophangs")
    assert ended(site, user, attempt)["code"] == "stopped"
    site.deployment.start_server(user, system="site/held")
    site.deployment.stop_server(user)
    agree(site, [])


def test_the_same_server_can_be_started_while_its_stop_hangs(site: Place) -> None:
    attempt = begin(site, "again", "stophangs")
    site.deployment.wait_for_server("again")
    site.deployment.stop_server("again")
    site.deployment.wait_until_stopped("again", seconds=20)
    site.deployment.start_server("again", system="site/held")
    assert site.view(attempt)["state"] == "ended"
    assert list(processes(site)) == [site.deployment.attempt("again")]
    site.deployment.stop_server("again")
    agree(site, [])


def test_no_answer_of_poll_is_no_end(site: Place) -> None:
    for system in ("pollfails", "pollhangs"):
        begin(site, system, system)
        site.deployment.wait_for_server(system)
    (site.folder / "homes" / "pollfails" / "poll-fails").touch()
    kept = [keep(site, system) for system in ("pollfails", "pollhangs")]
    site.signal_hosts(signal.SIGKILL)
    site.kill_outpost()
    site.deployment.restart_hub()
    site.outpost.wait_for(site.outpost.healthy)
    agree(site, kept)
    wait_until("poll of one was given up", lambda: "no answer" in site.outpost.log.read_text(), 30)
    agree(site, kept)
    (site.folder / "homes" / "pollfails" / "poll-fails").unlink()
    os.kill(kept[0].process.pid, signal.SIGKILL)
    assert ended(site, "pollfails", kept[0].attempt)["code"] == "exited"
    assert site.deployment.stop_server("pollhangs").status_code in (202, 204)
    site.deployment.wait_until_stopped("pollhangs", seconds=30)
    wait_until("nothing is left of it", lambda: kept[1].attempt not in processes(site), 30)
    assert site.view(kept[1].attempt)["state"] == "stopping", "whether it is over cannot be known while poll() hangs"
