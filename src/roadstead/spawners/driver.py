"""What a scheduler's driver is: a few pure functions that make commands and read what the commands gave.

A driver runs nothing and waits for nothing. To teach a new scheduler is to write one of these and a test with examples
of what that scheduler prints.
"""

from collections.abc import Iterable
from typing import Protocol

from ..runners import Command, Outcome
from .jobs import End, Job, JobRequest


class RefusedError(Exception):
    """The scheduler says no; the text is a sentence for people. Nothing was submitted."""


class UnclearError(Exception):
    """The scheduler gave no clean answer; what is true is not known. The text says what it gave."""


class Driver(Protocol):
    """One scheduler, as commands and their meaning."""

    name: str
    """What people call it."""
    cluster: str
    """Which one, where there are several."""

    def submit(self, request: JobRequest) -> Command: ...

    def read_submission(self, outcome: Outcome) -> str:
        """The id of the job. Raises RefusedError, or UnclearError when there may be a job all the same."""
        ...

    def query(self, names: Iterable[str]) -> Command:
        """Ask for all jobs of these names at once, also for those that ended not long ago."""
        ...

    def read_query(self, outcome: Outcome) -> list[Job]:
        """The jobs. Raises UnclearError for everything but a clean answer."""
        ...

    def queue(self, partitions: Iterable[str]) -> Command:
        """Ask for all that waits in these partitions."""
        ...

    def ping(self) -> Command:
        """A cheap question that fails at once while the scheduler is down."""
        ...

    def read_ping(self, outcome: Outcome) -> None:
        """Raises UnclearError when the scheduler is down."""
        ...

    def cancel(self, name: str, ids: Iterable[str] = ()) -> Command:
        """End the jobs of this name, or only those of these ids; it does no harm to ask twice."""
        ...

    def read_cancel(self, outcome: Outcome) -> None:
        """Raises UnclearError unless the scheduler took it."""
        ...

    def address(self, node: str) -> Command:
        """Ask under which address a node can be reached."""
        ...

    def read_address(self, outcome: Outcome) -> str:
        """The address. Raises UnclearError."""
        ...

    def history(self, job_id: str) -> Command:
        """Ask the accounting how a job ended."""
        ...

    def read_history(self, outcome: Outcome) -> End | None:
        """How it ended; None when the accounting does not know. Raises UnclearError when there is none."""
        ...

    def end_of(self, job: Job) -> End:
        """How a job ended that the scheduler still shows."""
        ...

    def why_waiting(self, reason: str) -> str:
        """The scheduler's reason in plain words, as the rest of 'The job waits: ...'."""
        ...
