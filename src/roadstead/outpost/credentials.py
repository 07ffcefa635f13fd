"""Bearer credentials `<key id>.<secret>`: the holder has the secret, the outpost only its hash."""

import hashlib
import hmac
import secrets
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple

from ..protocol.errors import ErrorCode, RoadsteadError
from .config import CredentialSettings, OutpostSettings

_MISSING: Final = "The request carries no credential."
_WRONG: Final = "The credential is not known at this outpost; it may have been revoked."
_REMEDY: Final = "Ask the site's operator for a new one, made with 'roadstead credential'."


class NewCredential(NamedTuple):
    """A credential at the only moment at which its secret is known."""

    token: str
    entry: dict[str, str]


def new_credential() -> NewCredential:
    """A fresh credential and the entry by which an outpost recognises it."""
    key_id = secrets.token_hex(6)
    secret = secrets.token_urlsafe(32)
    return NewCredential(f"{key_id}.{secret}", {"id": key_id, "sha256": _digest(secret)})


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


class Credentials:
    """Finds out who asks. The secret has 256 random bits, so that a plain hash is as good as a slow one."""

    def __init__(self, settings: OutpostSettings) -> None:
        self._holders: dict[str, tuple[CredentialSettings, str | None]] = {
            entry.id: (entry, name) for name, hub in settings.hubs.items() for entry in hub.credentials
        }
        self._holders |= {entry.id: (entry, None) for entry in settings.metrics_credentials}

    def hub(self, authorization: str | None) -> str:
        """The hub to which this Authorization header belongs. Raises RoadsteadError."""
        hub = self._holder(authorization)
        if hub is None:
            raise RoadsteadError(ErrorCode.CREDENTIAL_WRONG, "This credential reads metrics only.", _REMEDY)
        return hub

    def metrics(self, authorization: str | None) -> Literal[True]:
        """Whether this header may read metrics; hubs may not, for the counts are not theirs. Raises RoadsteadError."""
        if self._holder(authorization) is not None:
            raise RoadsteadError(
                ErrorCode.CREDENTIAL_WRONG,
                "This credential belongs to a hub and does not read metrics.",
                "Add one to Outpost.metrics_credentials.",
            )
        return True

    def _holder(self, authorization: str | None) -> str | None:
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise RoadsteadError(ErrorCode.CREDENTIAL_MISSING, _MISSING, _REMEDY)
        key_id, _, secret = token.strip().partition(".")
        entry, hub = self._holders.get(key_id, (None, None))
        if not hmac.compare_digest(_digest(secret), entry.sha256 if entry else "0" * 64) or entry is None:
            raise RoadsteadError(ErrorCode.CREDENTIAL_WRONG, _WRONG, _REMEDY)
        if entry.expires and entry.expires <= datetime.now(UTC):
            raise RoadsteadError(
                ErrorCode.CREDENTIAL_EXPIRED, f"The credential {key_id} expired on {entry.expires:%Y-%m-%d}.", _REMEDY
            )
        return hub
