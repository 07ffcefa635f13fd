"""From logging in to a result in a notebook, away, back, stopped: with the mouse, the keyboard, and no JavaScript."""

import re

import pytest
from playwright.async_api import Page, expect

from tests.browser.visitor import SLOW_MS, Visitors

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def focus_by_tab(page: Page, wanted: str, presses: int = 60) -> None:
    """Press Tab until the element with this selector has the focus, which has to be seen."""
    for _ in range(presses):
        await page.keyboard.press("Tab")
        if await page.evaluate("wanted => document.activeElement.matches(wanted)", wanted):
            break
    else:
        pytest.fail(f"Tab does not lead to {wanted}")
    seen = await page.evaluate(
        """() => {
            const seen = element => getComputedStyle(element).outlineStyle !== "none";
            const here = document.activeElement;
            return seen(here) || (here.closest(".rs-card") && seen(here.closest(".rs-card")));
        }"""
    )
    assert seen, f"the focus on {wanted} is not to be seen"


async def calculate(page: Page) -> None:
    """Run a cell in the notebook that is open, by keyboard."""
    await expect(page.locator(".jp-Notebook .jp-Cell").first).to_be_visible(timeout=SLOW_MS)
    await expect(page.get_by_role("button", name="| Idle")).to_be_visible(timeout=SLOW_MS)
    await page.keyboard.press("Escape")
    await page.keyboard.press("Enter")
    await page.keyboard.type("print(6 * 7)")
    await page.keyboard.press("Shift+Enter")
    await expect(page.locator(".jp-OutputArea-output").first).to_have_text(re.compile("42"), timeout=SLOW_MS)


