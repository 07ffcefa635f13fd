"""The hub killed at each point of a start: before the request, its answer lost, its first event on the way."""

import time

from tests.real.deployment import wait_until
from tests.real.faults.churn import Churn
from tests.real.faults.place import Place
from tests.real.faults.truths import Kept, agree, keep, processes


def warm(site: Place) -> None:
    """Let the hub have a connection to the outpost that is open, so that a request can be sent before the cut shows."""
    site.deployment.start_server("warm", system="site/held")
    site.deployment.stop_server("warm")
    site.deployment.wait_until_stopped("warm")


def test_killed_before_the_outpost_has_the_request(site: Place, kept: list[Kept]) -> None:
    warm(site)
    with site.cut():
        site.deployment.begin_server("unsent", system="site/held")
        attempt = site.deployment.attempt("unsent")
        site.kill_hub()
        site.deployment.begin_hub()
        site.deployment.wait_for_hub()
        time.sleep(1)
    # The dead hub's kernel goes on sending. In time, the server is the next hub's; too late, it must start nothing.
    agree(site, kept)
    time.sleep(4)
    agree(site, kept)
    if site.deployment.server("unsent") is None:
        assert site.view(attempt) == {} or site.view(attempt)["state"] == "ended"
    else:
        assert site.deployment.attempt("unsent") == attempt


def test_killed_when_the_answer_is_lost(site: Place, kept: list[Kept]) -> None:
    warm(site)
    with site.cut(came=False):
        site.deployment.begin_server("answered", system="site/held")
        attempt = site.deployment.attempt("answered")
        wait_until("it runs all the same", lambda: attempt in processes(site))
        site.kill_hub()
        site.deployment.begin_hub()
        site.deployment.wait_for_hub()
    site.deployment.wait_for_server("answered")
    kept.append(keep(site, "answered"))
    assert kept[-1].attempt == attempt
    agree(site, kept)


def test_an_answer_that_is_lost_makes_no_second_server(site: Place, kept: list[Kept]) -> None:
    warm(site)
    with site.cut(came=False):
        site.deployment.begin_server("repeated", system="site/held")
        attempt = site.deployment.attempt("repeated")
        wait_until("it runs all the same", lambda: attempt in processes(site))
        time.sleep(3)
    site.deployment.wait_for_server("repeated")
    kept.append(keep(site, "repeated"))
    assert kept[-1].attempt == attempt
    agree(site, kept)


def test_killed_when_the_first_event_is_on_its_way(site: Place, kept: list[Kept]) -> None:
    site.hold("news", "before")
    site.deployment.begin_server("news", system="site/held")
    attempt = site.deployment.attempt("news")
    site.until(attempt, "starting")
    with site.cut(came=False):
        site.let_go("news")
        wait_until("it runs", lambda: attempt in processes(site))
        time.sleep(1)
        assert not site.deployment.server("news")["ready"]  # type: ignore[index]
        site.kill_hub()
    site.begin_hub()
    site.deployment.wait_for_server("news")
    kept.append(keep(site, "news"))
    assert kept[-1].attempt == attempt
    agree(site, kept)


def test_killed_at_random_moments_of_many_starts_and_stops(site: Place, kept: list[Kept]) -> None:
    churn = Churn(site, seed=19, kept=kept)
    for _ in range(10):
        churn.round([site.kill_hub])
    churn.clear()
