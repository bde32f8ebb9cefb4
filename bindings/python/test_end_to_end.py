"""The generated Python binding against a real server: what every generated binding must be able to do."""

import asyncio
import json
import os
import subprocess
import tempfile
import unittest
import urllib.request

import syncline_ffi as syncline

PATIENCE_S = 20
ROOM = "user:ada"


class Server:
    """A server process in development mode, on a port of its own."""

    def __init__(self, data):
        self.process = subprocess.Popen(
            [os.environ["SYNCLINE_SERVER_BIN"], "--listen", "127.0.0.1:0", "--data", data, "--dev"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.url = self.process.stdout.readline().split()[-1]

    def token(self, user):
        body = json.dumps({"sub": user}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/dev/token", body, headers)
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
            return json.load(response)["token"]

    def stop(self):
        if self.process.stdout.closed:
            return
        self.process.terminate()
        self.process.wait(timeout=PATIENCE_S)
        self.process.stdout.close()


class Listener(syncline.ClientListener):
    """Keeps the newest of each event, and wakes whoever waits. Called on a thread of the client."""

    def __init__(self):
        self.loop = asyncio.get_running_loop()
        self.changed = asyncio.Event()
        self.queue = None
        self.rows = {}
        self.last_rows = None
        self.connection = None

    def on_events(self, events):
        self.loop.call_soon_threadsafe(self._take, events)

    def _take(self, events):
        for event in events:
            if event.is_queue():
                self.queue = event.status
            elif event.is_connection():
                self.connection = event.status
            elif event.is_rows():
                self.last_rows = event
                self.rows.update({row.id: json.loads(row.fields_json) for row in event.upserted})
                for removed in event.removed:
                    self.rows.pop(removed, None)
        self.changed.set()

    async def until(self, condition):
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


class EndToEnd(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.server = Server(f"{self.folder.name}/server")
        self.addCleanup(self.server.stop)

    async def open(self, name, **options):
        listener = Listener()
        options = {"token": self.server.token("ada"), "auto_connect": True, **options}
        client = await syncline.SynclineClient.open(
            syncline.ClientOptions(
                url=self.server.url, directory=f"{self.folder.name}/{name}", **options
            ),
            listener,
        )
        return client, listener

    async def test_an_offline_edit_reaches_the_other_device(self):
        a, a_listener = await self.open("a", auto_connect=False)
        b, b_listener = await self.open("b")
        await b.watch(ROOM, "notes", None)

        note = await a.new_id()
        await a.create(ROOM, "notes", note, json.dumps({"title": "written offline", "likes": 1}))
        await a.update(ROOM, "notes", note, json.dumps({"likes": {"increment": 2}}))
        row = await a.document(ROOM, "notes", note)
        self.assertTrue(row.pending)
        self.assertEqual(json.loads(row.fields_json), {"title": "written offline", "likes": 3})

        await a.connect()
        expected = {"title": "written offline", "likes": 3}
        await b_listener.until(lambda: b_listener.rows.get(note) == expected)
        await a_listener.until(lambda: a_listener.queue is not None and a_listener.queue.count == 0)
        for client in (a, b):
            await client.close()

    async def test_a_watch_shows_what_it_selects_in_its_order(self):
        a, listener = await self.open("a", auto_connect=False)
        for rank, done in ((1, False), (2, False), (3, False), (4, True)):
            await a.create(ROOM, "tasks", f"t{rank}", json.dumps({"rank": rank, "done": done}))
        selection = {"filter": {"eq": ["done", False]}, "orderBy": [{"path": "rank", "direction": "desc"}], "limit": 2}
        watching = await a.watch(ROOM, "tasks", None, json.dumps(selection))
        self.assertEqual([row.id for row in watching.rows], ["t3", "t2"])
        self.assertEqual(watching.count, 3)

        await a.update(ROOM, "tasks", "t1", json.dumps({"rank": {"set": 9}}))
        await listener.until(lambda: listener.last_rows is not None)
        self.assertEqual([row.id for row in listener.last_rows.upserted], ["t1"])
        self.assertEqual((listener.last_rows.indexes, listener.last_rows.removed), ([0], ["t2"]))
        with self.assertRaises(syncline.SynclineError.Failed) as refused:
            await a.watch(ROOM, "tasks", None, '{"filter": {"near": 1}}')
        self.assertEqual(refused.exception.code, "invalid")
        await a.close()

    async def test_an_error_has_its_code_and_says_whether_to_retry(self):
        a, _ = await self.open("a", auto_connect=False, token="not a token")
        with self.assertRaises(syncline.SynclineError.Failed) as refused:
            await a.connect()
        self.assertEqual(refused.exception.code, "unauthorized")
        with self.assertRaises(syncline.SynclineError.Failed) as refused:
            await a.create("", "notes", "n", "{}")
        self.assertEqual(refused.exception.code, "invalid")
        self.assertFalse(refused.exception.retryable)
        await a.close()

    async def test_one_round_in_the_background_brings_and_fetches_everything(self):
        a, _ = await self.open("a", auto_connect=False)
        b, b_listener = await self.open("b", auto_connect=False)
        for client in (a, b):
            await client.subscribe(ROOM)
            await client.set_app_state(syncline.AppState.BACKGROUND)
        with self.assertRaises(syncline.SynclineError.Failed) as refused:
            await a.pull(None)
        self.assertEqual(refused.exception.code, "offline")
        note = await a.new_id()
        await a.create(ROOM, "notes", note, json.dumps({"title": "from a task"}))

        for client in (a, b):
            report = await client.sync_once(PATIENCE_S * 1000)
            self.assertTrue(report.complete, report.reason)
            self.assertEqual(report.pending, 0)
            self.assertEqual((await client.connection()).state, syncline.State.IDLE)
        row = await b.document(ROOM, "notes", note)
        self.assertEqual(json.loads(row.fields_json), {"title": "from a task"})

        await b.connect()
        await b.update(ROOM, "notes", note, json.dumps({"title": {"set": "again"}}))
        await b.flush()
        await b.pull(ROOM)
        self.assertFalse((await b.document(ROOM, "notes", note)).pending)

        self.server.stop()
        report = await a.sync_once(1)
        self.assertFalse(report.complete)
        self.assertIsNotNone(report.reason)
        for client in (a, b):
            await client.close()

    async def test_each_collection_can_have_its_own_options(self):
        collections = json.dumps({"drafts": {"conflict": "manual", "pushDebounceMs": 600, "coalesce": False}})
        options = {"conflict": syncline.ConflictStrategy.SERVER_WINS, "collections_json": collections}
        a, _ = await self.open("a", auto_connect=False, **options)
        numbers = []
        for collection in ("notes", "drafts"):
            await a.create(ROOM, collection, "n", "{}")
            for title in ("one", "two"):
                change = json.dumps({"title": {"set": title}})
                numbers.append(await a.update(ROOM, collection, "n", change))
        self.assertEqual(numbers[0], numbers[1], "one write")
        self.assertNotEqual(numbers[2], numbers[3], "two writes")
        await a.close()

    async def test_the_facade_carries_strings(self):
        class Sink(syncline.JsonListener):
            def on_events(self, client, events):
                json.loads(events)

        config = {"url": self.server.url, "store": "memory", "autoConnect": False}
        opened = json.loads(await syncline.json_open(json.dumps(config), Sink()))
        client = opened["ok"]["client"]
        queue = json.loads(await syncline.json_call(client, json.dumps({"type": "queue"})))
        self.assertEqual(set(queue["ok"].values()), {0, False})
        unknown = json.loads(await syncline.json_call(client, '{"type": "noSuchCommand"}'))
        self.assertEqual(unknown["error"]["code"], "invalid")
        await syncline.json_close_all()
        closed = json.loads(await syncline.json_call(client, '{"type": "queue"}'))
        self.assertEqual(closed["error"]["code"], "closed")


if __name__ == "__main__":
    unittest.main()
