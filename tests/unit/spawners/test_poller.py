"""One question for all jobs; no clean answer changes nothing, and gone takes two."""

import asyncio

import pytest

from roadstead.spawners import pace, poller
from roadstead.spawners.jobs import JobState
from roadstead.spawners.poller import Poller
from tests.unit.spawners.scheduler import Scheduler


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of some milliseconds, so that the tests need no time."""
    for name in ("SHORTEST", "QUIET", "FILLING", "LONGEST", "LONGEST_IN_A_HURRY"):
        monkeypatch.setattr(pace, name, 0.005)
    monkeypatch.setattr(poller, "_QUEUE_PACE", 0.0)


@pytest.fixture
def scheduler() -> Scheduler:
    return Scheduler()


async def test_one_question_for_all(scheduler: Scheduler) -> None:
    asks = Poller(scheduler, scheduler)
    watches = [asks.watch(f"job-{number}") for number in range(1000)]
    scheduler.add("job-7", JobState.RUNNING, host="c1")
    await asks.refresh()
    assert scheduler.asked.count("query") == 1
    assert watches[7].job is not None
    assert watches[7].job.host == "c1"
    assert watches[8].job is None


async def test_gone_takes_two_clean_answers(scheduler: Scheduler) -> None:
    asks = Poller(scheduler, scheduler)
    watch = asks.watch("job", hurry=True)
    scheduler.add("job", JobState.RUNNING)
    await asks.refresh()
    scheduler.jobs.clear()
    await asks.refresh()
    assert not watch.gone
    await asks.refresh()
    assert watch.gone


async def test_no_answer_counts_for_nothing(scheduler: Scheduler) -> None:
    asks = Poller(scheduler, scheduler)
    watch = asks.watch("job", hurry=True)
    scheduler.add("job", JobState.RUNNING)
    await asks.refresh()
    scheduler.jobs.clear()
    await asks.refresh()
    scheduler.down = True
    for _ in range(5):
        await asks.change()
    assert not watch.gone
    assert watch.job is not None
    assert "has not answered since" in asks.trouble
    scheduler.down = False
    scheduler.add("job", JobState.RUNNING)
    await asks.refresh()
    assert not asks.trouble
    assert not watch.gone


async def test_what_was_asked_before_a_submission_does_not_count(scheduler: Scheduler) -> None:
    asks = Poller(scheduler, scheduler)
    watch = asks.watch("job", hurry=True)
    for _ in range(2):
        await asks.refresh()
    assert watch.gone
    watch.expect()
    await asks.refresh()
    assert not watch.gone


async def test_a_job_that_is_seen_to_have_ended_is_gone_at_once(scheduler: Scheduler) -> None:
    asks = Poller(scheduler, scheduler)
    watch = asks.watch("job")
    scheduler.add("job", JobState.ENDED)
    await asks.refresh()
    assert watch.gone


async def test_of_doubled_jobs_the_oldest_counts(scheduler: Scheduler) -> None:
    asks = Poller(scheduler, scheduler)
    watch = asks.watch("job")
    scheduler.add("job")
    scheduler.add("job", JobState.RUNNING)
    await asks.refresh()
    assert watch.job is not None
    assert watch.job.id == "1"
    assert len(watch.jobs) == 2


async def test_a_scheduler_in_trouble_gets_a_cheap_question_first(scheduler: Scheduler) -> None:
    asks = Poller(scheduler, scheduler)
    asks.watch("job", hurry=True)
    scheduler.down = True
    while scheduler.asked.count("ping") < 3:
        await asks.change()
    assert scheduler.asked.count("query") == 1


async def test_a_mistake_in_a_driver_does_not_end_the_watching(
    scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    asks = Poller(scheduler, scheduler)
    watch = asks.watch("job", hurry=True)
    with monkeypatch.context() as broken:
        broken.setattr(scheduler, "read_query", lambda _: 1 / 0)
        await asks.change()
    scheduler.add("job")
    await asks.refresh()
    assert watch.job is not None


async def test_positions(scheduler: Scheduler) -> None:
    asks = Poller(scheduler, scheduler)
    for name in ("first", "second"):
        scheduler.add(name, partition="batch")
    scheduler.add("elsewhere", partition="gpus")
    watch = asks.watch("second")
    await asks.refresh()
    await asks.refresh()
    assert watch.position == 2


async def test_who_watches_nothing_asks_nothing(scheduler: Scheduler) -> None:
    asks = Poller(scheduler, scheduler)
    asks.watch("job")
    await asks.refresh()
    asks.forget("job")
    asked = len(scheduler.asked)
    await asyncio.sleep(0.05)
    assert len(scheduler.asked) <= asked + 1
