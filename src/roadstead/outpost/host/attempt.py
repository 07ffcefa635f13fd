"""What the host holds of one attempt: little, for there may be ten thousand; the outpost's ledger has the rest."""

import asyncio
from enum import Enum
from typing import Any

from ...protocol.host import SpawnerState
from .answers import exit_code
from .calls import ask
from .processes import ProcessMark
from .state import export_state, import_state


class Phase(Enum):
    """Where an attempt is in this process."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    OVER = "over"


class Attempt:
    """One attempt, from its first order until it is forgotten."""

    __slots__ = (
        "api_token",
        "key",
        "mark",
        "message",
        "names",
        "phase",
        "reported",
        "resumed",
        "spawner",
        "task",
        "unfinished",
        "url",
    )

    def __init__(self, key: str, phase: Phase) -> None:
        self.key = key
        self.phase = phase
        self.spawner: Any = None
        self.task: asyncio.Task[None] | None = None
        """What is being done for it now."""
        self.names: list[str] = []
        self.mark: ProcessMark | None = None
        self.resumed = False
        """An earlier host started it, so that its pid needs the mark to be trusted."""
        self.reported: SpawnerState | None = None
        """The state that was reported last, while it starts."""
        self.url = ""
        self.api_token: str | None = None
        self.unfinished = False
        """A start may have made something that poll() does not see."""
        self.message = ""
        """Why its start failed."""

    def load(self, spawner: Any, state: SpawnerState) -> None:
        """Give a new Spawner object what an earlier one remembered."""
        own, self.mark = import_state(state)
        self.resumed = bool(own)
        spawner.load_state(own)
        self.spawner = spawner

    def export(self) -> SpawnerState:
        """What the Spawner remembers now."""
        state, self.mark = export_state(self.spawner, self.key, self.mark)
        return state

    def is_stranger(self) -> bool:
        """The pid in the state belongs to another process by now, which must be neither watched nor ended."""
        return self.resumed and self.mark is not None and not self.mark.is_alive()

    async def poll(self) -> int | None:
        """None while the server runs, else its exit code. Raises whatever the class raises."""
        if self.is_stranger():
            return 0
        return exit_code(await ask(self.spawner.poll))
