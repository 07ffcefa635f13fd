"""Slurm's commands and what they print; the formats have been the same since Slurm 17.

Text formats are asked for, not JSON: they are fifty times smaller and do not change with each release.
"""

import re
from collections.abc import Iterable
from typing import Final

from ..runners import Command, Outcome
from . import slurm_words as words
from .driver import RefusedError, UnclearError
from .jobs import End, Job, JobRequest, JobState

_SEPARATOR: Final = "\x1f"
_FIELDS: Final = _SEPARATOR.join(("%i", "%j", "%T", "%B", "%r", "%P", "%Q", "%S", "%e"))
_SECONDS: Final = {"SLURM_TIME_FORMAT": "%s"}
_MOST_NAMES: Final = 2000
"""With more, all jobs are asked for: one argument must stay below 128 KiB."""
_QUERY_TIMEOUT: Final = 30.0
_HISTORY_TIMEOUT: Final = 5.0
"""It is nice to know how a job ended, but nobody should wait long for it."""
_JOB_ID: Final = re.compile(r"(\d+)(?:;[\w.-]+)?")
_PASSING: Final = (
    "communication",
    "Connection",
    "connect",
    "contact slurm",
    "credential",
    "munge",
    "Protocol",
    "Socket",
    "temporarily",
    "timed out",
    "Unable to",
    "Zero Bytes",
)
"""In messages about the way to the controller, not about the job."""
_PREFIX: Final = re.compile(r"^(?:sbatch|squeue|scancel|scontrol|sacct|sinfo|slurm_load_jobs): (?:error|fatal): ")


class SlurmDriver:
    """Slurm, on one cluster."""

    name = "Slurm"

    def __init__(self, cluster: str = "") -> None:
        self.cluster = cluster
        self._cluster = (f"--clusters={cluster}",) if cluster else ()

    def submit(self, request: JobRequest) -> Command:
        options = {
            "job-name": request.name,
            "chdir": request.folder,
            "output": request.log,
            "open-mode": "append",
            "partition": request.partition,
            "account": request.account,
            "qos": request.qos,
            "reservation": request.reservation,
            "time": request.runtime,
            "mem": request.memory,
            "cpus-per-task": request.cores,
            "gpus": request.gpus,
            "gres": request.gres,
        }
        given = tuple(f"--{name}={value}" for name, value in options.items() if value)
        # A job that ran once has no secrets left to start with. The site's options come first, so that they cannot
        # change the name by which the job is found.
        argv = ("sbatch", "--parsable", *request.options, *self._cluster, *given, "--no-requeue")
        return Command(argv, stdin=request.script.encode(), timeout=60.0)

    def read_submission(self, outcome: Outcome) -> str:
        lines = outcome.stdout.split()
        if outcome.code == 0 and lines and (found := _JOB_ID.fullmatch(lines[-1])):
            return found[1]
        said = _said(outcome)
        if any(word in said for word in _PASSING) or outcome.code == 0:
            raise UnclearError(f"sbatch: {said}")
        raise RefusedError(words.refusal(said))

    def query(self, names: Iterable[str]) -> Command:
        listed = sorted(names)
        only = (f"--name={','.join(listed)}",) if len(listed) <= _MOST_NAMES else ()
        argv = ("squeue", "--noheader", "--all", "--states=all", f"--format={_FIELDS}", *self._cluster, *only)
        return Command(argv, environment=_SECONDS, timeout=_QUERY_TIMEOUT)

    def queue(self, partitions: Iterable[str]) -> Command:
        only = f"--partition={','.join(sorted(partitions))}"
        argv = ("squeue", "--noheader", "--all", "--states=PENDING", f"--format={_FIELDS}", *self._cluster, only)
        return Command(argv, environment=_SECONDS, timeout=_QUERY_TIMEOUT)

    def read_query(self, outcome: Outcome) -> list[Job]:
        # For another cluster squeue may say what failed and end with 0 all the same.
        if outcome.code != 0 or "error:" in outcome.stderr:
            raise UnclearError(f"squeue: {_said(outcome)}")
        return [_job(line) for line in outcome.stdout.splitlines() if line and not line.startswith("CLUSTER:")]

    def ping(self) -> Command:
        return Command(("scontrol", "ping", *self._cluster), timeout=15.0)

    def read_ping(self, outcome: Outcome) -> None:
        if outcome.code != 0 or " is UP" not in outcome.stdout:
            raise UnclearError(f"scontrol ping: {_said(outcome)}")

    def cancel(self, name: str, ids: Iterable[str] = ()) -> Command:
        only = tuple(ids) or (f"--name={name}",)
        return Command(("scancel", *self._cluster, *only), timeout=_QUERY_TIMEOUT)

    def read_cancel(self, outcome: Outcome) -> None:
        if outcome.code != 0:
            raise UnclearError(f"scancel: {_said(outcome)}")

    def address(self, node: str) -> Command:
        argv = ("sinfo", "--noheader", "--all", *self._cluster, f"--nodes={node}", "--format=%o")
        return Command(argv, timeout=_QUERY_TIMEOUT)

    def read_address(self, outcome: Outcome) -> str:
        lines = [line.strip() for line in outcome.stdout.splitlines() if line and not line.startswith("CLUSTER:")]
        if outcome.code != 0 or not lines:
            raise UnclearError(f"sinfo: {_said(outcome)}")
        return lines[0]

    def history(self, job_id: str) -> Command:
        fields = "--format=State%60,ExitCode,Reason,NodeList"
        argv = ("sacct", "--noheader", "--allocations", "--parsable2", *self._cluster, f"--jobs={job_id}", fields)
        return Command(argv, timeout=_HISTORY_TIMEOUT)

    def read_history(self, outcome: Outcome) -> End | None:
        if outcome.code != 0:
            raise UnclearError(f"sacct: {_said(outcome)}")
        for line in outcome.stdout.splitlines():
            state, code, _, nodes = (*line.split("|"), "", "", "")[:4]
            word = state.partition(" ")[0]
            if _STATES.get(word, JobState.ENDED) is JobState.ENDED:
                return words.end(state, code, nodes)
        return None

    def end_of(self, job: Job) -> End:
        return words.end(job.word, "", job.host)

    def why_waiting(self, reason: str) -> str:
        return words.why_waiting(reason)


