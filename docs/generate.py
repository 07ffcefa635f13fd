"""Writes the parts of the manual that are lists in the code: settings, the lifecycle, errors, endpoints.

Run by the manual's build; what it writes lies in `generated/` and is never edited.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticOmit

from roadstead.hub import RoadsteadSpawner
from roadstead.hub.settings import OutpostSettings as HubOutpostSettings
from roadstead.outpost import config, lifecycle
from roadstead.outpost.routes import build_app
from roadstead.protocol import host, servers, systems
from roadstead.protocol.errors import STATUS
from roadstead.spawners import SlurmSpawner
from roadstead.spawners.script import TEMPLATE
from roadstead.spawners.values import Word

FOLDER: Final = Path(__file__).parent / "generated"

SETTINGS: Final[dict[str, list[type[BaseModel]]]] = {
    "outpost-settings": [
        config.OutpostSettings,
        config.HubSettings,
        config.CredentialSettings,
        config.SystemSettings,
        config.AppSettings,
        config.FlavorSettings,
        config.Allowance,
        config.Limit,
        systems.OverrideRule,
    ],
    "hub-outposts": [HubOutpostSettings],
    "messages": [servers.ServerRequest, servers.ServerOptions, servers.ServerView, host.Job],
}


def main() -> None:
    """Write every list."""
    FOLDER.mkdir(exist_ok=True)
    for name, models in SETTINGS.items():
        _write(name, "\n".join(_model(model) for model in models))
    _write("hub-spawner", _spawner())
    _write("slurm-spawner", _batch_spawner(SlurmSpawner))
    (FOLDER / "batch-script.sh").write_text(TEMPLATE, encoding="utf-8")
    _write("lifecycle", _lifecycle())
    _write("errors", _errors())
    _write("endpoints", _endpoints())
    _write_json("openapi.json", build_app().openapi())
    _write_json("outpost-settings.schema.json", _schema())


def _write(name: str, text: str) -> None:
    path = FOLDER / f"{name}.md"
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def _write_json(name: str, content: dict[str, Any]) -> None:
    (FOLDER / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


class _OfFiles(GenerateJsonSchema):
    """What can be written in a file: functions and classes, which Python alone can give, are left out of a choice."""

    def callable_schema(self, schema: Any) -> dict[str, Any]:  # noqa: ARG002
        raise PydanticOmit

    def is_instance_schema(self, schema: Any) -> dict[str, Any]:  # noqa: ARG002
        raise PydanticOmit

    def is_subclass_schema(self, schema: Any) -> dict[str, Any]:  # noqa: ARG002
        raise PydanticOmit


def _schema() -> dict[str, Any]:
    section = config.OutpostSettings.model_json_schema(schema_generator=_OfFiles)
    definitions = section.pop("$defs")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "outpost_config.yaml",
        "type": "object",
        "required": ["Outpost"],
        "properties": {"Outpost": section},
        "additionalProperties": {"type": "object"},
        "$defs": definitions,
    }


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def _model(model: type[BaseModel]) -> str:
    rows = []
    for name, field in model.model_fields.items():
        default = "required" if field.is_required() else f"`{field.get_default(call_default_factory=True)!r}`"
        rows.append((f"`{name}`", _type(field.annotation), default, " ".join((field.description or "").split())))
    sentence = " ".join((model.__doc__ or "").split())
    return f"## {model.__name__}\n\n{sentence}\n\n{_table(('name', 'type', 'default', 'meaning'), rows)}"


def _type(annotation: object) -> str:
    """The type as people read it: without the module and without what only bounds it."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is None:
        return getattr(annotation, "__name__", str(annotation)).replace("NoneType", "None")
    name = getattr(origin, "__name__", str(origin))
    if name in ("Union", "UnionType"):
        return " or ".join(_type(argument) for argument in arguments)
    if name == "Annotated":
        return _type(arguments[0])
    if name == "Literal":
        return " or ".join(f"`{argument}`" for argument in arguments)
    if name == "Callable":
        return "function"
    inner = ", ".join(_type(argument) for argument in arguments if argument is not ...)
    return f"{name} of {inner}" if inner else name


def _spawner() -> str:
    """The settings that the hub's Spawner class adds to those that every Spawner has."""
    rows = []
    for name in RoadsteadSpawner.class_own_traits(config=True):
        trait = RoadsteadSpawner.class_traits()[name]
        default = f"`{trait.default_value!r}`" if name != "outposts" else "required"
        rows.append((f"`c.RoadsteadSpawner.{name}`", default, " ".join(trait.help.split())))
    return _table(("name", "default", "meaning"), sorted(rows))


def _batch_spawner(spawner_class: type[Any]) -> str:
    """The settings that a batch Spawner adds to those that every Spawner has."""
    rows = []
    for name, trait in spawner_class.class_traits(config=True).items():
        if not trait.this_class.__module__.startswith("roadstead."):
            continue
        kind = "word" if isinstance(trait, Word) else type(trait).__name__.lower()
        default = "see above" if name == "batch_script" else f"`{trait.default()!r}`"
        rows.append((f"`{name}`", kind, default, " ".join(trait.help.split())))
    return _table(("name", "type", "default", "meaning"), sorted(rows))


def _lifecycle() -> str:
    return _table(("state", "event", "next state", "order to the host"), lifecycle.transitions())


def _errors() -> str:
    return _table(("code", "HTTP status"), ((f"`{code.value}`", str(status)) for code, status in STATUS.items()))


def _endpoints() -> str:
    rows = []
    for path, methods in build_app().openapi()["paths"].items():
        for method, operation in methods.items():
            rows.append((f"`{method.upper()} {path}`", operation["summary"], operation.get("description", "")))
    return _table(("request", "what", "answer"), rows)


if __name__ == "__main__":
    main()
