"""The hub's tests in an environment of their own, on the older JupyterHub line that is supported."""

import nox

nox.options.default_venv_backend = "venv"
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = True

HUB_TESTS = ("tests/unit/hub", "tests/real/hub")


@nox.session
def hub55(session: nox.Session) -> None:
    """The hub's part on JupyterHub 5.5; the whole suite on the newest line runs in the environment of the Makefile."""
    session.install("-e", ".[test]", "jupyterhub>=5.5.4,<5.6")
    session.run("python", "-m", "pytest", *session.posargs, *HUB_TESTS)
