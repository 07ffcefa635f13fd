"""Encrypts what the hub has to keep of a server over its own restart: the token that must be revoked at the end."""

import base64
import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from jupyterhub.crypto import CryptKeeper

_PURPOSE: Final = b"roadstead: state of spawners"


def seal(text: str, key_file: Path) -> str:
    """Encrypt a short text, with JupyterHub's first key for auth_state if it has one, else with the key file's.

    The file is made, readable by its owner only, when there is no key at all.
    """
    return _keys(_of_jupyterhub(), str(key_file.absolute())).encrypt(text.encode()).decode()


def unseal(text: str, key_file: Path) -> str | None:
    """Decrypt with whichever of these keys fits; None when none does."""
    try:
        return _keys(_of_jupyterhub(), str(key_file.absolute())).decrypt(text.encode()).decode()
    except InvalidToken:
        return None


def _of_jupyterhub() -> tuple[bytes, ...]:
    """`c.CryptKeeper.keys`, or those of JUPYTERHUB_CRYPT_KEY."""
    return tuple(CryptKeeper.instance().keys)


@lru_cache(maxsize=8)
def _keys(first: Iterable[bytes], key_file: str) -> MultiFernet:
    secrets = list(first)
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
