"""The servers of the embedded outpost: through its API, or from the process table when it is away."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import datetime

import psutil
from pydantic import BaseModel, ConfigDict

from roadstead.hub.client import OutpostClient
from roadstead.hub.settings import OutpostSettings
from roadstead.protocol.errors import ErrorCode, RoadsteadError
from roadstead.protocol.servers import ServerView

from .errors import UpError
from .state import Say, State


class Running(BaseModel):
    """A server for `roadstead status`."""

    model_config = ConfigDict(frozen=True)

    user: str
    server_name: str
    state: str
    system: str = ""
    app: str = ""
    flavor: str = ""
    expires_at: datetime | None = None


@contextlib.asynccontextmanager
async def _client(state: State) -> AsyncIterator[OutpostClient]:
    url = f"http://127.0.0.1:{state.ports.outpost}"
    client = OutpostClient("local", OutpostSettings(url=url, credential_file=state.secrets / "hub-credential"))
    try:
        yield client
    finally:
        await client.close()


async def _live(client: OutpostClient) -> list[ServerView]:
    return [view async for page in client.pages() for view in page.servers]


async def listed(state: State) -> list[Running]:
    """The live servers, as the outpost knows them. Raises RoadsteadError."""
    async with _client(state) as client:
        return [
            Running(
                user=view.user,
                server_name=view.server_name,
                state=view.state.value,
                system=view.system,
                app=view.app or "",
                flavor=view.flavor or "",
                expires_at=view.expires_at,
            )
            for view in await _live(client)
        ]


async def end_all(state: State, say: Say, seconds: float) -> None:
    """End every live server and wait until the outpost confirms it. Raises UpError when some are left."""
    async with _client(state) as client:
        deadline = asyncio.get_running_loop().time() + seconds
        asked: set[str] = set()
        try:
            while live := await _live(client):
                if fresh := [view for view in live if view.id not in asked]:
                    say(f"Ending {_titles(fresh)}.")
                    await asyncio.gather(*(_delete(client, view.id) for view in fresh))
                    asked.update(view.id for view in fresh)
                if asyncio.get_running_loop().time() > deadline:
                    raise UpError(
                        f"After {seconds:.0f} seconds {_titles(live)} still did not end; "
                        f"look into {state.logs / 'outpost.log'}, then try again."
                    )
                await asyncio.sleep(0.3)
        except RoadsteadError as error:
            raise UpError(f"The servers could not be ended: {error.sentence}") from error


async def _delete(client: OutpostClient, server_id: str) -> None:
    try:
        await client.delete(server_id)
    except RoadsteadError as error:
        if error.code is not ErrorCode.NOT_FOUND:
            raise


def _titles(servers: list[ServerView]) -> str:
    titles = [f"{view.user}/{view.server_name or '(default)'}" for view in servers]
    more = f" and {len(titles) - 10} more" if len(titles) > 10 else ""
    return f"{len(titles)} server{'s' if len(titles) > 1 else ''}: {', '.join(titles[:10])}{more}"


def seen(state: State) -> list[Running]:
    """Servers of this hub in the process table: processes that have its address in their environment."""
    hub = f"http://127.0.0.1:{state.ports.hub}/"
    found: dict[tuple[str, str], Running] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            environment = process.environ()
            if environment.get("JUPYTERHUB_API_URL", "").startswith(hub) and "JUPYTERHUB_USER" in environment:
                key = environment["JUPYTERHUB_USER"], environment.get("JUPYTERHUB_SERVER_NAME", "")
                found[key] = Running(user=key[0], server_name=key[1], state="running")
    return [found[key] for key in sorted(found)]
