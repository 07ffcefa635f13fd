"""The ledger on both databases: written as a whole, counted truly, told in order, unreadable without its key."""

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from roadstead.outpost import migrate
from roadstead.outpost.config import ConfigurationError
from roadstead.outpost.database import open_database
from roadstead.outpost.ledger import Ledger
from roadstead.outpost.lifecycle import Record
from roadstead.outpost.rows import Attempt, Usage
from roadstead.outpost.schema import METADATA
from roadstead.outpost.secrets import Keyring, add_key, drop_old_keys, load_keyring
from roadstead.outpost.steps import Transaction, Written
from roadstead.protocol import ErrorCode, RoadsteadError, ServerRequest, ServerState, new_attempt_id
from roadstead.protocol.servers import Titles
from tests.real.outposts import request_body


@pytest.fixture(params=["sqlite", "postgresql"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.sqlite"
    base: str = request.getfixturevalue("postgres_url").replace("postgresql:", "postgresql+asyncpg:")
    name = f"ledger_{time.time_ns()}"
    engine = create_async_engine(base, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name}"))
    await engine.dispose()
    return base.removesuffix("postgres") + name


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.key"


@pytest.fixture
async def ledger(url: str, key_file: Path) -> AsyncIterator[Ledger]:
    await migrate.upgrade(url)
    ledger = Ledger(url, load_keyring(key_file))
    yield ledger
    await ledger.close()


def attempt(ledger: Ledger, hub: str = "hub", user: str = "alice", name: str = "", **values: Any) -> Attempt:
    request = ServerRequest.model_validate(request_body(user, name))
    defaults: dict[str, Any] = {
        "hub": hub,
        "id": new_attempt_id(),
        "user": user,
        "server_name": name,
        "system": "local",
        "app": None,
        "flavor": "small",
        "titles": Titles(system="This machine", flavor="Small"),
        "record": Record(),
        "digest": "0" * 64,
        "request": ledger.seal(request.model_dump_json()),
        "settings": ledger.seal(json.dumps({"mem_limit": "1G"})),
        "accepted_at": time.time(),
    }
    return Attempt(**(defaults | values))


async def add(ledger: Ledger, *attempts: Attempt) -> None:
    def write(transaction: Transaction) -> None:
        for one in attempts:
            transaction.add(one)

    await ledger.write(write)


async def tell(ledger: Ledger, hub: str, server_id: str, *bodies: dict[str, Any], secret: bool = False) -> None:
    def write(transaction: Transaction) -> None:
        for body in bodies:
            transaction.tell(hub, server_id, body, secret=secret)

    await ledger.write(write)


async def test_the_migrations_make_the_tables_of_the_schema(url: str) -> None:
    await migrate.upgrade(url)
    database = open_database(url)
    differences = await database.read(
        lambda connection: compare_metadata(MigrationContext.configure(connection), METADATA)
    )
    await database.close()
    assert differences == []


async def test_what_is_written_is_read(ledger: Ledger) -> None:
    one = attempt(ledger)
    await add(ledger, one)
    found = await ledger.get("hub", one.id)
    assert found == one
    assert ledger.request(one).environment["JUPYTERHUB_API_TOKEN"] == "token-of-alice-"
    assert ledger.settings(one) == {"mem_limit": "1G"}
    assert await ledger.get("other", one.id) is None


async def test_a_step_is_whole_or_nothing(ledger: Ledger) -> None:
    one = attempt(ledger)

    def fail_midway(transaction: Transaction) -> None:
        transaction.add(one)
        transaction.tell("hub", one.id, {"type": "state"})
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await ledger.write(fail_midway)
    assert await ledger.get("hub", one.id) is None
    assert await ledger.last_seq("hub") == 0


async def test_steps_at_the_same_time_share_commits(ledger: Ledger) -> None:
    commits: list[list[Written]] = []
    ledger.listen(commits.append)
    await asyncio.gather(*(tell(ledger, "hub", "x", {"type": "progress", "message": str(n)}) for n in range(50)))
    assert len(commits) < 10
    assert [seq for written in commits for _, seq, _ in written] == list(range(1, 51))
    assert [seq for seq, _ in await ledger.events("hub", 0) or []] == list(range(1, 51))


async def test_a_step_that_fails_harms_none_of_those_that_come_with_it(ledger: Ledger) -> None:
    everyone = [attempt(ledger, user=f"u{n}") for n in range(9)]
    twice = attempt(ledger, user="u4")

    def refuse(_: Transaction) -> None:
        raise RoadsteadError(ErrorCode.FLAVOR_FULL, "No place is left.")

    steps = [add(ledger, one) for one in everyone]
    outcomes = await asyncio.gather(*steps, add(ledger, twice), ledger.write(refuse), return_exceptions=True)
    assert outcomes[:9] == [None] * 9
    codes = [outcome.code for outcome in outcomes[9:] if isinstance(outcome, RoadsteadError)]
    assert codes == [ErrorCode.LEDGER_DOWN, ErrorCode.FLAVOR_FULL]
    assert sorted(await ledger.live_ids("hub")) == sorted(one.id for one in everyone)


async def test_the_database_itself_refuses_two_live_attempts_of_a_server(ledger: Ledger) -> None:
    await add(ledger, attempt(ledger))
    with pytest.raises(RoadsteadError) as caught:
        await add(ledger, attempt(ledger))
    assert caught.value.code is ErrorCode.LEDGER_DOWN
    await add(ledger, attempt(ledger, hub="other"), attempt(ledger, name="s1"), attempt(ledger, user="bob"))


async def test_an_error_of_the_database_shows_no_values(ledger: Ledger) -> None:
    one = attempt(ledger)
    await add(ledger, one)
    with pytest.raises(RoadsteadError) as caught:
        await add(ledger, one)
    assert one.request not in caught.value.sentence
    assert "INSERT" not in caught.value.sentence


async def test_usage_counts_live_servers_of_hub_and_user(ledger: Ledger) -> None:
    ended = Record(ServerState.ENDED, 1)
    await add(
        ledger,
        attempt(ledger),
        attempt(ledger, name="a", record=Record(ServerState.STOPPING, 1)),
        attempt(ledger, name="b", record=ended),
        attempt(ledger, user="bob"),
        attempt(ledger, hub="other"),
        attempt(ledger, user="carl", flavor=None),
        attempt(ledger, user="dora", system="elsewhere"),
    )
    assert await ledger.usage("hub", "alice", "local") == {
        "small": Usage(hub=3, all=4, user_hub=2, user_all=3),
        None: Usage(hub=1, all=1),
    }


async def test_events_are_numbered_for_each_hub_alone(ledger: Ledger) -> None:
    for hub, message in (("a", "1"), ("b", "2"), ("a", "3")):
        await tell(ledger, hub, "x", {"type": "progress", "message": message})
    assert [seq for seq, _ in await ledger.events("a", 0) or []] == [1, 2]
    assert [json.loads(body)["message"] for _, body in await ledger.events("b", 0) or []] == ["2"]
    assert await ledger.events("a", 2) == []
    assert await ledger.events("a", 3) is None, "a number from the future means that the hub knows another ledger"


async def test_a_line_that_may_wait_comes_before_the_next_step_and_soon_without_one(ledger: Ledger) -> None:
    announced: list[str] = []
    ledger.listen(lambda written: announced.extend(json.loads(body)["message"] for _, _, body in written))
    ledger.tell_soon("hub", "x", {"type": "progress", "message": "waits"})
    await tell(ledger, "hub", "x", {"type": "state", "message": "step"})
    assert announced == ["waits", "step"]
    ledger.tell_soon("hub", "x", {"type": "progress", "message": "alone"})
    async with asyncio.timeout(5):
        while len(announced) < 3:
            await asyncio.sleep(0.02)
    kept = await ledger.events("hub", 0)
    assert [json.loads(body)["message"] for _, body in kept or []] == ["waits", "step", "alone"] == announced


async def test_a_line_that_waits_is_not_lost_with_a_step_that_fails(ledger: Ledger) -> None:
    def fail(_: Transaction) -> None:
        raise RuntimeError

    ledger.tell_soon("hub", "x", {"type": "progress", "message": "waits"})
    with pytest.raises(RuntimeError):
        await ledger.write(fail)
    assert await ledger.last_seq("hub") == 1
    assert [seq for seq, _ in await ledger.events("hub", 0) or []] == [1]


async def test_numbers_go_on_after_a_restart_and_after_removal(ledger: Ledger, url: str, key_file: Path) -> None:
    one = attempt(ledger, record=Record(ServerState.ENDED, 1), ended_at=1.0)
    await add(ledger, one)
    await tell(ledger, "hub", one.id, {"type": "state"}, {"type": "state"})
    await ledger.prune(events_before=2.0, rows_before=2.0)
    again = Ledger(url, load_keyring(key_file))
    assert await again.last_seq("hub") == 2
    assert await again.events("hub", 1) is None, "removed events mean: list again"
    assert await again.events("hub", 2) == []
    assert await again.get("hub", one.id) is None
    await again.close()


async def test_removal_spares_what_lives(ledger: Ledger) -> None:
    old, living = attempt(ledger, record=Record(ServerState.ENDED, 1), ended_at=1.0, name="old"), attempt(ledger)
    await add(ledger, old, living)
    for one in (living, old, living):
        await tell(ledger, "hub", one.id, {"type": "progress", "message": one.server_name})
    await ledger.prune(events_before=2.0, rows_before=0.5)
    assert len(await ledger.events_of("hub", living.id)) == 2
    assert await ledger.events_of("hub", old.id) == []
    assert await ledger.get("hub", old.id) is not None


async def test_pages_reach_everything_once(ledger: Ledger) -> None:
    everyone = [attempt(ledger, hub=hub, user=f"u{n}") for hub in ("a", "b") for n in range(7)]
    await add(ledger, *everyone)
    seen: list[tuple[str, str]] = []
    after = ("", "")
    while page := await ledger.page(system="local", live=True, after=after, limit=3):
        seen += [(one.hub, one.id) for one in page]
        after = seen[-1]
    assert seen == sorted((one.hub, one.id) for one in everyone)
    assert len(await ledger.page(hub="a", user="u3")) == 1


async def test_missing_is_counted_from_the_first_list_and_forgiven_when_named(ledger: Ledger) -> None:
    one, two = attempt(ledger), attempt(ledger, name="b")
    await add(ledger, one, two)
    for now, missing, present in ((100.0, [one.id, two.id], []), (200.0, [one.id], [two.id])):
        await ledger.write(partial(Transaction.mark_missing, hub="hub", missing=missing, present=present, now=now))
    assert await ledger.missing_for("hub", 100.0) == [one.id]
    assert await ledger.missing_for("hub", 99.0) == []


async def test_secrets_are_unreadable_in_the_file_and_keys_can_be_replaced(
    ledger: Ledger, url: str, key_file: Path, tmp_path: Path
) -> None:
    one = attempt(ledger, api_token=ledger.seal("resumed-token"))
    one = ledger.with_spawner_state(one, {"secret": "in-the-state"})
    await add(ledger, one)
    await tell(ledger, "hub", one.id, {"type": "state", "api_token": "resumed-token"}, secret=True)
    if url.startswith("sqlite"):
        stored = b"".join(file.read_bytes() for file in tmp_path.glob("ledger.sqlite*"))
        for secret in (b"token-of-alice", b"resumed-token", b"in-the-state"):
            assert secret not in stored
    old_key = key_file.read_text()
    add_key(key_file)
    renewing = Ledger(url, load_keyring(key_file))
    assert await renewing.renew_secrets() == 1
    await renewing.close()
    drop_old_keys(key_file)
    assert old_key.strip() not in key_file.read_text()
    renewed = Ledger(url, load_keyring(key_file))
    found = await renewed.get("hub", one.id)
    assert found is not None
    assert renewed.spawner_state(found) == {"secret": "in-the-state"}
    assert "resumed-token" in (await renewed.events_of("hub", one.id))[0]
    await renewed.close()
    with pytest.raises(InvalidToken):
        Keyring([Fernet.generate_key().decode()]).decrypt(found.request)


async def test_a_newer_ledger_is_refused(url: str) -> None:
    await migrate.upgrade(url)
    database = open_database(url)
    await database.write(lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    await database.close()
    with pytest.raises(ConfigurationError, match="newer release"):
        await migrate.upgrade(url)


async def test_an_sqlite_ledger_is_copied_before_it_is_upgraded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/ledger.sqlite"
    await migrate.upgrade(url)
    monkeypatch.setattr(migrate, "HEAD", "0002")
    await migrate.upgrade(url)
    (copy,) = tmp_path.glob("ledger.sqlite.0001.*")
    with sqlite3.connect(copy) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)


async def test_a_damaged_ledger_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"this is no database" * 100)
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        await migrate.upgrade(f"sqlite:///{tmp_path}/ledger.sqlite")


@pytest.mark.parametrize("content", ["", "nonsense\n"])
def test_a_damaged_key_file_is_told(key_file: Path, content: str) -> None:
    key_file.write_text(content)
    key_file.chmod(0o600)
    with pytest.raises(ConfigurationError, match="ledger keys"):
        load_keyring(key_file)


def test_a_key_file_that_others_can_read_is_refused(key_file: Path) -> None:
    load_keyring(key_file)
    assert key_file.stat().st_mode & 0o777 == 0o600
    key_file.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        load_keyring(key_file)
