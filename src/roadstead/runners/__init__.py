"""Runs a fixed program somewhere, as somebody: an argument vector in, its outcome out, no shell in between."""

from .command import Command, Outcome, Runner, UnansweredError
from .environment import WithVariables
from .local import LocalRunner
from .sudo import SudoRunner

__all__ = ["Command", "LocalRunner", "Outcome", "Runner", "SudoRunner", "UnansweredError", "WithVariables"]
