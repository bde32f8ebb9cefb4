"""The generated Python binding against a real server: what every generated binding must be able to do."""

import asyncio
import contextlib
import json
import os
import socket
import tempfile
import unittest

import syncline_ffi as syncline
from services import PATIENCE_S, Backend, Server

THREADS_MORE_MAX = 8
GROWTH_KB_MAX = 16 * 1024
ROOM = "user:ada"


class Listener(syncline.ClientListener):
    """Keeps the newest of each event, and wakes whoever waits. Called on a thread of the client."""

    def __init__(self):
        self.loop = asyncio.get_running_loop()
        self.changed = asyncio.Event()
        self.queue = None
        self.rows = {}
        self.last_rows = None
        self.connection = None
        self.others = []

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
            else:
                self.others.append(event)
        self.changed.set()

    async def until(self, condition):
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def next(self, is_wanted):
        """The first event of this kind, and of none that has a state, that nobody took yet."""
        await self.until(lambda: any(is_wanted(event) for event in self.others))
        return self.others.pop(next(at for at, event in enumerate(self.others) if is_wanted(event)))


class EndToEnd(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.server = Server(f"{self.folder.name}/server")
        self.addCleanup(self.server.stop)

    async def open(self, name, **options):
        listener = Listener()
        options = {"url": self.server.url, "token": self.server.token("ada"), "auto_connect": True, **options}
        client = await syncline.SynclineClient.open(
            syncline.ClientOptions(directory=f"{self.folder.name}/{name}", **options),
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

    async def test_an_error_says_what_helps(self):
        a, listener = await self.open("a", auto_connect=False, token=None)
        retry = syncline.RetryClass
        with self.assertRaises(syncline.SynclineError.Failed) as refused:
            await a.connect()
        self.assertEqual((refused.exception.code, refused.exception.retry), ("no_auth_token", retry.AFTER_AUTH))
        await listener.until(lambda: listener.connection is not None and listener.connection.reason is not None)
        self.assertEqual(listener.connection.reason.retry, retry.AFTER_AUTH)
        await a.set_token(self.server.token("ada"), None)
        self.server.stop()
        await a.disconnect()
        with self.assertRaises(syncline.SynclineError.Failed) as refused:
            await a.connect()
        self.assertEqual((refused.exception.code, refused.exception.retry), ("unreachable", retry.LATER))
        await a.close()
        with self.assertRaises(syncline.SynclineError.Failed) as refused:
            await a.new_id()
        self.assertEqual((refused.exception.code, refused.exception.retry), ("closed", retry.NEVER))

    async def test_a_cancel_handle_ends_a_call_that_waits_and_no_write(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            a, _ = await self.open("a", auto_connect=False, token="any", url=url)
            handle = syncline.CancelHandle()
            cancellable = a.with_cancel(handle)
            connecting = asyncio.ensure_future(cancellable.connect())
            await asyncio.to_thread(silent.accept)
            self.assertFalse(connecting.done())
            handle.cancel()
            with self.assertRaises(syncline.SynclineError.Cancelled):
                await connecting
            self.assertTrue(handle.is_cancelled())
            await cancellable.create(ROOM, "notes", "n", "{}")
            self.assertIsNotNone(await a.document(ROOM, "notes", "n"))
            await a.close()

    async def test_a_cancelled_task_leaves_the_client_usable(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            a, _ = await self.open("a", auto_connect=False, token="any", url=url)
            for _ in range(20):
                connecting = asyncio.ensure_future(a.connect())
                await asyncio.sleep(0)
                connecting.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await connecting
            await a.create(ROOM, "notes", "n", "{}")
            self.assertTrue((await a.document(ROOM, "notes", "n")).pending)
            await a.close()

    async def test_another_key_opens_nothing(self):
        a, _ = await self.open("a", auto_connect=False, encryption_key=bytes(32))
        await a.create(ROOM, "notes", "n", "{}")
        await a.close()
        with self.assertRaises(syncline.SynclineError.Failed) as refused:
            await self.open("a", auto_connect=False, encryption_key=bytes([1] * 32))
        self.assertEqual((refused.exception.code, refused.exception.retry), ("wrong_key", syncline.RetryClass.NEVER))

    async def open_plain(self):
        """A client of the backend without sync."""
        backend = Backend()
        self.addCleanup(backend.stop)
        settings = json.dumps({"tokenRequired": False})
        return await self.open("plain", url=backend.url, token=None, auto_connect=False, settings_json=settings)

    async def test_bytes_go_out_in_an_event_and_come_back_in_its_answer_and_in_what_is_listened_to(self):
        a, listener = await self.open_plain()
        await a.on("developed")
        await a.connect()
        photo = syncline.Parcel(text='[{"name":"a.jpg","bytes":{"$attachment":0}}]', attachments=[b"\x00\xff\x07"])
        answer = await a.emit_with_ack("develop", photo)
        self.assertEqual(json.loads(answer.text), [{"name": "a.jpg", "bytes": {"$attachment": 0}}])
        self.assertEqual(answer.attachments, [b"\x07\xff\x00"])
        told = (await listener.next(lambda event: event.is_message())).message
        self.assertEqual((told.args.text, told.args.attachments), ('[{"$attachment":0}]', [b"\x07\xff\x00"]))
        await a.close()

    async def test_a_question_with_bytes_is_answered_with_bytes(self):
        a, listener = await self.open_plain()
        await a.on("look")
        await a.on("looked")
        await a.connect()
        text = '[{"bytes":{"$attachment":0},"name":"a.jpg"}]'
        await a.emit("show", syncline.Parcel(text=text, attachments=[b"\xff"]))
        shown = (await listener.next(lambda event: event.is_message())).message
        self.assertEqual(shown.args, syncline.Parcel(text=text, attachments=[b"\xff"]))
        await a.ack(shown.ack, syncline.Parcel(text=text, attachments=[b"\x00\x01"]))
        looked = (await listener.next(lambda event: event.is_message())).message
        self.assertEqual(looked.args, syncline.Parcel(text=text, attachments=[b"\x00\x01"]))
        await a.close()

    async def test_a_handler_is_given_bytes_and_its_result_has_some(self):
        a, listener = await self.open("a", auto_connect=False)
        payload = syncline.Parcel(text='{"file":{"$attachment":0}}', attachments=[b"\x00\xff"])
        await a.enqueue(syncline.JobRequest(task=syncline.JobTask.HANDLER("resize", payload)))
        self.assertEqual((await a.jobs(0))[0].task.payload, payload)
        await a.register_handlers(["resize"])
        leased = await listener.next(lambda event: event.is_job_leased())
        self.assertEqual(leased.payload, payload)
        result = syncline.Parcel(text='{"$attachment":0}', attachments=[b"\xff"])
        await a.complete_job(leased.job, leased.lease, result)
        done = (await listener.next(lambda event: event.is_job_done())).result
        self.assertEqual(done.result, syncline.Parcel(text='[{"$attachment":0}]', attachments=[b"\xff"]))
        await a.close()

    async def test_a_text_that_names_bytes_which_are_not_there_is_refused(self):
        a, _ = await self.open("a", auto_connect=False)
        missing = syncline.Parcel(text='[{"$attachment":1}]', attachments=[b"a"])
        with self.assertRaises(syncline.SynclineError.Failed) as refused:
            await a.emit("develop", missing)
        self.assertEqual(refused.exception.code, "invalid")
        await a.close()

    async def test_a_thousand_clients_leave_nothing_behind(self):
        async def cycle():
            options = syncline.ClientOptions(url="http://127.0.0.1:9", directory=None, token=None, auto_connect=False)
            client = await syncline.SynclineClient.open(options, Listener())
            await client.create(ROOM, "notes", "n", "{}")
            await client.close()

        def resources():
            with open("/proc/self/status", encoding="utf-8") as status:
                fields = dict(line.split(":", 1) for line in status)
            return int(fields["Threads"]), int(fields["VmRSS"].split()[0])

        for _ in range(100):
            await cycle()
        threads, resident_kb = resources()
        for _ in range(1000):
            await cycle()
        threads_after, resident_kb_after = resources()
        self.assertLessEqual(threads_after, threads + THREADS_MORE_MAX)
        self.assertLess(resident_kb_after - resident_kb, GROWTH_KB_MAX)

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

    async def test_a_listener_may_call_the_client_back_and_wait_for_the_answer(self):
        class Asking(syncline.ClientListener):
            def __init__(self):
                self.loop = asyncio.get_running_loop()
                self.client = None
                self.count = self.loop.create_future()

            def on_events(self, events):
                client, self.client = self.client, None
                if client is None:
                    return
                asked = asyncio.run_coroutine_threadsafe(client.queue(), self.loop)
                self.loop.call_soon_threadsafe(self.count.set_result, asked.result(PATIENCE_S).count)

        asking = Asking()
        options = syncline.ClientOptions(url="http://127.0.0.1:9", directory=None, token=None, auto_connect=False)
        client = await syncline.SynclineClient.open(options, asking)
        asking.client = client
        await client.create(ROOM, "notes", "n", "{}")
        async with asyncio.timeout(PATIENCE_S):
            self.assertEqual(await asking.count, 1)
        await client.close()

    async def test_a_listener_that_throws_is_logged_and_counted_and_hears_the_next_event(self):
        class Throwing(syncline.ClientListener):
            def on_events(self, events):
                raise ValueError("the app's mistake")

        class Log(syncline.LogListener):
            def __init__(self):
                self.loop = asyncio.get_running_loop()
                self.lines = asyncio.Queue()

            def on_line(self, line):
                self.loop.call_soon_threadsafe(self.lines.put_nowait, line)

        log = Log()
        with tempfile.TemporaryFile() as written, stderr_in(written):
            syncline.set_logger(syncline.LogLevel.ERROR, log)
            options = syncline.ClientOptions(url="http://127.0.0.1:9", directory=None, token=None, auto_connect=False)
            client = await syncline.SynclineClient.open(options, Throwing())
            for number in range(1, 4):
                await client.create(ROOM, "notes", f"n{number}", "{}")
                async with asyncio.timeout(PATIENCE_S):
                    line = await log.lines.get()
                self.assertEqual(line.event, "syncline.listener_failed")
                self.assertEqual(line.message, f"the app's listener threw failures={number}")
            await client.close()
            syncline.set_logger(syncline.LogLevel.OFF, None)
            written.seek(0)
            self.assertNotIn(b"panicked", written.read())

    async def test_a_listener_to_the_log_that_throws_loses_lines_and_the_next_one_counts_them(self):
        class Picky(syncline.LogListener):
            def __init__(self):
                self.loop = asyncio.get_running_loop()
                self.dropped = asyncio.Queue()

            def on_line(self, line):
                if line.event != "syncline.app_state":
                    raise ValueError("the log is full")
                self.loop.call_soon_threadsafe(self.dropped.put_nowait, line.dropped)

        log = Picky()
        syncline.set_logger(syncline.LogLevel.DEBUG, log)
        a, _ = await self.open("a", auto_connect=False)
        await a.connect()
        # A line that waited with others was taken over before their loss was known.
        async with asyncio.timeout(PATIENCE_S):
            dropped = 0
            while dropped == 0:
                await a.set_app_state(syncline.AppState.ACTIVE)
                dropped = await log.dropped.get()
        syncline.set_logger(syncline.LogLevel.OFF, None)
        await a.close()


@contextlib.contextmanager
def stderr_in(file):
    """Whatever is written to standard error, by Rust too, goes into the file."""
    kept = os.dup(2)
    os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


if __name__ == "__main__":
    unittest.main()
