"""What reaches the server and the site's hooks: environment, settings, templates, groups, auth state, options."""

import json
from pathlib import Path
from typing import Any

from roadstead.protocol.host import Start, Started, StartFailed, Stopped
from tests.real.outpost.host.driver import (
    GUESTS,
    TOKEN,
    Host,
    configuration,
    environment_of,
    job,
    processes_of,
    running,
)


async def environment(host: Host, *arguments: Any, **options: Any) -> dict[str, str]:
    """Starts a server, stops it, and gives the environment that it had."""
    order = job(*arguments, **options)
    started = await host.start(order)
    found = environment_of(int(str(started.state["pid"])))
    await host.stop(order)
    return found


async def test_identity_is_the_hubs_and_the_place_is_the_classes(tmp_path: Path) -> None:
    text = """
c.Spawner.environment = {
    "SITE": "yes",
    "ASKED": lambda spawner: f"{spawner.user.name}@{spawner.hub.base_url}",
    "JUPYTERHUB_API_TOKEN": "the-sites-idea",
    "JUPYTERHUB_API_URL": "http://elsewhere/",
    "JUPYTERHUB_USER": "root",
    "ROADSTEAD_SERVER_KEY": "another:1",
}
c.Spawner.notebook_dir = "/srv/{username}"
c.Spawner.default_url = "/doc/{username}"
c.Spawner.mem_limit = "2G"
"""
    async with running(configuration(tmp_path, text)) as host:
        env = await environment(host, server_name="lab", environment={"JUPYTERHUB_DEFAULT_URL": "/hub-says"})
        assert env["SITE"] == "yes"
        assert env["ASKED"] == "alice@/hub/"
        assert env["MEM_LIMIT"] == str(2 * 2**30)
        assert env["JUPYTERHUB_API_TOKEN"] == env["JPY_API_TOKEN"] == TOKEN
        assert env["JUPYTERHUB_API_URL"] == "http://10.1.2.3:8081/hub/api"
        assert env["JUPYTERHUB_USER"] == "alice"
        assert env["JUPYTERHUB_SERVER_NAME"] == "lab"
        assert env["JUPYTERHUB_SERVICE_PREFIX"] == "/user/alice/lab/"
        assert env["ROADSTEAD_SERVER_KEY"] == "north:1"
        assert env["JUPYTERHUB_SERVICE_URL"].startswith("http://127.0.0.1:")
        assert env["JUPYTERHUB_ROOT_DIR"] == "/srv/alice"
        assert env["JUPYTERHUB_DEFAULT_URL"] == "/doc/alice"
    assert TOKEN not in (tmp_path / "host.log").read_text()


async def test_the_site_may_say_how_its_servers_reach_the_hub(tmp_path: Path) -> None:
    async with running(configuration(tmp_path, "c.Spawner.hub_connect_url = 'http://gate:9000'")) as host:
        env = await environment(host, environment={"JUPYTERHUB_DEFAULT_URL": "/hub-says"})
        assert env["JUPYTERHUB_API_URL"] == "http://gate:9000/hub/api"
        assert env["JUPYTERHUB_ACTIVITY_URL"] == "http://gate:9000/hub/api/users/alice/activity"
        assert env["JUPYTERHUB_DEFAULT_URL"] == "/hub-says"


async def test_configuration_is_merged_in_the_order_file_system_hub_job(tmp_path: Path) -> None:
    text = "c.Spawner.environment = {'FROM': 'file'}\nc.Spawner.mem_limit = '1G'\nc.Spawner.cpu_limit = 1\n"
    config = configuration(
        tmp_path,
        text,
        hubs=("north", "south"),
        config={"Spawner": {"mem_limit": "2G", "cpu_limit": 2}},
        hub_config={"south": {"SimpleLocalProcessSpawner": {"cpu_limit": 3}}},
    )
    async with running(config) as host:
        north = await environment(host, "north:1")
        south = await environment(host, "south:1", settings={"mem_limit": "4G"})
        again = await environment(host, "north:2")
    gigabyte = 2**30
    assert [each["MEM_LIMIT"] for each in (north, south, again)] == [str(n * gigabyte) for n in (2, 4, 2)]
    assert [float(each["CPU_LIMIT"]) for each in (north, south, again)] == [2, 3, 2]
    assert {each["FROM"] for each in (north, south, again)} == {"file"}


