"""A system whose starts wait until a test lets them go on."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from jupyterhub.spawner import SimpleLocalProcessSpawner
from traitlets import Unicode


class Gated(SimpleLocalProcessSpawner):  # type: ignore[misc]
    """SimpleLocalProcessSpawner that starts as soon as a file of the server's name is there."""

    gates = Unicode("", config=True, help="Folder in which the files appear.")

    async def start(self) -> Any:
        gate = Path(self.gates) / f"{self.user.name}-{self.name}"
        gate.with_suffix(".auth-state").write_text(json.dumps(await self.user.get_auth_state()))
        while not gate.exists():
            await asyncio.sleep(0.05)
        return await super().start()

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        yield {"progress": 20, "message": "Waiting at the gate."}
