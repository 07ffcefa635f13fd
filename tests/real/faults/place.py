"""A whole deployment to strike at: hub and proxy on this machine, the outpost at a site of its own behind a cable."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import psutil

from tests.real.deployment import Deployment, free_port, wait_until
from tests.real.faults.network import Cable, cable, certificate
from tests.real.outposts import TINY, Outpost, local_system

SILENCE: Final = 12
"""Seconds without a byte after which this hub takes its event stream as broken; 30 outside of tests."""

SILENT_HOST: Final = 3.0
"""Seconds without an answer after which this outpost ends a host and starts another; 60 outside of tests."""

GRACE: Final = 3
"""Seconds for which a server must be missing from the hub's lists before this outpost ends it."""

QUICK: Final = f"""
from roadstead.hub import client, mirror
mirror._KNOWN_SECONDS = (0.5, 1.0)
client.SILENCE_SECONDS = {SILENCE}.0
c.JupyterHub.tornado_settings.update(slow_spawn_timeout=0.1, slow_stop_timeout=0.5)
c.RoadsteadSpawner.stop_timeout = 8
c.RoadsteadSpawner.reach_timeout = 12

def limits(spawner):
    if spawner.user.name.startswith("impatient"):
        spawner.start_timeout = 3
    if spawner.user.name.startswith("unreached"):
        spawner.reach_timeout = 3

c.Spawner.pre_spawn_hook = limits

import asyncio
from jupyterhub.auth import DummyAuthenticator

class Slow(DummyAuthenticator):
    async def post_spawn_stop(self, user, spawner):
        await asyncio.sleep(0.2)

c.JupyterHub.authenticator_class = Slow
"""
"""What takes minutes elsewhere takes seconds here, where there is a setting for it and where there is none.

Like the one for PAM, this authenticator takes a moment when a server has ended.
"""


