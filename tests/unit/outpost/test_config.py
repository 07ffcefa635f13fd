"""The outpost's configuration: what is accepted, and that every mistake is told at once with its key."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from traitlets.config import Config

from roadstead.outpost.config import ConfigurationError, Limit, OutpostSettings, load_config, read_settings
from roadstead.outpost.credentials import new_credential
from roadstead.protocol.servers import User

ENTRY = {"id": "key1", "sha256": hashlib.sha256(b"x").hexdigest()}


def settings(tmp_path: Path, **changes: Any) -> OutpostSettings:
    section: dict[str, Any] = {
        "name": "here",
        "state_folder": tmp_path,
        "hubs": {"hub": {"credentials": [ENTRY]}},
        "systems": {"local": {"spawner_class": "simple"}},
    }
    return read_settings(Config({"Outpost": section | changes}))


def findings(tmp_path: Path, **changes: Any) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        settings(tmp_path, **changes)
    return caught.value.findings


def test_the_least_that_is_needed(tmp_path: Path) -> None:
    found = settings(tmp_path)
    assert found.database == f"sqlite:///{tmp_path}/ledger.sqlite"
    assert found.hubs_of("local") == ("hub",)
    assert not found.systems["local"].flavor_required


def test_limits_and_run_times_in_every_form(tmp_path: Path) -> None:
    flavors = {
        "small": {"max": 5, "max_per_user": {"hub": 1, "all": 2}, "runtime": {"hours": 1, "minutes": 30}},
        "large": {"runtime": 60, "resources": {"cpus": 8, "memory": "16G", "gpus": 1}, "settings": {"debug": True}},
    }
    system = settings(tmp_path, systems={"local": {"spawner_class": "simple", "flavors": flavors}}).systems["local"]
    assert isinstance(system.flavors, dict)
    assert system.flavors["small"].max == Limit(hub=5)
    assert system.flavors["small"].max_per_user == Limit(hub=1, all=2)
    assert system.flavors["small"].runtime == 5400
    assert system.flavors["large"].spawner_settings == {"cpu_limit": 8, "mem_limit": "16G", "debug": True}
    assert system.flavor_required


def test_flavors_may_be_a_function(tmp_path: Path) -> None:
    def flavors(hub: str, user: User) -> dict[str, Any]:
        return {}

    system = settings(tmp_path, systems={"local": {"spawner_class": "simple", "flavors": flavors}}).systems["local"]
    assert system.flavors is flavors


def test_all_mistakes_are_told_at_once_with_their_keys(tmp_path: Path) -> None:
    told = findings(
        tmp_path,
        port=99_999,
        colour="blue",
        systems={"Local!": {"spawner_class": "simple"}, "b": {"start_timeout": 0, "flavors": {"s": {"max": -1}}}},
    )
    text = "\n".join(told)
    for key in ("Outpost.port", "Outpost.colour", "Outpost.systems.Local!", "Outpost.systems.b.spawner_class"):
        assert key in text
    assert "Outpost.systems.b.start_timeout" in text
    assert len(told) >= 6


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"ip": "0.0.0.0"}, "tls_certificate"),
        ({"tls_key": "/k"}, "belong together"),
        ({"hubs": {}}, "Outpost.hubs"),
        ({"hubs": {"a": {"credentials": [ENTRY]}, "b": {"credentials": [ENTRY]}}}, "used twice"),
        ({"hubs": {"a": {"credentials": [new_credential().entry for _ in range(3)]}}}, "at most 2"),
        ({"systems": {"local": {"spawner_class": "simple", "hubs": ["other"]}}}, "not in hubs"),
        ({"systems": {"l": {"spawner_class": "simple", "flavors": {"s": {"runtime": {"weeks": 1}}}}}}, "weeks"),
        ({"systems": {"l": {"spawner_class": "simple", "overrides": {"image": {"type": "picture"}}}}}, "overrides"),
        (
            {"systems": {"l": {"spawner_class": "simple", "overrides": {"x": {"type": "list", "minimum": 1}}}}},
            "minimum",
        ),
    ],
)
def test_one_mistake(tmp_path: Path, changes: dict[str, Any], word: str) -> None:
    assert word in "\n".join(findings(tmp_path, **changes))


def test_python_and_yaml_say_the_same(tmp_path: Path) -> None:
    python, yaml = tmp_path / "outpost_config.py", tmp_path / "outpost_config.yaml"
    python.write_text("c.Outpost.name = 'here'\nc.KubeSpawner.image = 'lab:1'\n")
    yaml.write_text("Outpost:\n  name: here\nKubeSpawner:\n  image: lab:1\n")
    assert load_config(python) == load_config(yaml)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("c.py", "c.Outpost.name = \n", ["SyntaxError", "line 1"]),
        ("c.py", "x = 1\ny = x / 0\n", ["ZeroDivisionError", "line 2"]),
        ("c.py", "import does_not_exist_at_all\n", ["ModuleNotFoundError", "line 1"]),
        ("c.yaml", "Outpost: [1, 2]\n", ["mapping of sections"]),
        ("c.yaml", "a: b: c\n", ["mapping values"]),
    ],
)
def test_a_broken_file_names_the_line(tmp_path: Path, name: str, text: str, words: list[str]) -> None:
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_config(file)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        load_config(tmp_path / "none.py")
