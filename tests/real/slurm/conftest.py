"""One real Slurm for all tests of this folder, left empty by each of them."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.real.outposts import Outpost
from tests.real.slurm.cluster import Cluster, slurm
from tests.real.slurm.systems import PROGRAM, slurm_system, tiny_server


@pytest.fixture(scope="session")
def slurm_cluster() -> Iterator[Cluster]:
    with slurm() as cluster:
        # Users' jobs run it, and the checkout may be in a folder that they cannot enter.
        shutil.copy(PROGRAM, tiny_server(cluster))
        yield cluster


@pytest.fixture
def cluster(slurm_cluster: Cluster) -> Iterator[Cluster]:
    """The cluster, in order before and after the test."""
    slurm_cluster.repair()
    yield slurm_cluster
    slurm_cluster.repair()


@pytest.fixture
def make_outpost(cluster: Cluster, tmp_path: Path) -> Iterator[Callable[..., Outpost]]:
    """Makes a running outpost with the cluster as its system `slurm`; it is ended with the test."""
    made: list[Outpost] = []

    def make(**changes: Any) -> Outpost:
        outpost = Outpost(tmp_path / f"outpost-{len(made)}", {"slurm": slurm_system(cluster, **changes)})
        made.append(outpost)
        outpost.start()
        return outpost

    yield make
    for outpost in made:
        outpost.clean_up()


@pytest.fixture
def outpost(make_outpost: Callable[..., Outpost]) -> Outpost:
    return make_outpost()
