"""The end of a server is asked for in every state, with all well and with something broken: it is never forgotten."""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from typing import Final

import pytest

from tests.real.faults.place import Place
from tests.real.faults.scene import MOMENTS, Scene
from tests.real.faults.truths import Kept, agree

Condition = Callable[[Place], contextlib.AbstractContextManager[None]]


@contextlib.contextmanager
def all_is_well(place: Place) -> Iterator[None]:
    yield


@contextlib.contextmanager
def outpost_stopped(place: Place) -> Iterator[None]:
    with place.outpost_stopped():
        yield
        time.sleep(2)


@contextlib.contextmanager
def outpost_killed(place: Place) -> Iterator[None]:
    place.outpost.kill()
    yield
    time.sleep(2)
    place.outpost.begin()


@contextlib.contextmanager
def hosts_stopped(place: Place) -> Iterator[None]:
    place.signal_hosts(signal.SIGSTOP)
    yield


@contextlib.contextmanager
def cut(place: Place) -> Iterator[None]:
    with place.cut():
        yield
        time.sleep(2)


@contextlib.contextmanager
def hub_killed_as_soon_as_it_has_answered(place: Place) -> Iterator[None]:
    yield
    place.kill_hub()
    place.begin_hub()


@contextlib.contextmanager
def hub_killed_before_the_outpost_has_heard(place: Place) -> Iterator[None]:
    with place.cut():
        yield
        place.kill_hub()
    place.begin_hub()


CONDITIONS: Final[list[Condition]] = [
    all_is_well,
    outpost_stopped,
    outpost_killed,
    hosts_stopped,
    cut,
    hub_killed_as_soon_as_it_has_answered,
    hub_killed_before_the_outpost_has_heard,
]


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda condition: condition.__name__)
def test_a_cancel_is_never_forgotten(site: Place, kept: list[Kept], condition: Condition) -> None:
    scene = Scene(site)
    try:
        scene.set()
        with condition(site):
            for moment in MOMENTS:
                if moment != "stopping":
                    answer = site.deployment.stop_server(scene.users[moment])
                    assert answer.status_code in (202, 204), answer.text
    finally:
        scene.go_on()
    for moment, user in scene.users.items():
        site.deployment.wait_until_stopped(user, seconds=60)
        assert site.until(scene.attempts[moment], "ended")["end"]["code"] == "stopped"
    agree(site, kept)
