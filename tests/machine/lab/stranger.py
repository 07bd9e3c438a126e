"""A stranger where somebody else's proxy is expected: takes every connection, prints what it hears, never answers.

Run as a program: stranger.py ADDRESS PORT...
"""

import socketserver
import sys
import threading


class Stranger(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        print(f"{self.client_address} came", flush=True)
        while heard := self.request.recv(65536):
            print(f"{self.client_address} said {heard!r}", flush=True)


class Door(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


if __name__ == "__main__":
    for port in sys.argv[2:]:
        threading.Thread(target=Door((sys.argv[1], int(port)), Stranger).serve_forever).start()
