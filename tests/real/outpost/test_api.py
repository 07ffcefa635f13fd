"""The outpost as hubs meet it: a real process with real hosts that start real servers on this machine."""

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from roadstead.protocol import PROTOCOL_HEADER, new_attempt_id
from tests.real.outposts import Outpost, local_system, outpost_in, request_body

FLAVORS = {
    "small": {"max": 3, "max_per_user": 2, "runtime": {"hours": 1}, "resources": {"cpus": 1, "memory": "1G"}},
    "shared": {"max": {"hub": 5, "all": 2}},
    "staff": {"groups": ["staff"], "display_name": "For staff"},
    "a-only": {"hubs": ["a"]},
}
OVERRIDES = {
    "default_url": {"type": "string", "pattern": "/[a-z]*"},
    "mem_limit": {"type": "string", "choices": ["1G", "2G"]},
}


@pytest.fixture(scope="module")
def outpost(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outpost]:
    folder = tmp_path_factory.mktemp("site")
    systems = {
        "local": local_system(
            folder, flavors=FLAVORS, overrides=OVERRIDES, apps={"lab": {}, "notebook": {"display_name": "Classic"}}
        ),
        "open": local_system(folder, without_flavor={"max": 2}, flavors={"big": {}}),
        "private": local_system(folder, hubs=["a"]),
    }
    yield from outpost_in(folder, systems=systems, hubs=("a", "b"))


def code(answer: httpx.Response) -> str:
    return f"{answer.status_code} {answer.json()['code']}"


async def answer_of(url: str) -> str:
    """What a server says, once it listens: the Spawner only knows that it has started a process."""
    async with httpx.AsyncClient() as browser, asyncio.timeout(20):
        while True:
            try:
                return (await browser.get(url)).text
            except httpx.ConnectError:
                await asyncio.sleep(0.05)


async def test_a_server_from_start_to_stop(outpost: Outpost) -> None:
    async with outpost.client("a") as hub:
        server_id = await hub.start("alice", "s1", flavor="small", app="notebook")
        view = await hub.until(server_id, "running")
        assert view["expires_at"] is not None
        assert view["titles"] == {"system": "local", "app": "Classic", "flavor": "small"}
        assert await answer_of(view["url"] + "/user/alice/s1/api") == "alice/s1\n"
        assert f"a.{server_id}" in outpost.servers()
        answer = await hub.delete(server_id)
        assert (answer.status_code, answer.json()["stop_requested"]) == (202, True)
        end = (await hub.until(server_id, "ended"))["end"]
        assert end["code"] == "stopped"
        assert f"a.{server_id}" not in outpost.servers()
        assert (await hub.delete(server_id)).json()["state"] == "ended"


async def test_the_same_request_again_is_the_same_server(outpost: Outpost) -> None:
    server_id, body = new_attempt_id(), request_body("again", flavor="small")
    async with outpost.client("a") as hub:
        answers = await asyncio.gather(*(hub.put(body, server_id) for _ in range(8)))
        assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
        assert code(await hub.put(request_body("again", app="lab", flavor="small"), server_id)) == "409 id-taken"
        await hub.until(server_id, "running")
        assert len(outpost.servers()[f"a.{server_id}"]) == 1
        await hub.delete(server_id)
        await hub.until(server_id, "ended")
        assert (await hub.put(body, server_id)).json()["state"] == "ended", "an attempt is never begun twice"


async def test_a_server_has_one_live_attempt(outpost: Outpost) -> None:
    older, newer = sorted((new_attempt_id(), new_attempt_id()))
    body = request_body("single", flavor="small")
    async with outpost.client("a") as hub:
        assert (await hub.put(body, newer)).status_code == 201
        stale = await hub.put(body, older)
        assert code(stale) == "409 id-stale"
        live = await hub.put(body)
        assert code(live) == "409 server-live"
        assert live.json()["server_id"] == newer
        await hub.delete(newer)
        await hub.until(newer, "ended")
        again = await hub.put(body)
        assert again.status_code == 201
        await hub.delete(again.json()["id"])


