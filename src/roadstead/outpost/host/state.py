"""What a Spawner remembers of its server, made fit for the ledger: JSON, bounded, and sure of whose pid it holds.

After a restart of the host, or of the machine, a pid alone may be a stranger's: for processes of this machine the
state says also when the process began.
"""

import json
from typing import Any, Final

from jupyterhub.orm import JSONDict
from pydantic import ValidationError

from ...protocol.host import SpawnerState
from .processes import ProcessMark, mark_process
from .sentences import RefusedError

_MARK: Final = "roadstead_process"
_LARGEST: Final = 1_000_000
_CODEC: Final = JSONDict()
"""JupyterHub's own way to keep a state as JSON, bytes included."""


def export_state(spawner: Any, key: str, last: ProcessMark | None = None) -> tuple[SpawnerState, ProcessMark | None]:
    """What get_state() gives, as JSON, with the mark of its process.

    Raises RefusedError when it is too large or no mapping.
    """
    text = _CODEC.process_bind_param(spawner.get_state() or {}, None) or "{}"
    if len(text) > _LARGEST:
        raise RefusedError(f"get_state() of {type(spawner).__name__} gave more than {_LARGEST} characters of JSON.")
    state = json.loads(text)
    if not isinstance(state, dict):
        raise RefusedError(f"get_state() of {type(spawner).__name__} gave a {type(state).__name__}, not a mapping.")
    pid = state.get("pid")
    if not isinstance(pid, int) or isinstance(pid, bool) or pid <= 0:
        return state, None
    mark = last if last and last.pid == pid else mark_process(pid, key)
    if mark:
        state[_MARK] = mark.model_dump()
    return state, mark


def import_state(state: SpawnerState) -> tuple[dict[str, Any], ProcessMark | None]:
    """The state as the class gave it, for load_state(), and the mark of its process."""
    own = dict(state)
    try:
        mark = ProcessMark.model_validate(own.pop(_MARK, None))
    except ValidationError:
        mark = None
    return _CODEC.process_result_value(json.dumps(own), None) or {}, mark
