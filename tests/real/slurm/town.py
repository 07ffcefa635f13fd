"""`make run SYSTEM=slurm`: hub, outpost and a whole Slurm on this machine, with two users and JupyterLab in jobs."""

import secrets
import shutil
import signal
import sys
import tempfile
import threading
from pathlib import Path

from tests.real.deployment import Deployment, outpost_at_fixed_port
from tests.real.slurm.cluster import ACCOUNTS, Cluster, slurm
from tests.real.slurm.systems import slurm_system


def systems(cluster: Cluster) -> dict[str, dict[str, object]]:
    """What the outpost of this town offers."""
    singleuser = [sys.executable, str(Path(sys.executable).with_name("jupyterhub-singleuser"))]
    system = slurm_system(cluster, config={"cmd": singleuser, "default_url": "/lab"}, start_timeout=86_400)
    flavors = {
        "small": {"display_name": "Small", "resources": {"cpus": 1, "memory": "1G"}},
        "gpu": {
            "display_name": "One GPU",
            "resources": {"cpus": 2, "memory": "2G"},
            "settings": {"req_partition": "gpus", "req_gres": "gpu:a100:1"},
        },
    }
    return {"slurm": system | {"display_name": "The cluster", "flavors": flavors}}


def main() -> None:
    """Start it, say where it is, and end it with Ctrl-C."""
    folder = Path(tempfile.mkdtemp(prefix="roadstead-town-"))
    password = secrets.token_urlsafe(9)
    over = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: over.set())
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    print("Starting Slurm.", flush=True)
    with slurm() as cluster:
        outpost = outpost_at_fixed_port(folder / "site", systems=systems(cluster))
        town = Deployment(folder / "hub", {"site": outpost}, f"c.DummyAuthenticator.password = {password!r}")
        try:
            town.start()
            print(f"Open {town.url} and log in as {' or '.join(ACCOUNTS)} with the password {password}.")
            print(f"To look at the queue: SLURM_CONF={cluster.environment['SLURM_CONF']} squeue")
            print("Ctrl-C ends all of it.", flush=True)
            over.wait()
        finally:
            town.clean_up()
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
