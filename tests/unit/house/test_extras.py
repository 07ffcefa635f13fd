"""Each room imports only what its extra installs, and nothing that comes along by chance."""

import sys
from importlib.metadata import packages_distributions, requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.unit.house.source import imports, module_name, modules, room

EXTRAS = {
    "protocol": [""],
    "runners": [""],
    "spawners": ["", "spawners"],
    "hub": ["", "hub"],
    "outpost": ["", "outpost"],
    "up": ["", "hub", "outpost", "up"],
    "cli": [""],
}
GUESTS = {"docker", "dockerspawner", "kubernetes_asyncio", "kubespawner", "systemdspawner"}
"""Spawner classes that a site installs itself; the host asks whether they are there."""


def asked_for(extras: list[str]) -> set[str]:
    """The names of what is installed for these extras, ours left out."""
    found = set[str]()
    for text in requires("roadstead") or []:
        requirement = Requirement(text)
        if any(requirement.marker is None or requirement.marker.evaluate({"extra": extra}) for extra in extras):
            found.add(str(canonicalize_name(requirement.name)))
    return found - {"roadstead"}


@pytest.mark.parametrize("own", EXTRAS)
def test_a_room_imports_what_its_extra_installs(own: str) -> None:
    allowed, providers = asked_for(EXTRAS[own]), packages_distributions()
    missing = []
    for path in modules():
        if room(module_name(path)) != own:
            continue
        for found in imports(path):
            top = found.module.split(".")[0]
            if top in ("roadstead", *sys.stdlib_module_names, *GUESTS):
                continue
            if not {canonicalize_name(name) for name in providers.get(top, [])} & allowed:
                missing.append(f"{path.name} line {found.line}: {top}")
    assert not missing, "add what provides these to the extra in pyproject.toml, or do without"


def test_the_extras_are_what_they_are_called() -> None:
    assert "jupyterlab" in asked_for(["up"])
    assert "jupyterlab" not in asked_for(["hub"])
    assert "fastapi" not in asked_for(["hub"])
    assert "httpx" not in asked_for(["outpost"])
