"""Hundreds of faults at random, two or three at a time, while people start and stop servers; nothing may be lost."""

import sys
import time
from pathlib import Path

import pytest

from tests.real.faults.churn import Churn, strikes
from tests.real.faults.place import place
from tests.real.faults.truths import Kept, agree, keep

SECONDS = 500.0


@pytest.mark.timeout(900)
def test_nothing_is_lost(tmp_path: Path) -> None:
    seed = time.time_ns() % 1_000_000
    with place(tmp_path) as site:
        kept: list[Kept] = []
        for number in range(3):
            site.deployment.start_server(f"kept{number}", system="site/held")
            kept.append(keep(site, f"kept{number}"))
        churn = Churn(site, seed, kept)
        faults = strikes(site, churn.chance)
        begun, rounds, struck = time.monotonic(), 0, 0
        while time.monotonic() - begun < SECONDS:
            chosen = churn.chance.sample(faults, churn.chance.randint(1, 4))
            rounds, struck = rounds + 1, struck + len(chosen)
            try:
                churn.round(chosen)
            except AssertionError as error:
                raise AssertionError(f"seed {seed}, round {rounds}:\n{error}") from None
        churn.clear()
        agree(site, kept)
        sys.stdout.write(f"{rounds} rounds with {struck} faults (seed {seed})\n")
