"""What schedulers have in common: a request for a job, a job as its scheduler shows it, and how one ended."""

from dataclasses import dataclass
from enum import Enum


class JobState(Enum):
    """Where a job is in its life, whatever its scheduler calls that."""

    WAITING = "waiting"
    RUNNING = "running"
    SUSPENDED = "suspended"
    ENDING = "ending"
    """Its programs are being ended, or cleaned up after."""
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class JobRequest:
    """What is asked of a scheduler for one job. Empty means that the scheduler decides."""

    name: str
    """Unique: by it the job is found again."""
    script: str
    folder: str
    """Where the job begins."""
    log: str
    partition: str = ""
    account: str = ""
    qos: str = ""
    reservation: str = ""
    runtime: str = ""
    memory: str = ""
    cores: str = ""
    gpus: str = ""
    gres: str = ""
    options: tuple[str, ...] = ()
    """The site's own options, as they are."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as its scheduler shows it."""

    id: str
    name: str
    state: JobState
    word: str
    """The state in the scheduler's own word."""
    host: str = ""
    """The node where the job's script runs."""
    reason: str = ""
    """Why it waits, in the scheduler's own word."""
    partition: str = ""
    priority: int = 0
    starts: float | None = None
    """When it began, or is expected to: seconds since 1970."""
    ends: float | None = None
    """When its time is over."""

    @property
    def order(self) -> tuple[int, int]:
        """Jobs with smaller values are earlier in the queue; a job's number tells which is older."""
        digits = "".join(char for char in self.id.partition("_")[0].partition("+")[0] if char.isdigit())
        return -self.priority, int(digits or 0)


@dataclass(frozen=True, slots=True)
class End:
    """How a job ended."""

    exit_code: int
    message: str
    """A sentence for people."""
