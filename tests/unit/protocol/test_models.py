"""The messages: bounds and encodings at the border, whoever is on the other side."""

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from roadstead.protocol import ErrorCode, RoadsteadError, ServerOptions, ServerRequest, attempt_time, new_attempt_id
from roadstead.protocol.errors import STATUS
from roadstead.protocol.events import EVENT
from roadstead.protocol.model import AttemptId, Name, ServerName, Text, Url, UserName, plain_text

REQUEST: dict[str, Any] = {
    "user": {"name": "alice"},
    "options": {"system": "local"},
    "hub": {"api_url": "http://127.0.0.1:8081/hub/api", "base_url": "/hub/"},
    "base_url": "/user/alice/",
    "oauth_client_id": "jupyterhub-user-alice",
}


def ok(kind: Any, value: Any) -> bool:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("name", ["alice", "josé@uni.es", "a b", "O'Neil", "名前"])
def test_user_names_that_people_have(name: str) -> None:
    assert ok(UserName, name)


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a\\b", ".ssh", "a\nb", "a\x00b", " a", "a" * 256, "\ud800"])
def test_user_names_that_are_refused(name: str) -> None:
    assert not ok(UserName, name)


@pytest.mark.parametrize("name", ["", "s1", "my-server", "A.b_c", "x" * 63])
def test_server_names(name: str) -> None:
    assert ok(ServerName, name)


@pytest.mark.parametrize("name", ["-a", "a-", "a/b", "..", "a b", "é", "x" * 64, "a\n"])
def test_server_names_that_are_refused(name: str) -> None:
    assert not ok(ServerName, name)


@pytest.mark.parametrize("name", ["A", "", "a" * 64, "a_b", "-a", "a\n"])
def test_names_that_are_refused(name: str) -> None:
    assert not ok(Name, name)


@pytest.mark.parametrize("url", ["http://h:1", "https://[::1]:8888/x", "http://10.0.0.1"])
def test_urls(url: str) -> None:
    assert ok(Url, url)


@pytest.mark.parametrize(
    "url", ["", "ftp://h", "javascript:alert(1)", "http://u:p@h/", "http://h/?q", "http://h/#f", "http://h\n/", "//h"]
)
def test_urls_that_are_refused(url: str) -> None:
    assert not ok(Url, url)


def test_attempt_ids_are_ordered_in_time() -> None:
    ids = []
    for _ in range(5):
        ids.append(new_attempt_id())
        time.sleep(0.002)
    assert ids == sorted(ids)
    assert all(ok(AttemptId, name) for name in ids)
    assert abs((attempt_time(ids[-1]) - datetime.now(UTC)).total_seconds()) < 5


def test_foreign_uuids_are_no_attempt_ids() -> None:
    assert not ok(AttemptId, "6fa459ea-ee8a-4ca4-894e-db77e160355e")
    assert not ok(AttemptId, new_attempt_id().upper())


@given(st.text())
def test_text_of_foreign_code_becomes_one_safe_line(text: str) -> None:
    line = TypeAdapter(Text).validate_python(text)
    assert "\n" not in line
    assert "\x1b" not in line
    assert len(line) <= 2000
    line.encode()


def test_long_text_is_cut_visibly() -> None:
    assert plain_text("x" * 5000).endswith("…")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda i: st.lists(i) | st.dictionaries(st.text(), i)
    )
)
def test_options_from_anywhere_are_options_or_a_clear_error(value: Any) -> None:
    try:
        options = ServerOptions.model_validate(value)
    except ValidationError:
        return
    assert ServerOptions.model_validate_json(options.model_dump_json()) == options


@pytest.mark.parametrize(
    "change",
    [
        {"colour": "blue"},
        {"environment": {"PATH": "/evil"}},
        {"environment": {"LD_PRELOAD": "x"}},
        {"environment": {"JUPYTERHUB_X": "a\x00b"}},
        {"environment": {"JUPYTERHUB_X": "a" * 40_000}},
        {"environment": {f"JUPYTERHUB_{n}": "x" for n in range(101)}},
        {"environment": {f"JUPYTERHUB_{n}": "x" * 30_000 for n in range(20)}},
        {"base_url": "http://elsewhere/"},
        {"user": {"name": "alice", "root": True}},
        {"user": {"name": "alice", "auth_state": {"x": "y" * 200_000}}},
        {"options": {"system": "a/b/c"}},
        {"options": {"overrides": {"__class__": 1}}},
        {"hub": {"api_url": "http://h/", "base_url": "/", "secret": 1}},
        {"certificates": {"keyfile": "x", "certfile": "x", "cafile": "x"}},
    ],
)
def test_requests_that_are_refused(change: dict[str, Any]) -> None:
    ServerRequest.model_validate(REQUEST)
    with pytest.raises(ValidationError):
        ServerRequest.model_validate(REQUEST | change)


def test_the_same_request_has_the_same_text() -> None:
    one = ServerRequest.model_validate(REQUEST)
    assert ServerRequest.model_validate_json(one.model_dump_json()).model_dump_json() == one.model_dump_json()


def test_every_error_code_has_a_status() -> None:
    assert set(STATUS) == set(ErrorCode)
    error = RoadsteadError(ErrorCode.FLAVOR_FULL, "All places are taken.", "Try later.")
    assert (error.status, error.sentence) == (429, "All places are taken. Try later.")


def test_an_unknown_event_is_refused() -> None:
    with pytest.raises(ValidationError):
        EVENT.validate_json(json.dumps({"type": "surprise", "seq": 1}))
