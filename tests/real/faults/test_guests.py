"""Spawners that hang in start, poll and stop, and every time-out, through a whole deployment."""

import os
import signal
from typing import Any, Final

import pytest

from tests.real.deployment import wait_until
from tests.real.faults.place import Place
from tests.real.faults.truths import Kept, agree, keep, processes

HANGING: Final = {"never": ("before",), "late": ("after",), "stubborn": ("after", "stubborn")}
"""How start() hangs: without a process, with one, and so that it does not let itself be cancelled either."""


def begin(site: Place, user: str, *moments: str, system: str = "brisk") -> str:
    """Ask for a server that does what a bad one does; its attempt."""
    site.hold(user, *moments)
    answer = site.deployment.begin_server(user, system=f"site/{system}")
    assert answer.status_code in (201, 202), answer.text
    return site.deployment.attempt(user)


def ended(site: Place, user: str, attempt: str) -> str:
    """Wait until a server is gone at both sides; how it ended."""
    site.deployment.wait_until_stopped(user, seconds=60)
    end: dict[str, Any] = site.until(attempt, "ended", seconds=60)["end"]
    return str(end["code"])


def test_a_start_that_hangs_is_given_up_by_the_outpost(site: Place, kept: list[Kept]) -> None:
    attempts = {f"slow-{kind}": begin(site, f"slow-{kind}", *moments) for kind, moments in HANGING.items()}
    for user, attempt in attempts.items():
        assert ended(site, user, attempt) == "start-timeout"
    agree(site, kept)


@pytest.mark.parametrize("kind", ["hanging", "mute"])
def test_a_start_that_comes_to_nothing_after_a_restart_of_the_hub_can_be_repeated(
    site: Place, kept: list[Kept], kind: str
) -> None:
    attempt = begin(site, kind, "after", "mute", system="held" if kind == "mute" else "brisk")
    site.until(attempt, "starting")
    site.deployment.restart_hub()
    if kind == "mute":
        (site.holds / "mute.after").unlink()
    assert ended(site, kind, attempt) == ("stopped" if kind == "mute" else "start-timeout")
    site.let_go(kind)
    site.deployment.start_server(kind, system="site/held")
    site.deployment.stop_server(kind)
    agree(site, kept)


def test_a_start_that_hangs_is_cancelled(site: Place, kept: list[Kept]) -> None:
    attempts = {f"hasty-{kind}": begin(site, f"hasty-{kind}", *moments) for kind, moments in HANGING.items()}
    for user in ("hasty-late", "hasty-stubborn"):
        wait_until("it has made a process", lambda user=user: attempts[user] in processes(site))  # type: ignore[misc]
    for user in attempts:
        assert site.deployment.stop_server(user).status_code in (202, 204)
    for user, attempt in attempts.items():
        assert ended(site, user, attempt) == "stopped"
    agree(site, kept)


def test_a_start_that_blocks_its_host_is_given_up_and_costs_nobody_else(site: Place, kept: list[Kept]) -> None:
    site.deployment.start_server("beside", system="site/brisk")
    beside = keep(site, "beside")
    attempt = begin(site, "blocking", "block")
    site.deployment.start_server("elsewhere", system="site/held")
    assert ended(site, "blocking", attempt) in ("start-timeout", "start-failed")
    agree(site, [*kept, beside])
    for user in ("beside", "elsewhere"):
        site.deployment.stop_server(user)
    agree(site, kept)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_start_that_takes_too_long_for_the_hub_leaves_nothing(site: Place, kept: list[Kept], moment: str) -> None:
    attempt = begin(site, f"impatient-{moment}", moment)
    assert ended(site, f"impatient-{moment}", attempt) == "stopped"
    agree(site, kept)


def test_a_server_that_never_answers_is_ended(site: Place, kept: list[Kept]) -> None:
    attempt = begin(site, "unreached", "mute")
    site.until(attempt, "running")
    assert ended(site, "unreached", attempt) == "stopped"
    agree(site, kept)


@pytest.mark.parametrize("fault", ["nothing", "hub", "outpost", "host"])
def test_a_stop_that_hangs_comes_to_its_end(site: Place, kept: list[Kept], fault: str) -> None:
    user = f"stuck-{fault}"
    attempt = begin(site, user, "stop")
    site.deployment.wait_for_server(user)
    assert site.deployment.stop_server(user).status_code in (202, 204)
    site.until(attempt, "stopping")
    if fault == "hub":
        site.kill_hub()
        site.begin_hub()
    elif fault == "outpost":
        site.kill_outpost()
    elif fault == "host":
        site.signal_hosts(signal.SIGKILL, "brisk")
    assert ended(site, user, attempt) == "stopped"
    agree(site, kept)


def test_the_same_server_can_be_started_while_its_stop_hangs(site: Place, kept: list[Kept]) -> None:
    first = begin(site, "again", "stop")
    site.deployment.wait_for_server("again")
    site.deployment.stop_server("again")
    site.deployment.wait_until_stopped("again", seconds=20)
    site.deployment.start_server("again", system="site/held")
    assert site.view(first)["state"] == "ended"
    agree(site, kept)
    site.let_go("again")
    site.deployment.stop_server("again")
    agree(site, kept)


def test_no_answer_of_poll_is_no_end(site: Place, kept: list[Kept]) -> None:
    attempt = begin(site, "silent")
    site.deployment.wait_for_server("silent")
    silent = keep(site, "silent")
    site.hold("silent", "poll")
    site.kill_outpost()
    site.deployment.restart_hub()
    site.outpost.wait_for(site.outpost.healthy)
    wait_until("a poll was given up", lambda: "gave no answer" in site.outpost.log.read_text(), 40)
    agree(site, [*kept, silent])
    os.kill(silent.process.pid, signal.SIGKILL)
    site.let_go("silent")
    assert ended(site, "silent", attempt) == "exited"
    agree(site, kept)


def test_a_cancel_outlives_a_hub_that_ends_before_the_outpost_is_back(site: Place, kept: list[Kept]) -> None:
    attempt = begin(site, "last")
    site.deployment.wait_for_server("last")
    site.outpost.kill()
    assert site.deployment.stop_server("last").status_code in (202, 204)
    site.kill_hub(signal.SIGTERM)
    site.outpost.begin()
    site.begin_hub()
    assert ended(site, "last", attempt) in ("stopped", "forgotten")
    agree(site, kept)
