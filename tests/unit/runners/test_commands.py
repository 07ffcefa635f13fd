"""What is run as somebody else: an argument vector, with nothing that sudo could read as its own."""

import pytest

from roadstead.runners import Command, Outcome, SudoRunner, WithVariables


class Recorder:
    """Runs nothing, and remembers what it should have run."""

    def __init__(self) -> None:
        self.command = Command(("none",))

    async def run(self, command: Command) -> Outcome:
        self.command = command
        return Outcome(0, "", "")


async def test_sudo_runs_a_program_as_the_account() -> None:
    place = Recorder()
    await SudoRunner("alice", place).run(Command(("scancel", "--name=x; rm -rf /"), stdin=b"in", timeout=7))
    assert place.command.argv == ("sudo", "-n", "-H", "-u", "alice", "--", "scancel", "--name=x; rm -rf /")
    assert (place.command.stdin, place.command.timeout) == (b"in", 7)


async def test_sudo_is_told_variables_in_its_own_way() -> None:
    place = Recorder()
    runner = WithVariables({"SLURM_CONF": "/etc/s.conf", "A": "1"}, SudoRunner("alice", place))
    await runner.run(Command(("squeue",), environment={"A": "2"}))
    assert place.command.argv == ("sudo", "-n", "-H", "-u", "alice", "SLURM_CONF=/etc/s.conf", "A=2", "--", "squeue")
    assert place.command.environment == {}


@pytest.mark.parametrize("account", ["", "root", "#0", "%wheel", "-u", "a b", "a\n", "alice;id", "Alice", "a/b", "a=b"])
def test_what_is_no_account_is_refused(account: str) -> None:
    with pytest.raises(ValueError, match="cannot be acted as"):
        SudoRunner(account, Recorder())


def test_what_a_program_reads_is_not_shown() -> None:
    assert "secret" not in repr(Command(("cat",), stdin=b"secret"))


def test_a_null_byte_is_refused() -> None:
    with pytest.raises(ValueError, match="null byte"):
        Command(("echo", "a\0b"))
    with pytest.raises(ValueError, match="null byte"):
        Command(("echo",), environment={"A": "\0"})
