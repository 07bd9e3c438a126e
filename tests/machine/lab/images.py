"""One-layer busybox images: put into a registry over its HTTP API, or imported without one.

Run as a program (in the registry's network): images.py BUSYBOX CA_FILE REGISTRY NAME[=MEGABYTES]...
With MEGABYTES it has a file of so many zeros, and its layer is not compressed: it is as large on its way.
"""

import gzip
import hashlib
import http.client
import io
import json
import platform
import ssl
import sys
import tarfile
from pathlib import Path

APPLETS = (
    "cat", "echo", "env", "false", "grep", "httpd", "ls", "nc", "nslookup", "ping", "printenv", "sh", "sleep", "test",
    "touch", "true", "wget",
)  # fmt: skip
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar"


def root_tar(busybox: Path, name: str, megabytes: int = 0) -> bytes:
    """The root file system of the image, as a tar."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder in ("bin", "etc", "root", "tmp"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        content = {
            "bin/busybox": busybox.read_bytes(),
            "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\n",
            "etc/image": name.encode(),  # so that no two images share a layer: every pull is one
            **({"large": bytes(megabytes * 2**20)} if megabytes else {}),
        }
        for path, data in content.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(data), 0o755
            tar.addfile(entry, io.BytesIO(data))
        for applet in APPLETS:
            entry = tarfile.TarInfo(f"bin/{applet}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(entry)
    return buffer.getvalue()


def push(busybox: Path, ca_file: Path, registry: str, names: list[str]) -> None:
    context = ssl.create_default_context(cafile=str(ca_file))
    connection = http.client.HTTPSConnection(registry, context=context, timeout=20)
    for name, megabytes in map(_parts, names):
        root = root_tar(busybox, name, megabytes)
        layer = root if megabytes else gzip.compress(root, compresslevel=1, mtime=0)
        config = json.dumps(
            {
                "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()],
                "os": "linux",
                "config": {"Cmd": ["sh"], "Env": ["PATH=/bin"]},
                "rootfs": {"type": "layers", "diff_ids": [_digest(root)]},
            }
        ).encode()
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": _described("application/vnd.docker.container.image.v1+json", config),
                "layers": [_described(LAYER if megabytes else f"{LAYER}.gzip", layer)],
            }
        ).encode()
        for blob in (config, layer):
            location = _request(connection, "POST", f"/v2/{name}/blobs/uploads/", b"", 202)
            path = location.removeprefix(f"https://{registry}")
            _request(connection, "PUT", f"{path}&digest={_digest(blob)}", blob, 201)
        _request(connection, "PUT", f"/v2/{name}/manifests/latest", manifest, 201)
    connection.close()


def _parts(name: str) -> tuple[str, int]:
    name, _, megabytes = name.partition("=")
    return name, int(megabytes or 0)


def _request(connection: http.client.HTTPSConnection, method: str, path: str, body: bytes, expected: int) -> str:
    kind = MANIFEST if "/manifests/" in path else "application/octet-stream"
    connection.request(method, path, body, {"Content-Type": kind})
    answer = connection.getresponse()
    said = answer.read()
    if answer.status != expected:
        raise RuntimeError(f"{method} {path}: {answer.status} instead of {expected}: {said.decode(errors='replace')}")
    return answer.headers.get("Location", "")


def _described(kind: str, blob: bytes) -> dict[str, object]:
    return {"mediaType": kind, "size": len(blob), "digest": _digest(blob)}


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


if __name__ == "__main__":
    push(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4:])
