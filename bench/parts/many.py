"""Many starts at one hub, asked for at once."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import httpx

from tests.real.deployment import Deployment, server_path


def add_users(hub: Deployment, names: Iterable[str]) -> None:
    """Make users, a hundred with each request."""
    rest = list(names)
    while rest:
        some, rest = rest[:100], rest[100:]
        answer = hub.api("POST", "/users", {"usernames": some})
        if answer.status_code != 201:
            raise RuntimeError(f"the hub does not make users: {answer.text}")


async def begin(hub: Deployment, users: Iterable[str], *, at_once: int, options: Mapping[str, Any]) -> None:
    """Ask for a server of each user; comes back when the hub has taken all of these requests."""
    few = asyncio.Semaphore(at_once)
    headers = {"Authorization": f"token {hub.token}"}
    limits = httpx.Limits(max_connections=at_once)
    async with httpx.AsyncClient(headers=headers, timeout=600, trust_env=False, limits=limits) as http:

        async def one(user: str) -> None:
            body = {"user_options": dict(options)} if options else {}
            async with few:
                answer = await http.post(f"{hub.hub_api}{server_path(user, '')}", json=body)
            if answer.status_code not in (201, 202):
                raise RuntimeError(f"the hub does not start the server of {user}: {answer.text}")

        async with asyncio.TaskGroup() as group:
            for user in users:
                group.create_task(one(user))


def ready_users(hub: Deployment) -> set[str]:
    """Users whose default server is ready, as the hub says."""
    found, offset = set[str](), 0
    while True:
        page = hub.api("GET", f"/users?limit=200&offset={offset}").json()
        found |= {user["name"] for user in page if user["servers"].get("", {}).get("ready")}
        if len(page) < 200:
            return found
        offset += len(page)
