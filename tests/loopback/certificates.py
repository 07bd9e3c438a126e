"""Certificate authorities of these tests, and what they sign."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme

from agent.probe.tls import Trust

CORP = trustme.CA(organization_name="Corp")  # the tests' own, believed by `trust`
INTERCEPTOR = trustme.CA(organization_name="Interception Inc", organization_unit_name="Box 7")


def server_tls(*names: str, ca: trustme.CA = CORP) -> ssl.SSLContext:
    """For a server by these names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*names).configure_cert(context)
    return context


def trust(directory: Path) -> Trust:
    """Believes CORP, as by the policy's ca_file."""
    ca_file = directory / "corp.pem"
    CORP.cert_pem.write_to_path(str(ca_file))
    return Trust(str(ca_file), directory / "certs.d")
