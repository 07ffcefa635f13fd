"""What the outpost does for hubs: admit, show, stop, offer, and compare lists. Routes translate, this decides."""

import hashlib
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from ..protocol.errors import ErrorCode, RoadsteadError
from ..protocol.servers import End, EndCode, KnownAnswer, ProgressLine, ServerPage, ServerRequest, ServerView, User
from ..protocol.systems import AppView, SystemsAnswer, SystemView
from . import lifecycle
from .admission import Grant, examine
from .conductor import Conductor
from .config import OutpostSettings
from .flavors import flavors_for, view
from .rows import Attempt, Usage
from .steps import Transaction
from .views import server_view

_LOG: Final = logging.getLogger(__name__)

STOPPED: Final = End(code=EndCode.STOPPED, message="The server was stopped.")
FORGOTTEN: Final = End(code=EndCode.FORGOTTEN, message="The hub does not know this server any more.")


class Service:
    """One outpost, as its hubs meet it. A hub is only ever shown and given what is its own."""

    def __init__(self, settings: OutpostSettings, conductor: Conductor) -> None:
        self.settings = settings
        self.conductor = conductor
        self.ledger = conductor.ledger

    async def put(self, hub: str, server_id: str, request: ServerRequest) -> tuple[ServerView, bool]:
        """Admit an attempt and write it down; True when it is new. The start itself goes on in the background."""
        text = request.model_dump_json()
        digest = hashlib.sha256(text.encode()).hexdigest()
        try:
            grant = await self._examine(hub, request)
        except RoadsteadError:
            # What was admitted once stays so, whatever the site's rules are by now.
            same = await self.ledger.get(hub, server_id)
            if same is None:
                raise
            return self._same(same, digest), False

        def admit(transaction: Transaction) -> tuple[Attempt, bool]:
            same = transaction.get(hub, server_id)
            if same is not None:
                return same, False
            last = self._make_way(transaction, hub, server_id, request)
            if grant.limited:
                grant.count(transaction.usage(hub, request.user.name, grant.system))
            attempt = self._new_attempt(hub, server_id, request, grant, text=text, digest=digest)
            if last is not None and last.system == attempt.system:
                # What a class keeps over the end of a server, such as the name of a volume, is its next start's.
                attempt = replace(attempt, spawner_state=last.spawner_state)
            return self.conductor.begin(transaction, attempt), True

        attempt, new = await self.ledger.write(admit)
        if not new:
            return self._same(attempt, digest), False
        self.conductor.begun(attempt)
        return server_view(attempt, self.ledger), True

    async def _examine(self, hub: str, request: ServerRequest) -> Grant:
        grant = await examine(self.settings, hub, request)
        if refusal := self.conductor.hosts[grant.system].status.refusal:
            raise RoadsteadError(
                ErrorCode.SYSTEM_DOWN, f"The system '{grant.system}' cannot start servers.", f"It says: {refusal}"
            )
        return grant

    def _same(self, attempt: Attempt, digest: str) -> ServerView:
        if attempt.digest != digest:
            raise RoadsteadError(
                ErrorCode.ID_TAKEN,
                f"The id {attempt.id} belongs to another request of this hub.",
                "Every attempt needs an id of its own.",
            )
        return server_view(attempt, self.ledger)

    def _make_way(self, transaction: Transaction, hub: str, server_id: str, request: ServerRequest) -> Attempt | None:
        """The attempt before this one, which has ended. Raises RoadsteadError while it has not."""
        if transaction.was_cancelled(hub, server_id):
            raise RoadsteadError(ErrorCode.ID_STALE, "This attempt was cancelled before it arrived.", "Start again.")
        other = transaction.last_attempt(hub, request.user.name, request.server_name)
        if other is None or not other.live:
            return other
        if other.id > server_id:
            raise RoadsteadError(
                ErrorCode.ID_STALE, "A newer attempt to start this server is under way.", server_id=other.id
            )
        raise RoadsteadError(
            ErrorCode.SERVER_LIVE,
            "An earlier attempt of this server has not ended yet.",
            "Stop it and wait for its end.",
            server_id=other.id,
        )

    def _new_attempt(
        self, hub: str, server_id: str, request: ServerRequest, grant: Grant, *, text: str, digest: str
    ) -> Attempt:
        now = time.time()
        deadline = now + grant.start_timeout
        return Attempt(
            hub=hub,
            id=server_id,
            user=request.user.name,
            server_name=request.server_name,
            system=grant.system,
            app=grant.app,
            flavor=grant.flavor,
            titles=grant.titles,
            record=lifecycle.Record(),
            digest=digest,
            request=self.ledger.seal(text),
            settings=self.ledger.seal(json.dumps(grant.settings)),
            accepted_at=now,
            runtime=grant.allowance.runtime,
            deadline_at=deadline,
            due_at=deadline,
        )

    async def get(self, hub: str, server_id: str) -> ServerView:
        """One attempt of this hub. Raises RoadsteadError `not-found`."""
        attempt = await self.ledger.get(hub, server_id)
        if attempt is None:
            raise _not_found(server_id)
        return server_view(attempt, self.ledger)

    async def stop(self, hub: str, server_id: str) -> ServerView:
        """Record that an attempt is to end. Raises RoadsteadError `not-found`, and remembers the id even then."""
        attempt = await self.conductor.step(f"{hub}.{server_id}", lifecycle.EndAsked(STOPPED))
        if attempt is None:
            if await self.ledger.write(lambda transaction: self._cancel_unseen(transaction, hub, server_id)):
                raise _not_found(server_id)
            return await self.stop(hub, server_id)
        return server_view(attempt, self.ledger)

    def _cancel_unseen(self, transaction: Transaction, hub: str, server_id: str) -> bool:
        unseen = transaction.get(hub, server_id) is None
        if unseen:
            transaction.cancel_unseen(hub, server_id, time.time())
        return unseen

    async def page(self, hub: str, *, after: str, limit: int, **filters: Any) -> ServerPage:
        """A page of this hub's attempts."""
        seq = await self.ledger.last_seq(hub)
        attempts = await self.ledger.page(hub=hub, after=(hub, after), limit=limit + 1, **filters)
        more = len(attempts) > limit
        views = [server_view(attempt, self.ledger) for attempt in attempts[:limit]]
        return ServerPage(servers=views, next=views[-1].id if more else None, seq=seq)

    async def log(self, hub: str, server_id: str) -> list[ProgressLine]:
        """The lines of an attempt's event log that are still kept."""
        if await self.ledger.get(hub, server_id) is None:
            raise _not_found(server_id)
        events = [json.loads(body) for body in await self.ledger.events_of(hub, server_id)]
        return [
            ProgressLine(at=event["at"], progress=event.get("progress"), message=event["message"])
            for event in events
            if event["type"] in ("progress", "warning")
        ]

    async def systems(self, hub: str, user: User) -> SystemsAnswer:
        """What this user of this hub may start now."""
        names = [name for name in self.settings.systems if hub in self.settings.hubs_of(name)]
        return SystemsAnswer(systems=[await self._system(name, hub, user) for name in names])

    async def _system(self, name: str, hub: str, user: User) -> SystemView:
        settings, status = self.settings.systems[name], self.conductor.hosts[name].status
        usage = await self.ledger.usage(hub, user.name, name)
        reason = status.refusal or ("" if status.up else "It is being started again; try in a moment.")
        try:
            flavors = await flavors_for(name, settings, hub, user)
        except RoadsteadError as error:
            flavors, reason = {}, error.body.message
        return SystemView(
            name=name,
            display_name=settings.display_name or name,
            description=settings.description,
            up=not reason,
            reason=reason,
            apps=[
                AppView(name=app, display_name=entry.display_name or app, description=entry.description)
                for app, entry in settings.apps.items()
            ],
            flavors=[view(flavor, entry, usage.get(flavor, Usage())) for flavor, entry in flavors.items()],
            flavor_required=settings.flavor_required,
            overrides=settings.overrides,
            start_timeout=settings.start_timeout,
        )

    async def known(self, hub: str, ids: Sequence[str]) -> KnownAnswer:
        """Compare the hub's list with the ledger; what stays unnamed for the grace period is ended."""
        now = time.time()
        named, live = set(ids), set(await self.ledger.live_ids(hub))
        missing = sorted(live - named)
        for server_id in await self.ledger.missing_for(hub, now - self.settings.grace):
            if server_id not in named:
                _LOG.info("Server %s of hub %s is ended: the hub does not know it any more.", server_id, hub)
                await self.conductor.step(f"{hub}.{server_id}", lifecycle.EndAsked(FORGOTTEN))
        present = sorted(live & named)
        await self.ledger.write(lambda transaction: transaction.mark_missing(hub, missing, present, now))
        return KnownAnswer(unknown_here=sorted(named - live), will_end=missing)


def _not_found(server_id: str) -> RoadsteadError:
    return RoadsteadError(
        ErrorCode.NOT_FOUND, f"This hub has no attempt {server_id} here.", "It may have ended long ago."
    )
