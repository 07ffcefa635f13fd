"""Three truths that have to be one: the process table, the outpost's ledger, the hub's database."""

import contextlib
import json
import sqlite3
from dataclasses import dataclass
from typing import Any

import psutil

from tests.real.deployment import Deployment, user_path, wait_until
from tests.real.faults.place import Place


@dataclass(frozen=True)
class Kept:
    """A server that runs and has to run on, whatever happens around it."""

    user: str
    attempt: str
    process: psutil.Process


def keep(place: Place, user: str) -> Kept:
    """A server that runs now, to be found again later."""
    attempt = place.deployment.attempt(user)
    [process] = processes(place)[attempt]
    return Kept(user, attempt, process)


def processes(place: Place) -> dict[str, list[psutil.Process]]:
    """The processes that carry an attempt's key: one each here, or something is wrong."""
    return {key.removeprefix("hub."): family for key, family in place.outpost.servers().items()}


def ledger(place: Place) -> dict[str, str]:
    """The live attempts of the outpost by their states."""
    found: dict[str, str] = {}
    after = ""
    while True:
        answer = place.deployment.ask_outpost("GET", f"/servers?live=true&limit=1000{after}")
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found |= {view["id"]: view["state"] for view in page["servers"]}
        if page["next"] is None:
            return found
        after = f"&after={page['next']}"


def shown(deployment: Deployment) -> dict[tuple[str, str], dict[str, Any]]:
    """What the hub's API shows of servers that are not stopped, by user and name."""
    answer = deployment.api("GET", "/users?limit=200")
    assert answer.status_code == 200, answer.text
    return {
        (user["name"], name): server
        for user in answer.json()
        for name, server in user["servers"].items()
        if not server.get("stopped")
    }


def stored(deployment: Deployment) -> dict[tuple[str, str], str | None]:
    """Rows of the hub's database that say anything of a server: the attempt they name, None for one without."""
    query = (
        "SELECT u.name, s.name, s.state FROM spawners s JOIN users u ON u.id = s.user_id"
        " WHERE s.server_id IS NOT NULL OR length(s.state) > 2"
    )
    # Not opened for reading only: what a killed hub had begun to write has to be taken back first.
    with sqlite3.connect(f"file:{deployment.folder}/jupyterhub.sqlite?mode=rw", uri=True, timeout=10) as database:
        rows = database.execute(query).fetchall()
    states = {(user, name): json.loads(state or "{}") or {} for user, name, state in rows}
    return {server: state.get("roadstead", {}).get("id") for server, state in states.items()}


def disagreement(place: Place) -> str:
    """Where the three do not say the same, or something is still on its way; empty when all is well."""
    deployment = place.deployment
    said = shown(deployment)
    unready = {server: model["pending"] for server, model in said.items() if not model["ready"]}
    if unready:
        return f"the hub shows servers that are not ready: {unready}"
    rows = stored(deployment)
    if set(rows) != set(said):
        return f"the hub shows {sorted(said)} and its database has {sorted(rows)}"
    states = ledger(place)
    if set(states.values()) - {"running"}:
        return f"the ledger has attempts that do not run: {states}"
    if set(states) != set(rows.values()):
        return f"the ledger has {sorted(states)}, the hub's database {rows}"
    table = processes(place)
    if set(table) != set(states) or any(len(family) != 1 for family in table.values()):
        return f"the ledger has {sorted(states)}, the process table {table}"
    routes = {path for path in deployment.routes() or {} if path.startswith("/user/")}
    if routes != (wanted := {user_path(user, name).rstrip("/") for user, name in said}):
        return f"the proxy has the routes {sorted(routes)} and should have {sorted(wanted)}"
    silent = [server for server in said if not deployment.reach(*server)]
    return f"these do not answer through the proxy: {silent}" if silent else ""


def addresses(place: Place) -> dict[str, str]:
    """Where each part takes the servers to be, for whoever looks for the reason of a disagreement."""
    table = processes(place)
    routes = place.deployment.routes() or {}
    found = {}
    for (user, name), attempt in stored(place.deployment).items():
        route = routes.get(user_path(user, name).rstrip("/"), {}).get("target")
        ports = []
        for process in table.get(attempt or "", []):
            with contextlib.suppress(psutil.Error):
                ports.append((process.status(), [each.laddr.port for each in process.net_connections()]))
        view = place.view(attempt) if attempt else {}
        found[f"{user}/{name}"] = f"proxy {route}, ledger {view.get('url')}, process {ports}"
    return found


def agree(place: Place, kept: list[Kept], seconds: float = 60) -> None:
    """Wait until the three say the same, and check that what had to be kept is the same as before."""
    last = ""

    def settled() -> bool:
        nonlocal last
        last = disagreement(place)
        return not last

    try:
        wait_until("the three agree", settled, seconds, 0.2)
    except AssertionError as error:
        logs = f"hub:\n{place.deployment.hub.said()}\noutpost:\n{place.outpost.log.read_text()[-6000:]}"
        raise AssertionError(f"{error}: {last}\n{addresses(place)}\n{logs}") from None
    table, rows = processes(place), stored(place.deployment)
    for server in kept:
        assert table.get(server.attempt) == [server.process], f"{server.user} was lost"
        assert rows.get((server.user, "")) == server.attempt, f"{server.user} is another one"
