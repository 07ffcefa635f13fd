"""What 1,000 running servers at an outpost cost a hub that is otherwise idle.

Two real hubs with a proxy each run side by side over the same minutes, each with 1,000 running servers. One has them at
an outpost; the other has a Spawner class whose poll returns at once, the least that any class can do. Both poll each
server every 30 seconds, JupyterHub's own default. Processor time is that of the hubs' processes.
"""

import asyncio
import contextlib
import time
from pathlib import Path

from bench.parts.answering import answering
from bench.parts.hubs import OurHub, VanillaHub, scratch
from bench.parts.many import add_users, begin, ready_users
from bench.parts.measure import CpuShare, settled_pss_kib
from bench.parts.results import Result, arguments, report
from tests.real.deployment import Deployment, outpost_at_fixed_port, wait_until

POLL_SECONDS = 30
"""Whatever else the two may have by default; configure(c) would set 300."""


def hubs_of(folder: Path, address: str) -> dict[str, Deployment]:
    """The two."""
    system = {"spawner_class": "bench.parts.guests.LookUp", "config": {"LookUp": {"address": address}}}
    site = outpost_at_fixed_port(folder / "ours" / "site", systems={"jobs": system})
    same = f"c.Spawner.poll_interval = {POLL_SECONDS}\n"
    instant = f'c.JupyterHub.spawner_class = "bench.parts.timed.Instant"\nc.Instant.address = {address!r}\n{same}'
    return {
        "ours": OurHub(folder / "ours", {"site": site}, same),
        "peer": VanillaHub(folder / "peer", instant),
    }


def fill(hub: Deployment, count: int) -> None:
    """Start servers until so many run."""
    users = [f"user-{number}" for number in range(count)]
    add_users(hub, users)
    asyncio.run(begin(hub, users, at_once=10, options={}))
    wait_until("all servers run", lambda: ready_users(hub) >= set(users), 600, pause=2)


def run(folder: Path, address: str, count: int, seconds: float) -> list[Result]:
    """Measure."""
    hubs = hubs_of(folder, address)
    with contextlib.ExitStack() as stack:
        for hub in hubs.values():
            stack.callback(hub.clean_up)
            hub.start()
        for hub in hubs.values():
            fill(hub, count)
        pids = {name: hub.hub.pid for name, hub in hubs.items()}
        # What follows a start, as the first list of known servers, is over by then.
        time.sleep(60)
        cpu = CpuShare(**pids)
        time.sleep(seconds)
        used = cpu.seconds()
        for name, hub in hubs.items():
            if len(ready_users(hub)) != count:
                raise RuntimeError(f"{name}: not all of the {count} servers run to the end")
        memory = {name: settled_pss_kib(pid) / 1024 for name, pid in pids.items()}
    return [
        Result(f"hub's CPU in {seconds:g} s", used["ours"], "s", "ours <= 1.15 * peer", used["peer"]),
        Result("hub's PSS", memory["ours"], "MiB", peer=memory["peer"]),
    ]


def main() -> None:
    """Run the bench."""
    options = arguments("hub_idle", __doc__ or "").parse_args()
    count, seconds = (50, 60.0) if options.quick else (1000, 600.0)
    with scratch() as folder, answering() as address:
        found = run(folder, address, count, seconds)
    report("hub_idle", found, samples=count, quick=options.quick)


if __name__ == "__main__":
    main()
