"""Answers for servers whose own address is not known yet: JupyterHub's check after a restart, and who comes meanwhile.

JupyterHub asks every server at its start whether it is there, and ends those that are silent. Ours must neither be
asked nor be ended then, so they name this small server in the hub's own process instead. It knows and tells nothing:
pages are sent on to the hub, where people have to be logged in; everything else is asked to come again.
"""

import ssl
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import jupyterhub
from jupyterhub.utils import fmt_ip_url, url_path_join
from tornado import httpserver, netutil, web

RETRY_SECONDS: Final = 5
WAIT_PATH: Final = "roadstead/wait"
"""Where the page is, below the hub's own path, on which people wait."""


@dataclass(frozen=True, slots=True)
class Responder:
    """A responder that listens; `address` is how the proxy reaches it."""

    address: str
    server: httpserver.HTTPServer

    def close(self) -> None:
        """Listen no more."""
        self.server.stop()


def listen(
    ip: str, port: int, *, connect_ip: str, base_url: str, hub_url: str, trust: ssl.SSLContext | None
) -> Responder:
    """Listen on `ip` and `port` (0: any free one). Raises OSError.

    `base_url` is the path before /user/, `hub_url` the hub's address or path for browsers, `trust` the hub's own
    certificate and authorities where internal_ssl is on.
    """
    sockets = netutil.bind_sockets(port, ip or None)
    bound = sockets[0].getsockname()[1]
    for other in sockets[1:]:
        # With port 0 every family gets a port of its own, but there is one address to tell.
        if other.getsockname()[1] != bound:
            other.close()
    sockets = [each for each in sockets if each.fileno() >= 0]
    users = url_path_join(base_url, "user") + "/"
    application = web.Application([(r".*", _Answer, {"users": users, "hub_url": hub_url})], log_function=lambda _: None)
    server = httpserver.HTTPServer(application, ssl_options=trust)
    server.add_sockets(sockets)
    return Responder(f"{'https' if trust else 'http'}://{fmt_ip_url(connect_ip)}:{bound}", server)


class _Answer(web.RequestHandler):
    """The one answer for all paths below /user/<name>/."""

    def initialize(self, users: str, hub_url: str) -> None:
        self._users = users
        self._hub_url = hub_url

    def set_default_headers(self) -> None:
        self.set_header("X-JupyterHub-Version", jupyterhub.__version__)
        self.set_header("Cache-Control", "no-store")
        self.set_header("Content-Type", "text/plain")

    def compute_etag(self) -> None:
        return None

    def prepare(self) -> None:
        user = self.request.path.removeprefix(self._users).partition("/")[0]
        if not self.request.path.startswith(self._users) or not user:
            self.set_status(404)
        elif self._is_check():
            self.set_status(200)
        elif self._is_page():
            page = url_path_join(self._hub_url, WAIT_PATH, user)
            self.redirect(f"{page}?next={quote(self.request.uri or '', safe='')}", status=303)
            return
        else:
            self.set_status(503)
            self.set_header("Retry-After", str(RETRY_SECONDS))
        _ = self.finish()

    def _is_check(self) -> bool:
        """JupyterHub itself asks here directly; what comes through the proxy says so."""
        return self.request.path.endswith("/api") and "X-Forwarded-For" not in self.request.headers

    def _is_page(self) -> bool:
        headers = self.request.headers
        if self.request.method != "GET" or headers.get("Upgrade"):
            return False
        mode = headers.get("Sec-Fetch-Mode")
        return mode == "navigate" if mode else "text/html" in headers.get("Accept", "")