async def save(page: Page) -> None:
    """Save the notebook under the name that it has."""
    await page.keyboard.press("Control+S")
    await expect(page.get_by_role("dialog").get_by_role("textbox")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog")).to_be_hidden()
    await expect(page.locator(".lm-TabBar-tab.jp-mod-dirty")).to_have_count(0, timeout=SLOW_MS)


async def test_a_day_at_work(visitors: Visitors) -> None:
    ada = await visitors.come("ada", log_in=False)
    await ada.page.goto(ada.deployment.url)
    await expect(ada.page).to_have_title("Log in · Roadstead")
    await ada.page.get_by_label("User name").fill("ada")
    await ada.page.get_by_role("button", name="Log in").click()
    await expect(ada.page.get_by_role("heading", name="Start a server")).to_be_visible()

    await ada.go("home")
    await expect(ada.page.get_by_text("No servers yet")).to_be_visible()
    await ada.page.get_by_role("link", name="Start a server").click()
    await expect(ada.page.get_by_text("0 of 12 in use")).to_be_hidden()
    await ada.pick("Cluster")
    await expect(ada.page.get_by_text("0 of 12 in use")).to_be_visible()
    await expect(ada.page.get_by_text("Runs for up to 12 hours")).to_be_visible()
    await ada.page.get_by_label("Name", exact=True).fill("Tidal Waves")
    await ada.press_start()

    await expect(ada.page.get_by_role("heading", name="Starting tidal-waves")).to_be_visible()
    for line in ("In the queue: 2 before you.", "In the queue: it is your turn."):
        await expect(ada.log).to_contain_text(line)
    await expect(ada.page.locator("#now")).to_have_text("The server runs; waiting until it can be reached.")
    await ada.in_lab()
    await ada.page.locator(".jp-LauncherCard[data-category=Notebook]").first.click()
    await calculate(ada.page)
    await save(ada.page)
    await ada.page.close()

    ada.page = await ada.context.new_page()
    await ada.go("home")
    await ada.expect_state("tidal-waves", "Running")
    await expect(ada.server("tidal-waves")).to_contain_text(re.compile("Time left: (12 hours|11 hours 59 minutes)"))
    await ada.page.get_by_role("link", name="Open tidal-waves").click()
    await expect(ada.page.locator(".jp-Notebook .jp-OutputArea-output").first).to_have_text(
        re.compile("42"), timeout=SLOW_MS
    )

    outpost = ada.deployment.outposts["harbour"]
    assert len(outpost.servers()) == 1
    await ada.go("home")
    await ada.page.get_by_role("button", name="Stop tidal-waves").click()
    await ada.expect_state("tidal-waves", "Stopped")
    assert outpost.servers() == {}

    await ada.page.get_by_role("link", name="Start again tidal-waves").click()
    await expect(ada.page.get_by_label("Cluster")).to_be_checked()
    await ada.go("home")
    await ada.server("tidal-waves").locator("summary").click()
    await ada.page.get_by_role("button", name="Yes, remove it").click()
    await expect(ada.page.get_by_text("No servers yet")).to_be_visible()


async def test_by_keyboard_alone(visitors: Visitors) -> None:
    kay = await visitors.come("kay", log_in=False)
    keyboard = kay.page.keyboard
    await kay.go("login")
    await keyboard.type("kay")
    await keyboard.press("Enter")
    await kay.page.wait_for_url("**/hub/spawn*")

    await keyboard.press("Tab")
    await expect(kay.page.get_by_role("link", name="Skip to content")).to_be_focused()
    await keyboard.press("Enter")
    await focus_by_tab(kay.page, "#name", presses=1)
    await keyboard.type("Keys")
    await focus_by_tab(kay.page, "[name=system]:checked", presses=1)
    await focus_by_tab(kay.page, "[name^=app--]:checked", presses=1)
    await focus_by_tab(kay.page, "[name^=flavor--]:checked", presses=1)
    await keyboard.press("ArrowDown")
    await expect(kay.page.get_by_label("Short", exact=True)).to_be_checked()
    await focus_by_tab(kay.page, "summary", presses=1)
    await keyboard.press("Enter")
    await focus_by_tab(kay.page, "[name$=--debug]", presses=1)
    await focus_by_tab(kay.page, "button[type=submit]")
    await keyboard.press("Enter")

    await kay.in_lab()
    await keyboard.press("Control+Shift+C")
    await keyboard.type("New Notebook")
    await expect(kay.page.locator(".lm-CommandPalette-item.lm-mod-active")).to_contain_text("New Notebook")
    await keyboard.press("Enter")
    await expect(kay.page.get_by_role("button", name="Select Kernel")).to_be_focused(timeout=SLOW_MS)
    await keyboard.press("Enter")
    await calculate(kay.page)

    await kay.go("home")
    await focus_by_tab(kay.page, "form[action$='/keys'] button")
    await keyboard.press("Enter")
    await kay.expect_state("keys", "Stopped")
    await focus_by_tab(kay.page, "#server-keys summary")
    await keyboard.press("Enter")
    await focus_by_tab(kay.page, "#server-keys .btn-danger", presses=1)
    await keyboard.press("Enter")
    await expect(kay.page.get_by_text("No servers yet")).to_be_visible()


async def test_without_javascript(visitors: Visitors) -> None:
    mara = await visitors.come("mara", java_script_enabled=False)
    await expect(mara.page.get_by_role("heading", name="Start a server")).to_be_visible()
    await expect(mara.page.get_by_text("JupyterHub requires JavaScript")).to_be_hidden()
    await mara.page.get_by_label("Name", exact=True).fill("plain")
    await expect(mara.page.get_by_label("One node")).to_be_hidden()
    await mara.pick("Cluster")
    await expect(mara.page.get_by_label("One node")).to_be_visible()
    await mara.press_start()
    await expect(mara.page.get_by_role("heading", name="Starting plain")).to_be_visible()
    # The page loads itself again until it leads to the server.
    await expect(mara.page.get_by_role("log")).to_contain_text("In the queue: it is your turn.", timeout=SLOW_MS)
    await mara.page.wait_for_url("**/user/mara/plain/**", timeout=SLOW_MS)
    await mara.go("home")
    await expect(mara.server("plain")).to_contain_text("Running")
    await mara.page.get_by_role("button", name="Stop plain").click()
    await expect(mara.server("plain")).to_contain_text(re.compile("Stopp(ing|ed)"))
