"""The folder of a job in its user's home: made and looked into as the user, by the start wrapper."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from ..runners import Command, Outcome, Runner
from .driver import RefusedError, UnclearError

WRAPPER: Final = Path(__file__).with_name("start_wrapper.py")


@dataclass(frozen=True, slots=True)
class Staged:
    """Where the job's folder is, and the home that it is in."""

    folder: str
    home: str


class Found(BaseModel):
    """What a job has left in its folder."""

    report: str = ""
    notes: list[str] = []
    log: str = ""


class JobFolder:
    """The folder of one job."""

    def __init__(self, runner: Runner, python: str, name: str) -> None:
        """`runner` acts as the user, `python` is an interpreter on the submitting host."""
        self._runner = runner
        self._wrapper = (python, "-I", str(WRAPPER))
        self._name = name

    async def stage(self, start: dict[str, Any], keep_days: float) -> Staged:
        """Make it, with what the start wrapper needs in it.

        Raises RefusedError in the wrapper's own words, and UnansweredError.
        """
        order = {"name": self._name, "start": start, "keep_days": keep_days}
        outcome = await self._runner.run(Command((*self._wrapper, "stage"), stdin=json.dumps(order).encode()))
        if outcome.code != 0:
            raise RefusedError(f"The job's folder was not made. {_last_line(outcome)}")
        return Staged(**json.loads(outcome.stdout))

    async def look(self) -> Found:
        """What is in it now. Raises UnclearError and UnansweredError."""
        outcome = await self._runner.run(Command((*self._wrapper, "look", self._name)))
        try:
            return Found.model_validate_json(outcome.stdout)
        except ValidationError:
            raise UnclearError(f"The job's folder cannot be read. {_last_line(outcome)}") from None


def _last_line(outcome: Outcome) -> str:
    lines = outcome.stderr.strip().splitlines()
    return lines[-1] if lines else f"The start wrapper ended with code {outcome.code}."
