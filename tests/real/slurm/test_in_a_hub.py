"""The Spawner class directly in a vanilla JupyterHub, without an outpost."""

import contextlib
import json
import secrets
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from roadstead.up.proxy_program import find_proxy
from tests.real.deployment import ROOT, Process, free_port, wait_until
from tests.real.slurm.cluster import Cluster
from tests.real.slurm.systems import ADA, spawner_config


class VanillaHub:
    """A hub that knows nothing of Roadstead but the class of its Spawner."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{free_port()}"
        self.token = secrets.token_hex(16)
        hub_port = free_port()
        self.api_url = f"http://127.0.0.1:{hub_port}/hub/api"
        config = folder / "jupyterhub_config.py"
        settings = "\n".join(f"c.SlurmSpawner.{name} = {value!r}" for name, value in spawner_config(cluster).items())
        admin = {"name": "test", "services": ["test"], "scopes": ["admin:users", "admin:servers", "admin:server_state"]}
        config.write_text(
            f"""c = get_config()
c.JupyterHub.spawner_class = "roadstead.spawners.SlurmSpawner"
{settings}
c.SlurmSpawner.start_timeout = 300
c.JupyterHub.bind_url = {self.url!r}
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{hub_port}"
c.JupyterHub.db_url = "sqlite:///{folder}/jupyterhub.sqlite"
c.JupyterHub.cookie_secret_file = "{folder}/cookie_secret"
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.cleanup_servers = False
c.JupyterHub.init_spawners_timeout = 1
c.ConfigurableHTTPProxy.command = {find_proxy(ROOT)!r}
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{free_port()}"
c.ConfigurableHTTPProxy.auth_token = {secrets.token_hex(16)!r}
c.JupyterHub.services = [{{"name": "test", "api_token": {self.token!r}}}]
c.JupyterHub.load_roles = [{admin!r}]
c.JupyterHub.tornado_settings = {{"slow_spawn_timeout": 0}}
"""
        )
        environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(folder)}
        self.process = Process("hub", [sys.executable, "-m", "jupyterhub", "-f", str(config)], folder, environment)

    def start(self) -> None:
        self.process.begin()
        wait_until("the hub answers", self._answers, 60)

    def _answers(self) -> bool:
        assert self.process.alive, self.process.said()
        try:
            return self.api("GET", "/").status_code == 200
        except httpx.TransportError:
            return False

    def api(self, method: str, path: str) -> httpx.Response:
        headers = {"Authorization": f"token {self.token}"}
        return httpx.request(method, f"{self.api_url}{path}", headers=headers, trust_env=False, timeout=60)

    def server(self, user: str) -> dict[str, Any] | None:
        servers = self.api("GET", f"/users/{user}").json()["servers"]
        return dict(servers[""]) if "" in servers else None

    def progress(self, user: str) -> list[str]:
        """What the user is told while the server starts, to its end."""
        headers = {"Authorization": f"token {self.token}"}
        url = f"{self.api_url}/users/{user}/server/progress"
        with httpx.stream("GET", url, headers=headers, trust_env=False, timeout=60) as stream:
            lines = [line.removeprefix("data: ") for line in stream.iter_lines() if line.startswith("data: ")]
        return [json.loads(line)["message"] for line in lines]

    def reach(self, user: str) -> bool:
        try:
            answer = httpx.get(f"{self.url}/user/{user}/", trust_env=False)
        except httpx.TransportError:
            return False
        return answer.status_code == 200 and answer.text.strip() == f"{user}/"

    def clean_up(self) -> None:
        self.process.clean_up()
        pid_file = self.folder / "jupyterhub-proxy.pid"
        if pid_file.exists():
            with contextlib.suppress(psutil.NoSuchProcess):
                psutil.Process(int(pid_file.read_text().splitlines()[0])).kill()


@pytest.fixture
def hub(cluster: Cluster, tmp_path: Path) -> Iterator[VanillaHub]:
    made = VanillaHub(tmp_path, cluster)
    made.start()
    yield made
    made.clean_up()


def test_a_server_from_start_to_end(cluster: Cluster, hub: VanillaHub) -> None:
    hub.api("POST", f"/users/{ADA}")
    assert hub.api("POST", f"/users/{ADA}/server").status_code in (201, 202)
    told = hub.progress(ADA)
    wait_until("the server answers", lambda: hub.reach(ADA))
    [job] = cluster.living()
    assert f"Job {job['id']} is submitted." in told
    hub.api("DELETE", f"/users/{ADA}/server")
    wait_until("the job is gone", lambda: not cluster.living())


def test_a_job_that_waits_survives_a_restart_of_the_hub(cluster: Cluster, hub: VanillaHub) -> None:
    cluster.close("batch")
    hub.api("POST", f"/users/{ADA}")
    hub.api("POST", f"/users/{ADA}/server")
    wait_until("the job waits", lambda: bool(cluster.living()))
    [job] = cluster.living()
    hub.process.signal(signal.SIGKILL)
    hub.start()
    cluster.open("batch")
    wait_until("the server answers", lambda: hub.reach(ADA), 60)
    assert [each["id"] for each in cluster.living()] == [job["id"]]
    assert "appears to have stopped" not in hub.process.said(1_000_000)
    hub.api("DELETE", f"/users/{ADA}/server")
    wait_until("the job is gone", lambda: not cluster.living())


def test_a_running_server_survives_a_restart_of_the_hub(cluster: Cluster, hub: VanillaHub) -> None:
    hub.api("POST", f"/users/{ADA}")
    hub.api("POST", f"/users/{ADA}/server")
    wait_until("the server answers", lambda: hub.reach(ADA))
    [job] = cluster.living()
    hub.process.signal(signal.SIGKILL)
    hub.start()
    wait_until("the server answers", lambda: hub.reach(ADA), 60)
    assert [each["id"] for each in cluster.living()] == [job["id"]]
