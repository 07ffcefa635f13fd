"""What 10,000 running servers cost an outpost and a hub that do nothing but keep them.

Part one: an outpost with 10,000 servers, started through its API, whose Spawner's poll is a look-up in memory and whose
requests carry 25 environment variables each. The hub's part runs beside it in a process of its own, with real Spawner
objects, mirror and JupyterHub's database, and polls each server every 30 seconds. After five quiet minutes the outpost
is killed and started again. Part two: a real hub with 1,000 running and 50 queued servers is killed and started again.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from bench.parts.answering import answering
from bench.parts.hubs import OurHub, scratch
from bench.parts.many import add_users, begin, ready_users
from bench.parts.measure import CpuShare, settled_pss_kib
from bench.parts.results import Result, arguments, report
from bench.parts.seeding import seed
from tests.real.deployment import outpost_at_fixed_port, wait_until
from tests.real.outposts import Outpost


class HubsPart:
    """The process that holds the mirror, see bench.parts.mirror_process."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.pid = process.pid

    def ask(self) -> dict[str, Any]:
        """Its figures."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("?\n")
        self._process.stdin.flush()
        figures: dict[str, Any] = json.loads(self._process.stdout.readline())
        return figures


@contextlib.contextmanager
def hubs_part(folder: Path, outpost: Outpost, ids: list[str]) -> Iterator[HubsPart]:
    """Run it, and wait until it knows that all servers run."""
    folder.mkdir()
    command = [sys.executable, "-m", "bench.parts.mirror_process", str(folder), outpost.url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        process.stdin.write("\n".join([outpost.tokens["hub"], *ids]) + "\n\n")
        process.stdin.flush()
        part = HubsPart(process)
        wait_until("the mirror knows all servers", lambda: part.ask()["running"] == len(ids), 300, pause=1)
        try:
            yield part
        finally:
            process.stdin.close()
            process.wait(20)


def keep_servers(folder: Path, address: str, count: int, seconds: float) -> list[Result]:
    """Part one."""
    system = {"spawner_class": "bench.parts.guests.LookUp", "config": {"LookUp": {"address": address}}}
    outpost = outpost_at_fixed_port(folder / "site", systems={"jobs": system})
    with contextlib.ExitStack() as stack:
        stack.callback(outpost.clean_up)
        outpost.start()
        idle = settled_pss_kib(pid(outpost))
        ids = asyncio.run(seed(outpost, count))
        part = stack.enter_context(hubs_part(folder / "hub", outpost, ids))
        # The list of known servers is sent a while after the stream stands; that is not what an hour looks like.
        time.sleep(20)
        quiet = keep_quiet(outpost, part, count, seconds)
        full = settled_pss_kib(pid(outpost))
        restart, all_polled = restarted(outpost, count)
        again = settled_pss_kib(pid(outpost), 30)
        if part.ask()["gone"]:
            raise RuntimeError("the hub's part has lost servers")
    return [
        Result("outpost's own process, idle, PSS", idle / 1024, "MiB", "ours <= 90"),
        Result("  more per server", (full - idle) / count, "KiB", "ours <= 10"),
        Result("  more per server, after its restart", (again - idle) / count, "KiB", "ours <= 10"),
        *quiet,
        Result("outpost killed: restart to serving", restart, "s", "ours < 5"),
        Result("  until its host polls all servers again", all_polled, "s"),
    ]


def pid(outpost: Outpost) -> int:
    """The outpost's own process."""
    assert outpost.process is not None
    return outpost.process.pid


def keep_quiet(outpost: Outpost, part: HubsPart, count: int, seconds: float) -> list[Result]:
    """Nothing happens for some minutes."""
    before = part.ask()
    cpu = CpuShare(outpost=pid(outpost), host=outpost.host_pid("jobs"), hub=part.pid)
    time.sleep(seconds)
    shares = cpu.percent_of_a_core()
    after = part.ask()
    polls = after["polls"] - before["polls"]
    if polls < 0.8 * count * seconds / 30:
        raise RuntimeError(f"only {polls} polls: the hub's part does not keep up")
    return [
        Result("outpost's own process, CPU", shares["outpost"], "% of a core", "ours < 2"),
        Result("  its host, which polls every 30 s", shares["host"], "% of a core"),
        Result("hub's part, CPU", shares["hub"], "% of a core", "ours < 3"),
        Result(f"HTTP requests during {polls} polls", after["requests"] - before["requests"], "", "ours <= 10"),
    ]


