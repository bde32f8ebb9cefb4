"""What the tests talk to: processes of their own, which say where they listen."""

import json
import os
import pathlib
import secrets
import subprocess
import urllib.parse
import urllib.request

PATIENCE_S = 20


class Service:
    def __init__(self, variable, *arguments):
        self.process = subprocess.Popen(
            [os.environ[variable], *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.url = self.process.stdout.readline().split()[-1]

    def stop(self):
        if self.process.stdout.closed:
            return
        self.process.terminate()
        self.process.wait(timeout=PATIENCE_S)
        self.process.stdout.close()


class Backend(Service):
    """The Socket.IO backend without sync."""

    def __init__(self):
        super().__init__("SYNCLINE_BACKEND_BIN")


class Server(Service):
    """A server in development mode, on a port of its own or at a given address; its tokens outlive it."""

    def __init__(self, data, listen="127.0.0.1:0"):
        secret = pathlib.Path(f"{data}.secret")
        if not secret.exists():
            secret.write_text(secrets.token_hex(32), encoding="utf-8")
        super().__init__(
            "SYNCLINE_SERVER_BIN", "--listen", listen, "--data", data, "--dev", "--jwt-secret-file", str(secret)
        )

    @property
    def address(self):
        return urllib.parse.urlsplit(self.url).netloc

    def token(self, user, rooms=(), ttl_s=None):
        body = json.dumps({"sub": user, "rooms": list(rooms), "ttl_s": ttl_s}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/dev/token", body, headers)
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
            return json.load(response)["token"]
