"""The watcher: fair, bounded, and sure before it says that a server has ended."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from roadstead.outpost.host.watch import Watcher


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second of the watcher lasts a twentieth."""
    for name in ("LONGEST_POLL", "OBEY", "RECHECK", "TICK"):
        monkeypatch.setattr(Watcher, name, getattr(Watcher, name) / 20)


@asynccontextmanager
async def watching(interval: float = 0.05) -> AsyncIterator[tuple[Watcher, list[tuple[str, int]]]]:
    ended: list[tuple[str, int]] = []
    watcher = Watcher(interval, lambda key, code: ended.append((key, code)), str)
    task = asyncio.create_task(watcher.run())
    try:
        yield watcher, ended
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def answering(*answers: Any) -> tuple[Callable[[], Any], list[float]]:
    """A poll that gives these answers, the last one for ever, and the moments at which it was asked."""
    left, asked = list(answers), []

    async def poll() -> int | None:
        asked.append(asyncio.get_running_loop().time())
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, BaseException):
            raise answer
        if answer == "hang":
            await asyncio.sleep(3600)
        assert answer is None or isinstance(answer, int)
        return answer

    return poll, asked


async def until(condition: Callable[[], bool], seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def test_two_clean_answers_end_a_server_and_the_first_has_the_code() -> None:
    async with watching() as (watcher, ended):
        poll, asked = answering(None, None, 137, 0)
        watcher.add("a", poll)
        await until(lambda: bool(ended))
        assert ended == [("a", 137)]
        assert len(asked) == 4
        assert len(watcher) == 0
        await asyncio.sleep(0.3)
        assert len(asked) == 4


@pytest.mark.parametrize("between", [None, RuntimeError("?"), SystemExit(1), "hang"])
async def test_one_answer_is_not_enough(between: Any) -> None:
    async with watching() as (watcher, ended):
        poll, asked = answering(1, between, 1, between, 1, between, None)
        watcher.add("a", poll)
        await until(lambda: len(asked) > 8)
        assert ended == []
        assert len(watcher) == 1


async def test_the_age_of_the_oldest_answer_grows_only_without_answers() -> None:
    async with watching() as (watcher, _):
        assert watcher.oldest() == 0
        watcher.add("a", answering(None)[0])
        await asyncio.sleep(0.3)
        assert watcher.oldest() < 0.25
        watcher.add("b", answering(RuntimeError("?"))[0])
        await asyncio.sleep(0.5)
        assert watcher.oldest() > 0.4
        watcher.remove("b")
        assert watcher.oldest() < 0.25


async def test_at_most_so_many_are_asked_at_once_and_nobody_starves() -> None:
    busy = most = 0
    asked = set()

    def slow(number: int) -> Callable[[], Any]:
        async def poll() -> None:
            nonlocal busy, most
            busy += 1
            most = max(most, busy)
            await asyncio.sleep(0.01)
            asked.add(number)
            busy -= 1

        return poll

    async with watching() as (watcher, _):
        for number in range(200):
            watcher.add(str(number), slow(number))
        await until(lambda: len(asked) == 200)
    assert 1 < most <= Watcher.AT_ONCE


async def test_a_poll_that_hangs_is_given_up_and_asked_again() -> None:
    async with watching() as (watcher, ended):
        poll, asked = answering("hang", None)
        watcher.add("a", poll)
        await until(lambda: len(asked) > 3)
        assert asked[1] - asked[0] >= Watcher.LONGEST_POLL
        assert ended == []


async def test_polls_that_do_not_let_themselves_be_cancelled_keep_nobody_out() -> None:
    asked = 0
    free = asyncio.Event()

    async def deaf() -> int | None:
        nonlocal asked
        asked += 1
        while not free.is_set():
            try:
                await free.wait()
            except asyncio.CancelledError:
                continue
        return None

    async with watching() as (watcher, _):
        for number in range(Watcher.AT_ONCE + 1):
            watcher.add(str(number), deaf)
        poll, others = answering(None)
        await until(lambda: asked >= Watcher.AT_ONCE)
        watcher.add("other", poll)
        await until(lambda: len(others) > 2)
        before = asked
        await asyncio.sleep(0.3)
        assert asked == before, "who does not obey is not asked a second time"
        free.set()
        await until(lambda: asked > before)


async def test_a_server_that_is_not_watched_any_more_is_not_reported() -> None:
    async with watching() as (watcher, ended):
        release = asyncio.Event()

        async def poll() -> int:
            await release.wait()
            return 1

        watcher.add("a", poll)
        await asyncio.sleep(0.1)
        watcher.remove("a")
        watcher.remove("a")
        release.set()
        await asyncio.sleep(0.2)
        assert ended == []
        assert len(watcher) == 0


async def test_polls_are_spread_over_the_interval() -> None:
    async with watching(interval=1.0) as (watcher, _):
        moments = []
        for number in range(300):
            poll, asked = answering(None)
            watcher.add(str(number), poll)
            moments.append(asked)
        await asyncio.sleep(1.2)
        first = sorted(asked[0] for asked in moments)
        assert first[-1] - first[0] > 0.7
        assert first[150] - first[0] > 0.2
