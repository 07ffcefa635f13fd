"""Roadstead: one vanilla JupyterHub starts servers on every computer that its users may use."""

__version__ = "0.1.0"
