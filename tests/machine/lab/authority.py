"""The lab's certificate authority: kept, since it is baked into the trees that boxes boot from."""

from pathlib import Path

import trustme

from .cache import kept


def authority() -> trustme.CA:
    folder = _folder()
    return trustme.CA.from_pem((folder / "ca.crt").read_bytes(), (folder / "ca.key").read_bytes())


def ca_file() -> Path:
    return _folder() / "ca.crt"


def issue(into: Path, *identities: str) -> tuple[Path, Path]:
    """A certificate (with its chain) and its key, as two files in `into`."""
    leaf = authority().issue_cert(*identities)
    certificate, key = into / "server.crt", into / "server.key"
    for blob in leaf.cert_chain_pems:
        blob.write_to_path(str(certificate), append=True)
    leaf.private_key_pem.write_to_path(str(key))
    return certificate, key


def _folder() -> Path:
    def make(folder: Path) -> None:
        ca = trustme.CA(organization_name="Lab of docker-proxy-agent")
        ca.cert_pem.write_to_path(str(folder / "ca.crt"))
        (folder / "ca.key").touch(0o600)
        ca.private_key_pem.write_to_path(str(folder / "ca.key"))

    return kept("authority", "1", make)
