"""Credentials: who is let in, and that only hashes are kept."""

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from roadstead.outpost.config import OutpostSettings
from roadstead.outpost.credentials import Credentials, new_credential
from roadstead.protocol import ErrorCode, RoadsteadError


@pytest.fixture
def tokens() -> dict[str, str]:
    return {}


@pytest.fixture
def credentials(tmp_path: Path, tokens: dict[str, str]) -> Credentials:
    entries = {}
    for name in ("one", "two", "old", "metrics"):
        token, entry = new_credential()
        tokens[name], entries[name] = token, dict(entry)
    past = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    return Credentials(
        OutpostSettings.model_validate(
            {
                "name": "here",
                "state_folder": tmp_path,
                "hubs": {
                    "a": {"credentials": [entries["one"], entries["old"] | {"expires": past}]},
                    "b": {"credentials": [entries["two"]]},
                },
                "metrics_credentials": [entries["metrics"]],
                "systems": {"local": {"spawner_class": "simple"}},
            }
        )
    )


def test_each_hub_has_its_own(credentials: Credentials, tokens: dict[str, str]) -> None:
    assert credentials.hub(f"Bearer {tokens['one']}") == "a"
    assert credentials.hub(f"bearer {tokens['two']}") == "b"
    assert credentials.metrics(f"Bearer {tokens['metrics']}")


def test_the_outpost_knows_only_a_hash() -> None:
    token, entry = new_credential()
    key_id, secret = token.split(".", 1)
    assert entry == {"id": key_id, "sha256": hashlib.sha256(secret.encode()).hexdigest()}
    assert len(secret) >= 43


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, ErrorCode.CREDENTIAL_MISSING),
        ("", ErrorCode.CREDENTIAL_MISSING),
        ("Basic YTpi", ErrorCode.CREDENTIAL_MISSING),
        ("Bearer ", ErrorCode.CREDENTIAL_MISSING),
        ("Bearer nonsense", ErrorCode.CREDENTIAL_WRONG),
        ("Bearer {one}x", ErrorCode.CREDENTIAL_WRONG),
        ("Bearer {one_id}.", ErrorCode.CREDENTIAL_WRONG),
        ("Bearer {one_id}.ünï", ErrorCode.CREDENTIAL_WRONG),
        ("Bearer {old}", ErrorCode.CREDENTIAL_EXPIRED),
        ("Bearer {metrics}", ErrorCode.CREDENTIAL_WRONG),
    ],
)
def test_who_is_not_let_in(
    credentials: Credentials, tokens: dict[str, str], header: str | None, code: ErrorCode
) -> None:
    filled = header and header.format(**tokens, one_id=tokens["one"].split(".")[0])
    with pytest.raises(RoadsteadError) as caught:
        credentials.hub(filled)
    assert caught.value.code is code
    assert tokens["one"].split(".")[1] not in caught.value.sentence


def test_a_hub_reads_no_metrics(credentials: Credentials, tokens: dict[str, str]) -> None:
    with pytest.raises(RoadsteadError):
        credentials.metrics(f"Bearer {tokens['one']}")
