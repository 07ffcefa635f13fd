"""The deployment that the browser tests visit: one hub, an outpost with two systems, and an outpost that is away."""

import sys
from pathlib import Path
from typing import Any, Final

from tests.real.deployment import Deployment, free_port, outpost_at_fixed_port

SINGLE_USER: Final = [str(Path(sys.executable).with_name("jupyterhub-singleuser"))]

APPS: Final[dict[str, Any]] = {
    "lab": {
        "display_name": "JupyterLab",
        "description": "Notebooks, terminals, files and text side by side.",
        "settings": {"default_url": "/lab"},
    },
    "notebook": {
        "display_name": "Jupyter Notebook",
        "description": "One document at a time.",
        "settings": {"default_url": "/tree"},
    },
}


def systems(folder: Path) -> dict[str, dict[str, Any]]:
    """A machine that starts at once, and a cluster with a queue."""
    common = {
        "cmd": SINGLE_USER,
        "args": ["--allow-root"],
        "home_dir_template": str(folder / "homes" / "{username}"),
        # A Jupyter server that a browser talks to just now may not end when it is asked.
        "interrupt_timeout": 3,
        "term_timeout": 3,
    }
    return {
        "machine": {
            "display_name": "Shared machine",
            "description": "Starts at once; everybody here shares its processors and memory.",
            "spawner_class": "simple",
            "config": {"SimpleLocalProcessSpawner": common},
            "apps": APPS,
            "poll_interval": 1,
            "flavors": {
                "small": {
                    "display_name": "Small",
                    "description": "For a look around.",
                    "runtime": {"hours": 4},
                    "resources": {"cpus": 1, "memory": "2G"},
                    "max": 20,
                    "max_per_user": 3,
                },
                "short": {
                    "display_name": "Short",
                    "description": "For an exercise.",
                    "runtime": {"minutes": 10},
                    "resources": {"cpus": 4, "memory": "8G"},
                    "max": 5,
                },
                "long": {
                    "display_name": "Long",
                    "description": "For work that takes a day.",
                    "runtime": {"hours": 24},
                    "resources": {"cpus": 1, "memory": "4G"},
                    "max": 5,
                },
            },
            "overrides": {
                "debug": {
                    "type": "boolean",
                    "display_name": "More log lines",
                    "description": "Helps those who run this hub to find out what is wrong.",
                },
                "environment": {
                    "type": "mapping",
                    "display_name": "Environment variables",
                    "description": "For your notebooks.",
                    "pattern": "[a-z0-9]*",
                },
            },
        },
        "cluster": {
            "display_name": "Cluster",
            "description": "200 nodes; your server waits in the queue until one is free.",
            "spawner_class": "tests.browser.queue_spawner.QueueSpawner",
            "config": {"QueueSpawner": common},
            "apps": APPS,
            "poll_interval": 1,
            "flavors": {
                "node": {
                    "display_name": "One node",
                    "runtime": {"hours": 12},
                    "resources": {"cpus": 48, "memory": "192G"},
                    "max": 12,
                },
                "gpu": {
                    "display_name": "One GPU",
                    "description": "The queue for it is long.",
                    "runtime": {"hours": 2},
                    "resources": {"cpus": 12, "memory": "64G", "gpus": 1},
                    "settings": {"pace": 900},
                    "max": 10,
                },
                "licensed": {
                    "display_name": "Node with a licence",
                    "description": "For the programs that need the licence server.",
                    "runtime": {"hours": 8},
                    "resources": {"cpus": 48, "memory": "192G"},
                    "settings": {"pace": 900},
                    "max": 1,
                },
            },
            "overrides": {
                "places": {"type": "integer", "display_name": "Place in the queue", "minimum": 0, "maximum": 100},
            },
        },
    }


def harbour(folder: Path) -> Deployment:
    """The deployment, not started yet."""
    site = folder / "harbour"
    outpost = outpost_at_fixed_port(site, systems=systems(site))
    away = {
        "url": f"http://127.0.0.1:{free_port()}",
        "credential": outpost.tokens["hub"],
        "display_name": "Island Observatory",
    }
    here = "Harbour Computing Centre"
    lines = (
        f"c.RoadsteadSpawner.outposts['harbour']['display_name'] = {here!r}\n"
        f"c.RoadsteadSpawner.outposts['island'] = {away!r}"
    )
    return Deployment(folder, {"harbour": outpost}, lines)
