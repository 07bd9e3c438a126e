"""Two names out of a certificate, whoever made it."""

from __future__ import annotations

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from agent.probe.der import certificate

KEY = ec.generate_private_key(ec.SECP256R1())
FROM = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)


def named(*attributes: x509.NameAttribute[str]) -> x509.Name:
    return x509.Name(attributes)


def cn(text: str, kind: _ASN1Type | None = None) -> x509.NameAttribute[str]:
    return x509.NameAttribute(NameOID.COMMON_NAME, text, _type=kind)


def o(text: str) -> x509.NameAttribute[str]:
    return x509.NameAttribute(NameOID.ORGANIZATION_NAME, text)


def made(subject: x509.Name, issuer: x509.Name) -> bytes:
    builder = x509.CertificateBuilder(issuer, subject, KEY.public_key(), 1, FROM, FROM + datetime.timedelta(days=1))
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


DER = made(named(cn("registry.test")), named(cn("Corp Root"), o("Corp")))


@pytest.mark.parametrize(
    ("issuer", "shown"),
    [
        pytest.param(named(o("Corp"), cn("Corp Root")), "CN=Corp Root, O=Corp", id="the-common-name-first"),
        pytest.param(named(cn("Prüfstelle")), "CN=Prüfstelle", id="utf-8"),
        pytest.param(named(cn("Prüfstelle", _ASN1Type.BMPString)), "CN=Prüfstelle", id="utf-16"),
        pytest.param(named(cn("Corp", _ASN1Type.PrintableString)), "CN=Corp", id="printable"),
        pytest.param(named(x509.NameAttribute(NameOID.COUNTRY_NAME, "DE")), "nobody", id="only-what-says-little"),
        pytest.param(named(), "nobody", id="empty"),
        pytest.param(named(cn("\x1b[31m\nred")), "CN=\\x1b[31m\\x0ared", id="control-characters-are-escaped"),
        pytest.param(named(cn("a"), cn("b")), "CN=a", id="the-first-of-two"),
    ],
)
def test_who_signed_it(issuer: x509.Name, shown: str) -> None:
    found = certificate(made(named(cn("registry.test")), issuer))

    assert (found.subject, found.issuer) == ("CN=registry.test", shown)


def test_a_long_name_is_cut() -> None:
    found = certificate(made(named(cn("x" * 64)), named(o("y" * 60), cn("z" * 64))))

    assert found.subject == "CN=" + "x" * 64


def test_the_line_for_a_person() -> None:
    assert str(certificate(DER)) == "certificate of CN=registry.test, issued by CN=Corp Root, O=Corp"


@pytest.mark.parametrize("end", range(0, len(DER), 7))
def test_a_certificate_that_is_cut_off_is_none(end: int) -> None:
    with pytest.raises(ValueError, match=r"certificate|cut off|length"):
        certificate(DER[:end])


@given(st.binary(max_size=400))
def test_anything_else_is_no_certificate_either(der: bytes) -> None:
    try:
        found = certificate(der)
    except ValueError:
        return
    assert str(found).isprintable()


@given(st.integers(0, len(DER) - 1), st.integers(0, 255))
def test_a_flipped_byte_is_read_or_refused(position: int, byte: int) -> None:
    try:
        found = certificate(DER[:position] + bytes([byte]) + DER[position + 1 :])
    except ValueError:
        return
    assert str(found).isprintable()
