"""The batch script: every value is one word for the shell, whatever is in it, or there is no script."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadstead.spawners.driver import RefusedError
from roadstead.spawners.script import TEMPLATE, Shell, render

VALUES = {
    "run": Shell.of_words("/usr/bin/python3", "-I", "/home/alice/a b/start.py", "run", "/home/alice/a b"),
    "note": Shell.of_words("/usr/bin/python3", "-I", "/home/alice/a b/start.py", "note", "/home/alice/a b"),
    "prologue": Shell("module load python"),
    "epilogue": Shell(""),
    "start_script": ".jupyterlabrc",
}


def test_the_script_of_a_job() -> None:
    assert render(TEMPLATE, VALUES | {"start_script": ""}) == (
        "#!/bin/bash -l\nmodule load python\n"
        "exec /usr/bin/python3 -I '/home/alice/a b/start.py' run '/home/alice/a b'\n"
    )


def test_an_epilogue_comes_after_the_server() -> None:
    script = render(TEMPLATE, VALUES | {"epilogue": Shell("echo bye")})
    assert "exec /usr" not in script
    assert script.index(" run ") < script.index("status=$?") < script.index("echo bye")


def test_a_start_script_is_quoted() -> None:
    assert "if [ -r 'my $(id) script' ]" in render(TEMPLATE, VALUES | {"start_script": "my $(id) script"})


@given(st.text(st.characters(exclude_categories=("Cc", "Cs", "Co", "Cn"))))
def test_a_value_is_one_word(value: str) -> None:
    line = render("#!/bin/sh\necho {{ value }} end", {"value": value}).partition("\n")[2]
    assert shlex.split(line) == ["echo", value, "end"]


@pytest.mark.parametrize("value", ["a\nb", "a\0b", "\x1b[0m", "a\rb", "\ud800"])
def test_control_characters_are_refused(value: str) -> None:
    with pytest.raises(RefusedError, match="control character"):
        render("#!/bin/sh\necho {{ value }}", {"value": value})


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("#!/bin/sh\n{{ nothing }}", "'nothing' is undefined"),
        ("#!/bin/sh\n{% if %}", "cannot be used"),
        ("#!/bin/sh\n{{ run.__class__.__mro__ }}", "unsafe"),
        ("#!/bin/sh\n{{ run.format.__globals__ }}", "unsafe"),
        ("echo", "must begin with '#!'"),
        ("#!/bin/sh\n{{ 'x' * 2000000 }}", "longer"),
    ],
)
def test_a_template_that_cannot_be_used_says_why(template: str, why: str) -> None:
    with pytest.raises(RefusedError, match=why):
        render(template, VALUES)
