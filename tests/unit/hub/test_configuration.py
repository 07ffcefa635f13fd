"""configure(c) sets what the Spawner needs, keeps what the operator set, and refuses what contradicts, all at once."""

from pathlib import Path
from typing import Any

import pytest
from traitlets.config import Config

from roadstead.hub import ConfigurationError, RoadsteadSpawner, configure
from roadstead.hub.handlers import HANDLERS

OUTPOSTS: dict[str, Any] = {"site": {"url": "http://127.0.0.1:1", "credential": "key1." + "s" * 32}}


def config(**sections: dict[str, Any]) -> Config:
    return Config({"RoadsteadSpawner": {"outposts": OUTPOSTS}} | sections)


def test_it_sets_what_is_needed() -> None:
    c = config()
    configure(c)
    assert c.JupyterHub.spawner_class is RoadsteadSpawner
    assert c.JupyterHub.concurrent_spawn_limit == 0
    assert c.JupyterHub.cleanup_servers is False
    assert c.JupyterHub.allow_named_servers is True
    assert c.RoadsteadSpawner.start_timeout >= 7 * 86_400
    assert c.RoadsteadSpawner.consecutive_failure_limit == 0
    assert "roadstead" in c.JupyterHub.template_vars
    assert (Path(c.JupyterHub.template_paths[-1]) / "roadstead/form.html").is_file()


def test_it_keeps_what_the_operator_has() -> None:
    hub = {
        "template_paths": ["/mine"],
        "template_vars": {"a": 1},
        "extra_handlers": [("/mine", object)],
        "allow_named_servers": False,
        "concurrent_spawn_limit": 0,
    }
    c = config(JupyterHub=hub, Spawner={"poll_interval": 45})
    configure(c)
    assert c.JupyterHub.template_paths[0] == "/mine"
    assert c.JupyterHub.template_vars["a"] == 1
    assert c.JupyterHub.extra_handlers == [("/mine", object), *HANDLERS]
    assert c.JupyterHub.allow_named_servers is False
    assert "poll_interval" not in c.RoadsteadSpawner


def test_lists_that_the_operator_appends_to_are_kept() -> None:
    c = config()
    c.JupyterHub.template_paths.append("/mine")
    c.JupyterHub.template_vars.update({"a": 1})
    configure(c)
    assert c.JupyterHub.template_paths[0] == "/mine"
    assert c.JupyterHub.template_vars["a"] == 1


def test_it_may_be_called_twice() -> None:
    c = config()
    configure(c)
    configure(c)
    assert len(c.JupyterHub.extra_handlers) == len(HANDLERS)
    assert len(c.JupyterHub.template_paths) == 1


def test_all_contradictions_are_told_at_once() -> None:
    c = Config(
        {
            "JupyterHub": {"spawner_class": "docker", "concurrent_spawn_limit": 100, "cleanup_servers": True},
            "Spawner": {"start_timeout": 300, "consecutive_failure_limit": 5, "options_form": "<input>"},
            "RoadsteadSpawner": {"outposts": {"site": {"url": "x"}}},
        }
    )
    with pytest.raises(ConfigurationError) as caught:
        configure(c)
    text = str(caught.value)
    for key in (
        "c.JupyterHub.spawner_class",
        "c.JupyterHub.concurrent_spawn_limit",
        "c.JupyterHub.cleanup_servers",
        "c.Spawner.start_timeout",
        "c.Spawner.consecutive_failure_limit",
        "c.Spawner.options_form",
        "c.RoadsteadSpawner.outposts['site']['url']",
    ):
        assert key in text, text


def test_outposts_have_to_be_there_before() -> None:
    with pytest.raises(ConfigurationError, match="is not set"):
        configure(Config())
