"""Starts the host of one system: takes its lock, loads its Spawner class, checks its names, then obeys the outpost."""

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Final, Never

from traitlets.config import Config

from ...protocol.host import Ready, Refused
from ...protocol.model import plain_text
from ..config import ConfigurationError, SystemSettings, load_config, read_settings
from .build import Builder
from .calls import GUEST_ERRORS, was_contained
from .channel import Channel
from .lock import take_lock
from .logs import set_up_log
from .names import check_names
from .runner import Runner
from .sentences import RefusedError, Secrets, failure

_LOG: Final = logging.getLogger(__name__)
REFUSED: Final = 2
LOCKED: Final = 3
GUEST_ENDED_IT: Final = 5
_TO_CLAIM_AN_EXIT: Final = 1.0


def main(arguments: list[str] | None = None) -> Never:
    """Run until the outpost hangs up; the exit code 2 means that the system cannot work as it is configured."""
    options = _parser().parse_args(arguments)
    secrets = Secrets()
    set_up_log(options.system, secrets)
    sock = socket.socket(fileno=options.fd)
    # Servers are children of this process: what they inherited would outlive it.
    sock.set_inheritable(False)
    if take_lock(options.lock, sock) is None:
        _LOG.critical("Another host of system %s holds %s; this one ends.", options.system, options.lock)
        _leave(LOCKED)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    # A handler rather than SIG_IGN, which servers would inherit: who presses Ctrl-C means the outpost, not the servers.
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    _run(loop, loop.create_task(_serve(options, sock, secrets)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m roadstead.outpost.host", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the outpost's configuration file")
    parser.add_argument("--system", required=True, help="the system whose servers this process starts")
    parser.add_argument("--fd", type=int, required=True, help="descriptor of the socket to the outpost")
    parser.add_argument("--lock", type=Path, required=True, help="file that the one host of this system locks")
    return parser


def _run(loop: asyncio.AbstractEventLoop, task: "asyncio.Task[int]") -> Never:
    while True:
        try:
            _leave(loop.run_until_complete(task))
        except SystemExit as error:
            # Raised inside the guest; whoever asked the guest may still take it for an answer.
            if task.done():
                _LOG.critical("The Spawner class called sys.exit(%r); this host ends, its servers go on.", error.code)
                _leave(GUEST_ENDED_IT)
            loop.call_later(_TO_CLAIM_AN_EXIT, _end_unless_contained, error)


def _end_unless_contained(error: SystemExit) -> None:
    if not was_contained(error):
        _LOG.critical(
            "The Spawner class called sys.exit(%r) in a task of its own, which means that it cannot go on; "
            "this host ends, its servers go on.",
            error.code,
        )
        _leave(GUEST_ENDED_IT)


def _leave(code: int) -> Never:
    """End at once: a guest's threads must not hold the process."""
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)


async def _serve(options: argparse.Namespace, sock: socket.socket, secrets: Secrets) -> int:
    channel = await Channel.open(sock)
    try:
        builder = _make_builder(options)
        runner = Runner(builder, channel.report, secrets)
    except (RefusedError, ConfigurationError, *GUEST_ERRORS) as error:
        message = str(error) if isinstance(error, ConfigurationError) else failure(error, "The Spawner class")
        _LOG.critical("System %s is refused: %s", options.system, message)
        await channel.last_words(Refused(message=plain_text(message)))
        return REFUSED
    channel.report(Ready(spawner_class=builder.qualified_name, takes_up_starts=builder.follows_attempts))
    await asyncio.gather(runner.watch(), channel.read_forever(runner.pinged), channel.obey_forever(runner.obey))
    return 0


def _make_builder(options: argparse.Namespace) -> Builder:
    config = load_config(options.config)
    outpost = read_settings(config, options.config)
    logging.getLogger().setLevel(outpost.log_level)
    settings = _settings_of(outpost.systems, options.system)
    certificates = options.lock.with_name(f"{options.lock.name}.certificates")
    builder = Builder(options.system, settings, _of_spawners(config), certificates)
    if not check_names(builder, outpost.hubs_of(options.system)):
        _LOG.warning(
            "How %s names what it starts is not known here, so it is not checked that hubs and servers keep apart.",
            builder.qualified_name,
        )
    return builder


def _settings_of(systems: dict[str, SystemSettings], name: str) -> SystemSettings:
    if name not in systems:
        raise RefusedError(f"There is no system '{name}' in the configuration; there are {', '.join(systems)}.")
    return systems[name]


def _of_spawners(config: Config) -> Config:
    return Config({name: section for name, section in config.items() if name != "Outpost"})


if __name__ == "__main__":
    main()