async def test_a_cancel_that_comes_before_its_start_wins(outpost: Outpost) -> None:
    server_id = new_attempt_id()
    async with outpost.client("a") as hub:
        assert code(await hub.delete(server_id)) == "404 not-found"
        assert code(await hub.put(request_body("early", flavor="small"), server_id)) == "409 id-stale"


async def test_limits_hold_when_everybody_presses_start_at_once(outpost: Outpost) -> None:
    async with outpost.client("b") as hub:
        answers = await asyncio.gather(*(hub.put(request_body(f"class{n}", flavor="small")) for n in range(12)))
        admitted = [answer.json()["id"] for answer in answers if answer.status_code == 201]
        refused = [answer for answer in answers if answer.status_code != 201]
        assert len(admitted) == 3
        assert {code(answer) for answer in refused} == {"429 flavor-full"}
        flavors = (await hub.http.post("/api/v1/systems", json={"user": {"name": "z"}})).json()["systems"][0]["flavors"]
        small = next(flavor for flavor in flavors if flavor["name"] == "small")
        assert (small["in_use"], small["max"], small["available"]) == (3, 3, False)
        async with outpost.client("a") as other:
            assert (await other.put(request_body("elsewhere", flavor="small"))).status_code == 201, "per hub"
        for server_id in admitted:
            await hub.delete(server_id)
        for server_id in admitted:
            await hub.until(server_id, "ended")


async def test_a_user_has_a_limit(outpost: Outpost) -> None:
    async with outpost.client("b") as hub:
        first = [await hub.start("greedy", f"s{n}", flavor="small") for n in range(2)]
        third = await hub.put(request_body("greedy", "s3", flavor="small"))
        assert code(third) == "429 user-limit"
        assert "2 servers" in third.json()["message"]
        for server_id in first:
            await hub.delete(server_id)
            await hub.until(server_id, "ended")


async def test_a_limit_over_all_hubs_tells_no_counts(outpost: Outpost) -> None:
    async with outpost.client("a") as a, outpost.client("b") as b:
        mine = [await a.start(f"share{n}", flavor="shared") for n in range(2)]
        refused = await b.put(request_body("share", flavor="shared"))
        assert code(refused) == "429 flavor-full"
        assert "2" not in refused.json()["message"]
        views = (await b.http.post("/api/v1/systems", json={"user": {"name": "x"}})).json()["systems"][0]["flavors"]
        shared = next(flavor for flavor in views if flavor["name"] == "shared")
        assert (shared["in_use"], shared["available"]) == (0, False)
        for server_id in mine:
            await a.delete(server_id)
            await a.until(server_id, "ended")


async def test_servers_without_a_flavor_have_a_limit_of_their_own(outpost: Outpost) -> None:
    async with outpost.client("a") as hub:
        ids = [await hub.start(f"plain{n}", system="open") for n in range(2)]
        assert code(await hub.put(request_body("plain", system="open"))) == "429 flavor-full"
        assert (await hub.put(request_body("plain", system="open", flavor="big"))).status_code == 201
        for server_id in ids:
            await hub.delete(server_id)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"system": "nowhere"}, "400 system-unknown"),
        ({"flavor": None}, "400 flavor-required"),
        ({"flavor": "huge"}, "400 flavor-unknown"),
        ({"flavor": "staff"}, "400 flavor-unknown"),
        ({"flavor": "small", "app": "desktop"}, "400 app-unknown"),
        ({"flavor": "small", "overrides": {"cmd": ["/bin/sh"]}}, "403 override-refused"),
        ({"flavor": "small", "overrides": {"mem_limit": "64G"}}, "403 override-refused"),
        ({"flavor": "small", "overrides": {"default_url": "/lab\n"}}, "403 override-refused"),
        ({"flavor": "small", "colour": "blue"}, "400 bad-request"),
        ({"flavor": ["small"]}, "400 bad-request"),
        ({"system": "../etc"}, "400 bad-request"),
    ],
)
async def test_what_is_not_offered_is_refused_with_what_is(
    outpost: Outpost, options: dict[str, Any], expected: str
) -> None:
    async with outpost.client("b") as hub:
        assert code(await hub.put(request_body("nobody", **options))) == expected


