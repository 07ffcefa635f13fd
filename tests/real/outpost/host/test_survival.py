"""The host's own death at any moment: servers live on, are found again, and none is ever started twice."""

import asyncio
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from roadstead.protocol.host import Ended, Resume, Resumed, Start, Started, StateChanged, Stop, Stopped
from tests.real.outpost.host.driver import GUESTS, configuration, job, processes_of, running, until


async def test_a_server_is_taken_up_by_the_next_host(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    async with running(config) as host:
        started = await host.start(job())
        await host.kill()
    [pid] = processes_of("north:1")
    async with running(config) as host:
        order = job(state=started.state)
        await host.resume(order)
        await host.resume(order)
        assert await host.quiet(1.5) == []
        assert (await host.ping()).watched == 1
        assert processes_of("north:1") == [pid]
        os.kill(pid, signal.SIGKILL)
        assert (await host.expect(Ended)).exit_code == 0


async def test_a_server_that_ended_while_no_host_was_there_is_reported(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    async with running(config) as host:
        started = await host.start(job())
        await host.kill()
    [pid] = processes_of("north:1")
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not processes_of("north:1"))
    async with running(config) as host:
        host.order(Resume(job=job(state=started.state)))
        await host.expect(Resumed)
        await host.expect(Ended)


async def test_a_start_again_takes_away_what_the_first_made(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    async with running(config) as host:
        started = await host.start(job())
        await host.kill()
    before = processes_of("north:1")
    assert len(before) == 1
    for state in (started.state, {}):
        async with running(config) as host:
            again = await host.start(job(state=state), again=True)
            after = processes_of("north:1")
            assert after == [again.state["pid"]]
            assert after != before
            before = after
            await host.kill()


async def test_a_start_cut_off_before_its_state_was_known_is_not_doubled(tmp_path: Path) -> None:
    config = configuration(tmp_path, spawner_class=f"{GUESTS}.StartsThenHangs")
    async with running(config) as host:
        host.order(Start(job=job()))
        await until(lambda: processes_of("north:1"))
        assert not [report for report in await host.quiet(0.5) if isinstance(report, StateChanged)]
        await host.kill()
    before = processes_of("north:1")
    async with running(configuration(tmp_path)) as host:
        await host.start(job(), again=True)
        after = processes_of("north:1")
        assert len(after) == 1
        assert after != before
        await host.kill()
    async with running(config) as host:
        host.order(Stop(job=job()))
        await host.expect(Stopped)
        assert processes_of("north:1") == []


@pytest.fixture
def stranger() -> Any:
    with subprocess.Popen(["/bin/sleep", "1000"]) as process:
        yield process
        process.kill()


async def test_a_pid_that_became_a_strangers_is_neither_watched_nor_ended(
    tmp_path: Path, stranger: subprocess.Popen[bytes]
) -> None:
    config = configuration(tmp_path)
    async with running(config) as host:
        started = await host.start(job())
        await host.stop(job())
        state: dict[str, Any] = dict(started.state)
        state["pid"] = state["roadstead_process"]["pid"] = stranger.pid
        await host.resume(job("north:2", state=state))
        assert (await host.expect(Ended)).exit_code == 0
        host.order(Stop(job=job("north:3", state=state)))
        await host.expect(Stopped)
        await host.start(job("north:4", state=state), again=True)
        await host.stop(job("north:4"))
    assert stranger.poll() is None


async def test_a_restart_of_the_machine_makes_every_pid_a_strangers(
    tmp_path: Path, stranger: subprocess.Popen[bytes]
) -> None:
    async with running(configuration(tmp_path)) as host:
        started = await host.start(job())
        state: dict[str, Any] = dict(started.state)
        state["roadstead_process"] |= {"boot": "00000000-0000-0000-0000-000000000000"}
        await host.resume(job("north:2", state=state))
        await host.expect(Ended, "north:2")
        assert len(processes_of("north:1")) == 1
        await host.stop(job())


async def test_a_zombie_is_not_a_server(tmp_path: Path) -> None:
    # Some containers have no init that takes leave of orphans; here it is the first host, stopped, that does not.
    async with running(configuration(tmp_path)) as host:
        started = await host.start(job())
        pid = int(str(started.state["pid"]))
        os.kill(host.process.pid, signal.SIGSTOP)
        os.kill(pid, signal.SIGKILL)
        await until(lambda: Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] == "Z")
        other = configuration(_folder(tmp_path / "other"))
        async with running(other) as second:
            await second.resume(job(state=started.state))
            await second.expect(Ended)


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


async def test_a_thousand_servers_are_taken_up_while_pings_are_answered(tmp_path: Path) -> None:
    config = configuration(tmp_path, spawner_class=f"{GUESTS}.LooksUp", poll_interval=5.0)
    variables = {f"JUPYTERHUB_MORE_{number}": "x" * 40 for number in range(25)}
    async with running(config) as host:
        host.order(
            *[
                Resume(job=job(f"north:{number}", user=f"user{number}", state={"row": "1"}, environment=variables))
                for number in range(1000)
            ]
        )
        began = asyncio.get_running_loop().time()
        await host.ping(seconds=3)
        waited = asyncio.get_running_loop().time() - began
        taken = sum(isinstance(report, Resumed) for report in host.heard)
        assert taken < 900, f"the ping was to overtake the orders, but came after {taken} in {waited:.2f} s"
        while sum(isinstance(report, Resumed) for report in host.heard) < 1000:
            await host.read()
        await asyncio.sleep(6)
        pong = await host.ping()
        assert pong.watched == 1000
        assert pong.oldest_poll < 8
        host.order(Stop(job=job("north:7", user="user7", state={"row": "1"})))
        await host.expect(Stopped)
        host.order(Start(job=job("north:x", user="newcomer")))
        await host.expect(Started)
