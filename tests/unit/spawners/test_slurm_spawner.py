"""The Spawner class itself: its settings, and what becomes of them."""

import json
from typing import Any

import pytest
from traitlets import TraitError
from traitlets.config import Config

from roadstead.spawners import SlurmSpawner
from roadstead.spawners.driver import RefusedError
from roadstead.spawners.folder import Staged
from roadstead.spawners.server_job import Memory

STAGED = Staged(folder="/home/alice/.roadstead/jobs/j", home="/home/alice")
VOCABULARY = {
    *("account", "cluster", "epilogue", "gres", "memory", "ngpus", "nprocs", "options", "partition", "prologue"),
    *("qos", "queue", "reservation", "runtime", "srun", "username"),
}
"""Names that batchspawner's users know."""


class Person:
    name = "alice"


def spawner(**settings: Any) -> SlurmSpawner:
    made = SlurmSpawner(config=Config({"SlurmSpawner": settings}))
    made.user = Person()
    made.load_state({"job": {"name": "jupyterhub-1", "secret": "s3cret"}})
    return made


def test_the_vocabulary() -> None:
    names = {name.removeprefix("req_") for name in SlurmSpawner.class_trait_names(config=True) if name[:4] == "req_"}
    assert names == VOCABULARY


def test_every_setting_says_what_it_is_for() -> None:
    assert [name for name, trait in SlurmSpawner.class_traits(config=True).items() if not trait.help] == []


def test_what_is_asked_for() -> None:
    request = spawner(
        req_partition="gpus", req_nprocs=2, req_gres="gpu:1", req_qos="high", req_options="--comment='a b' --exclusive"
    ).request(STAGED)
    assert (request.partition, request.cores, request.gres, request.qos) == ("gpus", "2", "gpu:1", "high")
    assert request.options == ("--comment=a b", "--exclusive")
    assert (request.folder, request.log) == ("/home/alice", "/home/alice/.roadstead/jobs/j/log")


def test_the_limits_that_every_spawner_has() -> None:
    request = spawner(mem_limit="2G", cpu_limit=1.5).request(STAGED)
    assert (request.memory, request.cores) == ("2048M", "2")
    request = spawner(mem_limit="2G", cpu_limit=1.5, req_memory="3G", req_nprocs=4).request(STAGED)
    assert (request.memory, request.cores) == ("3G", "4")


def test_a_queue_is_a_partition() -> None:
    assert spawner(req_queue="a").request(STAGED).partition == "a"
    assert spawner(req_queue="a", req_partition="b").request(STAGED).partition == "b"


def test_the_script() -> None:
    script = spawner(req_srun="srun --mpi=none", start_script=".rc").script(STAGED)
    run = "/usr/bin/python3 -I /home/alice/.roadstead/jobs/j/start.py run /home/alice/.roadstead/jobs/j"
    assert f"exec srun --mpi=none {run}\n" in script
    assert ". /home/alice/.rc ||" in script


def test_a_template_of_the_site_gets_quoted_values() -> None:
    made = spawner(
        batch_script="#!/bin/sh\n#SBATCH -p {{ partition }}\nexec {{ run }} # {{ qos }}", req_partition="a|b"
    )
    assert "#SBATCH -p 'a|b'\n" in made.script(STAGED)


def test_a_template_may_not_hide_a_mistake() -> None:
    with pytest.raises(RefusedError, match="partion"):
        spawner(batch_script="#!/bin/sh\n{{ partion }}").script(STAGED)


def test_a_request_cannot_make_a_word_more_than_a_word() -> None:
    with pytest.raises(TraitError):
        spawner().req_partition = "a\n#SBATCH --uid=0"


def test_the_state_is_enough_to_find_the_job_again() -> None:
    state = json.loads(json.dumps(spawner().get_state()))
    again = SlurmSpawner()
    again.load_state(state)
    assert again._memory == Memory(name="jupyterhub-1", secret="s3cret")
    again.clear_state()
    assert again.get_state() == {}


async def test_what_never_started_is_not_running() -> None:
    made = spawner()
    made.clear_state()
    assert await made.poll() == 0


def test_nothing_of_the_hubs_own_environment_is_kept() -> None:
    assert spawner().env_keep == []
    assert spawner().ip == "0.0.0.0"


async def test_what_is_said_while_somebody_listens_is_not_lost() -> None:
    made = spawner()
    made._say(10, "one")
    events = made.progress()
    assert (await anext(events))["message"] == "one"
    for text in ("two", "two", "three"):
        made._say(20, text)
    assert [(await anext(events))["message"] for _ in range(2)] == ["two", "three"]
    await events.aclose()
