"""A single-user server that starts in a moment: it answers every path with its name and serves until it is ended."""

import http.server
import os
import sys
from urllib.parse import urlsplit


class Handler(http.server.BaseHTTPRequestHandler):
    """Says whose server this is."""

    def do_GET(self) -> None:
        body = f"{os.environ['JUPYTERHUB_USER']}/{os.environ.get('JUPYTERHUB_SERVER_NAME', '')}\n".encode()
        self.send_response(200)
        self.send_header("X-JupyterHub-Version", os.environ.get("TINY_HUB_VERSION", ""))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def main() -> None:
    address = urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
    if address.port is None:
        sys.exit("no port")
    http.server.ThreadingHTTPServer((address.hostname or "127.0.0.1", address.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
