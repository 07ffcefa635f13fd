"""Server-sent events come out the same however the network cuts them, and never without a bound."""

import itertools
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadstead.hub.sse import MAX_FRAME_BYTES, Frame, frames

TEXT = (
    ': connected\n\nid: 1\nevent: state\ndata: {"a": "é"}\n\n: keepalive\n\n'
    "event: progress\r\ndata: one\r\ndata:two\r\n\r\nevent: nothing\n\ndata\n\n"
).encode()
EXPECTED = [Frame("state", '{"a": "é"}'), Frame("progress", "one\ntwo"), Frame("message", "")]


async def read(*pieces: bytes) -> list[Frame]:
    async def chunks() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    return [frame async for frame in frames(chunks())]


@given(st.lists(st.integers(0, len(TEXT)), max_size=20))
async def test_cuts_do_not_matter(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(TEXT)]
    pieces = [TEXT[begin:end] for begin, end in itertools.pairwise(places)]
    assert await read(*pieces) == EXPECTED


async def test_an_endless_line_is_refused() -> None:
    with pytest.raises(ValueError, match="a line is longer"):
        await read(b"data: ", *[b"x" * 65536] * 5)


async def test_an_endless_event_is_refused() -> None:
    with pytest.raises(ValueError, match="an event is larger"):
        await read(*[b"data: " + b"x" * 1000 + b"\n"] * (MAX_FRAME_BYTES // 1000 + 1))


async def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(ValueError, match="codec"):
        await read(b"data: \xff\xfe\n\n")
