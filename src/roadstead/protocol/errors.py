"""Errors that cross a border: a stable code, a sentence, a remedy. Each code has an entry in the manual."""

from enum import StrEnum
from typing import Final

from .model import Message, Text


class ErrorCode(StrEnum):
    """What went wrong, in a word that does not change between releases."""

    BAD_REQUEST = "bad-request"
    TOO_LARGE = "too-large"
    CREDENTIAL_MISSING = "credential-missing"
    CREDENTIAL_WRONG = "credential-wrong"
    CREDENTIAL_EXPIRED = "credential-expired"
    VERSION_FOREIGN = "version-foreign"
    NOT_FOUND = "not-found"
    ID_TAKEN = "id-taken"
    ID_STALE = "id-stale"
    SERVER_LIVE = "server-live"
    SYSTEM_UNKNOWN = "system-unknown"
    SYSTEM_DOWN = "system-down"
    APP_UNKNOWN = "app-unknown"
    FLAVOR_UNKNOWN = "flavor-unknown"
    FLAVOR_REQUIRED = "flavor-required"
    FLAVOR_FULL = "flavor-full"
    USER_LIMIT = "user-limit"
    OVERRIDE_REFUSED = "override-refused"
    LEDGER_DOWN = "ledger-down"
    INTERNAL = "internal"
    OUTPOST_UNKNOWN = "outpost-unknown"
    OUTPOST_UNREACHABLE = "outpost-unreachable"
    OUTPOST_FOREIGN = "outpost-foreign"
    OUTPOST_LIED = "outpost-lied"


STATUS: Final[dict[ErrorCode, int]] = {
    ErrorCode.BAD_REQUEST: 400,
    ErrorCode.TOO_LARGE: 413,
    ErrorCode.CREDENTIAL_MISSING: 401,
    ErrorCode.CREDENTIAL_WRONG: 401,
    ErrorCode.CREDENTIAL_EXPIRED: 401,
    ErrorCode.VERSION_FOREIGN: 426,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.ID_TAKEN: 409,
    ErrorCode.ID_STALE: 409,
    ErrorCode.SERVER_LIVE: 409,
    ErrorCode.SYSTEM_UNKNOWN: 400,
    ErrorCode.SYSTEM_DOWN: 503,
    ErrorCode.APP_UNKNOWN: 400,
    ErrorCode.FLAVOR_UNKNOWN: 400,
    ErrorCode.FLAVOR_REQUIRED: 400,
    ErrorCode.FLAVOR_FULL: 429,
    ErrorCode.USER_LIMIT: 429,
    ErrorCode.OVERRIDE_REFUSED: 403,
    ErrorCode.LEDGER_DOWN: 503,
    ErrorCode.INTERNAL: 500,
    ErrorCode.OUTPOST_UNKNOWN: 400,
    ErrorCode.OUTPOST_UNREACHABLE: 503,
    ErrorCode.OUTPOST_FOREIGN: 502,
    ErrorCode.OUTPOST_LIED: 502,
}
"""The HTTP status that goes with each code."""


class ErrorBody(Message):
    """The body of every answer that is an error."""

    code: ErrorCode
    message: Text
    remedy: Text = ""
    server_id: str | None = None
    """With `server-live`: the attempt that is in the way."""


class RoadsteadError(Exception):
    """An error that a person will read: what happened, to what, and what to do about it."""

    def __init__(self, code: ErrorCode, message: str, remedy: str = "", *, server_id: str | None = None) -> None:
        self.body = ErrorBody(code=code, message=message, remedy=remedy, server_id=server_id)
        super().__init__(self.sentence)

    @property
    def code(self) -> ErrorCode:
        return self.body.code

    @property
    def sentence(self) -> str:
        """Message and remedy as one text."""
        return f"{self.body.message} {self.body.remedy}".strip()

    @property
    def status(self) -> int:
        """The HTTP status."""
        return STATUS[self.body.code]
