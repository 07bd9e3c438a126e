"""An index of Python packages, as PyPI's simple one, by TLS: `index.py FOLDER ADDRESS PORT CERTIFICATE KEY`."""

import http.server
import re
import ssl
import sys
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit


class Index(http.server.SimpleHTTPRequestHandler):
    """`/simple/NAME/` lists the files of a package, which lie at the top."""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if not path.startswith("/simple/"):
            super().do_GET()
            return
        asked = path.split("/")[2]
        files = sorted(file.name for file in Path(self.directory).iterdir() if _package(file.name) == asked)
        page = "".join(f'<a href="/{name}">{name}</a>\n' for name in files).encode()
        self.send_response(200 if files else 404)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)


def _package(file: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"-\d", file)[0]).lower()


def main() -> None:
    folder, address, port, certificate, key = sys.argv[1:]
    server = http.server.ThreadingHTTPServer((address, int(port)), partial(Index, directory=folder))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
