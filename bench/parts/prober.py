"""Asks an address again and again and writes down how long each answer took, in a process of its own.

`python -m bench.parts.prober URL`; lines of moment and milliseconds go to standard output, it ends with standard input.
"""

import contextlib
import http.client
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

PAUSE: Final = 0.05


class Answer(NamedTuple):
    """One answer: when it was asked for, in seconds since 1970, and how long it took, in milliseconds."""

    at: float
    took: float


def probe(url: str) -> None:
    """Ask until standard input ends. Anything but an answer of 200 ends the process with an error."""
    parts = urlsplit(url)
    over = threading.Event()
    threading.Thread(target=_wait_for_end, args=[over], daemon=True).start()
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=300)
    while not over.is_set():
        at, begun = time.time(), time.perf_counter()
        connection.request("GET", parts.path)
        response = connection.getresponse()
        response.read()
        took = 1000 * (time.perf_counter() - begun)
        if response.status != 200:
            sys.exit(f"{url} answers {response.status}")
        print(f"{at} {took}", flush=True)
        over.wait(PAUSE)


def _wait_for_end(over: threading.Event) -> None:
    sys.stdin.read()
    over.set()


class Prober:
    """A prober that runs; what it found can be read at any time."""

    def __init__(self, process: "subprocess.Popen[str]", file: Path) -> None:
        self._process = process
        self._file = file

    def between(self, begin: float, end: float) -> list[float]:
        """The answers' times to what was asked between two moments. Raises RuntimeError when it does not run."""
        if self._process.poll() is not None:
            raise RuntimeError("the prober ended: not every answer was a good one")
        answers = [Answer(*map(float, line.split())) for line in self._file.read_text(encoding="ascii").splitlines()]
        return [answer.took for answer in answers if begin <= answer.at < end]


@contextlib.contextmanager
def probing(url: str, file: Path) -> Iterator[Prober]:
    """Ask an address for as long as this lasts."""
    command = [sys.executable, "-m", "bench.parts.prober", url]
    with (
        file.open("w", encoding="ascii") as output,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, text=True) as process,
    ):
        assert process.stdin is not None
        try:
            yield Prober(process, file)
        finally:
            process.stdin.close()
            process.wait(10)


if __name__ == "__main__":
    probe(sys.argv[1])
