"""Encryption of what the ledger keeps: Fernet keys in a file, the newest first; older ones still open old rows."""

import os
from collections.abc import Iterable
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from .config import ConfigurationError


class Keyring:
    """Encrypts with the newest key and decrypts with any."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._fernet = MultiFernet([Fernet(key) for key in keys])

    def encrypt(self, text: str) -> str:
        return self._fernet.encrypt(text.encode()).decode()

    def decrypt(self, secret: str) -> str:
        """Raises cryptography.fernet.InvalidToken when no key fits."""
        return self._fernet.decrypt(secret).decode()

    def renew(self, secret: str) -> str:
        """The same secret under the newest key."""
        return self._fernet.rotate(secret).decode()


def load_keyring(path: Path) -> Keyring:
    """The keys of a file, which is made with a first key when missing.

    Raises ConfigurationError when it is not a key file or can be read by others.
    """
    if not path.exists():
        _write(path, [Fernet.generate_key().decode()])
    if path.stat().st_mode & 0o077:
        raise ConfigurationError(path, [f"The key file can be read by others; run 'chmod 600 {path}'."])
    try:
        return Keyring(path.read_text().split())
    except ValueError as error:
        raise ConfigurationError(
            path, ["The file does not hold ledger keys; restore it from the backup that belongs to this ledger."]
        ) from error


def add_key(path: Path) -> None:
    """Put a new key in front; the old ones stay until every row has been renewed."""
    _write(path, [Fernet.generate_key().decode(), *path.read_text().split()])


def drop_old_keys(path: Path) -> None:
    """Keep the newest key alone."""
    _write(path, path.read_text().split()[:1])


def _write(path: Path, keys: list[str]) -> None:
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write("\n".join(keys) + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


__all__ = ["InvalidToken", "Keyring", "add_key", "drop_old_keys", "load_keyring"]
