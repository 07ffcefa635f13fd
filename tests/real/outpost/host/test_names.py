"""A real host refuses a system whose name templates let hubs or servers collide, and takes the remedy that it names."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from roadstead.protocol.host import Ready
from tests.real.outpost.host.driver import HUBS, configuration, refused, running
from tests.real.outpost.host.kube import kube_environment

CLASSES = {
    "docker": ("DockerSpawner", "name_template", "container 'jupyter-alice'"),
    "docker-swarm": ("SwarmSpawner", "name_template", "service 'jupyter-alice'"),
    "kubespawner.KubeSpawner": ("KubeSpawner", "pod_name_template", "pod 'default/jupyter-alice'"),
    "systemd": ("SystemdSpawner", "unit_name_template", "unit 'jupyter-alice-singleuser'"),
}


@pytest.mark.parametrize("spawner_class", CLASSES)
async def test_two_hubs_with_the_classes_own_names_are_refused_and_the_remedy_helps(
    tmp_path: Path, spawner_class: str
) -> None:
    name, setting, thing = CLASSES[spawner_class]
    env = kube_environment(tmp_path)
    unit = (
        {"SystemdSpawner": {"unit_name_template": "jupyter-{SERVERNAME}-{USERNAME}"}} if name.startswith("Sys") else {}
    )
    system: dict[str, Any] = {"spawner_class": spawner_class, "hubs": HUBS, "config": unit}
    sentence = await refused(configuration(tmp_path, **system), env=env)
    assert f"{name}.{setting} gives the default server of alice on the hub north and" in sentence
    assert thing in sentence or unit
    assert "on the hub south" in sentence

    remedy = re.search(r"with hub_config of the system 'test': (\{.*\})\.$", sentence)
    assert remedy, sentence
    async with running(configuration(tmp_path, **system, hub_config=ast.literal_eval(remedy[1])), env=env) as host:
        assert isinstance(host.heard[0], Ready)
        assert host.heard[0].spawner_class.endswith(name)


async def test_named_servers_need_names_of_their_own(tmp_path: Path) -> None:
    sentence = await refused(configuration(tmp_path, spawner_class="systemd"))
    assert "SystemdSpawner.unit_name_template gives the default server of alice on the hub north and" in sentence
    assert "the server 'lab' of alice on the hub north the same unit 'jupyter-alice-singleuser'" in sentence
    assert "Use a template such as 'jupyter-{SERVERNAME}-{USERNAME}'." in sentence
    config = {"SystemdSpawner": {"unit_name_template": "jupyter-{SERVERNAME}-{USERNAME}"}}
    async with running(configuration(tmp_path, spawner_class="systemd", config=config)) as host:
        assert isinstance(host.heard[0], Ready)


async def test_a_class_whose_names_are_not_known_is_taken_with_a_word_in_the_log(tmp_path: Path) -> None:
    config = configuration(tmp_path, spawner_class="tests.real.outpost.host.guests.LooksUp", hubs=HUBS)
    async with running(config) as host:
        assert "it is not checked that hubs and servers keep apart" in host.log.read_text()
    async with running(configuration(tmp_path / ".", hubs=HUBS)) as host:
        assert host.log.read_text().count("it is not checked") == 1
