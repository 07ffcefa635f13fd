"""A record of a server only ever moves forward, whatever order news comes in."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadstead.hub.records import LOG_LINES, ContradictionError, ServerRecord
from roadstead.protocol import new_attempt_id
from roadstead.protocol.events import EVENT, StateEvent
from roadstead.protocol.servers import ServerState, ServerView
from tests.unit.hub.outpost import NOW, view

ID = new_attempt_id()


def state(name: str, **changes: Any) -> StateEvent:
    given_ = view(ID, name)
    body = {key: given_[key] for key in ("user", "server_name", "state", "url", "end")}
    event = EVENT.validate_python({"type": "state", "seq": 1, "at": NOW, "server_id": ID} | body | changes)
    assert isinstance(event, StateEvent)
    return event


@given(st.lists(st.sampled_from(list(ServerState)), min_size=1))
def test_the_furthest_state_that_was_told_stands(states: list[ServerState]) -> None:
    record = ServerRecord(ID)
    for each in states:
        record.apply_state(state(each.value))
    order = list(ServerState)
    assert record.state is max(states, key=order.index)
    assert record.over == (record.state is ServerState.ENDED)


def test_old_news_changes_nothing() -> None:
    record = ServerRecord(ID)
    record.apply_view(ServerView.model_validate(view(ID, "ended")))
    version = record.version
    record.apply_state(state("running"))
    assert record.version == version
    assert record.exit_code == 3
    assert record.last_words == "It exited."


@pytest.mark.parametrize(
    "changes", [{"user": "bob"}, {"server_name": "other"}, {"url": None}, {"state": "ended", "end": None}]
)
def test_what_cannot_be_true_is_refused(changes: dict[str, Any]) -> None:
    record = ServerRecord(ID)
    record.apply_state(state("accepted"))
    with pytest.raises(ContradictionError):
        record.apply_state(state("running", **changes))


def test_exit_codes_are_those_of_poll() -> None:
    record = ServerRecord(ID)
    codes = [record.exit_code]
    record.apply_state(state("running"))
    codes.append(record.exit_code)
    record.apply_state(state("ended", end={"code": "stopped", "message": "Stopped."}))
    codes.append(record.exit_code)
    assert codes == [None, None, 0]
    gone = ServerRecord(ID)
    gone.gone = True
    assert gone.exit_code == 1, "poll() says that it is not running"
    assert gone.last_words


def test_the_log_is_bounded_and_readers_go_on_where_they_were() -> None:
    record = ServerRecord(ID)
    for number in range(LOG_LINES + 50):
        record.note(f"line {number}")
    lines = record.lines_after(0)
    assert len(lines) == LOG_LINES
    assert lines[-1].message == f"line {LOG_LINES + 49}"
    assert [line.message for line in record.lines_after(LOG_LINES + 48)] == [
        f"line {LOG_LINES + 48}",
        f"line {LOG_LINES + 49}",
    ]
    record.drop_log()
    assert record.lines_after(0) == []
    record.note("again")
    assert [line.message for line in record.lines_after(LOG_LINES + 50)] == ["again"]


def test_an_earlier_log_is_put_before_without_doubles() -> None:
    record = ServerRecord(ID)
    now = datetime.now(UTC)
    record.note("seen live")
    assert record.lines is not None
    live = record.lines[0]
    record.prepend([(now - timedelta(hours=1), 10, "before"), (live.at, None, "seen live")])
    assert [line.message for line in record.lines_after(0)] == ["before", "seen live"]
