"""A job is submitted once, whatever becomes of the scheduler's answer, and cancelled until it is gone."""

import asyncio

import pytest

from roadstead.spawners import pace, poller, server_job, start_wrapper
from roadstead.spawners.driver import RefusedError
from roadstead.spawners.folder import Staged
from roadstead.spawners.jobs import JobRequest, JobState
from roadstead.spawners.poller import Poller
from roadstead.spawners.reports import ReportError
from roadstead.spawners.server_job import EndedError, Memory, ServerJob, Site
from tests.unit.spawners.scheduler import Scheduler


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of some milliseconds, so that the tests need no time."""
    for name in ("SHORTEST", "QUIET", "FILLING", "LONGEST", "LONGEST_IN_A_HURRY"):
        monkeypatch.setattr(pace, name, 0.005)
    monkeypatch.setattr(poller, "_QUEUE_PACE", 0.0)
    monkeypatch.setattr(server_job, "_SETTLE", 0.05)
    monkeypatch.setattr(server_job, "_CANCEL_AGAIN", 0.05)


class Place:
    """A site with the scheduler of these tests, and what was said and remembered there."""

    def __init__(self) -> None:
        self.scheduler = Scheduler()
        self.said: list[str] = []
        self.remembered: list[Memory] = []
        self.site = Site(
            driver=self.scheduler,
            poller=Poller(self.scheduler, self.scheduler),
            service=self.scheduler,
            user=self.scheduler,
            python="/usr/bin/python3",
            keep_days=1,
            node_address="",
            reports=True,
        )

    def job(self, **memory: str) -> ServerJob:
        values = Memory(**{"name": "job", "secret": "s3cret"} | memory)  # type: ignore[arg-type]
        return ServerJob(
            values,
            self.site,
            lambda _, text: self.said.append(text),
            lambda: self.remembered.append(values.model_copy()),
        )


@pytest.fixture
def place() -> Place:
    return Place()


def request(_: Staged) -> JobRequest:
    return JobRequest(name="job", script="", folder="", log="")


async def test_a_job_is_submitted_and_its_number_written_down(place: Place) -> None:
    await place.job().submit({}, request)
    assert [job.id for job in place.scheduler.named("job")] == ["1"]
    assert place.remembered[-1].id == "1"


async def test_a_lost_answer_is_looked_up(place: Place) -> None:
    place.scheduler.lose_answers = 1
    await place.job().submit({}, request)
    assert [job.id for job in place.scheduler.named("job")] == ["1"]
    assert place.remembered[-1].id == "1"
    assert place.scheduler.asked.count("submit") == 1
    assert any("looked up" in line for line in place.said)


async def test_what_was_not_taken_is_submitted_again(place: Place) -> None:
    place.scheduler.drop_submissions = 1
    await place.job().submit({}, request)
    assert len(place.scheduler.named("job")) == 1
    assert place.scheduler.asked.count("submit") == 2


async def test_in_an_outage_nothing_is_submitted_a_second_time(place: Place) -> None:
    place.scheduler.lose_answers = 1
    place.scheduler.hooks["query"] = lambda: setattr(place.scheduler, "down", True)
    task = asyncio.create_task(place.job().submit({}, request))
    await asyncio.sleep(0.2)
    assert not task.done()
    assert any("has not answered since" in line for line in place.said)
    place.scheduler.down = False
    await task
    assert place.scheduler.asked.count("submit") == 1
    assert len(place.scheduler.named("job")) == 1


async def test_a_refusal_is_told(place: Place) -> None:
    place.scheduler.refusal = "No such account."
    with pytest.raises(RefusedError, match="No such account"):
        await place.job().submit({}, request)


async def test_a_job_is_found_again_by_its_name(place: Place) -> None:
    place.scheduler.add("job")
    job = place.job()
    assert await job.find()
    assert job.memory.id == "1"
    assert not await place.job(name="other").find()


async def test_what_was_submitted_for_sure_is_not_submitted_again(place: Place) -> None:
    assert await place.job(id="7").find()


async def test_doubled_jobs_are_ended(place: Place) -> None:
    for _ in range(3):
        place.scheduler.add("job")
    task = asyncio.create_task(place.job().address())
    while len(place.scheduler.named("job")) > 1:
        await asyncio.sleep(0.01)
    task.cancel()
    assert [job.id for job in place.scheduler.named("job")] == ["1"]


def report(port: int = 4711, node: str = "c1", sequence: int = 1) -> str:
    news = {"sequence": sequence, "event": "listening", "node": node, "port": port}
    return start_wrapper.signed({"name": "job", "secret": "s3cret"}, news)


async def test_where_the_server_listens(place: Place) -> None:
    place.scheduler.add("job", JobState.RUNNING, host="c1")
    job = place.job()
    job.hear(report())
    assert await job.address() == ("10.0.0.1", 4711)
    assert (place.remembered[-1].host, place.remembered[-1].port) == ("10.0.0.1", 4711)
    with pytest.raises(ReportError, match="heard before"):
        job.hear(report())


async def test_a_report_from_another_node_is_not_believed(place: Place) -> None:
    place.scheduler.add("job", JobState.RUNNING, host="c1")
    job = place.job()
    job.hear(report(port=666, node="evil"))
    task = asyncio.create_task(job.address())
    await asyncio.sleep(0.1)
    assert not task.done()
    job.hear(report(port=4712))
    assert await task == ("10.0.0.1", 4712)


async def test_a_job_that_ends_before_it_listens_says_why(place: Place) -> None:
    place.scheduler.add("job", JobState.RUNNING, host="c1")
    task = asyncio.create_task(place.job().address())
    await asyncio.sleep(0.05)
    place.scheduler.move("job", JobState.ENDED)
    with pytest.raises(EndedError, match=r"It is over\."):
        await task


async def test_stopping_is_repeated_until_the_job_is_gone(place: Place) -> None:
    place.scheduler.add("job", JobState.RUNNING)
    place.scheduler.hooks["cancel"] = lambda: setattr(place.scheduler, "down", True)
    task = asyncio.create_task(place.job().stop())
    await asyncio.sleep(0.1)
    assert not task.done()
    place.scheduler.down = False
    await task
    assert not place.scheduler.named("job")


async def test_an_outage_ends_no_server(place: Place) -> None:
    place.scheduler.add("job", JobState.RUNNING)
    job = place.job()
    await job.find()
    place.scheduler.jobs.clear()
    place.scheduler.down = True
    await asyncio.sleep(0.1)
    assert await job.exit_code() is None
    place.scheduler.down = False
    while (code := await job.exit_code()) is None:
        await asyncio.sleep(0.01)
    assert code == 3
    assert job.end is not None
    assert job.end.message == "It is over."
