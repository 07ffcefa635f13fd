"""What is stored of a server: taken up again whole, its token readable with the right key, nonsense passed over."""

import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jupyterhub.crypto import CryptKeeper

from roadstead.hub import keys, state
from roadstead.hub.state import Attempt
from roadstead.protocol import new_attempt_id

ATTEMPT = Attempt(new_attempt_id(), "site", "local", "lab", None, "http://10.0.0.1:1234")


@pytest.fixture(autouse=True)
def jupyterhub_keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[CryptKeeper]:
    """JupyterHub's own keys; none at first."""
    monkeypatch.delenv("JUPYTERHUB_CRYPT_KEY", raising=False)
    CryptKeeper.clear_instance()
    keys._keys.cache_clear()
    yield CryptKeeper.instance()
    CryptKeeper.clear_instance()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "key"


def dump(token: str, key_file: Path) -> dict[str, Any]:
    return state.dump(ATTEMPT, keys.seal(token, key_file))


def test_an_attempt_is_taken_up_again(key_file: Path) -> None:
    dumped = dump("secret-token", key_file)
    assert "secret-token" not in str(dumped)
    assert state.load(dumped, key_file) == (ATTEMPT, "secret-token")
    assert state.attempt_of(dumped) == ("site", ATTEMPT.id)


def test_that_an_end_was_asked_for_is_taken_up_again(key_file: Path) -> None:
    ending = replace(ATTEMPT, ending=True)
    assert state.load(state.dump(ending, ""), key_file) == (ending, "")


def test_the_key_file_is_made_once_and_its_owners_alone(key_file: Path) -> None:
    dump("x", key_file)
    made = key_file.read_bytes()
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    keys._keys.cache_clear()
    dump("x", key_file)
    assert key_file.read_bytes() == made


def test_without_its_key_a_token_is_none_and_the_attempt_is_kept(key_file: Path) -> None:
    dumped = dump("secret-token", key_file)
    key_file.unlink()
    keys._keys.cache_clear()
    assert state.load(dumped, key_file) == (ATTEMPT, None)


def test_keys_of_jupyterhub_come_first_and_rotate(key_file: Path, jupyterhub_keys: CryptKeeper) -> None:
    old, new = b"o" * 32, b"n" * 32
    by_file = dump("token", key_file)
    jupyterhub_keys.keys = [old]
    by_old = dump("token", key_file)
    jupyterhub_keys.keys = [new, old]
    by_new = dump("token", key_file)
    for dumped in (by_file, by_old, by_new):
        assert state.load(dumped, key_file) == (ATTEMPT, "token")
    jupyterhub_keys.keys = [new]
    assert state.load(by_new, key_file) == (ATTEMPT, "token")
    assert state.load(by_old, key_file) == (ATTEMPT, None)


def test_no_key_file_is_made_where_jupyterhub_has_a_key(key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTERHUB_CRYPT_KEY", "ab" * 32)
    CryptKeeper.clear_instance()
    dump("token", key_file)
    assert not key_file.exists()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(JSON | st.builds(lambda value: {"roadstead": value}, JSON))
def test_a_state_that_is_not_ours_is_none(value: Any) -> None:
    assert state.attempt_of(value) is None


@pytest.mark.parametrize(
    "change", [{"id": "../../x"}, {"outpost": "Not a name"}, {"url": "file:///etc/passwd"}, {"system": None}]
)
def test_a_damaged_state_is_none(change: dict[str, Any], key_file: Path) -> None:
    dumped = dump("token", key_file)
    dumped["roadstead"] |= change
    assert state.load(dumped, key_file) is None


def test_what_a_later_release_adds_does_not_matter(key_file: Path) -> None:
    dumped = dump("token", key_file)
    dumped["roadstead"]["future"] = {"x": 1}
    assert state.load(dumped, key_file) == (ATTEMPT, "token")
