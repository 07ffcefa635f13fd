"""Asks axe-core what on a page is hard or impossible to use for some people."""

import fcntl
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from playwright.async_api import Page

from roadstead.up.proxy_program import find_node

BARRIERS: Final = {"serious", "critical"}
"""What nobody may be left with; lesser findings are advice."""


@dataclass(frozen=True)
class Axe:
    """The checker, as the text of its script."""

    script: str

    async def barriers(self, page: Page) -> list[str]:
        """What is seriously wrong with this page as it is now: rule, element and reason, one a line."""
        await page.evaluate(self.script)
        found = await page.evaluate("axe.run({resultTypes: ['violations']})")
        return [
            f"{violation['id']}: {node['html'][:200]}: {node['failureSummary']}"
            for violation in found["violations"]
            if violation["impact"] in BARRIERS
            for node in violation["nodes"]
        ]


def install(place: Path) -> Axe:
    """The pinned axe-core, put into this folder with npm if it is not there yet."""
    script = place / "node_modules/axe-core/axe.min.js"
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not script.is_file():
            for name in ("package.json", "package-lock.json"):
                (place / name).write_bytes(Path(__file__).with_name(name).read_bytes())
            node = find_node()
            npm = Path(node).parents[1] / "lib/node_modules/npm/bin/npm-cli.js"
            options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
            subprocess.run([node, str(npm), "ci", *options], cwd=place, check=True, capture_output=True)
    return Axe(script.read_text(encoding="utf-8"))
