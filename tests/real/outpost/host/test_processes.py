"""Real processes: found by the attempt's key, told apart by their beginning, ended with all that they started."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from roadstead.outpost.host import processes
from roadstead.outpost.host.leftovers import Leftovers
from roadstead.outpost.host.processes import ProcessMark, mark_process
from tests.real.outpost.host.driver import processes_of, until

Starter = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start() -> Iterator[Starter]:
    """Starts processes that carry a key, and takes leave of them."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(key: str, script: str = "exec sleep 1000") -> subprocess.Popen[bytes]:
        env = os.environ | {"A": "1", "ROADSTEAD_SERVER_KEY": key, "Z": "1"}
        started.append(subprocess.Popen(["/bin/bash", "-c", script], env=env, start_new_session=True))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()


async def test_a_mark_is_one_process_only(start: Starter) -> None:
    process, other = start("test:marks"), start("test:others")
    mark = mark_process(process.pid, "test:marks")
    assert mark is not None
    assert mark.is_alive()
    assert mark_process(process.pid, "test:others") is None
    assert mark_process(os.getpid(), "test:marks") is None
    assert not mark.model_copy(update={"pid": other.pid}).is_alive() or mark.started == mark_started(other)
    assert not mark.model_copy(update={"boot": "another"}).is_alive()
    process.kill()
    await until(lambda: process.poll() is not None or not mark.is_alive())
    assert not mark.is_alive(), "a zombie is not alive"
    process.wait()
    assert not mark.is_alive()
    assert mark_process(process.pid, "test:marks") is None


def mark_started(process: subprocess.Popen[bytes]) -> int:
    mark = mark_process(process.pid, "test:others")
    assert isinstance(mark, ProcessMark)
    return mark.started


async def test_all_that_carries_a_key_is_ended_and_nothing_else(start: Starter) -> None:
    stubborn = "trap '' TERM; (trap '' TERM; sleep 1000; true) & sleep 1000; sleep 1000"
    start("test:1", stubborn)
    start("test:1")
    stranger = start("test:12")
    await until(lambda: len(processes_of("test:1")) >= 4)
    began = time.monotonic()
    assert await Leftovers().end("test:1") == []
    assert 4 < time.monotonic() - began < 15
    assert processes_of("test:1") == []
    assert stranger.poll() is None
    assert processes_of("test:12") == [stranger.pid]


async def test_what_ends_when_asked_is_not_killed(start: Starter) -> None:
    process = start("test:polite", "trap 'exit 7' TERM; sleep 0.1; while :; do sleep 0.1; done")
    await until(lambda: len(processes_of("test:polite")) >= 2)
    began = time.monotonic()
    assert await Leftovers().end("test:polite") == []
    assert process.wait() == 7
    assert time.monotonic() - began < 5


async def test_nothing_to_end_is_quickly_said() -> None:
    began = time.monotonic()
    assert await Leftovers().end("test:nobody") == []
    assert time.monotonic() - began < 1


async def test_many_who_ask_at_once_share_the_looks(start: Starter, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0
    look = processes.carriers

    def counted() -> dict[str, list[int]]:
        nonlocal looks
        looks += 1
        return look()

    monkeypatch.setattr(processes, "carriers", counted)
    leftovers = Leftovers()
    process = start("test:shared")
    found = await asyncio.gather(*[leftovers.of("test:shared") for _ in range(200)])
    assert all(pids == [process.pid] for pids in found)
    assert looks == 1
    assert await leftovers.of("test:shared") == [process.pid]
    assert looks == 2


async def test_a_signal_never_reaches_a_stranger(start: Starter) -> None:
    stranger = start("test:stranger")
    with processes.held([stranger.pid, 2**22 + 1], "test:somebody") as held:
        assert held == {}
        processes.send(held, signal.SIGKILL)
    assert stranger.poll() is None
