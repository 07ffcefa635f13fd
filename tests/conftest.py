"""Which tests stay together when several run side by side: those of one file, and those that share something large."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

HERE: Final = Path(__file__).parent
SHARED: Final = ("browser", "real/slurm")
"""Folders whose tests share one deployment or cluster, which takes long to start."""


# Before pytest-xdist looks for the groups.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    for item in items:
        path = item.path.relative_to(HERE)
        folder = next((folder for folder in SHARED if path.is_relative_to(folder)), None)
        item.add_marker(pytest.mark.xdist_group(folder or str(path)))