async def test_groups_and_hubs_open_flavors_and_systems(outpost: Outpost) -> None:
    staff = request_body("boss", flavor="staff")
    staff["user"]["groups"] = ["staff"]
    async with outpost.client("a") as a, outpost.client("b") as b:
        assert (await b.put(staff)).status_code == 201
        assert code(await b.put(request_body("x", flavor="a-only"))) == "400 flavor-unknown"
        assert code(await b.put(request_body("x", system="private"))) == "400 system-unknown"
        names = {
            hub: [
                s["name"]
                for s in (await client.http.post("/api/v1/systems", json={"user": {"name": "x"}})).json()["systems"]
            ]
            for hub, client in (("a", a), ("b", b))
        }
        assert names == {"a": ["local", "open", "private"], "b": ["local", "open"]}


async def test_no_hub_sees_or_touches_what_is_another_s(outpost: Outpost) -> None:
    async with outpost.client("a") as a, outpost.client("b") as b:
        server_id = await a.start("hidden", flavor="a-only")
        await a.until(server_id, "running")
        for answer in (
            await b.http.get(f"/api/v1/servers/{server_id}"),
            await b.http.get(f"/api/v1/servers/{server_id}/log"),
        ):
            assert code(answer) == "404 not-found"
        answer = await b.http.post("/api/v1/known", json={"ids": [server_id]})
        assert answer.json()["unknown_here"] == [server_id]
        assert server_id not in (await b.http.get("/api/v1/servers", params={"limit": 1000})).text
        events = await b.events(seconds=1)
        assert all(event.get("server_id") != server_id for event in events)
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1)), "no gap tells of others"
        unseen = new_attempt_id()
        assert (await b.delete(server_id)).text == (await b.delete(unseen)).text.replace(unseen, server_id)
        assert (await a.get(server_id))["state"] == "running"
        await a.delete(server_id)


async def test_an_id_of_another_hub_is_not_even_taken(outpost: Outpost) -> None:
    server_id = new_attempt_id()
    async with outpost.client("a") as a, outpost.client("b") as b:
        for hub in (a, b):
            assert (await hub.put(request_body("same", system="open", flavor="big"), server_id)).status_code == 201
        for hub in (a, b):
            await hub.delete(server_id)


async def test_lists_come_in_pages_and_can_be_filtered(outpost: Outpost) -> None:
    async with outpost.client("b") as hub:
        ids = [await hub.start("paged", f"p{n}", system="open", flavor="big") for n in range(5)]
        seen: list[str] = []
        after: dict[str, str] = {}
        while True:
            params = {"user": "paged", "system": "open", "live": "true", "limit": "2"}
            page = (await hub.http.get("/api/v1/servers", params=params | after)).json()
            seen += [server["id"] for server in page["servers"]]
            if page["next"] is None:
                break
            after = {"after": page["next"]}
        assert seen == sorted(ids)
        for server_id in ids:
            await hub.delete(server_id)


async def test_the_stream_tells_all_in_order_and_goes_on_where_it_was_left(outpost: Outpost) -> None:
    async with outpost.client("a") as hub:
        page = (await hub.http.get("/api/v1/servers", params={"limit": 1})).json()
        server_id = await hub.start("streamer", flavor="small")
        await hub.until(server_id, "running")
        events = [e for e in await hub.events(page["seq"], 1) if e.get("server_id") == server_id]
        states = [event["state"] for event in events if event["type"] == "state"]
        assert states == ["accepted", "starting", "running"]
        assert events[-1]["url"].startswith("http://127.0.0.1:")
        middle = events[0]["seq"]
        assert next(e["seq"] for e in await hub.events(middle, 1)) == middle + 1
        (reset,) = await hub.events(10**9, 1)
        assert reset["type"] == "reset"
        await hub.delete(server_id)


