"""Everything that we ask pip to install may be used beside BSD-3-Clause code without obligations for it."""

import re
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ALLOWED = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0",
    "Python-2.0", "Unlicense", "Zlib",
}  # fmt: skip
"""SPDX names. MPL-2.0 obliges only who changes the package's own files."""

SPOKEN = {
    "Apache Software License": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "BSD 3-Clause License": "BSD-3-Clause",
    "3 Clause BSD": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
}
"""How packages named their licence before SPDX expressions."""

LOOKED_AT = {
    "docutils": "in the public domain, parts BSD-2-Clause; its GPL part is an editor mode that is not installed",
    "text-unidecode": "Artistic License or GPL, as one likes; a dependency of the tests alone",
}


def closure(name: str, extras: frozenset[str], seen: dict[tuple[str, str], Distribution]) -> None:
    """Collect what the installed package needs with these extras, and what that needs."""
    found = distribution(name)
    for extra in extras or {""}:
        if (canonicalize_name(name), extra) in seen:
            continue
        seen[canonicalize_name(name), extra] = found
        for text in found.requires or []:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                closure(requirement.name, frozenset(requirement.extras), seen)


def packages() -> Iterator[tuple[str, Distribution]]:
    seen: dict[tuple[str, str], Distribution] = {}
    closure("roadstead", frozenset({"dev"}), seen)
    return iter(sorted({name: found for (name, _), found in seen.items()}.items()))


def said(found: Distribution, field: str) -> str:
    return "".join(found.metadata.get_all(field, []))


def licences(found: Distribution) -> list[str]:
    """The alternatives under which a package may be used, each an SPDX 'A AND B' expression."""
    if expression := said(found, "License-Expression"):
        assert "(" not in expression, f"cannot judge {expression!r}"
        return expression.split(" OR ")
    spoken = [
        line.rsplit(" :: ", 1)[1]
        for line in found.metadata.get_all("Classifier", [])
        if line.startswith("License :: OSI Approved :: ")
    ]
    if not spoken:
        spoken = [said(found, "License").strip().partition("\n")[0]]
    return [" AND ".join(SPOKEN.get(each, each) for each in spoken)]


PACKAGES = dict(packages())


def test_the_closure_reaches_our_extras_and_their_dependencies() -> None:
    assert {"pydantic", "jupyterhub", "tornado", "sqlalchemy", "pytest", "mypy", "sphinx"} <= PACKAGES.keys()


@pytest.mark.parametrize("name", PACKAGES)
def test_a_dependency_has_a_licence_that_we_can_live_with(name: str) -> None:
    if name in LOOKED_AT:
        return
    offered = licences(PACKAGES[name])
    assert any(set(re.split(r" AND ", each)) <= ALLOWED for each in offered), f"{name} is under {offered}"


def test_what_was_looked_at_is_still_used() -> None:
    for name in LOOKED_AT:
        assert name in PACKAGES


def test_a_package_that_is_missing_is_noticed() -> None:
    with pytest.raises(PackageNotFoundError):
        closure("roadstead-that-is-not-there", frozenset(), {})
