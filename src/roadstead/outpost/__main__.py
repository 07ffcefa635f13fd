"""`python -m roadstead.outpost --config FILE` serves an outpost until it is told to stop."""

import argparse
import asyncio
import contextlib
import logging
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from .config import ConfigurationError, OutpostSettings, load_config, read_settings
from .ledger import Ledger
from .migrate import upgrade
from .routes import build_app
from .running import running
from .secrets import add_key, drop_old_keys, load_keyring


def _server(settings: OutpostSettings, config_file: Path) -> uvicorn.Server:
    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with running(settings, config_file) as app.state.running:
            yield

    return uvicorn.Server(
        uvicorn.Config(
            build_app(lifespan),
            host=settings.ip,
            port=settings.port,
            ssl_certfile=settings.tls_certificate,
            ssl_keyfile=settings.tls_key,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=3,
        )
    )


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
        server = _server(settings, options.config.resolve())
        server.run()
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main())