async def test_a_live_stream_hears_at_once(outpost: Outpost) -> None:
    async with outpost.client("a") as hub:
        seq = (await hub.http.get("/api/v1/servers", params={"limit": 1})).json()["seq"]
        async with hub.http.stream("GET", "/api/v1/events", params={"after": seq}) as stream:
            lines = stream.aiter_lines()
            server_id = await hub.start("listener", system="open", flavor="big")
            async with asyncio.timeout(20):
                async for line in lines:
                    if line.startswith("data: ") and json.loads(line[6:]).get("state") == "running":
                        break
        await hub.delete(server_id)


async def test_the_outpost_ends_what_the_hub_forgot(tmp_path: Path) -> None:
    for outpost in outpost_in(tmp_path / "site", grace=0.5):
        async with outpost.client() as hub:
            kept, lost = await hub.start("alice"), await hub.start("bob")
            for server_id in (kept, lost):
                await hub.until(server_id, "running")
            first = (await hub.http.post("/api/v1/known", json={"ids": [kept]})).json()
            assert first == {"unknown_here": [], "will_end": [lost]}
            assert (await hub.get(lost))["state"] == "running", "one list is not enough"
            await asyncio.sleep(0.7)
            await hub.http.post("/api/v1/known", json={"ids": [kept]})
            assert (await hub.until(lost, "ended"))["end"]["code"] == "forgotten"
            assert (await hub.get(kept))["state"] == "running"


async def test_a_server_named_again_is_spared(tmp_path: Path) -> None:
    for outpost in outpost_in(tmp_path / "site", grace=0.3):
        async with outpost.client() as hub:
            server_id = await hub.start("alice")
            for ids in ([], [server_id], []):
                await hub.http.post("/api/v1/known", json={"ids": ids})
                await asyncio.sleep(0.4)
            assert (await hub.get(server_id))["state"] in ("starting", "running")


