"""Reads what Spawner classes answer: the address of a started server and the exit code of an ended one."""

import re
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from ...protocol.model import Url
from .sentences import RefusedError

_URL: Final[TypeAdapter[str]] = TypeAdapter(Url)
_EXIT_CODE: Final = re.compile(r"exitcode['\"]?\s?[:=]\s?(-?\d{1,10})\b", re.IGNORECASE)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def address(answer: Any, spawner: Any) -> str:
    """The server's address as start() gave it: a URL, an (ip, port) pair, or nothing when it is in `spawner.server`.

    Raises RefusedError when it is none of them.
    """
    try:
        url = answer if isinstance(answer, str) and answer else _from_parts(answer, spawner)
        _URL.validate_python(url)
        split = urlsplit(url)
        _set_server(spawner, split.scheme, split.hostname or "", split.port or _DEFAULT_PORTS[split.scheme])
    except (ValidationError, ValueError, TypeError):
        raise RefusedError(
            f"start() of {type(spawner).__name__} gave {_described(answer)} where the server's address was expected. "
            "It must give an http or https address, or an (ip, port) pair."
        ) from None
    return url


def _from_parts(answer: Any, spawner: Any) -> str:
    if not answer:
        server = spawner.server
        if server is None or not server.ip or not server.port:
            raise ValueError("no address")
        return _join(server.proto, server.ip, server.port)
    host, port = answer
    return _join("https" if spawner.internal_ssl else "http", host, port)


def _join(scheme: str, host: Any, port: Any) -> str:
    if not isinstance(host, str) or isinstance(port, bool) or not 0 < int(port) < 65_536:
        raise ValueError("no host, or no port")
    return f"{scheme}://[{host}]:{int(port)}" if ":" in host else f"{scheme}://{host}:{int(port)}"


def _set_server(spawner: Any, scheme: str, host: str, port: int) -> None:
    """Some classes compare the address that they find later with this one."""
    if spawner.server is not None:
        spawner.server.proto, spawner.server.ip, spawner.server.port = scheme, host, port


def _described(answer: Any) -> str:
    return "nothing" if answer is None else f"a {type(answer).__name__}"


def exit_code(answer: Any) -> int | None:
    """None when poll() says that the server runs, else its exit code; 0 where the answer is not a number.

    DockerSpawner and SwarmSpawner answer with a description that has the number in it.
    """
    if answer is None:
        return None
    if isinstance(answer, int):
        return int(answer)
    found = _EXIT_CODE.search(str(answer))
    return int(found[1]) if found else 0
