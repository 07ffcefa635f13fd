"""Whatever is killed or hangs: no server is lost, doubled or left behind."""

import asyncio
import os
import signal
from pathlib import Path

import httpx
import psutil
import pytest

from tests.real.outposts import HubClient, Outpost
from tests.real.slurm.cluster import Cluster
from tests.real.slurm.systems import ADA, jobs_folder, restart, sentences, start


async def waiting(cluster: Cluster, hub: HubClient) -> tuple[str, str]:
    """An attempt whose job waits: its id and the job's."""
    cluster.close("batch")
    server = await start(hub, ADA)
    cluster.wait_for("the job waits", lambda: [job["state"] for job in cluster.living()] == ["PENDING"])
    return server, cluster.living()[0]["id"]


def staged() -> set[Path]:
    """The secrets that wait for their jobs."""
    return set(jobs_folder(ADA).glob("*/start.json"))


def kill_host(outpost: Outpost) -> None:
    pid = outpost.host_pid("slurm")
    os.kill(pid, signal.SIGKILL)
    outpost.wait_for(lambda: outpost.host_pid("slurm") != pid and outpost.healthy())


@pytest.mark.parametrize("number", [1, 5])
async def test_a_job_that_waits_survives_its_host(cluster: Cluster, outpost: Outpost, number: int) -> None:
    async with outpost.client() as hub:
        server, job = await waiting(cluster, hub)
        for _ in range(number):
            kill_host(outpost)
            await hub.until(server, "starting")
        cluster.open("batch")
        view = await hub.until(server, "running", "ended", seconds=60)
        assert view["state"] == "running", view["end"]
        assert httpx.get(view["url"]).text.strip() == f"{ADA}/"
        assert [each["id"] for each in cluster.living()] == [job]


async def test_a_job_that_waits_survives_the_outpost(cluster: Cluster, outpost: Outpost) -> None:
    async with outpost.client() as hub:
        server, job = await waiting(cluster, hub)
    restart(outpost)
    cluster.open("batch")
    async with outpost.client() as hub:
        view = await hub.until(server, "running", "ended", seconds=60)
        assert view["state"] == "running", view["end"]
        assert [each["id"] for each in cluster.living()] == [job]


async def test_a_host_that_dies_while_it_submits_leaves_one_job(cluster: Cluster, outpost: Outpost) -> None:
    """Killed at moments around the submission; the name, which follows from the attempt, finds what there is."""
    async with outpost.client() as hub:
        for tenth in range(0, 6, 2):
            server = await start(hub, ADA, f"s{tenth}")
            await asyncio.sleep(tenth / 10)
            kill_host(outpost)
            view = await hub.until(server, "running", "ended", seconds=60)
            assert view["state"] == "running", view["end"]
            assert len(cluster.living()) == 1
            await hub.delete(server)
            await hub.until(server, "ended")
            assert cluster.living() == []


async def test_a_running_server_survives_host_and_outpost(cluster: Cluster, outpost: Outpost) -> None:
    async with outpost.client() as hub:
        server = await start(hub, ADA)
        url = (await hub.until(server, "running"))["url"]
        [job] = cluster.living()
        kill_host(outpost)
        assert (await hub.get(server))["state"] == "running"
    restart(outpost)
    async with outpost.client() as hub:
        await asyncio.sleep(2)
        assert (await hub.get(server))["state"] == "running"
        assert httpx.get(url).text.strip() == f"{ADA}/"
        assert cluster.living() == [job]
        await hub.delete(server)
        await hub.until(server, "ended")
        assert cluster.living() == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_controller_that_is_away_ends_no_server(cluster: Cluster, outpost: Outpost, number: int) -> None:
    async with outpost.client() as hub:
        running = await start(hub, ADA)
        url = (await hub.until(running, "running"))["url"]
        cluster.close("batch")
        queued = await start(hub, ADA, "queued")
        cluster.wait_for("the job waits", lambda: len(cluster.living()) == 2)
        before = {job["id"] for job in cluster.living()}
        # What slurmctld has not yet written down, it forgets when it is killed.
        cluster.wait_for("slurmctld has saved its jobs", lambda: all(map(cluster.has_saved, cluster.living())))
        cluster.ctld.signal(number)
        told: list[str] = []
        while not any("Slurm has not answered since" in line for line in told):
            told = await sentences(hub, queued)
        assert (await hub.get(running))["state"] == "running"
        assert (await hub.get(queued))["state"] == "starting"
        assert httpx.get(url).text.strip() == f"{ADA}/"
        cluster.ctld.signal(signal.SIGCONT) if number == signal.SIGSTOP else cluster.ctld.start()
        cluster.wait_for("slurmctld answers", lambda: not cluster.fails("scontrol", "ping"))
        cluster.open("batch")
        view = await hub.until(queued, "running", "ended", seconds=90)
        assert view["state"] == "running", view["end"]
        assert {job["id"] for job in cluster.living()} == before


