"""Hubs that are measured: ours with its outposts, and one that knows nothing of Roadstead."""

import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.real.deployment import ROOT, Deployment, server_path

_OURS: Final = ("from roadstead", "c.RoadsteadSpawner", "configure(c)")
_SAME: Final = """
c.JupyterHub.cleanup_servers = False
c.JupyterHub.concurrent_spawn_limit = 0
"""
"""What configure(c) sets and any hub may set."""


class OurHub(Deployment):
    """A deployment whose configuration goes on after configure(c), and which finds the Spawner classes of benches."""

    def __init__(self, folder: Path, *args: Any, after: str = "", **kwargs: Any) -> None:
        super().__init__(folder, *args, **kwargs)
        self.hub.environment["PYTHONPATH"] = str(ROOT)
        self._after = after

    def write_config(self) -> None:
        """As its base class, with the lines that go after."""
        super().write_config()
        with self.config.open("a", encoding="utf-8") as file:
            file.write(self._after)


class VanillaHub(OurHub):
    """The same hub without Roadstead; `lines` choose its Spawner class."""

    def __init__(self, folder: Path, lines: str) -> None:
        super().__init__(folder, {}, after=lines)

    def write_config(self) -> None:
        """What both hubs share, and nothing of ours."""
        super().write_config()
        lines = self.config.read_text(encoding="utf-8").splitlines()
        self.config.write_text("\n".join(line for line in lines if not line.startswith(_OURS)) + _SAME)


def start_and_stop(hub: Deployment, user: str, **options: str) -> float:
    """One life of a server of a user who exists; milliseconds from the request to ready."""
    begun = time.perf_counter()
    answer = hub.api("POST", server_path(user, ""), {"user_options": options} if options else None)
    if answer.status_code == 202:
        _until_ready(hub, user)
    elif answer.status_code != 201:
        raise RuntimeError(f"the hub does not start a server: {answer.text}")
    passed = 1000 * (time.perf_counter() - begun)
    hub.stop_server(user)
    hub.wait_until_stopped(user)
    return passed


def _until_ready(hub: Deployment, user: str) -> None:
    """Wait by the progress stream, which tells at once."""
    last = hub.progress(user, seconds=120)[-1]
    if not last.get("ready"):
        raise RuntimeError(f"the server of {user} was not started: {last}")


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder for one run; kept if the run fails, so that its logs can be read."""
    folder = Path(tempfile.mkdtemp(prefix="roadstead-bench-"))
    try:
        yield folder
    except BaseException:
        sys.stderr.write(f"What the processes wrote is in {folder}.\n")
        raise
    shutil.rmtree(folder, ignore_errors=True)
