"""The whole life of a server in a real host: start, progress, state, watching, stop, and its own end."""

import asyncio
import os
import signal
from pathlib import Path

import httpx

from roadstead.protocol.host import (
    Advanced,
    Ended,
    Forget,
    Start,
    Started,
    StartFailed,
    StateChanged,
    Stop,
    Stopped,
)
from tests.real.outpost.host.driver import (
    GUESTS,
    TINY,
    Host,
    configuration,
    environment_of,
    job,
    processes_of,
    running,
    until,
)


async def answers(url: str) -> str:
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(retries=20)) as client:
        return (await client.get(url)).text.strip()


async def test_a_server_is_started_watched_and_stopped(tmp_path: Path) -> None:
    async with running(configuration(tmp_path)) as host:
        started = await host.start(job(server_name="lab"))
        assert [type(report) for report in host.heard[1:]] == [Advanced, Started]
        assert await answers(started.url) == "alice/lab"
        [pid] = processes_of("north:1")
        assert started.state["pid"] == pid
        assert started.api_token is None

        assert await host.quiet(1) == []
        pong = await host.ping()
        assert pong.watched == 1
        assert pong.oldest_poll < 1

        host.order(Stop(job=job(server_name="lab")))
        await host.expect(Stopped)
        assert processes_of("north:1") == []
        assert isinstance(host.heard[-2], StateChanged)
        assert host.heard[-2].state == {}
        assert (await host.ping()).watched == 0

        host.order(Stop(job=job(server_name="lab")))
        await host.expect(Stopped)
        host.order(Forget(key="north:1"), Stop(job=job(server_name="lab", state=started.state)))
        await host.expect(Stopped, seconds=5)


async def test_the_same_order_again_gets_the_same_answer(tmp_path: Path) -> None:
    async with running(configuration(tmp_path, spawner_class=f"{GUESTS}.Talks")) as host:
        host.order(Start(job=job()), Start(job=job()), Start(job=job(), again=True))
        started = await host.expect(Started)
        assert not [report for report in await host.quiet(0.5) if isinstance(report, Started)]
        assert await host.start(job()) == started
        assert await host.start(job(), again=True) == started
        assert len(processes_of("north:1")) == 1

        host.order(*[Stop(job=job())] * 3)
        await host.expect(Stopped)
        assert not [report for report in await host.quiet(0.5) if isinstance(report, Stopped)]


async def test_progress_is_text_within_bounds(tmp_path: Path) -> None:
    async with running(configuration(tmp_path, spawner_class=f"{GUESTS}.Talks")) as host:
        await host.start(job())
        lines = [(line.progress, line.message) for line in host.heard if isinstance(line, Advanced)]
        assert lines == [(10, "Asking the queue"), (55, "Node n1 & n2"), (None, "Too far [2J"), (None, "only text")]


async def test_progress_without_end_holds_nobody_up(tmp_path: Path) -> None:
    async with running(configuration(tmp_path, spawner_class=f"{GUESTS}.TalksForEver")) as host:
        await host.start(job(), seconds=3)
        assert (await host.ping(1)).watched == 1
        await host.quiet(2.5)
        assert await host.quiet(0.5) == []


async def test_the_state_is_reported_while_the_start_goes_on(tmp_path: Path) -> None:
    config = configuration(tmp_path, spawner_class=f"{GUESTS}.FindsItLater")
    async with running(config) as host:
        host.order(Start(job=job()))
        changed = await host.expect(StateChanged)
        assert changed.state["job"] == "4711"
        started = await host.expect(Started)
        assert started.state["job"] == "4711"
        assert started.state["pid"] == processes_of("north:1")[0]
        await host.kill()
    async with running(config) as host:
        await host.resume(job(state=started.state))
        assert not [report for report in await host.quiet(1) if isinstance(report, Ended)]
        await host.stop(job(state=started.state))
        assert processes_of("north:1") == []


async def test_a_server_that_ends_by_itself_is_reported_with_its_exit_code(tmp_path: Path) -> None:
    async with running(configuration(tmp_path, "c.Spawner.post_stop_hook = lambda spawner: print('hook')")) as host:
        started = await host.start(job())
        os.kill(int(str(started.state["pid"])), signal.SIGKILL)
        ended = await host.expect(Ended)
        assert ended.exit_code == -9
        assert (await host.ping()).watched == 0
        host.order(Stop(job=job()))
        await host.expect(Stopped)


