"""The parts of the hub's side that listen, connect or read a database, each alone with real sockets and rows."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator

import httpx
import pytest
from jupyterhub import __version__, orm
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from roadstead.hub.known import known_ids
from roadstead.hub.reach import until_answers
from roadstead.hub.responder import Responder, listen
from roadstead.protocol import new_attempt_id


@pytest.fixture
async def responder() -> AsyncIterator[Responder]:
    responder = listen("127.0.0.1", 0, connect_ip="127.0.0.1", base_url="/base/", hub_url="/base/hub/", trust=None)
    yield responder
    responder.close()


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


NAVIGATE = {"Accept": "text/html,*/*", "X-Forwarded-For": "192.0.2.1"}


async def test_the_responder_satisfies_the_hubs_check(responder: Responder, http: httpx.AsyncClient) -> None:
    for path in ("/base/user/alice/api", "/base/user/alice/named/api"):
        answer = await http.get(f"{responder.address}{path}")
        assert answer.status_code == 200
        assert answer.headers["X-JupyterHub-Version"] == __version__
        assert answer.content == b""


async def test_the_responder_sends_people_to_the_hub_and_programs_away(
    responder: Responder, http: httpx.AsyncClient
) -> None:
    page = await http.get(f"{responder.address}/base/user/%C3%A5sa/job/lab?x=1&y=%2F", headers=NAVIGATE)
    assert page.status_code == 303
    assert page.headers["Location"] == (
        "/base/hub/roadstead/wait/%C3%A5sa?next=%2Fbase%2Fuser%2F%25C3%25A5sa%2Fjob%2Flab%3Fx%3D1%26y%3D%252F"
    )
    assert page.headers["Cache-Control"] == "no-store"
    forwarded = {"X-Forwarded-For": "192.0.2.1"}
    for request in (
        http.build_request("GET", f"{responder.address}/base/user/alice/api", headers=forwarded),
        http.build_request("GET", f"{responder.address}/base/user/alice/api/kernels", headers=forwarded),
        http.build_request("POST", f"{responder.address}/base/user/alice/lab", headers=NAVIGATE),
        http.build_request(
            "GET", f"{responder.address}/base/user/alice/ws", headers=NAVIGATE | {"Upgrade": "websocket"}
        ),
        http.build_request(
            "GET", f"{responder.address}/base/user/alice/x.js", headers=NAVIGATE | {"Sec-Fetch-Mode": "no-cors"}
        ),
    ):
        answer = await http.send(request)
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]


@pytest.mark.parametrize(
    "path", ["/", "/base/hub/home", "/base/user/", "/user/alice/api", "//evil.example/base/user/x"]
)
async def test_the_responder_knows_no_other_address(responder: Responder, http: httpx.AsyncClient, path: str) -> None:
    assert (await http.get(f"{responder.address}{path}", headers=NAVIGATE)).status_code == 404


async def test_the_responder_never_leads_away_from_the_hub(responder: Responder, http: httpx.AsyncClient) -> None:
    for user in ("%2F%2Fevil.example", "..", "%0d%0aSet-Cookie:x", "@evil.example"):
        answer = await http.get(
            httpx.URL(f"{responder.address}/base/user/").copy_with(raw_path=f"/base/user/{user}/lab".encode()),
            headers=NAVIGATE,
        )
        assert answer.headers.get("Location", "/base/hub/roadstead/wait/").startswith("/base/hub/roadstead/wait/")
        assert "Set-Cookie" not in answer.headers


async def test_a_server_is_reached_when_it_comes_up() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    waiting = asyncio.ensure_future(until_answers(f"http://127.0.0.1:{port}", "/user/alice/", None, 10))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    answers = [b"HTTP/1.1 503 Wait\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"]
    asked = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0])
        writer.write(answers[min(len(asked), 2) - 1])
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", port):
        await asyncio.wait_for(waiting, 5)
    assert asked == [b"GET /user/alice/api HTTP/1.1"] * 2


async def test_a_server_that_accepts_and_stays_silent_is_given_up_in_time() -> None:
    held = []

    async def hold(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)

    async with await asyncio.start_server(hold, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        begun = time.monotonic()
        with pytest.raises(TimeoutError):
            await until_answers(f"http://127.0.0.1:{port}", "/", None, 1.0)
        assert time.monotonic() - begun < 3
        for writer in held:
            writer.close()


@pytest.fixture
def session() -> Session:
    engine = create_engine("sqlite:///:memory:")
    orm.Base.metadata.create_all(engine)
    return Session(engine)


def add(session: Session, number: int, state: object) -> None:
    user = orm.User(name=f"user{number}")
    session.add(user)
    session.add(orm.Spawner(name="", user=user, state=state))


async def test_all_held_attempts_are_read_in_pieces(session: Session) -> None:
    ids = [new_attempt_id() for _ in range(1203)]
    for number, each in enumerate(ids):
        outpost = ("site", "other", "renamed")[number % 3]
        add(session, number, {"roadstead": {"id": each, "outpost": outpost, "system": "local"}})
    for number, state in enumerate([{}, None, {"pid": 3}, {"roadstead": {"id": "damaged"}}, [1]]):
        add(session, 5000 + number, state)
    session.commit()
    found = await known_ids(session, lambda name: name != "other")
    assert found == [each for number, each in enumerate(ids) if number % 3 != 1]


async def test_reading_them_lets_others_work(session: Session) -> None:
    for number in range(2000):
        add(session, number, {"roadstead": {"id": new_attempt_id(), "outpost": "site", "system": "local"}})
    session.commit()
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.ensure_future(others())
    assert len(await known_ids(session, lambda _: True)) == 2000
    task.cancel()
    assert turns >= 4
