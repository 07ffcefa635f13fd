"""Settings of a job that refuse what could be read as anything but one value: no line breaks, quotes or expansions.

They are checked when they are set, whoever sets them: the site's configuration, a flavor, or what a request may set.
"""

import re
from typing import Any, ClassVar, Final

from traitlets import TraitError, TraitType

_LONGEST: Final = 1000


class Word(TraitType[str, str]):
    """A value for a scheduler: visible ASCII letters, digits and the punctuation that their names and amounts use.

    Numbers are taken too. Empty means that the scheduler decides.
    """

    default_value = ""
    info_text = "letters, digits and any of . _ - + : , = @ % / * & | ! [ ] ( )"
    _pattern: ClassVar = re.compile(r"(?!-)[A-Za-z0-9._+:,=@%/*&|!\[\]()-]*")

    def validate(self, obj: Any, value: Any) -> str:
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            self.error(obj, value)
        if len(value) > _LONGEST:
            raise TraitError(f"The setting '{self.name}' is longer than {_LONGEST} characters.")
        if not self._pattern.fullmatch(value):
            raise TraitError(
                f"The setting '{self.name}' must be one word of {self.info_text}, and not begin with '-'; "
                f"{value[:60]!r} is not."
            )
        return value


class Label(Word):
    """The beginning of a name: small letters, digits and hyphens."""

    info_text = "small letters, digits and hyphens, at most 40"
    _pattern: ClassVar = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
