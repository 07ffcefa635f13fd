"""The pictures in README and manual: of the real thing, always of the same size, kept where they are asked for."""

import os
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser.visitor import DESKTOP, PHONE, SLOW_MS, Visitors

pytestmark = pytest.mark.asyncio(loop_scope="package")

Camera = Callable[[Page, str], Awaitable[None]]


@pytest.fixture
def camera(tmp_path: Path) -> Camera:
    """Takes a picture of what the window shows; it stays if ROADSTEAD_SCREENSHOTS names a folder."""
    folder = Path(os.environ.get("ROADSTEAD_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)

    async def take(page: Page, name: str) -> None:
        await page.evaluate("document.fonts.ready")
        picture = await page.screenshot(path=folder / f"{name}.png", animations="disabled")
        assert page.viewport_size is not None
        assert struct.unpack(">II", picture[16:24]) == (page.viewport_size["width"], page.viewport_size["height"])

    return take


async def test_pictures_on_a_desk(greta: str, visitors: Visitors, camera: Camera) -> None:
    visitor = await visitors.come(greta, DESKTOP, log_in=False, stays=True, color_scheme="light")
    await visitor.go("login")
    await camera(visitor.page, "login")
    await visitor.log_in()

    visitor.deployment.begin_server("hugo", "", system="harbour/cluster", app="lab", flavor="licensed")
    await visitor.choose("", "Cluster", "One GPU")
    await expect(visitor.page.get_by_text("1 of 1 in use")).to_be_visible()
    await visitor.page.set_viewport_size({"width": 1280, "height": 1150})
    await visitor.page.evaluate("window.scrollTo(0, 0)")
    await visitor.page.mouse.move(0, 0)
    await camera(visitor.page, "start-page")
    await visitor.page.set_viewport_size({"width": 1280, "height": 800})
    visitor.deployment.stop_server("hugo")

    await visitor.go("spawn-pending/greta/waves")
    await expect(visitor.log).to_contain_text("In the queue")
    await camera(visitor.page, "waiting")

    await visitor.go("home")
    await expect(visitor.server("exercise")).to_contain_text("Running")
    await camera(visitor.page, "home")

    await visitor.page.get_by_role("link", name="Open exercise").click()
    await expect(visitor.page.locator(".jp-Launcher")).to_be_visible(timeout=SLOW_MS)
    await camera(visitor.page, "jupyterlab")


async def test_pictures_in_a_hand(greta: str, visitors: Visitors, camera: Camera) -> None:
    visitor = await visitors.come(greta, PHONE, stays=True, color_scheme="dark")
    await visitor.go("home")
    await expect(visitor.server("exercise")).to_contain_text("Running")
    await camera(visitor.page, "home-phone")
    await visitor.go("roadstead/start")
    await expect(visitor.page.get_by_role("heading", name="Start a server")).to_be_visible()
    await camera(visitor.page, "start-page-phone")
