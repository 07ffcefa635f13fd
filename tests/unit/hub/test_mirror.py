"""The mirror: unknown is not gone, silence changes nothing, and an end is asked for until it is written down."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from roadstead.hub import cancels
from roadstead.hub import mirror as mirror_module
from roadstead.hub.mirror import Mirror
from roadstead.hub.records import ServerRecord
from roadstead.protocol import ErrorCode, new_attempt_id
from roadstead.protocol.servers import ServerState, ServerView
from tests.unit.hub.outpost import NOW, FakeOutpost, view

ID = new_attempt_id()


class Watcher:
    """Counts how often it is told of an end."""

    def __init__(self) -> None:
        self.told = 0

    def attempt_over(self) -> None:
        self.told += 1


async def nothing_known() -> list[str] | None:
    return None


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries come fast here."""
    for module in (mirror_module, cancels):
        monkeypatch.setattr(module, "_PAUSES", (0.01, 0.05))
    monkeypatch.setattr(mirror_module, "_LOOK_SECONDS", 0.02)
    monkeypatch.setattr(mirror_module, "_KNOWN_SECONDS", (0.01, 0.05))


@pytest.fixture
def outpost() -> FakeOutpost:
    """Away until a test has prepared it."""
    outpost = FakeOutpost()
    outpost.dead = True
    return outpost


@pytest.fixture
async def mirror(outpost: FakeOutpost) -> AsyncIterator[Mirror]:
    mirror = Mirror(outpost.client(), nothing_known)
    yield mirror
    await mirror.close()


