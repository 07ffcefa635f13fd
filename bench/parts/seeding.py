"""Many running servers at one outpost, started through its API."""

import asyncio
from typing import Any, Final

import httpx

from roadstead.protocol import PROTOCOL_HEADER, PROTOCOL_VERSION, new_attempt_id
from tests.real.outposts import Outpost, request_body

VARIABLES: Final = 25
"""How many environment variables each server has, as many as a hub sends."""
_AT_ONCE: Final = 16


def body_of(number: int) -> dict[str, Any]:
    """The request for one server."""
    body = request_body(f"user-{number}", system="jobs")
    names = [f"JUPYTERHUB_VARIABLE_{index:02}" for index in range(VARIABLES - len(body["environment"]))]
    body["environment"] |= {name: f"a value of usual length, {name} of {number}" for name in names}
    return body


async def seed(outpost: Outpost, count: int) -> list[str]:
    """Start so many servers and wait until all of them run; their ids."""
    headers = {"Authorization": f"Bearer {outpost.tokens['hub']}", PROTOCOL_HEADER: str(PROTOCOL_VERSION)}
    few = asyncio.Semaphore(_AT_ONCE)
    async with httpx.AsyncClient(base_url=outpost.url, headers=headers, timeout=120, trust_env=False) as http:

        async def one(number: int) -> str:
            server_id = new_attempt_id()
            async with few:
                answer = await http.put(f"/api/v1/servers/{server_id}", json=body_of(number))
            if answer.status_code != 201:
                raise RuntimeError(f"the outpost does not start a server: {answer.text}")
            return server_id

        ids = await asyncio.gather(*(one(number) for number in range(count)))
        while await running(http) < count:  # noqa: ASYNC110 - told by another process
            await asyncio.sleep(1)
    return sorted(ids)


async def running(http: httpx.AsyncClient) -> int:
    """How many servers run, by listing all of them."""
    found, params = 0, {"state": "running", "limit": "1000"}
    while True:
        page = (await http.get("/api/v1/servers", params=params)).json()
        found += len(page["servers"])
        if page["next"] is None:
            return found
        params["after"] = page["next"]
