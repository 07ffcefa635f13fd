"""The cluster as a system of an outpost, and what tests ask of it."""

import pwd
from pathlib import Path
from typing import Any, Final

from tests.real.outposts import HubClient, Outpost, request_body
from tests.real.slurm.cluster import ACCOUNTS, Cluster

ADA, BO = ACCOUNTS
PROGRAM: Final = Path(__file__).parents[1] / "programs" / "tiny_server.py"


def tiny_server(cluster: Cluster) -> Path:
    """A server that users' jobs can run."""
    return cluster.folder / "tiny_server.py"


def spawner_config(cluster: Cluster, **changes: Any) -> dict[str, Any]:
    """The settings of SlurmSpawner."""
    return {
        "cmd": ["/usr/bin/python3", str(tiny_server(cluster))],
        "scheduler_environment": {"SLURM_CONF": cluster.environment["SLURM_CONF"]},
    } | changes


def slurm_system(cluster: Cluster, *, config: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """A system that starts tiny servers in jobs."""
    return {
        "spawner_class": "roadstead-slurm",
        "poll_interval": 0.5,
        "silence_timeout": 5.0,
        "config": {"SlurmSpawner": spawner_config(cluster, **(config or {}))},
    } | changes


def body(user: str = ADA, server_name: str = "", **options: Any) -> dict[str, Any]:
    """What a hub sends to start a server on the cluster."""
    return request_body(user, server_name, system="slurm", **options)


async def start(hub: HubClient, *args: Any, **options: Any) -> str:
    """Ask for a server on the cluster and give the attempt's id."""
    answer = await hub.put(body(*args, **options))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def sentences(hub: HubClient, server_id: str) -> list[str]:
    """What the user was told while it started."""
    return [event["message"] for event in await hub.events() if event["server_id"] == server_id and "message" in event]


def jobs_folder(account: str) -> Path:
    """Where the folders of an account's jobs are."""
    return Path(pwd.getpwnam(account).pw_dir) / ".roadstead" / "jobs"


def restart(outpost: Outpost) -> None:
    """Kill the outpost with its hosts and start it again."""
    outpost.kill()
    outpost.start()
