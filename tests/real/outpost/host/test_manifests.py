"""KubeSpawner and SystemdSpawner as the host makes them: names, state, pod manifest, command; nothing is started."""

import os
from pathlib import Path
from typing import Any

import pytest
from traitlets.config import Config

from roadstead.outpost.config import SystemSettings
from roadstead.outpost.host.attempt import Attempt, Phase
from roadstead.outpost.host.build import Builder
from roadstead.protocol.host import Job
from roadstead.protocol.servers import Certificates
from tests.real.outpost.host.driver import TOKEN, environment_of, job
from tests.real.outpost.host.kube import kube_environment

PEM = "-----BEGIN TEST-----\nx\n"
SSL = Certificates(keyfile=PEM, certfile=PEM, cafile=PEM, trust_bundles={"hub-ca": PEM})


@pytest.fixture(autouse=True)
def kube_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in kube_environment(tmp_path).items():
        monkeypatch.setenv(name, value)


def prepared(tmp_path: Path, spawner_class: str, order: Job, **config: Any) -> Any:
    """A Spawner as it is when its start() is called."""
    name = spawner_class.rsplit(".", maxsplit=1)[-1]
    settings = SystemSettings(spawner_class=spawner_class, config={name: config})
    builder = Builder("test", settings, Config(), tmp_path / "certificates")
    attempt = Attempt(order.key, Phase.STARTING)
    attempt.load(builder.build(order), order.state)
    if order.request.certificates:
        files = builder.certificates.write(order.key, order.request.certificates)
        assert attempt.spawner.cert_paths == files.own
    builder.identify(attempt.spawner, order)
    return attempt.spawner


async def test_kubespawner_makes_its_pod_and_keeps_its_state(tmp_path: Path) -> None:
    order = job(
        server_name="Lab.2",
        settings={"mem_limit": "2G", "cpu_limit": 1.5},
        environment={"JUPYTERHUB_COOKIE_OPTIONS": '{"secure": true}'},
    )
    spawner = prepared(
        tmp_path,
        "kubespawner.KubeSpawner",
        order,
        image="quay.io/site/lab:1",
        namespace="sea",
        environment={"WHO": "{username}", "JUPYTERHUB_API_TOKEN": "the-sites-idea"},
        volumes={"home": {"name": "home", "persistentVolumeClaim": {"claimName": "{pvc_name}"}}},
        extra_labels={"site": "here"},
    )
    pod = (await spawner.get_pod_manifest()).to_dict()
    [container] = pod["spec"]["containers"]
    env = {each["name"]: each["value"] for each in container["env"]}
    assert container["image"] == "quay.io/site/lab:1"
    assert container["resources"]["limits"] == {"memory": 2 * 2**30, "cpu": 1.5}
    assert pod["metadata"]["annotations"]["hub.jupyter.org/servername"] == "Lab.2"
    assert pod["metadata"]["labels"]["site"] == "here"
    assert env["WHO"] == "alice"
    assert env["JUPYTERHUB_API_TOKEN"] == env["JPY_API_TOKEN"] == TOKEN
    assert env["JUPYTERHUB_API_URL"] == "http://10.1.2.3:8081/hub/api"
    assert env["JUPYTERHUB_SERVICE_URL"] == "http://0.0.0.0:8888/user/alice/Lab.2/"
    assert env["JUPYTERHUB_COOKIE_OPTIONS"] == '{"secure": true}'
    assert env["ROADSTEAD_SERVER_KEY"] == "north:1"
    assert pod["spec"]["volumes"][0]["persistent_volume_claim"]["claimName"] == spawner.pvc_name

    attempt = Attempt("north:1", Phase.RUNNING)
    attempt.spawner = spawner
    state = attempt.export()
    assert state["namespace"] == "sea"
    later = prepared(tmp_path, "kubespawner.KubeSpawner", job(server_name="other", state=state), namespace="land")
    assert (later.namespace, later.pod_name) == ("sea", spawner.pod_name)


async def test_kubespawner_makes_its_secret_from_the_certificates(tmp_path: Path) -> None:
    spawner = prepared(tmp_path, "kubespawner.KubeSpawner", job(certificates=SSL))
    secret = spawner.get_secret_manifest(owner_reference=None).to_dict()
    assert sorted(secret["data"]) == ["notebooks-ca_trust.crt", "ssl.crt", "ssl.key"]
    pod = (await spawner.get_pod_manifest()).to_dict()
    assert pod["spec"]["volumes"][-1]["secret"]["secretName"] == spawner.secret_name


RECORDER = """#!/bin/bash
case "$(basename "$0") $1" in
    "systemctl --version") echo "systemd 252 (252)";;
    "systemctl is-active") test -e "{folder}/active-$2";;
    "systemctl is-failed") exit 1;;
    "systemctl stop") rm -f "{folder}/active-$2";;
    "systemd-run "*) printf '%s\\n' "$@" > "{folder}/command"; touch "{folder}/active-$2";;
esac
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Systemctl and systemd-run that write down how they are called."""
    for name in ("systemctl", "systemd-run"):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(RECORDER.format(folder=tmp_path))
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr("systemdspawner.systemd.RUN_ROOT", str(tmp_path / "run"))
    return tmp_path


async def test_systemdspawner_makes_its_command_and_keeps_its_state(tmp_path: Path, programs: Path) -> None:
    order = job(user="root", server_name="lab-2", settings={"mem_limit": 1000, "cpu_limit": 2.0})
    spawner = prepared(
        tmp_path,
        "systemdspawner.SystemdSpawner",
        order,
        unit_name_template="north.{SERVERNAME}-{USERNAME}",
        cmd=["/usr/bin/env", "{USERNAME}"],
        isolate_tmp=True,
    )
    unit = "north.lab_2d2-root"
    assert spawner.unit_name == unit
    ip, port = await spawner.start()
    assert (ip, port) == ("127.0.0.1", spawner.port)
    command = (programs / "command").read_text().splitlines()
    assert command[:2] == ["--unit", unit]
    assert command[-2:] == ["/usr/bin/env", "root"]
    assert {"--uid=0", "--property=MemoryMax=1000", "--property=CPUQuota=200%", "--property=PrivateTmp=yes"} <= set(
        command
    )
    assert not [word for word in command if TOKEN in word]
    env = (tmp_path / "run" / unit / f"{unit}.env").read_text().splitlines()
    assert f"JUPYTERHUB_API_TOKEN={TOKEN}" in env
    assert "ROADSTEAD_SERVER_KEY=north:1" in env
    assert "JUPYTERHUB_SERVER_NAME=lab-2" in env

    attempt = Attempt("north:1", Phase.RUNNING)
    attempt.spawner = spawner
    state = attempt.export()
    assert state == {"unit_name": unit}
    later = Attempt("north:1", Phase.RUNNING)
    later.load(prepared(tmp_path, "systemdspawner.SystemdSpawner", job(user="root", server_name="x")), state)
    assert await later.poll() is None
    await later.spawner.stop()
    assert await later.poll() == 1


def test_this_process_has_no_key() -> None:
    assert "ROADSTEAD_SERVER_KEY" not in environment_of(os.getpid())
