"""People who start and stop servers at random while faults happen at random; afterwards everything has to agree."""

import random
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import httpx

from tests.real.deployment import wait_until
from tests.real.faults.place import Place
from tests.real.faults.truths import Kept, agree, keep, shown

USERS: Final = [f"guest{number}" for number in range(6)]
SECONDS: Final = 2.0
"""How long a round of starts, stops and faults lasts."""


class Churn:
    """Rounds in each of which every user may do something, and every fault strikes once."""

    def __init__(self, place: Place, seed: int, kept: list[Kept]) -> None:
        self.chance = random.Random(seed)
        self._place = place
        self._kept = kept
        self.log: list[str] = []

    def round(self, faults: Sequence[Callable[[], None]]) -> None:
        """Start, stop and kill servers while the faults strike; mend all; compare."""
        self.log.append("--")
        running = shown(self._place.deployment)
        touched = dict.fromkeys((user for user in USERS if self.chance.random() < 0.7), "")
        untouched = [keep(self._place, user) for user in USERS if (user, "") in running and user not in touched]
        begun = time.monotonic()
        with ThreadPoolExecutor(len(USERS)) as people:
            done = []
            for user in touched:
                acts: list[tuple[Callable[[str], None], float]] = []
                has = (user, "") in running
                for moment in sorted(self.chance.uniform(0, SECONDS) for _ in range(self.chance.randint(1, 3))):
                    act = self._stop if has and self.chance.random() < 0.8 else self._start
                    has = not has
                    acts.append((act, begun + moment))
                done.append(people.submit(self._act, user, acts))
            for fault, moment in sorted(
                ((fault, begun + self.chance.uniform(0, SECONDS)) for fault in faults), key=lambda pair: pair[1]
            ):
                time.sleep(max(0.0, moment - time.monotonic()))
                self.log.append(f"{time.monotonic() - begun:.2f} {getattr(fault, '__name__', fault)}")
                fault()
            for each in done:
                each.result()
        self._place.mend()
        try:
            agree(self._place, [*self._kept, *untouched])
        except AssertionError as error:
            raise AssertionError("\n".join([*self.log, str(error)])) from None

    def clear(self) -> None:
        """Stop what the rounds have left."""
        for user in USERS:
            if self._place.deployment.server(user) is not None:
                wait_until("it can be stopped", lambda user=user: self._stopped(user))  # type: ignore[misc]
        agree(self._place, self._kept)

    def _stopped(self, user: str) -> bool:
        return self._place.deployment.stop_server(user).status_code in (202, 204)

    def _act(self, user: str, acts: list[tuple[Callable[[str], None], float]]) -> None:
        for act, moment in acts:
            time.sleep(max(0.0, moment - time.monotonic()))
            try:
                act(user)
            except httpx.TransportError:
                self.log.append(f"{user}: no hub")

    def _start(self, user: str) -> None:
        answer = self._place.deployment.begin_server(user, system=self.chance.choice(("site/held", "site/late")))
        self.log.append(f"start {user}: {answer.status_code}")

    def _stop(self, user: str) -> None:
        answer = self._place.deployment.stop_server(user)
        self.log.append(f"stop {user}: {answer.status_code}")


def strikes(place: Place, chance: random.Random) -> list[Callable[[], None]]:
    """All that can happen to the parts, each at once; what has to be mended is mended after the round."""

    def kill_hub() -> None:
        if place.deployment.hub.alive:
            place.kill_hub(chance.choice((signal.SIGKILL, signal.SIGTERM)))

    def restart_hub() -> None:
        kill_hub()
        place.deployment.begin_hub()

    def kill_outpost() -> None:
        if place.outpost.process is not None and place.outpost.process.poll() is None:
            place.outpost.kill(chance.choice((signal.SIGKILL, signal.SIGTERM)))

    def restart_outpost() -> None:
        kill_outpost()
        place.outpost.begin()

    def kill_proxy() -> None:
        if place.deployment.proxy.alive:
            place.deployment.proxy.signal()

    return [
        kill_hub,
        restart_hub,
        kill_outpost,
        restart_outpost,
        kill_proxy,
        lambda: place.signal_hosts(signal.SIGKILL),
        lambda: place.signal_hosts(signal.SIGSTOP),
        lambda: place.outpost.kill(signal.SIGSTOP),
        place.cable.cut,
        lambda: place.cable.cut(came=False),
        lambda: place.cable.cut(goes=False),
        place.cable.pull,
        place.cable.mend,
    ]
