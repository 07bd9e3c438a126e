"""A registry's token server: it gives the same token to everybody.

Run as a program: tokens.py ADDRESS PORT CERTIFICATE KEY
"""

import http.server
import ssl
import sys

TOKEN = b'{"token": "any"}\n'


class Tokens(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(TOKEN)))
        self.end_headers()
        self.wfile.write(TOKEN)


if __name__ == "__main__":
    address, port, certificate, key = sys.argv[1:]
    server = http.server.ThreadingHTTPServer((address, int(port)), Tokens)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    # The handshake is each connection's own: one that says nothing must not keep the others waiting.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()
