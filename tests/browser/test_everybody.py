"""Pages for everybody: no serious finding of axe-core and nothing cut off, light and dark, on a desk and in a hand."""

from typing import Final

import pytest
from playwright.async_api import expect

from tests.browser.accessibility import Axe
from tests.browser.visitor import DESKTOP, PHONE, Visitor, Visitors

pytestmark = pytest.mark.asyncio(loop_scope="package")

LOOKS: Final = [pytest.param(DESKTOP, "light", id="light-desk"), pytest.param(PHONE, "dark", id="dark-phone")]


async def check(visitor: Visitor, axe: Axe) -> None:
    """Nothing on this page keeps anybody out, and nothing sticks out of it."""
    assert await axe.barriers(visitor.page) == []
    assert await visitor.overflow() == 0


@pytest.mark.parametrize(("size", "scheme"), LOOKS)
async def test_pages_are_for_everybody(
    size: tuple[int, int], scheme: str, greta: str, visitors: Visitors, axe: Axe
) -> None:
    visitor = await visitors.come(greta, size, log_in=False, stays=True, color_scheme=scheme)
    page = visitor.page
    await visitor.go("login")
    await check(visitor, axe)
    await visitor.log_in()

    await visitor.go("roadstead/start")
    await visitor.pick("Cluster")
    await visitor.pick("Shared machine")
    await page.locator("summary:visible").click()
    await expect(page.get_by_label("Environment variables")).to_be_visible()
    await check(visitor, axe)

    await visitor.go("spawn-pending/greta/waves")
    await expect(visitor.log).to_contain_text("In the queue")
    await check(visitor, axe)

    await visitor.go("home")
    await expect(visitor.server("exercise")).to_contain_text("Save your work before it ends.")
    await visitor.server("thesis").locator("summary").click()
    await check(visitor, axe)

    await visitor.go("user/greta/thesis/lab")
    await expect(page.get_by_role("heading", name="thesis is not running")).to_be_visible()
    await check(visitor, axe)

    await visitor.go("nowhere")
    await expect(page.get_by_role("heading", name="There is nothing at this address")).to_be_visible()
    await check(visitor, axe)


async def test_the_checker_finds_what_it_is_for(visitors: Visitors, axe: Axe) -> None:
    visitor = await visitors.come("nobody", log_in=False)
    await visitor.page.set_content("<html lang=en><title>x</title><main><input type=text><img src=x></main>")
    assert {finding.partition(":")[0] for finding in await axe.barriers(visitor.page)} == {"label", "image-alt"}


@pytest.mark.parametrize("size", [pytest.param(DESKTOP, id="desk"), pytest.param(PHONE, id="phone")])
async def test_the_theme_can_be_chosen(size: tuple[int, int], visitors: Visitors) -> None:
    visitor = await visitors.come("luna", size, color_scheme="light")
    await visitor.go("home")
    await expect(visitor.page.get_by_text("No servers yet")).to_be_visible()
    brightness = "getComputedStyle(document.body).backgroundColor"
    light = await visitor.page.evaluate(brightness)
    if size == PHONE:
        await visitor.page.get_by_role("button", name="Toggle navigation").click()
    await visitor.page.get_by_role("button", name="Toggle dark mode").click()
    dark = await visitor.page.evaluate(brightness)
    assert light != dark
    await visitor.page.reload()
    assert await visitor.page.evaluate(brightness) == dark
