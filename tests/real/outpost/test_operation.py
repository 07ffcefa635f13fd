"""What the operator of an outpost does: TLS, PostgreSQL, keys, credentials, and mistakes, each told in a sentence."""

import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from roadstead.outpost.credentials import new_credential
from roadstead.protocol import PROTOCOL_HEADER
from tests.real.outposts import Outpost, local_system, outpost_in


@contextmanager
def created(outpost: Outpost) -> Iterator[Outpost]:
    try:
        yield outpost
    finally:
        outpost.clean_up()


def refusal(outpost: Outpost) -> str:
    """What an outpost says that does not start; it must say it within moments and leave nothing behind."""
    ended = subprocess.run(
        [sys.executable, "-m", "roadstead.outpost", "--config", str(outpost.config)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    return ended.stderr


async def life(outpost: Outpost, user: str = "alice") -> None:
    """A server starts, outlives its outpost, and stops."""
    async with outpost.client() as hub:
        server_id = await hub.start(user)
        await hub.until(server_id, "running")
    outpost.kill()
    outpost.start()
    async with outpost.client() as hub:
        assert (await hub.get(server_id))["state"] == "running"
        await hub.delete(server_id)
        await hub.until(server_id, "ended")
    assert outpost.servers() == {}


async def test_a_ledger_in_postgresql(tmp_path: Path, postgres_url: str) -> None:
    with created(Outpost(tmp_path / "site", ledger_url=postgres_url)) as outpost:
        outpost.start()
        await life(outpost)
        assert not (outpost.state / "ledger.sqlite").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_an_outpost_that_is_told_to_end_does_so_and_leaves_its_servers(
    tmp_path: Path, number: signal.Signals
) -> None:
    with created(Outpost(tmp_path / "site")) as outpost:
        outpost.start()
        host = psutil.Process(outpost.host_pid())
        async with outpost.client() as hub, hub.http.stream("GET", "/api/v1/events"):
            server_id = await hub.start("alice")
            await hub.until(server_id, "running")
            outpost.kill(number)
        assert outpost.process is not None
        assert outpost.process.returncode == 0
        assert "Traceback" not in outpost.log.read_text()
        psutil.wait_procs([host], timeout=5)
        assert not host.is_running()
        assert len(outpost.servers()) == 1


async def test_a_configuration_in_yaml(tmp_path: Path) -> None:
    with created(Outpost(tmp_path / "site")) as outpost:
        token, entry = new_credential()
        outpost.tokens["hub"] = token
        content = {
            "Outpost": {
                "name": "yaml",
                "port": 0,
                "state_folder": str(outpost.state),
                "hubs": {"hub": {"credentials": [entry]}},
                "systems": {"local": local_system(outpost.folder)},
            }
        }
        outpost.config = tmp_path / "site" / "outpost_config.yaml"
        outpost.config.write_text(yaml.safe_dump(content))
        outpost.start()
        await life(outpost)


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "outpost")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "tls.crt", folder / "tls.key"
    certificate_file.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file


async def test_tls(tmp_path: Path) -> None:
    certificate_file, key_file = certificate(tmp_path)
    settings: dict[str, Any] = {"tls_certificate": str(certificate_file), "tls_key": str(key_file)}
    with created(Outpost(tmp_path / "site", **settings)) as outpost:
        outpost.begin()
        assert outpost.url.startswith("https://127.0.0.1:")
        headers = {"Authorization": f"Bearer {outpost.tokens['hub']}", PROTOCOL_HEADER: "1"}
        trusting = ssl.create_default_context(cafile=str(certificate_file))
        async with httpx.AsyncClient(base_url=outpost.url, headers=headers, verify=trusting) as hub:
            assert (await hub.get("/api/v1/info")).json()["hub"] == "hub"
        async with httpx.AsyncClient(base_url=outpost.url) as stranger:
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await stranger.get("/health")


async def test_the_ledger_s_key_can_be_replaced(tmp_path: Path) -> None:
    with created(Outpost(tmp_path / "site")) as outpost:
        outpost.start()
        async with outpost.client() as hub:
            server_id = await hub.start()
            await hub.until(server_id, "running")
        outpost.kill(15)
        before = (outpost.state / "ledger.key").read_text()
        command = [sys.executable, "-m", "roadstead.outpost", "--config", str(outpost.config), "--rotate-key"]
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
        assert "1 rows" in told
        assert (outpost.state / "ledger.key").read_text() != before
        outpost.start()
        async with outpost.client() as hub:
            await hub.delete(server_id)
            await hub.until(server_id, "ended")
        assert outpost.servers() == {}


async def test_a_credential_is_replaced_without_a_pause_and_revoked(tmp_path: Path) -> None:
    token, entry = new_credential()
    with created(Outpost(tmp_path / "site")) as outpost:
        old = outpost.tokens["hub"]
        text = outpost.config.read_text()
        outpost.config.write_text(f"{text}\nc.Outpost.hubs['hub']['credentials'].append({entry!r})\n")
        outpost.begin()
        for one in (old, token):
            outpost.tokens["hub"] = one
            async with outpost.client() as hub:
                assert (await hub.http.get("/api/v1/info")).status_code == 200
        outpost.kill(15)
        outpost.config.write_text(f"{text}\nc.Outpost.hubs['hub']['credentials'] = [{entry!r}]\n")
        outpost.begin()
        outpost.tokens["hub"] = old
        async with outpost.client() as hub:
            assert (await hub.http.get("/api/v1/info")).json()["code"] == "credential-wrong"


def test_mistakes_in_the_configuration_are_told_at_once(tmp_path: Path) -> None:
    outpost = Outpost(tmp_path / "site", port=-1, colour="blue")
    told = refusal(outpost)
    assert "Outpost.port" in told
    assert "Outpost.colour: there is no such setting" in told


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    with closing(socket.socket()) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        told = refusal(Outpost(tmp_path / "site", port=other.getsockname()[1]))
    assert "cannot be used (Address already in use)" in told


def test_a_damaged_ledger_is_told(tmp_path: Path) -> None:
    outpost = Outpost(tmp_path / "site")
    outpost.state.mkdir()
    (outpost.state / "ledger.sqlite").write_bytes(b"no database at all" * 1000)
    assert "Restore it from a backup" in refusal(outpost)


def test_a_key_file_that_others_can_read_is_told(tmp_path: Path) -> None:
    outpost = Outpost(tmp_path / "site")
    outpost.state.mkdir()
    (outpost.state / "ledger.key").touch(mode=0o644)
    (outpost.state / "ledger.key").chmod(0o644)
    assert "chmod 600" in refusal(outpost)


async def test_a_system_that_cannot_work_says_so_and_others_go_on(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    systems = {"local": local_system(folder), "broken": {"spawner_class": "no.such.Spawner"}}
    with created(Outpost(folder, systems=systems)) as outpost:
        outpost.begin()
        outpost.wait_for(lambda: "cannot be used" in outpost.log.read_text())
        async with outpost.client() as hub:
            await hub.until(await hub.start(), "running")
            views = (await hub.http.post("/api/v1/systems", json={"user": {"name": "x"}})).json()["systems"]
            broken = next(view for view in views if view["name"] == "broken")
            assert broken["up"] is False
            assert "no.such.Spawner" in broken["reason"]
            assert httpx.get(f"{outpost.url}/health").json()["status"] == "degraded"


def test_two_outposts_share_no_folder(tmp_path: Path) -> None:
    for outpost in outpost_in(tmp_path / "site"):
        assert "another outpost runs on" in refusal(outpost)
