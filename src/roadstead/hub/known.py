"""Reads from the hub's database which attempts the hub still holds, in pieces, so that nobody waits for it."""

import asyncio
from collections.abc import Callable
from typing import Final

from jupyterhub import orm
from sqlalchemy import func, select, type_coerce
from sqlalchemy.orm import Session
from sqlalchemy.types import Unicode

from .state import attempt_of

_ROWS: Final = 500
_EMPTY_STATE: Final = len("{}")


async def known_ids(session: Session, belongs: Callable[[str], bool]) -> list[str]:
    """The ids of all attempts whose outpost's name `belongs`, in the order of their rows.

    A start writes its id into the database before the outpost hears of it, so none that matters can be missing.
    """
    ids = list[str]()
    last = -1
    filled = func.length(type_coerce(orm.Spawner.state, Unicode)) > _EMPTY_STATE
    while True:
        rows = session.execute(
            select(orm.Spawner.id, orm.Spawner.state)
            .where(orm.Spawner.id > last, filled)
            .order_by(orm.Spawner.id)
            .limit(_ROWS)
        ).all()
        for last, state in rows:  # noqa: B007 - the last row's id is where the next piece begins
            found = attempt_of(state)
            if found is not None and belongs(found[0]):
                ids.append(found[1])
        if len(rows) < _ROWS:
            return ids
        await asyncio.sleep(0)
