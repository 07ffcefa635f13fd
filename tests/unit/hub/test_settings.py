"""The outposts in the hub's configuration: read, or refused with every mistake and its key, never with a secret."""

from pathlib import Path
from typing import Any

import pytest

from roadstead.hub.settings import ConfigurationError, OutpostSettings, read_outposts
from roadstead.protocol import ErrorCode, RoadsteadError

CREDENTIAL = "key1." + "s" * 32
GOOD: dict[str, Any] = {"url": "https://outpost.example", "credential": CREDENTIAL}


def test_a_good_configuration_is_read() -> None:
    outposts = read_outposts({"site": GOOD, "other-1": GOOD | {"display_name": "Other", "send_auth_state": True}})
    assert outposts["site"].read_credential() == CREDENTIAL
    assert not outposts["site"].send_auth_state
    assert outposts["other-1"].display_name == "Other"


def test_all_mistakes_are_told_at_once_with_their_keys() -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_outposts(
            {
                "Site A": GOOD,
                "one": {"url": "outpost.example"},
                "two": GOOD | {"credentials": "x"},
                "three": GOOD | {"credential": "no-dot"},
                "four": GOOD | {"credential_file": "/nowhere/at/all"},
                "five": {"url": "https://outpost.example"},
            }
        )
    text = str(caught.value)
    for key in ("['Site A']", "['one']['url']", "['two']['credentials']", "['three']['credential']"):
        assert f"c.RoadsteadSpawner.outposts{key}" in text
    assert "there is no file '/nowhere/at/all'" in text
    assert "['five']: give exactly one of credential and credential_file" in text


@pytest.mark.parametrize(
    "entry",
    [
        GOOD | {"credential": "short.secret-of-mine"[:12]},
        GOOD | {"url": "ftp://x", "credential": CREDENTIAL},
        GOOD | {"unknown": CREDENTIAL},
    ],
)
def test_no_message_has_a_secret_in_it(entry: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_outposts({"site": entry})
    assert entry["credential"] not in str(caught.value)
    assert "s" * 32 not in str(caught.value)
    assert "s" * 32 not in repr(OutpostSettings.model_validate(GOOD))


def test_no_outpost_at_all_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match="names no outpost"):
        read_outposts({})


def test_a_credential_may_be_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "credential"
    path.write_text(CREDENTIAL + "\n")
    outpost = read_outposts({"site": {"url": "http://127.0.0.1:1", "credential_file": str(path)}})["site"]
    assert outpost.read_credential() == CREDENTIAL
    path.write_text("nonsense")
    with pytest.raises(RoadsteadError) as caught:
        outpost.read_credential()
    assert caught.value.code is ErrorCode.CREDENTIAL_MISSING
    path.unlink()
    with pytest.raises(RoadsteadError, match="cannot be read"):
        outpost.read_credential()


def test_an_authority_for_an_address_without_tls_is_a_mistake(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.touch()
    with pytest.raises(ConfigurationError, match="says nothing about an http address"):
        read_outposts({"site": GOOD | {"url": "http://outpost.example", "ca_file": str(authority)}})
