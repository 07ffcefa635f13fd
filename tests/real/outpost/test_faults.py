"""Any moment may be the last: in every state of the lifecycle every process is killed, stopped or starved.

Afterwards the process table and the ledger are compared: no orphan, no double, none lost, none declared dead that
lives.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest

from roadstead.outpost import lifecycle
from roadstead.protocol import ServerState
from tests.real.outposts import HubClient, Outpost, local_system, request_body

SPAWNERS: Final = "tests.real.programs.spawners"
SYSTEMS: Final = {
    ServerState.ACCEPTED: "late",
    ServerState.STARTING: "slow",
    ServerState.RUNNING: "local",
    ServerState.STOPPING: "sticky",
}
"""A system in which an attempt stays in a state long enough to strike."""


def configured(folder: Path) -> Outpost:
    slow = local_system(folder)["config"]["SimpleLocalProcessSpawner"]
    systems = {
        "local": local_system(folder),
        "late": local_system(folder),
        "slow": local_system(folder, spawner_class=f"{SPAWNERS}.SlowStart", config={"SlowStart": slow}),
        "sticky": local_system(folder, spawner_class=f"{SPAWNERS}.StopsSlowly", config={"StopsSlowly": slow}),
    }
    return Outpost(folder, systems={name: system | {"silence_timeout": 2.0} for name, system in systems.items()})


@pytest.fixture
def outpost(tmp_path: Path) -> Iterator[Outpost]:
    outpost = configured(tmp_path / "site")
    outpost.start()
    yield outpost
    outpost.clean_up()


async def one_in_every_state(outpost: Outpost, hub: HubClient) -> dict[ServerState, str]:
    """An attempt in each state that the lifecycle has, but the end."""
    states = {row[0].split(",")[0] for row in lifecycle.transitions()} - {ServerState.ENDED.value}
    assert states == {state.value for state in SYSTEMS}, "a new state needs a system in which it lasts"
    running = await hub.start("running", system="local")
    stopping = await hub.start("stopping", system="sticky")
    for server_id in (running, stopping):
        await hub.until(server_id, "running")
    await hub.delete(stopping)
    starting = await hub.start("starting", system="slow")
    await hub.until(starting, "starting")
    os.kill(outpost.host_pid("late"), signal.SIGKILL)
    await asyncio.sleep(0.1)
    accepted = await hub.start("accepted", system="late")
    ids = [accepted, starting, running, stopping]
    found = dict(zip(SYSTEMS, ids, strict=True))
    assert {state: (await hub.get(server_id))["state"] for state, server_id in found.items()} == {
        state: state.value for state in SYSTEMS
    }
    return found


def signal_hosts(pids: list[int], number: int) -> None:
    """The host that was just killed may not be back yet."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def hosts(outpost: Outpost) -> list[int]:
    return [outpost.host_pid(system) for system in SYSTEMS.values()]


def kill_hosts(outpost: Outpost) -> None:
    signal_hosts(hosts(outpost), signal.SIGKILL)


def stop_hosts(outpost: Outpost) -> None:
    signal_hosts(hosts(outpost), signal.SIGSTOP)


def kill_outpost(outpost: Outpost) -> None:
    outpost.kill()
    outpost.begin()


def end_outpost(outpost: Outpost) -> None:
    outpost.kill(signal.SIGTERM)
    outpost.begin()


def kill_outpost_while_hosts_are_stopped(outpost: Outpost) -> None:
    stop_hosts(outpost)
    outpost.kill()
    outpost.begin()


def stop_outpost_for_a_while(outpost: Outpost) -> None:
    outpost.kill(signal.SIGSTOP)
    time.sleep(3)
    outpost.kill(signal.SIGCONT)


def kill_everything(outpost: Outpost) -> None:
    pids = hosts(outpost)
    outpost.kill()
    signal_hosts(pids, signal.SIGKILL)
    outpost.begin()


