"""Placing an attempt: the same request again over lost answers, an older attempt ended first, refusals at once."""

from collections.abc import AsyncIterator

import pytest

from roadstead.hub import cancels, placement
from roadstead.hub import mirror as mirror_module
from roadstead.hub.mirror import Mirror
from roadstead.hub.placement import NotPlacedError, place
from roadstead.protocol import ErrorCode, ServerRequest, ServerView, new_attempt_id
from tests.real.outposts import request_body
from tests.unit.hub.outpost import FakeOutpost, error, view

REQUEST = ServerRequest.model_validate(request_body())


async def nothing_known() -> list[str] | None:
    return None


@pytest.fixture
def outpost() -> FakeOutpost:
    return FakeOutpost()


@pytest.fixture
async def mirror(outpost: FakeOutpost, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Mirror]:
    for module in (mirror_module, cancels, placement):
        monkeypatch.setattr(module, "_PAUSES", (0.01, 0.05))
    mirror = Mirror(outpost.client(), nothing_known)
    yield mirror
    await mirror.close()


async def asked(mirror: Mirror, server_id: str, seconds: float = 1.0) -> ServerView:
    return await place(mirror, server_id, REQUEST, seconds=seconds, clearing_seconds=1.0)


async def test_lost_answers_are_met_with_the_same_request(outpost: FakeOutpost, mirror: Mirror) -> None:
    outpost.lost_answers = 3
    server_id = new_attempt_id()
    assert (await asked(mirror, server_id)).id == server_id
    sent = {body for body in outpost.bodies if b"base_url" in body}
    assert len(sent) == 1
    assert outpost.count("PUT", server_id) == 4
    assert list(outpost.servers) == [server_id]


async def test_an_outpost_that_is_away_is_given_up_after_a_while(outpost: FakeOutpost, mirror: Mirror) -> None:
    outpost.dead = True
    with pytest.raises(NotPlacedError) as caught:
        await asked(mirror, new_attempt_id(), 0.1)
    assert caught.value.error.code is ErrorCode.OUTPOST_UNREACHABLE
    assert not caught.value.perhaps


async def test_a_lost_answer_leaves_the_possibility_that_it_was_placed(outpost: FakeOutpost, mirror: Mirror) -> None:
    outpost.lost_answers = 1000
    with pytest.raises(NotPlacedError) as caught:
        await asked(mirror, new_attempt_id(), 0.1)
    assert caught.value.perhaps


@pytest.mark.parametrize("code", [ErrorCode.FLAVOR_FULL, ErrorCode.BAD_REQUEST, ErrorCode.ID_STALE, ErrorCode.ID_TAKEN])
async def test_a_refusal_is_final(outpost: FakeOutpost, mirror: Mirror, code: ErrorCode) -> None:
    outpost.refusals = [error(code, "No room.")]
    with pytest.raises(NotPlacedError, match="No room") as caught:
        await asked(mirror, new_attempt_id())
    assert not caught.value.perhaps
    assert outpost.count("PUT") == 1


@pytest.mark.parametrize("code", [ErrorCode.SYSTEM_DOWN, ErrorCode.LEDGER_DOWN])
async def test_what_may_pass_is_tried_again(outpost: FakeOutpost, mirror: Mirror, code: ErrorCode) -> None:
    outpost.refusals = [error(code), error(code)]
    await asked(mirror, new_attempt_id())
    assert outpost.count("PUT") == 3


async def test_an_older_attempt_is_ended_first(outpost: FakeOutpost, mirror: Mirror) -> None:
    old, new = new_attempt_id(), new_attempt_id()
    outpost.servers[old] = view(old, "ended")
    outpost.refusals = [error(ErrorCode.SERVER_LIVE, "Still there.", server_id=old)]
    assert (await asked(mirror, new)).id == new
    assert outpost.requests.index(("DELETE", f"/api/v1/servers/{old}")) < len(outpost.requests) - 1


async def test_an_older_attempt_that_does_not_end_is_told(outpost: FakeOutpost, mirror: Mirror) -> None:
    old = new_attempt_id()
    outpost.servers[old] = view(old)
    outpost.refusals = [error(ErrorCode.SERVER_LIVE, "Still there.", server_id=old)]
    with pytest.raises(NotPlacedError, match="has not ended yet"):
        await place(mirror, new_attempt_id(), REQUEST, seconds=1.0, clearing_seconds=0.1)
