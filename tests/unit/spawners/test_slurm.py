"""The driver for Slurm: what it asks, compared with golden files, and what it makes of what Slurm 22.05 printed."""

from pathlib import Path

import pytest

from roadstead.runners import Command, Outcome
from roadstead.spawners.driver import RefusedError, UnclearError
from roadstead.spawners.jobs import JobRequest, JobState
from roadstead.spawners.slurm import SlurmDriver

GOLDEN = Path(__file__).parent / "golden" / "slurm"
DRIVER = SlurmDriver()
REQUEST = JobRequest(
    name="jupyterhub-0a1b",
    script="#!/bin/bash\n",
    folder="/home/alice",
    log="/home/alice/.roadstead/jobs/jupyterhub-0a1b/log",
    partition="gpus",
    account="proja",
    qos="high",
    reservation="course",
    runtime="2:00:00",
    memory="4G",
    cores="2",
    gpus="1",
    gres="gpu:a100:1",
    options=("--constraint=a100", "--exclusive"),
)


def golden(name: str) -> str:
    """A file, with the unit separator as its picture, so that it can be read."""
    return (GOLDEN / name).read_text(encoding="utf-8").replace("␟", "\x1f")


def as_lines(command: Command) -> str:
    return "\n".join(command.argv) + "\n"


def printed(name: str) -> Outcome:
    return Outcome(0, golden(name), "")


def failed(text: str, code: int = 1) -> Outcome:
    return Outcome(code, "", text)


# --- what is asked


def test_submission() -> None:
    command = SlurmDriver("blue").submit(REQUEST)
    assert as_lines(command) == golden("submit.txt")
    assert command.stdin == b"#!/bin/bash\n"


def test_query() -> None:
    command = DRIVER.query({"two", "one"})
    assert as_lines(command) == golden("query.txt")
    assert command.environment == {"SLURM_TIME_FORMAT": "%s"}


def test_many_names_are_not_named() -> None:
    command = DRIVER.query(f"jupyterhub-{number:020}" for number in range(5000))
    assert sum(map(len, command.argv)) < 1000
    assert max(map(len, DRIVER.query(f"jupyterhub-{number:020}" for number in range(2000)).argv)) < 131_072


def test_what_nobody_chose_is_left_to_slurm() -> None:
    argv = DRIVER.submit(JobRequest(name="n", script="", folder="/", log="/log")).argv
    assert argv == (
        *("sbatch", "--parsable", "--job-name=n", "--chdir=/", "--output=/log"),
        *("--open-mode=append", "--no-requeue"),
    )


def test_cancelling() -> None:
    assert DRIVER.cancel("jupyterhub-0a1b").argv == ("scancel", "--name=jupyterhub-0a1b")
    assert DRIVER.cancel("jupyterhub-0a1b", ["7", "8"]).argv == ("scancel", "7", "8")


# --- what is answered


@pytest.mark.parametrize("text", ["217\n", "217;blue\n", "Welcome to the cluster!\n217\n"])
def test_a_job_was_taken(text: str) -> None:
    assert DRIVER.read_submission(Outcome(0, text, "")) == "217"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("Invalid account or account/partition combination specified", "choose another one"),
        ("Invalid partition name specified", "no such partition"),
        ("Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)", "A limit is reached"),
        ("Requested time limit is invalid (missing or exceeds some limit)", "more time than is allowed"),
        ("Something that only this site says", "Something that only this site says"),
    ],
)
def test_a_job_was_refused(said: str, words: str) -> None:
    with pytest.raises(RefusedError, match=words):
        DRIVER.read_submission(failed(f"sbatch: error: Batch job submission failed: {said}\n"))


@pytest.mark.parametrize(
    "said",
    [
        "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation",
        "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
        "sbatch: error: Batch job submission failed: Protocol authentication error",
        "sbatch: error: Batch job submission failed: Zero Bytes were transmitted or received",
    ],
)
def test_whether_a_job_was_taken_is_not_known(said: str) -> None:
    with pytest.raises(UnclearError):
        DRIVER.read_submission(failed(said))


def test_success_without_a_number_is_not_known_either() -> None:
    with pytest.raises(UnclearError):
        DRIVER.read_submission(Outcome(0, "Welcome!\n", ""))


def test_jobs() -> None:
    jobs = {job.name: job for job in DRIVER.read_query(printed("squeue.txt"))}
    states = {name: job.state for name, job in jobs.items()}
    assert states == {
        "runs": JobState.RUNNING,
        "held": JobState.WAITING,
        "waits": JobState.WAITING,
        "stopped": JobState.ENDED,
        "over": JobState.ENDED,
        "failed": JobState.ENDED,
    }
    runs, waits, held = jobs["runs"], jobs["waits"], jobs["held"]
    assert (runs.host, runs.partition, runs.reason) == ("c1", "batch", "")
    assert runs.ends is not None
    assert runs.starts is not None
    assert runs.ends > runs.starts
    assert (waits.host, waits.reason) == ("", "Resources")
    assert held.reason == "JobHeldUser"
    assert waits.order < held.order


