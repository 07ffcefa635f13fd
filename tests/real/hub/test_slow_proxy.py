"""A proxy that takes its time or fails: what happens while a hub waits for it is neither its end nor forgotten."""

import signal
from pathlib import Path

import pytest

from tests.real.deployment import Deployment, wait_until
from tests.real.hub.conftest import Make

SLOW_PROXY = """
import asyncio
from pathlib import Path
from jupyterhub.proxy import ConfigurableHTTPProxy
from roadstead.hub import spawner

class Slow(ConfigurableHTTPProxy):
    async def add_user(self, *args, **kwargs):
        await asyncio.sleep(3)
        await super().add_user(*args, **kwargs)

    async def delete_user(self, *args, **kwargs):
        await asyncio.sleep(1)
        if Path({away!r}).exists():
            raise TimeoutError("the proxy is away")
        await super().delete_user(*args, **kwargs)

c.JupyterHub.proxy_class = Slow
spawner._CALLBACK_PAUSES = (0.5, 1.0)
"""


@pytest.fixture(scope="module")
def away(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """While this file is there, the proxy takes no routes away."""
    return tmp_path_factory.mktemp("proxy") / "away"


@pytest.fixture(scope="module")
def deployment(make: Make, away: Path) -> Deployment:
    return make(lines=SLOW_PROXY.format(away=str(away)))


def test_a_hub_starts_although_a_server_turns_out_to_have_ended(deployment: Deployment) -> None:
    for user in ("mortal", "lasting"):
        deployment.start_server(user, system="site/local")
    [process] = deployment.processes("mortal")
    deployment.hub.signal(signal.SIGKILL)
    process.kill()
    deployment.proxy.signal()
    deployment.start_proxy()
    deployment.begin_hub()
    deployment.wait_for_hub()
    deployment.wait_until_stopped("mortal")
    wait_until("its route is there again", lambda: deployment.reach("lasting"))
    wait_until("the other's is not", lambda: deployment.target("mortal") is None)


def test_an_end_is_dealt_with_once_the_proxy_is_back(deployment: Deployment, away: Path) -> None:
    deployment.start_server("brief", system="site/local")
    away.touch()
    deployment.processes("brief")[0].kill()
    wait_until("the hub has tried", lambda: "could not be dealt with yet" in deployment.hub.said(100_000))
    assert deployment.server("brief") is not None
    away.unlink()
    deployment.wait_until_stopped("brief")
    assert deployment.target("brief") is None
