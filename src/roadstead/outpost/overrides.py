"""Which Spawner settings a request may change: the site's allow list, with type, range, pattern or choices for each."""

import re
from collections.abc import Mapping
from typing import Final

from pydantic import JsonValue

from ..protocol.errors import ErrorCode, RoadsteadError
from ..protocol.systems import OverrideRule

_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "list": (list,),
    "mapping": (dict,),
}


def check_overrides(rules: Mapping[str, OverrideRule], values: Mapping[str, JsonValue], system: str) -> None:
    """Refuse what the site does not allow. Raises RoadsteadError `override-refused`."""
    for name, value in values.items():
        rule = rules.get(name)
        complaint = _complaint(rule, value) if rule else "is not one of the settings that a request may change"
        if complaint:
            allowed = f"Allowed on {system}: {', '.join(sorted(rules))}." if rules else f"{system} allows none."
            raise RoadsteadError(ErrorCode.OVERRIDE_REFUSED, f"The setting '{name}' {complaint}.", allowed)


def _complaint(rule: OverrideRule, value: JsonValue) -> str | None:
    if not isinstance(value, _TYPES[rule.type]) or (isinstance(value, bool) and rule.type != "boolean"):
        return f"must be a {rule.type}"
    if rule.choices is not None and value not in rule.choices:
        return f"must be one of {', '.join(map(str, rule.choices))}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        if rule.minimum is not None and not value >= rule.minimum:
            return f"must be at least {rule.minimum:g}"
        if rule.maximum is not None and not value <= rule.maximum:
            return f"must be at most {rule.maximum:g}"
    if isinstance(value, str | list | dict) and len(value) > rule.max_length:
        return f"must not be longer than {rule.max_length}"
    strings = _strings(value)
    if strings is None:
        return "may hold strings only"
    if any("\x00" in text or len(text) > 65_536 for text in strings):
        return "holds a null byte or too long a text"
    if rule.pattern is not None and not all(re.fullmatch(rule.pattern, text) for text in strings):
        return f"must match {rule.pattern}"
    return None


def _strings(value: JsonValue) -> list[str] | None:
    """The strings in a value, a mapping's keys included; None where something else is inside a list or mapping."""
    match value:
        case str():
            return [value]
        case list():
            items: list[JsonValue] = value
        case dict():
            items = [*value, *value.values()]
        case _:
            return []
    return [item for item in items if isinstance(item, str)] if all(isinstance(item, str) for item in items) else None
