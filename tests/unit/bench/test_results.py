"""What a bench prints: verdicts follow from the figures, and the last line is one JSON object."""

import json

import pytest

from bench.parts.measure import percentile
from bench.parts.results import QUICK, Result, last_line, report, table


@pytest.mark.parametrize(
    ("ours", "peer", "goal", "met"),
    [
        (34.0, 9.5, "ours - peer <= 25", True),
        (34.6, 9.5, "ours - peer <= 25", False),
        (49.9, 1.0, "ours <= max(50, 3 * peer)", True),
        (60.1, 20.0, "ours <= max(50, 3 * peer)", False),
        (60.0, 20.0, "ours <= max(50, 3 * peer)", True),
        (200, None, "ours == 200", True),
        (199, None, "ours == 200", False),
        (5.0, None, "ours < 5", False),
        (1e9, 1.0, None, None),
    ],
)
def test_met_is_computed_from_the_figures(ours: float, peer: float | None, goal: str | None, met: bool | None) -> None:
    assert Result("x", ours, "ms", goal, peer).met is met


def test_a_goal_that_needs_a_peer_is_not_judged_without_one() -> None:
    lonely = Result("start", 10.0, "ms", "ours <= 1.2 * peer")
    with pytest.raises(ValueError, match="no figure of the peer"):
        last_line("b", [lonely], samples=1)


def test_a_verdict_is_not_rounded() -> None:
    entry = Result("x", 5.0000001, "s", "ours <= 5").as_json()
    assert (entry["ours"], entry["met"]) == (5.0, False)


def test_the_last_line_is_one_object_with_all_there_is_to_know(capsys: pytest.CaptureFixture[str]) -> None:
    results = [Result("a", 21.04, "ms", "ours - peer <= 25", 9.5), Result("b", 3, "of 3", "ours == 3")]
    report("start_overhead", results, samples=60)
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {
        "bench": "start_overhead",
        "results": [
            {"what": "a", "ours": 21.04, "peer": 9.5, "unit": "ms", "goal": "ours - peer <= 25", "met": True},
            {"what": "b", "ours": 3.0, "peer": None, "unit": "of 3", "goal": "ours == 3", "met": True},
        ],
        "samples": 60,
    }


def test_a_quick_run_says_that_it_proves_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    report("x", [Result("a", 1.0, "ms")], samples=2, quick=True)
    printed = capsys.readouterr().out.splitlines()
    assert QUICK in printed
    assert json.loads(printed[-1])["quick"] is True


def test_the_table_shows_what_was_missed() -> None:
    text = table(
        [Result("good", 1.0, "ms", "ours < 2"), Result("bad", 3.0, "ms", "ours < 2"), Result("plain", 12_345, "")]
    )
    good, bad, plain = text.splitlines()[2:]
    assert good.endswith("ours < 2  met")
    assert bad.endswith("ours < 2  MISSED")
    assert "12345" in plain


def test_percentiles_are_values_that_were_seen() -> None:
    assert percentile([3.0, 1.0, 2.0], 50) == 2.0
    assert percentile(list(map(float, range(1, 101))), 99) == 99.0
    assert percentile([7.0], 99) == 7.0
