"""The Spawner of a hub whose servers run at outposts: it asks, watches and remembers, and starts nothing itself."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn

from jupyterhub.spawner import Spawner
from jupyterhub.utils import maybe_future
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.orm import object_session
from tornado import web
from traitlets import Dict, Float, Integer, Unicode, default, validate

from ..protocol.errors import ErrorCode, RoadsteadError
from ..protocol.identifiers import new_attempt_id
from ..protocol.model import ServerName
from ..protocol.servers import Certificates, ServerRequest
from . import choice, form, keys, state
from .adoption import Adoption, responder_address, until_hub_started
from .ending import end_attempt
from .mirror import Mirror
from .options import Form, prefill_from_query, stored
from .pauses import pauses
from .placement import NotPlacedError, place
from .records import ServerRecord
from .refusal import refusal
from .registry import REGISTRY
from .request import build_request, read_certificates
from .settings import OutpostSettings, outposts_of
from .starting import NotStartedError, progress_of, until_reached
from .state import Attempt

_CALLBACK_PAUSES: Final = (2.0, 10.0)
_SERVER_NAME: Final[TypeAdapter[str]] = TypeAdapter(ServerName)


class RoadsteadSpawner(Spawner):  # type: ignore[misc]
    """Starts servers at outposts."""

    outposts = Dict(
        config=True,
        help="""
        The outposts that this hub uses, by name. Each is a mapping with `url`, `credential` or `credential_file`, and
        optionally `hub_api_url`, `display_name`, `ca_file` and `send_auth_state`.
        """,
    )
    state_key_file = Unicode(
        "roadstead_state_key",
        config=True,
        help="""
        File with the key that encrypts the servers' API tokens in the hub's database; made at the first start of a
        server if it is not there. Where JupyterHub has keys for auth_state (c.CryptKeeper.keys or the variable
        JUPYTERHUB_CRYPT_KEY), its first one encrypts instead, and this file, if there is one, only decrypts.
        """,
    )
    place_timeout = Float(
        30.0, min=0, config=True, help="Seconds for which a start is asked for again when an outpost does not answer."
    )
    reach_timeout = Float(
        300.0, min=1, config=True, help="Seconds that a server which runs may take until it answers at its address."
    )
    stop_timeout = Float(
        60.0, min=0, config=True,
        help="Seconds to wait for the end of a server; after that the user is free and the outpost goes on ending it.",
    )  # fmt: skip
    responder_ip = Unicode(
        "",
        config=True,
        help="""
        Address on which the hub answers for servers that are still on their way after its restart. The default is the
        address on which the hub itself listens.
        """,
    )
    responder_connect_ip = Unicode(
        "", config=True, help="Address under which the proxy reaches the responder, if that is another."
    )
    responder_port = Integer(
        0, min=0, max=65_535, config=True,
        help="Port of the responder; 0 takes any free one. The proxy has to reach it.",
    )  # fmt: skip

    @validate("outposts")
    def _read_outposts(self, proposal: Any) -> dict[str, OutpostSettings]:
        # Read once and shared: every Spawner object would keep a copy of its own.
        return outposts_of(proposal.value)

    @default("apply_user_options")
    def _nothing_to_apply(self) -> Any:
        # Options go to the outpost; without a site's own hook JupyterHub would warn that nobody reads them.
        return lambda spawner, options: None  # noqa: ARG005

    last_failure = ""
    """Why the last start came to nothing, as a sentence."""

    _attempt: Attempt | None = None
    _sealed: tuple[str, str] = ("", "")
    _adoption: Adoption | None = None
    _last_id: str | None = None
    _answered_for = False
    _choice: choice.Choice | None = None
    _certificates: Certificates | None = None
    _telling: asyncio.Task[None] | None = None

    # -- what others of this package read

    @property
    def log_name(self) -> str:
        """User and server, for the log."""
        return f"{self.user.name}:{self.name}" if self.name else str(self.user.name)

    @property
    def attempt(self) -> Attempt | None:
        """The attempt that this object holds, if there is one."""
        return self._attempt

    @property
    def waiting(self) -> bool:
        """JupyterHub takes the server as ready after its own restart, but it cannot be reached yet."""
        return self._adoption is not None and self._adoption.waiting

    @property
    def record(self) -> ServerRecord | None:
        """What the mirror has on the attempt, or on the last one as long as that is remembered."""
        attempt_id = self._attempt.id if self._attempt is not None else self._last_id
        if attempt_id is None:
            return None
        for mirror in self._mirrors().values():
            if (record := mirror.get(attempt_id)) is not None:
                return record
        return None

    def mirror_of(self, attempt: Attempt) -> Mirror | None:
        """The mirror of an attempt's outpost; None if that is not configured any more."""
        return self.mirror_at(attempt.outpost)

    def mirror_at(self, outpost: str) -> Mirror | None:
        """The mirror of the outpost of this name, or of the only one there is where none is named."""
        name = outpost or (next(iter(self.outposts)) if len(self.outposts) == 1 else "")
        return REGISTRY.mirror(name, self.outposts) if name in self.outposts else None

    def _mirrors(self) -> dict[str, Mirror]:
        return {name: REGISTRY.mirror(name, self.outposts) for name in self.outposts}

    # -- stored state

    def get_state(self) -> dict[str, Any]:
        """Everything that has to outlive the hub's process, before the outpost hears of it."""
        stored_state: dict[str, Any] = super().get_state()
        if self._attempt is not None:
            if self._sealed[0] != self.api_token:
                self._sealed = (self.api_token, keys.seal(self.api_token, Path(self.state_key_file)))
            stored_state |= state.dump(self._attempt, self._sealed[1])
        return stored_state

    def load_state(self, stored_state: Any) -> None:
        """Take up what an earlier process stored; asks nobody."""
        super().load_state(stored_state)
        loaded = state.load(stored_state, Path(self.state_key_file))
        if loaded is None:
            return
        self._attempt, token = loaded
        if token is None:
            self.log.warning(
                "The stored token of %s cannot be decrypted: its key is gone. It stays valid after the server's end.",
                self.log_name,
            )
        self.api_token = token or ""
        self._expect()

    def clear_state(self) -> None:
        """Nothing of the server is left in the hub, no secret in particular."""
        super().clear_state()
        self._sealed = ("", "")
        if self._adoption is not None:
            self._adoption.cancel()
        if self._attempt is not None:
            self._last_id = self._attempt.id
            with contextlib.suppress(RuntimeError):
                if (mirror := self.mirror_of(self._attempt)) is not None:
                    mirror.release(self._attempt.id)
        self._attempt = self._adoption = None
        self._answered_for = False

    def _expect(self) -> None:
        """Let the mirror follow the attempt; where no loop runs, as in JupyterHub's commands, nothing is followed."""
        REGISTRY.use(object_session(self.orm_spawner))
        with contextlib.suppress(RuntimeError):
            if self._attempt is not None and (mirror := self.mirror_of(self._attempt)) is not None:
                mirror.expect(self._attempt.id, self)
                if self._attempt.ending:
                    _ = mirror.cancel(self._attempt.id)

    # -- the choice

    async def get_options_form(self) -> str:
        """The start page's fields, as JupyterHub asks for them."""
        return await self.start_form(self.handler.get_argument("next", "") if self.handler is not None else "")

    async def start_form(self, next_url: str) -> str:
        """The start page's fields; `next_url` is where somebody wanted to go."""
        try:
            return await choice.start_form(self, next_url)
        except RoadsteadError as error:
            raise refusal(error) from None

    async def run_options_from_form(self, form_data: Form) -> dict[str, Any]:
        """Options from a filled-in start page."""
        try:
            return stored(await choice.options_of_form(self, form_data))
        except RoadsteadError as error:
            raise refusal(error) from None

    def options_from_query(self, query: Form) -> dict[str, Any]:
        """A link may propose choices, never make them: whoever follows it sees the start page filled in."""
        proposed = prefill_from_query(query)
        if proposed is not None:
            form.remember(self, proposed)
        message = "A link filled in this page. Look it through, then press Start."
        raise refusal(RoadsteadError(ErrorCode.BAD_REQUEST, message), 200)

    async def run_pre_spawn_hook(self) -> None:
        """The site's hook, then everything about the choice that needs waiting: start() itself must not wait."""
        await maybe_future(super().run_pre_spawn_hook())
        try:
            self._choice = await choice.choose(self)
        except RoadsteadError as error:
            self._fail(error)

    async def move_certs(self, paths: dict[str, str]) -> dict[str, str]:
        """The certificates go along with the request; the outpost puts them where the server runs."""
        self._certificates = await asyncio.to_thread(read_certificates, paths, dict(self.internal_trust_bundles))
        return paths

    # -- start

    def start(self) -> Coroutine[Any, Any, str]:
        """Ask an outpost for a server; pending until it answers at its address, which is returned.

        A plain function: JupyterHub commits what it leaves in the database before it awaits anything, so that the
        attempt's id is safe before the outpost hears of it.
        """
        self.last_failure = ""
        assert self._choice is not None
        REGISTRY.use(object_session(self.orm_spawner))
        place_, options = self._choice.place, self._choice.options
        try:
            request = build_request(
                self, self.outposts[place_.outpost], options, self._choice.person, self._certificates
            )
        except RoadsteadError as error:
            self._fail(error)
        attempt = Attempt(new_attempt_id(), place_.outpost, place_.system, options.app, options.flavor)
        self._attempt = attempt
        self.orm_spawner.state = self.get_state()
        return self._start(attempt, request)

    async def _start(self, attempt: Attempt, request: ServerRequest) -> str:
        mirror = self.mirror_of(attempt)
        assert mirror is not None
        try:
            view = await place(
                mirror, attempt.id, request, seconds=self.place_timeout, clearing_seconds=max(self.stop_timeout, 1.0)
            )
        except NotPlacedError as failure:
            if not failure.perhaps:
                # Nothing is there to be stopped, and poll() says so.
                self._last_id, self._attempt = attempt.id, None
                mirror.release(attempt.id)
            self._fail(failure.error)
        form.forget(self)
        record = mirror.accept(view, self)
        try:
            url = await until_reached(self, attempt)
        except NotStartedError as failure:
            self._fail(RoadsteadError(ErrorCode.INTERNAL, str(failure)), failure.reason)
        if record.api_token:
            # The class behind it took up a server that has a token of its own, and will do so again.
            self.api_token, self.will_resume = record.api_token, True
        attempt.url = url
        return url

    def _fail(self, error: RoadsteadError, reason: str = "") -> NoReturn:
        self.last_failure = error.sentence
        raise refusal(error, reason=reason) from None

    # -- life

    async def poll(self) -> int | None:
        """Whether the server lives, from memory alone: None also while nothing is known of it."""
        if self._attempt is None:
            return 0
        mirror = self.mirror_of(self._attempt)
        if mirror is None:
            return None
        record = mirror.get(self._attempt.id)
        if record is None:
            self._expect()
            return None
        return record.exit_code

    async def stop(self, now: bool = False) -> None:  # noqa: ARG002 - the outpost's Spawner decides how
        """End the server. Without an answer of the outpost this goes on in the background; the user is free."""
        if self._adoption is not None:
            self._adoption.cancel()
        if self._attempt is not None:
            await end_attempt(self, self._attempt)

    def attempt_over(self) -> None:
        """The mirror has learned that the server is over: tell JupyterHub now rather than at its next poll."""
        if self._telling is None or self._telling.done():
            self._telling = asyncio.get_running_loop().create_task(self._tell_end())

    async def _tell_end(self) -> None:
        await until_hub_started(self)
        # While something is pending, JupyterHub looks itself, and who is to be told is not registered yet.
        while self.pending:  # noqa: ASYNC110
            await asyncio.sleep(0.2)
        adoption = self._adoption
        if self.ready and self._attempt is not None:
            await self.poll_and_notify()
            if adoption is not None:
                await adoption.remove_route()

    def add_poll_callback(self, callback: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """JupyterHub's way to be told of an end, at which it stops polling: what then fails has to be tried again."""
        super().add_poll_callback(self._until_done, partial(callback, *args, **kwargs))

    async def _until_done(self, callback: Callable[[], Any]) -> None:
        attempt = self._attempt
        for pause in pauses(*_CALLBACK_PAUSES):
            try:
                # A stop that somebody asks for meanwhile may fail as well: it is waited for, not relied on.
                if not self.pending:
                    await maybe_future(callback())
                    return
            except Exception:
                self.log.exception("The end of %s could not be dealt with yet; this is tried again.", self.log_name)
            await asyncio.sleep(pause)
            if self._attempt is not attempt:
                return

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """The event log of the start, from its beginning."""
        async for event in progress_of(self):
            yield event

    # -- the hub's restart

    async def get_url(self) -> str:
        """JupyterHub asks this before it checks a server at its start: from here on the responder answers for it."""
        url = str(await super().get_url())
        if self._attempt is None or self.server is None:
            return url
        try:
            address = responder_address(self)
        except OSError as error:
            self.log.error("The responder cannot listen: %s. Servers are checked at their own address.", error)  # noqa: TRY400
            return url
        self._answered_for = True
        self._adoption = Adoption(self, self._attempt)
        self.server.connect_url = address + self.server.base_url
        return url

    def start_polling(self) -> None:
        """JupyterHub calls this when a start is complete, and after its check at its own start."""
        super().start_polling()
        if self._answered_for and self._adoption is not None:
            self._answered_for = False
            self._adoption.settle()

    async def rename(self, old_name: str, new_name: str) -> None:  # noqa: ARG002
        """A stopped server keeps nothing under its name here; the new one has to suit outposts too."""
        try:
            _SERVER_NAME.validate_python(new_name)
        except ValidationError:
            raise web.HTTPError(
                400, "Servers at outposts have names of letters, digits, '.', '_' and '-', at most 63, no more."
            ) from None
