"""Servers in jobs of a real Slurm, started by a real outpost as unprivileged users."""

import pwd
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest

from tests.real.deployment import Deployment, outpost_at_fixed_port, wait_until
from tests.real.outposts import Outpost
from tests.real.slurm.cluster import Cluster
from tests.real.slurm.systems import ADA, BO, jobs_folder, sentences, slurm_system, start


async def answer(url: str, path: str = "/") -> str:
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(retries=5), timeout=20) as client:
        return (await client.get(f"{url}{path}")).text.strip()


async def test_a_server_runs_in_a_job_of_its_user(cluster: Cluster, outpost: Outpost) -> None:
    async with outpost.client() as hub:
        server = await start(hub, ADA)
        view = await hub.until(server, "running", "ended")
        assert view["state"] == "running", view
        assert await answer(view["url"]) == f"{ADA}/"
        [job] = cluster.living()
        assert (job["user"], job["state"]) == (ADA, "RUNNING")
        assert process_of(server).uids().real == pwd.getpwnam(ADA).pw_uid
        told = await sentences(hub, server)
        assert f"Job {job['id']} is submitted." in told
        assert "The job runs. Waiting for the server to answer." in told

        await hub.delete(server)
        await hub.until(server, "ended")
        assert cluster.living() == []


def process_of(server: str) -> psutil.Process:
    """The process of an attempt's server, by the key in its environment."""
    for process in psutil.process_iter():
        try:
            key = process.environ().get("ROADSTEAD_SERVER_KEY", "")
        except (psutil.Error, OSError):
            continue
        if key.endswith(server):
            return process
    raise AssertionError("no process carries this attempt's key")


async def test_servers_of_several_users_and_names(cluster: Cluster, outpost: Outpost) -> None:
    wanted = [(ADA, ""), (ADA, "second"), (BO, "")]
    async with outpost.client() as hub:
        started = [await start(hub, user, name) for user, name in wanted]
        urls = [(await hub.until(server, "running", "ended"))["url"] for server in started]
        assert [await answer(url) for url in urls] == [f"{user}/{name}" for user, name in wanted]
        assert len(set(urls)) == 3
        await hub.delete(started[1])
        await hub.until(started[1], "ended")
        assert [await answer(urls[0]), await answer(urls[2])] == [f"{ADA}/", f"{BO}/"]


def test_jupyterlab_in_a_job(cluster: Cluster, tmp_path: Path) -> None:
    """The whole way: from a person's browser through hub, outpost and Slurm."""
    singleuser = [sys.executable, str(Path(sys.executable).with_name("jupyterhub-singleuser"))]
    system = slurm_system(cluster, config={"cmd": singleuser, "default_url": "/lab", "req_memory": "1G"})
    deployment = Deployment(tmp_path, {"site": outpost_at_fixed_port(tmp_path / "site", systems={"slurm": system})})
    try:
        deployment.start()
        deployment.begin_server(ADA, system="slurm")
        wait_until("it is ready", lambda: (deployment.server(ADA) or {}).get("ready"), 120)
        with deployment.browser(ADA) as browser:
            assert "jupyter-config-data" in browser.get(f"/user/{ADA}/lab").text
        [job] = cluster.living()
        assert (job["user"], job["state"]) == (ADA, "RUNNING")
        deployment.stop_server(ADA)
        wait_until("the job is gone", lambda: not cluster.living())
    finally:
        deployment.clean_up()


async def test_resources_and_scripts_of_the_site(cluster: Cluster, make_outpost: Callable[..., Outpost]) -> None:
    outpost = make_outpost(
        config={
            "req_partition": "gpus",
            "req_account": "projb",
            "req_nprocs": 2,
            "req_memory": "300M",
            "req_runtime": "0:30:00",
            "req_gres": "gpu:a100:1",
            "req_options": "--comment='a comment'",
            "req_prologue": "export JUPYTERHUB_SERVER_NAME_OF_SITE=1; echo the prologue ran",
            "start_script": ".roadstead-test-rc",
            "job_name_prefix": "lab",
            "port_range": (23000, 23999),
        }
    )
    script = Path(pwd.getpwnam(ADA).pw_dir) / ".roadstead-test-rc"
    script.write_text("echo the start script ran in $PWD; false\n")
    try:
        async with outpost.client() as hub:
            server = await start(hub, ADA)
            view = await hub.until(server, "running", "ended")
            assert view["state"] == "running", view
            assert 23000 <= int(view["url"].rsplit(":", 1)[1]) <= 23999
            [job] = cluster.living()
            shown = cluster.run("scontrol", "show", "job", job["id"])
            log = (jobs_folder(ADA) / job["name"] / "log").read_text()
            told = await sentences(hub, server)
    finally:
        script.unlink()
    assert job["name"].startswith("lab-")
    for expected in ("Account=projb", "Partition=gpus", "CPUs/Task=2", "TimeLimit=00:30:00", "Comment=a comment"):
        assert expected in shown
    assert "gpu:a100:1" in shown
    assert "MinMemoryNode=300M" in shown
    assert "the prologue ran" in log
    assert f"the start script ran in {pwd.getpwnam(ADA).pw_dir}" in log
    assert f"{script} ended with code 1." in told, log


