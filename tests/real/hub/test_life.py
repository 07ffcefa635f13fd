"""The life of servers through a real hub, proxy and outpost."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.deployment import Deployment


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    deployment = Deployment(tmp_path)
    try:
        deployment.start()
        yield deployment
    finally:
        deployment.clean_up()


def test_a_default_and_a_named_server_start_and_stop(deployment: Deployment) -> None:
    deployment.start_server("alice", system="site/local")
    deployment.start_server("alice", "second", system="site/local")
    assert deployment.stop_server("alice").status_code in (202, 204)
    deployment.wait_until_stopped("alice")
    assert deployment.reach("alice", "second")