async def test_the_run_time_is_enforced_and_the_user_warned(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    systems = {"local": local_system(folder, flavors={"short": {"runtime": 4}})}
    for outpost in outpost_in(folder, systems=systems, warn_before=[3, 1, 60]):
        async with outpost.client() as hub:
            server_id = await hub.start(flavor="short")
            end = await hub.until(server_id, "ended")
            assert end["end"]["code"] == "runtime-over"
            warnings = [event for event in await hub.events(seconds=1) if event["type"] == "warning"]
            assert len(warnings) == 2, "a warning that is longer than the run time says nothing"
            assert "seconds" in warnings[0]["message"]
            assert outpost.servers() == {}


async def test_what_a_class_keeps_over_the_end_is_there_at_the_next_start(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    settings = local_system(folder)["config"]["SimpleLocalProcessSpawner"]
    keeping = local_system(
        folder, spawner_class="tests.real.programs.spawners.Remembers", config={"Remembers": settings}
    )
    for outpost in outpost_in(folder, systems={"local": keeping}):
        async with outpost.client() as hub:
            for number in ("1", "2"):
                server_id = await hub.start("alice")
                await hub.until(server_id, "running")
                (process,) = outpost.servers()[f"hub.{server_id}"]
                assert process.environ()["STARTS"] == number
                await hub.delete(server_id)
                await hub.until(server_id, "ended")


async def test_a_start_has_a_deadline(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    slow = {"spawner_class": "tests.real.programs.spawners.NeverStarts", "start_timeout": 1}
    for outpost in outpost_in(folder, systems={"local": local_system(folder), "slow": slow | {"silence_timeout": 5.0}}):
        async with outpost.client() as hub:
            server_id = await hub.start(system="slow")
            end = (await hub.until(server_id, "ended"))["end"]
            assert end["code"] == "start-timeout"
            assert "1 s" in end["message"]


async def test_a_site_s_function_gives_the_flavors(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    lines = """
async def flavors(hub, user):
    if user.name == "broken":
        raise RuntimeError("secret detail")
    return {f"{hub}-{user.name}": {"max": 1}}
c.Outpost.systems["local"]["flavors"] = flavors
"""
    for outpost in outpost_in(folder, lines=lines):
        async with outpost.client() as hub:
            assert (await hub.put(request_body("alice", flavor="hub-alice"))).status_code == 201
            assert code(await hub.put(request_body("bob", flavor="hub-alice"))) == "400 flavor-unknown"
            broken = await hub.put(request_body("broken", flavor="x"))
            assert code(broken) == "503 system-down"
            assert "secret detail" not in broken.text
            view = (await hub.http.post("/api/v1/systems", json={"user": {"name": "broken"}})).json()["systems"][0]
            assert view["up"] is False


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Authorization": ""}, "401 credential-missing"),
        ({"Authorization": "Bearer wrong.secret"}, "401 credential-wrong"),
        ({PROTOCOL_HEADER: "2"}, "426 version-foreign"),
        ({PROTOCOL_HEADER: ""}, "426 version-foreign"),
    ],
)
async def test_who_and_what_is_not_let_in(outpost: Outpost, headers: dict[str, str], expected: str) -> None:
    async with outpost.client("a", **headers) as hub:
        for path in ("/api/v1/info", "/api/v1/servers", "/api/v1/events", f"/api/v1/servers/{new_attempt_id()}"):
            assert code(await hub.http.get(path)) == expected
        assert code(await hub.put(request_body())) == expected


@pytest.mark.parametrize(
    ("method", "path", "content", "expected"),
    [
        ("PUT", "/api/v1/servers/not-an-id", "{}", "400 bad-request"),
        ("PUT", "/api/v1/servers/{id}", "{", "400 bad-request"),
        ("PUT", "/api/v1/servers/{id}", "[]", "400 bad-request"),
        ("PUT", "/api/v1/servers/{id}", "\xff", "400 bad-request"),
        ("PUT", "/api/v1/servers/{id}", '{"a": "' + "x" * 2_000_000 + '"}', "413 too-large"),
        ("POST", "/api/v1/known", '{"ids": ["x"]}', "400 bad-request"),
        ("GET", "/api/v1/servers?limit=0", "", "400 bad-request"),
        ("GET", "/api/v1/servers?state=flying", "", "400 bad-request"),
        ("GET", "/api/v1/events?after=-1", "", "400 bad-request"),
        ("GET", "/api/v1/nothing", "", "404 not-found"),
    ],
)
async def test_malformed_requests_get_a_clear_answer(
    outpost: Outpost, method: str, path: str, content: str, expected: str
) -> None:
    async with outpost.client("a") as hub:
        answer = await hub.http.request(method, path.format(id=new_attempt_id()), content=content.encode("latin-1"))
        assert code(answer) == expected
        assert "x" * 100 not in answer.text


async def test_health_and_metrics(outpost: Outpost) -> None:
    async with httpx.AsyncClient(base_url=outpost.url) as stranger:
        health = await stranger.get("/health")
        assert (health.status_code, health.json()["status"]) == (200, "ok")
        assert (await stranger.get("/metrics")).status_code == 401
        token = {"Authorization": f"Bearer {outpost.metrics_token}"}
        metrics = (await stranger.get("/metrics", headers=token)).text
        assert 'roadstead_servers{state="running",system="local"}' in metrics
        assert 'roadstead_host_up{system="local"} 1.0' in metrics
        assert (await stranger.get("/api/v1/servers", headers=token)).status_code == 401
    async with outpost.client("a") as hub:
        assert (await hub.http.get("/metrics")).status_code == 401


async def test_a_second_outpost_on_the_same_folder_is_refused(outpost: Outpost) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "roadstead.outpost", "--config", str(outpost.config)),
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert b"another outpost runs on" in errors


async def test_no_secret_is_in_the_logs_or_in_another_s_sight(outpost: Outpost) -> None:
    async with outpost.client("a") as hub:
        server_id = await hub.start("discreet", flavor="small")
        await hub.until(server_id, "running")
        (process,) = outpost.servers()[f"a.{server_id}"]
        assert "token-of" not in " ".join(process.cmdline())
        assert "token-of" not in outpost.log.read_text()
        assert outpost.tokens["a"].split(".")[1] not in outpost.log.read_text()
        assert outpost.tokens["a"].split(".")[1] not in json.dumps(process.environ())
        await hub.delete(server_id)
