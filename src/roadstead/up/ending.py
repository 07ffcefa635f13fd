"""`roadstead down`: ends the supervisor if there is one, then all servers through the outpost, then the outpost."""

import asyncio
import contextlib
from typing import Final

import psutil

from .child import Child
from .errors import UpError
from .outpost_servers import end_all, seen
from .processes import gone, recorded, sole_use
from .programs import outpost_program
from .state import Say, State
from .supervisor import end_leftovers

SUPERVISOR_SECONDS: Final = 90.0
"""How long hub, proxy and outpost may take to end."""

HOST_SECONDS: Final = 15.0
"""How long a host may take to see that its outpost is gone."""


async def down(state: State, say: Say, seconds: float) -> None:
    """End everything; `seconds` is how long the servers may take. Raises UpError."""
    await _end_supervisor(state, say)
    with sole_use(state) as alone:
        if not alone:
            raise UpError("Another 'roadstead' works on this state folder; try again when it is done.")
        await end_leftovers(state, say)
        if state.outpost_config.exists() and state.outpost_state.exists():
            outpost = Child(outpost_program(state), state, say)
            try:
                await outpost.start()
                await end_all(state, say, seconds)
            finally:
                await outpost.stop()
                await _hosts_gone(state)
    if left := seen(state):
        raise UpError(f"{len(left)} servers that the outpost does not know of still run: {left[0].user} and others.")
    say("Everything has ended.")


async def _end_supervisor(state: State, say: Say) -> None:
    supervisor = recorded(state, "supervisor")
    with sole_use(state) as alone:
        if alone or supervisor is None:
            return
    say(f"Ending hub, proxy and outpost (process {supervisor.pid}).")
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(supervisor.pid).terminate()
    deadline = asyncio.get_running_loop().time() + SUPERVISOR_SECONDS
    while asyncio.get_running_loop().time() < deadline:
        with sole_use(state) as alone:
            if alone:
                return
        await asyncio.sleep(0.1)
    raise UpError(f"Process {supervisor.pid} does not end; kill it, then try again: kill -9 {supervisor.pid}")


async def _hosts_gone(state: State) -> None:
    """Wait for hosts that were still on their way up when their outpost ended; they see that and end by themselves."""
    mark = str(state.outpost_config)
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if mark in process.cmdline() and not await gone(process, HOST_SECONDS):
                process.kill()
