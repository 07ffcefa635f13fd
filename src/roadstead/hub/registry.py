"""The mirrors of this process: one for each outpost and credential, made when first asked for on the running loop."""

import asyncio
from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from .client import OutpostClient
from .known import known_ids
from .mirror import Mirror
from .settings import OutpostSettings


class Registry:
    """Finds the mirror of an outpost. A vanilla hub gives no place to start one, so whoever asks first does."""

    def __init__(self) -> None:
        self._mirrors: dict[tuple[str, str], Mirror] = {}
        self._outposts: dict[tuple[str, str], Mapping[str, OutpostSettings]] = {}
        self._session: Session | None = None

    def mirror(self, name: str, outposts: Mapping[str, OutpostSettings]) -> Mirror:
        """The mirror of one of the configured outposts; needs a running event loop."""
        key = outposts[name].identity
        self._outposts[key] = outposts
        mirror = self._mirrors.get(key)
        if mirror is None or mirror.loop is not asyncio.get_running_loop():
            mirror = self._mirrors[key] = Mirror(OutpostClient(name, outposts[name]), lambda: self._known(key))
        return mirror

    def watch(self, outposts: Mapping[str, OutpostSettings]) -> None:
        """Make the mirrors of all outposts: one of them may run what this hub does not hold any more."""
        for name in outposts:
            self.mirror(name, outposts)

    def use(self, session: Any) -> None:
        """Remember the hub's database session: reconciliation reads from it."""
        if isinstance(session, Session):
            self._session = session

    async def _known(self, key: tuple[str, str]) -> list[str] | None:
        session = self._session or _session_of_the_hub()
        if session is None:
            return None
        outposts = self._outposts[key]

        def belongs(name: str) -> bool:
            # An entry that was renamed must not cost the servers that were started under its old name.
            return name not in outposts or outposts[name].identity == key

        return await known_ids(session, belongs)


def _session_of_the_hub() -> Session | None:
    """The database session of a hub that has had no Spawner object yet."""
    from jupyterhub.app import JupyterHub

    session = JupyterHub.instance().db if JupyterHub.initialized() else None
    return session if isinstance(session, Session) else None


REGISTRY = Registry()
"""The one that the hub's Spawners, handlers and pages share."""
