"""syncline-server against python-socketio: a client that knows neither JavaScript nor Syncline."""

import json
import os
import queue
import re
import subprocess
import tempfile
import time
import unittest
import urllib.request
import uuid

import socketio

ROOM = "list:python"
TIMEOUT_S = 20


def start_server(folder):
    secret = os.path.join(folder, "secret")
    with open(secret, "w", encoding="ascii") as file:
        file.write(uuid.uuid4().hex * 2)
    command = [os.environ["SYNCLINE_SERVER_BIN"], "--dev", "--listen", "127.0.0.1:0", "--log", "warn"]
    command += ["--data", os.path.join(folder, "data"), "--jwt-secret-file", secret]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if match := re.match(r"listening on (http://\S+)", line):
            return process, match.group(1)
    raise RuntimeError("the server ended before it listened")


def mutation(number, fields):
    return {
        "client_seq": number,
        "collection": "tasks",
        "id": f"t{number}",
        "write": {"create": fields},
        "time": [int(time.time() * 1000), 0],
    }


class Peer:
    """A client of the library as it comes, and what it has heard."""

    def __init__(self, url, token, parser):
        self.client = socketio.Client(serializer=parser, reconnection=False)
        self.client_id = str(uuid.uuid4())
        self.heard = queue.Queue()
        self.client.on("*", lambda event, *args: self.heard.put((event, args)))
        query = "?parser=msgpack" if parser == "msgpack" else ""
        auth = {"token": token, "client_id": self.client_id, "protocol": 1}
        self.client.connect(url + query, auth=auth, transports=["websocket"], wait_timeout=TIMEOUT_S)

    def ask(self, event, body):
        return self.client.call(event, body, timeout=TIMEOUT_S)

    def expect(self, event):
        """The argument of the next such event."""
        end = time.monotonic() + TIMEOUT_S
        while True:
            heard, args = self.heard.get(timeout=max(0.001, end - time.monotonic()))
            if heard == event:
                return args[0]

    def close(self):
        self.client.disconnect()


class ServerTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.server, self.url = start_server(folder.name)
        self.addCleanup(self.server.stdout.close)
        self.addCleanup(self.server.wait)
        self.addCleanup(self.server.kill)

    def token(self, user):
        body = json.dumps({"sub": user, "rooms": [ROOM]}).encode()
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(f"{self.url}/dev/token", body, headers)
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return json.load(answer)["token"]

    def peer(self, user, parser):
        peer = Peer(self.url, self.token(user), parser)
        self.addCleanup(peer.close)
        return peer

    def follow_and_write(self, parser):
        reader, writer = self.peer("ada", parser), self.peer("bob", parser)
        self.assertEqual(reader.expect("sync:hello")["protocol"], 1)
        self.assertEqual(reader.ask("room:join", {"room": ROOM}), {"ok": True})
        page = reader.ask("sync:subscribe", {"room": ROOM, "cursor": 0})
        self.assertEqual((page["changes"], page["cursor"]), ([], 0))

        fields = {"title": "Grüße", "n": 7, "tags": ["a", None, 0.5]}
        push = {"room": ROOM, "mutations": [mutation(1, fields)]}
        result = writer.ask("sync:push", push)["results"][0]
        self.assertEqual((result["status"], result["seq"]), ("applied", 1))
        self.assertEqual(writer.ask("sync:push", push)["results"][0]["status"], "duplicate")

        live = reader.expect("sync:changes")
        self.assertEqual((live["from_seq"], live["to_seq"]), (1, 1))
        self.assertEqual(live["changes"][0]["fields"], fields)
        page = reader.ask("sync:pull", {"room": ROOM, "cursor": 0, "limit": 10})
        self.assertEqual([change["id"] for change in page["changes"]], ["t1"])
        refused = reader.ask("room:join", {"room": "list:of-others"})
        self.assertEqual(refused["error"]["code"], "forbidden")

    def test_a_client_of_the_default_parser_follows_a_room_and_writes(self):
        self.follow_and_write("default")

    def test_a_client_of_the_messagepack_parser_follows_a_room_and_writes(self):
        self.follow_and_write("msgpack")

    def test_a_client_with_a_bad_token_is_refused_with_the_reason(self):
        client, refusals = socketio.Client(reconnection=False), queue.Queue()
        client.on("connect_error", refusals.put)
        with self.assertRaises(socketio.exceptions.ConnectionError):
            client.connect(self.url, auth={"token": "nonsense"}, transports=["websocket"])
        self.assertIn("unauthorized", str(refusals.get(timeout=TIMEOUT_S)))


if __name__ == "__main__":
    unittest.main()
