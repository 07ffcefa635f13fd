"""The start wrapper runs on nodes that have nothing but an old Python."""

import ast
import sys

import pytest

from roadstead.spawners import start_wrapper
from roadstead.spawners.folder import WRAPPER

TEXT = WRAPPER.read_text(encoding="utf-8")
SINCE_3_7 = {
    "fromisoformat",
    "removeprefix",
    "removesuffix",
    "capture_output",
    "walrus",
    "get_running_loop",
    "breakpoint",
}


def test_it_is_python_3_6() -> None:
    ast.parse(TEXT, feature_version=(3, 6))


def test_newer_syntax_would_be_noticed() -> None:
    with pytest.raises(SyntaxError):
        ast.parse("if (x := 1): pass", feature_version=(3, 6))


def test_it_uses_nothing_newer_than_3_6() -> None:
    tree = ast.parse(TEXT)
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg}
    assert not names & SINCE_3_7
    builtin = [
        node.value.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Name)
        and node.value.id in ("dict", "list", "tuple")
    ]
    assert not builtin, "subscripted types of this kind come with Python 3.9"


def test_it_needs_the_standard_library_alone() -> None:
    found = set()
    for node in ast.walk(ast.parse(TEXT)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            found.add(str(node.module).split(".")[0])
    assert found <= set(sys.stdlib_module_names)


def test_a_name_cannot_lead_to_another_folder() -> None:
    with pytest.raises(SystemExit, match="no name of a job"):
        start_wrapper.folder_of("../../etc")


@pytest.mark.parametrize(
    ("url", "ip", "expected"),
    [
        ("http://0.0.0.0:0/user/a/", "0.0.0.0", "http://0.0.0.0:4711/user/a/"),
        ("https://0.0.0.0:0/user/a/", "::", "https://[::]:4711/user/a/"),
        ("", "10.0.0.1", "http://10.0.0.1:4711/"),
    ],
)
def test_the_server_is_told_its_port(url: str, ip: str, expected: str) -> None:
    assert start_wrapper.with_port(url, ip, 4711) == expected
