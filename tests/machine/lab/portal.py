"""The café's portal: whatever is asked over plain HTTP is sent to its page, and who asks for WPAD gets a PAC file.

Run as a program: portal.py ADDRESS PORT PROXY, where the PAC file names the proxy.
"""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAC = b'function FindProxyForURL(url, host) { return "PROXY %s; DIRECT"; }'


class Portal(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.headers.get("Host", "").startswith("wpad"):
            self._say(200, "application/x-ns-proxy-autoconfig", PAC % sys.argv[3].encode())
            return
        at_home = self.headers.get("Host", "").startswith("portal.")
        page = b"<!doctype html><title>Free Wi-Fi</title><p>Accept our terms to go on."
        self._say(200 if at_home else 302, "text/html", page)

    def _say(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "http://portal.cafe.example/accept")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_POST = do_GET  # noqa: N815


if __name__ == "__main__":
    ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Portal).serve_forever()
