"""From an attempt at an outpost to a server that answers: what a start and its adoption after a restart share."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from ..protocol.errors import ErrorCode
from .mirror import Mirror
from .reach import internal_trust, until_answers
from .records import ServerRecord

if TYPE_CHECKING:
    import ssl

    from .spawner import RoadsteadSpawner
    from .state import Attempt


class NotStartedError(Exception):
    """The server did not come up; the text is the reason, as a sentence."""

    def __init__(self, sentence: str, reason: str) -> None:
        self.reason = reason
        super().__init__(sentence)


async def until_reached(spawner: "RoadsteadSpawner", attempt: "Attempt") -> str:
    """Wait until the attempt's server answers; its address. Raises NotStartedError when it has ended or is silent."""
    mirror = spawner.mirror_of(attempt)
    if mirror is None:
        raise NotStartedError(
            f"The outpost '{attempt.outpost}' is not in the hub's configuration any more.", "outpost-unknown"
        )
    record = mirror.expect(attempt.id)
    url = await until_running(mirror, record)
    mirror.note(attempt.id, "The server runs; waiting until it can be reached.", 90)
    reaching = asyncio.ensure_future(
        until_answers(url, spawner.server.base_url, server_trust(spawner), spawner.reach_timeout)
    )
    over = asyncio.ensure_future(_until_over(mirror, record))
    try:
        await asyncio.wait({reaching, over}, return_when=asyncio.FIRST_COMPLETED)
        if reaching.done() and reaching.exception() is None:
            return url
    finally:
        reaching.cancel()
        over.cancel()
    _raise_if_over(record)
    raise NotStartedError(
        f"The server runs, but did not answer within {spawner.reach_timeout} seconds. Start it again; if that happens"
        " again, tell those who run this hub.",
        "unreachable",
    )


async def until_running(mirror: Mirror, record: ServerRecord) -> str:
    """Wait for `running`; the server's address. Raises NotStartedError."""
    while True:
        version = record.version
        _raise_if_over(record)
        if record.running and record.url is not None:
            return record.url
        await mirror.changed(record, version)


async def progress_of(spawner: "RoadsteadSpawner") -> AsyncIterator[dict[str, Any]]:
    """The event log of a start from its beginning to its end, as JupyterHub's events."""
    seen, furthest = 0, 0
    while (record := spawner.record) is None and spawner.pending == "spawn":  # noqa: ASYNC110
        await asyncio.sleep(0.2)
    while record is not None:
        version = record.version
        for line in record.lines_after(seen):
            seen = line.number
            event: dict[str, Any] = {"message": line.message}
            if line.progress is not None:
                furthest = max(furthest, line.progress)
                event["progress"] = furthest
            yield event
        mirror = spawner.mirror_of(spawner.attempt) if spawner.attempt is not None else None
        if record.over or mirror is None:
            return
        await mirror.changed(record, version)


async def until_over(mirror: Mirror, record: ServerRecord, seconds: float) -> bool:
    """Wait for the end of an attempt, for at most `seconds`; whether it came."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await _until_over(mirror, record)
    return record.over


async def _until_over(mirror: Mirror, record: ServerRecord) -> None:
    while not record.over:
        await mirror.changed(record, record.version)


def _raise_if_over(record: ServerRecord) -> None:
    if record.over:
        reason = record.end.code.value if record.end is not None else ErrorCode.NOT_FOUND.value
        raise NotStartedError(record.last_words, reason)


def server_trust(spawner: "RoadsteadSpawner") -> "ssl.SSLContext | None":
    """What to show and trust when calling a server; None without internal_ssl."""
    settings = spawner.user.settings
    if not settings.get("internal_ssl"):
        return None
    return internal_trust(settings["internal_ssl_key"], settings["internal_ssl_cert"], settings["internal_ssl_ca"])
