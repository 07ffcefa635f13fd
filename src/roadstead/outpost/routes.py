"""The outpost's HTTP interface: routes translate between HTTP and the service, and decide nothing."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, FastAPI, Header, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.types import Message as AsgiMessage
from starlette.types import Receive, Scope, Send

from .. import __version__
from ..protocol.errors import STATUS, ErrorBody, ErrorCode, RoadsteadError
from ..protocol.model import AttemptId, Name, UserName
from ..protocol.servers import (
    MAX_REQUEST_BYTES,
    KnownAnswer,
    KnownServers,
    ProgressLine,
    ServerPage,
    ServerRequest,
    ServerState,
    ServerView,
)
from ..protocol.systems import HealthAnswer, OutpostInfo, SystemsAnswer, SystemsQuestion
from ..protocol.version import PROTOCOL_HEADER, PROTOCOL_VERSION
from .credentials import Credentials
from .running import Running

_KNOWN_LIST_BYTES: Final = 10_485_760
_ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    status: {"model": ErrorBody} for status in (400, 401, 403, 404, 409, 413, 426, 429, 503)
}


# Coroutines, for FastAPI would carry plain functions into a thread and back.
async def _running(request: Request) -> Running:
    running: Running = request.app.state.running
    return running


async def _hub(
    request: Request,
    authorization: Annotated[str | None, Header(description="Bearer <key id>.<secret>")] = None,
    protocol: Annotated[str | None, Header(alias=PROTOCOL_HEADER, description="The version the hub speaks.")] = None,
) -> str:
    credentials: Credentials = request.app.state.running.credentials
    hub = credentials.hub(authorization)
    if protocol != str(PROTOCOL_VERSION):
        raise RoadsteadError(
            ErrorCode.VERSION_FOREIGN,
            f"The hub speaks protocol version {(protocol or 'none')[:20]}, this outpost version {PROTOCOL_VERSION}.",
            "Install releases of Roadstead that have a version in common; upgrade the outpost first.",
        )
    return hub


Outpost = Annotated[Running, Depends(_running)]
Hub = Annotated[str, Depends(_hub)]
ServerId = Annotated[AttemptId, Path(description="The id of one attempt, made by the hub.")]

public = APIRouter()
api = APIRouter(prefix="/api/v1", responses=_ERRORS, dependencies=[Depends(_hub)])


@public.get("/health", summary="Whether the outpost works")
async def health(outpost: Outpost, response: Response) -> HealthAnswer:
    """Answers 200 when servers can be started, 503 when not; needs no credential and tells no detail."""
    answer = await outpost.health()
    response.status_code = 503 if answer.status == "failed" else 200
    return answer


@public.get("/metrics", summary="Metrics for Prometheus", response_class=Response, responses=_ERRORS)
async def metrics(outpost: Outpost, authorization: Annotated[str | None, Header()] = None) -> Response:
    """Needs a credential of `metrics_credentials`."""
    outpost.credentials.metrics(authorization)
    return Response(await outpost.render_metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")


@api.get("/info", summary="What this outpost is")
async def info(outpost: Outpost, hub: Hub) -> OutpostInfo:
    """Name, release and protocol versions, and the name that this hub has here."""
    return OutpostInfo(
        name=outpost.settings.name,
        software=f"roadstead {__version__}",
        protocol_versions=[PROTOCOL_VERSION],
        hub=hub,
        started_at=outpost.started_at,
    )


@api.post("/systems", summary="What a user may start now")
async def systems(outpost: Outpost, hub: Hub, question: SystemsQuestion) -> SystemsAnswer:
    """Systems, apps and flavors with the counts of this hub and this user."""
    return await outpost.service.systems(hub, question.user)


@api.put("/servers/{server_id}", summary="Start a server", responses={201: {"model": ServerView}})
async def put_server(
    outpost: Outpost, hub: Hub, server_id: ServerId, request: ServerRequest, response: Response
) -> ServerView:
    """201 when the attempt is admitted and written down, 200 when it was before; the start itself goes on then."""
    view, new = await outpost.service.put(hub, server_id, request)
    response.status_code = 201 if new else 200
    return view


@api.get("/servers/{server_id}", summary="One attempt")
async def get_server(outpost: Outpost, hub: Hub, server_id: ServerId) -> ServerView:
    """The attempt, also for some days after its end."""
    return await outpost.service.get(hub, server_id)


@api.get("/servers/{server_id}/log", summary="The event log of one attempt")
async def get_log(outpost: Outpost, hub: Hub, server_id: ServerId) -> list[ProgressLine]:
    """Its progress and warnings; kept for an hour after its end."""
    return await outpost.service.log(hub, server_id)


@api.delete("/servers/{server_id}", summary="Stop a server", status_code=202)
async def delete_server(outpost: Outpost, hub: Hub, server_id: ServerId) -> ServerView:
    """Answers when the stop is written down; the end comes as an event. An id that is not known yet can never start."""
    return await outpost.service.stop(hub, server_id)


@api.get("/servers", summary="All attempts of this hub")
async def list_servers(  # noqa: PLR0917
    outpost: Outpost,
    hub: Hub,
    user: Annotated[UserName | None, Query()] = None,
    system: Annotated[Name | None, Query()] = None,
    state: Annotated[ServerState | None, Query()] = None,
    live: Annotated[bool | None, Query(description="Only those that have not ended, or only those that have.")] = None,
    after: Annotated[AttemptId | None, Query(description="The last id of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> ServerPage:
    """In the order of their ids, page by page."""
    return await outpost.service.page(
        hub, after=after or "", limit=limit, user=user, system=system, state=state, live=live
    )


@api.post("/known", summary="Reconcile with the hub's list")
async def known(outpost: Outpost, hub: Hub, servers: KnownServers) -> KnownAnswer:
    """The hub names all attempts that it holds; others are ended when they stay unnamed for the grace period."""
    return await outpost.service.known(hub, servers.ids)


@api.get(
    "/events",
    summary="The event stream",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def events(
    outpost: Outpost,
    hub: Hub,
    after: Annotated[int | None, Query(ge=0, le=2**62, description="The last event that the hub has.")] = None,
    last_event_id: Annotated[str | None, Header(pattern=r"^[0-9]{1,18}$")] = None,
) -> StreamingResponse:
    """Server-sent events after a number, for as long as the hub listens."""
    start = after if after is not None else int(last_event_id or 0)
    return StreamingResponse(
        outpost.streams.follow(hub, start),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


class Border:
    """ASGI middleware: bounds the size of every body and puts the protocol version on every answer."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def marked(message: AsgiMessage) -> None:
            if message["type"] == "http.response.start":
                header = (PROTOCOL_HEADER.lower().encode(), str(PROTOCOL_VERSION).encode())
                message["headers"] = [*message.get("headers", []), header]
            await send(message)

        limit = _KNOWN_LIST_BYTES if scope["path"].endswith("/known") else MAX_REQUEST_BYTES
        body = await _body(receive, limit)
        if body is None:
            too_large = RoadsteadError(ErrorCode.TOO_LARGE, f"The request is larger than {limit} bytes.")
            await _problem(too_large)(scope, receive, marked)
            return
        given = False

        async def replayed() -> AsgiMessage:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, replayed, marked)


