"""Deployments for the tests of the hub's part: one is shared by a module, others are made where something is killed."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.real.deployment import Deployment, outpost_at_fixed_port
from tests.real.outposts import TINY, Outpost, local_system

SPAWNERS = "tests.real.programs.spawners"


def site(folder: Path, **section: Any) -> Outpost:
    """An outpost whose systems start at once, at a gate, or not at all."""
    gates = folder / "gates"
    gates.mkdir(parents=True)
    own = {"cmd": TINY, "args": [], "home_dir_template": str(folder / "homes" / "{username}")}
    systems = {
        "local": local_system(
            folder,
            display_name="Shared machine",
            flavors={"short": {"display_name": "A short while", "runtime": 6}},
            without_flavor={},
            overrides=OVERRIDES,
        ),
        "gated": local_system(
            folder,
            spawner_class="tests.real.hub.gated.Gated",
            config={"Gated": own | {"gates": str(gates)}},
        ),
        "secure": local_system(
            folder,
            config={
                "SimpleLocalProcessSpawner": own
                | {"cmd": [sys.executable, str(Path(__file__).with_name("secure_server.py"))]}
            },
        ),
        "refusing": local_system(folder, spawner_class=f"{SPAWNERS}.Refuses", config={"Refuses": own}),
    }
    return outpost_at_fixed_port(folder, systems=systems, warn_before=[4], **section)


OVERRIDES = {"notebook_dir": {"type": "string", "pattern": "/[a-z]+", "display_name": "Folder"}}


class Gates:
    """Lets starts of the gated system go on."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    def open(self, user: str, name: str = "", outpost: str = "site") -> None:
        (self._deployment.outposts[outpost].folder / "gates" / f"{user}-{name}").touch()


Make = Callable[..., Deployment]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    """Makes deployments and ends them when the module's tests are done."""
    made: list[Deployment] = []

    def make_one(*sites: str, lines: str = "", internal_ssl: bool = False, **section: Any) -> Deployment:
        folder = tmp_path_factory.mktemp("deployment")
        outposts = {name: site(folder / name, **section) for name in sites or ("site",)}
        made.append(Deployment(folder / "hub", outposts, lines, internal_ssl=internal_ssl))
        made[-1].start()
        return made[-1]

    try:
        yield make_one
    finally:
        for deployment in made:
            deployment.clean_up()


@pytest.fixture(scope="module")
def deployment(make: Make) -> Deployment:
    """One hub with one outpost for all tests of a module."""
    return make()


@pytest.fixture
def gates(deployment: Deployment) -> Gates:
    return Gates(deployment)
