"""`roadstead status`: which processes run, whether they answer, and which servers there are."""

import asyncio
import time
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from roadstead.protocol.errors import RoadsteadError

from .outpost_servers import Running, listed, seen
from .processes import recorded
from .programs import Door, answers, health_urls
from .state import State
from .supervisor import NAMES

PATIENCE: Final = 3.0
"""Seconds that the outpost may take to list its servers."""

Source = Literal["outpost", "process table"]


class ProcessStatus(BaseModel):
    """One of the supervised processes."""

    model_config = ConfigDict(frozen=True)

    state: Literal["ready", "silent", "stopped"]
    """`silent` is a process that runs and does not answer."""
    pid: int | None = None
    uptime: float | None = None
    """Seconds."""


class Status(BaseModel):
    """Everything that `roadstead status --json` prints."""

    model_config = ConfigDict(frozen=True)

    up: bool
    """Hub, proxy and outpost are ready, and a supervisor keeps them so."""
    url: str | None
    state_folder: str
    supervisor: int | None
    """Its pid."""
    processes: dict[str, ProcessStatus]
    servers: list[Running]
    servers_from: Source


async def status(state: State) -> Status:
    """Look at everything at once."""
    supervisor = recorded(state, "supervisor")
    urls = dict.fromkeys(NAMES, "") | health_urls(state, _door(supervisor.url if supervisor else ""))
    listing = asyncio.create_task(_servers(state))
    checks = await asyncio.gather(*(_process(state, name, urls[name]) for name in NAMES))
    servers, source = await listing
    processes = dict(zip(NAMES, checks, strict=True))
    return Status(
        up=supervisor is not None and all(each.state == "ready" for each in processes.values()),
        url=supervisor.url if supervisor else None,
        state_folder=str(state.folder),
        supervisor=supervisor.pid if supervisor else None,
        processes=processes,
        servers=servers,
        servers_from=source,
    )


def _door(url: str) -> Door:
    address, _, port = url.removeprefix("http://").rpartition(":")
    return Door(address or "127.0.0.1", int(port or 0))


async def _servers(state: State) -> tuple[list[Running], Source]:
    try:
        async with asyncio.timeout(PATIENCE):
            return await listed(state), "outpost"
    except (RoadsteadError, TimeoutError):
        return await asyncio.to_thread(seen, state), "process table"


async def _process(state: State, name: str, url: str) -> ProcessStatus:
    found = recorded(state, name)
    if found is None:
        return ProcessStatus(state="stopped")
    healthy = await answers(url)
    return ProcessStatus(
        state="ready" if healthy else "silent", pid=found.pid, uptime=round(time.time() - found.started, 1)
    )


def lines(found: Status) -> list[str]:
    """The status for people."""
    told = [f"Roadstead is up at {found.url}" if found.up else "Roadstead is not up; start it with: roadstead up"]
    for name, process in found.processes.items():
        detail = f" (process {process.pid}, for {_span(process.uptime or 0)})" if process.pid else ""
        told.append(f"  {name:<8} {process.state}{detail}")
    told.append(f"  {len(found.servers)} server{'' if len(found.servers) == 1 else 's'}, says the {found.servers_from}")
    for server in found.servers:
        offer = " ".join(part for part in (server.system, server.app, server.flavor) if part)
        until = f", until {server.expires_at:%Y-%m-%d %H:%M} UTC" if server.expires_at else ""
        told.append(f"    {server.user}/{server.server_name or '(default)'}: {server.state} {offer}{until}".rstrip())
    return told


def _span(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