@pytest.mark.parametrize("word", ["PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "RESV_DEL_HOLD"])
def test_what_waits(word: str) -> None:
    assert state(word) is JobState.WAITING


@pytest.mark.parametrize(
    ("word", "expected"), [("RESIZING", "RUNNING"), ("SUSPENDED", "SUSPENDED"), ("COMPLETING", "ENDING")]
)
def test_what_is_there(word: str, expected: str) -> None:
    assert state(word) is JobState[expected]


@pytest.mark.parametrize(
    "word", ["BOOT_FAIL", "DEADLINE", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED", "TIMEOUT"]
)
def test_what_is_over(word: str) -> None:
    assert state(word) is JobState.ENDED


def state(word: str) -> JobState:
    line = f"1 n {word} c1 None batch 1 N/A N/A".replace(" ", "\x1f")
    return DRIVER.read_query(Outcome(0, f"{line}\n", ""))[0].state


@pytest.mark.parametrize(
    "outcome",
    [
        failed("slurm_load_jobs error: Unable to contact slurm controller (connect failure)"),
        failed("squeue: error: If munged is up, restart with --num-threads=10\nProtocol authentication error"),
        Outcome(0, "", "slurm_load_jobs error: Socket timed out on send/recv operation"),
        Outcome(0, "1\x1fn\x1fRUNNING\n", ""),
        Outcome(-9, "", ""),
    ],
)
def test_no_clean_answer_says_nothing_of_jobs(outcome: Outcome) -> None:
    with pytest.raises(UnclearError):
        DRIVER.read_query(outcome)


def test_a_clean_empty_answer_is_one() -> None:
    assert DRIVER.read_query(Outcome(0, "", "")) == []
    assert DRIVER.read_query(Outcome(0, "CLUSTER: blue\n", "")) == []


def test_ping() -> None:
    DRIVER.read_ping(Outcome(0, "Slurmctld(primary) at vm is UP\n", ""))
    with pytest.raises(UnclearError, match="DOWN"):
        DRIVER.read_ping(Outcome(1, "Slurmctld(primary) at vm is DOWN\n", ""))


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("TIMEOUT|0:0|None|c1", 124, "time was over"),
        ("OUT_OF_MEMORY|0:125|OutOfMemory|c1", 137, "more memory"),
        ("NODE_FAIL|1:0|None|c2", 1, "The node c2 failed"),
        ("PREEMPTED|0:0|None|c2", 143, "make room"),
        ("CANCELLED by 1000|0:0|None|c1", 130, "cancelled by uid 1000"),
        ("CANCELLED|0:0|None|c1", 130, "was cancelled."),
        ("FAILED|3:0|NonZeroExitCode|c1", 3, "exit code 3"),
        ("COMPLETED|0:0|None|c1", 0, "ended by itself"),
        ("SOMETHING_NEW|0:0|None|c1", 1, "SOMETHING_NEW"),
    ],
)
def test_how_a_job_ended(line: str, code: int, words: str) -> None:
    end = DRIVER.read_history(Outcome(0, f"{line}\n", ""))
    assert end is not None
    assert end.exit_code == code
    assert words in end.message


def test_accounting_that_is_behind_says_nothing() -> None:
    assert DRIVER.read_history(Outcome(0, "RUNNING|0:0|None|c1\n", "")) is None
    assert DRIVER.read_history(Outcome(0, "", "")) is None
    with pytest.raises(UnclearError):
        DRIVER.read_history(failed("sacct: error: Problem talking to the database: Connection refused"))


def test_addresses_of_nodes() -> None:
    assert DRIVER.address("c1").argv == ("sinfo", "--noheader", "--all", "--nodes=c1", "--format=%o")
    assert DRIVER.read_address(Outcome(0, "10.0.0.1           \n", "")) == "10.0.0.1"
    with pytest.raises(UnclearError):
        DRIVER.read_address(Outcome(0, "", ""))


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("Priority", "other jobs come first"),
        ("QOSMaxCpuPerUserLimit", "as much as is allowed is in use in this QOS"),
        ("AssocGrpCPUMinutesLimit", "the computing time is used up in this account"),
        ("QOSMaxJobsPerUserLimit", "as many jobs as are allowed are running in this QOS"),
        ("AssocMaxWallDurationPerJobLimit", "it asks for more time than is allowed in this account"),
        ("ReqNodeNotAvail, UnavailableNodes:c1", "a node that it needs is down or reserved"),
        ("(Resources)", "the resources it asks for are in use"),
        ("BrandNew", "Slurm says 'BrandNew'"),
    ],
)
def test_reasons_in_words(reason: str, words: str) -> None:
    assert DRIVER.why_waiting(reason) == words