async def test_a_submission_whose_answer_is_lost_makes_one_job(cluster: Cluster, outpost: Outpost) -> None:
    async with outpost.client() as hub:
        before = staged()
        server = await start(hub, ADA)
        while staged() == before:
            await asyncio.sleep(0)
        # The job's folder is there, sbatch comes next: Slurm takes the job, but its answer comes too late.
        cluster.ctld.signal(signal.SIGSTOP)
        told: list[str] = []
        while not any("did not say whether it took the job" in line for line in told):
            told = await sentences(hub, server)
        cluster.ctld.signal(signal.SIGCONT)
        view = await hub.until(server, "running", "ended", seconds=90)
        assert view["state"] == "running", view["end"]
        assert len(cluster.living()) == 1


async def test_a_start_during_an_outage_is_done_after_it(cluster: Cluster, outpost: Outpost) -> None:
    async with outpost.client() as hub:
        cluster.ctld.signal(signal.SIGKILL)
        server = await start(hub, ADA)
        told: list[str] = []
        while not any("Slurm has not answered since" in line for line in told):
            told = await sentences(hub, server)
        cluster.ctld.start()
        view = await hub.until(server, "running", "ended", seconds=90)
        assert view["state"] == "running", view["end"]
        assert len(cluster.living()) == 1


async def test_a_stop_during_an_outage_is_done_after_it(cluster: Cluster, outpost: Outpost) -> None:
    async with outpost.client() as hub:
        server = await start(hub, ADA)
        await hub.until(server, "running")
        # Told to end, it saves that the job runs; one that is killed may start the same job again.
        cluster.ctld.signal(signal.SIGTERM)
        await hub.delete(server)
        await asyncio.sleep(3)
        assert (await hub.get(server))["state"] == "stopping"
        cluster.ctld.start()
        await hub.until(server, "ended", seconds=120)
        assert cluster.living() == []


async def test_doubled_jobs_are_ended(cluster: Cluster, outpost: Outpost) -> None:
    async with outpost.client() as hub:
        server, job = await waiting(cluster, hub)
        name = cluster.living()[0]["name"]
        cluster.run("sbatch", f"--job-name={name}", "--wrap", "sleep 600", account=ADA)
        cluster.wait_for("one of them is ended", lambda: [each["id"] for each in cluster.living()] == [job])
        await hub.delete(server)
        await hub.until(server, "ended")
        assert cluster.living() == []


async def test_munge_that_is_away_ends_no_server(cluster: Cluster, outpost: Outpost) -> None:
    async with outpost.client() as hub:
        server = await start(hub, ADA)
        await hub.until(server, "running")
        cluster.munge.signal(signal.SIGSTOP)
        assert psutil.Process(outpost.host_pid("slurm")).is_running()
        await asyncio.sleep(8)
        assert (await hub.get(server))["state"] == "running"
        cluster.munge.signal(signal.SIGCONT)
        await asyncio.sleep(2)
        assert (await hub.get(server))["state"] == "running"
