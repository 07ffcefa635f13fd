"""Gives every program of a runner some variables, such as where a scheduler's configuration is."""

from collections.abc import Mapping
from dataclasses import replace

from .command import Command, Outcome, Runner


class WithVariables:
    """A runner whose programs get these variables; a command's own win."""

    def __init__(self, variables: Mapping[str, str], runner: Runner) -> None:
        self._variables = dict(variables)
        self._runner = runner

    async def run(self, command: Command) -> Outcome:
        """Run it to its end. Raises UnansweredError."""
        return await self._runner.run(replace(command, environment=self._variables | dict(command.environment)))
