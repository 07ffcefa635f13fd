"""A remote site: a network namespace with an address of its own and a cable that can be cut, silently or openly."""

import ipaddress
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_NUMBERS: Final = count()
_RULES: Final = """
table inet cut {{
  chain came {{ type filter hook input priority 0; policy accept; iifname "{inner}" {came}; }}
  chain goes {{ type filter hook output priority 0; policy accept; oifname "{inner}" {goes}; }}
}}
"""


class Cable:
    """The cable between this machine and a site in a namespace of its own."""

    def __init__(self) -> None:
        number = (os.getpid() * 16 + next(_NUMBERS)) % 16_384
        self.name = f"site-{number}"
        self._outer, self._inner = f"to-{number}", f"from-{number}"
        net = ipaddress.ip_network((int(ipaddress.ip_address("10.219.0.0")) + 4 * number, 30))
        # While the plug is out, this keeps the site's address from being looked for anywhere else.
        self._nowhere = ("unreachable", str(net), "metric", "4096")
        self.here, self.there = (str(address) for address in net.hosts())
        self.prefix = (_program("ip"), "netns", "exec", self.name)
        """Begins a command that is to run at the site."""

    def lay(self) -> None:
        """Make the namespace and connect it."""
        _ip("netns", "add", self.name)
        _ip("link", "add", self._outer, "type", "veth", "peer", "name", self._inner, "netns", self.name)
        _ip("addr", "add", f"{self.here}/30", "dev", self._outer)
        _ip("-n", self.name, "addr", "add", f"{self.there}/30", "dev", self._inner)
        _ip("-n", self.name, "link", "set", "lo", "up")
        _ip("-n", self.name, "link", "set", self._inner, "up")
        _ip("link", "set", self._outer, "up")
        _ip("route", "add", *self._nowhere)

    def cut(self, *, came: bool = True, goes: bool = True) -> None:
        """Drop without a word what comes to the site, what goes from it, or both."""
        self.mend()
        rules = _RULES.format(inner=self._inner, came="drop" if came else "accept", goes="drop" if goes else "accept")
        subprocess.run([*self.prefix, _program("nft"), "-f", "-"], input=rules.encode(), check=True, timeout=20)

    def pull(self) -> None:
        """Pull the plug: here everybody is told at once that there is no way to the site."""
        _ip("link", "set", self._outer, "down")

    def mend(self) -> None:
        """Let everything through again."""
        _ip("link", "set", self._outer, "up")
        destroy = [*self.prefix, _program("nft"), "delete", "table", "inet", "cut"]
        subprocess.run(destroy, check=False, stderr=subprocess.DEVNULL, timeout=20)

    def take_away(self) -> None:
        """Remove the namespace; the cable goes with it."""
        _ip("route", "delete", *self._nowhere)
        _ip("netns", "delete", self.name)


@contextmanager
def cable() -> Iterator[Cable]:
    """A cable for as long as the block runs."""
    new = Cable()
    new.lay()
    try:
        yield new
    finally:
        new.take_away()


def certificate(folder: Path, address: str) -> tuple[Path, Path]:
    """A certificate for an address, its own authority, and its key: the paths of both."""
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, address)])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "site.pem", folder / "site.key"
    certificate_file.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file


def _ip(*words: str) -> None:
    subprocess.run([_program("ip"), *words], check=True, timeout=20)


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    assert found is not None, f"{name} is missing: 'make test' installs it"
    return found
