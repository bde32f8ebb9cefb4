"""Checks a library built for a phone, without running it. Prints a line with its size, or what is wrong with it."""

import argparse
import json
import pathlib
import plistlib
import re
import subprocess
import sys

from phone_stubs import SYMBOLS, read_symbols

# ABI: ELF machine and class.
MACHINES = {
    "arm64-v8a": ("EM_AARCH64", "64-bit"),
    "armeabi-v7a": ("EM_ARM", "32-bit"),
    "x86_64": ("EM_X86_64", "64-bit"),
    "x86": ("EM_386", "32-bit"),
}

# Android 15 has devices with pages of 16 KiB, all of them 64-bit.
PAGE_BYTES = 16 * 1024

# Bytes that a stripped library may have: what tells of something big that came in. `app` is what an app carries, and its
# limits are above the goal that size.py holds it to. `phone` is not optimised and built at every change.
SIZE_BYTES_MAX = {
    "app": {"arm64-v8a": 4_100_000, "armeabi-v7a": 3_000_000, "x86_64": 5_200_000, "x86": 5_200_000, "ios": 4_900_000},
    "phone": {"arm64-v8a": 30_000_000, "ios": 30_000_000},
}

# What Apple wants a reason for in the privacy manifest, by the functions that need it.
REASONED = {
    "NSPrivacyAccessedAPICategoryFileTimestamp": {
        "_stat", "_fstat", "_fstatat", "_lstat", "_getattrlist", "_fgetattrlist", "_getattrlistat", "_getattrlistbulk"
    },
    "NSPrivacyAccessedAPICategoryDiskSpace": {"_statfs", "_statvfs", "_fstatfs", "_fstatvfs"},
    "NSPrivacyAccessedAPICategorySystemBootTime": {"_mach_absolute_time"},
}


def called(binding):
    """The functions of the library that a generated binding declares, in Kotlin or in C."""
    return set(re.findall(r"\b((?:uniffi|ffi)_syncline_ffi_\w+)\s*\(", binding))


def not_exported(binding, exported):
    names = called(binding)
    if not names:
        return ["the binding calls nothing"]
    return [f"the binding calls {name}, which is not exported" for name in sorted(names - exported)]


def too_large(size, profile, kind):
    limit = SIZE_BYTES_MAX.get(profile, {}).get(kind)
    return [f"{size} bytes, at most {limit}"] if limit is not None and size > limit else []


def elf_errors(elf, abi, allowed, binding):
    """What is wrong with a shared library, as llvm-readobj describes it."""
    errors = []
    machine = elf["ElfHeader"]["Machine"]["Name"], elf["ElfHeader"]["Ident"]["Class"]["Name"]
    if machine != MACHINES[abi]:
        errors.append(f"is for {' '.join(machine)}, not for {' '.join(MACHINES[abi])}")
    headers = [header["ProgramHeader"] for header in elf["ProgramHeaders"]]
    loaded = [header["Alignment"] for header in headers if header["Type"]["Name"] == "PT_LOAD"]
    if MACHINES[abi][1] == "64-bit" and min(loaded, default=0) < PAGE_BYTES:
        errors.append(f"is aligned to {min(loaded, default=0)} bytes, not to pages of {PAGE_BYTES}")
    symbols = [entry["Symbol"] for entry in elf["DynamicSymbols"] if entry["Symbol"]["Name"]["Name"]]
    exported, imported = set(), set()
    for symbol in symbols:
        name = symbol["Name"]["Name"].partition("@")[0]
        if symbol["Section"]["Name"] != "Undefined":
            exported.add(name)
        # Whoever refers to a symbol weakly asks first whether it is there.
        elif symbol["Binding"]["Name"] != "Weak":
            imported.add(name)
    known = {name for names in allowed.values() for name in names}
    errors += [f"needs the system symbol {name}, which is not in android-symbols.txt" for name in sorted(imported - known)]
    unknown = set(elf["NeededLibraries"]) - {f"{library}.so" for library in allowed}
    errors += [f"needs the library {name}" for name in sorted(unknown)]
    return errors + not_exported(binding, exported)


def manifest_errors(imported, manifest):
    """Functions that are called, and whose reason the privacy manifest does not give."""
    given = {entry["NSPrivacyAccessedAPIType"] for entry in manifest["NSPrivacyAccessedAPITypes"]}
    errors = []
    for category, functions in REASONED.items():
        # Apple's older 64-bit variants have a suffix.
        used = sorted(name for name in imported if name.partition("$")[0] in functions)
        if used and category not in given:
            errors.append(f"calls {', '.join(used)}; PrivacyInfo.xcprivacy does not have {category}")
    return errors


def symbols_by_nm(nm, option, path):
    out = subprocess.run([nm, option, path], check=True, capture_output=True, text=True).stdout
    return {line.split()[-1] for line in out.splitlines() if line.strip() and not line.endswith(":")}


def inspect_android(arguments):
    command = [arguments.readobj, "--elf-output-style=JSON", "--file-header", "--program-headers", "--needed-libs", "--dyn-syms"]
    out = subprocess.run([*command, arguments.library], check=True, capture_output=True, text=True).stdout
    allowed = read_symbols(SYMBOLS / "android-symbols.txt", arguments.abi)
    errors = elf_errors(json.loads(out)[0], arguments.abi, allowed, arguments.binding.read_text())
    size = arguments.library.stat().st_size
    return arguments.abi, size, errors + too_large(size, arguments.profile, arguments.abi)


def inspect_ios(arguments):
    exported = {name.removeprefix("_") for name in symbols_by_nm(arguments.nm, "--defined-only", arguments.library)}
    errors = not_exported(arguments.binding.read_text(), exported)
    target = arguments.library.parent.parent.name
    linked = arguments.library.with_name(arguments.library.name + ".linked.dylib")
    if not linked.exists():
        return target, arguments.library.stat().st_size, errors
    with open(arguments.privacy, "rb") as file:
        manifest = plistlib.load(file)
    errors += manifest_errors(symbols_by_nm(arguments.nm, "--undefined-only", linked), manifest)
    stripped = linked.with_suffix(".stripped")
    subprocess.run([arguments.strip, "-x", "-o", stripped, linked], check=True)
    size = stripped.stat().st_size
    return f"{target}, linked", size, errors + too_large(size, arguments.profile, "ios")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kinds = parser.add_subparsers(dest="kind", required=True)
    for kind in ("android", "ios"):
        options = kinds.add_parser(kind)
        options.add_argument("library", type=pathlib.Path)
        options.add_argument("--binding", type=pathlib.Path, required=True)
        options.add_argument("--profile", required=True)
        if kind == "android":
            options.add_argument("--abi", choices=MACHINES, required=True)
            options.add_argument("--readobj", required=True)
        else:
            options.add_argument("--nm", required=True)
            options.add_argument("--strip", required=True)
            options.add_argument("--privacy", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    inspect = inspect_android if arguments.kind == "android" else inspect_ios
    name, size, errors = inspect(arguments)
    for error in errors:
        print(f"error: {arguments.library.name} for {name}: {error}", file=sys.stderr)
    if errors:
        sys.exit(1)
    print(f"{name}: {size} bytes")


if __name__ == "__main__":
    main()
