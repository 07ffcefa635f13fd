"""An unmodified DockerSpawner against a real dockerd, for two hubs."""

import asyncio
import io
import signal
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from roadstead.protocol.host import Ended, Resume, Resumed, Start, StartFailed
from tests.real.outpost.host.docker_daemon import IMAGE, DockerDaemon, docker_daemon
from tests.real.outpost.host.driver import TINY, TOKEN, configuration, job, running, until
from tests.real.outpost.host.test_accounts import authority, certificates

__all__ = ["authority"]

HUB_CONFIG = {hub: {"DockerSpawner": {"prefix": hub}} for hub in ("north", "south")}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerDaemon]:
    with docker_daemon(tmp_path_factory.mktemp("docker")) as running_daemon:
        yield running_daemon


@pytest.fixture(autouse=True)
def no_containers(daemon: DockerDaemon) -> Iterator[None]:
    yield
    for container in daemon.client.containers(all=True):
        daemon.client.remove_container(container["Id"], force=True)


def docker_configuration(folder: Path, **settings: Any) -> Path:
    spawner = {
        "image": IMAGE,
        "cmd": ["/usr/bin/python3", "/programs/tiny_server.py"],
        "read_only_volumes": {"/usr": "/usr", str(Path(TINY[1]).parent): "/programs"},
        "volumes": {"{prefix}-home-{username}": "/home"},
        "use_internal_ip": True,
        "move_certs_image": IMAGE,
        # A first process without a handler is deaf for SIGTERM.
        "extra_create_kwargs": {"stop_signal": "SIGINT"},
    }
    return configuration(
        folder,
        hubs=("north", "south"),
        spawner_class="docker",
        config={"DockerSpawner": spawner | settings},
        hub_config=HUB_CONFIG,
        stop_timeout=30,
    )


async def test_two_hubs_users_of_the_same_name_have_their_own_containers(tmp_path: Path, daemon: DockerDaemon) -> None:
    config = docker_configuration(tmp_path, remove=True)
    async with running(config, env=daemon.environment, prefix=daemon.enter) as host:
        north = await host.start(job("north:1", server_name="lab"), seconds=60)
        south = await host.start(job("south:1", server_name="lab"), seconds=60)
        assert daemon.containers() == {"north-alice--lab": "running", "south-alice--lab": "running"}
        assert await asyncio.to_thread(daemon.fetch, north.url) == "alice/lab"
        assert north.state["object_name"] == "north-alice--lab"
        assert north.api_token is None
        volumes = {volume["Name"] for volume in daemon.client.volumes()["Volumes"]}
        assert {"north-home-alice", "south-home-alice"} <= volumes
        assert await host.quiet(1.5) == []

        daemon.client.kill("north-alice--lab")
        assert (await host.expect(Ended, seconds=30)).key == "north:1"
        await host.stop(job("south:1", server_name="lab", state=south.state), seconds=60)
        await until(lambda: daemon.containers() == {})


async def test_a_container_is_taken_up_by_the_next_host_and_started_once(tmp_path: Path, daemon: DockerDaemon) -> None:
    config = docker_configuration(tmp_path, remove=True)
    options: dict[str, Any] = {"env": daemon.environment, "prefix": daemon.enter}
    async with running(config, **options) as host:
        started = await host.start(job(), seconds=60)
        await host.kill()
    async with running(config, **options) as host:
        host.order(Resume(job=job(state=started.state)))
        await host.expect(Resumed)
        assert not [report for report in await host.quiet(1.5) if isinstance(report, Ended)]
        await host.kill()
    async with running(config, **options) as host:
        again = await host.start(job(), again=True, seconds=60)
        assert daemon.containers() == {"north-alice": "running"}
        assert again.state["object_id"] != started.state["object_id"]
        daemon.client.kill("north-alice", signal="KILL")
        await host.expect(Ended, seconds=30)


async def test_a_kept_container_is_resumed_with_its_own_token(tmp_path: Path, daemon: DockerDaemon) -> None:
    config = docker_configuration(tmp_path, remove=False)
    async with running(config, env=daemon.environment, prefix=daemon.enter) as host:
        first = await host.start(job(), seconds=60)
        assert first.api_token is None
        await host.stop(job(), seconds=60)
        assert daemon.containers() == {"north-alice": "exited"}
        later = job("north:2", environment={"JUPYTERHUB_API_TOKEN": "a-newer-token", "JPY_API_TOKEN": "a-newer-token"})
        second = await host.start(later, seconds=60)
        assert second.api_token == TOKEN
        assert second.state["object_id"] == first.state["object_id"]
        daemon.client.kill("north-alice")
        ended = await host.expect(Ended, seconds=30)
        assert ended.exit_code == 137


async def test_names_that_differ_in_case_only_do_not_share_a_container(tmp_path: Path, daemon: DockerDaemon) -> None:
    config = docker_configuration(tmp_path, remove=True)
    async with running(config, env=daemon.environment, prefix=daemon.enter) as host:
        await host.start(job("north:1", server_name="lab"), seconds=60)
        host.order(Start(job=job("north:2", server_name="Lab")))
        failed = await host.expect(StartFailed)
        assert "Another server of this system has the container 'north-alice--lab' already" in failed.message
        assert daemon.containers() == {"north-alice--lab": "running"}
        await host.stop(job("north:1", server_name="lab"), seconds=60)
        await host.start(job("north:3", server_name="Lab"), seconds=60)
        await host.stop(job("north:3", server_name="Lab"), seconds=60)


async def test_a_silent_daemon_ends_no_server(tmp_path: Path, daemon: DockerDaemon) -> None:
    config = docker_configuration(tmp_path, remove=True)
    async with running(config, env=daemon.environment, prefix=daemon.enter) as host:
        await host.start(job(), seconds=60)
        daemon.process.send_signal(signal.SIGSTOP)
        try:
            began = time.monotonic()
            assert not [report for report in await host.quiet(4) if isinstance(report, Ended)]
            assert (await host.ping(2)).oldest_poll > 3
            assert time.monotonic() - began < 8
        finally:
            daemon.process.send_signal(signal.SIGCONT)
        await until(lambda: daemon.containers() == {"north-alice": "running"})
        await host.stop(job(), seconds=60)


async def test_certificates_reach_the_container(tmp_path: Path, daemon: DockerDaemon, authority: Path) -> None:
    config = docker_configuration(tmp_path, remove=True, use_internal_hostname=False)
    order = job(certificates=certificates(authority))
    async with running(config, env=daemon.environment, prefix=daemon.enter) as host:
        started = await host.start(order, seconds=60)
        assert started.url.startswith("https://172.")
        details = daemon.client.inspect_container("north-alice")["Config"]["Env"]
        env = dict(line.split("=", 1) for line in details)
        stream, _ = daemon.client.get_archive("north-alice", env["JUPYTERHUB_SSL_KEYFILE"])
        with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
            [member] = archive.getmembers()
            content = archive.extractfile(member)
            assert content is not None
            assert order.request.certificates is not None
            assert content.read().decode() == order.request.certificates.keyfile
        await host.stop(order, seconds=60)
