"""The manual's lists are the code's lists."""

import importlib.util
import re
from pathlib import Path
from typing import Final

import jsonschema
import pytest
import yaml
from traitlets.config import Config

from roadstead.outpost.config import OutpostSettings, read_settings
from roadstead.outpost.hosts import HostStatus
from roadstead.outpost.metrics import Metrics
from roadstead.protocol import EndCode, ErrorCode

REFERENCE: Final = Path(__file__).parents[3] / "docs" / "reference"


def test_every_error_has_its_entry() -> None:
    headings = re.findall(r"^## ([a-z-]+)$", (REFERENCE / "errors.md").read_text(), re.MULTILINE)
    assert headings == [code.value for code in ErrorCode]


def test_every_end_has_its_entry() -> None:
    text = (REFERENCE / "lifecycle.md").read_text()
    assert re.findall(r"^([a-z-]+)\n: ", text, re.MULTILINE) == [code.value for code in EndCode]


def test_every_metric_has_its_line() -> None:
    rendered = Metrics().render([], {"local": HostStatus()}, 0).decode()
    served = set(re.findall(r"^# TYPE (roadstead_\w+) ", rendered, re.MULTILINE))
    documented = set(re.findall(r"^\| `(roadstead_\w+)`", (REFERENCE / "metrics.md").read_text(), re.MULTILINE))
    assert {name for name in served if not name.endswith("_created")} == documented


def test_every_outpost_setting_says_what_it_is_for() -> None:
    assert [name for name, field in OutpostSettings.model_fields.items() if not field.description] == []


def test_the_schema_for_editors_takes_what_the_outpost_takes() -> None:
    module = importlib.util.spec_from_file_location("generate", REFERENCE.parent / "generate.py")
    assert module is not None
    assert module.loader is not None
    generate = importlib.util.module_from_spec(module)
    module.loader.exec_module(generate)
    examples = re.findall(r"```yaml\n(.*?)```", (REFERENCE / "outpost-settings.md").read_text(), re.DOTALL)
    for example in examples:
        content = yaml.safe_load(example.replace("0152fd59…", "a" * 64))
        jsonschema.validate(content, generate._schema())
        read_settings(Config(content))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"Outpost": {"colour": "blue"}}, generate._schema())
