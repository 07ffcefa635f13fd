"""Calls the guest: any method of a Spawner class, awaited whatever it returns, within a time, with no way out.

A guest may raise anything, call sys.exit, hang, or swallow its cancellation; the caller gets an exception in each case.
"""

import asyncio
import concurrent.futures
import inspect
from collections.abc import Callable
from typing import Any, Final

UNWIND_SECONDS: Final = 5.0
"""How long a cancelled call may take to end before it is left to itself."""

GUEST_ERRORS: Final = (Exception, SystemExit)
"""Whatever a guest may raise; nothing of it may end the host or another server's order."""

_CONTAINED: Final = "contained by the host"


class GuestExitError(Exception):
    """The guest called sys.exit."""


class GuestSilentError(Exception):
    """The guest did not come back in time."""


class GuestCancelledError(Exception):
    """Something inside the guest was cancelled, though nobody here cancelled the call."""


async def ask(call: Callable[[], Any]) -> Any:
    """What the call gives: a value, a coroutine, a future of asyncio, tornado or a thread.

    Raises GuestExitError instead of SystemExit, which would end the event loop, and GuestCancelledError instead of a
    CancelledError that is the guest's own.
    """
    try:
        answer = call()
        if inspect.isawaitable(answer):
            return await answer
        if isinstance(answer, concurrent.futures.Future):
            return await asyncio.wrap_future(answer)
        return answer
    except SystemExit as error:
        error.add_note(_CONTAINED)
        raise GuestExitError(f"The Spawner called sys.exit({error.code!r}).") from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise GuestCancelledError("The Spawner gave up what it was asked to do.") from error


def was_contained(error: SystemExit) -> bool:
    """Whether somebody who asked the guest has this exit as their answer."""
    return _CONTAINED in getattr(error, "__notes__", ())


async def ask_within(seconds: float, call: Callable[[], Any], what: str) -> Any:
    """As `ask`, given up after so many seconds with GuestSilentError, also when the guest ignores its cancellation."""
    task = asyncio.ensure_future(ask(call))
    try:
        done, _ = await asyncio.wait([task], timeout=seconds)
    except asyncio.CancelledError:
        _leave(task)
        raise
    if done:
        return task.result()
    task.cancel()
    await settle(task, 1.0)
    raise GuestSilentError(f"{what} did not come back within {seconds:g} seconds.")


async def settle(task: "asyncio.Future[Any]", seconds: float = UNWIND_SECONDS) -> bool:
    """Wait for a cancelled task to end; False when it does not. What it raises is not raised again."""
    done, _ = await asyncio.wait([task], timeout=seconds)
    for each in done:
        if not each.cancelled():
            each.exception()
    if not done:
        _leave(task)
    return bool(done)


def _leave(task: "asyncio.Future[Any]") -> None:
    task.cancel()
    task.add_done_callback(lambda late: late.cancelled() or late.exception())