class Place:
    """The deployment and everything that can happen to its parts."""

    def __init__(self, folder: Path, wire: Cable) -> None:
        self.cable = wire
        self.folder = folder / "site"
        self.holds = self.folder / "holds"
        self.holds.mkdir(parents=True)
        certificate_file, key_file = certificate(self.folder / "tls", wire.there)
        self.outpost = Outpost(
            self.folder,
            systems=self._systems(),
            prefix=wire.prefix,
            ca_file=certificate_file,
            ip=wire.there,
            port=free_port(),
            tls_certificate=str(certificate_file),
            tls_key=str(key_file),
            grace=GRACE,
        )
        self.deployment = Deployment(folder / "hub", {"site": self.outpost}, QUICK)

    def _systems(self) -> dict[str, dict[str, Any]]:
        home = str(self.folder / "homes" / "{username}")
        own: dict[str, Any] = {"cmd": TINY, "args": [], "home_dir_template": home, "ip": self.cable.there}
        own |= {"interrupt_timeout": 1, "term_timeout": 2, "holds": str(self.holds)}
        held: dict[str, Any] = {"spawner_class": "tests.real.faults.guests.Held", "config": {"Held": own}}
        held |= {"silence_timeout": SILENT_HOST}
        limits = {"held": {}, "late": {}, "brisk": {"start_timeout": 6, "stop_timeout": 2}}
        return {name: local_system(self.folder, **held, **limit) for name, limit in limits.items()}

    # -- holding attempts in a state

    def hold(self, user: str, *moments: str) -> None:
        """Let a server of this user wait, or do worse, as `Held` says."""
        for moment in moments:
            (self.holds / f"{user}.{moment}").touch()

    def let_go(self, user: str) -> None:
        """Hold nothing of this user any more."""
        for held in self.holds.glob(f"{user}.*"):
            held.unlink()

    # -- processes

    def host_pids(self, system: str = "") -> list[int]:
        """The host processes of this outpost, also one that has no lock yet."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                words = process.cmdline()
                if "roadstead.outpost.host" in words and str(self.outpost.config) in words:
                    found += [process.pid] if system in ("", words[words.index("--system") + 1]) else []
        return found

    def signal_hosts(self, number: int, system: str = "") -> None:
        for pid in self.host_pids(system):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    @contextmanager
    def host_away(self, system: str) -> Iterator[None]:
        """Kill a system's host, and stop the next one before it takes orders, for as long as the block runs."""
        before = set(self.host_pids(system))
        self.signal_hosts(signal.SIGKILL, system)
        [pid] = wait_until(
            "the next host", lambda: [pid for pid in self.host_pids(system) if pid not in before], 30, 0.01
        )
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def kill_hub(self, number: int = signal.SIGKILL) -> None:
        self.deployment.hub.signal(number)

    def begin_hub(self) -> None:
        self.deployment.begin_hub()
        self.deployment.wait_for_hub()

    def restart_proxy(self, pause: float = 0.5) -> None:
        """Kill the proxy; who starts it again tells the hub, as `roadstead up` does."""
        self.deployment.proxy.signal()
        time.sleep(pause)
        self.deployment.start_proxy()
        self.tell_of_proxy()

    def tell_of_proxy(self) -> None:
        """Have the hub fill a new proxy."""
        with contextlib.suppress(httpx.TransportError):
            self.deployment.api("POST", "/proxy")

    def kill_outpost(self, pause: float = 0.0) -> None:
        self.outpost.kill()
        time.sleep(pause)
        self.outpost.begin()

    @contextmanager
    def outpost_stopped(self) -> Iterator[None]:
        self.outpost.kill(signal.SIGSTOP)
        try:
            yield
        finally:
            self.outpost.kill(signal.SIGCONT)

    @contextmanager
    def cut(self, *, came: bool = True, goes: bool = True) -> Iterator[None]:
        """The cable drops what goes through it, for as long as the block runs."""
        self.cable.cut(came=came, goes=goes)
        try:
            yield
        finally:
            self.cable.mend()

    @contextmanager
    def unplugged(self) -> Iterator[None]:
        self.cable.pull()
        try:
            yield
        finally:
            self.cable.mend()

    # -- a shared place

    def mend(self) -> None:
        """Bring back whatever a failed test left broken, so that the next one strikes at something whole."""
        self.cable.mend()
        for held in self.holds.iterdir():
            held.unlink()
        self.signal_hosts(signal.SIGCONT)
        if self.outpost.process is not None and self.outpost.process.poll() is None:
            self.outpost.kill(signal.SIGCONT)
        else:
            self.outpost.begin()
        if proxy_is_new := not self.deployment.proxy.alive:
            self.deployment.start_proxy()
        if not self.deployment.hub.alive:
            self.deployment.begin_hub()
        self.deployment.wait_for_hub()
        if proxy_is_new:
            self.tell_of_proxy()

    # -- asking the outpost

    def view(self, attempt: str) -> dict[str, Any]:
        """An attempt as the outpost tells it to the hub; empty when it has none."""
        answer = self.deployment.ask_outpost("GET", f"/servers/{attempt}")
        assert answer.status_code in (200, 404), answer.text
        return dict(answer.json()) if answer.status_code == 200 else {}

    def until(self, attempt: str, *states: str, seconds: float = 40) -> dict[str, Any]:
        """Wait until an attempt is in one of these states."""
        view: dict[str, Any] = {}

        def there() -> bool:
            nonlocal view
            view = self.view(attempt)
            return view.get("state") in states

        try:
            wait_until(f"{attempt} is {' or '.join(states)}", there, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}: {view}\n{self.outpost.log.read_text()[-4000:]}") from None
        return view


@contextmanager
def place(folder: Path) -> Iterator[Place]:
    """A running deployment with an outpost at a site of its own; nothing is left of it afterwards."""
    with cable() as wire:
        made = Place(folder, wire)
        try:
            made.deployment.start()
            yield made
        finally:
            made.cable.mend()
            made.signal_hosts(signal.SIGCONT)
            made.deployment.clean_up()
