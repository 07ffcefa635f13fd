"""What a person may choose reaches neither script nor command as anything but one value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from traitlets import HasTraits, TraitError

from roadstead.spawners.values import Label, Word


class Settings(HasTraits):
    partition = Word()
    prefix = Label("x")


@pytest.mark.parametrize("value", ["batch", "gpu:a100:2", "1-00:00:00", "4G", "a_b.c+d@e", "node[1-3],x", "intel|amd"])
def test_what_schedulers_use_is_taken(value: str) -> None:
    assert Settings(partition=value).partition == value


def test_a_number_is_taken_as_its_digits() -> None:
    assert Settings(partition=4).partition == "4"


@pytest.mark.parametrize(
    "value",
    [
        *("a b", "a\n#SBATCH --uid=0", "a\r", "$(id)", "`id`", "a;id", 'a"b', "a'b", "a\\b", "-x", "--uid=0", "ä"),
        *("a\0", "a\u202eb", "a>b", "a<b", "a{b}", "x" * 1_000_000, "a~", "a#b", "\ud800"),
    ],
)
def test_what_could_be_more_than_a_value_is_refused(value: str) -> None:
    with pytest.raises(TraitError, match="partition"):
        Settings(partition=value)


@pytest.mark.parametrize("value", ["", "-a", "A", "a_b", "a" * 41, "a/b"])
def test_what_begins_no_name_is_refused(value: str) -> None:
    with pytest.raises(TraitError, match="prefix"):
        Settings(prefix=value)
    assert Settings(prefix="jupyter-2").prefix == "jupyter-2"


@pytest.mark.parametrize("value", [None, True, 1.5, ["a"], {"a": 1}, b"a"])
def test_what_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(TraitError):
        Settings(partition=value)


@given(st.text())
def test_what_is_taken_is_one_word(value: str) -> None:
    settings = Settings()
    try:
        settings.partition = value
    except TraitError:
        return
    assert not value or value.split() == [value]
    assert not set(value) & set("$`;\"'\\<>{}~#\n")
