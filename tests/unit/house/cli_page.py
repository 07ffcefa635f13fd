"""The manual's page of the command line, made from the commands themselves: `python -m tests.unit.house.cli_page`."""

import click

from roadstead.cli import main
from tests.unit.house.source import ROOT

PAGE = ROOT / "docs" / "reference" / "cli.md"
HEAD = """# The command `roadstead`

`roadstead COMMAND --help` prints what follows here. Errors that a person can mend are one sentence on standard error,
with exit code 1; a mistake in the command line itself has exit code 2.
"""


def rendered() -> str:
    """The page as it must be."""
    parts = [HEAD, _section("roadstead", main)]
    parts += [_section(f"roadstead {name}", command) for name, command in sorted(main.commands.items())]
    return "\n".join(parts)


def _section(title: str, command: click.Command) -> str:
    context = click.Context(command, info_name=title, terminal_width=100, max_content_width=100)
    return f"## {title}\n\n```text\n{command.get_help(context)}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(rendered(), encoding="utf-8")