async def test_what_a_server_leaves_behind_is_ended_with_it(tmp_path: Path) -> None:
    script = "sleep 1000 & trap '' TERM INT; (trap '' TERM INT; sleep 1000) & exec sleep 1000"
    config = configuration(tmp_path, f"c.Spawner.cmd = ['/bin/bash', '-c', {script!r}]")
    async with running(config) as host:
        started = await host.start(job())
        await until(lambda: len(processes_of("north:1")) >= 3)
        os.kill(int(str(started.state["pid"])), signal.SIGKILL)
        await host.expect(Ended, seconds=25)
        assert processes_of("north:1") == []

        await host.start(job("north:2"))
        await until(lambda: len(processes_of("north:2")) >= 3)
        await host.stop(job("north:2"))
        assert processes_of("north:2") == []


async def test_a_server_survives_the_outpost_hanging_up(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    async with running(config) as host:
        started = await host.start(job())
        assert await host.hang_up() == 0
    assert await answers(started.url) == "alice/"
    async with running(config) as host:
        await host.stop(job(state=started.state))
        assert processes_of("north:1") == []


async def test_ctrl_c_in_the_terminal_ends_neither_host_nor_servers(tmp_path: Path) -> None:
    async with running(configuration(tmp_path)) as host:
        started = await host.start(job())
        host.process.send_signal(signal.SIGINT)
        await host.ping()
        assert await answers(started.url) == "alice/"
        status = Path(f"/proc/{started.state['pid']}/status").read_text()
        ignored = int(next(line for line in status.splitlines() if line.startswith("SigIgn")).split()[1], 16)
        assert not ignored & 1 << (signal.SIGINT - 1), "the server must not inherit an ignored SIGINT"
        await host.stop(job())


async def test_servers_inherit_neither_socket_nor_lock(tmp_path: Path) -> None:
    text = "c.LocalProcessSpawner.popen_kwargs = {'close_fds': False}"
    async with running(configuration(tmp_path, text)) as host:
        started = await host.start(job())
        links = [str(link.readlink()) for link in Path(f"/proc/{started.state['pid']}/fd").iterdir()]
        assert not [link for link in links if "host-test.lock" in link], links
        ours = {str(link.readlink()) for link in Path(f"/proc/{host.process.pid}/fd").iterdir()}
        assert not {link for link in links if link.startswith("socket:")} & ours
        await host.stop(job())


async def test_a_second_host_of_a_system_waits_for_the_first(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    async with running(config) as host:
        await host.start(job())
        lock = config.with_name("host-test.lock")
        assert lock.read_text().strip() == str(host.process.pid)
        second = asyncio.create_task(_first_words(config))
        await asyncio.sleep(1)
        assert not second.done()
        await host.stop(job())
        await host.kill()
        assert await asyncio.wait_for(second, 20)


async def _first_words(config: Path) -> bool:
    async with running(config):
        return True


async def test_many_starts_at_once_do_not_wait_for_each_other(tmp_path: Path) -> None:
    text = "import asyncio\nasync def wait(spawner):\n    await asyncio.sleep(2)\nc.Spawner.pre_spawn_hook = wait"
    config = configuration(tmp_path, text, spawner_class=f"{GUESTS}.LooksUp")
    async with running(config) as host:
        began = asyncio.get_running_loop().time()
        host.order(*[Start(job=job(f"north:{number}", user=f"user{number}")) for number in range(100)])
        for _ in range(100):
            await host.expect(Started)
        assert asyncio.get_running_loop().time() - began < 6


async def test_a_start_that_cannot_work_says_why(tmp_path: Path) -> None:
    config = configuration(tmp_path, "c.Spawner.cmd = ['/nowhere/jupyterhub-singleuser']")
    async with running(config) as host:
        host.order(Start(job=job()))
        failed = await host.expect(StartFailed)
        assert "/nowhere/jupyterhub-singleuser" in failed.message
        assert "SimpleLocalProcessSpawner" in failed.message
        host.order(Start(job=job()))
        assert await host.expect(StartFailed) == failed
        host.order(Stop(job=job()))
        await host.expect(Stopped)


def test_the_tiny_server_is_there() -> None:
    assert Path(TINY[1]).is_file()


async def command_line(host: Host, started: Started) -> list[str]:
    return Path(f"/proc/{started.state['pid']}/cmdline").read_text().split("\0")[:-1]


async def test_arguments_reach_the_server(tmp_path: Path) -> None:
    config = configuration(
        tmp_path, "c.Spawner.args.append('--first')", hub_config={"north": {"Spawner": {"debug": True}}}
    )
    async with running(config) as host:
        started = await host.start(job())
        assert await command_line(host, started) == [*TINY, "--first"]
        assert environment_of(int(str(started.state["pid"])))["JUPYTERHUB_DEBUG"] == "1"
        await host.stop(job())
