"""How much longer a start takes through an outpost than with the same Spawner class directly in the hub.

Two real hubs with a proxy each, on the same machine. One starts tiny servers through an outpost over HTTP, the other
with SimpleLocalProcessSpawner itself. Their starts alternate. Measured in the hub's process: from `Spawner.start()`
called to the address known, which is when the mirror has it and when `start()` is over, respectively; and, as the
person who waits sees it, from the request to the hub's `ready`.
"""

import contextlib
from pathlib import Path

from bench.parts.hubs import OurHub, VanillaHub, scratch, start_and_stop
from bench.parts.many import add_users
from bench.parts.measure import median, percentile
from bench.parts.results import Result, arguments, report
from bench.parts.timed import read_down
from tests.real.deployment import Deployment, outpost_at_fixed_port
from tests.real.outposts import TINY

WARM_UP = 5


def run(folder: Path, rounds: int) -> list[Result]:
    """Measure."""
    files = {"ours": folder / "ours.jsonl", "peer": folder / "peer.jsonl"}
    ours = OurHub(
        folder / "ours",
        {"site": outpost_at_fixed_port(folder / "ours" / "site")},
        after='c.JupyterHub.spawner_class = "bench.parts.timed.TimedRoadstead"\n'
        f"c.TimedRoadstead.timings = {str(files['ours'])!r}\n",
    )
    peer = VanillaHub(
        folder / "peer",
        f"""
c.JupyterHub.spawner_class = "bench.parts.timed.TimedLocal"
c.TimedLocal.timings = {str(files["peer"])!r}
c.TimedLocal.cmd = {TINY!r}
c.TimedLocal.home_dir_template = "{folder}/peer/homes/{{username}}"
c.TimedLocal.interrupt_timeout = 1
""",
    )
    hubs: dict[str, Deployment] = {"ours": ours, "peer": peer}
    waited: dict[str, list[float]] = {name: [] for name in hubs}
    with contextlib.ExitStack() as stack:
        for hub in hubs.values():
            stack.callback(hub.clean_up)
            hub.start()
            add_users(hub, ["alice"])
        for _ in range(WARM_UP + rounds):
            for name, hub in hubs.items():
                waited[name].append(start_and_stop(hub, "alice"))
    known = {name: [line["known"] for line in read_down(file)][WARM_UP:] for name, file in files.items()}
    ready = {name: values[WARM_UP:] for name, values in waited.items()}
    if any(len(values) != rounds for values in known.values()):
        raise RuntimeError(f"not every start was measured: {known}")
    return results(known, ready)


def results(known: dict[str, list[float]], ready: dict[str, list[float]]) -> list[Result]:
    """The figures of the samples, in milliseconds."""
    return [
        Result(
            "start() to address known, median", median(known["ours"]), "ms", "ours - peer <= 25", median(known["peer"])
        ),
        Result(
            "start() to address known, 90th percentile",
            percentile(known["ours"], 90),
            "ms",
            peer=percentile(known["peer"], 90),
        ),
        Result("request to ready, median", median(ready["ours"]), "ms", peer=median(ready["peer"])),
    ]


def main() -> None:
    """Run the bench."""
    options = arguments("start_overhead", __doc__ or "").parse_args()
    rounds = 10 if options.quick else 60
    with scratch() as folder:
        found = run(folder, rounds)
    report("start_overhead", found, samples=rounds, quick=options.quick)


if __name__ == "__main__":
    main()
