"""JupyterHub's internal_ssl from hub and proxy to the servers, and over a restart of the hub."""

import pytest

from tests.real.deployment import Deployment, wait_until
from tests.real.hub.conftest import Gates, Make


@pytest.fixture(scope="module")
def deployment(make: Make) -> Deployment:
    return make(internal_ssl=True, lines="c.Spawner.ssl_alt_names = []")


def test_a_server_gets_the_hubs_certificates_and_is_reached_with_them(deployment: Deployment) -> None:
    deployment.start_server("tess", system="site/secure")
    deployment.restart_hub()
    deployment.wait_for_server("tess", seconds=20)
    assert str(deployment.stored_state("tess")["roadstead"]["url"]).startswith("https://")
    deployment.stop_server("tess")
    deployment.wait_until_stopped("tess")


def test_people_wait_behind_tls_after_a_restart(deployment: Deployment, gates: Gates) -> None:
    deployment.begin_server("tim", system="site/gated")
    deployment.attempt("tim")
    deployment.restart_hub()
    wait_until("it is taken up", lambda: deployment.server("tim"))
    with deployment.browser("tim") as browser:
        wait_until("the route is there", lambda: browser.get("/user/tim/lab").url.path == "/hub/roadstead/wait/tim", 20)
        page = browser.get("/user/tim/lab")
        assert "Waiting at the gate." in page.text
    deployment.stop_server("tim")
    deployment.wait_until_stopped("tim")
