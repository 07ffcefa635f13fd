"""Calls to outposts that are away, slow, foreign or lying: one sentence each, at once, never a wrong belief."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from roadstead.hub import client as client_module
from roadstead.hub.client import MAX_ANSWER_BYTES, OutpostClient, UnreachableError
from roadstead.protocol import PROTOCOL_HEADER, ErrorCode, RoadsteadError, new_attempt_id
from roadstead.protocol.events import KEEPALIVE_SECONDS
from roadstead.protocol.servers import User
from tests.unit.hub.outpost import CREDENTIAL, Answer, FakeOutpost, answer, error, settings, view

ID = new_attempt_id()
OURS = {PROTOCOL_HEADER: "1"}


def client(handler: Answer, **changes: Any) -> OutpostClient:
    return OutpostClient("site", settings(**changes), httpx.MockTransport(handler))


def always(response: httpx.Response) -> Answer:
    async def handler(_: httpx.Request) -> httpx.Response:
        return response

    return handler


async def refused(response: httpx.Response) -> RoadsteadError:
    with pytest.raises(RoadsteadError) as caught:
        await client(always(response)).get(ID)
    return caught.value


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_gateway_before_a_dead_outpost_is_no_foreigner(status: int) -> None:
    assert (await refused(httpx.Response(status, text="Bad gateway"))).code is ErrorCode.OUTPOST_UNREACHABLE


@pytest.mark.parametrize(
    "response",
    [httpx.Response(200, json=view(ID)), httpx.Response(404, text="<h1>Apache</h1>"), httpx.Response(301)],
)
async def test_something_else_at_the_address_is_told(response: httpx.Response) -> None:
    found = await refused(response)
    assert found.code is ErrorCode.OUTPOST_FOREIGN
    assert "check the address" in found.sentence


@pytest.mark.parametrize("version", ["2", "0", "x" * 5000, "1.0", ""])
async def test_another_version_of_the_protocol_is_told(version: str) -> None:
    found = await refused(httpx.Response(200, json=view(ID), headers={PROTOCOL_HEADER: version}))
    assert found.code is ErrorCode.OUTPOST_FOREIGN
    assert "version" in found.sentence
    assert len(found.sentence) < 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b'{"id": 1}',
        b"\xff\xfe",
        b"[" * 100_000,
        json.dumps(view(ID) | {"extra": 1}).encode(),
        json.dumps(view(ID) | {"user": "../etc"}).encode(),
        json.dumps(view(new_attempt_id())).encode(),
    ],
)
async def test_an_answer_that_cannot_be_is_a_lie(body: bytes) -> None:
    found = await refused(httpx.Response(200, content=body, headers=OURS))
    assert found.code is ErrorCode.OUTPOST_LIED


async def test_an_error_whose_code_and_status_differ_is_a_lie() -> None:
    body = RoadsteadError(ErrorCode.NOT_FOUND, "No.").body.model_dump(mode="json")
    assert (await refused(answer(body, 409))).code is ErrorCode.OUTPOST_LIED
    assert (await refused(answer({"detail": "No."}, 404))).code is ErrorCode.OUTPOST_LIED


async def test_an_endless_answer_is_cut() -> None:
    read = 0

    async def endless() -> Any:
        nonlocal read
        while True:
            read += 1_000_000
            yield b"x" * 1_000_000

    async def handler(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers=OURS, content=endless())

    with pytest.raises(RoadsteadError) as caught:
        await client(handler).get(ID)
    assert caught.value.code is ErrorCode.OUTPOST_LIED
    assert read <= MAX_ANSWER_BYTES + 2_000_000


async def test_a_slow_outpost_is_waited_for_only_so_long() -> None:
    async def handler(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(60)
        raise AssertionError

    async def trickle() -> Any:
        while True:
            yield b" "
            await asyncio.sleep(0.01)

    async def dripping(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers=OURS, content=trickle())

    for answers in (handler, dripping):
        with pytest.raises(UnreachableError) as caught:
            await client(answers).systems(User(name="alice"), seconds=0.1)
        assert caught.value.sent
        assert "did not answer within 0.1 seconds" in caught.value.sentence


@pytest.mark.parametrize(
    ("failure", "sent"),
    [
        (httpx.ConnectError("refused"), False),
        (httpx.ConnectTimeout("slow"), False),
        (httpx.ReadTimeout("slow"), True),
        (httpx.ReadError("reset"), True),
        (httpx.WriteError("reset"), True),
        (httpx.RemoteProtocolError("Server disconnected without sending a response."), True),
    ],
)
async def test_it_is_known_whether_the_outpost_may_have_got_the_request(failure: Exception, sent: bool) -> None:
    async def handler(_: httpx.Request) -> httpx.Response:
        raise failure

    with pytest.raises(UnreachableError) as caught:
        await client(handler).delete(ID)
    assert caught.value.sent is sent
    assert "'site'" in caught.value.sentence


async def test_what_does_not_speak_http_is_foreign() -> None:
    async def handler(_: httpx.Request) -> httpx.Response:
        raise httpx.RemoteProtocolError("illegal status line: SSH-2.0")

    with pytest.raises(RoadsteadError) as caught:
        await client(handler).info()
    assert caught.value.code is ErrorCode.OUTPOST_FOREIGN


async def test_an_outpost_without_our_version_is_refused() -> None:
    info = {
        "name": "site",
        "software": "9",
        "protocol_versions": [2, 3],
        "hub": "h",
        "started_at": "2030-01-01T00:00:00Z",
    }
    with pytest.raises(RoadsteadError, match="2, 3") as caught:
        await client(always(answer(info))).info()
    assert caught.value.code is ErrorCode.OUTPOST_FOREIGN


async def test_errors_of_the_outpost_come_through_with_remedy_and_server() -> None:
    other = new_attempt_id()
    with pytest.raises(RoadsteadError) as caught:
        await client(always(error(ErrorCode.SERVER_LIVE, "Still there.", server_id=other))).get(ID)
    assert caught.value.body.server_id == other
    assert caught.value.code is ErrorCode.SERVER_LIVE


async def test_a_refused_credential_says_whose() -> None:
    with pytest.raises(RoadsteadError, match="does not accept this hub's credential") as caught:
        await client(always(error(ErrorCode.CREDENTIAL_WRONG))).get(ID)
    assert CREDENTIAL not in caught.value.sentence


async def test_a_replaced_credential_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "credential"
    path.write_text(CREDENTIAL)
    fresh = "key2." + "t" * 32

    async def handler(request: httpx.Request) -> httpx.Response:
        if request.headers["Authorization"] == f"Bearer {fresh}":
            return answer(view(ID))
        return error(ErrorCode.CREDENTIAL_EXPIRED)

    ours = client(handler, credential=None, credential_file=str(path))
    with pytest.raises(RoadsteadError):
        await ours.get(ID)
    path.write_text(fresh)
    assert (await ours.get(ID)).id == ID


async def test_a_list_comes_in_pages_and_in_order() -> None:
    outpost = FakeOutpost()
    ids = sorted(new_attempt_id() for _ in range(7))
    outpost.servers = {each: view(each) for each in reversed(ids)}
    assert [one.id async for page in outpost.client().pages() for one in page.servers] == ids


@pytest.mark.parametrize("kind", ["order", "loop", "skip"])
async def test_pages_that_cannot_be_are_a_lie(kind: str) -> None:
    one, two = sorted((new_attempt_id(), new_attempt_id()))
    pages: dict[str, dict[str, Any]] = {
        "order": {"servers": [view(two), view(one)], "next": None, "seq": 0},
        "loop": {"servers": [view(one)], "next": one, "seq": 0},
        "skip": {"servers": [], "next": two, "seq": 0},
    }
    with pytest.raises(RoadsteadError) as caught:
        _ = [each async for each in client(always(answer(pages[kind]))).pages()]
    assert caught.value.code is ErrorCode.OUTPOST_LIED


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(200, headers=OURS, json={}),
        httpx.Response(200, headers=OURS | {"Content-Type": "text/event-stream"}, content=b"data: {}\n\n"),
        httpx.Response(200, headers=OURS | {"Content-Type": "text/event-stream"}, content=b"data: " + b"x" * 300_000),
    ],
)
async def test_a_stream_that_is_none_is_a_lie(response: httpx.Response) -> None:
    with pytest.raises(RoadsteadError) as caught:
        _ = [each async for each in client(always(response)).events(0)]
    assert caught.value.code is ErrorCode.OUTPOST_LIED


async def test_a_silent_stream_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert client_module.SILENCE_SECONDS > KEEPALIVE_SECONDS * 2

    async def handler(_: httpx.Request) -> httpx.Response:
        async def silence() -> Any:
            yield b": connected\n\n"
            raise httpx.ReadTimeout("silence")

        return httpx.Response(200, headers=OURS | {"Content-Type": "text/event-stream"}, content=silence())

    stream = client(handler).events(0)
    assert await anext(stream) is None
    with pytest.raises(UnreachableError):
        await anext(stream)
