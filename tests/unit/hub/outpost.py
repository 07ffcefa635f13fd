"""An outpost made of the protocol's models, in memory: the hub's client and mirror are tried against its moods."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

import httpx

from roadstead.hub.client import OutpostClient
from roadstead.hub.settings import OutpostSettings
from roadstead.protocol import PROTOCOL_HEADER, PROTOCOL_VERSION, ErrorCode, RoadsteadError
from roadstead.protocol.servers import ServerRequest, ServerView
from roadstead.protocol.systems import SystemView

NOW = datetime(2030, 1, 1, tzinfo=UTC)
CREDENTIAL = "key1." + "s" * 32

Answer = Callable[[httpx.Request], Coroutine[None, None, httpx.Response]]


def settings(**changes: Any) -> OutpostSettings:
    return OutpostSettings.model_validate({"url": "http://outpost.example", "credential": CREDENTIAL} | changes)


def view(server_id: str, state: str = "running", **changes: Any) -> dict[str, Any]:
    """A ServerView as JSON."""
    body: dict[str, Any] = {
        "id": server_id,
        "user": "alice",
        "server_name": "",
        "system": "local",
        "titles": {"system": "Local"},
        "state": state,
        "accepted_at": NOW.isoformat(),
    }
    if state in ("running", "stopping"):
        body["url"] = "http://127.0.0.1:1234"
    if state == "ended":
        body["end"] = {"code": "exited", "message": "It exited.", "exit_code": 3}
    return ServerView.model_validate(body | changes).model_dump(mode="json")


def system(name: str = "local", **changes: Any) -> SystemView:
    return SystemView.model_validate({"name": name, "display_name": name.title(), "start_timeout": 60} | changes)


def answer(body: Any, status: int = 200) -> httpx.Response:
    return httpx.Response(status, json=body, headers={PROTOCOL_HEADER: str(PROTOCOL_VERSION)})


def error(code: ErrorCode, message: str = "No.", **changes: Any) -> httpx.Response:
    refused = RoadsteadError(code, message, **changes)
    return answer(refused.body.model_dump(mode="json"), refused.status)


class FakeOutpost:
    """Keeps servers and events like the real one, and can be dead, deaf, or lose answers."""

    def __init__(self) -> None:
        self.servers: dict[str, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self.requests: list[tuple[str, str]] = []
        self.known: list[list[str]] = []
        self.logs: dict[str, list[dict[str, Any]]] = {}
        self.systems: list[SystemView] = [system()]
        self.dead = False
        self.lost_answers = 0
        self.refusals: list[httpx.Response] = []
        self.reset = False
        self.listings_go_on = asyncio.Event()
        self.listings_go_on.set()
        self.bodies: list[bytes] = []
        self._news = asyncio.Event()
        self._cut = asyncio.Event()

    def client(self, **changes: Any) -> OutpostClient:
        return OutpostClient("site", settings(**changes), httpx.MockTransport(self._answer))

    def tell(self, server_id: str, **event: Any) -> None:
        """Put an event on the stream; with a state, the server is in it."""
        seq = len(self.events) + 1
        if "state" in event:
            self.servers[server_id] = view(server_id, event["state"])
            given = self.servers[server_id]
            event = {key: given[key] for key in ("user", "server_name", "state", "url", "end")} | event
        body = {"type": "state" if "state" in event else "progress", "seq": seq, "at": NOW.isoformat()}
        self.events.append(body | {"server_id": server_id} | event)
        self._news.set()
        self._news = asyncio.Event()

    def cut(self) -> None:
        """Break all event streams."""
        self._cut.set()
        self._cut = asyncio.Event()

    def count(self, method: str, path: str = "") -> int:
        return sum(1 for each in self.requests if each[0] == method and path in each[1])

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self.requests.append((request.method, path))
        if self.dead:
            raise httpx.ConnectError("refused", request=request)
        self.bodies.append(request.content)
        if self.refusals and request.method == "PUT":
            return self.refusals.pop(0)
        response = self._do(request, path)
        if path == "/api/v1/servers":
            await self.listings_go_on.wait()
        if self.lost_answers and request.method in ("PUT", "DELETE"):
            self.lost_answers -= 1
            raise httpx.ReadError("lost", request=request)
        return response

    def _do(self, request: httpx.Request, path: str) -> httpx.Response:
        if path == "/api/v1/info":
            info = {"name": "site", "software": "1", "protocol_versions": [PROTOCOL_VERSION], "hub": "hub"}
            return answer(info | {"started_at": NOW.isoformat()})
        if path == "/api/v1/systems":
            return answer({"systems": [each.model_dump(mode="json") for each in self.systems]})
        if path == "/api/v1/known":
            self.known.append(json.loads(request.content)["ids"])
            return answer({"unknown_here": [], "will_end": []})
        if path == "/api/v1/events":
            headers = {PROTOCOL_HEADER: str(PROTOCOL_VERSION), "Content-Type": "text/event-stream"}
            return httpx.Response(200, headers=headers, content=self._stream(int(request.url.params["after"])))
        if path == "/api/v1/servers":
            return self._page(request.url.params.get("after", ""))
        return self._server(request, path.split("/")[4])

    def _server(self, request: httpx.Request, server_id: str) -> httpx.Response:
        known = self.servers.get(server_id)
        if request.url.path.endswith("/log"):
            return answer(self.logs.get(server_id, []))
        if request.method == "PUT":
            new = known is None
            wanted = ServerRequest.model_validate_json(request.content)
            if new:
                self.servers[server_id] = view(server_id, "accepted", user=wanted.user.name)
            return answer(self.servers[server_id], 201 if new else 200)
        if known is None:
            return error(ErrorCode.NOT_FOUND, "There is no such server.")
        if request.method == "DELETE" and known["state"] != "ended":
            known |= {"state": "stopping", "stop_requested": True}
            return answer(known, 202)
        return answer(known)

    def _page(self, after: str) -> httpx.Response:
        live = [each for key, each in sorted(self.servers.items()) if key > after and each["state"] != "ended"]
        page = live[:2]
        following = page[-1]["id"] if len(live) > 2 else None
        return answer({"servers": page, "next": following, "seq": len(self.events)})

    async def _stream(self, after: int) -> AsyncIterator[bytes]:
        yield b": connected\n\n"
        if self.reset:
            self.reset = False
            after = len(self.events)
            yield f'event: reset\ndata: {{"type": "reset", "seq": {after}}}\n\n'.encode()
        cut = self._cut
        while not cut.is_set():
            news = self._news
            for event in self.events[after:]:
                yield f"id: {event['seq']}\nevent: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
            after = len(self.events)
            waiting = {asyncio.ensure_future(news.wait()), asyncio.ensure_future(cut.wait())}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for each in waiting:
                each.cancel()
