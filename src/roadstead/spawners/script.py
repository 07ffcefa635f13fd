"""Writes the batch script from a template in sandboxed Jinja: every value that it inserts is quoted for the shell.

What the site itself writes as shell, such as its prologue, is marked as Shell and inserted as it is.
"""

import shlex
import unicodedata
from typing import Any, Final

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from .driver import RefusedError

LARGEST: Final = 1_048_576
"""Characters; schedulers take no larger script."""

TEMPLATE: Final = """\
#!/bin/bash -l
{% if prologue %}
{{ prologue }}
{% endif %}
{% if start_script %}
if [ -r {{ start_script }} ]; then
    . {{ start_script }} || {{ note }} {{ start_script }} 'ended with code' "$?."
else
    {{ note }} 'There is no' {{ start_script }} 'that can be read; the server starts without it.'
fi
{% endif %}
{% if epilogue %}
{{ run }}
status=$?
{{ epilogue }}
exit "$status"
{% else %}
exec {{ run }}
{% endif %}
"""
"""The script of a job where the site gives none of its own."""


class Shell(str):
    """A piece of shell that the site wrote, or that is quoted already."""

    __slots__ = ()

    @classmethod
    def of_words(cls, *words: str) -> "Shell":
        """A command of these words."""
        return cls(" ".join(quote(word) for word in words))


def quote(value: Any) -> str:
    """A value as one word for the shell. Raises RefusedError for what no word may hold."""
    if isinstance(value, Shell):
        return str(value)
    text = str(value)
    bad = next((char for char in text if unicodedata.category(char) in ("Cc", "Cs", "Co", "Cn")), None)
    if bad is not None:
        raise RefusedError(f"A value in the batch script has the control character {bad!r}; write it without.")
    return shlex.quote(text)


_JINJA: Final = ImmutableSandboxedEnvironment(
    undefined=StrictUndefined, finalize=quote, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
)


def render(template: str, values: dict[str, Any]) -> str:
    """The script. Raises RefusedError with a sentence when the template cannot be used, or gives no script."""
    try:
        script = _JINJA.from_string(template).render(values)
    except TemplateError as error:
        raise RefusedError(
            f"The site's batch_script cannot be used: {error}. It can use {', '.join(values)}."
        ) from error
    if not script.startswith("#!"):
        raise RefusedError("The site's batch_script must begin with '#!', as in '#!/bin/bash -l'.")
    if len(script) > LARGEST:
        raise RefusedError(f"The batch script is longer than {LARGEST} characters.")
    return script
