"""Whether slow starts, and outposts that are dead, are in anybody's way.

A real hub with a proxy and three outposts. 200 servers are asked for at once whose start takes 30 seconds. Meanwhile
the outpost's /health is asked, and tiny servers are started and stopped in turn on another system of the same outpost
and at another outpost. Then one outpost is stopped with SIGSTOP, 20 starts hang at it, and others go on elsewhere.
The usual times are those of the same starts before and after.
"""

import asyncio
import contextlib
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bench.parts.answering import answering
from bench.parts.hubs import OurHub, scratch, start_and_stop
from bench.parts.many import add_users, begin, ready_users
from bench.parts.measure import median, percentile
from bench.parts.prober import Prober, probing
from bench.parts.results import Result, arguments, report
from bench.parts.timed import read_down
from tests.real.deployment import outpost_at_fixed_port, wait_until
from tests.real.outposts import Outpost, local_system

PLACES: Final = {"system": "site/quick", "outpost": "other/quick"}
IDLE_ROUNDS: Final = 12


class Run:
    """One run: the hub, and what its starts took."""

    def __init__(self, folder: Path, address: str, *, slow: int, dead: int, seconds: float) -> None:
        self.slow, self.dead, self.seconds = slow, dead, seconds
        self.file = folder / "timings.jsonl"
        outposts = {name: self._outpost(folder / name, address) for name in ("site", "other", "dead")}
        self.hub = OurHub(
            folder,
            outposts,
            after='c.JupyterHub.spawner_class = "bench.parts.timed.TimedRoadstead"\n'
            f"c.TimedRoadstead.timings = {str(self.file)!r}\n",
        )

    def _outpost(self, folder: Path, address: str) -> Outpost:
        slow: dict[str, Any] = {
            "spawner_class": "bench.parts.guests.Slow",
            "config": {"Slow": {"address": address, "seconds": self.seconds}},
        }
        return outpost_at_fixed_port(folder, systems={"slow": slow, "quick": local_system(folder)})

    def one_each(self) -> None:
        """A start at each place."""
        for user, system in PLACES.items():
            start_and_stop(self.hub, user, system=system)

    def phase(self, go_on: Callable[[int], bool]) -> dict[str, list[float]]:
        """Starts in turn for as long as it says; milliseconds from start() called to the server reached, by place."""
        before, done = len(read_down(self.file)), 0
        while go_on(done):
            self.one_each()
            done += 1
        lines = read_down(self.file, before)
        return {user: [line["returned"] for line in lines if line["user"] == user] for user in PLACES}

    def slow_phase(self) -> tuple[dict[str, list[float]], int]:
        """While the slow ones start; with how many of them are ready in the end."""
        users = [f"slow-{number}" for number in range(self.slow)]
        add_users(self.hub, users)
        asking = threading.Thread(
            target=lambda: asyncio.run(begin(self.hub, users, at_once=self.slow, options={"system": "site/slow"}))
        )
        begun = time.monotonic()
        asking.start()
        found = self.phase(lambda _: time.monotonic() - begun < self.seconds)
        asking.join()

        def all_ready() -> bool:
            return len(ready_users(self.hub) & set(users)) == len(users)

        with contextlib.suppress(AssertionError):
            wait_until("all slow servers are ready", all_ready, 60 + self.slow, pause=1)
        return found, len(ready_users(self.hub) & set(users))

    def dead_phase(self) -> dict[str, list[float]]:
        """While starts hang at an outpost that does not answer any more."""
        users = [f"dead-{number}" for number in range(self.dead)]
        add_users(self.hub, users)
        self.hub.outposts["dead"].kill(signal.SIGSTOP)
        asyncio.run(begin(self.hub, users, at_once=self.dead, options={"system": "dead/quick"}))
        found = self.phase(lambda done: done < IDLE_ROUNDS)
        hanging = sum(self.hub.server(user) is not None for user in users)
        if hanging < self.dead:
            raise RuntimeError(f"only {hanging} of {self.dead} starts hung until the end of the measurement")
        return found


def run(folder: Path, address: str, *, slow: int, dead: int, seconds: float) -> list[Result]:
    """Measure."""
    this = Run(folder, address, slow=slow, dead=dead, seconds=seconds)
    with contextlib.ExitStack() as stack:
        stack.callback(this.hub.clean_up)
        this.hub.start()
        add_users(this.hub, PLACES)
        this.phase(lambda done: done < 2)
        prober = stack.enter_context(probing(f"{this.hub.outposts['site'].url}/health", folder / "health"))
        moments = [time.time()]
        before = this.phase(lambda done: done < IDLE_ROUNDS)
        moments.append(time.time())
        slowly, ready = this.slow_phase()
        moments.append(time.time())
        after = this.phase(lambda done: done < IDLE_ROUNDS)
        health = Health(prober, moments)
        dead_while = this.dead_phase()
    usual = {place: before[place] + after[place] for place in PLACES}
    return [*health.results(), Result("slow starts that succeeded", ready, "of " + str(slow), f"ours == {slow}")] + [
        Result(f"start {what}, median", median(times), "ms", "ours <= 1.2 * peer", median(usual[place]))
        for what, times, place in (
            ("on another system", slowly["system"], "system"),
            ("at another outpost", slowly["outpost"], "outpost"),
            ("while an outpost is dead", dead_while["outpost"], "outpost"),
        )
    ]


class Health:
    """What /health took: idle, which is the peer, and while slow starts are under way."""

    def __init__(self, prober: Prober, moments: list[float]) -> None:
        begin_, burst, end = moments
        self.idle = prober.between(begin_, burst)
        self.slow = prober.between(burst, end)

    def results(self) -> list[Result]:
        """All answers count, the slowest one too."""
        idle = percentile(self.idle, 99)
        return [
            Result("/health, slowest answer; peer: idle p99", max(self.slow), "ms", "ours <= max(50, 3 * peer)", idle),
            Result("/health, median; peer: idle", median(self.slow), "ms", peer=median(self.idle)),
        ]


def main() -> None:
    """Run the bench."""
    options = arguments("slow_starts", __doc__ or "").parse_args()
    slow, dead, seconds = (20, 5, 10.0) if options.quick else (200, 20, 30.0)
    with scratch() as folder, answering() as address:
        found = run(folder, address, slow=slow, dead=dead, seconds=seconds)
    report("slow_starts", found, samples=slow, quick=options.quick)


if __name__ == "__main__":
    main()
