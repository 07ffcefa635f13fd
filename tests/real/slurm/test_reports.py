"""Jobs that report over HTTP, and others who try to."""

import json
from collections.abc import Callable

import httpx

from roadstead.spawners import start_wrapper
from tests.real.deployment import free_port
from tests.real.outposts import Outpost
from tests.real.slurm.cluster import Cluster
from tests.real.slurm.systems import ADA, restart, start


async def test_a_job_reports_where_it_listens(cluster: Cluster, make_outpost: Callable[..., Outpost]) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    outpost = make_outpost(config={"report_url": url, "report_ip": "127.0.0.1", "report_port": port})
    async with outpost.client() as hub:
        cluster.close("batch")
        server = await start(hub, ADA)
        cluster.wait_for("the job waits", lambda: bool(cluster.living()))
        name = cluster.living()[0]["name"]
        for body, status in forgeries(name):
            assert httpx.post(url, content=body).status_code == status, body[:100]
        restart(outpost)
        cluster.open("batch")
    async with outpost.client() as hub:
        view = await hub.until(server, "running", "ended", seconds=60)
        assert view["state"] == "running", view
        assert httpx.get(view["url"]).text.strip() == f"{ADA}/"


def forgeries(name: str) -> list[tuple[str, int]]:
    """What others may send, and what they get for it."""
    news = {"sequence": 1, "event": "listening", "node": "c1", "port": 666}
    return [
        (start_wrapper.signed({"name": name, "secret": "guessed"}, news), 403),
        (start_wrapper.signed({"name": "jupyterhub-of-nobody", "secret": "guessed"}, news), 503),
        (json.dumps({"report": "[]", "signature": ""}), 403),
        ("no JSON", 403),
        ("[" * 3000, 403),
        ("x" * 6000, 403),
    ]
