"""The life of an attempt: what every event may and may not do, whatever its order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadstead.outpost import lifecycle
from roadstead.outpost.lifecycle import (
    EndAsked,
    Event,
    Gone,
    HostLost,
    HostReady,
    Order,
    Record,
    Started,
    StartFailed,
    StopFailed,
    Stopped,
    step,
)
from roadstead.protocol import End, EndCode, ServerState

STOP = End(code=EndCode.STOPPED, message="The server was stopped.")
LATE = End(code=EndCode.START_TIMEOUT, message="Too late.")

EVENTS = st.sampled_from(
    [
        HostReady(),
        HostReady(takes_up=True),
        HostLost(),
        Started(),
        StartFailed("no"),
        Gone(1),
        EndAsked(STOP),
        EndAsked(LATE),
        Stopped(),
        StopFailed(),
    ]
)


def play(*events: Event) -> tuple[Record, list[Order | None]]:
    record, orders = Record(), []
    for event in events:
        record, order = step(record, event)
        orders.append(order)
    return record, orders


def test_a_quiet_life() -> None:
    record, orders = play(HostReady(), Started(), EndAsked(STOP), Stopped())
    assert record == Record(ServerState.ENDED, 1, STOP)
    assert orders == [Order.START, None, Order.STOP, Order.FORGET]


def test_what_was_never_ordered_ends_at_once() -> None:
    assert play(EndAsked(STOP)) == (Record(ServerState.ENDED, 0, STOP), [None])


def test_a_start_is_begun_again_after_the_host_was_lost_and_cleans_up_first() -> None:
    record, orders = play(HostReady(), HostLost(), HostReady())
    assert record.state is ServerState.STARTING
    assert orders == [Order.START, None, Order.START_AGAIN]


def test_a_start_whose_host_was_lost_is_cleaned_up_even_when_it_is_cancelled_in_between() -> None:
    record, orders = play(HostReady(), HostLost(), EndAsked(STOP), HostReady(), Stopped())
    assert record.state is ServerState.ENDED
    assert orders[2:] == [Order.STOP, Order.STOP, Order.FORGET]


def test_a_start_that_ends_its_host_each_time_is_given_up() -> None:
    lost: list[Event] = [HostReady(), HostLost()] * lifecycle.MAX_STARTS
    record, _ = play(*lost)
    assert record.state is ServerState.STOPPING
    assert step(record, HostReady())[1] is Order.STOP
    assert step(record, Stopped())[0].end == lifecycle.GIVEN_UP


def test_a_start_that_is_taken_up_is_never_given_up() -> None:
    once: list[Event] = [HostReady(takes_up=True), HostLost()]
    record, orders = play(*once * 10 * lifecycle.MAX_STARTS, HostReady(takes_up=True))
    assert record.state is ServerState.STARTING
    assert orders.count(Order.START) == 1
    assert orders[-1] is Order.START_AGAIN


def test_the_first_reason_to_end_is_kept() -> None:
    record, _ = play(HostReady(), EndAsked(LATE), EndAsked(STOP), Stopped())
    assert record.end == LATE


@pytest.mark.parametrize(("code", "words"), [(0, "by itself"), (3, "exit code 3"), (-9, "signal 9")])
def test_the_end_says_how_the_process_ended(code: int, words: str) -> None:
    record, _ = play(HostReady(), Started(), Gone(code))
    assert record.end is not None
    assert words in record.end.message


def test_a_class_that_knows_why_has_the_word() -> None:
    record, _ = play(HostReady(), Started(), Gone(137, "The job needed more memory than it had."))
    assert record.end == End(code=EndCode.EXITED, message="The job needed more memory than it had.", exit_code=137)


@given(st.lists(EVENTS, max_size=40))
def test_whatever_happens(events: list[Event]) -> None:
    record = Record()
    for event in events:
        after, order = step(record, event)
        if record.state is ServerState.ENDED:
            assert after == record, "nothing leaves the end"
        if after.state is ServerState.ENDED and record.state is not ServerState.ENDED:
            assert after.end is not None, "an end has a reason"
            assert not record.starts or isinstance(event, Stopped | StartFailed | Gone), "only a clean answer ends it"
        if order in (Order.START, Order.START_AGAIN):
            assert isinstance(event, HostReady)
            assert record.state is ServerState.ACCEPTED
            assert (order is Order.START) == (record.starts == 0), "a second start cleans up first"
        if order is Order.FORGET:
            assert after.state is ServerState.ENDED
        if isinstance(event, HostLost) and record.state is ServerState.RUNNING:
            assert after == record, "a lost host ends no server"
        assert after.starts <= lifecycle.MAX_STARTS
        record = after


@given(st.lists(EVENTS, max_size=20))
def test_every_life_can_be_ended(events: list[Event]) -> None:
    record, _ = play(*events)
    for event in (EndAsked(STOP), HostReady(), Stopped()):
        record, _ = step(record, event)
    assert record.state is ServerState.ENDED


def test_the_table_names_every_state_and_event() -> None:
    rows = lifecycle.transitions()
    assert {row[0].split(",")[0] for row in rows} == {state.value for state in ServerState}
    assert {row[1] for row in rows} == {
        "host ready", "host lost", "started", "start failed", "gone", "end asked", "stopped", "stop failed",
    }  # fmt: skip
