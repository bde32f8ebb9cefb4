#!/usr/bin/env python3
"""seeds.py CONTRACT CORPUS: writes what fuzzing starts from, out of the golden vectors in the folder CONTRACT."""

import base64
import hashlib
import json
import struct
import sys
from pathlib import Path
from urllib.parse import quote

SEPARATOR = b"\xff\xfe"
# In the order of CHECKS in targets/messages.rs: how many kinds of messages there are.
KINDS = 18
CLIENT = "07070707-0707-0707-0707-070707070707"


def text_of(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def frame(part):
    return part["text"].encode() if "text" in part else bytes.fromhex(part["binary"])


def selections():
    """Queries that are understood."""
    path = {"eq": ["a", 1]}
    for filtered in (
        {"and": [path, {"not": {"exists": "b.c"}}]},
        {"or": [{"in": ["a", [1, "x", None]]}, {"contains": ["b.c", "x"]}]},
        {"not": {"ne": ["a", 2.5]}},
        {"and": [{"lt": ["a", 3]}, {"lte": ["a", 3]}, {"gt": ["a", 0]}, {"gte": ["b", None]}]},
    ):
        yield {"filter": filtered, "order_by": [{"path": "a", "direction": "desc"}, {"path": "b.c"}], "limit": 5}
    yield {"order_by": [{"path": "a"}], "after": {"values": [1], "id": "one"}}


def batch():
    """The body of a batch of REST writes."""
    at = {"collection": "notes", "id": "one"}
    return {
        "operations": [
            {"op": "put", **at, "fields": {"a": 1}, "if_absent": True},
            {"op": "patch", **at, "patch": {"a": 2, "__increment": {"b": 1}}, "upsert": True, "if_seq": 7},
            {"op": "delete", **at, "if_seq": 7.0},
        ]
    }


def rest_request(query, header, body):
    return b"\xff".join([query.encode(), header, body])


def cluster_messages():
    """What nodes tell each other, apart from changes."""
    report = {"room": "list:9", "connection": 5, "user": "ada", "client": CLIENT, "place": {"Outside": {"on_purpose": True}}}
    member = {
        "client_id": CLIENT, "user_id": "ada", "state": {"at": [1, "x"]}, "status": "away", "expires_ms": {"at": 4000},
        "idle_ms": 3,
    }
    inside = {**report, "place": {"Inside": {"lost": True, "member": member}}}
    yield from ({"Report": report}, {"Report": inside}, {"Snapshot": {"reports": [report, inside]}}, "Beat", "Gone")
    yield from ("Revoked", "Freed", {"News": {"room": "list:9"}})
    yield from ({"Ask": {"room": "list:9"}}, {"Roll": {"room": "list:9", "connections": [1, 2**64 - 1]}})


def journal_of(mutations):
    """The records of a journal in which these writes were made, and met all that writes can meet."""
    identity = {"client_id": CLIENT, "last_client_seq": 0, "last_time": [1, 0]}
    entries = [{"room": "list:9", "mutation": mutation, "queued_at_ms": 1} for mutation in mutations]
    error = {"code": "invalid", "message": "it is"}
    conflict = {"kind": "update_update", "fields": ["a"]}
    records = [{"Identity": identity}, {"Queued": entries}, {"LastJob": {"id": 7}}, {"JobsGone": [7]}]
    for entry in entries:
        number = entry["mutation"]["client_seq"]
        records += [{"Parked": {"entry": entry, "conflict": conflict, "document": None}}]
        records += [{"Resolved": {"client_seq": number, "entry": None}}, {"Failed": {"entry": entry, "error": error}}]
        records += [{"OutcomeSeen": {"client_seq": number}}, {"Settled": {"client_seq": number}}]
        records += [{"Queued": [entry]}, {"Resent": {"client_seqs": [number], "entries": [entry]}}]
    return records


def backup_blocks():
    """Blocks of a backup, without their checksums."""
    # Rooms, documents, owners and revocations, as the server numbers its tables.
    records = [(b"\x01", b"list:9", b"\x93\x01\x02\x03"), (b"\x02", b"list:9\x00notes\x00one", bytes(300))]
    records += [(b"\x05", b"", b""), (b"\x08", (0).to_bytes(4, "big"), b'{"users":{}}')]
    coded = [table + struct.pack("<II", len(key), len(value)) + key + value for table, key, value in records]
    yield from coded
    yield b"".join(coded)


def seeds(contract):
    """Yields pairs of a target and an input."""

    def vectors(name):
        return json.loads((contract / name).read_text())

    for vector in vectors("frames.json"):
        for parser in ("json", "messagepack"):
            if parser in vector:
                yield "frames", SEPARATOR.join(frame(part) for part in vector[parser])
    for vector in vectors("messages.json"):
        plain, compact = text_of(vector["json"]), bytes.fromhex(vector["messagepack"])
        for kind in range(KINDS):
            yield "messages", bytes([kind]) + plain
            yield "messages", bytes([kind]) + compact
        yield "requests", compact
        yield "requests", plain
        yield "requests", text_of([vector["event"], vector["json"]])
        if vector["event"] == "sync:changes":
            yield "cluster", text_of({"node": 1, "message": {"Changes": vector["json"]}})
    for message in cluster_messages():
        yield "cluster", text_of({"node": 7, "message": message})
    for vector in vectors("merges.json"):
        mutations = [step["mutation"] for step in vector["steps"]]
        for mutation in mutations:
            yield "patches", text_of([vector["document"], mutation])
            yield "rest", text_of(mutation["write"])
        yield "journal", text_of(journal_of(mutations))
    for block in backup_blocks():
        yield "backup", block
    for transcript in sorted((contract / "transcripts").rglob("*.json")):
        yield "commands", transcript.read_bytes()
    fields = [{"a": 1, "b": {"c": "x"}}, {"a": 2.5, "b": None}]
    for selection in selections():
        yield "queries", text_of([selection, *fields])
        query = "&".join(f"{name}={quote(text_of(selection[name]))}" for name in ("filter", "order_by") if name in selection)
        yield "rest", rest_request(f"{query}&limit=3", b"*", b"{}")
    cursor = text_of({"values": [1, None, "x"], "id": "one"})
    after = base64.urlsafe_b64encode(cursor).decode().rstrip("=")
    yield "rest", rest_request(f"after={after}&order_by=%5B%5D", b'W/"7", "8"', cursor)
    yield "rest", rest_request("cursor=1&limit=2&snapshot=3&upsert=true", b"a-key", text_of(batch()))
    yield "rest", text_of({"a.b": 1, "__increment": {"c": 2}, "__unset": ["d"], "__union": {"e": [1]}})
    claims = text_of({"sub": "ada", "exp": 4102444800, "iat": 1, "jti": "1", "aud": ["a"], "rooms": ["list:*"]})
    yield "tokens", claims
    for algorithm in ("HS256", "HS512", "RS256", "none"):
        yield "tokens", text_of({"alg": algorithm, "typ": "JWT", "kid": "1"}) + b"\xff" + claims
    yield "key_set", text_of({"keys": [{"kty": "RSA", "kid": "1", "n": "AQAB", "e": "AQAB", "alg": "RS256"}]})
    yield "settings", b"[connection]\nping_interval_ms = 1\n[[security.rules]]\nroom = '*'\nallow = ['read']\n"
    yield "settings", b"connection.ping_interval_ms=1"


def main():
    contract, corpus = Path(sys.argv[1]), Path(sys.argv[2])
    for target, content in seeds(contract):
        folder = corpus / target
        folder.mkdir(parents=True, exist_ok=True)
        (folder / hashlib.sha256(content).hexdigest()[:16]).write_bytes(content)


main()
