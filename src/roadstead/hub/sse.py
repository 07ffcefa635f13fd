"""Reads server-sent events from chunks of bytes, with a bound on the size of each: who sends them is not trusted.

The format is that of https://html.spec.whatwg.org/multipage/server-sent-events.html; packages that read it know no
bound.
"""

from collections.abc import AsyncIterator
from typing import Final, NamedTuple

MAX_FRAME_BYTES: Final = 262_144
"""The largest event, in bytes."""


class Frame(NamedTuple):
    """One event: its type and its data."""

    event: str
    data: str


async def frames(chunks: AsyncIterator[bytes]) -> AsyncIterator[Frame]:
    """The events of a stream; comments and ids are passed over. Raises ValueError for one that is too large."""
    buffer = bytearray()
    event, data, size = "", list[str](), 0
    async for chunk in chunks:
        buffer += chunk
        *lines, rest = buffer.split(b"\n")
        buffer = bytearray(rest)
        if len(buffer) > MAX_FRAME_BYTES:
            raise ValueError(f"a line is longer than {MAX_FRAME_BYTES} bytes")
        for raw in lines:
            line = raw.removesuffix(b"\r").decode("utf-8")
            size += len(line)
            if size > MAX_FRAME_BYTES:
                raise ValueError(f"an event is larger than {MAX_FRAME_BYTES} bytes")
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if not line:
                if data:
                    yield Frame(event or "message", "\n".join(data))
                event, data, size = "", [], 0
            elif name == "event":
                event = value
            elif name == "data":
                data.append(value)
