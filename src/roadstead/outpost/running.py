"""One outpost put together: ledger, streams, conductor, hosts and clock, started and ended in the right order."""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..protocol.errors import RoadsteadError
from ..protocol.systems import HealthAnswer
from .clock import Clock
from .conductor import Conductor
from .config import ConfigurationError, OutpostSettings
from .credentials import Credentials
from .hosts import Host, Hosts
from .ledger import Ledger
from .metrics import Metrics
from .migrate import upgrade
from .secrets import load_keyring
from .service import Service
from .stream import Streams


class Running:
    """All parts of an outpost."""

    def __init__(self, settings: OutpostSettings, config_file: Path, ledger: Ledger) -> None:
        self.settings = settings
        self.credentials = Credentials(settings)
        self.started_at = datetime.now(UTC)
        self.ledger = ledger
        self.streams = Streams(ledger)
        self.metrics = Metrics()
        self.conductor = Conductor(ledger, self.metrics, settings.warn_before)
        self.hosts = self.conductor.hosts = Hosts(
            [
                Host(name, config_file, settings.state_folder, system.silence_timeout, self.conductor)
                for name, system in settings.systems.items()
            ]
        )
        self.service = Service(settings, self.conductor)
        self.clock = Clock(self.conductor, settings.warn_before, settings.keep_ended)

    async def health(self) -> HealthAnswer:
        """Failed when the ledger cannot be used, degraded when a system cannot start servers."""
        try:
            async with asyncio.timeout(5):
                await self.ledger.ping()
        except (RoadsteadError, TimeoutError):
            return HealthAnswer(status="failed", checks={"ledger": "failed"})
        up = all(status.up for status in self.hosts.status().values())
        return HealthAnswer(
            status="ok" if up else "degraded", checks={"ledger": "ok", "systems": "ok" if up else "degraded"}
        )

    async def render_metrics(self) -> bytes:
        """The metrics as Prometheus reads them."""
        return self.metrics.render(await self.ledger.counts(), self.hosts.status(), self.streams.open)


@asynccontextmanager
async def running(settings: OutpostSettings, config_file: Path) -> AsyncIterator[Running]:
    """Run an outpost. Raises ConfigurationError when its state folder or ledger cannot be used."""
    with _state_folder(settings.state_folder):
        await upgrade(settings.database)
        ledger = Ledger(settings.database, load_keyring(settings.state_folder / "ledger.key"))
        try:
            outpost = Running(settings, config_file, ledger)
            await _begin_again(outpost)
            clock = asyncio.create_task(outpost.clock.run(), name="clock")
            outpost.hosts.start()
            try:
                yield outpost
            finally:
                outpost.streams.close()
                clock.cancel()
                await asyncio.gather(clock, return_exceptions=True)
                await outpost.hosts.stop()
                await outpost.conductor.stop_background()
        finally:
            await ledger.close()


async def _begin_again(outpost: Running) -> None:
    """Hosts live no longer than their outpost: what was being started when the last one ended is begun again."""
    for system in outpost.settings.systems:
        await outpost.conductor.host_lost(system)


@contextlib.contextmanager
def _state_folder(folder: Path) -> Any:
    """The folder, owned by this process alone for as long as it runs."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / "outpost.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigurationError(
            "of the outpost", [f"Outpost.state_folder: {folder} cannot be used ({error.strerror})."]
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise ConfigurationError(
            "of the outpost",
            [f"Outpost.state_folder: another outpost runs on {folder}; stop it, or give this one its own."],
        ) from error
    finally:
        os.close(descriptor)
