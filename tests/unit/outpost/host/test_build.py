# mypy: disable-error-code="misc"
"""Which class is loaded, how it is fitted and configured, and what of a job becomes part of a Spawner."""

from pathlib import Path
from typing import Any

import pytest
from jupyterhub.spawner import LocalProcessSpawner, SimpleLocalProcessSpawner
from traitlets import List, Unicode
from traitlets.config import Config

from roadstead.outpost.config import SystemSettings
from roadstead.outpost.host.build import Builder
from roadstead.outpost.host.guest import fit, load_class
from roadstead.outpost.host.sentences import RefusedError
from roadstead.protocol.servers import Certificates
from tests.real.outpost.host.driver import TOKEN, job


class Ours(SimpleLocalProcessSpawner):
    words = List(Unicode(), default_value=["first"], config=True)


def builder(file: Config | None = None, **system: Any) -> Builder:
    settings = SystemSettings(spawner_class=Ours, **system)
    return Builder("test", settings, file or Config(), Path("/nonexistent"))


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("simple", SimpleLocalProcessSpawner),
        ("jupyterhub.spawner.LocalProcessSpawner", LocalProcessSpawner),
        ("jupyterhub.spawner:LocalProcessSpawner", LocalProcessSpawner),
        (Ours, Ours),
    ],
)
def test_a_class_is_found_by_name_path_or_itself(name: Any, found: type) -> None:
    assert load_class(name) is found


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere", "There is no Spawner called 'nowhere' here. Installed are default,"),
        ("no.such.Module", "'no.such.Module' cannot be imported: ModuleNotFoundError"),
        ("jupyterhub.spawner.NoSuch", "'jupyterhub.spawner.NoSuch' cannot be imported: ImportError"),
        ("pathlib.Path", "'pathlib.Path' is not a JupyterHub Spawner class. Give a name such as default,"),
        ("os.getpid", "'os.getpid' is not a JupyterHub Spawner class."),
        (dict, "dict is not a JupyterHub Spawner class."),
    ],
)
def test_what_is_no_spawner_is_refused(name: Any, words: str) -> None:
    with pytest.raises(RefusedError) as refusal:
        load_class(name)
    assert words in str(refusal.value)


class Follows(SimpleLocalProcessSpawner):
    follows_attempts = True
    attempt_key = ""


def test_a_class_that_follows_attempts_is_told_which() -> None:
    for spawner_class, key in ((Follows, job().key), (Ours, None)):
        made = Builder("test", SystemSettings(spawner_class=spawner_class), Config(), Path("/nonexistent"))
        assert made.follows_attempts == (spawner_class is Follows)
        assert getattr(made.build(job()), "attempt_key", None) == key


def test_a_fitted_class_is_the_same_to_everybody() -> None:
    fitted = fit(Ours)
    assert issubclass(fitted, Ours)
    assert (fitted.__name__, fitted.__module__, fitted.__qualname__) == (Ours.__name__, Ours.__module__, "Ours")
    assert fitted.section_names() == Ours.section_names()


def test_lists_of_the_file_are_extended_once() -> None:
    config = Config()
    config.Ours.words.append("second")
    config.Spawner.args = ["--a"]
    spawner = builder(config).build(job())
    assert spawner.words == ["first", "second"]
    assert spawner.args == ["--a"]


def test_a_hubs_configuration_does_not_leak_into_anothers() -> None:
    config = Config()
    config.Spawner.environment = {"A": "file"}
    made = builder(
        config,
        config={"Ours": {"words": ["system"]}},
        hub_config={"north": {"Ours": {"words": ["north"]}, "Spawner": {"environment": {"A": "north"}}}},
    )
    south, north = made.build(job("south:1")), made.build(job("north:1"))
    assert (north.words, north.environment) == (["north"], {"A": "north"})
    assert (south.words, south.environment) == (["system"], {"A": "file"})
    north.environment["B"] = "1"
    assert made.build(job("north:2")).environment == {"A": "north"}
    assert "Outpost" not in made.config_of("north")


def test_what_the_hub_says_of_a_server_is_in_its_spawner() -> None:
    pem = "-----BEGIN TEST-----\n"
    environment = {
        "JUPYTERHUB_PUBLIC_URL": "https://hub.example/user/alice/x/",
        "JUPYTERHUB_PUBLIC_HUB_URL": "https://hub.example/hub/",
        "JUPYTERHUB_ADMIN_ACCESS": "1",
    }
    certificates = Certificates(keyfile=pem, certfile=pem, cafile=pem, trust_bundles={"hub-ca": pem, "a/b": pem})
    order = job(server_name="x", environment=environment, certificates=certificates, auth_state={"a": 1})
    made = builder()
    spawner = made.build(order)
    assert spawner.public_url == "https://hub.example/user/alice/x/"
    assert spawner.public_hub_url == "https://hub.example/hub/"
    assert spawner.admin_access
    assert spawner.oauth_client_id == "jupyterhub-user-alice"
    assert spawner.internal_ssl
    assert set(spawner.cert_paths) == {"keyfile", "certfile", "cafile"}
    assert len(set(spawner.internal_trust_bundles.values())) == 2
    assert all(path.count("/") == 3 for path in spawner.internal_trust_bundles.values())
    assert spawner.server.base_url == "/user/alice/x/"
    assert spawner.user.url == "/user/alice/"
    assert spawner.hub.api_url == "http://10.1.2.3:8081/hub/api"
    assert (spawner.hub.ip, spawner.hub.port) == ("10.1.2.3", 8081)
    assert spawner.hub is made.build(job()).hub
    made.identify(spawner, order)
    assert spawner.get_env()["JUPYTERHUB_API_TOKEN"] == TOKEN


def test_a_token_that_the_class_puts_in_its_place_is_kept_in_the_environment() -> None:
    made = builder()
    spawner = made.build(job())
    made.identify(spawner, job())
    spawner.api_token = "another"
    env = spawner.get_env()
    assert env["JUPYTERHUB_API_TOKEN"] == env["JPY_API_TOKEN"] == "another"
    spawner.roadstead_identity = None
    assert "ROADSTEAD_SERVER_KEY" not in spawner.get_env()


@pytest.mark.parametrize("value", [{"words": 5}, {"mem_limit": ["x"]}, {"no_such": 1}, {"_log": 1}, {"db": 1}])
def test_settings_that_do_not_fit_are_refused_or_passed_over(value: dict[str, Any]) -> None:
    order = job().model_copy(update={"settings": value})
    with pytest.raises(RefusedError, match=next(iter(value))):
        builder().build(order)
    assert builder().build(order, lenient=True).words == ["first"]


def test_settings_are_copies() -> None:
    order = job(settings={"environment": {"A": "1"}})
    spawner = builder().build(order)
    spawner.environment["B"] = "2"
    assert order.settings == {"environment": {"A": "1"}}
