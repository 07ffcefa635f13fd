"""A scheduler of a few lines, for tests of what asks one: it has jobs, and says what it is told to say."""

from collections.abc import Callable, Iterable

from roadstead.runners import Command, Outcome, UnansweredError
from roadstead.spawners.driver import RefusedError, UnclearError
from roadstead.spawners.jobs import End, Job, JobRequest, JobState


class Scheduler:
    """Driver and runner in one; a command is a word and what it is about."""

    name = "Fake"
    cluster = ""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.down = False
        self.lose_answers = 0
        """So many submissions are taken, but not confirmed."""
        self.drop_submissions = 0
        """So many submissions are neither taken nor confirmed."""
        self.refusal = ""
        self.hooks: dict[str, Callable[[], None]] = {}
        self.asked: list[str] = []

    def add(self, name: str, state: JobState = JobState.WAITING, **more: str) -> Job:
        """A job turns up."""
        job = Job(id=str(len(self.jobs) + 1), name=name, state=state, word=state.value, **more)  # type: ignore[arg-type]
        self.jobs.append(job)
        return job

    def move(self, name: str, state: JobState, host: str = "") -> None:
        """All jobs of a name get into a state."""
        self.jobs = [
            Job(id=job.id, name=name, state=state, word=state.value, host=host) if job.name == name else job
            for job in self.jobs
        ]

    def named(self, name: str) -> list[Job]:
        return [job for job in self.jobs if job.name == name and job.state is not JobState.ENDED]

    # --- the runner

    async def run(self, command: Command) -> Outcome:
        word, *about = command.argv
        self.asked.append(word)
        if hook := self.hooks.pop(word, None):
            hook()
        if self.down:
            raise UnansweredError("nobody is there")
        if word == "submit":
            return self._take(about[0])
        if word == "cancel":
            gone = [job for job in self.jobs if job.id in about[1:] or (len(about) == 1 and job.name == about[0])]
            self.jobs = [job for job in self.jobs if job not in gone]
        if word.endswith("python3"):
            return Outcome(0, '{"folder": "/home/alice/x", "home": "/home/alice"}', "")
        return Outcome(0, "", "")

    def _take(self, name: str) -> Outcome:
        if self.refusal:
            return Outcome(1, "", self.refusal)
        if self.drop_submissions:
            self.drop_submissions -= 1
            return Outcome(9, "", "")
        job = self.add(name)
        if self.lose_answers:
            self.lose_answers -= 1
            return Outcome(9, "", "")
        return Outcome(0, job.id, "")

    # --- the driver

    def submit(self, request: JobRequest) -> Command:
        return Command(("submit", request.name))

    def read_submission(self, outcome: Outcome) -> str:
        if outcome.code == 1:
            raise RefusedError(outcome.stderr)
        if outcome.code:
            raise UnclearError("no answer")
        return outcome.stdout

    def query(self, names: Iterable[str]) -> Command:
        return Command(("query", *names))

    def read_query(self, outcome: Outcome) -> list[Job]:
        return list(self.jobs)

    def queue(self, partitions: Iterable[str]) -> Command:
        return Command(("queue", *partitions))

    def ping(self) -> Command:
        return Command(("ping",))

    def read_ping(self, outcome: Outcome) -> None:
        if outcome.code:
            raise UnclearError("down")

    def cancel(self, name: str, ids: Iterable[str] = ()) -> Command:
        return Command(("cancel", name, *ids))

    def read_cancel(self, outcome: Outcome) -> None:
        if outcome.code:
            raise UnclearError("not cancelled")

    def address(self, node: str) -> Command:
        return Command(("address", node))

    def read_address(self, outcome: Outcome) -> str:
        return "10.0.0.1"

    def history(self, job_id: str) -> Command:
        return Command(("history", job_id))

    def read_history(self, outcome: Outcome) -> End | None:
        return End(3, "It is over.")

    def end_of(self, job: Job) -> End:
        return End(2, "It was seen to be over.")

    def why_waiting(self, reason: str) -> str:
        return "nobody knows"
