"""A wheel has everything that the package needs beside its modules: templates, static files, migrations, lock files."""

import subprocess
import sys
import zipfile
from pathlib import Path

from tests.unit.house.source import PACKAGE, ROOT, repository_files


def test_a_wheel_has_every_file_of_the_package(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    [wheel] = tmp_path.glob("roadstead-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    ours = {str(path.relative_to(PACKAGE.parent)) for path in repository_files() if path.is_relative_to(PACKAGE)}
    assert {"roadstead/up/proxy/package-lock.json", "roadstead/up/templates/outpost_config.py.txt"} <= ours
    assert ours <= packed
    assert not [name for name in packed if not name.startswith(("roadstead/", "roadstead-"))]
    assert any(name.endswith("licenses/LICENSE") for name in packed)