async def until(condition: Callable[[], Any], seconds: float = 3.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def come(outpost: FakeOutpost, mirror: Mirror) -> None:
    """Let the outpost be there."""
    outpost.dead = False
    await until(lambda: mirror.connected)


def known(mirror: Mirror) -> ServerRecord:
    record = mirror.get(ID)
    assert record is not None
    return record


async def test_what_is_listed_at_first_is_known(outpost: FakeOutpost, mirror: Mirror) -> None:
    outpost.servers = {each: view(each) for each in sorted(new_attempt_id() for _ in range(5))}
    await come(outpost, mirror)
    records = [mirror.get(each) for each in outpost.servers]
    assert [record and record.running for record in records] == [True] * 5


async def test_a_change_reaches_who_waits_for_it(outpost: FakeOutpost, mirror: Mirror) -> None:
    watcher = Watcher()
    outpost.servers[ID] = view(ID, "starting")
    await come(outpost, mirror)
    record = mirror.expect(ID, watcher)
    waiting = asyncio.ensure_future(mirror.changed(record, record.version))
    await asyncio.sleep(0)
    outpost.tell(ID, progress=10, message="Half way.")
    assert await waiting
    assert record.lines_after(0)[-1].message == "Half way."
    outpost.tell(ID, state="running")
    await until(lambda: record.running)
    outpost.tell(ID, state="ended")
    await until(lambda: record.over)
    assert watcher.told == 1
    assert record.exit_code == 3


async def test_waiting_has_an_end(mirror: Mirror) -> None:
    record = mirror.expect(ID)
    assert not await mirror.changed(record, record.version, 0.02)


async def test_an_outpost_that_was_never_there_says_nothing_of_a_server(outpost: FakeOutpost, mirror: Mirror) -> None:
    outpost.dead = True
    watcher = Watcher()
    record = mirror.expect(ID, watcher)
    await asyncio.sleep(0.3)
    assert record.exit_code is None
    assert not watcher.told
    assert mirror.trouble is not None
    assert mirror.trouble.code is ErrorCode.OUTPOST_UNREACHABLE


async def test_a_lost_stream_changes_nothing_but_the_age(outpost: FakeOutpost, mirror: Mirror) -> None:
    outpost.servers[ID] = view(ID)
    watcher = Watcher()
    await come(outpost, mirror)
    mirror.expect(ID, watcher)
    outpost.dead = True
    outpost.cut()
    await until(lambda: not mirror.connected)
    await asyncio.sleep(0.2)
    assert known(mirror).running
    assert not watcher.told
    outpost.dead = False
    await until(lambda: mirror.connected)
    assert known(mirror).running


async def test_whoever_waits_is_told_that_the_outpost_is_away(outpost: FakeOutpost, mirror: Mirror) -> None:
    outpost.servers[ID] = view(ID, "starting")
    await come(outpost, mirror)
    record = mirror.expect(ID)
    outpost.dead = True
    outpost.cut()
    await until(lambda: record.lines)
    assert "cannot be reached" in record.lines_after(0)[-1].message
    await asyncio.sleep(0.2)
    assert len(record.lines_after(0)) == 1
    outpost.dead = False
    await until(lambda: len(record.lines_after(0)) == 2)
    assert "there again" in record.lines_after(0)[-1].message


async def test_what_happened_while_the_stream_was_lost_is_made_up_for(outpost: FakeOutpost, mirror: Mirror) -> None:
    outpost.servers[ID] = view(ID, "starting")
    watcher = Watcher()
    await come(outpost, mirror)
    mirror.expect(ID, watcher)
    outpost.dead = True
    outpost.cut()
    await until(lambda: not mirror.connected)
    outpost.tell(ID, message="While you were away.")
    outpost.tell(ID, state="running")
    outpost.tell(ID, state="ended")
    outpost.dead = False
    await until(lambda: "While you were away." in [line.message for line in known(mirror).lines_after(0)])
    await until(lambda: watcher.told)
    assert watcher.told == 1


async def test_an_end_whose_event_is_gone_is_looked_up(outpost: FakeOutpost, mirror: Mirror) -> None:
    outpost.servers[ID] = view(ID)
    watcher = Watcher()
    await come(outpost, mirror)
    mirror.expect(ID, watcher)
    outpost.servers[ID] = view(ID, "ended")
    outpost.reset = True
    outpost.cut()
    await until(lambda: watcher.told)
    assert known(mirror).last_words == "It exited."


async def test_one_listing_without_it_is_not_enough(
    outpost: FakeOutpost, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror_module, "_LOOK_SECONDS", 3600)
    mirror.expect(ID, Watcher())
    await come(outpost, mirror)
    await until(lambda: known(mirror).misses == 1)
    assert known(mirror).exit_code is None


async def test_two_clean_listings_without_it_are_enough(outpost: FakeOutpost, mirror: Mirror) -> None:
    outpost.dead = False
    watcher = Watcher()
    mirror.expect(ID, watcher)
    await until(lambda: watcher.told)
    assert known(mirror).exit_code == 1
    assert outpost.count("GET", ID) == 2


async def test_listings_that_break_off_do_not_count(outpost: FakeOutpost, mirror: Mirror) -> None:
    ids = sorted(new_attempt_id() for _ in range(5))
    outpost.servers = {each: view(each) for each in ids}
    outpost.servers[ids[-1]] = {"broken": True, "id": ids[-1], "state": "running"}
    watcher = Watcher()
    mirror.expect(ids[-1], watcher)
    outpost.dead = False
    await asyncio.sleep(0.4)
    record = mirror.get(ids[-1])
    assert record is not None
    assert record.exit_code is None
    assert not watcher.told
    assert mirror.trouble is not None
    assert mirror.trouble.code is ErrorCode.OUTPOST_LIED


async def test_an_attempt_that_shows_up_late_is_not_given_up(
    outpost: FakeOutpost, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    outpost.dead = False
    monkeypatch.setattr(mirror_module, "_LOOK_SECONDS", 0.1)
    watcher = Watcher()
    mirror.expect(ID, watcher)
    await until(lambda: mirror.connected and known(mirror).misses == 1)
    outpost.servers[ID] = view(ID, "accepted")
    await until(lambda: known(mirror).state is ServerState.ACCEPTED)
    await asyncio.sleep(0.3)
    assert known(mirror).misses == 0
    assert not watcher.told


async def test_what_comes_up_during_a_listing_is_kept(outpost: FakeOutpost, mirror: Mirror) -> None:
    await come(outpost, mirror)
    doubtful = new_attempt_id()
    listings = outpost.count("GET", "/servers")
    outpost.listings_go_on.clear()
    mirror.expect(doubtful)
    await until(lambda: outpost.count("GET", "/servers") > listings)
    # The hub's own start of this one has no answer yet.
    outpost.tell(ID, state="running")
    await until(lambda: mirror.get(ID) is not None)
    record = known(mirror)
    outpost.listings_go_on.set()
    await until(lambda: outpost.count("GET", doubtful))
    await asyncio.sleep(0.005)
    assert known(mirror) is record
    assert mirror.accept(ServerView.model_validate(view(ID, "accepted")), Watcher()).running


async def test_a_contradiction_breaks_the_stream_and_is_not_believed(outpost: FakeOutpost, mirror: Mirror) -> None:
    outpost.servers[ID] = view(ID)
    await come(outpost, mirror)
    outpost.tell(ID, state="ended", user="mallory")
    await until(lambda: mirror.trouble is not None)
    assert mirror.trouble is not None
    assert mirror.trouble.code is ErrorCode.OUTPOST_LIED
    assert known(mirror).user == "alice"
    assert known(mirror).running


@pytest.mark.parametrize("lost", [0, 1, 3])
async def test_a_cancel_is_repeated_until_it_is_confirmed(outpost: FakeOutpost, mirror: Mirror, lost: int) -> None:
    outpost.dead = False
    outpost.servers[ID] = view(ID)
    outpost.lost_answers = lost
    await mirror.cancel(ID)
    assert outpost.count("DELETE") == lost + 1
    assert known(mirror).stop_requested


async def test_a_cancel_waits_for_an_outpost_that_is_away(outpost: FakeOutpost, mirror: Mirror) -> None:
    outpost.servers[ID] = view(ID)
    await come(outpost, mirror)
    outpost.dead = True
    outpost.cut()
    asked = mirror.cancel(ID)
    assert mirror.cancel(ID) is asked
    await asyncio.sleep(0.2)
    assert not asked.done()
    outpost.dead = False
    await asyncio.wait_for(asked, 2)
    assert outpost.servers[ID]["stop_requested"]


async def test_a_cancel_of_what_the_outpost_never_had_is_done(outpost: FakeOutpost, mirror: Mirror) -> None:
    outpost.dead = False
    record = mirror.expect(ID)
    await mirror.cancel(ID)
    assert record.over


async def test_the_hubs_list_is_told_again_and_again(outpost: FakeOutpost) -> None:
    async def ids() -> list[str] | None:
        return [ID]

    outpost.dead = False
    mirror = Mirror(outpost.client(), ids)
    try:
        await until(lambda: len(outpost.known) >= 3)
        assert outpost.known[0] == [ID]
    finally:
        await mirror.close()


async def test_a_start_whose_news_were_lost_is_found_out(outpost: FakeOutpost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror_module, "_LONG_SECONDS", 0.05)

    async def ids() -> list[str] | None:
        return [ID]

    mirror = Mirror(outpost.client(), ids)
    outpost.servers[ID] = view(ID, "starting")
    await come(outpost, mirror)
    record = mirror.expect(ID)
    outpost.servers[ID] = view(ID, "running")
    await until(lambda: record.running)
    await mirror.close()


async def test_no_list_is_told_when_there_is_none_to_be_read(outpost: FakeOutpost, mirror: Mirror) -> None:
    await come(outpost, mirror)
    await asyncio.sleep(0.2)
    assert outpost.known == []


async def test_the_log_from_before_is_fetched_once(outpost: FakeOutpost, mirror: Mirror) -> None:
    outpost.servers[ID] = view(ID, "starting")
    outpost.logs[ID] = [{"at": NOW.isoformat(), "progress": 5, "message": "Long ago."}]
    await come(outpost, mirror)
    record = mirror.expect(ID)
    outpost.tell(ID, message="Just now.")
    await until(lambda: record.lines)
    await mirror.complete_log(record)
    await mirror.complete_log(record)
    assert [line.message for line in record.lines_after(0)] == ["Long ago.", "Just now."]
    assert outpost.count("GET", "/log") == 1


async def test_what_is_over_and_released_is_forgotten(
    outpost: FakeOutpost, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    outpost.servers[ID] = view(ID)
    await come(outpost, mirror)
    mirror.expect(ID)
    outpost.tell(ID, message="A line.")
    await until(lambda: known(mirror).lines)
    monkeypatch.setattr(mirror_module, "_KEPT_SECONDS", 0.0)
    mirror.tidy()
    assert known(mirror).lines is None
    outpost.tell(ID, state="ended")
    await until(lambda: known(mirror).over)
    mirror.tidy()
    assert known(mirror).over
    mirror.release(ID)
    mirror.tidy()
    assert mirror.get(ID) is None


async def test_an_answer_to_a_start_is_known_before_any_event(outpost: FakeOutpost, mirror: Mirror) -> None:
    outpost.dead = False
    record = mirror.accept(ServerView.model_validate(view(ID, "accepted")), Watcher())
    assert record.state is ServerState.ACCEPTED
    assert record.log_complete


async def test_a_watcher_that_is_gone_is_not_kept(outpost: FakeOutpost, mirror: Mirror) -> None:
    outpost.servers[ID] = view(ID)
    watcher = Watcher()
    mirror.expect(ID, watcher)
    del watcher
    await come(outpost, mirror)
    outpost.tell(ID, state="ended")
    await until(lambda: known(mirror).over)
