"""Links between the files of the repository lead somewhere; commands that the texts name exist."""

import re
from pathlib import Path

import pytest

from roadstead.cli import main
from tests.unit.house.source import ROOT, repository_files

PAGES = [path for path in repository_files() if path.suffix == ".md" and "tests" not in path.parts]
LINK = re.compile(
    r"\]\((?!https?://|#|mailto:)([^)#\s]+)(?:#[^)]*)?\)|^```\{(?:image|figure|literalinclude)\} (\S+)", re.MULTILINE
)
MADE_BY_THE_BUILD = "generated/"


@pytest.mark.parametrize("page", PAGES, ids=[str(path.relative_to(ROOT)) for path in PAGES])
def test_links_lead_to_files(page: Path) -> None:
    targets = [one or other for one, other in LINK.findall(page.read_text(encoding="utf-8"))]
    missing = [each for each in targets if MADE_BY_THE_BUILD not in each and not (page.parent / each).exists()]
    assert not missing


def test_links_are_found() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert ("docs/tutorial/first-steps.md", "") in LINK.findall(readme)
    assert ("docs/images/how-it-works.svg", "") in LINK.findall(readme)


@pytest.mark.parametrize("page", PAGES, ids=[str(path.relative_to(ROOT)) for path in PAGES])
def test_commands_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    commands = set(re.findall(r"(?:^\$ |`)(?:\S*/)?roadstead ([a-z]+)", text, re.MULTILINE))
    targets = set(re.findall(r"(?:^\$ |`)make ([a-z][a-z-]*)", text, re.MULTILINE))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert commands <= set(main.commands)
    assert not [target for target in targets if not re.search(rf"^[\w ]*\b{target}\b[\w ]*:", makefile, re.MULTILINE)]
