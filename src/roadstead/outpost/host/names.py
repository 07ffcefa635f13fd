"""Keeps hubs, users and servers apart in what a Spawner class names: containers, services, pods, claims, units.

A class takes a thing whose name it finds for its own: it would adopt, replace or end another hub's server. A system
whose templates let that happen is refused before it takes an order; a name in use is refused when a server starts.
"""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from jupyterhub.spawner import LocalProcessSpawner

from ...protocol.host import Job
from ...protocol.servers import HubAddress, ServerOptions, ServerRequest, User
from .build import SERVER_NAME_FIELD, Builder
from .calls import GUEST_ERRORS
from .sentences import RefusedError


@dataclass(frozen=True, slots=True)
class Family:
    """What the classes of one package name, and which settings decide it."""

    thing: str
    template: str
    """The setting that names it."""
    names: Callable[[Any], list[str]]
    """The names that one server alone may have."""
    storage: Callable[[Any], dict[str, str]]
    """Names of storage, with the setting that gives each: one user's servers may share it, two users' may not."""
    per_hub: str
    """A setting that gives a hub names of its own, as Python for hub_config; '{hub}' is the hub's name."""
    per_server: str
    shared: Callable[[Any], dict[str, Any]]
    """Settings that all servers of a process have in common, whatever hub_config says."""


def _docker_storage(spawner: Any) -> dict[str, str]:
    volumes = dict.fromkeys((str(name) for name in spawner.volume_binds), "volumes")
    if "mounts" in spawner.trait_names():
        volumes |= {str(mount["Source"]): "mounts" for mount in spawner.mount_binds if mount.get("Type") == "volume"}
    return {name: setting for name, setting in volumes.items() if not name.startswith("/")}


def _docker_shared(spawner: Any) -> dict[str, Any]:
    return {"client_kwargs": spawner.client_kwargs, "tls_config": spawner.tls_config}


def _claims(spawner: Any) -> dict[str, str]:
    used = spawner.storage_pvc_ensure or any(
        word in repr(spawner.volumes) for word in ("{pvc_name}", spawner.pvc_name, spawner.pvc_name_template)
    )
    return {f"{spawner.namespace}/{spawner.pvc_name}": "pvc_name_template"} if used else {}


def _kube_shared(spawner: Any) -> dict[str, Any]:
    names = ("k8s_api_host", "k8s_api_ssl_ca_cert", "k8s_api_verify_ssl", "enable_user_namespaces")
    where = "of all namespaces" if spawner.enable_user_namespaces else f"of namespace {spawner.namespace}"
    return {name: getattr(spawner, name) for name in names} | {f"component_label {where}": spawner.component_label}


_DOCKER: Final = Family(
    thing="container",
    template="name_template",
    names=lambda spawner: [spawner.object_name],
    storage=_docker_storage,
    per_hub="{{'DockerSpawner': {{'prefix': '{hub}'}}}}",
    per_server="'{prefix}-{username}--{servername}'",
    shared=_docker_shared,
)
_FAMILIES: Final = {
    "dockerspawner.SwarmSpawner": Family(
        thing="service",
        template="name_template",
        names=_DOCKER.names,
        storage=_docker_storage,
        per_hub="{{'SwarmSpawner': {{'prefix': '{hub}'}}}}",
        per_server=_DOCKER.per_server,
        shared=_docker_shared,
    ),
    "dockerspawner.DockerSpawner": _DOCKER,
    "kubespawner.KubeSpawner": Family(
        thing="pod",
        template="pod_name_template",
        names=lambda spawner: [f"{spawner.namespace}/{spawner.pod_name}"],
        storage=_claims,
        per_hub="{{'KubeSpawner': {{'namespace': '{hub}'}}}}",
        per_server="'jupyter-{user_server}'",
        shared=_kube_shared,
    ),
    "systemdspawner.SystemdSpawner": Family(
        thing="unit",
        template="unit_name_template",
        names=lambda spawner: [spawner.unit_name],
        storage=lambda spawner: {},  # noqa: ARG005
        per_hub="{{'SystemdSpawner': {{'unit_name_template': '{hub}.{{SERVERNAME}}-{{USERNAME}}'}}}}",
        per_server=f"'jupyter-{SERVER_NAME_FIELD}-{{USERNAME}}'",
        shared=lambda spawner: {},  # noqa: ARG005
    ),
}


def family_of(spawner_class: type) -> Family | None:
    """What is known of the names of a class or of the class that it is derived from."""
    for each in spawner_class.__mro__:
        found = _FAMILIES.get(f"{each.__module__.split('.')[0]}.{each.__name__}")
        if found:
            return found
    return None


@dataclass(frozen=True, slots=True)
class _Trial:
    hub: str
    user: str
    server: str

    def __str__(self) -> str:
        server = f"the server '{self.server}'" if self.server else "the default server"
        return f"{server} of {self.user} on the hub {self.hub}"


_USERS: Final = ("alice", "bob", "alice-lab", "alice--lab")
_SERVERS: Final = ("", "lab", "lab-two", "lab--two", "two")


def check_names(builder: Builder, hubs: Iterable[str]) -> bool:
    """Render the names of some servers of every hub. Raises RefusedError when two of them are one.

    False when nothing is known of how this class names things, so that nothing could be checked.
    """
    family = family_of(builder.spawner_class)
    if family is None:
        return _try(builder, sorted(hubs))
    _Check(builder, family).run(sorted(hubs))
    return True


def _try(builder: Builder, hubs: list[str]) -> bool:
    """A class whose names are not known is made once per hub, so that a configuration it refuses is refused now.

    True when attempts cannot meet: processes of this machine carry the attempt's key, and so do names that follow it.
    """
    for hub in hubs:
        builder.build(_job(_Trial(hub, _USERS[0], ""), 1))
    return builder.follows_attempts or issubclass(builder.spawner_class, LocalProcessSpawner)


