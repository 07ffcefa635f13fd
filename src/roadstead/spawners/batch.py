"""The part of a batch Spawner that is the same for all schedulers: settings, state, and the life of one server.

It is a vanilla JupyterHub Spawner, for a hub as for an outpost. What it starts is found again by the job's name, which
is in its state before anything is submitted; so a job that waits outlives the process that submitted it.
"""

import asyncio
import hashlib
import hmac
import math
import secrets
import shlex
from collections.abc import AsyncGenerator
from pathlib import PurePosixPath
from typing import Any, ClassVar

from jupyterhub.spawner import Spawner
from sqlalchemy.orm import object_session
from traitlets import Bool, Dict, Enum, Float, Integer, Tuple, Unicode, default

from ..runners import LocalRunner, Runner, SudoRunner, WithVariables
from .driver import Driver, RefusedError
from .folder import Staged
from .jobs import JobRequest
from .poller import Poller
from .reports import ReportDesk
from .script import TEMPLATE, Shell, render
from .server_job import EndedError, Memory, ServerJob, Site
from .values import Label, Word


class StartError(Exception):
    """A server cannot be started; the text is for the user."""

    @property
    def jupyterhub_message(self) -> str:
        """What JupyterHub shows."""
        return str(self)


class BatchSpawner(Spawner):  # type: ignore[misc]
    """Starts servers as jobs. It is abstract: a scheduler's Spawner says which driver it uses."""

    follows_attempts: ClassVar[bool] = True
    """To an outpost: start() takes up what an earlier start() of the same attempt began."""
    attempt_key = ""
    """Set by an outpost before anything else: the job's name follows from it."""

    req_username = Word(help="The account at the site; the user's name at the hub if not set.").tag(config=True)
    req_partition = Word(help="The partition, or queue.").tag(config=True)
    req_queue = Word(help="Another name for `req_partition`, which wins.").tag(config=True)
    req_account = Word(help="The account that pays.").tag(config=True)
    req_runtime = Word(help="How long the job may run, such as `8:00:00`.").tag(config=True)
    req_memory = Word(help="Memory, such as `4G`; `mem_limit` if not set.").tag(config=True)
    req_nprocs = Word(help="Cores; `cpu_limit` if not set.").tag(config=True)
    req_ngpus = Word(help="GPUs.").tag(config=True)
    req_options = Unicode(help="More options of the submit command, as one would write them.").tag(config=True)
    req_prologue = Unicode(help="Shell commands before the server, such as `module load python`.").tag(config=True)
    req_epilogue = Unicode(help="Shell commands after the server.").tag(config=True)
    start_script = Unicode(
        help="A script of the user that sets up the environment, such as `.jupyterlabrc`; relative to the home."
    ).tag(config=True)
    batch_script = Unicode(
        TEMPLATE,
        help="The template of the batch script, in Jinja. Values are quoted for the shell when they are inserted.",
    ).tag(config=True)

    act_as = Enum(
        ("service", "sudo"),
        "sudo",
        help="Who submits and cancels: the user by `sudo`, or the account of this service for all users.",
    ).tag(config=True)
    query_as = Enum(
        ("service", "user"),
        "service",
        help="Who asks for the state of jobs: `user` where the scheduler shows people their own jobs only.",
    ).tag(config=True)
    scheduler_environment = Dict(
        key_trait=Unicode(),
        value_trait=Unicode(),
        help="Variables for the scheduler's commands. With `sudo` its rule must have SETENV then.",
    ).tag(config=True)
    job_name_prefix = Label("jupyterhub", help="What the names of jobs begin with.").tag(config=True)
    python = Unicode(
        "/usr/bin/python3", help="A Python from 3.6 on, at the submitting host and on the nodes, for the start wrapper."
    ).tag(config=True)
    port_range = Tuple(
        Integer(min=0, max=65_535),
        Integer(min=0, max=65_535),
        default_value=(0, 0),
        help="The first and last port that servers may use on nodes, for firewalls; (0, 0) is any.",
    ).tag(config=True)
    hand_over_socket = Bool(
        False, help="Give the server a listening socket as descriptor 3 (LISTEN_FDS), if it takes one."
    ).tag(config=True)
    node_address = Unicode(
        help="How a node is reached, such as `{node}.cluster.example`; asked of the scheduler if not set."
    ).tag(config=True)
    report_url = Unicode(
        help="Where jobs reach this process, such as `http://login1:8770/`. If not set, they only leave a file."
    ).tag(config=True)
    report_ip = Unicode("0.0.0.0", help="The address on which reports are taken.").tag(config=True)  # noqa: S104
    report_port = Integer(8770, min=1, max=65_535, help="The port on which reports are taken.").tag(config=True)
    keep_days = Float(7.0, min=0.0, help="Days for which a job's folder with its log is kept.").tag(config=True)

    _pollers: ClassVar[dict[tuple[Any, ...], Poller]] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._memory: Memory | None = None
        self._job: ServerJob | None = None
        self._lines: list[dict[str, Any]] = []
        self._said = asyncio.Event()
        super().__init__(*args, **kwargs)

    @default("ip")
    def _on_all_interfaces(self) -> str:
        return "0.0.0.0"  # noqa: S104 - of the node, where JupyterHub's own login guards the server

    @default("env_keep")
    def _nothing_of_this_machine(self) -> list[str]:
        return []

    # --- for a scheduler's class

    def make_driver(self) -> Driver:
        """The driver of this class's scheduler."""
        raise NotImplementedError

    def request(self, staged: Staged) -> JobRequest:
        """What is asked of the scheduler. A class adds what only its scheduler knows."""
        memory = f"{math.ceil(self.mem_limit / 2**20)}M" if self.mem_limit else ""
        cores = str(math.ceil(self.cpu_limit)) if self.cpu_limit else ""
        return JobRequest(
            name=self._own_memory.name,
            script=self.script(staged),
            folder=staged.home,
            log=f"{staged.folder}/log",
            partition=self.req_partition or self.req_queue,
            account=self.req_account,
            runtime=self.req_runtime,
            memory=self.req_memory or memory,
            cores=self.req_nprocs or cores,
            gpus=self.req_ngpus,
            options=tuple(shlex.split(self.req_options)),
        )

    def launcher(self) -> list[str]:
        """What begins the server's command in the job."""
        return []

    def script_values(self) -> dict[str, Any]:
        """What the template can use beside what every scheduler has. A class adds its own."""
        return {}

    # --- the script

    def script(self, staged: Staged) -> str:
        """The batch script of this server. Raises RefusedError."""
        folder = staged.folder
        wrapper = (self.python, "-I", f"{folder}/start.py")
        values = {
            "run": Shell.of_words(*self.launcher(), *wrapper, "run", folder),
            "note": Shell.of_words(*wrapper, "note", folder),
            "prologue": Shell(self.req_prologue),
            "epilogue": Shell(self.req_epilogue),
            "start_script": str(PurePosixPath(staged.home, self.start_script)) if self.start_script else "",
            "username": self._account,
            "server_name": self.name,
            "folder": folder,
            "partition": self.req_partition or self.req_queue,
            "account": self.req_account,
            "runtime": self.req_runtime,
            "memory": self.req_memory,
            "nprocs": self.req_nprocs,
            "ngpus": self.req_ngpus,
        }
        return render(self.batch_script, values | self.script_values())

    def _start_file(self) -> dict[str, Any]:
        """What the start wrapper needs, for the eyes of the job's user alone."""
        memory, (first, last) = self._own_memory, self.port_range
        return {
            "name": memory.name,
            "secret": memory.secret,
            "command": [*self.cmd, *self.get_args()],
            "environment": {name: str(value) for name, value in self.get_env().items()},
            "ip": self.ip,
            "first_port": first,
            "last_port": last,
            "hand_over": self.hand_over_socket,
            "report_url": self.report_url,
        }

    # --- who acts

    @property
    def _account(self) -> str:
        return self.req_username or str(self.user.name)

    @property
    def _own_memory(self) -> Memory:
        assert self._memory is not None
        return self._memory

    def _site(self) -> Site:
        service: Runner = WithVariables(self.scheduler_environment, LocalRunner())
        user = service
        try:
            if self.act_as == "sudo":
                user = WithVariables(self.scheduler_environment, SudoRunner(self._account, LocalRunner()))
        except ValueError as error:
            raise StartError(str(error)) from error
        return Site(
            driver=self.make_driver(),
            poller=self._poller(user if self.query_as == "user" else service),
            service=service,
            user=user,
            python=self.python,
            keep_days=self.keep_days,
            node_address=self.node_address,
            reports=bool(self.report_url),
        )

    def _poller(self, runner: Runner) -> Poller:
        """The one for all servers of this process that ask the same scheduler as the same account."""
        asks_for = self._account if self.query_as == "user" else ""
        variables = tuple(sorted(self.scheduler_environment.items()))
        driver = self.make_driver()
        key = (asyncio.get_running_loop(), driver.name, driver.cluster, asks_for, variables)
        if key not in self._pollers:
            self._pollers[key] = Poller(driver, runner)
        return self._pollers[key]

    def _server_job(self) -> ServerJob:
        if self._job is None:
            self._job = ServerJob(self._own_memory, self._site(), self._say, self._remember)
        return self._job

    # --- what a Spawner does

    async def start(self) -> tuple[str, int]:
        """Submit a job, or take up the one that an earlier start of this attempt submitted; where it listens."""
        self._lines.clear()
        if self.internal_ssl:
            raise StartError("Batch jobs cannot have the hub's internal certificates yet; switch internal_ssl off.")
        try:
            may_exist = self._remember_name()
            job = self._server_job()
            self._listen_for_reports(job)
            if not (may_exist and await job.find()):
                await job.submit(self._start_file(), self.request)
            return await job.address()
        except RefusedError as error:
            self.clear_state()
            raise StartError(str(error)) from error
        except EndedError as error:
            raise StartError(str(error)) from error

    def _remember_name(self) -> bool:
        """Write the job's name down before there is a job. True when there may be one already."""
        if self._memory is not None:
            return True
        digest = hashlib.blake2b(self.attempt_key.encode(), digest_size=10).hexdigest()
        name = f"{self.job_name_prefix}-{digest if self.attempt_key else secrets.token_hex(10)}"
        # From the token, so that it is the same again where the state was lost.
        secret = hmac.new((self.api_token or secrets.token_hex()).encode(), name.encode(), hashlib.sha256).hexdigest()
        self._memory = Memory(name=name, secret=secret)
        self._remember()
        return bool(self.attempt_key)

    def _listen_for_reports(self, job: ServerJob) -> None:
        if not self.report_url:
            return
        try:
            ReportDesk.at(self.report_ip, self.report_port).expect(self._own_memory.name, job.hear)
        except OSError as error:
            raise StartError(
                f"Reports of jobs cannot be taken on {self.report_ip}:{self.report_port}: {error.strerror}. "
                "Give each system a report_port of its own."
            ) from error

    async def poll(self) -> int | None:
        """None while the job waits or runs, and while that is not known; else its exit code."""
        if self._memory is None and not self._remember_attempt():
            return 0
        return await self._server_job().exit_code()

    @property
    def end_message(self) -> str:
        """To an outpost: how the job ended, in a sentence; empty while it did not."""
        return self._job.end.message if self._job and self._job.end else ""

    async def stop(self, now: bool = False) -> None:  # noqa: ARG002
        """Cancel the job until it is known to be gone."""
        if self._memory is not None or self._remember_attempt():
            await self._server_job().stop()

    def _remember_attempt(self) -> bool:
        """An outpost lost our state, but the job's name follows from the attempt."""
        return bool(self.attempt_key) and self._remember_name()

    async def get_url(self) -> str:
        """Where the server is; of a job that waited when the hub was restarted, once it listens."""
        if self._memory is not None and not self._memory.port:
            try:
                self._listen_for_reports(self._server_job())
                await self._server_job().address()
            except (EndedError, StartError) as error:
                self.log.warning("%s: %s", self._log_name, error)
        if self._memory is None or not self._memory.port:
            return str(self.server.url)
        host = f"[{self._memory.host}]" if ":" in self._memory.host else self._memory.host
        scheme = "https" if self.internal_ssl else "http"
        return f"{scheme}://{host}:{self._memory.port}{self.server.base_url}"

    # --- state

    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        self._memory = Memory.model_validate(state["job"]) if "job" in state else None
        self._job = None

    def get_state(self) -> dict[str, Any]:
        state = dict(super().get_state())
        if self._memory is not None:
            state["job"] = self._memory.model_dump()
        return state

    def clear_state(self) -> None:
        super().clear_state()
        if self._job is not None:
            self._job.forget()
        if self._memory is not None and self.report_url:
            ReportDesk.dismiss(self.report_ip, self.report_port, self._memory.name)
        self._memory = self._job = None

    def _remember(self) -> None:
        """In a hub, write our state at once: JupyterHub itself does it only when start() has come back."""
        session = object_session(self.orm_spawner)
        if session is not None:
            self.orm_spawner.state = self.get_state()
            session.commit()

    # --- what the user sees

    def _say(self, progress: int, message: str) -> None:
        line = {"progress": progress, "message": message}
        if not self._lines or self._lines[-1] != line:
            self._lines.append(line)
            said, self._said = self._said, asyncio.Event()
            said.set()

    async def progress(self) -> AsyncGenerator[dict[str, Any], None]:
        """What happens to the job, as it happens."""
        told = 0
        while True:
            said = self._said
            while told < len(self._lines):
                told += 1
                yield self._lines[told - 1]
            await said.wait()
