"""Overrides by request: nothing without a rule, and only what the rule says."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from roadstead.outpost.overrides import check_overrides
from roadstead.protocol import ErrorCode, OverrideRule, RoadsteadError

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def refused(rule: OverrideRule | None, value: JsonValue) -> bool:
    try:
        check_overrides({"x": rule} if rule else {}, {"x": value}, "local")
    except RoadsteadError as refusal:
        return refusal.code is ErrorCode.OVERRIDE_REFUSED
    return False


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        ({"type": "string"}, ["", "abc"], [1, None, ["a"], True]),
        ({"type": "string", "pattern": "lab:[0-9]+"}, ["lab:1"], ["lab:", "xlab:1", "lab:1\n"]),
        ({"type": "string", "choices": ["a", "b"]}, ["a"], ["c", ""]),
        ({"type": "string", "max_length": 3}, ["abc"], ["abcd"]),
        ({"type": "integer", "minimum": 1, "maximum": 4}, [1, 4], [0, 5, 2.5, True, "2"]),
        ({"type": "number", "maximum": 2}, [0.5, -3, 2], [2.1, float("nan"), "1"]),
        ({"type": "boolean"}, [True, False], [0, 1, "true"]),
        ({"type": "list", "pattern": "[a-z]+"}, [[], ["ab"]], [["A"], ["a", 1], "ab", {}]),
        ({"type": "mapping", "pattern": "[a-z]+"}, [{}, {"a": "b"}], [{"a": 1}, {"A": "b"}, {"a": {"b": "c"}}]),
    ],
)
def test_a_rule(rule: dict[str, Any], good: list[JsonValue], bad: list[JsonValue]) -> None:
    checked = OverrideRule(**rule)
    assert [value for value in good if refused(checked, value)] == []
    assert [value for value in bad if not refused(checked, value)] == []


@given(JSON)
def test_without_a_rule_nothing_is_allowed(value: JsonValue) -> None:
    assert refused(None, value)


@given(JSON, st.sampled_from(["string", "integer", "number", "boolean", "list", "mapping"]))
def test_any_value_gets_an_answer(value: JsonValue, kind: Any) -> None:
    if not refused(OverrideRule(type=kind), value):
        assert isinstance(
            value, {"string": str, "integer": int, "boolean": bool, "list": list, "mapping": dict}.get(kind, object)
        )
