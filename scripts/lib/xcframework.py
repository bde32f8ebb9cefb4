"""Writes an xcframework from static libraries, as `xcodebuild -create-xcframework` does, on any system.

The platform and the architectures are read from the objects in a library, never from its path. Libraries for one
platform are merged.
"""

import argparse
import pathlib
import plistlib
import shutil
import subprocess
import sys

# LC_BUILD_VERSION's number, and otool's name for it: platform and variant.
PLATFORMS = {
    "2": ("ios", None),
    "IOS": ("ios", None),
    "7": ("ios", "simulator"),
    "IOSSIMULATOR": ("ios", "simulator"),
}


class XcframeworkError(Exception):
    """What the libraries do not allow."""


def platforms(load_commands):
    """Every platform that the members of a library were built for, from `otool -l`."""
    found, in_build_version = set(), False
    for line in load_commands.splitlines():
        words = line.split()
        if words[:1] == ["cmd"]:
            in_build_version = words[1] == "LC_BUILD_VERSION"
        elif in_build_version and words[:1] == ["platform"]:
            found.add(words[1])
    return found


def platform(library, load_commands):
    found = platforms(load_commands)
    if len(found) != 1 or not found <= PLATFORMS.keys():
        raise XcframeworkError(f"{library}: built for {sorted(found) or 'no platform'}, not for one known platform")
    return PLATFORMS[found.pop()]


def entry(name, kind, architectures):
    """A slice, as Info.plist describes it."""
    system, variant = kind
    identifier = "-".join(filter(None, [system, "_".join(architectures), variant]))
    described = {
        "BinaryPath": name,
        "HeadersPath": "Headers",
        "LibraryIdentifier": identifier,
        "LibraryPath": name,
        "SupportedArchitectures": architectures,
        "SupportedPlatform": system,
    }
    if variant:
        described["SupportedPlatformVariant"] = variant
    return described


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def write(out, libraries, headers, privacy, lipo, otool):
    slices = {}
    for library in libraries:
        slices.setdefault(platform(library, run(otool, "-l", str(library))), []).append(library)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    entries = []
    for kind, members in slices.items():
        architectures = sorted(name for member in members for name in run(lipo, "-archs", str(member)).split())
        described = entry(libraries[0].name, kind, architectures)
        entries.append(described)
        folder = out / described["LibraryIdentifier"]
        folder.mkdir()
        if len(members) == 1:
            shutil.copy(members[0], folder / libraries[0].name)
        else:
            run(lipo, "-create", *map(str, members), "-output", str(folder / libraries[0].name))
        shutil.copytree(headers, folder / "Headers")
        shutil.copy(privacy, folder / "PrivacyInfo.xcprivacy")
    with open(out / "Info.plist", "wb") as file:
        description = {"AvailableLibraries": entries, "CFBundlePackageType": "XFWK", "XCFrameworkFormatVersion": "1.0"}
        plistlib.dump(description, file)
    return entries


def main():
    parser = argparse.ArgumentParser(description="Writes an xcframework from static libraries")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("libraries", type=pathlib.Path, nargs="+")
    parser.add_argument("--headers", type=pathlib.Path, required=True)
    parser.add_argument("--privacy", type=pathlib.Path, required=True)
    parser.add_argument("--lipo", required=True)
    parser.add_argument("--otool", required=True)
    arguments = parser.parse_args()
    try:
        entries = write(
            arguments.out, arguments.libraries, arguments.headers, arguments.privacy, arguments.lipo, arguments.otool
        )
    except XcframeworkError as error:
        sys.exit(f"error: {error}")
    for described in entries:
        print(f"{arguments.out.name}: {described['LibraryIdentifier']}")


if __name__ == "__main__":
    main()
