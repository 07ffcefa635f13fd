"""Servers of real Unix accounts, with real certificates, and a real jupyterhub-singleuser."""

import pwd
import shutil
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from certipy import Certipy  # type: ignore[import-untyped]

from roadstead.protocol.host import Ended, Start, StartFailed
from roadstead.protocol.servers import Certificates
from tests.real.outpost.host.driver import (
    TINY,
    configuration,
    environment_of,
    job,
    processes_of,
    running,
)

ACCOUNT = "roadstead-sailor"
PYTHON = "/usr/bin/python3"


@pytest.fixture(scope="module")
def sailor() -> Iterator[pwd.struct_passwd]:
    """A real account with a home, made and removed again unless it was there."""
    made = subprocess.run(["/usr/sbin/useradd", "--create-home", "--shell", "/bin/bash", ACCOUNT], check=False)
    assert made.returncode in (0, 9), "these tests need root to make an account"
    yield pwd.getpwnam(ACCOUNT)
    if made.returncode == 0:
        subprocess.run(["/usr/sbin/userdel", "--remove", ACCOUNT], check=True, capture_output=True)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The hub's and the servers' certificates as JupyterHub makes them."""
    folder = tmp_path_factory.mktemp("internal-ssl")
    certipy = Certipy(store_dir=str(folder))
    certipy.trust_from_graph({"hub-ca": ["notebooks-ca"], "notebooks-ca": ["hub-ca"]})
    certipy.create_signed_pair("hub", "hub-ca", alt_names=["DNS:localhost", "IP:127.0.0.1"])
    certipy.create_signed_pair("server", "notebooks-ca", alt_names=["DNS:localhost", "IP:127.0.0.1"])
    return folder


def certificates(folder: Path) -> Certificates:
    return Certificates(
        keyfile=(folder / "server/server.key").read_text(),
        certfile=(folder / "server/server.crt").read_text(),
        cafile=(folder / "notebooks-ca_trust.crt").read_text(),
        trust_bundles={"hub-ca": (folder / "hub-ca_trust.crt").read_text()},
    )


async def fetch(url: str, folder: Path) -> str:
    """Asks the server as the hub does: with the hub's own certificate, and sure of the server's."""
    context = ssl.create_default_context(cafile=str(folder / "hub-ca_trust.crt"))
    context.load_cert_chain(str(folder / "hub/hub.crt"), str(folder / "hub/hub.key"))
    async with httpx.AsyncClient(
        verify=context, transport=httpx.AsyncHTTPTransport(retries=20, verify=context)
    ) as client:
        return (await client.get(url)).text


async def test_a_server_runs_as_its_own_account(tmp_path: Path, sailor: pwd.struct_passwd) -> None:
    shutil.copy(TINY[1], f"{sailor.pw_dir}/server.py")
    config = configuration(
        tmp_path, f"c.Spawner.cmd = [{PYTHON!r}, '{sailor.pw_dir}/server.py']", spawner_class="localprocess"
    )
    async with running(config) as host:
        started = await host.start(job(user=ACCOUNT))
        [pid] = processes_of("north:1")
        assert Path(f"/proc/{pid}").stat().st_uid == sailor.pw_uid
        env = environment_of(pid)
        assert (env["HOME"], env["USER"]) == (sailor.pw_dir, ACCOUNT)
        await host.kill()
    async with running(config) as host:
        order = job(user=ACCOUNT, state=started.state)
        await host.resume(order)
        assert not [report for report in await host.quiet(1) if isinstance(report, Ended)]
        await host.stop(order)
        assert processes_of("north:1") == []
        host.order(Start(job=job("north:2", user="roadstead-nobody")))
        assert "roadstead-nobody" in (await host.expect(StartFailed)).message


async def test_certificates_are_private_used_and_removed(
    tmp_path: Path, sailor: pwd.struct_passwd, authority: Path
) -> None:
    shutil.copy(Path(__file__).with_name("tls_server.py"), f"{sailor.pw_dir}/tls_server.py")
    config = configuration(
        tmp_path, f"c.Spawner.cmd = [{PYTHON!r}, '{sailor.pw_dir}/tls_server.py']", spawner_class="localprocess"
    )
    order = job(user=ACCOUNT, certificates=certificates(authority))
    async with running(config) as host:
        started = await host.start(order)
        assert started.url.startswith("https://127.0.0.1:")
        assert await fetch(started.url, authority) == f"{ACCOUNT} as {sailor.pw_uid}"
        with pytest.raises((httpx.TransportError, ssl.SSLError)):
            httpx.get(started.url, verify=ssl.create_default_context(cafile=str(authority / "hub-ca_trust.crt")))
        env = environment_of(int(str(started.state["pid"])))
        key = Path(env["JUPYTERHUB_SSL_KEYFILE"])
        assert key.is_relative_to(sailor.pw_dir)
        assert key.stat().st_uid == sailor.pw_uid
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        [folder] = (tmp_path / "host-test.lock.certificates").iterdir()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
        await host.stop(order)
        assert not folder.exists()


async def test_certificates_stay_where_the_class_leaves_them(tmp_path: Path, authority: Path) -> None:
    text = f"c.Spawner.cmd = [{PYTHON!r}, '{Path(__file__).with_name('tls_server.py')}']"
    order = job(certificates=certificates(authority))
    config = configuration(tmp_path, text)
    async with running(config) as host:
        started = await host.start(order)
        assert await fetch(started.url, authority) == "alice as 0"
        await host.kill()
    async with running(config) as host:
        assert len(list((tmp_path / "host-test.lock.certificates").iterdir())) == 1
        later = order.model_copy(update={"state": started.state})
        await host.resume(later)
        assert await fetch(started.url, authority) == "alice as 0"
        await host.stop(later)
        assert list((tmp_path / "host-test.lock.certificates").iterdir()) == []


async def test_a_real_single_user_server_starts_and_ends(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("jupyterhub-singleuser")
    config = configuration(tmp_path, f"c.Spawner.cmd = [{str(program)!r}, '--version']")
    async with running(config) as host:
        await host.start(job())
        assert (await host.expect(Ended, seconds=60)).exit_code == 0
