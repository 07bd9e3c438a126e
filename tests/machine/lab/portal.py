"""The café's portal: whatever is asked over plain HTTP is sent to its page."""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Portal(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        at_home = self.headers.get("Host", "").startswith("portal.")
        page = b"<!doctype html><title>Free Wi-Fi</title><p>Accept our terms to go on."
        self.send_response(200 if at_home else 302)
        if not at_home:
            self.send_header("Location", "http://portal.cafe.example/accept")
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page)

    do_HEAD = do_POST = do_GET  # noqa: N815


if __name__ == "__main__":
    ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Portal).serve_forever()
