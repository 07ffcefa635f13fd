"""Options from forms, links, REST and the database: one model, every mistake a sentence, nothing hostile passes."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadstead.hub.offers import Offer, Offers, Place, Silence, named_place, only_place
from roadstead.hub.options import (
    has_overrides,
    last_options,
    options_from_form,
    prefill_from_query,
    read_options,
    stored,
)
from roadstead.protocol import ErrorCode, OverrideRule, RoadsteadError, ServerOptions
from tests.unit.hub.outpost import settings, system

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(["system", "app", "flavor", "overrides", "user_options", "display_name", "x"])


@given(JSON | st.dictionaries(KEYS, JSON))
def test_whatever_is_stored_is_read_or_refused_with_a_sentence(value: Any) -> None:
    options = last_options(value)
    if options is not None:
        assert read_options(stored(options)) == options
    elif value:
        with pytest.raises(RoadsteadError) as caught:
            read_options(value)
        assert caught.value.code is ErrorCode.BAD_REQUEST
        assert len(caught.value.sentence) < 2100


def test_both_shapes_of_a_request_are_the_same() -> None:
    inner = {"system": "site/local", "app": "lab"}
    assert (
        read_options(inner)
        == read_options({"user_options": inner})
        == read_options({"user_options": inner, "display_name": "My server"})
    )
    assert read_options(None) == read_options({}) == ServerOptions()


def test_every_mistake_is_named() -> None:
    with pytest.raises(RoadsteadError) as caught:
        read_options({"app": "No!", "image": "x", "overrides": {"_x": 1}})
    for word in ("app", "image", "_x"):
        assert word in caught.value.sentence


RULES = {
    "image": OverrideRule(type="string"),
    "cpus": OverrideRule(type="integer"),
    "share": OverrideRule(type="number"),
    "gpu": OverrideRule(type="boolean"),
    "tags": OverrideRule(type="list"),
    "labels": OverrideRule(type="mapping"),
    "mounts": OverrideRule(type="list", choices=[["/a"], ["/a", "/b"]]),
}


def form(**fields: str) -> dict[str, list[str]]:
    named = {f"override--site/local--{name}": [value] for name, value in fields.items()}
    return {"system": ["site/local"], "app--site/local": ["lab"], "flavor--site/local": [""], "_xsrf": ["x"]} | named


def test_a_form_is_read_by_the_rules_of_its_system() -> None:
    fields = form(
        image=" 4 ", cpus="4", share="0.5", gpu="true", tags="a\n\n b\n", labels="a=1\nb = x=y", mounts='["/a"]'
    )
    options = options_from_form(fields, RULES)
    assert options.system == "site/local"
    assert options.app == "lab"
    assert options.flavor is None
    assert options.overrides == {
        "image": "4",
        "cpus": 4,
        "share": 0.5,
        "gpu": True,
        "tags": ["a", "b"],
        "labels": {"a": "1", "b": "x=y"},
        "mounts": ["/a"],
    }


def test_fields_of_other_systems_and_empty_ones_say_nothing() -> None:
    fields = form(image="") | {"app--other/local": ["code"], "override--other/local--cpus": ["9"]}
    assert options_from_form(fields, RULES).overrides == {}
    assert not has_overrides(fields, "site/local")
    assert has_overrides(fields, "other/local")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cpus", "4.5"),
        ("cpus", "many"),
        ("share", "nan"),
        ("share", "inf"),
        ("gpu", "perhaps"),
        ("labels", "a"),
        ("mounts", "["),
    ],
)
def test_a_field_that_cannot_be_read_is_told(name: str, text: str) -> None:
    with pytest.raises(RoadsteadError, match=name):
        options_from_form(form(**{name: text}), RULES)


@given(st.dictionaries(st.text(max_size=30), st.lists(st.text(max_size=30), max_size=3)))
def test_any_form_is_read_or_refused(fields: dict[str, list[str]]) -> None:
    with contextlib.suppress(RoadsteadError):
        assert options_from_form(fields | {"system": ["site/local"]}, RULES).system == "site/local"


def test_a_form_without_a_system_is_refused() -> None:
    with pytest.raises(RoadsteadError, match="No system was chosen"):
        options_from_form({}, {})


def test_files_in_a_form_are_no_texts() -> None:
    assert options_from_form({"system": ["site/local"], "app--site/local": [{"body": b"x"}]}, {}).app is None


def test_a_link_proposes_choices_with_and_without_prefix() -> None:
    for prefix in ("", "opt-"):
        proposed = prefill_from_query({f"{prefix}system": ["site/local"], f"{prefix}app": ["lab"], "evil": ["1"]})
        assert proposed == ServerOptions(system="site/local", app="lab")
    assert prefill_from_query({"system": ["../.."]}) is None
    assert prefill_from_query({"x": ["1"]}) is None


OUTPOSTS = {"site": settings(), "other": settings(url="http://other.example")}


def offers(*ids: str, silent: tuple[str, ...] = ()) -> Offers:
    pairs = [each.split("/") for each in ids]
    return Offers(
        [Offer(outpost, outpost, system(name)) for outpost, name in pairs],
        [Silence(name, name, RoadsteadError(ErrorCode.OUTPOST_UNREACHABLE, f"{name} is away.")) for name in silent],
    )


def test_a_full_name_needs_no_asking() -> None:
    assert named_place(ServerOptions(system="other/x"), OUTPOSTS) == Place("other", "x")
    assert named_place(ServerOptions(system="x"), {"site": settings()}) == Place("site", "x")
    assert named_place(ServerOptions(system="x"), OUTPOSTS) is None
    assert named_place(ServerOptions(), OUTPOSTS) is None
    with pytest.raises(RoadsteadError, match="no outpost 'third'") as caught:
        named_place(ServerOptions(system="third/x"), OUTPOSTS)
    assert caught.value.code is ErrorCode.OUTPOST_UNKNOWN


def test_one_fitting_place_is_taken() -> None:
    assert only_place(ServerOptions(), offers("site/a")) == Place("site", "a")
    assert only_place(ServerOptions(system="b"), offers("site/a", "other/b")) == Place("other", "b")


@pytest.mark.parametrize(
    ("options", "given_", "word"),
    [
        (ServerOptions(), offers("site/a", "other/a"), "site/a, other/a"),
        (ServerOptions(system="a"), offers("site/a", "other/a"), "site/a, other/a"),
        (ServerOptions(system="c"), offers("site/a"), "no system 'c'"),
        (ServerOptions(), offers(), "no system that you may use"),
        (ServerOptions(system="c"), offers("site/a", silent=("other",)), "other is away"),
    ],
)
def test_no_or_several_places_are_told(options: ServerOptions, given_: Offers, word: str) -> None:
    with pytest.raises(RoadsteadError, match=word):
        only_place(options, given_)
