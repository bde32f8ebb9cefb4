"""Plays a transcript through the generated binding, as a host does: see tests/contract/README.md."""

import asyncio
import base64
import json
import pathlib

import syncline_ffi as syncline
from matching import Bindings
from services import PATIENCE_S, Backend, Server

FOLDERS = ("a", "b", "c")


class TranscriptFailure(Exception):
    """Where a transcript failed, from 1, and why."""

    def __init__(self, step, cause):
        super().__init__(f"step {step}: {cause!r}")
        self.step = step


async def play(transcript, folder):
    """Plays it to its end; raises where it fails."""
    player = Player(folder, transcript.get("patienceMs", PATIENCE_S * 1000) / 1000)
    try:
        for service in transcript.get("needs", []):
            player.start(service)
        for number, step in enumerate(transcript["steps"], 1):
            try:
                await player.play(step)
            except Exception as cause:
                raise TranscriptFailure(number, cause) from cause
    finally:
        await syncline.json_close_all()
        player.stop_all()


def map_objects(value, replace):
    """`value` with each object that `replace` has something for replaced by that; one within `$object` stays one."""

    def members(of):
        return {key: map_objects(member, replace) for key, member in of.items()}

    if isinstance(value, list):
        return [map_objects(item, replace) for item in value]
    if not isinstance(value, dict):
        return value
    replaced = replace(*next(iter(value.items()))) if len(value) == 1 else None
    if replaced is not None:
        return replaced
    if value.keys() == {"$object"} and isinstance(value["$object"], dict):
        return {"$object": members(value["$object"])}
    return members(value)


def detached(value):
    """What a host hands over for JSON of a transcript."""
    attachments = []

    def replace(key, member):
        if key != "$bytes" or not isinstance(member, str):
            return None
        attachments.append(base64.b64decode(member))
        return {"$attachment": len(attachments) - 1}

    return syncline.Parcel(text=json.dumps(map_objects(value, replace)), attachments=attachments)


def attached(parcel):
    """The JSON of a transcript for what the façade handed over."""

    def replace(key, member):
        if key != "$attachment" or not isinstance(member, int):
            return None
        return {"$bytes": base64.b64encode(parcel.attachments[member]).decode()}

    return map_objects(json.loads(parcel.text), replace)


class Events(syncline.JsonListener):
    """What a client told, until a step looks at it."""

    def __init__(self):
        self.loop = asyncio.get_running_loop()
        self.told = []
        self.arrived = asyncio.Event()

    def on_events(self, client, events):
        self.loop.call_soon_threadsafe(self._take_in, attached(events))

    def _take_in(self, events):
        self.told.extend(events)
        self.arrived.set()

    def take(self, types):
        """The first that is of one of the types, if there is any."""
        for at, event in enumerate(self.told):
            if event["type"] in types:
                return self.told.pop(at)
        return None

    async def next(self, types, patience_s):
        async with asyncio.timeout(patience_s):
            while (event := self.take(types)) is None:
                self.arrived.clear()
                await self.arrived.wait()
            return event


class Player:
    def __init__(self, folder, patience_s):
        self.folder = pathlib.Path(folder)
        self.patience_s = patience_s
        self.bindings = Bindings()
        self.clients = {}
        self.later = {}
        self.services = {}
        self.address = "127.0.0.1:0"
        for name in FOLDERS:
            self.bindings.bind(f"folder.{name}", str(self.folder / name))

    def start(self, name):
        if name == "server":
            service = Server(str(self.folder / "server"), self.address)
            self.address = service.address
        else:
            service = Backend()
        self.services[name] = service
        self.bindings.bind(name, service.url)

    def stop_all(self):
        for service in self.services.values():
            service.stop()

    async def play(self, step):
        # What a step is, its first member says.
        await getattr(self, f"_{next(iter(step))}")(step)

    async def _token(self, step):
        token = self.services["server"].token(step["token"], step["rooms"], step.get("ttlS"))
        self.bindings.bind(step["as"], token)

    async def _open(self, step):
        events = Events()
        reply = await syncline.json_open(self._sent(step).text, events)
        self._check(syncline.Parcel(text=reply, attachments=[]), step)
        opened = json.loads(reply).get("ok")
        if opened is not None:
            self.clients[step["open"]] = (opened["client"], events)

    async def _call(self, step):
        reply = asyncio.ensure_future(syncline.json_call(self.clients[step["call"]][0], self._sent(step)))
        if "later" in step:
            self.later[step["later"]] = reply
        else:
            await self._check_in_time(reply, step)

    async def _await(self, step):
        await self._check_in_time(self.later.pop(step["await"]), step)

    async def _events(self, step):
        """The next events of the types that are expected must be these, in this order; those of a group in any."""
        groups = [list(one.get("$unordered", [one])) for one in step["are"]]
        types = {event["type"] for group in groups for event in group}
        for group in groups:
            while group:
                actual = await self._listener(step["events"]).next(types, self.patience_s)
                if not self.bindings.take_fitting(group, actual):
                    raise AssertionError(f"expected {group}, was {actual}")

    async def _until(self, step):
        events, expected = self._listener(step["until"]), step["event"]
        while not self.bindings.matches(expected, await events.next({expected["type"]}, self.patience_s)):
            pass

    async def _quiet(self, step):
        event = self._listener(step["quiet"]).take(step["types"])
        if event is not None:
            raise AssertionError(f"there was {event}")

    async def _host(self, step):
        if step["host"] == "setAppState":
            syncline.set_app_state(syncline.AppState[step["state"].upper()])
        elif step["host"] == "setNetwork":
            syncline.set_network(step["available"], step["expensive"], step["kind"])
        elif step["host"] == "closeAll":
            await syncline.json_close_all()
        else:
            raise AssertionError(f"the host has no call {step['host']}")

    async def _stop(self, step):
        self.services[step["stop"]].stop()

    async def _start(self, step):
        self.start(step["start"])

    def _listener(self, name):
        return self.clients[name][1]

    def _sent(self, step):
        if "text" in step:
            return syncline.Parcel(text=step["text"], attachments=[])
        return detached(self.bindings.fill(step.get("config", step.get("command"))))

    async def _check_in_time(self, reply, step):
        async with asyncio.timeout(self.patience_s):
            self._check(await reply, step)

    def _check(self, reply, step):
        """Compares the reply envelope with what is expected."""
        expected = {"ok": step.get("answer")}
        if "error" in step:
            retryable = step["error"]["retry"] != "never"
            expected = {"error": {**step["error"], "message": "$text", "retryable": retryable}}
        actual = attached(reply)
        if not self.bindings.matches(expected, actual):
            raise AssertionError(f"expected {expected}, was {actual}")
