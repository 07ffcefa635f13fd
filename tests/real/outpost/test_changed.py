"""An outpost that comes back with another configuration: what the old one began is neither lost nor in the way."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.outposts import Outpost, local_system, request_body


@pytest.fixture
def outpost(tmp_path: Path) -> Iterator[Outpost]:
    folder = tmp_path / "site"
    short = {"short": {"runtime": 8}, "long": {"runtime": 3600}}
    systems = {name: local_system(folder, flavors=short, without_flavor={}) for name in ("local", "other")}
    outpost = Outpost(folder, systems=systems, warn_before=(3598, 1), grace=0)
    outpost.start()
    yield outpost
    outpost.clean_up()


def change(outpost: Outpost, old: str, new: str) -> None:
    """Start it again with another configuration."""
    outpost.kill()
    text = outpost.config.read_text()
    assert old in text
    outpost.config.write_text(text.replace(old, new))
    outpost.start()


async def test_a_system_that_is_gone_holds_nobody_up(outpost: Outpost) -> None:
    async with outpost.client() as hub:
        running = await hub.start("running", system="other")
        forgotten = await hub.start("forgotten", system="other", flavor="short")
        timed = await hub.start("timed", system="local", flavor="short")
        for server_id in (running, forgotten, timed):
            await hub.until(server_id, "running")
    change(outpost, "'other':", "'renamed':")
    async with outpost.client() as hub:
        assert (await hub.get(running))["state"] == "running", "no answer is no end"
        assert (await hub.delete(running)).status_code == 202
        for _ in range(2):
            answer = await hub.http.post("/api/v1/known", json={"ids": [timed]})
            assert answer.status_code == 200, answer.text
        end = (await hub.until(timed, "ended"))["end"]
        assert end["code"] == "runtime-over"
        assert (await hub.http.post("/api/v1/systems", json={"user": {"name": "running"}})).status_code == 200
        assert set(outpost.servers()) == {f"hub.{running}", f"hub.{forgotten}"}
    change(outpost, "'renamed':", "'other':")
    async with outpost.client() as hub:
        for server_id in (running, forgotten):
            await hub.until(server_id, "ended")
    assert outpost.servers() == {}


async def test_other_moments_to_warn_leave_runtimes_in_force(outpost: Outpost) -> None:
    async with outpost.client() as hub:
        long = await hub.start("long", system="local", flavor="long")
        await hub.until(long, "running")
    change(outpost, "(3598, 1)", "(1,)")
    # The warning that was planned comes due, and there is no such warning any more.
    await asyncio.sleep(2)
    async with outpost.client() as hub:
        short = await hub.start("short", system="local", flavor="short")
        assert (await hub.until(short, "ended"))["end"]["code"] == "runtime-over"
        assert (await hub.get(long))["state"] == "running"


async def test_a_record_that_cannot_be_read_holds_nobody_up(outpost: Outpost) -> None:
    async with outpost.client() as hub:
        first, second = await hub.start("first"), await hub.start("second")
        for server_id in (first, second):
            await hub.until(server_id, "running")
    outpost.kill()
    (outpost.state / "ledger.key").unlink()
    outpost.start()
    async with outpost.client() as hub:
        third = await hub.start("third")
        await hub.until(third, "running")
        outpost.kill()
        outpost.start()
    async with outpost.client() as hub:
        (process,) = outpost.servers()[f"hub.{third}"]
        process.kill()
        assert (await hub.until(third, "ended"))["end"]["code"] == "exited", "what comes after it is watched"
        assert (await hub.get(first))["state"] == "running"
        assert (await hub.put(request_body("fourth"))).status_code == 201
