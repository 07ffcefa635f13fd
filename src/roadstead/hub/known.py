"""Reads from the hub's database which attempts the hub still holds, in pieces, so that nobody waits for it."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, Final

from jupyterhub import orm
from sqlalchemy import Integer, Unicode, column, func, select, table
from sqlalchemy.orm import Session

from .state import attempt_of

_ROWS: Final = 500
_EMPTY_STATE: Final = len("{}")

# The state is read as the text that it is: JupyterHub's own type for it makes SQLAlchemy warn at every statement.
_SPAWNERS: Final = table(orm.Spawner.__tablename__, column("id", Integer), column("state", Unicode))


async def known_ids(session: Session, belongs: Callable[[str], bool]) -> list[str]:
    """The ids of all attempts whose outpost's name `belongs`, in the order of their rows.

    A start writes its id into the database before the outpost hears of it, so none that matters can be missing.
    """
    ids = list[str]()
    last = -1
    filled = func.length(_SPAWNERS.c.state) > _EMPTY_STATE
    while True:
        piece = select(_SPAWNERS).where(_SPAWNERS.c.id > last, filled).order_by(_SPAWNERS.c.id).limit(_ROWS)
        rows = session.execute(piece).all()
        for last, text in rows:  # noqa: B007 - the last row's id is where the next piece begins
            found = attempt_of(_parse(text))
            if found is not None and belongs(found[0]):
                ids.append(found[1])
        if len(rows) < _ROWS:
            return ids
        await asyncio.sleep(0)


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
