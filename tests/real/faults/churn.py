"""People who start and stop servers at random while faults strike at random; afterwards everything has to agree."""

import contextlib
import random
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import httpx
import psutil

from tests.real.faults.place import Place
from tests.real.faults.truths import Kept, agree, keep, processes, shown, stored

USERS: Final = [f"guest{number}" for number in range(6)]
SECONDS: Final = 2.0
"""How long a round of starts, stops and faults lasts."""

MOMENTS: Final = ("before", "before", "after", "after", "after", "stop", "stop", "poll", "mute", "block")
"""Where a server hangs for a round, the likelier the more often named."""

Fault = Callable[[], None]


class Churn:
    """Rounds in each of which some users start and stop servers while faults strike."""

    def __init__(self, place: Place, seed: int, kept: list[Kept]) -> None:
        self.chance = random.Random(seed)
        self._place = place
        self._kept = kept
        self._begun = 0.0
        self.log: list[str] = []

    def round(self, faults: Sequence[Fault]) -> None:
        """Let people do things while the faults strike at moments of their own; mend all; compare."""
        running = {user for user, _ in shown(self._place.deployment)}
        busy = [user for user in USERS if self.chance.random() < 0.7]
        untouched = [keep(self._place, user) for user in USERS if user in running and user not in busy]
        plans = {user: self._plan(user, user in running) for user in busy}
        for user in busy:
            if self.chance.random() < 0.5:
                # It lasts for the whole round, so that faults find it on its way.
                self._place.hold(user, self.chance.choice(MOMENTS))
        strikes = sorted(((self.chance.uniform(0, SECONDS), fault) for fault in faults), key=lambda pair: pair[0])
        self._begun = time.monotonic()
        self.log = []
        with ThreadPoolExecutor(len(USERS) + 1) as people:
            done = [people.submit(self._follow, plan) for plan in plans.values()]
            self._follow(strikes)
            for each in done:
                each.result()
        self._place.mend()
        try:
            agree(self._place, [*self._kept, *untouched], 90)
        except AssertionError as error:
            raise AssertionError("\n".join([*self.log, str(error)])) from None

    def clear(self) -> None:
        """Stop what the rounds have left."""
        for user in USERS:
            if self._place.deployment.server(user) is not None:
                self._place.deployment.stop_server(user)
                self._place.deployment.wait_until_stopped(user)
        agree(self._place, self._kept)

    def _plan(self, user: str, runs: bool) -> list[tuple[float, Fault]]:
        """What a user does and when: mostly what makes sense, now and then what does not."""
        plan: list[tuple[float, Fault]] = []
        for moment in sorted(self.chance.uniform(0, SECONDS) for _ in range(self.chance.randint(1, 3))):
            act = self.chance.choice(("stop", "stop", "kill", "start") if runs else ("start", "start", "start", "stop"))
            runs = act == "start"
            plan.append((moment, self._named(f"{act} {user}", self._act(act, user))))
        return plan

    def _act(self, act: str, user: str) -> Fault:
        deployment = self._place.deployment
        if act == "start":
            system = self.chance.choice(("site/held", "site/late"))
            return lambda: self._say(f"{deployment.begin_server(user, system=system).status_code}")
        if act == "stop":
            return lambda: self._say(f"{deployment.stop_server(user).status_code}")
        return lambda: self._kill(user)

    def _kill(self, user: str) -> None:
        for process in processes(self._place).get(stored(self._place.deployment).get((user, "")) or "", []):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def _follow(self, plan: Sequence[tuple[float, Fault]]) -> None:
        for moment, act in plan:
            time.sleep(max(0.0, self._begun + moment - time.monotonic()))
            self._say(getattr(act, "__name__", ""))
            with contextlib.suppress(httpx.TransportError):
                act()

    def _say(self, what: str) -> None:
        self.log.append(f"{time.monotonic() - self._begun:.2f} {what}")

    @staticmethod
    def _named(name: str, act: Fault) -> Fault:
        act.__name__ = name
        return act


def strikes(place: Place, chance: random.Random) -> list[Fault]:
    """All that can happen to the parts; what stays broken is mended when the round is over."""

    def kill_hub() -> None:
        if place.deployment.hub.alive:
            place.kill_hub(chance.choice((signal.SIGKILL, signal.SIGTERM)))

    def restart_hub() -> None:
        kill_hub()
        place.deployment.begin_hub()

    def kill_outpost() -> None:
        if place.outpost.process is not None and place.outpost.process.poll() is None:
            place.outpost.kill(signal.SIGKILL)

    def restart_outpost() -> None:
        kill_outpost()
        place.outpost.begin()

    def stop_outpost() -> None:
        if place.outpost.process is not None and place.outpost.process.poll() is None:
            place.outpost.kill(signal.SIGSTOP)

    def kill_hosts() -> None:
        place.signal_hosts(signal.SIGKILL)

    def stop_hosts() -> None:
        place.signal_hosts(signal.SIGSTOP)

    def kill_proxy() -> None:
        if place.deployment.proxy.alive:
            place.deployment.proxy.signal()

    def lose_requests() -> None:
        place.cable.cut(goes=False)

    def lose_answers() -> None:
        place.cable.cut(came=False)

    return [
        kill_hub,
        restart_hub,
        kill_outpost,
        restart_outpost,
        stop_outpost,
        kill_hosts,
        stop_hosts,
        kill_proxy,
        place.cable.cut,
        lose_requests,
        lose_answers,
        place.cable.pull,
        place.cable.mend,
    ]
