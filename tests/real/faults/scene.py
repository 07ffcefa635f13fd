"""One server in every state of the lifecycle at once, so that one strike hits them all."""

import contextlib
from contextlib import ExitStack
from itertools import count
from typing import Final

from roadstead.outpost import lifecycle
from roadstead.protocol import ServerState
from tests.real.deployment import wait_until
from tests.real.faults.place import Place
from tests.real.faults.truths import Kept, keep

_NUMBERS: Final = count(1)

MOMENTS: Final = {
    "accepted": ServerState.ACCEPTED,
    "before": ServerState.STARTING,
    "after": ServerState.STARTING,
    "running": ServerState.RUNNING,
    "stopping": ServerState.STOPPING,
}
"""The states, `starting` twice: before the Spawner has made a process, and after."""


class Scene:
    """A server at each moment of its life, held there until it is let go."""

    def __init__(self, place: Place) -> None:
        live = {row[0].partition(",")[0] for row in lifecycle.transitions()} - {ServerState.ENDED.value}
        assert live == set(MOMENTS.values()), "a new state needs a moment at which it lasts"
        number = next(_NUMBERS)
        self._place = place
        self._away = ExitStack()
        self.users = {moment: f"{moment}{number}" for moment in MOMENTS}
        self.attempts: dict[str, str] = {}

    def set(self) -> Kept:
        """Bring every server to its moment; the one that runs."""
        place, deployment, users = self._place, self._place.deployment, self.users
        for moment in ("before", "after"):
            place.hold(users[moment], moment)
        place.hold(users["stopping"], "stop")
        for moment in ("running", "stopping", "before", "after"):
            deployment.begin_server(users[moment], system="site/held")
        for moment in ("running", "stopping"):
            deployment.wait_for_server(users[moment])
        deployment.stop_server(users["stopping"])
        self._away.enter_context(place.host_away("late"))
        deployment.begin_server(users["accepted"], system="site/late")
        self.attempts = {moment: deployment.attempt(user) for moment, user in users.items()}
        for moment, attempt in self.attempts.items():
            place.until(attempt, MOMENTS[moment].value)
        wait_until("its process is made", lambda: deployment.processes(users["after"]))
        return keep(place, users["running"])

    def go_on(self) -> None:
        """Hold nobody any more."""
        self._away.close()
        for user in self.users.values():
            self._place.let_go(user)

    def stop(self, *moments: str) -> None:
        """Ask the hub for the end of servers; what the hub has no more needs none."""
        for moment in moments:
            with contextlib.suppress(Exception):
                self._place.deployment.stop_server(self.users[moment])
