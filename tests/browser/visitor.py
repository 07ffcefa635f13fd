"""A person at a browser: logs in, chooses, waits, works, comes back."""

import re
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Browser, BrowserContext, Locator, Page, expect

from tests.real.deployment import Deployment

DESKTOP: Final = (1280, 800)
PHONE: Final = (390, 844)
STEP_MS: Final = 20_000
SLOW_MS: Final = 60_000
"""For what a busy machine does: the start of a JupyterLab."""


class Visitor:
    """One person with one open page."""

    def __init__(self, name: str, deployment: Deployment, context: BrowserContext, page: Page) -> None:
        self.name = name
        self.deployment = deployment
        self.context = context
        self.page = page

    async def go(self, path: str) -> None:
        """Open one of the hub's pages."""
        await self.page.goto(f"{self.deployment.url}/hub/{path}")

    async def log_in(self) -> None:
        """With the name; the password is anything."""
        await self.go("login")
        await self.page.get_by_label("User name").fill(self.name)
        await self.page.get_by_role("button", name="Log in").click()
        await self.page.wait_for_url(re.compile("/hub/(?!login)"))

    async def choose(self, name: str = "", system: str = "Shared machine", flavor: str | None = None) -> None:
        """Fill in the start page as far as the stay in front of Start."""
        await self.go("roadstead/start")
        await self.page.get_by_label("Name", exact=True).fill(name)
        await self.pick(system)
        if flavor is not None:
            await self.pick(flavor)

    async def pick(self, title: str) -> None:
        """Click on one of the start page's cards."""
        card = self.page.locator("label:visible").get_by_text(title, exact=True)
        await card.click()
        await expect(self.page.get_by_role("radio", name=title, exact=True)).to_be_checked()

    async def press_start(self) -> None:
        """Off it goes."""
        await self.page.get_by_role("button", name="Start", exact=True).click()
        await self.page.wait_for_url("**/hub/spawn-pending/**")

    async def move_on(self) -> None:
        """Let the queue move faster for this person."""
        home = self.deployment.outposts["harbour"].folder / "homes" / self.name
        home.mkdir(parents=True, exist_ok=True)
        (home / "hurry").touch()

    async def in_lab(self) -> None:
        """Wait until JupyterLab is there to be worked with."""
        await self.page.wait_for_url("**/user/**", timeout=SLOW_MS)
        await expect(self.page.locator(".jp-Launcher")).to_be_visible(timeout=SLOW_MS)

    def server(self, title: str) -> Locator:
        """A server's row on the home page."""
        return self.page.get_by_role("listitem").filter(has=self.page.get_by_role("heading", name=title))

    async def expect_state(self, title: str, state: str) -> None:
        """What the home page says of a server, sooner or later and without being loaded again."""
        await expect(self.server(title).get_by_role("heading")).to_contain_text(state, timeout=SLOW_MS)

    async def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        wide: int = await self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return wide

    @property
    def log(self) -> Locator:
        """The event log of the waiting page."""
        return self.page.get_by_role("log", name="Event log")


class Visitors:
    """Lets people in, each with cookies of their own, and sees them out."""

    def __init__(self, deployment: Deployment, chromium: Browser, folder: Path) -> None:
        self._deployment = deployment
        self._chromium = chromium
        self._folder = folder
        self._inside: list[Visitor] = []
        self._owners: set[str] = set()

    async def come(
        self, name: str, size: tuple[int, int] = DESKTOP, *, log_in: bool = True, stays: bool = False, **options: Any
    ) -> Visitor:
        """A person: logged in if nothing else is said; their servers end when they leave, unless those stay."""
        viewport = {"width": size[0], "height": size[1]}
        options = {"viewport": viewport, "locale": "en-GB", "timezone_id": "Europe/Berlin"} | options
        context = await self._chromium.new_context(**options)
        context.set_default_timeout(STEP_MS)
        visitor = Visitor(name, self._deployment, context, await context.new_page())
        self._inside.append(visitor)
        if not stays:
            self._owners.add(name)
        if log_in:
            await visitor.log_in()
        return visitor

    async def leave(self) -> None:
        """Everybody goes, their servers end, and what they saw last is kept."""
        for number, visitor in enumerate(self._inside):
            if not visitor.page.is_closed():
                await visitor.page.screenshot(path=self._folder / f"last-{number}-{visitor.name}.png")
            await visitor.context.close()
        for name in self._owners:
            model = self._deployment.api("GET", f"/users/{name}").json()
            for server in model.get("servers", {}):
                self._deployment.stop_server(name, server)
