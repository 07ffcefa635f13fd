"""A real Slurm of this machine: munge, MariaDB, accounting, a controller and four nodes, in a folder, on free ports."""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.real.deployment import free_port

ACCOUNTS: Final = ("roadstead-ada", "roadstead-bo")
NODES: Final = ("c1", "c2", "g1", "g2")
PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"
NO_CHARACTER_DEVICE: Final = (195, 240)


class Daemon:
    """One program of the cluster, as an account, in the foreground."""

    def __init__(self, name: str, command: list[str], cluster: "Cluster", account: str = "root") -> None:
        self.name = name
        self.command = command
        self.cluster = cluster
        self.account = account
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, unless it runs."""
        if self.process is not None and self.process.poll() is None:
            return
        user = pwd.getpwnam(self.account)
        with (self.cluster.folder / f"log/{self.name}.out").open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.cluster.environment,
                user=user.pw_uid,
                group=user.pw_gid,
                extra_groups=[],
                start_new_session=True,
            )

    def signal(self, number: int) -> None:
        """Send a signal and, if it is one that ends, wait for the end."""
        assert self.process is not None
        self.process.send_signal(number)
        if number in (signal.SIGKILL, signal.SIGTERM):
            self.process.wait(30)

    def end(self) -> None:
        """End it for good."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)


