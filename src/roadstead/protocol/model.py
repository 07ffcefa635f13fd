"""The base of all messages and the bounded types they are made of."""

import re
import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, StringConstraints


class Message(BaseModel):
    """A message: unknown keys are refused, values do not change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def _no_control_characters(text: str) -> str:
    if any(unicodedata.category(char) in ("Cc", "Cs", "Co", "Cn") for char in text):
        raise ValueError("must not contain control or unassigned characters")
    return text


def _user_name(text: str) -> str:
    text = unicodedata.normalize("NFC", _no_control_characters(text))
    if "/" in text or "\\" in text or text.startswith("."):
        raise ValueError("must not look like a path: no '/', no '\\', no leading '.'")
    if text != text.strip():
        raise ValueError("must not begin or end with white space")
    return text


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("must carry a time zone")
    return moment.astimezone(UTC)


def plain_text(text: str, limit: int = 2000) -> str:
    """One line that is safe to show and to log: control characters become spaces, what is too long is cut with '…'."""
    text = "".join(" " if unicodedata.category(char) in ("Cc", "Cs", "Co", "Cn") else char for char in text)
    text = re.sub(r"\s+", " ", text).strip()
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _text(value: Any) -> Any:
    return plain_text(value) if isinstance(value, str) else value


Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$")]
"""The name of a hub, system, flavor or app: at most 63 lower-case letters, digits and inner hyphens (as RFC 1123)."""

UserName = Annotated[str, StringConstraints(min_length=1, max_length=255), AfterValidator(_user_name)]
"""A JupyterHub user name. JupyterHub allows almost anything; what looks like a path or control sequence is refused."""

ServerName = Annotated[str, StringConstraints(pattern=r"^(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$")]
"""A JupyterHub server name; empty is the default server."""

AttemptId = Annotated[
    str, StringConstraints(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
]
"""The id of one attempt to start a server: a UUID version 7 (RFC 9562) in lower case."""

Text = Annotated[str, BeforeValidator(_text), StringConstraints(max_length=2000)]
"""A sentence for people; cleaned and cut rather than refused, for it often comes from foreign code."""

ShortText = Annotated[str, StringConstraints(max_length=200), AfterValidator(_no_control_characters)]
"""A label from a site's configuration."""

Url = Annotated[str, StringConstraints(max_length=2000, pattern=r"^https?://[^\s/?#@]+(?:/[^\s?#]*)?$")]
"""An http or https address without credentials, query and fragment."""

UrlPath = Annotated[str, StringConstraints(max_length=2000, pattern=r"^/[^\s?#]*$")]
"""An absolute, percent-encoded path."""

EnvironmentName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]

EnvironmentValue = Annotated[str, StringConstraints(max_length=32_768, pattern=r"^[^\x00]*$")]
"""The value of an environment variable, in characters; a null byte cannot be passed to a process."""

TraitName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
"""The name of a Spawner setting; names that begin with an underscore are never meant."""

Moment = Annotated[datetime, AfterValidator(_utc)]
"""A moment in UTC."""

Progress = Annotated[int, Field(ge=0, le=100)]
"""How far a start is, in per cent."""


def json_size(value: JsonValue) -> int:
    """The rough size of a JSON value in characters, to bound it without encoding it."""
    match value:
        case str():
            return len(value) + 2
        case dict():
            return 2 + sum(len(key) + 4 + json_size(item) for key, item in value.items())
        case list():
            return 2 + sum(1 + json_size(item) for item in value)
        case _:
            return 8


def bounded_json(limit: int) -> AfterValidator:
    """A validator: the JSON value has at most about `limit` characters."""

    def check(value: Any) -> Any:
        if json_size(value) > limit:
            raise ValueError(f"must not be larger than {limit} characters")
        return value

    return AfterValidator(check)
