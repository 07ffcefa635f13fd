"""Brings the ledger's tables up to date, in a process of its own so that the service never carries Alembic around.

That process reads the ledger's address from standard input, for it may hold a password.
"""

import asyncio
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, make_url, text

from .config import ConfigurationError
from .database import open_database

HEAD: Final = "0001"
"""The revision that this version of the outpost works with."""

_FOLDER: Final = Path(__file__).parent / "migrations"


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return revision


async def upgrade(url: str) -> None:
    """Bring the ledger to HEAD. Raises ConfigurationError when it is damaged or newer than this software."""
    database = open_database(url)
    try:
        found = await database.read(_revision)
        if found == HEAD:
            return
        if found is not None and found > HEAD:
            raise ConfigurationError(
                "of the ledger",
                [
                    (
                        f"It has version {found}, this software knows {HEAD}: it was used by a newer release. "
                        "Install that release again, or restore the copy that was made before the upgrade."
                    )
                ],
            )
        if found is not None:
            _copy(url, found)
        await _child(url)
    except ConfigurationError:
        raise
    except Exception as error:
        cause = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise ConfigurationError(
            "of the ledger",
            [f"The ledger cannot be opened ({cause}). Restore it from a backup, or check Outpost.ledger_url."],
        ) from error
    finally:
        await database.close()


def _copy(url: str, revision: str) -> None:
    database = make_url(url).database
    if url.startswith("sqlite") and database:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        shutil.copy2(database, f"{database}.{revision}.{stamp}")


async def _child(url: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __spec__.name, stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate(url.encode())
    if process.returncode:
        raise RuntimeError(errors.decode(errors="replace").strip().splitlines()[-1])


async def _run(url: str) -> None:
    from alembic import command
    from alembic.config import Config

    def revisions(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(_FOLDER))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

    database = open_database(url)
    await database.write(revisions)
    await database.close()


if __name__ == "__main__":
    asyncio.run(_run(sys.stdin.read()))
