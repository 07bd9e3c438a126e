"""Whose signature is believed for which host, and that what is loaded follows the files."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest
import trustme

from agent.probe.tls import Trust, has_all_of
from tests.loopback.certificates import CORP, INTERCEPTOR, server_tls


def write(ca: trustme.CA, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    ca.cert_pem.write_to_path(str(path))


def believes(context: ssl.SSLContext, ca: trustme.CA) -> bool:
    """Whether a server with this CA's certificate gets through the handshake."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(to_client, to_server, server_hostname="registry.test")
    server = server_tls("registry.test", ca=ca).wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError:
                return False
    return True


def test_one_context_serves_every_registry(tmp_path: Path) -> None:
    trust = Trust(certs_d=tmp_path)

    assert trust.context("registry.test") is trust.context("other.test", 5000) is trust.context()


def test_a_corporate_ca_is_believed_as_dockerd_believes_it(tmp_path: Path) -> None:
    context = Trust(certs_d=tmp_path).context()

    assert context.verify_flags & ssl.VERIFY_X509_PARTIAL_CHAIN
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_the_policys_ca_is_believed(tmp_path: Path) -> None:
    write(CORP, tmp_path / "corp.pem")
    context = Trust(str(tmp_path / "corp.pem"), tmp_path / "certs.d").context()

    assert believes(context, CORP)
    assert not believes(context, INTERCEPTOR)


@pytest.mark.parametrize(
    ("directory", "host", "port", "is_believed"),
    [
        ("registry.test", "registry.test", 443, True),
        ("registry.test:443", "registry.test", 443, True),
        ("registry.test:5000", "registry.test", 5000, True),
        ("registry.test", "registry.test", 5000, False),
        ("registry.test:5000", "registry.test", 443, False),
        ("other.test", "registry.test", 443, False),
    ],
)
def test_a_ca_of_certs_d_is_believed_for_its_host(
    tmp_path: Path, directory: str, host: str, port: int, is_believed: bool
) -> None:
    write(CORP, tmp_path / directory / "ca.crt")

    assert believes(Trust(certs_d=tmp_path).context(host, port), CORP) is is_believed


def test_only_crt_counts_in_certs_d(tmp_path: Path) -> None:
    write(CORP, tmp_path / "registry.test" / "ca.pem")

    assert not believes(Trust(certs_d=tmp_path).context("registry.test"), CORP)


def test_a_ca_that_is_replaced_is_loaded_again(tmp_path: Path) -> None:
    ca_file = tmp_path / "corp.pem"
    write(CORP, ca_file)
    trust = Trust(str(ca_file), tmp_path / "certs.d")
    before = trust.context()
    write(INTERCEPTOR, ca_file)
    os.utime(ca_file, ns=(1, 1))

    assert trust.context() is not before
    assert believes(trust.context(), INTERCEPTOR)
    assert not believes(trust.context(), CORP)
    assert trust.context() is trust.context()


def test_a_ca_that_comes_to_certs_d_counts_from_then_on(tmp_path: Path) -> None:
    trust = Trust(certs_d=tmp_path)
    assert not believes(trust.context("registry.test"), CORP)

    write(CORP, tmp_path / "registry.test" / "ca.crt")

    assert believes(trust.context("registry.test"), CORP)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param(None, "No such file or directory; it is ignored", id="missing"),
        pytest.param("not PEM", "contains no PEM certificate; it is ignored", id="no-pem"),
    ],
)
def test_a_ca_file_that_cannot_be_read_is_told_and_the_rest_counts(tmp_path: Path, text: str | None, says: str) -> None:
    bad = tmp_path / "bad.pem"
    if text is not None:
        bad.write_text(text)
    write(CORP, tmp_path / "certs.d" / "registry.test" / "ca.crt")
    trust = Trust(str(bad), tmp_path / "certs.d")

    assert believes(trust.context("registry.test"), CORP)
    assert trust.problems == (f"{bad}: {says}",)


def test_the_context_that_believes_anybody_is_another_one(tmp_path: Path) -> None:
    trust = Trust(certs_d=tmp_path)

    assert believes(trust.unverified, INTERCEPTOR)
    assert trust.unverified is not trust.context()
    assert not believes(trust.context(), INTERCEPTOR)


def test_a_certificate_that_somebody_appended_to_the_bundle_makes_it_count(tmp_path: Path) -> None:
    bundle, hashed = tmp_path / "ca-certificates.crt", tmp_path / "certs"
    write(CORP, bundle)
    for name in ("0a1b2c3d.0", "corp.pem", "ca-certificates.crt"):
        write(CORP, hashed / name)

    assert has_all_of(hashed, bundle)
    INTERCEPTOR.cert_pem.write_to_path(str(bundle), append=True)
    assert not has_all_of(hashed, bundle)
    write(INTERCEPTOR, hashed / "0a1b2c3d.1")
    assert has_all_of(hashed, bundle)
    assert not has_all_of(tmp_path / "nowhere", bundle)
