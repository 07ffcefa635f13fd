"""A server that answers 200 to everything: what many starts lead to at once. It writes its address to standard output.

`python -m bench.parts.answering`; it ends with its standard input.
"""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Final

import jupyterhub

ANSWER: Final = (
    f"HTTP/1.1 200 OK\r\nX-JupyterHub-Version: {jupyterhub.__version__}\r\nContent-Length: 3\r\n\r\nyes"
).encode()


class _Protocol(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._read = b""

    def data_received(self, data: bytes) -> None:
        self._read += data
        while b"\r\n\r\n" in self._read:
            self._read = self._read.partition(b"\r\n\r\n")[2]
            self._transport.write(ANSWER)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Protocol, "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


@contextlib.contextmanager
def answering() -> Iterator[str]:
    """Such a server in a process of its own; its address."""
    command = [sys.executable, "-m", "bench.parts.answering"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.wait(10)


if __name__ == "__main__":
    asyncio.run(_serve())
