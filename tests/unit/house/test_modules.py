"""What every module and file of the repository keeps to: a sentence at the top, one idea, no foreign places."""

import ast
import re
from pathlib import Path

import pytest

from tests.unit.house.source import ROOT, modules, repository_files

MODULES = modules()
LONGEST = 420
"""Lines; a module that needs more holds two ideas."""

FORBIDDEN = {
    "a path in somebody's home": re.compile(r"/home/(?!(?:alice|bob|carol|USER|NAME|user|\$|\{|<))\w|/root/|/Users/\w"),
    "a note to self": re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b"),
    "a resolved address in a lock file": re.compile(r'"resolved":\s*"'),
}
TEXT = {
    ".py",
    ".md",
    ".toml",
    ".cfg",
    ".ini",
    ".json",
    ".yaml",
    ".yml",
    ".html",
    ".css",
    ".js",
    ".svg",
    ".sh",
    ".txt",
    "",
}


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


@pytest.mark.parametrize("path", MODULES, ids=names(MODULES))
def test_a_module_opens_with_a_sentence(path: Path) -> None:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert text, f"{path.name} does not say what it is for"
    assert text.split("\n\n")[0].rstrip().endswith((".", "?", "!")), (
        f"{path.name}: {text.splitlines()[0]!r} is no sentence"
    )


@pytest.mark.parametrize("path", MODULES, ids=names(MODULES))
def test_a_module_is_about_one_idea(path: Path) -> None:
    assert path.stem not in ("utils", "util", "helpers", "misc", "common"), f"{path.name} does not say what is in it"
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


def test_files_carry_nothing_of_a_foreign_place() -> None:
    found = []
    for path in repository_files():
        if path.suffix not in TEXT or path == Path(__file__):
            continue
        text = path.read_text(encoding="utf-8")
        found += [
            f"{path.relative_to(ROOT)}: {what}: {match.group()}"
            for what, pattern in FORBIDDEN.items()
            for match in pattern.finditer(text)
        ]
    assert not found, "\n".join(found)


def test_the_patterns_find_what_they_are_for() -> None:
    assert FORBIDDEN["a path in somebody's home"].search("/home/" + "karl/x")
    assert FORBIDDEN["a path in somebody's home"].search("/root" + "/x")
    assert not FORBIDDEN["a path in somebody's home"].search("/home/alice/x")
    assert FORBIDDEN["a note to self"].search("# TO" + "DO later")
