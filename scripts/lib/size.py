"""Prints the size of each stripped library, and which crates an unstripped one is made of.

A symbol is counted for the crate that defines it; code that a generic makes, for the crate of the generic.
"""

import argparse
import collections
import json
import pathlib
import re
import subprocess

GOAL_BYTES = {"arm64-v8a": 4_000_000}
SHOWN = 15

# The first path of a demangled name: `<alloc::vec::Vec<T> as core::fmt::Debug>::fmt`, `tokio::runtime::...`.
FIRST_PATH = re.compile(r"(?:^|[<&( ])(?:dyn |mut |impl )*([a-z_][a-z0-9_]*)(?:\[[0-9a-f]+\])?::")


def crate(name):
    """The crate that a demangled symbol belongs to; what is not Rust is C of `ring`, or data of the linker."""
    match = FIRST_PATH.search(name)
    if match:
        return match[1]
    if name.startswith(("ring_core_", "bn_", "p256_", "ecp_nistz", "vpaes_", "aes_", "sha", "gcm_", "x25519", "fiat_")):
        return "ring"
    if name.startswith(("uniffi_", "ffi_syncline", "UNIFFI_META")):
        return "syncline_ffi"
    return "(other)"


def shares(nm_output):
    """Bytes by crate, from `nm --print-size --demangle`."""
    bytes_by_crate = collections.Counter()
    for line in nm_output.splitlines():
        words = line.split(maxsplit=3)
        if len(words) == 4 and words[2] in "tTrRdDwWV":
            bytes_by_crate[crate(words[3])] += int(words[1], 16)
    return bytes_by_crate


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("libraries", type=pathlib.Path, help="the folder that holds a folder for each ABI")
    parser.add_argument("--unstripped", type=pathlib.Path, required=True)
    parser.add_argument("--nm", required=True)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    sizes = {path.parent.name: path.stat().st_size for path in sorted(arguments.libraries.glob("*/libsyncline_ffi.so"))}
    command = [arguments.nm, "--print-size", "--demangle", "--defined-only", str(arguments.unstripped)]
    counted = shares(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    total = sum(counted.values())
    for abi, size in sizes.items():
        goal = GOAL_BYTES.get(abi)
        verdict = "" if goal is None else f", goal {goal}: {'reached' if size <= goal else 'MISSED'}"
        print(f"{abi:12} {size:>10} bytes{verdict}")
    print(f"\nshares of {total} bytes with a symbol:")
    for name, size in counted.most_common(SHOWN):
        print(f"  {name:28} {size:>10} {100 * size / total:5.1f} %")
    if arguments.json:
        print(json.dumps({"bytes": sizes, "shares": dict(counted.most_common(SHOWN)), "symbols_bytes": total}))


if __name__ == "__main__":
    main()
