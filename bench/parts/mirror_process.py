"""The hub's part alone, in a process of its own: Spawner objects, mirror and JupyterHub's database, no hub around.

`python -m bench.parts.mirror_process FOLDER OUTPOST_URL` reads the outpost's credential and then the ids of the
attempts from standard input, one a line, up to an empty line. Each further line is answered by a line of figures.
"""

import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import Any, Final

from jupyterhub import orm
from jupyterhub.objects import Hub
from traitlets.config import Config

from roadstead.hub import RoadsteadSpawner, keys, state

POLL_SECONDS: Final = 30.0
"""JupyterHub's own default."""
TICKS: Final = 300


class Requests(logging.Handler):
    """Counts the HTTP requests that httpx writes into its log."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.count = 0
        log = logging.getLogger("httpx")
        log.addHandler(self)
        log.setLevel(logging.INFO)
        log.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        """One more."""
        self.count += record.msg.startswith("HTTP Request")


class HubsPart:
    """The Spawner objects of all servers, asked one after the other."""

    def __init__(self, folder: Path, url: str, credential: str, ids: list[str]) -> None:
        key_file = folder / "key"
        config = Config()
        config.RoadsteadSpawner.outposts = {"site": {"url": url, "credential": credential}}
        config.RoadsteadSpawner.state_key_file = str(key_file)
        session = orm.new_session_factory(f"sqlite:///{folder}/hub.sqlite")()
        token = keys.seal("0" * 32, key_file)
        rows = []
        for number, server_id in enumerate(ids):
            attempt = state.Attempt(server_id, "site", "jobs", url="http://127.0.0.1:1")
            rows.append(orm.Spawner(name="", user=orm.User(name=f"user-{number}"), state=state.dump(attempt, token)))
        session.add_all(rows)
        session.commit()
        hub = Hub(ip="127.0.0.1", port=1)
        self.spawners = [
            RoadsteadSpawner(config=config, hub=hub, user=row.user, orm_spawner=row, proxy_spec="/") for row in rows
        ]
        for spawner, row in zip(self.spawners, rows, strict=True):
            spawner.load_state(row.state)
        self.polls = self.gone = 0

    async def poll_for_ever(self) -> None:
        """Each server once in the interval, spread out evenly."""
        while True:
            for tick in range(TICKS):
                for spawner in self.spawners[tick::TICKS]:
                    self.polls += 1
                    self.gone += await spawner.poll() is not None
                await asyncio.sleep(POLL_SECONDS / TICKS)

    def figures(self, requests: Requests) -> dict[str, Any]:
        """What the bench asks for."""
        running = sum(1 for spawner in self.spawners if spawner.record is not None and spawner.record.running)
        return {"requests": requests.count, "polls": self.polls, "gone": self.gone, "running": running}


async def _main() -> None:
    folder, url = Path(sys.argv[1]), sys.argv[2]
    loop = asyncio.get_running_loop()
    lines = iter(sys.stdin.readline, "\n")
    credential, *ids = [line.strip() for line in lines]
    requests = Requests()
    part = HubsPart(folder, url, credential, ids)
    polling = loop.create_task(part.poll_for_ever())
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(part.figures(requests)), flush=True)
    polling.cancel()


if __name__ == "__main__":
    asyncio.run(_main())
