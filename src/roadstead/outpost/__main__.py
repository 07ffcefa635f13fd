"""`python -m roadstead.outpost --config FILE` serves an outpost until it is told to stop."""

import argparse
import asyncio
import gc
import logging
import socket
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from .config import ConfigurationError, OutpostSettings, load_config, read_settings
from .ledger import Ledger
from .migrate import upgrade
from .routes import build_app
from .running import Running, running
from .secrets import add_key, drop_old_keys, load_keyring


class _Server(uvicorn.Server):
    """Ends the event streams as soon as it is told to stop: they would keep it waiting for hubs that never hang up."""

    def __init__(self, config: uvicorn.Config, outpost: Running) -> None:
        super().__init__(config)
        self._outpost = outpost

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Called by uvicorn for SIGTERM and SIGINT, which it would raise again before hosts and ledger have ended."""
        self._outpost.streams.close()
        self.force_exit, self.should_exit = self.should_exit, True


def _listen(settings: OutpostSettings) -> socket.socket:
    """The socket of the outpost. Raises ConfigurationError when its address is taken."""
    family = socket.AF_INET6 if ":" in settings.ip else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.ip, settings.port))
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            "of the outpost",
            [
                (
                    f"Outpost.port: {settings.ip}:{settings.port} cannot be used ({error.strerror}); "
                    "choose another, or find out what listens there with 'ss -ltnp'."
                )
            ],
        ) from error
    return listener


def _announce(settings: OutpostSettings, listener: socket.socket) -> None:
    """From now on connections wait for an answer; the address is written down for others."""
    listener.listen(2048)
    scheme = "https" if settings.tls_certificate else "http"
    host = f"[{settings.ip}]" if ":" in settings.ip else settings.ip
    (settings.state_folder / "address").write_text(f"{scheme}://{host}:{listener.getsockname()[1]}\n")


async def _serve(settings: OutpostSettings, config_file: Path) -> None:
    with _listen(settings) as listener:
        async with running(settings, config_file) as outpost:
            config = uvicorn.Config(
                build_app(outpost),
                ssl_certfile=settings.tls_certificate,
                ssl_keyfile=settings.tls_key,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=3,
                # Longer than hubs keep a connection that is idle: closed from here, it might just be in use again.
                timeout_keep_alive=75,
            )
            # What is here now stays: to look through it for garbage would hold up all answers for tens of milliseconds.
            gc.collect()
            gc.freeze()
            _announce(settings, listener)
            await _Server(config, outpost).serve([listener])


def _run(work: Coroutine[Any, Any, None]) -> None:
    """On uvloop where it is installed: it halves the time of a request."""
    try:
        import uvloop
    except ImportError:
        loop_factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    else:
        loop_factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(work)


async def _rotate(settings: OutpostSettings) -> None:
    """Encrypt the ledger with a new key; a crash in between leaves all keys in the file."""
    key_file = settings.state_folder / "ledger.key"
    await upgrade(settings.database)
    load_keyring(key_file)
    add_key(key_file)
    ledger = Ledger(settings.database, load_keyring(key_file))
    rows = await ledger.renew_secrets()
    await ledger.close()
    drop_old_keys(key_file)
    sys.stdout.write(f"The ledger's {rows} rows are encrypted with a new key.\n")


def main(arguments: list[str] | None = None) -> int:
    """Serve, or rotate the ledger's key; gives the exit code."""
    parser = argparse.ArgumentParser(prog="roadstead outpost", description="Serve an outpost.")
    parser.add_argument("--config", type=Path, required=True, help="outpost_config.py or outpost_config.yaml")
    parser.add_argument("--rotate-key", action="store_true", help="encrypt the ledger with a new key and end")
    options = parser.parse_args(arguments)
    try:
        settings = read_settings(load_config(options.config), options.config)
        logging.basicConfig(
            level=settings.log_level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
        )
        logging.getLogger("httpx").setLevel(logging.WARNING)
        if options.rotate_key:
            asyncio.run(_rotate(settings))
            return 0
        _run(_serve(settings, options.config.resolve()))
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
