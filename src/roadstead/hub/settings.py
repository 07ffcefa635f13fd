"""The outposts that a hub may use, as configured; all mistakes are told at once, each with its key."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

from pydantic import ConfigDict, SecretStr, TypeAdapter, ValidationError, field_validator, model_validator

from ..protocol.errors import ErrorCode, RoadsteadError
from ..protocol.model import Message, Name, ShortText, Url

KEY: Final = "c.RoadsteadSpawner.outposts"
_CREDENTIAL: Final = re.compile(r"[A-Za-z0-9_-]{1,64}\.[A-Za-z0-9_.~+/=-]{16,512}")
_CREDENTIAL_FORM: Final = "must be of the form <key id>.<secret>, as the outpost's operator gave it"


class ConfigurationError(Exception):
    """The hub's configuration cannot be used; the text has one line for each finding."""

    def __init__(self, findings: Sequence[str]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(["Roadstead cannot work with this configuration:", *findings]))


class OutpostSettings(Message):
    """How this hub reaches one outpost."""

    model_config = ConfigDict(hide_input_in_errors=True, use_attribute_docstrings=True)

    url: Url
    """Where the outpost is, such as `https://outpost.site.example:8765`"""
    credential: SecretStr | None = None
    """What the outpost's operator gave this hub: `<key id>.<secret>`"""
    credential_file: Path | None = None
    """A file with the credential in it; it is read again when the outpost refuses what was in it before."""
    hub_api_url: Url | None = None
    """Where servers of this outpost find the hub's API, when it is not where the hub's own configuration says."""
    display_name: ShortText = ""
    """What people see; the outpost's name if not set."""
    ca_file: Path | None = None
    """Certificate authorities for https, as PEM, instead of the operating system's."""
    send_auth_state: bool = False
    """Whether the outpost gets what the authenticator keeps of a user; it may hold tokens of theirs."""

    @field_validator("credential")
    @classmethod
    def _formed(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _CREDENTIAL.fullmatch(value.get_secret_value()):
            raise ValueError(_CREDENTIAL_FORM)
        return value

    @field_validator("ca_file", "credential_file")
    @classmethod
    def _there(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError(f"there is no file '{value}'")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.credential is None) == (self.credential_file is None):
            raise ValueError("give exactly one of credential and credential_file")
        if self.ca_file is not None and not self.url.startswith("https:"):
            raise ValueError("a ca_file says nothing about an http address; is the url to begin with https:?")
        return self

    @property
    def identity(self) -> tuple[str, str]:
        """What makes two entries the same outpost seen with the same credential."""
        source = self.credential.get_secret_value() if self.credential else str(self.credential_file)
        return self.url.rstrip("/"), source

    def read_credential(self) -> str:
        """The credential. Raises RoadsteadError `credential-missing` when its file cannot be used."""
        if self.credential is not None:
            return self.credential.get_secret_value()
        assert self.credential_file is not None
        try:
            text = self.credential_file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not plain text"
            raise RoadsteadError(
                ErrorCode.CREDENTIAL_MISSING, f"The credential file '{self.credential_file}' cannot be read: {reason}."
            ) from None
        if not _CREDENTIAL.fullmatch(text):
            raise RoadsteadError(
                ErrorCode.CREDENTIAL_MISSING, f"The credential in '{self.credential_file}' {_CREDENTIAL_FORM}."
            )
        return text


_OUTPOSTS: Final = TypeAdapter(dict[Name, OutpostSettings])


def read_outposts(value: Mapping[str, Any]) -> dict[str, OutpostSettings]:
    """The outposts by name. Raises ConfigurationError with all that is wrong."""
    if not value:
        raise ConfigurationError([f"{KEY}: names no outpost; a hub needs at least one"])
    try:
        return _OUTPOSTS.validate_python(dict(value))
    except ValidationError as error:
        raise ConfigurationError([_finding(each["loc"], each["msg"]) for each in error.errors()]) from None


def _finding(location: Sequence[int | str], message: str) -> str:
    keys = [key for key in location if key != "[key]"]
    path = "".join(f"['{key}']" for key in keys)
    about = " (an outpost's name)" if "[key]" in location else ""
    return f"{KEY}{path}{about}: {message.removeprefix('Value error, ')}"


_read: Final[dict[str, dict[str, OutpostSettings]]] = {}


def outposts_of(value: Mapping[str, Any]) -> dict[str, OutpostSettings]:
    """The same as `read_outposts`, done once for each different configuration, for every Spawner object asks."""
    key = repr(value)
    if key not in _read:
        _read[key] = read_outposts(value)
    return _read[key]