class Cluster:
    """The cluster with its accounts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = {name: free_port() for name in ("ctld", "dbd", "sql", *NODES)}
        self.environment = {"PATH": PATH, "SLURM_CONF": str(folder / "etc/slurm.conf")}
        # A node takes signals to processes by their ids, so each has a place of its own for its spool and its id.
        self.munge = Daemon("munged", self._munge(), self, "munge")
        self.sql = Daemon("mariadbd", self._sql(), self, "mysql")
        self.dbd = Daemon("slurmdbd", ["slurmdbd", "-D"], self, "slurm")
        self.ctld = Daemon("slurmctld", ["slurmctld", "-D", "-i"], self, "slurm")
        self.nodes = {name: Daemon(name, ["slurmd", "-D", "-N", name], self) for name in NODES}

    def _munge(self) -> list[str]:
        place = self.folder / "munge"
        files = {"socket": "sock", "key-file": "key", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        return ["munged", "--foreground", *(f"--{option}={place / name}" for option, name in files.items())]

    def _sql(self) -> list[str]:
        place = self.folder
        return [
            *("mariadbd", "--no-defaults", "--user=mysql", f"--datadir={place}/db", f"--socket={place}/run/db.sock"),
            *("--bind-address=127.0.0.1", f"--port={self.port['sql']}", "--innodb-buffer-pool-size=64M"),
            *("--innodb-lock-wait-timeout=900", "--innodb-flush-log-at-trx-commit=0", "--skip-log-bin"),
        ]

    # --- life

    def start(self) -> None:
        """Start everything and wait until all nodes are idle."""
        for name in ("etc", "munge", "db", "log", "run", "state", "spool", "gpu"):
            (self.folder / name).mkdir()
        (self.folder / "log").chmod(0o777)
        (self.folder / "run").chmod(0o777)
        self._write_configuration()
        key = self.folder / "munge/key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        for place, account in (("munge", "munge"), ("munge/key", "munge"), ("db", "mysql"), ("state", "slurm")):
            shutil.chown(self.folder / place, account, account)
        self.munge.start()
        self._start_database()
        self.dbd.start()
        self.wait_for("slurmdbd answers", lambda: not self.fails("sacctmgr", "-n", "show", "cluster"))
        self._make_accounts()
        self.ctld.start()
        for node in self.nodes.values():
            node.start()
        self.wait_for("all nodes are idle", lambda: self.idle() == set(NODES), 60)

    def _start_database(self) -> None:
        install = ["mariadb-install-db", "--no-defaults", "--user=mysql", f"--datadir={self.folder}/db"]
        install += ["--auth-root-authentication-method=socket", "--skip-test-db"]
        subprocess.run(install, check=True, capture_output=True)
        self.sql.start()
        client = ["mariadb", "--no-defaults", f"--socket={self.folder}/run/db.sock", "-e"]
        self.wait_for("the database answers", lambda: not self.fails(*client, "select 1"))
        statements = ["create database slurm"]
        for host in ("127.0.0.1", "localhost"):
            statements += [f"create user slurm@'{host}' identified by 'pw'", f"grant all on slurm.* to slurm@'{host}'"]
        self.run(*client, "; ".join(statements))

    def _make_accounts(self) -> None:
        ada, bo = ACCOUNTS
        for line in (
            "add cluster test",
            "add account proja Description=A Organization=o",
            "add account projb Description=B Organization=o",
            f"add user {ada} Account=proja,projb DefaultAccount=proja",
            f"add user {bo} Account=projb",
        ):
            self.run("sacctmgr", "-i", *line.split())

    def end(self) -> None:
        """End every job and every daemon; nothing of it is left."""
        with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
            for account in ACCOUNTS:
                self.run("scancel", "--user", account)
            self.wait_for("no job is left", lambda: not self.living())
        for daemon in (*self.nodes.values(), self.ctld, self.dbd, self.sql, self.munge):
            daemon.end()

    def repair(self) -> None:
        """End all jobs, and bring back what a test broke."""
        for daemon in (self.munge, self.sql, self.dbd, self.ctld, *self.nodes.values()):
            if daemon.process is not None and daemon.process.poll() is None:
                daemon.process.send_signal(signal.SIGCONT)
            daemon.start()
        self.wait_for("slurmctld answers", lambda: not self.fails("scontrol", "ping"))
        self.open("batch")
        for account in ACCOUNTS:
            self.run("scancel", "--user", account)
        self.wait_for("all nodes are idle", lambda: not self.living() and self.idle() == set(NODES), 60)

    def close(self, partition: str) -> None:
        """Jobs of this partition wait."""
        self.run("scontrol", "update", f"PartitionName={partition}", "State=DOWN")

    def open(self, partition: str) -> None:
        """Jobs of this partition start."""
        self.run("scontrol", "update", f"PartitionName={partition}", "State=UP")

    # --- questions

    def run(self, *command: str, account: str = "") -> str:
        """What a command prints, as root or as an account."""
        user = pwd.getpwnam(account) if account else None
        identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
        home = {"HOME": user.pw_dir, "USER": account} if user else {}
        done = subprocess.run(
            command,
            env=self.environment | home,
            capture_output=True,
            text=True,
            timeout=60,
            cwd="/",
            check=False,
            **identity,  # type: ignore[call-overload]
        )
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
        return str(done.stdout)

    def fails(self, *command: str) -> bool:
        """Whether a command ends with an error, or not soon."""
        try:
            done = subprocess.run(command, env=self.environment, capture_output=True, timeout=10, check=False)
        except subprocess.TimeoutExpired:
            return True
        return done.returncode != 0

    def idle(self) -> set[str]:
        """The nodes on which nothing runs."""
        done = subprocess.run(
            ["sinfo", "-h", "-N", "-t", "idle", "-o", "%N"],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        return set(done.stdout.split())

    def jobs(self, account: str = "", states: str = "all") -> list[dict[str, str]]:
        """What squeue says of an account's jobs."""
        fields = {"id": "%i", "name": "%j", "state": "%T", "user": "%u", "node": "%B", "account": "%a"}
        whose = ["--user", account] if account else []
        text = self.run("squeue", "-h", "-a", f"--states={states}", *whose, "-o", "\x1f".join(fields.values()))
        return [dict(zip(fields, line.split("\x1f"), strict=True)) for line in text.splitlines()]

    def living(self, account: str = "") -> list[dict[str, str]]:
        """An account's jobs that wait or run."""
        over = ("COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "DEADLINE")
        return [job for job in self.jobs(account) if job["state"] not in over]

    def has_saved(self, job: dict[str, str]) -> bool:
        """Whether slurmctld has written a job down, which it does some seconds after it took it."""
        return job["name"].encode() in (self.folder / "state/job_state").read_bytes()

    def wait_for(self, what: str, condition: Callable[[], bool], seconds: float = 30) -> None:
        """Wait until something is so; shows the logs when it never is."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}\n{self._logs()}"
            time.sleep(0.05)

    def _logs(self) -> str:
        return "\n".join(f"== {path.name}\n{path.read_text()[-1500:]}" for path in (self.folder / "log").iterdir())

    # --- configuration

    def _write_configuration(self) -> None:
        host = socket.gethostname().partition(".")[0]
        for number in range(4):
            # Slurm takes device nodes only; these numbers have no driver.
            os.mknod(self.folder / f"gpu/g{number}", 0o666 | 0o020000, os.makedev(*NO_CHARACTER_DEVICE))
        nodes = "\n".join(
            f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={self.port[name]}"
            + (" Gres=gpu:a100:4 Features=a100" if name.startswith("g") else "")
            for name in NODES
        )
        etc = self.folder / "etc"
        (etc / "slurm.conf").write_text(
            f"""ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={self.port["ctld"]}
SlurmUser=slurm
AuthType=auth/munge
AuthInfo=socket={self.folder}/munge/sock
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,batch_sched_delay=0
PriorityType=priority/multifactor
PriorityWeightAge=100
GresTypes=gpu
ReturnToService=2
MessageTimeout=3
SlurmctldTimeout=60
SlurmdTimeout=60
KillWait=2
StateSaveLocation={self.folder}/state
SlurmdSpoolDir={self.folder}/spool/%n
SlurmctldPidFile={self.folder}/run/slurmctld.pid
SlurmdPidFile={self.folder}/run/slurmd.%n.pid
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePass={self.folder}/munge/sock
AccountingStoragePort={self.port["dbd"]}
AccountingStorageEnforce=associations,limits,qos
AccountingStoreFlags=job_script,job_env
EnforcePartLimits=ALL
NodeName=DEFAULT CPUs=8 Boards=1 SocketsPerBoard=1 CoresPerSocket=8 ThreadsPerCore=1 RealMemory=16000 State=UNKNOWN
{nodes}
PartitionName=DEFAULT State=UP DefaultTime=00:10:00 DefMemPerCPU=100
PartitionName=batch Nodes=c[1-2] Default=YES MaxTime=1-00:00:00
PartitionName=gpus Nodes=g[1-2] MaxTime=02:00:00
"""
        )
        (etc / "gres.conf").write_text(f"NodeName=g[1-2] Name=gpu Type=a100 File={self.folder}/gpu/g[0-3]\n")
        (etc / "plugstack.conf").touch()
        accounting = etc / "slurmdbd.conf"
        accounting.write_text(
            f"""DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={self.port["dbd"]}
SlurmUser=slurm
AuthType=auth/munge
AuthInfo=socket={self.folder}/munge/sock
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={self.port["sql"]}
StorageUser=slurm
StoragePass=pw
StorageLoc=slurm
PidFile={self.folder}/run/slurmdbd.pid
CommitDelay=1
"""
        )
        shutil.chown(accounting, "slurm", "slurm")
        accounting.chmod(0o600)


@contextmanager
def accounts() -> Iterator[None]:
    """Real Unix accounts with homes; those that were not there are removed again."""
    made = []
    try:
        for name in ACCOUNTS:
            command = ["/usr/sbin/useradd", "--create-home", "--shell", "/bin/bash", name]
            code = subprocess.run(command, check=False, capture_output=True).returncode
            assert code in (0, 9), "these tests need root to make accounts"
            if code == 0:
                made.append(name)
        yield
    finally:
        for name in made:
            subprocess.run(["/usr/sbin/userdel", "--remove", name], check=False, capture_output=True)


@contextmanager
def slurm() -> Iterator[Cluster]:
    """A cluster that is ended with all it started."""
    folder = Path(tempfile.mkdtemp(prefix="roadstead-slurm-"))
    folder.chmod(0o755)
    with accounts():
        cluster = Cluster(folder)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.end()
            shutil.rmtree(folder, ignore_errors=True)
