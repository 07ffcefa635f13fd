"""Outages that last longer than anybody waits: what happened meanwhile is found out, and nothing else is lost."""

import time
from collections.abc import Iterator

import pytest

from tests.real.deployment import wait_until
from tests.real.faults.place import SILENCE, Place, place
from tests.real.faults.truths import agree, keep

PROXY_PATIENCE = 30
"""Seconds for which JupyterHub asks a proxy again and again."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with place(tmp_path_factory.mktemp("place")) as made:
        yield made


@pytest.mark.parametrize("restart", [False, True], ids=["same-hub", "hub-started-again"])
def test_a_server_that_ends_while_the_proxy_is_away_is_not_shown_as_running(site: Place, restart: bool) -> None:
    mortal, steady = f"mortal{restart:d}", f"steady{restart:d}"
    for user in (mortal, steady):
        site.deployment.start_server(user, system="site/held")
    kept = keep(site, steady)
    if restart:
        site.deployment.restart_hub()
    site.deployment.proxy.signal()
    keep(site, mortal).process.kill()
    time.sleep(PROXY_PATIENCE + 10)
    assert kept.process.is_running()
    site.deployment.start_proxy()
    site.tell_of_proxy()
    site.deployment.wait_until_stopped(mortal, seconds=60)
    agree(site, [kept])


def test_everything_goes_on_while_the_outpost_is_cut_off_for_a_minute(site: Place) -> None:
    site.deployment.start_server("visited", system="site/held")
    visited = keep(site, "visited")
    site.hold("queued", "before")
    site.deployment.begin_server("queued", system="site/held")
    site.until(site.deployment.attempt("queued"), "starting")
    with site.cut():
        site.let_go("queued")
        time.sleep(max(60, 4 * SILENCE))
        assert site.deployment.server("visited") is not None, "unknown is not gone"
    wait_until("its server is reached again", lambda: site.deployment.reach("visited"), 60)
    site.deployment.wait_for_server("queued", seconds=60)
    agree(site, [visited])
