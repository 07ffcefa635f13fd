"""A real PostgreSQL server of its own, as an ordinary user, on a free port of loopback."""

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def _programs() -> Path:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    assert folders, "PostgreSQL is not installed; 'make test' installs it"
    return folders[-1]


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Its address as `postgresql://...`, with an empty database."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data, programs = folder / "data", _programs()
    folder.mkdir(parents=True, exist_ok=True)
    account = pwd.getpwnam("postgres") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    if os.geteuid() == 0:
        shutil.chown(folder, account.pw_uid, account.pw_gid)

    def run(program: str, *arguments: str) -> None:
        subprocess.run(
            [programs / program, "-D", data, *arguments],
            check=True,
            user=account.pw_uid,
            group=account.pw_gid,
            extra_groups=[],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        )

    run("initdb", "-A", "trust", "-U", "postgres", "--no-sync")
    with (data / "postgresql.conf").open("a") as settings:
        settings.write(f"listen_addresses='127.0.0.1'\nport={port}\nunix_socket_directories='{folder}'\nfsync=off\n")
    run("pg_ctl", "-w", "-s", "-l", str(folder / "log"), "start")
    try:
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    finally:
        run("pg_ctl", "-m", "immediate", "-s", "stop")
