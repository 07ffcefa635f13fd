"""What Spawner classes answer, raise and show, turned into what goes on the wire."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tornado.web import HTTPError

from roadstead.outpost.host.answers import address, exit_code
from roadstead.outpost.host.calls import GuestExitError
from roadstead.outpost.host.sentences import HIDDEN, RefusedError, Secrets, failure, html_to_text, progress_line
from roadstead.protocol.host import Advanced, StartFailed


def spawner(internal_ssl: bool = False, **server: Any) -> Any:
    fields = {"proto": "http", "ip": "", "port": 0} | server
    return SimpleNamespace(internal_ssl=internal_ssl, server=SimpleNamespace(**fields))


@pytest.mark.parametrize(
    ("answer", "made", "url", "parts"),
    [
        ("http://10.0.0.1:8888", spawner(), "http://10.0.0.1:8888", ("http", "10.0.0.1", 8888)),
        ("https://node7.site/", spawner(), "https://node7.site/", ("https", "node7.site", 443)),
        ("http://node7", spawner(), "http://node7", ("http", "node7", 80)),
        (("10.0.0.1", 8888), spawner(), "http://10.0.0.1:8888", ("http", "10.0.0.1", 8888)),
        (["10.0.0.1", "8888"], spawner(), "http://10.0.0.1:8888", ("http", "10.0.0.1", 8888)),
        (("10.0.0.1", 8888), spawner(internal_ssl=True), "https://10.0.0.1:8888", ("https", "10.0.0.1", 8888)),
        (("fd00::1", 1), spawner(), "http://[fd00::1]:1", ("http", "fd00::1", 1)),
        (None, spawner(proto="https", ip="n1", port=9), "https://n1:9", ("https", "n1", 9)),
    ],
)
def test_an_address_in_every_form_that_jupyterhub_takes(
    answer: Any, made: Any, url: str, parts: tuple[str, str, int]
) -> None:
    assert address(answer, made) == url
    assert (made.server.proto, made.server.ip, made.server.port) == parts


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "",
        0,
        17,
        "10.0.0.1:8888",
        "ftp://10.0.0.1/",
        "http+unix://%2Ftmp%2Fs",
        "http://user:word@host/",
        "http://host/?token=1",
        "http://host:99999/",
        "http:///path",
        ("10.0.0.1", 0),
        ("10.0.0.1", 70_000),
        ("10.0.0.1", True),
        ("10.0.0.1", "eighty"),
        (None, 8888),
        ("10.0.0.1", 8888, 1),
        ("evil/..", 8888, 1),
        ("a b", 8888),
        {"ip": "10.0.0.1"},
    ],
)
def test_what_is_no_address_is_refused(answer: Any) -> None:
    with pytest.raises(RefusedError, match="where the server's address was expected"):
        address(answer, spawner())


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (None, None),
        (0, 0),
        (1, 1),
        (-9, -9),
        (True, 1),
        ("", 0),
        ("gone", 0),
        ("ExitCode=137, Error='', FinishedAt=now", 137),
        ("{'ContainerStatus': {'ContainerID': 'x', 'ExitCode': 3, 'PID': 0}}", 3),
        ("ExitCode=-1", -1),
        (3.7, 0),
    ],
)
def test_exit_codes(answer: Any, code: int | None) -> None:
    assert exit_code(answer) == code


def with_attributes(error: Exception, **attributes: str) -> Exception:
    for name, value in attributes.items():
        setattr(error, name, value)
    return error


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ValueError("no disk"), "Klass failed with ValueError: no disk"),
        (ValueError(), "Klass failed with ValueError: without saying why"),
        (RefusedError("Take another."), "Take another."),
        (GuestExitError("The Spawner called sys.exit(1)."), "The Spawner called sys.exit(1)."),
        (with_attributes(ValueError("x"), jupyterhub_message="Ask Ann."), "Ask Ann."),
        (with_attributes(ValueError("x"), jupyterhub_html_message="<b>Ask</b>&nbsp;Bob."), "Ask Bob."),
        (HTTPError(400, "Image %s is not allowed", "x/y"), "Image x/y is not allowed"),
        (HTTPError(400, "100% sure"), "100% sure"),
        (HTTPError(403, reason="Not today"), "Not today"),
        (HTTPError(503), "HTTP 503"),
        (with_attributes(HTTPError(400, "for the log"), message="for people"), "for people"),
        (ValueError("two\nlines\x1b[0m"), "Klass failed with ValueError: two lines [0m"),
    ],
)
def test_a_failure_is_one_sentence(error: Exception, sentence: str) -> None:
    assert failure(error, "Klass") == sentence


@given(st.text(max_size=3000))
def test_any_text_of_a_guest_fits_into_a_report(text: str) -> None:
    StartFailed(key="k", message=failure(ValueError(text), "Klass"))
    progress, message = progress_line({"progress": text, "message": text})
    assert progress is None
    Advanced(key="k", progress=progress, message=message)
    html_to_text(text)


@pytest.mark.parametrize(
    ("event", "line"),
    [
        ({"progress": 0, "message": "a"}, (0, "a")),
        ({"progress": 99.9, "message": "a"}, (99, "a")),
        ({"progress": 101, "message": "a"}, (None, "a")),
        ({"progress": -1, "message": "a"}, (None, "a")),
        ({"progress": True, "message": "a"}, (None, "a")),
        ({"progress": "50", "message": "a"}, (None, "a")),
        ({"progress": float("nan"), "message": "a"}, (None, "a")),
        ({"message": "a", "html_message": "<b>b</b>"}, (None, "a")),
        ({"html_message": "<ul><li>one<li>two</ul><style>p{}</style>"}, (None, "one two")),
        ({"progress": 5}, (5, "")),
        ({}, (None, "")),
        (None, (None, "")),
        ("text", (None, "text")),
    ],
)
def test_lines_of_progress(event: Any, line: tuple[int | None, str]) -> None:
    assert progress_line(event) == line


def test_secrets_are_hidden_while_they_are_held() -> None:
    secrets = Secrets()
    secrets.keep("north:1", ["0123456789", "", "short"])
    secrets.keep("north:2", ["abcdefghij"])
    assert secrets.hide("0123456789 abcdefghij short") == f"{HIDDEN} {HIDDEN} short"
    secrets.drop("north:1")
    secrets.drop("north:1")
    assert secrets.hide("0123456789 abcdefghij") == f"0123456789 {HIDDEN}"
