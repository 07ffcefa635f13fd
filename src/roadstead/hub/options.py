"""What a person chose, from the start page, a query, REST or the hub's database: always read into one model."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import JsonValue, ValidationError

from ..protocol.errors import ErrorCode, RoadsteadError
from ..protocol.model import plain_text
from ..protocol.servers import ServerOptions
from ..protocol.systems import OverrideRule

Form = Mapping[str, Sequence[Any]]
"""A form as JupyterHub passes it on: every field a list of texts, or of files."""

_WRAPPING: Final = {"user_options", "display_name"}
_WORDS: Final[dict[str, JsonValue]] = {"true": True, "on": True, "yes": True, "false": False, "off": False, "no": False}


def read_options(value: Any) -> ServerOptions:
    """Options as REST gave them or the database kept them. Raises RoadsteadError `bad-request` with every mistake.

    JupyterHub 5 takes the body of a request as the options, JupyterHub 6 what is in its `user_options`; a client may
    send the newer form to both.
    """
    if isinstance(value, Mapping) and "user_options" in value and set(value) <= _WRAPPING:
        value = value["user_options"]
    try:
        return ServerOptions.model_validate({} if value is None else value)
    except ValidationError as error:
        raise RoadsteadError(
            ErrorCode.BAD_REQUEST,
            "These options cannot be used: "
            + "; ".join(_mistake(each["loc"], each["msg"]) for each in error.errors()[:5]),
            f"There are: {', '.join(ServerOptions.model_fields)}.",
        ) from None


def last_options(value: Any) -> ServerOptions | None:
    """The options of an earlier start, to begin a form with; None if there are none or they make no sense."""
    if not value:
        return None
    try:
        return read_options(value)
    except RoadsteadError:
        return None


def stored(options: ServerOptions) -> dict[str, Any]:
    """The form in which JupyterHub keeps options: JSON, without what was not chosen."""
    return options.model_dump(mode="json", exclude_defaults=True)


def _mistake(location: Sequence[int | str], message: str) -> str:
    where = ".".join(plain_text(str(part), 60) for part in location)
    return f"{where}: {message.removeprefix('Value error, ')}" if where else message


# -- the start page


def chosen_system(form: Form) -> str | None:
    """The system of a form: 'outpost/system'."""
    return _one(form, "system")


def has_overrides(form: Form, chosen: str) -> bool:
    """Whether any setting of the chosen system was filled in, so that its rules are needed to read the form."""
    return any(field.startswith(f"override--{chosen}--") and _one(form, field) for field in form)


def options_from_form(form: Form, rules: Mapping[str, OverrideRule]) -> ServerOptions:
    """The options of a filled-in form. Texts become what the rules call for. Raises RoadsteadError `bad-request`."""
    chosen = chosen_system(form)
    if chosen is None:
        raise RoadsteadError(ErrorCode.BAD_REQUEST, "No system was chosen.", "Choose one and press Start again.")
    overrides: dict[str, JsonValue] = {}
    for name, rule in rules.items():
        text = _one(form, f"override--{chosen}--{name}")
        if text is not None:
            overrides[name] = _value(name, rule, text)
    return read_options(
        {
            "system": chosen,
            "app": _one(form, f"app--{chosen}"),
            "flavor": _one(form, f"flavor--{chosen}"),
            "overrides": overrides,
        }
    )


def prefill_from_query(query: Form) -> ServerOptions | None:
    """The options that a link proposes; what it says that makes no sense is left out.

    JupyterHub 6 takes the prefix `opt-` off; links that have it work with JupyterHub 5 too.
    """
    proposed: dict[str, JsonValue] = {}
    for key in ("system", "app", "flavor"):
        if value := _one(query, key) or _one(query, f"opt-{key}"):
            proposed[key] = value
    return last_options(proposed)


def _one(form: Form, field: str) -> str | None:
    values = form.get(field) or ()
    text = values[-1] if values and isinstance(values[-1], str) else ""
    return text.strip() or None


def _value(name: str, rule: OverrideRule, text: str) -> JsonValue:
    label = rule.display_name or name
    try:
        return _convert(rule, text)
    except ValueError:
        raise RoadsteadError(
            ErrorCode.BAD_REQUEST,
            f"'{plain_text(text, 80)}' is no {rule.type} for {label}.",
            "Correct it and press Start.",
        ) from None


def _convert(rule: OverrideRule, text: str) -> JsonValue:
    match rule.type:
        case "string":
            return text
        case "integer":
            return int(text)
        case "number":
            number = float(text)
            if not math.isfinite(number):
                raise ValueError(text)
            return number
        case "boolean":
            if text.lower() not in _WORDS:
                raise ValueError(text)
            return _WORDS[text.lower()]
        case "list" | "mapping" if rule.choices is not None:
            return _json(text)
        case "list":
            return [line.strip() for line in text.splitlines() if line.strip()]
        case "mapping":
            return dict(_pair(line) for line in text.splitlines() if line.strip())


def _json(text: str) -> JsonValue:
    value: JsonValue = json.loads(text)
    return value


def _pair(line: str) -> tuple[str, JsonValue]:
    name, separator, value = line.partition("=")
    if not separator or not name.strip():
        raise ValueError(line)
    return name.strip(), value.strip()
