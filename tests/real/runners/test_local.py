"""Programs that answer, fail, hang, say too much, or are not there."""

import asyncio
import os
import pwd
import sys
from pathlib import Path

import psutil
import pytest

from roadstead.runners import Command, LocalRunner, SudoRunner, UnansweredError


def python(program: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-c", program, *arguments)


async def until_gone(pid: int) -> None:
    """Wait until a process has ended; whoever inherits it may take a moment to notice."""
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        await asyncio.sleep(0.02)


async def test_what_a_program_says_is_its_outcome() -> None:
    program = "import sys; print(sys.stdin.read(), sys.argv[1]); print('oh', file=sys.stderr); sys.exit(3)"
    outcome = await LocalRunner().run(Command(python(program, "$(id); `id`"), stdin=b"in"))
    assert (outcome.code, outcome.stdout, outcome.stderr) == (3, "in $(id); `id`\n", "oh\n")


async def test_our_own_variables_are_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROADSTEAD_SECRET", "s3cret")
    program = "import os; print(os.environ.get('ROADSTEAD_SECRET'), os.environ['GIVEN'])"
    outcome = await LocalRunner().run(Command(python(program), environment={"GIVEN": "1"}))
    assert outcome.stdout == "None 1\n"


async def test_a_program_that_is_not_there() -> None:
    with pytest.raises(UnansweredError, match="no-such-program cannot be run here: No such file"):
        await LocalRunner().run(Command(("no-such-program",)))


async def test_a_program_that_does_not_read(tmp_path: Path) -> None:
    outcome = await LocalRunner().run(Command(("true",), stdin=b"x" * 5_000_000))
    assert outcome.code == 0


async def test_a_program_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    program = (
        "import subprocess, sys, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "child = subprocess.Popen(['sleep', '600']); open(sys.argv[1], 'w').write(str(child.pid)); child.wait()"
    )
    with pytest.raises(UnansweredError, match="did not answer within 2 seconds"):
        await LocalRunner().run(Command(python(program, str(note)), timeout=2))
    await until_gone(int(note.read_text()))


async def test_a_cancelled_program_is_ended(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    program = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)"
    task = asyncio.create_task(LocalRunner().run(Command(python(program, str(note)), timeout=60)))
    while not (note.exists() and note.read_text()):
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until_gone(int(note.read_text()))


async def test_a_program_that_says_too_much() -> None:
    with pytest.raises(UnansweredError, match="wrote more than 1000 bytes"):
        await LocalRunner().run(Command(("yes",), most_output=1000, timeout=20))


async def test_sudo_makes_it_another_account() -> None:
    assert os.geteuid() == 0, "these tests need root"
    runner = SudoRunner("nobody", LocalRunner())
    outcome = await runner.run(Command(("env",), environment={"SLURM_CONF": "a b=c"}))
    variables = dict(line.partition("=")[::2] for line in outcome.stdout.splitlines())
    assert variables["USER"] == "nobody"
    assert variables["SLURM_CONF"] == "a b=c"
    outcome = await runner.run(Command(("id", "-u"), stdin=b""))
    assert int(outcome.stdout) == pwd.getpwnam("nobody").pw_uid


async def test_an_account_that_is_not_there() -> None:
    outcome = await SudoRunner("roadstead-nobody", LocalRunner()).run(Command(("id",)))
    assert outcome.code != 0
    assert "unknown user" in outcome.stderr
