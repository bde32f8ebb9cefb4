"""Prints the version, or with --set writes it. The workspace in Cargo.toml has it; npm's manifests must repeat it, and so
must the dependencies between our crates. Fails where one of them says something else."""

import argparse
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
MODULE = "react-native-module"
OWN = re.compile(r'(?m)^(?P<before>version = ")[^"]*(?=")')
BETWEEN = re.compile(r'(?m)^(?P<before>syncline[\w-]* = \{ path = "[^"]*", version = ")[^"]*(?=")')
SEMVER = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?")


def found(root):
    """Every place that states the version, and what it says."""
    cargo = (root / "Cargo.toml").read_text()
    places = {"Cargo.toml": [match[0].rpartition('"')[2] for pattern in (OWN, BETWEEN) for match in pattern.finditer(cargo)]}
    package = json.loads((root / MODULE / "package.json").read_text())
    lock = json.loads((root / MODULE / "package-lock.json").read_text())
    places[f"{MODULE}/package.json"] = [package["version"]]
    places[f"{MODULE}/package-lock.json"] = [lock["version"], lock["packages"][""]["version"]]
    return places


def write(root, version):
    cargo = root / "Cargo.toml"
    text = cargo.read_text()
    for pattern in (OWN, BETWEEN):
        text = pattern.sub(rf"\g<before>{version}", text)
    cargo.write_text(text)
    package = root / MODULE / "package.json"
    package.write_text(re.sub(r'(?m)^(  "version": ")[^"]*', rf"\g<1>{version}", package.read_text(), count=1))
    lock = root / MODULE / "package-lock.json"
    content = json.loads(lock.read_text())
    content["version"] = content["packages"][""]["version"] = version
    lock.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def main():
    parser = argparse.ArgumentParser(description="Prints or writes the version")
    parser.add_argument("--set")
    arguments = parser.parse_args()
    if arguments.set is not None:
        if not SEMVER.fullmatch(arguments.set):
            sys.exit(f"error: {arguments.set} is not a version such as 1.2.3")
        write(ROOT, arguments.set)
        print("run cargo update --workspace --offline, so that Cargo.lock follows", file=sys.stderr)
    places = found(ROOT)
    version = places["Cargo.toml"][0]
    wrong = {place: said for place, said in places.items() if set(said) != {version}}
    if wrong:
        sys.exit(f"error: the workspace has version {version}, but {wrong}")
    print(version)


if __name__ == "__main__":
    main()
