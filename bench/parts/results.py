"""What a bench found: figures against goals, as a table for people and one JSON object as the last line."""

import argparse
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

QUICK: Final = "Not the size that the goals are about: --quick was given."


@dataclass(frozen=True, slots=True)
class Result:
    """One figure of ours, its peer's if there is one, and the goal if there is one.

    The goal is a rule over `ours` and `peer`, such as "ours <= max(50, 3 * peer)"; what is printed is what is computed.
    """

    what: str
    ours: float
    unit: str
    goal: str | None = None
    peer: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the figures keep the goal; None without a goal. Raises ValueError where the goal asks for a peer."""
        if self.goal is None:
            return None
        if self.peer is None and "peer" in self.goal:
            raise ValueError(f"'{self.what}' has no figure of the peer, which its goal asks for: {self.goal}")
        figures = {"ours": self.ours, "peer": self.peer, "max": max, "min": min}
        return bool(eval(self.goal, {"__builtins__": {}}, figures))

    def as_json(self) -> dict[str, Any]:
        """The entry of this figure in the last line, rounded for reading; `met` is computed before."""
        met = self.met
        entry = asdict(self) | {"met": met}
        return {
            name: _rounded(entry[name]) if name in ("ours", "peer") else entry[name]
            for name in ("what", "ours", "peer", "unit", "goal", "met")
        }


def table(results: Iterable[Result]) -> str:
    """The figures for people, in columns."""
    verdicts = {True: "met", False: "MISSED", None: ""}
    rows = [("what", "ours", "peer", "unit", "goal", "")]
    rows += [
        (result.what, _shown(result.ours), _shown(result.peer), result.unit, result.goal or "", verdicts[result.met])
        for result in results
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.rjust(width) if column in (1, 2) else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def last_line(bench: str, results: Iterable[Result], *, samples: int, quick: bool = False) -> str:
    """The one JSON object that ends a bench's output."""
    line: dict[str, Any] = {"bench": bench, "results": [result.as_json() for result in results], "samples": samples}
    return json.dumps(line | ({"quick": True} if quick else {}), ensure_ascii=False)


def report(bench: str, results: list[Result], *, samples: int, quick: bool = False) -> None:
    """Print all of it."""
    print(f"\n{table(results)}\n")
    if quick:
        print(QUICK)
    print(last_line(bench, results, samples=samples, quick=quick), flush=True)


def arguments(bench: str, purpose: str) -> argparse.ArgumentParser:
    """The options that all benches share."""
    parser = argparse.ArgumentParser(prog=f"make bench NAME={bench}", description=purpose)
    parser.add_argument("--quick", action="store_true", help="small numbers, to try the bench itself")
    return parser


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}") if abs(value) < 10_000 else round(value)


def _shown(value: float | None) -> str:
    return "" if value is None else f"{_rounded(value):g}" if abs(value) < 10_000 else f"{value:.0f}"
