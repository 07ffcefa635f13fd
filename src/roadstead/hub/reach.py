"""Finds out whether a server answers at its address, as JupyterHub asks it: any answer below 500 will do.

JupyterHub's own wait shares a few connections among everybody on one of its lines, and on the other is not bounded when
a peer accepts and stays silent; so this one stands alone.
"""

import asyncio
import ssl
from functools import lru_cache
from typing import Final

import httpx
from jupyterhub.utils import make_ssl_context, url_path_join

_TRY_SECONDS: Final = 5.0
_PAUSES: Final = (0.05, 1.0)


async def until_answers(address: str, base_url: str, trust: ssl.SSLContext | None, seconds: float) -> None:
    """Wait until the server answers, for at most `seconds`. Raises TimeoutError."""
    url = url_path_join(address, base_url, "api")
    http = _http(trust if url.startswith("https:") else None, url.startswith("https:"))
    pause, longest = _PAUSES
    async with asyncio.timeout(seconds):
        while not await _answers(http, url):
            await asyncio.sleep(pause)
            pause = min(2 * pause, longest)


async def _answers(http: httpx.AsyncClient, url: str) -> bool:
    try:
        async with http.stream("GET", url) as response:
            return response.status_code < 500
    except (httpx.HTTPError, httpx.InvalidURL):
        return False


@lru_cache
def _http(trust: ssl.SSLContext | None, https: bool) -> httpx.AsyncClient:
    # Without https nothing is verified, and making the context for it would only cost time.
    verify: ssl.SSLContext | bool = trust or ssl.create_default_context() if https else False
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    return httpx.AsyncClient(
        verify=verify, timeout=_TRY_SECONDS, limits=limits, follow_redirects=False, trust_env=False
    )


@lru_cache
def internal_trust(key: str, cert: str, authorities: str) -> ssl.SSLContext | None:
    """What the hub shows and trusts when it calls servers under internal_ssl; the arguments are paths."""
    context: ssl.SSLContext | None = make_ssl_context(key, cert, cafile=authorities)
    return context
