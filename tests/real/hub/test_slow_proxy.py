"""A proxy that takes its time: what happens while a hub waits for it must not end the hub."""

import signal

import pytest

from tests.real.deployment import Deployment, wait_until
from tests.real.hub.conftest import Make

SLOW_PROXY = """
import asyncio
from jupyterhub.proxy import ConfigurableHTTPProxy

class Slow(ConfigurableHTTPProxy):
    async def add_user(self, *args, **kwargs):
        await asyncio.sleep(3)
        await super().add_user(*args, **kwargs)

    async def delete_user(self, *args, **kwargs):
        await asyncio.sleep(1)
        await super().delete_user(*args, **kwargs)

c.JupyterHub.proxy_class = Slow
"""


@pytest.fixture(scope="module")
def deployment(make: Make) -> Deployment:
    return make(lines=SLOW_PROXY)


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
