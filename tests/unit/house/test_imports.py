"""Imports point one way: cli, up -> hub, outpost -> spawners -> runners -> protocol.

The outpost's own process never imports JupyterHub.
"""

import subprocess
import sys

import pytest

from tests.unit.house.source import Import, imports, module_name, modules, room

MAY_IMPORT = {
    "": set[str](),
    "protocol": set[str](),
    "runners": {"protocol"},
    "spawners": {"runners", "protocol"},
    "hub": {"spawners", "runners", "protocol"},
    "outpost": {"spawners", "runners", "protocol"},
    "up": {"hub", "outpost", "protocol"},
    "cli": {"up", "hub", "outpost", "protocol"},
}
MODULES = {module_name(path): path for path in modules()}


def is_host(module: str) -> bool:
    return module.startswith("roadstead.outpost.host.") or module == "roadstead.outpost.host"


def ours(found: Import) -> bool:
    return found.module == "roadstead" or found.module.startswith("roadstead.")


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_in_a_known_room(module: str) -> None:
    assert room(module) in MAY_IMPORT, f"{module} is in no known room; add the room to the rules of this test"


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_one_way(module: str) -> None:
    own = room(module)
    wrong = [
        f"line {found.line}: {found.module}"
        for found in imports(MODULES[module])
        if ours(found) and room(found.module) not in {"", "__version__", own} | MAY_IMPORT[own]
    ]
    assert not wrong, f"{module} must not import {wrong}"


@pytest.mark.parametrize("module", [name for name in MODULES if room(name) in ("protocol", "runners", "outpost")])
def test_only_the_host_imports_jupyterhub(module: str) -> None:
    if is_host(module):
        return
    wrong = [found for found in imports(MODULES[module]) if found.module.split(".")[0] == "jupyterhub"]
    wrong += [found for found in imports(MODULES[module]) if is_host(found.module) or room(found.module) == "spawners"]
    assert not wrong, f"{module} must leave {wrong} to the host process"


@pytest.mark.parametrize("own", ["protocol", "runners", "outpost"])
def test_importing_a_room_does_not_bring_jupyterhub_in(own: str) -> None:
    names = [name for name in MODULES if room(name) == own and not is_host(name) and not name.endswith("__main__")]
    names = [name for name in names if ".migrations" not in name]
    assert names
    program = f"import sys, {', '.join(names)}; sys.exit('jupyterhub' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr or "jupyterhub was imported"


def test_the_reader_of_imports_resolves_relative_names() -> None:
    path = MODULES["roadstead.protocol"]
    found = {each.module for each in imports(path)}
    assert "roadstead.protocol.errors" in found
    assert "roadstead.protocol.errors.ErrorCode" in found
