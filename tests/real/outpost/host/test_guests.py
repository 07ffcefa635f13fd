"""Classes that hang, block, exit, fail or lie: they disturb nothing but their own server, and leave nothing behind."""

import asyncio
import signal
from pathlib import Path

import pytest

from roadstead.protocol.host import Advanced, Ended, Start, Started, StartFailed, Stop, StopFailed, Stopped
from tests.real.outpost.host.driver import (
    GUESTS,
    TOKEN,
    configuration,
    job,
    processes_of,
    refused,
    running,
    spawn,
    until,
)


async def test_a_start_that_hangs_is_ended_by_stop(tmp_path: Path) -> None:
    async with running(configuration(tmp_path, spawner_class=f"{GUESTS}.StartsThenHangs")) as host:
        host.order(Start(job=job()))
        await until(lambda: processes_of("north:1"))
        host.order(Stop(job=job()))
        await host.expect(Stopped)
        assert processes_of("north:1") == []


async def test_a_start_that_ignores_its_cancellation_is_ended_when_it_comes_back(tmp_path: Path) -> None:
    async with running(configuration(tmp_path, spawner_class=f"{GUESTS}.IgnoresCancel")) as host:
        host.order(Start(job=job()))
        await host.expect(Advanced)
        await asyncio.sleep(0.5)
        host.order(Stop(job=job()))
        await host.expect(Stopped, seconds=8)
        assert "left to itself" in host.log.read_text()
        await until(lambda: "came back after the server was stopped" in host.log.read_text())
        await until(lambda: not processes_of("north:1"))
        await asyncio.sleep(0.5)
        assert processes_of("north:1") == []
        assert not [report for report in host.heard if isinstance(report, Started)]


async def test_a_hook_that_hangs_is_ended_by_stop(tmp_path: Path) -> None:
    text = "import asyncio\nc.Spawner.pre_spawn_hook = lambda spawner: asyncio.sleep(3600)"
    async with running(configuration(tmp_path, text)) as host:
        host.order(Start(job=job()))
        await asyncio.sleep(0.5)
        host.order(Stop(job=job()))
        await host.expect(Stopped, seconds=5)


async def test_a_stop_that_hangs_is_reported_and_the_next_may_be_harsh(tmp_path: Path) -> None:
    async with running(configuration(tmp_path, spawner_class=f"{GUESTS}.StopHangs", stop_timeout=1)) as host:
        await host.start(job())
        await host.start(job("north:2", user="bob"))
        for _ in range(2):
            host.order(Stop(job=job()))
            failed = await host.expect(StopFailed, "north:1")
            assert "did not come back within 1 seconds" in failed.message
            assert len(processes_of("north:1")) == 1
        host.order(Stop(job=job(), now=True))
        await host.expect(Stopped, "north:1")
        assert processes_of("north:1") == []
        assert len(processes_of("north:2")) == 1
        await host.stop(job("north:2", user="bob"), now=True)


async def test_a_stop_without_the_argument_now_works(tmp_path: Path) -> None:
    async with running(configuration(tmp_path, spawner_class=f"{GUESTS}.StopKnowsNoNow")) as host:
        await host.start(job())
        await host.stop(job(), now=True)
        assert processes_of("north:1") == []


async def test_unknown_is_not_gone(tmp_path: Path) -> None:
    async with running(configuration(tmp_path, spawner_class=f"{GUESTS}.PollsBadly")) as host:
        await host.start(job())
        await host.start(job("north:2", user="bob"))
        for what in ("raise", "exit", "hang", "flap"):
            tell(tmp_path, "alice", what)
            assert not [report for report in await host.quiet(1.5) if isinstance(report, Ended)], what
            pong = await host.ping()
            assert pong.watched == 2
            assert pong.oldest_poll > 1 or what == "flap"
            if what == "raise":
                host.order(Stop(job=job()))
                failed = await host.expect(StopFailed)
                assert "not known to have ended" in failed.message
                assert "the daemon does not answer" in failed.message
                tell(tmp_path, "alice", "")
                await host.stop(job())
                await host.start(job())
            tell(tmp_path, "alice", "")
        assert "the daemon does not answer" in host.log.read_text()
        tell(tmp_path, "alice", "words")
        assert (await host.expect(Ended)).exit_code == 137
        assert processes_of("north:1") == []
        assert len(processes_of("north:2")) == 1
        await host.stop(job("north:2", user="bob"))


def tell(folder: Path, user: str, what: str) -> None:
    (folder / "homes" / user / "poll").write_text(what)


