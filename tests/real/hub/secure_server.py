"""A single-user server as internal_ssl wants it: TLS with the hub's certificates, for those who show one too."""

import http.server
import os
import ssl
from urllib.parse import urlsplit


class Handler(http.server.BaseHTTPRequestHandler):
    """Says whose server this is."""

    def do_GET(self) -> None:
        body = f"{os.environ['JUPYTERHUB_USER']}/{os.environ.get('JUPYTERHUB_SERVER_NAME', '')}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def main() -> None:
    address = urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
    assert address.scheme == "https", address
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=os.environ["JUPYTERHUB_SSL_CLIENT_CA"])
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(os.environ["JUPYTERHUB_SSL_CERTFILE"], os.environ["JUPYTERHUB_SSL_KEYFILE"])
    server = http.server.ThreadingHTTPServer(("127.0.0.1", address.port or 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
