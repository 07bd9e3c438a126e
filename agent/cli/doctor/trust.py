"""Certificates that are not believed: by the probe, which believes what a dockerd that starts now would, or by dockerd.

Pure. Not known here: who was asked (`look.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from agent.cli.doctor.finding import Finding, Sign

# OpenSSL's words, X509_verify_cert_error_string(3).
_OF_TIME: Final = ("not yet valid", "has expired")


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """An upstream behind which a certificate was rejected. `evidence`: OpenSSL's words, and whose it is by whom."""

    upstream: str
    evidence: str
    is_in_use: bool = False


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """What is believed. Times are seconds since 1970; 0: not known."""

    rejected: tuple[Rejected, ...] = ()
    unit: str = "docker.service"
    dockerd_since_s: float = 0.0
    ca_file: str = ""  # the newest CA that a person has added to the system
    ca_since_s: float = 0.0


def judge(seen: Trust) -> Iterator[Finding]:
    for one in seen.rejected:
        yield _of_time(one) if any(words in one.evidence for words in _OF_TIME) else _of_its_issuer(one, seen.unit)
    if seen.ca_file and 0 < seen.dockerd_since_s < seen.ca_since_s:
        yield Finding(
            code=Sign.CA_NOT_READ,
            is_broken=False,
            where=seen.ca_file,
            what="this CA was added after dockerd started",
            # Go reads the system's CAs once: crypto/x509/root.go, systemRootsPool. Of certs.d each pull reads anew.
            why="dockerd reads the system's CAs once, so a pull may fail with: certificate signed by unknown authority",
            command=f"sudo {_reading(seen.ca_file)}, then: sudo systemctl restart {seen.unit.removesuffix('.service')}",
        )


def _reading(ca_file: str) -> str:
    """Debian's command, or Fedora's."""
    return "update-ca-trust" if ca_file.startswith("/etc/pki/") else "update-ca-certificates"


def _of_time(one: Rejected) -> Finding:
    return Finding(
        code=Sign.CERTIFICATE_TIME,
        is_broken=one.is_in_use,
        where=one.upstream,
        what=f"a certificate has expired or is not valid yet: {one.evidence}",
        why="it has expired, or this host's clock is wrong; every pull through it fails",
        command="timedatectl shows the clock; sudo timedatectl set-ntp true sets it",
    )


def _of_its_issuer(one: Rejected, unit: str) -> Finding:
    return Finding(
        code=Sign.CERTIFICATE_REJECTED,
        is_broken=one.is_in_use,
        where=one.upstream,
        what=f"a certificate on the way to the registry is not trusted: {one.evidence}",
        why="something intercepts TLS here: a company's proxy, whose CA dockerd has to trust, or an attacker",
        command=(
            "If the issuer is your company: save its CA as PEM in /usr/local/share/ca-certificates/NAME.crt; "
            f"sudo update-ca-certificates; sudo systemctl restart {unit.removesuffix('.service')}. "
            "Otherwise use another network"
        ),
    )
