"""One deployment and one Chromium for all browser tests; every test comes as a person of its own."""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.browser.accessibility import Axe, install
from tests.browser.harbour import harbour
from tests.browser.visitor import Visitors
from tests.real.deployment import Deployment, wait_until

CHROMIUM: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="package")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """The harbour, up and running."""
    deployment = harbour(tmp_path_factory.mktemp("harbour"))
    try:
        deployment.start()
        yield deployment
    finally:
        deployment.clean_up()


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def chromium() -> AsyncIterator[Browser]:
    """The machine's own Chromium where there is one, else Playwright's."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="package")
async def visitors(deployment: Deployment, chromium: Browser, tmp_path: Path) -> AsyncIterator[Visitors]:
    """Lets people in; what they see when a test fails is kept in the test's folder."""
    visitors = Visitors(deployment, chromium, tmp_path)
    yield visitors
    await visitors.leave()


@pytest.fixture(scope="package")
def axe(request: pytest.FixtureRequest) -> Axe:
    """The accessibility checker."""
    cache = request.config.cache
    assert cache is not None
    return install(cache.mkdir("axe-core"))


@pytest.fixture(scope="package")
def greta(deployment: Deployment) -> str:
    """Somebody with a server in every state that lasts: running with little time left, waiting, stopped."""
    deployment.begin_server("greta", "exercise", system="harbour/machine", app="lab", flavor="short")
    for name in ("waves", "thesis"):
        deployment.begin_server("greta", name, system="harbour/cluster", app="lab", flavor="gpu")
    deployment.stop_server("greta", "thesis")
    deployment.wait_until_stopped("greta", "thesis")
    wait_until("it runs", lambda: (deployment.server("greta", "exercise") or {}).get("ready"), 60)
    return "greta"
