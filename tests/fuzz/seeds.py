#!/usr/bin/env python3
"""seeds.py CONTRACT CORPUS: writes what fuzzing starts from, out of the golden vectors in the folder CONTRACT."""

import hashlib
import json
import sys
from pathlib import Path

SEPARATOR = b"\xff\xfe"
# In the order of CHECKS in targets/messages.rs: how many kinds of messages there are.
KINDS = 18


def text_of(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def frame(part):
    return part["text"].encode() if "text" in part else bytes.fromhex(part["binary"])


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
    for vector in vectors("merges.json"):
        for step in vector["steps"]:
            yield "patches", text_of([vector["document"], step["mutation"]])
            yield "rest", text_of(step["mutation"]["write"])
    for transcript in sorted((contract / "transcripts").rglob("*.json")):
        yield "commands", transcript.read_bytes()
    yield "queries", text_of([{"filter": {"and": [{"eq": ["a", 1]}, {"not": {"exists": "b"}}]}}, {"a": 1}])
    yield "rest", text_of({"a.b": 1, "__increment": {"c": 2}, "__unset": ["d"], "__union": {"e": [1]}})
    yield "tokens", text_of({"sub": "ada", "exp": 4102444800, "iat": 1, "jti": "1", "aud": ["a"], "rooms": ["list:*"]})
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