def restarted(outpost: Outpost, count: int) -> tuple[float, float]:
    """Kill and start again: seconds until it can start servers and list them, and until all are polled again."""
    outpost.kill()
    begun = time.monotonic()
    outpost.start(60)
    headers = {"Authorization": f"Bearer {outpost.tokens['hub']}", "Roadstead-Protocol": "1"}
    page = httpx.get(f"{outpost.url}/api/v1/servers?limit=1000", headers=headers, timeout=60).json()
    serving = time.monotonic() - begun
    if len(page["servers"]) != min(count, 1000):
        raise RuntimeError(f"the outpost lists {len(page['servers'])} servers on its first page")

    def watched() -> bool:
        answer = httpx.get(
            f"{outpost.url}/metrics", headers={"Authorization": f"Bearer {outpost.metrics_token}"}, timeout=60
        )
        return f'roadstead_host_watched{{system="jobs"}} {float(count)}' in answer.text

    wait_until("the host polls all servers again", watched, 600, pause=0.5)
    return serving, time.monotonic() - begun


def restart_hub(folder: Path, address: str, running: int, queued: int) -> list[Result]:
    """Part two."""
    gate = folder / "gate"
    systems = {
        "jobs": {"spawner_class": "bench.parts.guests.LookUp", "config": {"LookUp": {"address": address}}},
        "queue": {
            "spawner_class": "bench.parts.guests.Gated",
            "config": {"Gated": {"address": address, "gate": str(gate)}},
            "start_timeout": 86_400,
        },
    }
    hub = OurHub(folder, {"site": outpost_at_fixed_port(folder / "site", systems=systems)})
    runners = [f"runs-{number}" for number in range(running)]
    waiters = [f"waits-{number}" for number in range(queued)]
    with contextlib.ExitStack() as stack:
        stack.callback(hub.clean_up)
        hub.start()
        add_users(hub, [*runners, *waiters])
        asyncio.run(begin(hub, runners, at_once=10, options={"system": "site/jobs"}))
        asyncio.run(begin(hub, waiters, at_once=10, options={"system": "site/queue"}))
        wait_until("all servers run", lambda: ready_users(hub) >= set(runners), 600, pause=2)
        ids = {user: hub.attempt(user) for user in (*runners, *waiters)}
        seconds = hub.restart_hub()
        active = ready_users(hub)
        time.sleep(30)
        gate.touch()
        wait_until("what was queued is up", lambda: all(reached(hub, user) for user in waiters), 120, pause=1)
        kept = sum(hub.attempt(user) == id_ and user in active & ready_users(hub) for user, id_ in ids.items())
        routes = set(hub.routes() or {})
        routed = sum(f"/user/{user}" in routes for user in ids)
    return [
        Result(f"hub killed, {running} running and {queued} queued: restart to answering", seconds, "s", "ours < 25"),
        Result("  servers kept", kept, f"of {len(ids)}", f"ours == {len(ids)}"),
        Result("  routes kept", routed, f"of {len(ids)}", f"ours == {len(ids)}"),
    ]


def reached(hub: OurHub, user: str) -> bool:
    """Whether the hub has reached the user's server at its own address."""
    return "url" in hub.stored_state(user).get("roadstead", {})


def main() -> None:
    """Run the bench."""
    options = arguments("ten_thousand", __doc__ or "").parse_args()
    count, seconds, running, queued = (500, 30.0, 50, 10) if options.quick else (10_000, 300.0, 1000, 50)
    with scratch() as folder, answering() as address:
        found = keep_servers(folder / "outpost", address, count, seconds)
        found += restart_hub(folder / "hub", address, running, queued)
    report("ten_thousand", found, samples=count, quick=options.quick)


if __name__ == "__main__":
    main()
