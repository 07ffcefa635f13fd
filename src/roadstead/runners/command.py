"""What is run and what comes of it; whoever runs it, and where, is a Runner."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


class UnansweredError(Exception):
    """The program gave no outcome: it was not started, took too long, or said too much.

    Whether it did anything is not known.
    """


@dataclass(frozen=True, slots=True)
class Command:
    """A program with its arguments, and what it reads from standard input."""

    argv: tuple[str, ...]
    stdin: bytes = field(default=b"", repr=False)
    """It may hold secrets; an argument never does."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables beside those that every program gets."""
    timeout: float = 30.0
    """Seconds."""
    most_output: int = 16_777_216
    """Bytes of standard output and of standard error that are read."""

    def __post_init__(self) -> None:
        for part in (*self.argv, *self.environment, *self.environment.values()):
            if "\0" in part:
                raise ValueError("An argument or variable must not contain a null byte.")


@dataclass(frozen=True, slots=True)
class Outcome:
    """A program that ended by itself."""

    code: int
    stdout: str
    stderr: str


class Runner(Protocol):
    """Runs programs at one place as one account."""

    async def run(self, command: Command) -> Outcome:
        """Run it to its end. Raises UnansweredError."""
        ...
