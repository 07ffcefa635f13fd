"""Event streams: what was written for a hub reaches every stream that the hub has open, from any number on."""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from typing import Final

from ..protocol.events import KEEPALIVE_SECONDS, ResetEvent
from .ledger import Ledger
from .steps import Written

_RECENT: Final = 2000
"""Events per hub that are kept in memory, so that a stream which keeps up never asks the ledger."""


class Streams:
    """The newest events of each hub and who waits for them."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        ledger.listen(self.publish)
        self._recent: dict[str, deque[tuple[int, str]]] = defaultdict(lambda: deque(maxlen=_RECENT))
        self._news: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._closing = asyncio.Event()
        self.open = 0

    def publish(self, written: list[Written]) -> None:
        """Hand over events that are in the ledger."""
        for hub, seq, body in written:
            self._recent[hub].append((seq, body))
        for hub in {hub for hub, _, _ in written}:
            self._news[hub].set()
            del self._news[hub]

    def close(self) -> None:
        """End all streams; hubs come again."""
        self._closing.set()
        for event in list(self._news.values()):
            event.set()

    async def follow(self, hub: str, after: int) -> AsyncIterator[bytes]:
        """Server-sent events after a number, for ever; a reset first when some of them may be gone."""
        self.open += 1
        try:
            yield b": connected\n\n"
            while not self._closing.is_set():
                news = self._news[hub]
                batch = await self._batch(hub, after)
                if batch is None:
                    after = await self._ledger.last_seq(hub)
                    yield _frame("reset", after, ResetEvent(seq=after).model_dump_json())
                    continue
                for seq, body in batch:
                    yield _frame(_type(body), seq, body)
                    after = seq
                if batch:
                    continue
                try:
                    async with asyncio.timeout(KEEPALIVE_SECONDS):
                        await news.wait()
                except TimeoutError:
                    yield b": keepalive\n\n"
        finally:
            self.open -= 1

    async def _batch(self, hub: str, after: int) -> list[tuple[int, str]] | None:
        recent = self._recent[hub]
        if recent and recent[0][0] <= after + 1 and after <= recent[-1][0]:
            return list(recent)[after + 1 - recent[0][0] :]
        return await self._ledger.events(hub, after)


def _type(body: str) -> str:
    """The event's type, which every body begins with."""
    return body.split('"', 4)[3]


def _frame(name: str, seq: int, body: str) -> bytes:
    return f"id: {seq}\nevent: {name}\ndata: {body}\n\n".encode()
