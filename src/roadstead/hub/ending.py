"""Ends an attempt at its outpost: written down first, then asked for until the outpost has heard it."""

import asyncio
from typing import TYPE_CHECKING, Final

from sqlalchemy.orm import object_session
from tornado.log import app_log

from .starting import until_over

if TYPE_CHECKING:
    from .spawner import RoadsteadSpawner
    from .state import Attempt

_HEARD_SECONDS: Final = 10.0


async def end_attempt(spawner: "RoadsteadSpawner", attempt: "Attempt") -> None:
    """Ask for the end of an attempt, and wait for it as long as the Spawner's stop_timeout says.

    That it was asked for is stored first: the hub's process may end before the outpost has heard it.
    """
    attempt.ending = True
    spawner.orm_spawner.state = spawner.get_state()
    commit(spawner)
    mirror = spawner.mirror_of(attempt)
    if mirror is None:
        app_log.warning(
            "Server %s of %s cannot be ended: the outpost '%s' is not configured any more.",
            *(attempt.id, spawner.log_name, attempt.outpost),
        )
        return
    record = mirror.expect(attempt.id)
    asked = mirror.cancel(attempt.id)
    await asyncio.wait({asked}, timeout=min(spawner.stop_timeout, _HEARD_SECONDS))
    if not asked.done():
        app_log.warning(
            "The outpost '%s' does not take the end of %s yet; it is asked again.", attempt.outpost, spawner.log_name
        )
    elif not await until_over(mirror, record, spawner.stop_timeout):
        app_log.warning(
            "%s has not ended within %s seconds; its outpost goes on.", spawner.log_name, spawner.stop_timeout
        )


def commit(spawner: "RoadsteadSpawner") -> None:
    """Write changes of a Spawner's row; JupyterHub rolls back what is left uncommitted."""
    session = object_session(spawner.orm_spawner)
    if session is not None:
        session.commit()
