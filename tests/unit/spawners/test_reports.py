"""Which reports of a job are believed."""

import json
from typing import Any

import pytest

from roadstead.spawners import start_wrapper
from roadstead.spawners.reports import LARGEST, ReportError, read_report

START = {"name": "jupyterhub-1", "secret": "s3cret"}
NEWS = {"sequence": 1, "event": "listening", "node": "c1", "port": 4711}


def made(start: dict[str, Any] | None = None, **news: Any) -> str:
    return start_wrapper.signed(start or START, NEWS | news)


def test_what_the_start_wrapper_says_is_believed() -> None:
    report = read_report(made(), "jupyterhub-1", "s3cret", 0)
    assert (report.node, report.port, report.sequence) == ("c1", 4711, 1)


@pytest.mark.parametrize(
    ("text", "after", "why"),
    [
        (made({"name": "jupyterhub-1", "secret": "other"}), 0, "signature"),
        (made().replace("4711", "4712"), 0, "signature"),
        (made({"name": "jupyterhub-2", "secret": "s3cret"}), 0, "another attempt"),
        (made(), 1, "heard before"),
        (made(sequence=2), 3, "heard before"),
        (made(port=0), 0, "cannot be read"),
        (made(port="4711"), 0, "cannot be read"),
        (made(event="else"), 0, "cannot be read"),
        (made(more=1), 0, "cannot be read"),
        (json.dumps(NEWS), 0, "cannot be read"),
        ("", 0, "cannot be read"),
        ("[" * 1000, 0, "cannot be read"),
        (made(node="x" * LARGEST), 0, "too large"),
    ],
)
def test_what_is_not_right_is_refused(text: str, after: int, why: str) -> None:
    with pytest.raises(ReportError, match=why):
        read_report(text, "jupyterhub-1", "s3cret", after)


def test_without_a_secret_nothing_is_believed() -> None:
    with pytest.raises(ReportError, match="signature"):
        read_report(made({"name": "jupyterhub-1", "secret": ""}), "jupyterhub-1", "", 0)
