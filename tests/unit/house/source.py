"""Finds the files of this repository and what each module imports, for the tests of the house."""

import ast
import subprocess
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "src" / "roadstead"


class Import(NamedTuple):
    """One imported module, with the line that imports it."""

    module: str
    line: int


def modules() -> list[Path]:
    """All Python files of the package."""
    return sorted(PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    """The dotted name under which a file of the package is imported."""
    parts = list(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room(module: str) -> str:
    """The part of the house that a module of ours is in; '' for the package itself."""
    return [*module.split("."), ""][1]


def imports(path: Path) -> list[Import]:
    """What a file of the package imports, anywhere in it, with absolute names."""
    package = module_name(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [Import(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join(base + ([node.module] if node.module else []))
            found += [Import(origin, node.lineno)]
            found += [Import(f"{origin}.{alias.name}", node.lineno) for alias in node.names]
    return found


def repository_files() -> list[Path]:
    """All files that are or will be in the repository; of an unpacked archive, all that are there."""
    if not (ROOT / ".git").exists():
        return [path for path in ROOT.rglob("*") if path.is_file() and "node_modules" not in path.parts]
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout
    return [path for name in listed.decode().split("\0") if name and (path := ROOT / name).is_file()]
