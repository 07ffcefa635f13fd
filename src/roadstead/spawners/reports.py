"""What a job says of itself: signed with a secret of its attempt, numbered, and compared with what the scheduler says.

A report is in the job's folder, and comes by HTTP where the site has an address for that. Either way it is believed
only if its signature, its attempt, its number and its node are right.
"""

import hashlib
import hmac
import json
import logging
from collections.abc import Callable
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from tornado import httpserver, netutil, web

_LOG: Final = logging.getLogger(__name__)
LARGEST: Final = 4096
"""Bytes of a report."""


class Report(BaseModel):
    """A server listens on a port of a node."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    attempt: str
    sequence: int = Field(ge=1)
    event: Literal["listening"]
    node: str
    port: int = Field(ge=1, le=65_535)


class _Envelope(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    report: str
    signature: str


class ReportError(Exception):
    """A report that is not believed; the text says why."""


def read_report(text: str | bytes, attempt: str, secret: str, after: int) -> Report:
    """The report, if it is this attempt's and newer than number `after`. Raises ReportError."""
    if len(text) > LARGEST:
        raise ReportError("It is too large.")
    try:
        envelope = _Envelope.model_validate_json(text)
        signature = hmac.new(secret.encode(), envelope.report.encode(), hashlib.sha256).hexdigest()
        if not secret or not hmac.compare_digest(signature.encode(), envelope.signature.encode()):
            raise ReportError("Its signature is wrong.")
        report = Report.model_validate_json(envelope.report)
    except ValidationError:
        raise ReportError("It cannot be read.") from None
    if report.attempt != attempt:
        raise ReportError("It is about another attempt.")
    if report.sequence <= after:
        raise ReportError("It has been heard before.")
    return report


Hear = Callable[[bytes], None]
"""Takes a report as it came. Raises ReportError."""


class ReportDesk:
    """Listens for reports of all jobs of this process on one address."""

    _desks: Final[dict[tuple[str, int], "ReportDesk"]] = {}

    def __init__(self, ip: str, port: int) -> None:
        """Raises OSError when the address cannot be used."""
        self.hearers: dict[str, Hear] = {}
        application = web.Application([(r"/.*", _Handler, {"desk": self})], log_function=lambda _: None)
        server = httpserver.HTTPServer(application, max_buffer_size=16 * LARGEST, max_body_size=8 * LARGEST)
        server.add_sockets(netutil.bind_sockets(port, ip))

    @classmethod
    def at(cls, ip: str, port: int) -> "ReportDesk":
        """The one that listens there, begun if need be. Raises OSError."""
        if (ip, port) not in cls._desks:
            cls._desks[ip, port] = cls(ip, port)
        return cls._desks[ip, port]

    def expect(self, attempt: str, hear: Hear) -> None:
        """Have reports about an attempt told."""
        self.hearers[attempt] = hear

    @classmethod
    def dismiss(cls, ip: str, port: int, attempt: str) -> None:
        """Tell no more reports about it."""
        if (ip, port) in cls._desks:
            cls._desks[ip, port].hearers.pop(attempt, None)

    def take(self, body: bytes) -> int:
        """A report came: the status of the answer. 503 means that it may be wanted later."""
        if len(body) > LARGEST:
            return 403
        try:
            attempt = json.loads(json.loads(body)["report"])["attempt"]
            hear = self.hearers.get(attempt)
            if hear is None:
                return 503
            hear(body)
        except (ReportError, ValueError, KeyError, TypeError, RecursionError) as error:
            _LOG.warning("A report was refused: %s", error)
            return 403
        return 204


class _Handler(web.RequestHandler):
    def initialize(self, desk: ReportDesk) -> None:
        self._desk = desk

    def post(self) -> None:
        self.set_status(self._desk.take(self.request.body))

    def write_error(self, status_code: int, **kwargs: Any) -> None:  # noqa: ARG002
        _ = self.finish()
