"""The command `roadstead`: everything on one machine, an outpost of a site, credentials."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from . import __version__
from .up.errors import UpError

STATE = click.option(
    "--state",
    type=click.Path(path_type=Path, readable=False),
    help="The state folder [default: $ROADSTEAD_STATE, else ~/.local/share/roadstead, for root /var/lib/roadstead].",
)


@contextlib.contextmanager
def _telling(extra: str) -> Iterator[None]:
    """Turn what a person can mend into one sentence."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise click.ClickException(f"{error.name} is not installed; run: pip install 'roadstead[{extra}]'") from error
    except UpError as error:
        raise click.ClickException(str(error)) from error


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="roadstead %(version)s")
def main() -> None:
    """One vanilla JupyterHub starts servers on every computer that its users may use.

    \b
    Examples:
      roadstead up                         hub, proxy and outpost on this machine
      roadstead status                     what runs
      roadstead down                       end everything, servers too
      roadstead credential --hub center    a credential for a hub, at a site
      roadstead outpost --config outpost_config.py
    """


@main.command(short_help="Start hub, proxy and outpost on this machine.")
@STATE
@click.option("--port", type=click.IntRange(1, 65_535), default=8000, show_default=True, help="Where people come in.")
@click.option("--public", is_flag=True, help="Listen on all addresses of this machine, not on 127.0.0.1 alone.")
def up(state: Path | None, port: int, public: bool) -> None:
    """Start hub, proxy and outpost on this machine and keep them running.

    The state folder is made at the first start: configuration that is yours to change, secrets, users' homes, logs.
    Ctrl-C ends hub, proxy and outpost and leaves running servers alone; the next 'roadstead up' finds them again.
    Started as root, it works as a system account of its own.

    \b
    Examples:
      roadstead up
      roadstead up --port 9000 --state /srv/roadstead
    """
    with _telling("up"):
        from .up.account import default_state, leave_root
        from .up.programs import Door
        from .up.state import open_state
        from .up.supervisor import up as run

        folder = Path.cwd() / (state or default_state())
        leave_root(folder, click.echo, make=True)
        door = Door("0.0.0.0" if public else "127.0.0.1", port)  # noqa: S104
        asyncio.run(run(open_state(folder, make=True), door, click.echo))


@main.command(short_help="End everything, servers too.")
@STATE
@click.option("--wait", type=float, default=120.0, show_default=True, help="Seconds that servers may take to end.")
def down(state: Path | None, wait: float) -> None:
    """End everything: the servers through the outpost, then hub, proxy and outpost. Homes and settings stay.

    \b
    Example:
      roadstead down --state /srv/roadstead
    """
    with _telling("up"):
        from .up.account import default_state, leave_root
        from .up.ending import down as run
        from .up.state import open_state

        folder = Path.cwd() / (state or default_state())
        leave_root(folder, click.echo)
        asyncio.run(run(open_state(folder), click.echo, wait))


@main.command(short_help="Tell what runs.")
@STATE
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(state: Path | None, as_json: bool) -> None:
    """Tell which processes run and which servers there are; the exit code is 0 if Roadstead is up, else 3.

    \b
    Examples:
      roadstead status
      roadstead status --json
    """
    with _telling("up"):
        from .up.account import default_state, leave_root
        from .up.state import open_state
        from .up.status import lines
        from .up.status import status as look

        folder = Path.cwd() / (state or default_state())
        leave_root(folder, lambda _: None)
        found = asyncio.run(look(open_state(folder)))
        click.echo(found.model_dump_json(indent=2) if as_json else "\n".join(lines(found)))
    sys.exit(0 if found.up else 3)


@main.command(short_help="Serve the outpost of a site.")
@click.option("--config", type=click.Path(path_type=Path), required=True, help="outpost_config.py or a YAML file.")
@click.option("--rotate-key", is_flag=True, help="Encrypt the ledger with a new key and end; the outpost must be down.")
def outpost(config: Path, rotate_key: bool) -> None:
    """Serve the outpost of a site until SIGTERM.

    \b
    Example:
      roadstead outpost --config /etc/roadstead/outpost_config.py
    """
    options = ["--config", str(config)] + (["--rotate-key"] if rotate_key else [])
    # This process becomes the outpost's: it then holds nothing that the command line alone has needed.
    os.execv(sys.executable, [sys.executable, "-m", "roadstead.outpost", *options])  # noqa: S606


@main.command(short_help="Make a credential for a hub.")
@click.option("--hub", default="hub", show_default=True, help="The name under which the outpost will know the hub.")
@click.option("--expires", metavar="YYYY-MM-DD", help="The day at whose beginning (UTC) it ends to be valid.")
def credential(hub: str, expires: str | None) -> None:
    """Make a credential with which a hub may use an outpost, and print it this once.

    The first part is for the hub's operator, who puts it into a file that only the hub can read. The second is for
    outpost_config.py: only a hash, from which the credential cannot be found. Two may be valid at a time, so that one
    can follow the other without a pause.

    \b
    Example:
      roadstead credential --hub center --expires 2027-12-31
    """
    with _telling("outpost"):
        from pydantic import TypeAdapter, ValidationError

        from .outpost.config import CredentialSettings
        from .outpost.credentials import new_credential
        from .protocol.model import Name

        new = new_credential()
        entry = new.entry | ({"expires": expires} if expires else {})
        try:
            TypeAdapter(Name).validate_python(hub)
            CredentialSettings.model_validate(entry)
        except ValidationError as error:
            what = "--expires must be a day" if error.title == "CredentialSettings" else "--hub must be a name"
            raise click.ClickException(f"{what}: {error.errors()[0]['msg']}") from None
        click.echo(
            f"For the hub, to be kept secret (credential_file in c.RoadsteadSpawner.outposts):\n\n  {new.token}\n"
        )
        click.echo(f"For outpost_config.py, under the hub '{hub}' in c.Outpost.hubs:\n")
        click.echo(f'  "{hub}": {{"credentials": [{json.dumps(entry)}]}},')
