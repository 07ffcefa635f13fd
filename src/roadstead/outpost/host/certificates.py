"""Writes the internal_ssl material of a server as private files, for move_certs() and the server to read."""

import hashlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from ...protocol.servers import Certificates


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Where the material of one server lies; the names are those that JupyterHub uses."""

    folder: Path
    own: dict[str, str]
    """keyfile, certfile and cafile."""
    bundles: dict[str, str]
    """Trust bundles such as `hub-ca`."""


class CertificateFolder:
    """A folder that only the host's account can enter, with one folder per attempt."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def files(self, key: str, certificates: Certificates) -> CertificateFiles:
        """Where the files of an attempt are or will be, the same after a restart of the host."""
        name = hashlib.sha256(key.encode()).hexdigest()[:24]
        folder = self._folder / name
        own = {
            "keyfile": str(folder / f"server-{name}.key"),
            "certfile": str(folder / f"server-{name}.crt"),
            "cafile": str(folder / "notebooks-ca_trust.crt"),
        }
        bundles = {
            bundle: str(folder / f"bundle-{number}-{re.sub(r'[^A-Za-z0-9.-]', '_', bundle)[:60]}.crt")
            for number, bundle in enumerate(certificates.trust_bundles)
        }
        return CertificateFiles(folder, own, bundles)

    def write(self, key: str, certificates: Certificates) -> CertificateFiles:
        """Write all files anew. It writes to the disk: call it in a thread."""
        files = self.files(key, certificates)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        files.folder.mkdir(mode=0o700, exist_ok=True)
        for which, path in files.own.items():
            _write(Path(path), getattr(certificates, which))
        for bundle, path in files.bundles.items():
            _write(Path(path), certificates.trust_bundles[bundle])
        return files

    def remove(self, key: str, certificates: Certificates) -> None:
        """Remove all files of an attempt. It works on the disk: call it in a thread."""
        shutil.rmtree(self.files(key, certificates).folder, ignore_errors=True)


def _write(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)
