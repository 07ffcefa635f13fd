"""Typed calls to one outpost: bounded in time and size, every failure told as a sentence."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from ..protocol.errors import STATUS, ErrorBody, ErrorCode, RoadsteadError
from ..protocol.events import EVENT, KEEPALIVE_SECONDS, Event
from ..protocol.model import plain_text
from ..protocol.servers import KnownAnswer, KnownServers, ProgressLine, ServerPage, ServerRequest, ServerView, User
from ..protocol.systems import OutpostInfo, SystemsAnswer, SystemsQuestion
from ..protocol.version import PROTOCOL_HEADER, PROTOCOL_VERSION
from .settings import OutpostSettings
from .sse import frames

MAX_ANSWER_BYTES: Final = 16_777_216
"""The largest answer that is read, in bytes."""

CALL_SECONDS: Final = 15.0
"""How long a call may take altogether."""

SILENCE_SECONDS: Final = 3.0 * KEEPALIVE_SECONDS
"""After this long without a byte an event stream is taken as broken."""

PAGE: Final = 1000
_BETWEEN: Final = frozenset({502, 503, 504})
_CREDENTIAL: Final = frozenset({ErrorCode.CREDENTIAL_WRONG, ErrorCode.CREDENTIAL_EXPIRED})
_LOG_LINES: Final = TypeAdapter(list[ProgressLine])

Model = TypeVar("Model", bound=BaseModel)
Value = TypeVar("Value")


class UnreachableError(RoadsteadError):
    """No answer. `sent` tells whether the outpost may have got the request all the same."""

    def __init__(self, message: str, remedy: str = "", *, sent: bool) -> None:
        super().__init__(ErrorCode.OUTPOST_UNREACHABLE, message, remedy)
        self.sent = sent


class OutpostClient:
    """One outpost, seen with one credential."""

    def __init__(self, name: str, settings: OutpostSettings, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.name = name
        self.title = settings.display_name or name
        self._settings = settings
        self._credential: str | None = None
        self._http = httpx.AsyncClient(
            base_url=settings.url.rstrip("/"),
            headers={PROTOCOL_HEADER: str(PROTOCOL_VERSION), "User-Agent": "roadstead-hub"},
            # An http address is never upgraded, and loading the authorities for it would cost 20 ms for nothing.
            verify=_trust(settings) if settings.url.startswith("https:") else False,
            timeout=httpx.Timeout(CALL_SECONDS, connect=5.0),
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=16, keepalive_expiry=30.0),
            follow_redirects=False,
            trust_env=False,
            transport=transport,
        )

    async def close(self) -> None:
        """Give the connections back."""
        await self._http.aclose()

    # -- calls

    async def info(self) -> OutpostInfo:
        """What the outpost says of itself."""
        info = await self._call("GET", "/api/v1/info", OutpostInfo)
        if PROTOCOL_VERSION not in info.protocol_versions:
            raise self._foreign_version(", ".join(map(str, info.protocol_versions)))
        return info

    async def systems(self, user: User, seconds: float = CALL_SECONDS) -> SystemsAnswer:
        """What a user may start now."""
        return await self._call("POST", "/api/v1/systems", SystemsAnswer, SystemsQuestion(user=user), seconds=seconds)

    async def put(self, server_id: str, request: ServerRequest) -> ServerView:
        """Ask for an attempt; the same id and request again are the same attempt."""
        view = await self._call("PUT", f"/api/v1/servers/{server_id}", ServerView, request)
        if view.id == server_id and (view.user, view.server_name) != (request.user.name, request.server_name):
            raise self._lied(f"it calls attempt {server_id} somebody else's")
        return self._of(view, server_id)

    async def get(self, server_id: str) -> ServerView:
        """One attempt. Raises RoadsteadError `not-found`."""
        return self._of(await self._call("GET", f"/api/v1/servers/{server_id}", ServerView), server_id)

    async def delete(self, server_id: str) -> ServerView:
        """Ask for the end of an attempt; answered when the outpost has written that down."""
        return self._of(await self._call("DELETE", f"/api/v1/servers/{server_id}", ServerView), server_id)

    async def log(self, server_id: str) -> list[ProgressLine]:
        """The event log of an attempt, as far as the outpost still has it."""
        body = await self._exchange("GET", f"/api/v1/servers/{server_id}/log", None, {}, CALL_SECONDS)
        return self._parse(_LOG_LINES.validate_json, body)

    async def known(self, ids: Sequence[str]) -> KnownAnswer:
        """Tell the outpost which attempts this hub holds."""
        return await self._call("POST", "/api/v1/known", KnownAnswer, KnownServers(ids=list(ids)), seconds=60.0)

    async def pages(self) -> AsyncIterator[ServerPage]:
        """All live attempts of this hub, page by page; complete only if it comes to its end without an error."""
        after = ""
        while True:
            params = {"live": "true", "limit": str(PAGE)} | ({"after": after} if after else {})
            page = await self._call("GET", "/api/v1/servers", ServerPage, params=params)
            ids = [view.id for view in page.servers]
            if any(one >= two for one, two in zip([after, *ids], ids, strict=False)):
                raise self._lied("its list of servers is not in order")
            yield page
            if page.next is None:
                return
            if not ids or page.next != ids[-1]:
                raise self._lied("the pages of its list do not follow each other")
            after = page.next

    async def events(self, after: int) -> AsyncGenerator[Event | None]:
        """The event stream from a number on. The first item is None: the stream stands."""
        timeout = httpx.Timeout(CALL_SECONDS, connect=5.0, read=SILENCE_SECONDS)
        with self._translated():
            async with self._http.stream(
                "GET",
                "/api/v1/events",
                params={"after": str(after)},
                headers=self._headers() | {"Accept": "text/event-stream"},
                timeout=timeout,
            ) as response:
                await self._check(response)
                if not response.headers.get("Content-Type", "").startswith("text/event-stream"):
                    raise self._lied("its event stream is none")
                yield None
                try:
                    async for frame in frames(response.aiter_bytes()):
                        yield EVENT.validate_json(frame.data)
                except ValueError as error:
                    raise self._lied("it sent an event that cannot be read") from error

    # -- one exchange

    async def _call(
        self,
        method: str,
        path: str,
        model: type[Model],
        body: BaseModel | None = None,
        *,
        params: Mapping[str, str] | None = None,
        seconds: float = CALL_SECONDS,
    ) -> Model:
        content = None if body is None else body.model_dump_json().encode()
        return self._parse(
            model.model_validate_json, await self._exchange(method, path, content, params or {}, seconds)
        )

    async def _exchange(
        self, method: str, path: str, content: bytes | None, params: Mapping[str, str], seconds: float
    ) -> bytes:
        try:
            return await self._once(method, path, content, params, seconds)
        except RoadsteadError as error:
            if error.code not in _CREDENTIAL or self._settings.credential_file is None:
                raise
            refused, self._credential = self._credential, None
            if self._settings.read_credential() == refused:
                raise
        return await self._once(method, path, content, params, seconds)

    async def _once(
        self, method: str, path: str, content: bytes | None, params: Mapping[str, str], seconds: float
    ) -> bytes:
        headers = self._headers()
        if content is not None:
            headers["Content-Type"] = "application/json"
        try:
            async with asyncio.timeout(seconds):
                with self._translated():
                    async with self._http.stream(
                        method, path, content=content, params=params, headers=headers
                    ) as response:
                        await self._check(response)
                        return await self._read(response)
        except TimeoutError:
            raise self._unreachable(f"did not answer within {seconds:g} seconds", sent=True) from None

    def _headers(self) -> dict[str, str]:
        if self._credential is None:
            self._credential = self._settings.read_credential()
        return {"Authorization": f"Bearer {self._credential}"}

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (httpx.ConnectTimeout, httpx.PoolTimeout):
            raise self._unreachable("cannot be reached: no connection in time", sent=False) from None
        except httpx.ConnectError as error:
            raise self._unreachable(f"cannot be reached: {_reason(error)}", sent=False) from None
        except httpx.TimeoutException:
            raise self._unreachable("does not answer", sent=True) from None
        except (httpx.RemoteProtocolError, httpx.DecodingError) as error:
            if "disconnected" in str(error) or "closed connection" in str(error):
                raise self._unreachable("closed the connection", sent=True) from None
            raise self._foreign("it does not speak HTTP") from error
        except httpx.TransportError as error:
            raise self._unreachable(f"cannot be reached: {_reason(error)}", sent=True) from None

    async def _read(self, response: httpx.Response) -> bytes:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                raise self._lied(f"its answer is larger than {MAX_ANSWER_BYTES} bytes")
        return bytes(body)

    async def _check(self, response: httpx.Response) -> None:
        """Raise what the answer's head, or its body if it is an error, says."""
        version = response.headers.get(PROTOCOL_HEADER)
        if version is None:
            if response.status_code in _BETWEEN:
                raise self._unreachable(f"is not there: something before it answers {response.status_code}", sent=True)
            raise self._foreign(f"something answers with status {response.status_code}, but it is no outpost")
        if version != str(PROTOCOL_VERSION):
            raise self._foreign_version(plain_text(version, 40))
        if response.is_success:
            return
        error = self._parse(ErrorBody.model_validate_json, await self._read(response))
        if STATUS[error.code] != response.status_code:
            raise self._lied(f"it answers {response.status_code} and means {error.code.value}")
        if error.code in _CREDENTIAL or error.code is ErrorCode.CREDENTIAL_MISSING:
            raise RoadsteadError(
                error.code,
                f"The outpost '{self.title}' does not accept this hub's credential: {error.message}",
                "Those who run this hub can ask the outpost's operator for a new one.",
            )
        raise RoadsteadError(error.code, error.message, error.remedy, server_id=error.server_id)

    def _parse(self, read: Callable[[bytes], Value], body: bytes) -> Value:
        try:
            return read(body)
        except ValidationError as error:
            raise self._lied("its answer cannot be read") from error

    def _of(self, view: ServerView, server_id: str) -> ServerView:
        if view.id != server_id:
            raise self._lied("it answers about another server than was asked for")
        return view

    # -- sentences

    def _unreachable(self, what: str, *, sent: bool) -> UnreachableError:
        return UnreachableError(f"The outpost '{self.title}' {what}.", "Try again in a few minutes.", sent=sent)

    def _foreign(self, what: str) -> RoadsteadError:
        return RoadsteadError(
            ErrorCode.OUTPOST_FOREIGN,
            f"At the address of the outpost '{self.title}' {what}.",
            "Those who run this hub should check the address.",
        )

    def _foreign_version(self, version: str) -> RoadsteadError:
        return RoadsteadError(
            ErrorCode.OUTPOST_FOREIGN,
            f"The outpost '{self.title}' speaks version {version} of the protocol, this hub {PROTOCOL_VERSION}.",
            "Hub and outpost need releases that fit together.",
        )

    def _lied(self, what: str) -> RoadsteadError:
        return RoadsteadError(
            ErrorCode.OUTPOST_LIED,
            f"The outpost '{self.title}' cannot be understood: {what}.",
            "Those who run this hub should tell the outpost's operator.",
        )


def _trust(settings: OutpostSettings) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=settings.ca_file)


def _reason(error: Exception) -> str:
    cause: BaseException = error
    while cause.__cause__ is not None or cause.__context__ is not None:
        cause = cause.__cause__ or cause.__context__ or cause
    text = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
    return plain_text(text, 200).rstrip(".") or type(error).__name__