async def test_settings_of_the_wrong_kind_are_refused_with_a_sentence(tmp_path: Path) -> None:
    async with running(configuration(tmp_path)) as host:
        cases: list[tuple[dict[str, Any], tuple[str, ...]]] = [
            ({"mem_limit": ["much"]}, ("mem_limit", "SimpleLocalProcessSpawner")),
            ({"port": "eighty"}, ("port", "SimpleLocalProcessSpawner")),
            ({"mem_limt": "1G"}, ("mem_limt", "Did the site mean 'mem_limit'?")),
            ({"user": "root"}, ("no setting 'user'",)),
            ({"api_token": "x"}, ("no setting 'api_token'",)),
        ]
        for number, (settings, words) in enumerate(cases):
            order = job(f"north:{number}", settings=settings)
            host.order(Start(job=order))
            failed = await host.expect(StartFailed)
            assert all(word in failed.message for word in words), failed.message
            assert processes_of(order.key) == []


async def test_a_running_server_can_be_stopped_though_its_settings_are_refused_by_now(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    async with running(config) as host:
        started = await host.start(job())
        await host.kill()
    async with running(config) as host:
        unfit = job(state=started.state, settings={"no_such_setting": 1})
        await host.resume(unfit)
        await host.stop(unfit)
        assert processes_of("north:1") == []


HOOKS = """
import json
from pathlib import Path

FOLDER = {folder!r}
def note(what, **more):
    with (Path(FOLDER) / "notes").open("a") as file:
        file.write(json.dumps([what, more]) + "\\n")

async def auth_state_hook(spawner, auth_state):
    note("auth_state", given=auth_state, asked=await spawner.user.get_auth_state(), token=bool(spawner.api_token))
    spawner.environment["HOME_PROJECT"] = auth_state["project"]

async def group_overrides(spawner):
    note("groups", names=[group.name for group in spawner.user.groups])
    return {{"1": {{"groups": ["physics"], "spawner_override": {{"mem_limit": "3G", "environment": {{"G": "1"}}}}}},
            "2": {{"groups": ["arts"], "spawner_override": {{"mem_limit": "9G"}}}}}}

async def apply_user_options(spawner, options):
    note("options", **options)
    spawner.environment["APP"] = options["app"]

def pre_spawn_hook(spawner):
    user = spawner.user
    note("pre_spawn", limit=spawner.mem_limit, cpu=spawner.cpu_limit, id=user.id, admin=user.admin, url=user.url,
         server=spawner.server.base_url, name=spawner.name, pending=spawner.pending, orm=spawner.orm_spawner.name,
         escaped=user.escaped_name, other=user.server_url("x y"), api=spawner.hub.api_url, options=spawner.user_options)
    spawner.db.commit()
    if user.name == "mallory":
        error = ValueError("internal words")
        error.jupyterhub_message = "Your account is closed."
        raise error

async def post_stop_hook(spawner):
    note("post_stop", auth=await spawner.user.get_auth_state(), limit=spawner.mem_limit)

c.Spawner.auth_state_hook = auth_state_hook
c.Spawner.group_overrides = group_overrides
c.Spawner.apply_user_options = apply_user_options
c.Spawner.pre_spawn_hook = pre_spawn_hook
c.Spawner.post_stop_hook = post_stop_hook
"""


async def test_hooks_run_in_jupyterhubs_order_with_what_they_read(tmp_path: Path) -> None:
    config = configuration(tmp_path, HOOKS.format(folder=str(tmp_path)))
    order = job(
        server_name="lab",
        settings={"cpu_limit": 1.5},
        groups=["physics", "all"],
        auth_state={"project": "p1"},
        admin=True,
        overrides={"image": "x"},
    )
    options = {"system": "test", "app": "lab", "flavor": None, "overrides": {"image": "x"}}
    async with running(config) as host:
        started = await host.start(order)
        env = environment_of(int(str(started.state["pid"])))
        assert (env["HOME_PROJECT"], env["G"], env["APP"], env["MEM_LIMIT"]) == ("p1", "1", "lab", str(3 * 2**30))
        await host.stop(order)
        notes = [json.loads(line) for line in (tmp_path / "notes").read_text().splitlines()]
        pre_spawn = notes[3][1]
        assert [what for what, _ in notes] == ["auth_state", "groups", "options", "pre_spawn", "post_stop"]
        assert notes[0][1] == {"given": {"project": "p1"}, "asked": {"project": "p1"}, "token": True}
        assert notes[1][1] == {"names": ["physics", "all"]}
        assert notes[2][1] == options
        assert pre_spawn == {
            "limit": 3 * 2**30,
            "cpu": 1.5,
            "id": 7,
            "admin": True,
            "url": "/user/alice/",
            "server": "/user/alice/lab/",
            "name": "lab",
            "pending": None,
            "orm": "lab",
            "escaped": "alice",
            "other": "/user/alice/x%20y/",
            "api": "http://10.1.2.3:8081/hub/api",
            "options": options,
        }
        assert notes[4][1] == {"auth": {"project": "p1"}, "limit": 3 * 2**30}

        host.order(Start(job=job("north:2", user="mallory", auth_state={"project": "p1"})))
        assert (await host.expect(StartFailed)).message == "Your account is closed."
        assert processes_of("north:2") == []


async def test_the_hub_can_be_asked_only_for_what_is_there(tmp_path: Path) -> None:
    text = """
def hook(spawner):
    {name: lambda: spawner.user.spawners, "query": lambda: spawner.db.query, "authenticator": lambda:
     spawner.authenticator.allowed_users}[spawner.name]()
c.Spawner.pre_spawn_hook = hook
""".replace("{name:", "{'user':")
    async with running(configuration(tmp_path, text)) as host:
        for name, missing in (("user", "spawners"), ("query", "query"), ("authenticator", "allowed_users")):
            host.order(Start(job=job(f"north:{name}", server_name=name)))
            failed = await host.expect(StartFailed)
            assert f"has no '{missing}'; it offers" in failed.message


async def test_addresses_in_every_form(tmp_path: Path) -> None:
    async with running(configuration(tmp_path, spawner_class=f"{GUESTS}.Addresses")) as host:
        for name, begin in (("url", "http://127.0.0.1:"), ("six", "http://[::1]:"), ("later", "http://127.0.0.1:")):
            order = job(f"north:{name}", server_name=name)
            assert (await host.start(order)).url.startswith(begin)
            await host.stop(order)
        for name in ("nothing", "foreign", "socket", "number"):
            order = job(f"north:{name}", server_name=name)
            host.order(Start(job=order))
            failed = await host.expect(StartFailed)
            assert "where the server's address was expected" in failed.message
            assert processes_of(order.key) == []


async def test_a_token_that_the_class_found_is_reported(tmp_path: Path) -> None:
    async with running(configuration(tmp_path, spawner_class=f"{GUESTS}.ReusesToken")) as host:
        started = await host.start(job())
        assert started.api_token == "the-token-of-an-older-container"
        assert environment_of(int(str(started.state["pid"])))["JUPYTERHUB_API_TOKEN"] == started.api_token
        assert await host.start(job()) == started


async def test_what_a_class_keeps_beyond_the_end_comes_back_at_the_next_start(tmp_path: Path) -> None:
    config = configuration(tmp_path, spawner_class=f"{GUESTS}.Remembers")
    async with running(config) as host:
        await host.start(job())
        host.heard.clear()
        await host.stop(job())
        [kept] = [report.state for report in host.heard if report.type == "state"]
        assert kept == {"volume": "claim-1"}
        started = await host.start(job("north:2", state={"volume": "claim-old"}))
        assert started.state["volume"] == "claim-old"
        await host.stop(job("north:2"))


async def test_an_unmodified_entry_point_dotted_path_and_class_of_the_file_work(tmp_path: Path) -> None:
    text = """
from jupyterhub.spawner import SimpleLocalProcessSpawner
class Ours(SimpleLocalProcessSpawner):
    def user_env(self, env):
        return super().user_env(env) | {"OURS": "1"}
c.Ours.environment = {"SECTION": "Ours"}
c.Outpost.systems["test"]["spawner_class"] = Ours
"""
    async with running(configuration(tmp_path, text)) as host:
        env = await environment(host)
        assert env["OURS"] == "1"
        assert env["SECTION"] == "Ours"
    path = configuration(tmp_path, spawner_class="jupyterhub.spawner:SimpleLocalProcessSpawner")
    async with running(path) as host:
        host.order(Start(job=job()))
        assert isinstance(await host.expect(Started), Started)
        assert isinstance(await host.stop(job()), Stopped)