async def test_a_class_that_blocks_answers_no_ping(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    async with running(config) as host:
        started = await host.start(job())
        await host.kill()
    async with running(configuration(tmp_path, spawner_class=f"{GUESTS}.Blocks")) as host:
        await host.resume(job(state=started.state))
        await host.ping()
        host.order(Start(job=job("north:2", user="bob")))
        await host.quiet(0.5)
        with pytest.raises(TimeoutError):
            await host.ping(1.5)
        await host.kill()
    assert len(processes_of("north:1")) == 1


async def test_a_class_that_kills_its_process_loses_no_server(tmp_path: Path) -> None:
    config = configuration(tmp_path, spawner_class=f"{GUESTS}.KillsItsProcess")
    async with running(config) as host:
        host.order(Start(job=job()))
        with pytest.raises(EOFError):
            await host.expect(Started)
        assert await host.process.wait() == -signal.SIGKILL
    assert len(processes_of("north:1")) == 1
    async with running(configuration(tmp_path)) as host:
        await host.start(job(), again=True)
        assert len(processes_of("north:1")) == 1
        await host.stop(job())


async def test_sys_exit_in_a_start_is_a_failed_start(tmp_path: Path) -> None:
    async with running(configuration(tmp_path, spawner_class=f"{GUESTS}.Exits")) as host:
        for name in ("", "inner"):
            host.order(Start(job=job(f"north:{name}", server_name=name)))
            failed = await host.expect(StartFailed)
            assert failed.message == "The Spawner called sys.exit(1)."
        await host.quiet(1.5)
        await host.ping()


async def test_sys_exit_in_a_task_of_its_own_ends_the_host_loudly(tmp_path: Path) -> None:
    async with running(configuration(tmp_path, spawner_class=f"{GUESTS}.ExitsLater")) as host:
        started = await host.start(job())
        assert await asyncio.wait_for(host.process.wait(), 10) == 5
        assert "called sys.exit(1) in a task of its own" in host.log.read_text()
    assert processes_of("north:1") == [started.state["pid"]]


async def test_sys_exit_while_it_is_made_refuses_the_system(tmp_path: Path) -> None:
    sentence = await refused(configuration(tmp_path, spawner_class=f"{GUESTS}.ExitsAtOnce"))
    assert "ExitsAtOnce cannot be made" in sentence
    assert "this machine is too old" in sentence


async def test_a_start_that_cancels_itself_fails(tmp_path: Path) -> None:
    async with running(configuration(tmp_path, spawner_class=f"{GUESTS}.CancelsItself")) as host:
        host.order(Start(job=job()))
        assert (await host.expect(StartFailed)).message == "The Spawner gave up what it was asked to do."


async def test_a_start_that_fails_half_way_leaves_nothing_and_tells_no_token(tmp_path: Path) -> None:
    async with running(configuration(tmp_path, spawner_class=f"{GUESTS}.FailsHalfWay")) as host:
        host.order(Start(job=job()))
        failed = await host.expect(StartFailed)
        assert "Authorization: token [hidden]" in failed.message
        assert processes_of("north:1") == []
        assert TOKEN not in host.log.read_text()


async def test_a_failed_start_is_reported_only_when_nothing_is_left(tmp_path: Path) -> None:
    config = configuration(tmp_path, spawner_class=f"{GUESTS}.StopHangs", stop_timeout=1)
    text = "from tests.real.outpost.host import guests\nclass Both(guests.FailsHalfWay, guests.StopHangs):\n    pass\n"
    config.write_text(f"{text}{config.read_text()}c.Outpost.systems['test']['spawner_class'] = Both\n")
    async with running(config) as host:
        host.order(Start(job=job()))
        line = await host.expect(Advanced)
        while "cannot be ended yet" not in line.message:
            line = await host.expect(Advanced)
        assert len(processes_of("north:1")) == 1
        await host.expect(StartFailed, seconds=30)
        assert processes_of("north:1") == []


async def test_orders_that_are_no_orders_are_dropped(tmp_path: Path) -> None:
    async with running(configuration(tmp_path)) as host:
        secret = job().model_dump_json().replace('"key":"north:1"', '"key":17').encode()
        host.writer.write(b'{"type": "dance"}\nnot json\n{"type":"start","job":' + secret + b"}\n")
        assert (await host.ping()).watched == 0
        await host.start(job())
        await host.stop(job())
        assert host.log.read_text().count("not understood") == 3
        assert TOKEN not in host.log.read_text()


async def test_a_line_without_end_ends_the_host(tmp_path: Path) -> None:
    async with running(configuration(tmp_path)) as host:
        started = await host.start(job())
        host.writer.write(b"x" * 9_000_000)
        assert await asyncio.wait_for(host.process.wait(), 10) == 4
    assert processes_of("north:1") == [started.state["pid"]]


async def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path) -> None:
    config = configuration(tmp_path, "c.Spawner.cmd = [")
    assert "SyntaxError" in await refused(config)
    config.write_text(configuration(tmp_path).read_text().replace("'test'", "'other'"))
    assert "There is no system 'test' in the configuration; there are other." in await refused(config)
    sentence = await refused(configuration(tmp_path, poll_interval="often", spawner_class="nowhere"))
    assert "Outpost.systems.test.poll_interval" in sentence
    assert "There is no Spawner called 'nowhere' here." in await refused(
        configuration(tmp_path, spawner_class="nowhere")
    )


async def test_an_outpost_that_hangs_up_early_leaves_no_host(tmp_path: Path) -> None:
    host = await spawn(configuration(tmp_path))
    assert await host.hang_up(20) in (0, 4)
