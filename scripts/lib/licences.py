"""Writes the licences of all that may be linked into the libraries for phones: each text once, with the crates that it is of.

Licences ask for that wherever the binaries go. Fails when a crate names no licence at all.
"""

import argparse
import collections
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TARGETS = ["aarch64-linux-android", "aarch64-apple-ios"]
TEXT_FILES = re.compile(r"(licen[cs]e|copying|copyright|notice|unlicense)([-_.].*)?", re.IGNORECASE)
RULE = "-" * 80


def metadata(target):
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", target]
    command += ["--manifest-path", str(ROOT / "bindings/Cargo.toml"), "--features", "app"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def linked(graph):
    """What the library depends on, and is not run by the compiler alone."""
    packages = {package["id"]: package for package in graph["packages"]}
    nodes = {node["id"]: node for node in graph["resolve"]["nodes"]}
    found, waiting = {}, [graph["resolve"]["root"]]
    while waiting:
        package = packages[waiting.pop()]
        runs_in_compiler = any("proc-macro" in target["kind"] for target in package["targets"])
        if package["id"] in found or runs_in_compiler:
            continue
        found[package["id"]] = package
        for dependency in nodes[package["id"]]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                waiting.append(dependency["pkg"])
    return [package for package in found.values() if package["source"] is not None]


def texts(package):
    """What the crate's folder says of licences, without what differs in spaces alone."""
    folder = pathlib.Path(package["manifest_path"]).parent
    named = {folder / package["license_file"]} if package["license_file"] else set()
    files = named | {path for path in folder.iterdir() if path.is_file() and TEXT_FILES.fullmatch(path.name)}
    return [path.read_text(errors="replace").strip() for path in sorted(files)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=pathlib.Path)
    out = parser.parse_args().out
    crates = {(package["name"], package["version"]): package for target in TARGETS for package in linked(metadata(target))}
    of_text, without = collections.defaultdict(list), []
    for (name, version), package in sorted(crates.items()):
        label = f"{name} {version} ({package['license'] or 'see its text'})"
        own = texts(package)
        if not own and not package["license"]:
            sys.exit(f"{name} {version} names no licence")
        if not own:
            without.append(f"{label}, {package['repository'] or 'by its name in the registry of crates'}")
        for text in own:
            of_text[" ".join(text.split())].append((label, text))
    parts = ["What may be linked into Syncline's libraries, besides Rust's standard library (MIT OR Apache-2.0)."]
    if without:
        parts.append("\n".join(["Of these the author names the licence, and gives no text; the source is there:", "", *without]))
    for group in of_text.values():
        parts.append("\n".join(label for label, _ in group) + "\n\n" + group[0][1])
    out.write_text(f"\n\n{RULE}\n\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
