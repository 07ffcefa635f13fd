"""The three programs that `roadstead up` runs: how each is started, and how it shows that it works."""

import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import httpx

from .child import Program
from .keys import read_secret
from .state import State


class Door(NamedTuple):
    """Where people come in."""

    address: str
    port: int

    @property
    def url(self) -> str:
        host = "127.0.0.1" if self.address in ("127.0.0.1", "0.0.0.0") else self.address  # noqa: S104
        return f"http://{host}:{self.port}"


async def answers(url: str) -> bool:
    """Whether a health page says that all is well."""
    try:
        # Proxies of the environment are for the world, not for loopback.
        async with httpx.AsyncClient(trust_env=False, timeout=3.0) as client:
            return (await client.get(url)).status_code == 200
    except httpx.HTTPError:
        return False


def health_urls(state: State, door: Door) -> dict[str, str]:
    """The health page of each program, by its name."""
    return {
        "proxy": f"{door.url}/_chp_healthz",
        "outpost": f"http://127.0.0.1:{state.ports.outpost}/health",
        "hub": f"http://127.0.0.1:{state.ports.hub}/hub/health",
    }


def _healthy(url: str) -> Callable[[], Awaitable[bool]]:
    return lambda: answers(url)


def outpost_program(state: State) -> Program:
    """The embedded outpost."""
    return Program(
        name="outpost",
        command=[sys.executable, "-m", "roadstead.outpost", "--config", str(state.outpost_config)],
        healthy=_healthy(f"http://127.0.0.1:{state.ports.outpost}/health"),
        environment=_environment(),
    )


def proxy_program(state: State, door: Door, command: list[str]) -> Program:
    """configurable-http-proxy; the error pages come from the hub."""
    options = {
        "--ip": door.address,
        "--port": str(door.port),
        "--api-ip": "127.0.0.1",
        "--api-port": str(state.ports.proxy_api),
        "--error-target": f"http://127.0.0.1:{state.ports.hub}/hub/error",
    }
    return Program(
        name="proxy",
        command=command + [word for option in options.items() for word in option],
        healthy=_healthy(health_urls(state, door)["proxy"]),
        environment={"CONFIGPROXY_AUTH_TOKEN": read_secret(state, "proxy-token")},
        after_restart=lambda: _fill_proxy(state),
    )


def hub_program(state: State, door: Door) -> Program:
    """JupyterHub."""
    return Program(
        name="hub",
        command=[sys.executable, "-m", "jupyterhub", "-f", str(state.hub_config)],
        # Through the proxy, for people come in there: the hub answers a moment before the proxy has its route.
        healthy=_healthy(f"{door.url}/hub/health"),
        environment=_environment() | {"ROADSTEAD_URL": door.url},
        patience=120.0,
        stop_patience=30.0,
    )


def _environment() -> dict[str, str]:
    """What is installed beside this Python is found first, and output comes at once."""
    beside = str(Path(sys.executable).parent)
    return {"PATH": os.pathsep.join([beside, os.environ.get("PATH", os.defpath)]), "PYTHONUNBUFFERED": "1"}


async def _fill_proxy(state: State) -> None:
    """Ask the hub to give a new proxy its routes now; a hub that is away does so when it comes."""
    headers = {"Authorization": f"token {read_secret(state, 'supervisor-token')}"}
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=60.0) as client:
            await client.post(f"http://127.0.0.1:{state.ports.hub}/hub/api/proxy", headers=headers)
    except httpx.HTTPError:
        return
