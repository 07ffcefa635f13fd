"""Users whom outposts cannot take, and what outposts are told of those whom they can."""

import json
from urllib.parse import quote

import pytest

from tests.real.deployment import Deployment, wait_until
from tests.real.hub.conftest import Make

AUTH_STATE = """
from jupyterhub.auth import DummyAuthenticator

class WithState(DummyAuthenticator):
    async def authenticate(self, handler, data):
        return {"name": data["username"], "auth_state": {"account": "project-7"}}

c.JupyterHub.authenticator_class = WithState
c.Authenticator.enable_auth_state = True
c.CryptKeeper.keys = [b"0" * 32]
"""


@pytest.fixture(scope="module")
def deployment(make: Make) -> Deployment:
    return make(lines=AUTH_STATE)


def test_a_user_whose_name_looks_like_a_path_is_told_so(deployment: Deployment) -> None:
    with deployment.browser(".hidden") as browser:
        page = browser.get("/hub/spawn")
        assert page.status_code == 400
        assert "must not look like a path" in page.text
        assert browser.get("/hub/home").status_code == 200
    answer = deployment.begin_server(".hidden", system="site/local")
    assert answer.status_code == 400
    assert "must not look like a path" in answer.json()["message"]


@pytest.mark.parametrize("user", ["zoë", "a b", "x@example.org", "user+tag", "ユーザー"])
def test_unusual_names_work(deployment: Deployment, user: str) -> None:
    deployment.start_server(user, "one", system="site/local")
    with deployment.browser(user) as browser:
        assert "Running" in browser.get("/hub/home").text
        assert browser.get(f"/hub/roadstead/wait/{quote(user)}/one").text.strip() == f"{user}/one"
        browser.post(f"/hub/roadstead/stop/{quote(user)}/one")
    deployment.wait_until_stopped(user, "one")


@pytest.mark.parametrize("wanted", [False, True])
def test_auth_state_goes_to_those_outposts_only_that_are_to_have_it(deployment: Deployment, wanted: bool) -> None:
    user = f"sam-{wanted}".lower()
    deployment.extra = {"send_auth_state": wanted}
    deployment.write_config()
    deployment.restart_hub()
    told = deployment.outposts["site"].folder / "gates" / f"{user}-.auth-state"
    with deployment.browser(user) as browser:
        browser.start("", "site/gated")
    wait_until("the Spawner has started", told.exists)
    assert json.loads(told.read_text()) == ({"account": "project-7"} if wanted else None)
    deployment.stop_server(user)
    deployment.wait_until_stopped(user)
