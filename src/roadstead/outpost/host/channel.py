"""The socket to the outpost: orders come in, reports go out, one JSON object a line. Its end is the process's end."""

import asyncio
import logging
import os
import socket
from collections import deque
from collections.abc import Callable
from typing import Final

from pydantic import ValidationError

from ...protocol.host import MAX_LINE_BYTES, ORDER, Order, Ping, Report

_LOG: Final = logging.getLogger(__name__)
_LONGEST_PING: Final = 200


class Channel:
    """Reads orders in their sequence and writes reports. A Ping is answered before orders that wait."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._inbox: deque[bytes] = deque()
        self._filled = asyncio.Event()

    @classmethod
    async def open(cls, sock: socket.socket) -> "Channel":
        reader, writer = await asyncio.open_connection(sock=sock, limit=MAX_LINE_BYTES)
        return cls(reader, writer)

    def report(self, report: Report) -> None:
        """Send a report; it is written when the socket takes it."""
        self._writer.write(encode(report))

    async def last_words(self, report: Report) -> None:
        """Send a report and wait until it is with the outpost's kernel."""
        self.report(report)
        self._writer.close()
        await self._writer.wait_closed()

    async def read_forever(self, pinged: Callable[[Ping], None]) -> None:
        """Take lines off the socket until it closes, then end this process at once, leaving all servers alone."""
        try:
            while line := await self._reader.readline():
                ping = _as_ping(line)
                if ping:
                    pinged(ping)
                else:
                    self._inbox.append(line)
                    self._filled.set()
        except (ValueError, ConnectionError) as error:
            _LOG.critical("The connection to the outpost broke (%s); this host ends, its servers go on.", error)
            os._exit(4)
        os._exit(0)

    async def obey_forever(self, obey: Callable[[Order], None]) -> None:
        """Hand on the orders one after the other, letting everything else run in between."""
        while True:
            await self._filled.wait()
            while self._inbox:
                order = decode(self._inbox.popleft())
                if order:
                    obey(order)
                await asyncio.sleep(0)
            self._filled.clear()


def _as_ping(line: bytes) -> Ping | None:
    if len(line) > _LONGEST_PING:
        return None
    try:
        return Ping.model_validate_json(line)
    except ValidationError:
        return None


def encode(report: Report) -> bytes:
    """The line of a report. Raises ValueError when it would be longer than the outpost takes."""
    line = report.model_dump_json().encode() + b"\n"
    if len(line) > MAX_LINE_BYTES:
        raise ValueError(f"a report of {len(line)} bytes is more than the {MAX_LINE_BYTES} that fit in a line")
    return line


def decode(line: bytes) -> Order | None:
    """The order in a line; None, and a word in the log, when there is none. What it contains is never logged."""
    try:
        return ORDER.validate_json(line)
    except ValidationError as error:
        where = ", ".join(".".join(str(part) for part in item["loc"]) for item in error.errors(include_input=False)[:5])
        _LOG.error("An order is not understood and dropped (%s). Outpost and host must be of one release.", where)
        return None


def refuse(sock: socket.socket, report: Report) -> None:
    """Send a last report without an event loop."""
    sock.sendall(encode(report))
