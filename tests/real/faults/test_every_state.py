"""Any moment may be the last: in every state of a server each process is killed or stopped, and the network cut.

Afterwards process table, ledger and the hub's database say the same, before and after the hub is started again. Whoever
ran still runs, whoever was on the way has arrived, whoever was being stopped is gone.
"""

import signal
import time
from collections.abc import Callable
from typing import Final

import pytest

from tests.real.faults.place import SILENCE, SILENT_HOST, Place
from tests.real.faults.scene import Scene
from tests.real.faults.truths import Kept, agree

Fault = Callable[[Place, Scene], None]


def kill_hub(place: Place, scene: Scene) -> None:
    place.kill_hub()
    place.begin_hub()


def end_hub(place: Place, scene: Scene) -> None:
    place.kill_hub(signal.SIGTERM)
    place.begin_hub()


def kill_hub_and_let_all_go_on_meanwhile(place: Place, scene: Scene) -> None:
    place.kill_hub()
    scene.go_on()
    for moment in ("before", "after", "accepted"):
        place.until(scene.attempts[moment], "running")
    place.begin_hub()


def kill_outpost(place: Place, scene: Scene) -> None:
    place.kill_outpost()


def kill_outpost_for_a_while(place: Place, scene: Scene) -> None:
    place.kill_outpost(4)


def kill_hosts(place: Place, scene: Scene) -> None:
    place.signal_hosts(signal.SIGKILL)


def kill_proxy(place: Place, scene: Scene) -> None:
    place.restart_proxy()


def stop_outpost_for_a_while(place: Place, scene: Scene) -> None:
    hosts = place.host_pids("held")
    with place.outpost_stopped():
        time.sleep(SILENT_HOST + 1)
    time.sleep(1)
    assert place.host_pids("held") == hosts, "who was stopped himself cannot say that others were silent"


def stop_hosts(place: Place, scene: Scene) -> None:
    place.signal_hosts(signal.SIGSTOP)


def stop_hosts_and_kill_outpost(place: Place, scene: Scene) -> None:
    place.signal_hosts(signal.SIGSTOP)
    place.kill_outpost()


def kill_hub_and_outpost(place: Place, scene: Scene) -> None:
    place.kill_hub()
    place.kill_outpost()
    place.begin_hub()


def kill_everything_but_servers(place: Place, scene: Scene) -> None:
    place.kill_hub()
    place.deployment.proxy.signal()
    place.outpost.kill()
    place.signal_hosts(signal.SIGKILL)
    place.deployment.start_proxy()
    place.outpost.begin()
    place.begin_hub()


def cut(place: Place, scene: Scene) -> None:
    with place.cut():
        time.sleep(4)


def cut_for_long_and_let_all_go_on_meanwhile(place: Place, scene: Scene) -> None:
    with place.cut():
        scene.go_on()
        time.sleep(SILENCE + 4)


def cut_while_the_hub_is_killed(place: Place, scene: Scene) -> None:
    with place.cut():
        place.kill_hub()
        place.begin_hub()
        time.sleep(2)


def cut_while_the_outpost_is_killed(place: Place, scene: Scene) -> None:
    with place.cut():
        place.kill_outpost()
        scene.go_on()
        time.sleep(2)


def unplug_while_the_hub_is_killed(place: Place, scene: Scene) -> None:
    with place.unplugged():
        place.kill_hub()
        place.begin_hub()
        time.sleep(2)


FAULTS: Final[list[Fault]] = [
    kill_hub,
    end_hub,
    kill_hub_and_let_all_go_on_meanwhile,
    kill_outpost,
    kill_outpost_for_a_while,
    kill_hosts,
    kill_proxy,
    stop_outpost_for_a_while,
    stop_hosts,
    stop_hosts_and_kill_outpost,
    kill_hub_and_outpost,
    kill_everything_but_servers,
    cut,
    cut_for_long_and_let_all_go_on_meanwhile,
    cut_while_the_hub_is_killed,
    cut_while_the_outpost_is_killed,
    unplug_while_the_hub_is_killed,
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_nothing_is_lost(site: Place, kept: list[Kept], fault: Fault) -> None:
    scene = Scene(site)
    try:
        kept.append(scene.set())
        fault(site, scene)
    finally:
        scene.go_on()
    for moment in ("accepted", "before", "after"):
        site.deployment.wait_for_server(scene.users[moment])
        assert site.deployment.attempt(scene.users[moment]) == scene.attempts[moment]
    site.deployment.wait_until_stopped(scene.users["stopping"])
    assert site.until(scene.attempts["stopping"], "ended")["end"]["code"] == "stopped"
    agree(site, kept)
    site.deployment.restart_hub()
    agree(site, kept)
    scene.stop("accepted", "before", "after")
    agree(site, kept)