async def test_no_secret_is_in_sight(cluster: Cluster, outpost: Outpost) -> None:
    secret = f"token-of-{ADA}-"
    async with outpost.client() as hub:
        cluster.close("batch")
        server = await start(hub, ADA)
        cluster.wait_for("the job waits", lambda: bool(cluster.living(ADA)))
        waiting = jobs_folder(ADA) / cluster.living(ADA)[0]["name"]
        assert secret in (waiting / "start.json").read_text()
        assert stat.S_IMODE((waiting / "start.json").stat().st_mode) == 0o600
        assert stat.S_IMODE(waiting.stat().st_mode) == 0o700
        seen = looks_of_a_stranger(cluster)
        cluster.open("batch")
        assert (await hub.until(server, "running", "ended"))["state"] == "running"
        seen += looks_of_a_stranger(cluster)
        assert not (waiting / "start.json").exists()
        kept = ("sacct", "--allusers", "-j", cluster.living(ADA)[0]["id"])
        cluster.wait_for("the script is kept", lambda: "start.py" in cluster.run(*kept, "--batch-script"))
        seen += cluster.run(*kept, "--batch-script") + cluster.run(*kept, "--env-vars")
    assert secret not in seen
    spool = [path for path in cluster.folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    assert spool == []


def looks_of_a_stranger(cluster: Cluster) -> str:
    """All that another user can find out."""
    looks = [
        ("ps", "auxeww"),
        ("squeue", "--all", "-O", "JobID,Name:80,Comment:200,Command:300,WorkDir:300,StdOut:300"),
        ("scontrol", "show", "job", "--details"),
        ("sacct", "--allusers", "--parsable2", "--format=ALL"),
    ]
    text = "".join(cluster.run(*command, account=BO) for command in looks)
    assert ADA in text
    return text


@pytest.mark.parametrize(
    "value", ["batch\n#SBATCH --uid=0", "$(touch /tmp/x)", "`id`", "a b", "--wrap=id", "ba\u202etch", "x" * 20_000]
)
async def test_hostile_options_start_nothing(
    cluster: Cluster, make_outpost: Callable[..., Outpost], value: str
) -> None:
    outpost = make_outpost(overrides={"req_partition": {"type": "string", "max_length": 65_536}})
    async with outpost.client() as hub:
        server = await start(hub, ADA, overrides={"req_partition": value})
        view = await hub.until(server, "running", "ended")
    assert view["end"]["code"] == "start-failed"
    assert "req_partition" in view["end"]["message"]
    assert cluster.living() == []


async def test_what_slurm_refuses_is_told_in_words(cluster: Cluster, make_outpost: Callable[..., Outpost]) -> None:
    outpost = make_outpost(config={"req_account": "nobodys"})
    async with outpost.client() as hub:
        view = await hub.until(await start(hub, ADA), "running", "ended")
    assert view["end"]["code"] == "start-failed"
    assert "This account may not be used there" in view["end"]["message"]


async def test_a_job_that_ends_before_it_listens_shows_its_log(
    cluster: Cluster, make_outpost: Callable[..., Outpost]
) -> None:
    outpost = make_outpost(config={"cmd": ["/usr/bin/python3", "-c", "raise SystemExit('the library is missing')"]})
    async with outpost.client() as hub:
        view = await hub.until(await start(hub, ADA), "running", "ended")
    assert view["end"]["code"] == "start-failed"
    assert "the library is missing" in view["end"]["message"]


async def test_a_program_that_is_not_there_is_named(cluster: Cluster, make_outpost: Callable[..., Outpost]) -> None:
    outpost = make_outpost(config={"cmd": ["no-such-server"]})
    async with outpost.client() as hub:
        server = await start(hub, ADA)
        view = await hub.until(server, "running", "ended")
    assert "no-such-server cannot be run on c" in view["end"]["message"]


async def test_a_cancelled_job_ends_its_server_with_the_reason(cluster: Cluster, outpost: Outpost) -> None:
    async with outpost.client() as hub:
        server = await start(hub, ADA)
        await hub.until(server, "running")
        cluster.run("scancel", cluster.living(ADA)[0]["id"])
        view = await hub.until(server, "ended", seconds=60)
    assert view["end"]["code"] == "exited"
    assert view["end"]["message"] == "The job was cancelled by uid 0."


async def test_who_waits_is_told_why(cluster: Cluster, outpost: Outpost) -> None:
    async with outpost.client() as hub:
        cluster.close("batch")
        server = await start(hub, ADA)
        cluster.wait_for("the job waits", lambda: bool(cluster.living(ADA)))
        told: list[str] = []
        while not any("its partition is down" in line for line in told):
            told = await sentences(hub, server)
        assert any("It is next in the queue." in line for line in told)
        await hub.delete(server)
        await hub.until(server, "ended")
        assert cluster.living() == []