def _said(outcome: Outcome) -> str:
    """What a command said went wrong, without its own name; the last line says most."""
    lines = [line for line in (outcome.stderr or outcome.stdout).splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line or "fatal" in line] or lines
    return _PREFIX.sub("", errors[-1]) if errors else f"it ended with code {outcome.code} and said nothing"


def _job(line: str) -> Job:
    fields = line.split(_SEPARATOR)
    if len(fields) != _FIELDS.count(_SEPARATOR) + 1:
        raise UnclearError(f"squeue printed a line that cannot be read: {line[:100]!r}")
    job_id, name, word, host, reason, partition, priority, starts, ends = fields
    return Job(
        id=job_id,
        name=name,
        state=_STATES.get(word, JobState.ENDED),
        word=word,
        host="" if host in ("n/a", "(null)") else host,
        reason="" if reason == "None" else reason,
        partition=partition,
        priority=int(priority) if priority.isdigit() else 0,
        starts=float(starts) if starts.isdigit() else None,
        ends=float(ends) if ends.isdigit() else None,
    )


_STATES: Final = {
    **dict.fromkeys(
        (
            *("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "RESV_DEL_HOLD", "SPECIAL_EXIT"),
            *("POWER_UP_NODE", "EXPEDITING"),
        ),
        JobState.WAITING,
    ),
    **dict.fromkeys(("RUNNING", "RESIZING", "SIGNALING"), JobState.RUNNING),
    **dict.fromkeys(("SUSPENDED", "STOPPED"), JobState.SUSPENDED),
    **dict.fromkeys(("COMPLETING", "STAGE_OUT"), JobState.ENDING),
}
"""Slurm's words for states (man squeue, JOB STATE CODES); every other word is of a job that has ended."""