FAULTS: Final[list[Callable[[Outpost], None]]] = [
    kill_hosts,
    stop_hosts,
    kill_outpost,
    end_outpost,
    kill_outpost_while_hosts_are_stopped,
    stop_outpost_for_a_while,
    kill_everything,
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_in_every_state(outpost: Outpost, fault: Callable[[Outpost], None]) -> None:
    async with outpost.client() as hub:
        ids = await one_in_every_state(outpost, hub)
        before = {process.pid for process in outpost.servers()[f"hub.{ids[ServerState.RUNNING]}"]}
    await asyncio.to_thread(fault, outpost)
    async with outpost.client() as hub:
        for state in (ServerState.ACCEPTED, ServerState.STARTING, ServerState.RUNNING):
            await hub.until(ids[state], "running", "ended", seconds=40)
        end = await hub.until(ids[ServerState.STOPPING], "ended", seconds=40)
        assert end["end"]["code"] == "stopped"
        await agree(outpost, hub, ids)
        kept = {process.pid for process in outpost.servers()[f"hub.{ids[ServerState.RUNNING]}"]}
        assert kept == before, "a running server is never touched"
        for server_id in ids.values():
            await hub.delete(server_id)
            await hub.until(server_id, "ended", seconds=40)
        await agree(outpost, hub, ids)


async def agree(outpost: Outpost, hub: HubClient, ids: dict[ServerState, str]) -> None:
    """Ledger and process table say the same of every attempt."""
    servers = outpost.servers()
    views = {server_id: await hub.get(server_id) for server_id in ids.values()}
    said = {server_id: view["state"] for server_id, view in views.items() if view["state"] != "ended"}
    assert all(state == "running" for state in said.values()), said
    assert {key: len(processes) for key, processes in servers.items()} == {f"hub.{server_id}": 1 for server_id in said}
    lost = [view["end"] for view in views.values() if view["end"] and view["end"]["code"] != "stopped"]
    assert lost == []


async def test_a_killed_server_is_known_to_have_ended(outpost: Outpost) -> None:
    async with outpost.client() as hub:
        server_id = await hub.start(system="local")
        await hub.until(server_id, "running")
        (process,) = outpost.servers()[f"hub.{server_id}"]
        process.kill()
        end = (await hub.until(server_id, "ended"))["end"]
        assert (end["code"], end["exit_code"]) == ("exited", -9)


async def test_a_server_that_ended_while_the_outpost_was_away_is_known(outpost: Outpost) -> None:
    async with outpost.client() as hub:
        server_id = await hub.start(system="local")
        await hub.until(server_id, "running")
    (process,) = outpost.servers()[f"hub.{server_id}"]
    outpost.kill()
    process.kill()
    outpost.begin()
    async with outpost.client() as hub:
        assert (await hub.until(server_id, "ended"))["end"]["code"] == "exited"


@pytest.fixture
def guests(tmp_path: Path) -> Iterator[Outpost]:
    """An outpost with Spawner classes that misbehave, each a system of its own."""
    folder = tmp_path / "site"
    trouble = ("NeverStarts", "StartsThenHangs", "StartHangsHard", "StopHangs", "PollHangs", "PollFails", "Blocks")
    systems = {"local": local_system(folder)}
    settings = systems["local"]["config"]["SimpleLocalProcessSpawner"]
    for name in (*trouble, "EndsItsProcess", "Refuses"):
        systems[name.lower()] = local_system(
            folder, spawner_class=f"{SPAWNERS}.{name}", config={name: settings}, silence_timeout=2.0, stop_timeout=2
        )
    outpost = Outpost(folder, systems=systems)
    outpost.start(60)
    yield outpost
    outpost.clean_up()


async def test_a_guest_that_misbehaves_disturbs_nobody_and_leaves_nothing(guests: Outpost) -> None:
    async with guests.client() as hub:
        bad = {
            name: await hub.start(name, system=name)
            for name in ("neverstarts", "startsthenhangs", "starthangshard", "blocks", "endsitsprocess", "refuses")
        }
        live = {name: await hub.start(name, system=name) for name in ("stophangs", "pollhangs", "pollfails")}
        good = await hub.start("good", system="local")
        await hub.until(good, "running", seconds=20)
        for server_id in live.values():
            await hub.until(server_id, "running")
        (guests.folder / "homes" / "pollfails" / "poll-fails").touch()
        refused = (await hub.until(bad.pop("refuses"), "ended"))["end"]
        assert refused["code"] == "start-failed"
        assert "quota of this project is used up" in refused["message"]
        given_up = (await hub.until(bad.pop("endsitsprocess"), "ended", seconds=60))["end"]
        assert given_up == lifecycle.GIVEN_UP.model_dump(mode="json")
        await asyncio.sleep(2)
        for server_id in (live["pollhangs"], live["pollfails"], good):
            assert (await hub.get(server_id))["state"] == "running", "no answer is no end"
        (guests.folder / "homes" / "pollfails" / "poll-fails").unlink()
        for server_id in (*bad.values(), *live.values(), good):
            await hub.delete(server_id)
        for name, server_id in (bad | live | {"good": good}).items():
            if name != "pollhangs":
                await hub.until(server_id, "ended", seconds=60)
    left = [key for key in guests.servers() if key != f"hub.{live['pollhangs']}"]
    assert left == [], "a poll that never answers keeps an end from being confirmed; nothing else does"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)], check=True)
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


async def test_a_full_disk_stops_new_starts_and_loses_nothing(small_disk: Path, tmp_path: Path) -> None:
    outpost = Outpost(tmp_path / "site", state_folder=str(small_disk / "state"))
    outpost.state = small_disk / "state"
    try:
        outpost.start()
        async with outpost.client() as hub:
            running = await hub.start("running")
            await hub.until(running, "running")
            fill(small_disk)
            refused = await refused_for_lack_of_room(hub)
            assert (refused.status_code, refused.json()["code"]) == (503, "ledger-down")
            assert "Nothing was started" in refused.json()["remedy"]
            assert set(outpost.servers()) == {f"hub.{running}"}
            outpost.servers()[f"hub.{running}"][0].kill()
            await asyncio.sleep(2)
            (small_disk / "ballast").unlink()
            assert (await hub.until(running, "ended"))["end"]["code"] == "exited", "the end was not forgotten"
            again = await hub.start("after")
            await hub.until(again, "running")
            await hub.delete(again)
            await hub.until(again, "ended")
    finally:
        outpost.clean_up()


def fill(place: Path) -> None:
    """Take all the room there is."""
    with (place / "ballast").open("wb", buffering=0) as ballast:
        for size in (65_536, 4096, 512, 1):
            try:
                while True:
                    ballast.write(b"x" * size)
            except OSError:
                continue


async def refused_for_lack_of_room(hub: HubClient) -> httpx.Response:
    """SQLite may still find room in its log for a few; ask until it does not."""
    for number in range(400):
        answer = await hub.put(request_body(f"u{number}"))
        if answer.status_code != 201:
            return answer
    raise AssertionError("the disk never became full")
