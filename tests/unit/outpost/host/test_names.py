"""The check of name templates, on the Spawner classes themselves."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from traitlets.config import Config

from roadstead.outpost.config import SystemSettings
from roadstead.outpost.host.build import Builder
from roadstead.outpost.host.names import NamesInUse, check_names, family_of
from roadstead.outpost.host.sentences import RefusedError
from tests.real.outpost.host.driver import job
from tests.real.outpost.host.kube import kube_environment

ONE = ("north",)
TWO = ("north", "south")


@pytest.fixture(autouse=True)
def kube_configuration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in kube_environment(tmp_path_factory.mktemp("kube")).items():
            patch.setenv(name, value)
        yield


def builder(spawner_class: str, hub_config: dict[str, Any] | None = None, **config: Any) -> Builder:
    name = {"docker": "DockerSpawner", "docker-swarm": "SwarmSpawner", "systemd": "SystemdSpawner"}.get(
        spawner_class, "KubeSpawner"
    )
    per_hub = {hub: {name: values} for hub, values in (hub_config or {}).items()}
    settings = SystemSettings(spawner_class=spawner_class, config={name: config}, hub_config=per_hub)
    return Builder("test", settings, Config(), Path("/nonexistent"))


KUBE = "kubespawner.KubeSpawner"
PREFIXES = {hub: {"prefix": hub} for hub in TWO}


@pytest.mark.parametrize(
    ("hubs", "spawner_class", "hub_config", "config", "words"),
    [
        (ONE, "docker", {}, {"name_template": "{prefix}-{username}"}, "the same container 'jupyter-alice'"),
        (ONE, "docker", {}, {"name_template": "{prefix}"}, "the same container 'jupyter'"),
        (ONE, "docker", {}, {"name_template": "x-{raw_username}-{raw_servername}"}, "'x-alice-lab-two'"),
        (ONE, "docker", {}, {"name_template": "x-{raw_username}--{raw_servername}"}, "'x-alice--lab--two'"),
        (TWO, "docker", PREFIXES, {"volumes": {"home-{username}": "/home"}}, "the same storage 'home-alice'"),
        (TWO, "docker-swarm", PREFIXES, {"volumes": {"home-{username}": "/home"}}, "the same storage 'home-alice'"),
        (
            TWO,
            "docker",
            PREFIXES,
            {"mounts": [{"type": "volume", "source": "m-{username}", "target": "/m"}]},
            "DockerSpawner.mounts gives alice of the hub north",
        ),
        (ONE, "docker", {}, {"volumes": {"{nothing}": "/home"}}, "cannot be rendered: KeyError"),
        (
            TWO,
            "docker",
            {"north": {"prefix": "n", "client_kwargs": {"base_url": "tcp://a"}}, "south": {"prefix": "s"}},
            {},
            "different values of DockerSpawner.client_kwargs",
        ),
        (TWO, KUBE, {}, {}, "the same pod 'default/jupyter-alice'"),
        (ONE, KUBE, {}, {"pod_name_template": "j-{username}"}, "the same pod 'default/j-alice'"),
        (
            ONE,
            KUBE,
            {},
            {"slug_scheme": "escape", "pod_name_template": "{unescaped_username}-{servername}"},
            "the same pod 'default/alice-lab",
        ),
        (
            TWO,
            KUBE,
            {hub: {"pod_name_template": f"{hub}-{{user_server}}"} for hub in TWO},
            {"storage_pvc_ensure": True},
            "the same storage 'default/claim-alice'",
        ),
        (
            TWO,
            KUBE,
            {hub: {"pod_name_template": f"{hub}-{{user_server}}", "component_label": hub} for hub in TWO},
            {},
            "different values of KubeSpawner.component_label of namespace default",
        ),
        (
            TWO,
            KUBE,
            {"north": {"namespace": "n", "k8s_api_host": "https://a"}, "south": {"namespace": "s"}},
            {},
            "different values of KubeSpawner.k8s_api_host",
        ),
        (ONE, "systemd", {}, {"unit_name_template": "j-{USERID}"}, "the same unit 'j-1'"),
        (TWO, "systemd", {}, {"unit_name_template": "j-{SERVERNAME}-{USERID}"}, "on the hub south"),
        (
            ("a", "a-b"),
            "systemd",
            {hub: {"unit_name_template": f"{hub}-{{USERNAME}}:{{SERVERNAME}}"} for hub in ("a", "a-b")},
            {},
            "the same unit 'a-b-alice:",
        ),
    ],
)
async def test_templates_that_collide(
    hubs: tuple[str, ...], spawner_class: str, hub_config: dict[str, Any], config: dict[str, Any], words: str
) -> None:
    with pytest.raises(RefusedError) as refusal:
        check_names(builder(spawner_class, hub_config, **config), hubs)
    assert words in str(refusal.value)


@pytest.mark.parametrize(
    ("hubs", "spawner_class", "hub_config", "config"),
    [
        (ONE, "docker", {}, {}),
        (ONE, "docker-swarm", {}, {}),
        (ONE, KUBE, {}, {"storage_pvc_ensure": True}),
        (ONE, "systemd", {}, {"unit_name_template": "j-{SERVERNAME}-{USERNAME}"}),
        (ONE, "systemd", {}, {"unit_name_template": "j-{USERNAME}-{SERVERNAME}"}),
        (
            TWO,
            "docker",
            PREFIXES,
            {"volumes": {"data": "/data", "{prefix}-{username}": "/home", "/home/{username}": "/h"}},
        ),
        (TWO, "docker-swarm", PREFIXES, {}),
        (TWO, KUBE, {hub: {"namespace": hub, "component_label": hub} for hub in TWO}, {"storage_pvc_ensure": True}),
        (TWO, KUBE, {hub: {"pod_name_template": f"{hub}-{{user_server}}"} for hub in TWO}, {}),
        (
            TWO,
            KUBE,
            {hub: {"user_namespace_template": f"{hub}-{{username}}"} for hub in TWO},
            {"enable_user_namespaces": True},
        ),
        (
            ("a", "a-b"),
            "systemd",
            {hub: {"unit_name_template": f"{hub}.{{SERVERNAME}}-{{USERNAME}}"} for hub in ("a", "a-b")},
            {},
        ),
    ],
)
async def test_templates_that_keep_apart(
    hubs: tuple[str, ...], spawner_class: str, hub_config: dict[str, Any], config: dict[str, Any]
) -> None:
    assert check_names(builder(spawner_class, hub_config, **config), hubs)


async def test_subclasses_are_known_by_what_they_derive_from() -> None:
    made = builder("docker-system-user")
    family = family_of(made.spawner_class)
    assert family is not None
    assert family.thing == "container"


async def test_a_name_in_use_is_not_given_twice() -> None:
    made = builder("docker")
    names = NamesInUse(family_of(made.spawner_class))
    lab, other = job("north:1", server_name="lab"), job("north:2", server_name="LAB")
    taken = names.claim("north:1", made.build(lab))
    assert taken == ["jupyter-alice--lab"]
    assert names.claim("north:1", made.build(lab)) == taken
    with pytest.raises(RefusedError, match="Another server of this system has the container 'jupyter-alice--lab'"):
        names.claim("north:2", made.build(other))
    names.release("north:2", taken)
    with pytest.raises(RefusedError):
        names.claim("north:2", made.build(other))
    names.release("north:1", taken)
    assert names.claim("north:2", made.build(other)) == taken
