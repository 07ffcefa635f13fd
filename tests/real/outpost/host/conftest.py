"""Leaves no server behind: whatever a test's jobs started is ended after it."""

import os
import signal
from collections.abc import Iterator

import pytest

from tests.real.outpost.host.driver import KEYS, processes_of


@pytest.fixture(autouse=True)
def no_servers_left() -> Iterator[None]:
    """Ends the processes of all attempts that the test named."""
    KEYS.clear()
    yield
    for key in KEYS:
        for pid in processes_of(key):
            os.kill(pid, signal.SIGKILL)
