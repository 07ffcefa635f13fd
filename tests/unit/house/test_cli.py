"""The command line: its page in the manual, its help, and what it says when it cannot go on."""

import json
import re

import pytest
from click.testing import CliRunner

from roadstead.cli import main
from roadstead.outpost.config import HubSettings
from tests.unit.house.cli_page import PAGE, rendered


def test_the_manual_has_every_command_and_option_as_it_is() -> None:
    assert PAGE.read_text(encoding="utf-8") == rendered(), "run: python -m tests.unit.house.cli_page"


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_command_shows_how_it_is_used(name: str) -> None:
    help_text = CliRunner().invoke(main, [name, "--help"], terminal_width=120).output
    assert re.search(rf"^ *roadstead {name}", help_text.split("Example")[1], re.MULTILINE)


def test_a_credential_is_shown_with_the_entry_that_an_outpost_accepts() -> None:
    done = CliRunner().invoke(main, ["credential", "--hub", "center", "--expires", "2099-01-31"])
    assert done.exit_code == 0, done.output
    token = re.search(r"^  (\w+)\.([\w-]{20,})$", done.output, re.MULTILINE)
    line = re.search(r'"center": (\{.*\}),$', done.output, re.MULTILINE)
    assert token
    assert line
    entry = HubSettings.model_validate(json.loads(line[1])).credentials[0]
    assert entry.id == token[1]
    assert token[2] not in line[1]
    assert entry.expires
    assert entry.expires.year == 2099


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--hub", "A hub"], "--hub must be a name"), (["--expires", "soon"], "--expires must be a day")],
)
def test_a_credential_for_nobody_is_refused(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(main, ["credential", *arguments])
    assert done.exit_code == 1
    assert done.output.startswith(f"Error: {said}")
    assert len(done.output.splitlines()) == 1
