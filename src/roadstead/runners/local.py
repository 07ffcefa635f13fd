"""Runs programs on this machine as the account of this process."""

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from typing import Final

from .command import Command, Outcome, UnansweredError

_KEPT: Final = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "TZ", "USER")
"""Variables of this process that programs get. The others may be secrets."""
_PATH: Final = "/usr/local/bin:/usr/bin:/bin"
_UNWIND: Final = 2.0


class LocalRunner:
    """This machine, this process's own account."""

    async def run(self, command: Command) -> Outcome:
        """Run it to its end. Raises UnansweredError; the program and its children have been killed then."""
        name = command.argv[0]
        try:
            process = await asyncio.create_subprocess_exec(
                *command.argv,
                stdin=PIPE if command.stdin else DEVNULL,
                stdout=PIPE,
                stderr=PIPE,
                env=_environment(command.environment),
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UnansweredError(f"{name} cannot be run here: {reason}. Is it installed, and in the PATH?") from error
        try:
            async with asyncio.timeout(command.timeout):
                return await _converse(process, command)
        except TimeoutError as error:
            raise UnansweredError(f"{name} did not answer within {command.timeout:g} seconds.") from error
        finally:
            if process.returncode is None:
                await _kill(process)


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {"PATH": _PATH} | kept | dict(more)


async def _converse(process: Process, command: Command) -> Outcome:
    assert process.stdout is not None
    assert process.stderr is not None
    parts = [
        asyncio.create_task(part)
        for part in (
            _write(process, command.stdin),
            _read(process.stdout, command),
            _read(process.stderr, command),
        )
    ]
    try:
        _, stdout, stderr = await asyncio.gather(*parts)
    finally:
        for part in parts:
            part.cancel()
    code = await process.wait()
    return Outcome(code, stdout.decode(errors="replace"), stderr.decode(errors="replace"))


async def _write(process: Process, data: bytes) -> bytes:
    if process.stdin is None:
        return b""
    # A program that ends without reading says why by its exit code.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(data)
        await process.stdin.drain()
    process.stdin.close()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        await process.stdin.wait_closed()
    return b""


async def _read(stream: asyncio.StreamReader, command: Command) -> bytes:
    parts, size = [], 0
    while part := await stream.read(65_536):
        parts.append(part)
        size += len(part)
        if size > command.most_output:
            raise UnansweredError(f"{command.argv[0]} wrote more than {command.most_output} bytes.")
    return b"".join(parts)


async def _kill(process: Process) -> None:
    # sudo passes SIGTERM on to a program of another account, which SIGKILL would orphan.
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_UNWIND):
                await process.wait()
                await _read_to_end(process)
                return


async def _read_to_end(process: Process) -> None:
    """Pipes are closed only when they have been read to their end."""
    for stream in (process.stdout, process.stderr):
        while stream is not None and await stream.read(65_536):
            pass
