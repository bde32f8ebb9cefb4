#!/usr/bin/env python3
"""startup_order.py PROGRAM CALLGRIND_FILE...

Prints a linker script that puts the functions of a program which ran in these profiles (valgrind's callgrind,
--demangle=no) side by side, before all others. They are named without what differs between builds: hashes, and the
numbers of crates. Where identical functions were folded into one, each of their names is in it.
"""

import collections
import re
import subprocess
import sys

FUNCTION = re.compile(r"c?fn=\(\d+\) (\S+)")
LEGACY_HASH = re.compile(r"17h[0-9a-f]{16}E.*$")
CRATE_NUMBER = re.compile(r"Cs[0-9A-Za-z]+_")
SUFFIX = re.compile(r"(\.llvm\.|\.cold|\.\d+|'\d).*$")


def pattern(name):
    """What a function of that name is called in any build; None for one that is not Rust's."""
    if name.startswith("_ZN"):
        return LEGACY_HASH.sub("17h*", name)
    if name.startswith("_R"):
        return CRATE_NUMBER.sub("Cs*_", SUFFIX.sub("*", name))
    return None


def names_of_same(program):
    """For each name of a function in a program, all that its address has."""
    listing = subprocess.run(["nm", "--defined-only", program], check=True, capture_output=True, text=True).stdout
    at = collections.defaultdict(set)
    for line in listing.splitlines():
        address, kind, name = line.split(maxsplit=2)
        if kind in "tTwW":
            at[address].add(name)
    return {name: names for names in at.values() for name in names}


def patterns(program, profiles):
    """Each once, sorted, so that a new profile changes few lines."""
    same = names_of_same(program)
    found = set()
    for profile in profiles:
        with open(profile, encoding="utf-8") as lines:
            for ran in (match[1] for line in lines if (match := FUNCTION.match(line))):
                found.update(pattern(name) for name in same.get(ran, {ran}))
    found -= {None}
    return sorted(name for name in found if name.endswith("*") or f"{name}*" not in found)


def main(arguments):
    if len(arguments) < 2:
        print(__doc__.strip())
        return 0 if arguments in (["-h"], ["--help"]) else 2
    print("/* Written by scripts/startup-order. */")
    print("SECTIONS {\n  .text.startup_order : {")
    for name in patterns(arguments[0], arguments[1:]):
        print(f"    *(.text*.{name})")
    print("  }\n}\nINSERT BEFORE .text;")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