async def _body(receive: Receive, limit: int) -> bytes | None:
    """The whole body of a request; None when it is larger than the limit."""
    body = b""
    while True:
        message = await receive()
        part: bytes = message.get("body", b"")
        body += part
        if len(body) > limit:
            return None
        if not message.get("more_body", False):
            return body


def _problem(error: RoadsteadError) -> JSONResponse:
    return JSONResponse(error.body.model_dump(mode="json"), status_code=error.status)


async def _on_roadstead_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RoadsteadError)
    return _problem(error)


async def _on_invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    findings = [f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()[:10]]
    return _problem(RoadsteadError(ErrorCode.BAD_REQUEST, f"The request is not valid. {'; '.join(findings)}."))


async def _on_http_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = next((code for code, status in STATUS.items() if status == error.status_code), ErrorCode.BAD_REQUEST)
    body = ErrorBody(code=code, message=str(error.detail))
    return JSONResponse(body.model_dump(mode="json"), status_code=error.status_code, headers=error.headers)


class _Application(FastAPI):
    """FastAPI describes a 422 for everything that is validated; here such answers are 400 in our own form."""

    def openapi(self) -> dict[str, Any]:
        """The description, without answers that are never given."""
        description = super().openapi()
        for methods in description["paths"].values():
            for operation in methods.values():
                operation["responses"].pop("422", None)
        return description


def build_app(outpost: Running | None = None) -> FastAPI:
    """The application in front of an outpost; without one it only describes itself, for the manual."""
    app = _Application(
        title="Roadstead outpost",
        version=__version__,
        description="Starts, watches and stops servers for hubs.",
        docs_url=None,
        redoc_url=None,
    )
    app.state.running = outpost
    app.include_router(public)
    app.include_router(api)
    app.add_exception_handler(RoadsteadError, _on_roadstead_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_middleware(Border)
    return app