class _Check:
    def __init__(self, builder: Builder, family: Family) -> None:
        self._builder = builder
        self._family = family
        self._owners: dict[str, _Trial] = {}
        self._storage: dict[tuple[str, str], dict[str, set[str]]] = {}
        self._shared: dict[str, tuple[str, Any]] = {}
        self._ids = {name: number for number, name in enumerate(_USERS, 1)}

    def run(self, hubs: list[str]) -> None:
        for hub in hubs:
            for user, server in itertools.product(_USERS, _SERVERS):
                self._look(_Trial(hub, user, server))
        for first, second in itertools.permutations(hubs, 2):
            for trial in _confusable(first, second):
                self._look(trial)
        for (name, setting), users in self._storage.items():
            self._check_storage(name, setting, users)

    def _look(self, trial: _Trial) -> None:
        spawner = self._builder.build(_job(trial, self._ids.setdefault(trial.user, len(self._ids) + 1)))
        try:
            names, storage = self._family.names(spawner), self._family.storage(spawner)
            shared = self._family.shared(spawner)
        except GUEST_ERRORS as error:
            raise RefusedError(
                f"The names that {self._builder.class_name} gives cannot be rendered: {type(error).__name__}: {error}. "
                f"Check {self._setting(self._family.template)} and the names of volumes."
            ) from error
        self._check_shared(trial, shared)
        for name in names:
            other = self._owners.setdefault(name, trial)
            if other != trial:
                raise RefusedError(self._collision(name, other, trial))
        for name, setting in storage.items():
            self._storage.setdefault((name, setting), {}).setdefault(trial.hub, set()).add(trial.user)

    def _check_storage(self, name: str, setting: str, users: dict[str, set[str]]) -> None:
        where = f"{self._setting(setting)} gives"
        personal = {hub: found for hub, found in users.items() if not found.issuperset(_USERS)}
        for hub, found in personal.items():
            if len(found) > 1:
                one, two = sorted(found)[:2]
                raise RefusedError(
                    f"{where} the users {one} and {two} of the hub {hub} the same storage '{name}'. "
                    "Use {username} in it, and a volume naming that keeps names apart."
                )
        if len(personal) > 1:
            one, two = list(personal)[:2]
            user = min(personal[one])
            raise RefusedError(
                f"{where} {user} of the hub {one} and {user} of the hub {two} the same storage '{name}', "
                f"though they may be two people. {self._per_hub(one, two)}"
            )

    def _check_shared(self, trial: _Trial, shared: dict[str, Any]) -> None:
        for name, value in shared.items():
            hub, other = self._shared.setdefault(name, (trial.hub, value))
            if other != value:
                raise RefusedError(
                    f"The hubs {hub} and {trial.hub} have different values of {self._setting(name)}, "
                    "but all servers of a system share one connection. Give the two hubs systems of their own."
                )

    def _collision(self, name: str, one: _Trial, two: _Trial) -> str:
        family = self._family
        what = f"{self._setting(family.template)} gives {one} and {two} the same {family.thing} '{name}'"
        if one.hub != two.hub:
            return f"{what}, so one hub would take over or end the other's server. {self._per_hub(one.hub, two.hub)}"
        return f"{what}, so one server would take over or end the other. Use a template such as {family.per_server}."

    def _per_hub(self, *hubs: str) -> str:
        parts = ", ".join(f"'{hub}': {self._family.per_hub.format(hub=hub)}" for hub in hubs)
        return f"Give each hub its own names with hub_config of the system '{self._builder.system}': {{{parts}}}."

    def _setting(self, name: str) -> str:
        return f"{self._builder.class_name}.{name}"


def _confusable(first: str, second: str) -> list[_Trial]:
    """Servers of one hub whose names look like the other's where one hub's prefix begins with the other's."""
    if not second.startswith(first):
        return []
    rest = second[len(first) :].strip("-")
    trials = [_Trial(first, f"{rest}-{user}", server) for user in _USERS[:2] for server in _SERVERS[:2]]
    if rest:
        trials += [_Trial(first, f"{server}-{user}", rest) for user in _USERS[:2] for server in _SERVERS[1:2]]
    return trials


def _job(trial: _Trial, user_id: int) -> Job:
    return Job(
        key=f"check:{trial.hub}",
        hub=trial.hub,
        server_id="check",
        request=ServerRequest(
            user=User(name=trial.user, id=user_id),
            server_name=trial.server,
            options=ServerOptions(),
            hub=HubAddress(api_url="http://127.0.0.1:8081/hub/api", base_url="/hub/"),
            base_url=f"/user/{trial.user}/",
            oauth_client_id=f"jupyterhub-user-{trial.user}",
        ),
    )


class NamesInUse:
    """Which attempt has which name at the moment; the last word, whatever the templates are."""

    def __init__(self, family: Family | None) -> None:
        self._family = family
        self._owners: dict[str, str] = {}

    def claim(self, key: str, spawner: Any) -> list[str]:
        """Take the names of a Spawner. Raises RefusedError when another attempt has one of them."""
        names = self._family.names(spawner) if self._family else []
        for name in names:
            if self._family and self._owners.get(name, key) != key:
                raise RefusedError(
                    f"Another server of this system has the {self._family.thing} '{name}' already. "
                    "Stop it first, or give this server another name."
                )
        for name in names:
            self._owners[name] = key
        return names

    def release(self, key: str, names: Iterable[str]) -> None:
        for name in names:
            if self._owners.get(name) == key:
                del self._owners[name]
