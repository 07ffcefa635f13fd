"""Which tests stay together when several run side by side: those of one file, and those that share something large."""

from typing import Any, Final

import pytest
from xdist.scheduler import LoadScopeScheduling

SHARED: Final = ("tests/browser/", "tests/real/slurm/")
"""Folders whose tests share one deployment or cluster, which takes long to start."""


class Together(LoadScopeScheduling):  # type: ignore[misc]
    """Hands out whole files, and whole folders of SHARED."""

    def _split_scope(self, nodeid: str) -> str:
        return next((folder for folder in SHARED if nodeid.startswith(folder)), nodeid.split("::", 1)[0])


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Together:
    return Together(config, log)
