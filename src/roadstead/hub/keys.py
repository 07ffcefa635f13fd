"""Encrypts what the hub has to keep of a server over its own restart: the token that must be revoked at the end."""

import base64
import os
from functools import lru_cache
from pathlib import Path
from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

ENVIRONMENT: Final = "JUPYTERHUB_CRYPT_KEY"
"""JupyterHub's own variable: keys separated by ';', the first encrypts, all decrypt."""

_PURPOSE: Final = b"roadstead: state of spawners"


def seal(text: str, key_file: Path) -> str:
    """Encrypt a short text. Makes the key file, readable by its owner only, if there is no key yet."""
    return _keys(os.environ.get(ENVIRONMENT, ""), str(key_file.absolute())).encrypt(text.encode()).decode()


def unseal(text: str, key_file: Path) -> str | None:
    """Decrypt; None when no present key fits."""
    try:
        return _keys(os.environ.get(ENVIRONMENT, ""), str(key_file.absolute())).decrypt(text.encode()).decode()
    except InvalidToken:
        return None


@lru_cache(maxsize=8)
def _keys(environment: str, key_file: str) -> MultiFernet:
    secrets = [key.strip().encode() for key in environment.split(";") if key.strip()]
    path = Path(key_file)
    if path.exists() or not secrets:
        secrets.append(_key_in(path))
    return MultiFernet([Fernet(_derive(secret)) for secret in secrets])


def _key_in(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_bytes().strip()
    with os.fdopen(descriptor, "wb") as file:
        key = base64.urlsafe_b64encode(os.urandom(32))
        file.write(key + b"\n")
    return key


def _derive(secret: bytes) -> bytes:
    key = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=_PURPOSE).derive(secret)
    return base64.urlsafe_b64encode(key)
