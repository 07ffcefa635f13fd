"""Writes the configuration of hub and outpost at the first start; afterwards the files belong to the user."""

import json
from importlib import resources
from pathlib import Path
from string import Template

from roadstead.outpost.credentials import new_credential

from .keys import prepare_secrets
from .state import State, write_privately


def prepare(state: State) -> list[Path]:
    """Make the secrets and write the configuration files that are missing; gives the files. Raises UpError."""
    written = []
    if not state.outpost_config.exists():
        credential = new_credential()
        write_privately(state.secrets / "hub-credential", credential.token + "\n")
        _write(state, state.outpost_config, credential_entry=json.dumps(credential.entry))
        written.append(state.outpost_config)
    prepare_secrets(state)
    if not state.hub_config.exists():
        _write(state, state.hub_config)
        written.append(state.hub_config)
    return written


def _write(state: State, path: Path, **values: str) -> None:
    template = resources.files(__package__).joinpath("templates", f"{path.name}.txt").read_text(encoding="utf-8")
    ports = {f"{name}_port": number for name, number in state.ports}
    write_privately(path, Template(template).substitute(values, **ports))
