"""A real dockerd in a network namespace of its own, with an image that needs no registry: using this machine's /usr."""

import contextlib
import io
import re
import shutil
import socket
import subprocess
import tarfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker

IMAGE = "roadstead-test:1"
_LINKS = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}
_PROGRAM = "/usr/bin/true"


@dataclass
class DockerDaemon:
    """A running daemon; `enter` is the prefix of a command that runs in its network."""

    namespace: str
    socket: str
    process: subprocess.Popen[bytes]
    client: Any

    @property
    def enter(self) -> tuple[str, ...]:
        return ("nsenter", f"--net=/run/netns/{self.namespace}")

    @property
    def environment(self) -> dict[str, str]:
        return {"DOCKER_HOST": self.socket}

    def containers(self) -> dict[str, str]:
        """Names and states of all containers."""
        found = self.client.containers(all=True)
        return {each["Names"][0].lstrip("/"): each["State"] for each in found}

    def fetch(self, url: str) -> str:
        """Ask a server in the daemon's network."""
        program = f"import urllib.request; print(urllib.request.urlopen({url!r}, timeout=5).read().decode().strip())"
        deadline = time.monotonic() + 15
        while True:
            command = [*self.enter, "/usr/bin/python3", "-c", program]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            if done.returncode == 0:
                return done.stdout.strip()
            assert time.monotonic() < deadline, done.stderr
            time.sleep(0.2)


@contextlib.contextmanager
def docker_daemon(folder: Path) -> Iterator[DockerDaemon]:
    """Start a daemon and end it, with everything that it made, afterwards."""
    assert shutil.which("dockerd", path="/usr/sbin:/usr/bin:/usr/local/bin"), "install docker.io for these tests"
    namespace = f"roadstead-{uuid.uuid4().hex[:8]}"
    subprocess.run(["ip", "netns", "add", namespace], check=True)
    try:
        subprocess.run(["ip", "-n", namespace, "link", "set", "lo", "up"], check=True)
        with (folder / "dockerd.log").open("wb") as log:
            process = subprocess.Popen(
                [
                    *("nsenter", f"--net=/run/netns/{namespace}", "dockerd", "--userland-proxy=false"),
                    *("-H", f"unix://{folder}/docker.sock", "--data-root", str(folder / "data")),
                    *("--exec-root", str(folder / "exec"), "--pidfile", str(folder / "pid")),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        daemon = DockerDaemon(namespace, f"unix://{folder}/docker.sock", process, None)
        try:
            daemon.client = _connect(daemon, folder / "dockerd.log")
            daemon.client.import_image_from_data(
                _image(), *IMAGE.split(":"), changes=[f"CMD {_command()}".replace("'", '"')]
            )
            yield daemon
        finally:
            _end(daemon)
    finally:
        subprocess.run(["ip", "netns", "delete", namespace], check=True)


def _connect(daemon: DockerDaemon, log: Path) -> Any:
    deadline = time.monotonic() + 30
    while True:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as sock:
            sock.connect(daemon.socket.removeprefix("unix://"))
            sock.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            if b" 200 " in sock.recv(100):
                return docker.APIClient(base_url=daemon.socket, version="auto", timeout=20)
        assert daemon.process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def _end(daemon: DockerDaemon) -> None:
    if daemon.client:
        with contextlib.suppress(docker.errors.APIError):
            for container in daemon.client.containers(all=True):
                daemon.client.remove_container(container["Id"], force=True)
        daemon.client.close()
    daemon.process.terminate()
    try:
        daemon.process.wait(20)
    except subprocess.TimeoutExpired:
        daemon.process.kill()
        daemon.process.wait()


def _libraries() -> list[Path]:
    """The program that does nothing, its loader and its libraries."""
    listed = subprocess.run(["ldd", _PROGRAM], check=True, capture_output=True, text=True).stdout
    return [Path(_PROGRAM), *(Path(path) for path in re.findall(r"(/\S+) \(0x", listed))]


def _command() -> list[str]:
    loader = next(path.name for path in _libraries() if path.name.startswith("ld-"))
    return [f"/alone/{loader}", "--library-path", "/alone", "/alone/true"]


def _image() -> bytes:
    """A file system of links into /usr, which servers get mounted; in /alone is a program that needs nothing else."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name in ("usr", "etc", "tmp", "certs", "alone"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        for name, target in _LINKS.items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
        for path in _libraries():
            archive.add(path.resolve(), f"alone/{path.name}")
    return data.getvalue()
