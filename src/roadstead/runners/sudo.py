"""Runs programs as another account by sudo, without asking for a password and without a shell."""

import re
from dataclasses import replace
from typing import Final

from .command import Command, Outcome, Runner

_ACCOUNT: Final = re.compile(r"[a-z_][a-z0-9_.-]{0,254}")
"""sudo would read '#0' as a uid and '%staff' as a group."""


class SudoRunner:
    """Another account, where sudo's rules let this process's own account act as it."""

    def __init__(self, account: str, runner: Runner) -> None:
        """`runner` is where sudo itself runs. Raises ValueError for what is no account's name, and for root."""
        if not _ACCOUNT.fullmatch(account) or account == "root":
            raise ValueError(
                f"{account!r} cannot be acted as: an account's name begins with a small letter, has letters, digits, "
                "'.', '_' and '-' only, and is not root."
            )
        self._account = account
        self._runner = runner

    async def run(self, command: Command) -> Outcome:
        """Run it to its end as the account. Raises UnansweredError."""
        # Variables named here need SETENV in sudo's rule; without any, the rule needs nothing but the program.
        variables = (f"{name}={value}" for name, value in command.environment.items())
        prefix = ("sudo", "-n", "-H", "-u", self._account, *variables, "--")
        return await self._runner.run(replace(command, argv=(*prefix, *command.argv), environment={}))
