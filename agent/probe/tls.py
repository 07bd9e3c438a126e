"""Which CAs may sign a registry's certificate, as dockerd sees it.

One context for the whole process (FACTS 34: one for each probe cost 10 MB), made again when a file of CAs has
changed. A host with CAs in certs.d, which dockerd trusts for that host only, gets its own context. Client certificates
in certs.d are not used.
"""

from __future__ import annotations

import os
import re
import ssl
from pathlib import Path
from typing import Final

import msgspec

from agent.probe.exchange import authority

CERTS_D: Final = Path("/etc/docker/certs.d")

# Where Go looks (crypto/x509/root_linux.go), for a Python whose OpenSSL looks elsewhere.
_BUNDLES: Final = tuple(
    map(
        Path,
        (
            "/etc/ssl/certs/ca-certificates.crt",
            "/etc/pki/tls/certs/ca-bundle.crt",
            "/etc/ssl/ca-bundle.pem",
            "/etc/pki/tls/cacert.pem",
            "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
            "/etc/ssl/cert.pem",
        ),
    )
)

_HASHED: Final = re.compile(r"[0-9a-f]{8}\.[0-9]+")

Identity = tuple[tuple[str, int, int], ...]  # path, mtime in ns, size


class Trust:
    """The CAs of the system, of the policy's `ca_file`, and of certs.d for its hosts."""

    def __init__(self, ca_file: str = "", certs_d: Path = CERTS_D) -> None:
        self._ca_file = ca_file
        self._certs_d = certs_d
        self._system = _system()
        self._made: dict[str, _Made] = {}
        self._unverified: ssl.SSLContext | None = None

    def context(self, host: str = "", port: int = 443) -> ssl.SSLContext:
        """For a registry, and for the proxy to it. Without a host: the general one."""
        own = self._own(host, port)
        key = authority(host, port) if own else ""
        identity = _identity((*self._system, *self._extra(), *own))
        made = self._made.get(key)
        if made is None or made.identity != identity:
            made = self._make(identity, own)
            self._made[key] = made
        return made.context

    @property
    def unverified(self) -> ssl.SSLContext:
        """Verifies nothing: only to read the names on a certificate that was rejected (FACTS 35)."""
        if self._unverified is None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self._unverified = context
        return self._unverified

    @property
    def problems(self) -> tuple[str, ...]:
        """A line for each file of CAs that could not be read."""
        return tuple(dict.fromkeys(line for made in self._made.values() for line in made.problems))

    def _make(self, identity: Identity, own: tuple[Path, ...]) -> _Made:
        # Not create_default_context: it sets VERIFY_X509_STRICT on 3.13, which dockerd does not (FACTS 34).
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.set_alpn_protocols(["http/1.1"])
        if (hashed := _hashed()) is not None:
            context.load_verify_locations(capath=hashed)
        else:
            context.set_default_verify_paths()
        problems = []
        for path in (*_elsewhere(), *self._extra(), *own):
            try:
                context.load_verify_locations(path)
            except ssl.SSLError:
                problems.append(f"{path}: contains no PEM certificate; it is ignored")
            except OSError as error:
                problems.append(f"{path}: {error.strerror}; it is ignored")
        return _Made(context, identity, tuple(problems))

    def _extra(self) -> tuple[Path, ...]:
        return (Path(self._ca_file),) if self._ca_file else ()

    def _own(self, host: str, port: int) -> tuple[Path, ...]:
        if not host:
            return ()
        # dockerd uses the name as it is in the image name, with or without the default port.
        names = (authority(host, port), host) if port == 443 else (authority(host, port),)
        return tuple(path for name in names for path in _certificates(self._certs_d / name))


class _Made(msgspec.Struct, frozen=True):
    context: ssl.SSLContext
    identity: Identity
    problems: tuple[str, ...]


def _certificates(directory: Path) -> list[Path]:
    try:
        return sorted(path for path in directory.iterdir() if path.suffix == ".crt")
    except OSError:
        return []  # most hosts have none; one that we may not read cannot be trusted


def _identity(paths: tuple[Path, ...]) -> Identity:
    return tuple(_identity_of(path) for path in paths)


def _identity_of(path: Path) -> tuple[str, int, int]:
    try:
        status = path.stat()
    except OSError:
        return str(path), 0, 0
    return str(path), status.st_mtime_ns, status.st_size


def _system() -> tuple[Path, ...]:
    """The system's CAs: files, and the directory of hashed links."""
    default = ssl.get_default_verify_paths()
    named = (default.cafile, default.capath)
    return (*(Path(path) for path in named if path), *_elsewhere())


def _hashed() -> Path | None:
    """The directory of hashed links, if it is complete: OpenSSL then reads only the CA that it needs.

    The whole bundle would stay in memory: 150 CAs, 1.4 MB.
    """
    default = ssl.get_default_verify_paths()
    if default.cafile and default.capath and has_all_of(Path(default.capath), Path(default.cafile)):
        return Path(default.capath)
    return None


def has_all_of(directory: Path, bundle: Path) -> bool:
    """Whether each certificate of the bundle has a hashed link; one that was appended by an editor has none."""
    try:
        with bundle.open("rb") as lines:
            wanted = sum(line.startswith(b"-----BEGIN") for line in lines)
        links = sum(_HASHED.fullmatch(path.name) is not None for path in directory.iterdir())
    except OSError:
        return False
    return links >= wanted


def _elsewhere() -> tuple[Path, ...]:
    default = ssl.get_default_verify_paths()
    if default.cafile or default.capath:
        return ()
    return tuple(path for path in _BUNDLES if os.access(path, os.R_OK))[:1]
