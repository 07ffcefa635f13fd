"""Lines on the socket: what is an order, what is not, and what must not be told about it."""

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadstead.outpost.host.channel import decode, encode
from roadstead.protocol.host import REPORT, Forget, Ping, StateChanged, Stop
from tests.real.outpost.host.driver import TOKEN, job


def test_orders_are_read_as_they_were_written() -> None:
    for order in (Stop(job=job(), now=True), Forget(key="north:1"), Ping(number=3)):
        assert decode(order.model_dump_json().encode()) == order


@given(st.binary(max_size=200))
def test_anything_else_is_dropped(line: bytes) -> None:
    assert decode(line) is None


def test_what_is_wrong_with_an_order_is_logged_without_its_content(caplog: pytest.LogCaptureFixture) -> None:
    broken = {"type": "stop", "job": job().model_dump(mode="json") | {"hub": "Not A Hub"}}
    with caplog.at_level(logging.ERROR):
        assert decode(json.dumps(broken).encode()) is None
    assert "job.hub" in caplog.text
    assert TOKEN not in caplog.text
    assert "Not A Hub" not in caplog.text


def test_a_report_is_one_line() -> None:
    report = StateChanged(key="north:1", state={"text": "a\nb\u2028c"})
    line = encode(report)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert REPORT.validate_json(line) == report


def test_a_report_that_is_too_long_is_not_sent() -> None:
    with pytest.raises(ValueError, match="more than the 4194304"):
        encode(StateChanged(key="north:1", state={"text": "x" * 4_200_000}))
