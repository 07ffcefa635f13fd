"""While a server starts: stopping exactly that one, a hub that goes away and comes back, and starts that fail."""

import asyncio
import re

import psutil
import pytest
from playwright.async_api import expect

from tests.browser.visitor import SLOW_MS, Visitors
from tests.real.deployment import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="package")

GPU = {"system": "harbour/cluster", "app": "lab", "flavor": "gpu"}
"""Starts that stay in the queue for an hour."""


async def test_stop_ends_the_server_whose_page_it_is(visitors: Visitors) -> None:
    nils = await visitors.come("nils")
    nils.deployment.begin_server("nils", **GPU)
    await nils.choose("other", "Cluster", "One GPU")
    await nils.press_start()
    await expect(nils.log).to_contain_text("In the queue")
    await nils.page.get_by_role("button", name="Stop this server").click()
    await nils.page.wait_for_url("**/hub/home")
    await nils.expect_state("other", "Stopped")
    await expect(nils.server("Main server").get_by_role("heading")).to_contain_text("Starting")
    await nils.page.get_by_role("link", name="Show progress of Main server").click()
    await expect(nils.page.get_by_role("heading", name="Starting your main server")).to_be_visible()


async def test_the_page_survives_a_restart_of_the_hub(visitors: Visitors) -> None:
    ines = await visitors.come("ines")
    await ines.choose("patient", "Cluster", "One GPU")
    await ines.press_start()
    await expect(ines.log).to_contain_text("4 before you")
    await asyncio.to_thread(ines.deployment.hub.signal)
    lost = ines.page.get_by_text("The connection to the hub is lost.")
    await expect(lost).to_be_visible(timeout=SLOW_MS)
    ines.deployment.begin_hub()
    # Not loaded by hand: the page finds the hub again, and the log is whole, without doubles, and goes on.
    await expect(lost).to_be_hidden(timeout=SLOW_MS)
    await ines.move_on()
    await expect(ines.log).to_contain_text("it is your turn", timeout=SLOW_MS)
    lines = await ines.log.get_by_role("listitem").all_inner_texts()
    places = [int(found[1]) for line in lines if (found := re.search(r"(\d+) before you", line))]
    assert places == [4, 3, 2, 1]
    await ines.in_lab()


async def test_stop_works_on_a_server_that_the_hub_took_up_again(visitors: Visitors) -> None:
    omar = await visitors.come("omar")
    await omar.choose("adopted", "Cluster", "One GPU")
    await omar.press_start()
    await expect(omar.log).to_contain_text("In the queue")
    await asyncio.to_thread(omar.deployment.restart_hub)
    await omar.page.goto(f"{omar.deployment.url}/user/omar/adopted/lab")
    await expect(omar.page.get_by_role("heading", name="Starting adopted")).to_be_visible()
    await expect(omar.log).to_contain_text("In the queue")
    await omar.page.get_by_role("button", name="Stop this server").click()
    await omar.page.wait_for_url("**/hub/home")
    await omar.expect_state("adopted", "Stopped")


async def test_a_server_that_dies_says_so(visitors: Visitors) -> None:
    erik = await visitors.come("erik")
    outpost = erik.deployment.outposts["harbour"]
    await erik.choose("doomed")
    await erik.press_start()
    processes = await asyncio.to_thread(lambda: wait_until("the server is there", outpost.servers))
    for process in [process for each in processes.values() for process in each]:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    await expect(erik.page.get_by_role("heading", name="Could not start doomed")).to_be_visible(timeout=SLOW_MS)
    await expect(erik.page.get_by_role("button", name="Stop this server")).to_be_hidden()
    reason = await erik.page.locator("#now").inner_text()
    await erik.page.get_by_role("link", name="Back to Home").click()
    await erik.expect_state("doomed", "Failed")
    await expect(erik.server("doomed")).to_contain_text(reason)


async def test_a_refused_start_brings_the_form_back_as_it_was(visitors: Visitors) -> None:
    tara = await visitors.come("tara")
    await tara.choose("late", "Cluster", "Node with a licence")
    tara.deployment.begin_server("tara", "early", **GPU | {"flavor": "licensed"})
    await tara.go("home")
    await tara.expect_state("early", "Starting")
    await tara.page.go_back()
    await expect(tara.page.get_by_label("Name", exact=True)).to_have_value("late")
    await tara.page.get_by_role("button", name="Start", exact=True).click()
    await expect(tara.page.get_by_role("alert")).to_contain_text("Node with a licence")
    await expect(tara.page.get_by_label("Name", exact=True)).to_have_value("late")
    await expect(tara.page.get_by_label("Cluster", exact=True)).to_be_checked()
    await expect(tara.page.get_by_label("Node with a licence", exact=True)).to_be_disabled()
    await expect(tara.page.get_by_text("1 of 1 in use")).to_be_visible()


async def test_a_name_that_cannot_be_is_explained(visitors: Visitors) -> None:
    yara = await visitors.come("yara", java_script_enabled=False)
    await yara.go("roadstead/start")
    # The way of a browser that checks nothing itself.
    xsrf = await yara.page.locator("input[name=_xsrf]").first.input_value()
    fields: dict[str, str | float | bool] = {
        "_xsrf": xsrf,
        "user": "yara",
        "name": "-no-",
        "system": "harbour/cluster",
        "flavor--harbour/cluster": "gpu",
    }
    answer = await yara.context.request.post(f"{yara.deployment.url}/hub/roadstead/start", form=fields)
    assert answer.status == 400
    await yara.page.set_content(await answer.text())
    await expect(yara.page.get_by_role("alert")).to_contain_text("'-no-' cannot be a name")
    await expect(yara.page.get_by_label("Name", exact=True)).to_have_value("-no-")
    await expect(yara.page.get_by_label("One GPU", exact=True)).to_be_checked()
