"""The outpost keeps to its own description, whatever is sent: generated requests against the real process."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance

from roadstead.outpost.routes import build_app
from roadstead.protocol import PROTOCOL_HEADER
from tests.real.outposts import Outpost, outpost_in

DESCRIPTION = build_app().openapi()
# The event stream never ends by itself; it has tests of its own.
OPERATIONS = {
    operation.label: operation
    for found in schemathesis.openapi.from_dict(DESCRIPTION).get_all_operations()
    if isinstance(found, Ok) and (operation := found.ok()).path != "/api/v1/events"
}


@pytest.fixture(scope="module")
def outpost(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outpost]:
    yield from outpost_in(tmp_path_factory.mktemp("site"))


@pytest.mark.parametrize("label", OPERATIONS)
def test_it_answers_as_it_describes(label: str, outpost: Outpost) -> None:
    headers = {"Authorization": f"Bearer {outpost.tokens['hub']}", PROTOCOL_HEADER: "1"}
    if label.endswith("/metrics"):
        headers["Authorization"] = f"Bearer {outpost.metrics_token}"

    @given(case=OPERATIONS[label].as_strategy())
    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    def ask(case: Case[Any]) -> None:
        # Some bounds, such as those of a user name, are beyond what a schema can say.
        unsaid: list[Any] = [positive_data_acceptance]
        case.call_and_validate(base_url=outpost.url, headers=headers, timeout=20, excluded_checks=unsaid)

    ask()


def test_errors_are_described_in_our_own_form() -> None:
    described = [set(operation["responses"]) for path in DESCRIPTION["paths"].values() for operation in path.values()]
    assert all("422" not in statuses for statuses in described)
