"""`roadstead up` itself: starts hub, proxy and outpost, keeps them alive, ends them and leaves servers alone."""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import roadstead

from .account import default_state
from .child import Child
from .configuration import prepare
from .errors import UpError
from .keys import read_secret
from .processes import end, record, recorded, sole_use, who_listens
from .programs import Door, hub_program, outpost_program, proxy_program
from .proxy_program import proxy_command
from .state import Say, State, is_free

NAMES: Final = ("hub", "proxy", "outpost")
"""The processes in the order in which they are ended: first what people see."""


async def up(state: State, door: Door, say: Say) -> None:
    """Run until told to stop by SIGINT or SIGTERM. Raises UpError."""
    with sole_use(state) as alone:
        if not alone:
            raise UpError(_already(state))
        say(f"Roadstead {roadstead.__version__}, state folder {state.folder}")
        await end_leftovers(state, say)
        for path in prepare(state):
            say(f"Wrote {path}: yours to change.")
        _check_ports(state, door)
        record(state, "supervisor", os.getpid(), door.url)
        with _stop_signals() as stop:
            await _run(state, door, stop, say)


async def _run(state: State, door: Door, stop: asyncio.Queue[None], say: Say) -> None:
    command = await asyncio.to_thread(proxy_command, state.folder, say)
    proxy = Child(proxy_program(state, door, command), state, say)
    outpost = Child(outpost_program(state), state, say)
    hub = Child(hub_program(state, door), state, say)
    async with _ended(hub, proxy, outpost, stop=stop, say=say):
        starting = asyncio.create_task(_start(proxy, outpost, hub))
        stopping = asyncio.create_task(stop.get())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await asyncio.wait({starting})
            stopping.cancel()
            return
        starting.result()
        for line in _welcome(state, door):
            say(line)
        keepers = [asyncio.create_task(child.keep()) for child in (hub, proxy, outpost)]
        await asyncio.wait({stopping, *keepers}, return_when=asyncio.FIRST_COMPLETED)
        for keeper in keepers:
            keeper.cancel()
        for result in await asyncio.gather(*keepers, return_exceptions=True):
            if isinstance(result, Exception):
                raise result


async def _start(proxy: Child, outpost: Child, hub: Child) -> None:
    async def people_side() -> None:
        await proxy.start()
        # The hub fills the proxy while it starts, and learns of servers when the outpost is there.
        await hub.start()

    tasks = {asyncio.create_task(outpost.start()), asyncio.create_task(people_side())}
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def _ended(*children: Child, stop: asyncio.Queue[None], say: Say) -> AsyncIterator[None]:
    try:
        yield
    finally:
        say("Ending hub, proxy and outpost; running servers are left alone.")
        stopping = asyncio.create_task(_end_in_order(children))
        again = asyncio.create_task(stop.get())
        await asyncio.wait({stopping, again}, return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done():
            for child in children:
                child.kill()
        again.cancel()
        await stopping
        say("Ended.")


async def _end_in_order(children: tuple[Child, ...]) -> None:
    for child in children:
        await child.stop()


async def end_leftovers(state: State, say: Say) -> None:
    """End what a supervisor left that was killed itself."""
    for name in NAMES:
        if (left := recorded(state, name)) and (process := left.process()):
            say(f"{name}: still runs (process {left.pid}) though its 'roadstead up' is gone; ending it")
            if not await end(process):
                say(f"{name}: did not end when asked and was killed")


@contextlib.contextmanager
def _stop_signals() -> Iterator[asyncio.Queue[None]]:
    """A queue with an item for each SIGINT and SIGTERM."""
    loop = asyncio.get_running_loop()
    stop: asyncio.Queue[None] = asyncio.Queue()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.put_nowait, None)
    try:
        yield stop
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _check_ports(state: State, door: Door) -> None:
    if not is_free(door.address, door.port):
        raise UpError(
            f"Port {door.port} is taken{who_listens(door.port)}; end that program, or choose another port with --port."
        )
    for name, port in state.ports:
        if not is_free("127.0.0.1", port):
            raise UpError(
                f"Port {port}, which this state folder uses for the {name.replace('_', ' ')}, is taken"
                f"{who_listens(port)}; end that program, or use another state folder."
            )


def _already(state: State) -> str:
    other = recorded(state, "supervisor")
    by = f" by process {other.pid} at {other.url}" if other else ""
    return f"The state folder {state.folder} is in use{by}; 'roadstead status' shows it, 'roadstead down' ends it."


def _welcome(state: State, door: Door) -> list[str]:
    password = state.secrets / "password"
    command = "roadstead" if shutil.which("roadstead") else str(Path(sys.executable).with_name("roadstead"))
    named = "" if state.folder == default_state() else f" --state {state.folder}"
    lines = [
        "",
        f"Roadstead is ready: {door.url}",
        f"  Log in with a name of your choice and the password {read_secret(state, 'password')}",
        f"  The password is kept in {password}; 'admin', who may see everything, has another beside it.",
        "  Whoever has the password can log in under any name, and all servers run as one account of this machine.",
        "",
        "Ctrl-C ends hub, proxy and outpost and leaves running servers alone: 'roadstead up' finds them again.",
        f"To end everything: {command} down{named}",
        "",
    ]
    if door.address not in ("127.0.0.1", "::1", "localhost"):
        lines.insert(
            2, "  WARNING: everybody who reaches this machine can reach it, and the password travels unencrypted."
        )
    return lines
