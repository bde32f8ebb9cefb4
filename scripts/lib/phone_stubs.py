"""Writes what stands in for the SDKs of phones where there are none: enough to compile and to link, not to run.

- ndk/: a folder shaped like Android's NDK, with system libraries that export the symbols of android-symbols.txt
  and nothing else. So a symbol that the oldest supported Android lacks does not link.
- iPhoneOS.sdk, iPhoneSimulator.sdk: text stubs of Apple's libraries with the symbols of ios-symbols.txt.
"""

import argparse
import pathlib
import shutil
import subprocess

SYMBOLS = pathlib.Path(__file__).resolve().parent.parent / "phone"

# ABI name in the lists, folder in an NDK, clang's target.
ANDROID = [
    ("arm64-v8a", "aarch64-linux-android", "aarch64-linux-android"),
    ("armeabi-v7a", "arm-linux-androideabi", "armv7a-linux-androideabi"),
    ("x86_64", "x86_64-linux-android", "x86_64-linux-android"),
    ("x86", "i686-linux-android", "i686-linux-android"),
]

APPLE_TARGETS = "[ arm64-ios, arm64-ios-simulator, x86_64-ios-simulator ]"

# What clang of a real NDK is told by its own folder. There are no headers: ring needs none.
CLANG = """#!/bin/bash
here="$(cd "$(dirname "${{BASH_SOURCE[0]}}")" && pwd)"
exec {clang} --sysroot="$here/../sysroot" -nostdlibinc -DRING_CORE_NOSTDLIBINC=1 -D__MM_MALLOC_H=1 \\
  -fuse-ld=lld -B"$here" -Wno-unused-command-line-argument "$@"
"""

# The unwinder is linked statically from the NDK, so its symbols are not the system's.
UNWIND = [
    "_Unwind_Backtrace",
    "_Unwind_DeleteException",
    "_Unwind_FindEnclosingFunction",
    "_Unwind_GetCFA",
    "_Unwind_GetDataRelBase",
    "_Unwind_GetIP",
    "_Unwind_GetIPInfo",
    "_Unwind_GetLanguageSpecificData",
    "_Unwind_GetRegionStart",
    "_Unwind_GetTextRelBase",
    "_Unwind_RaiseException",
    "_Unwind_Resume",
    "_Unwind_SetGR",
    "_Unwind_SetIP",
]
UNWIND_ARM = ["_Unwind_VRS_Get", "_Unwind_VRS_Set", "__aeabi_unwind_cpp_pr0", "__aeabi_unwind_cpp_pr1", "__gnu_unwind_frame"]


def read_symbols(path, abi=None):
    """The symbols of a list, by library. A line may name the ABIs that it holds for: `name  abi abi`."""
    libraries, names = {}, None
    for line in path.read_text().splitlines():
        words = line.partition("#")[0].split()
        if not words:
            continue
        if words[0].startswith("["):
            names = libraries.setdefault(words[0].strip("[]"), [])
        elif abi is None or len(words) == 1 or abi in words[1:]:
            names.append(words[0])
    return libraries


def assemble(out, llvm, target, names, directives):
    """An object that defines `names` as empty functions."""
    lines = [f".text\n.globl {name}\n{directives.format(name=name)}{name}:\n" for name in names]
    command = [f"clang-{llvm}", f"--target={target}", "-c", "-x", "assembler", "-", "-o", str(out)]
    subprocess.run(command, input="".join(lines), text=True, check=True)


def write_ndk_tools(root, llvm):
    host = root / "toolchains/llvm/prebuilt/linux-x86_64"
    tools = host / "bin"
    tools.mkdir(parents=True)
    # From 28 on, the linker's own default is a page of 16 KB; the scripts ask for it in any case.
    (root / "source.properties").write_text("Pkg.Desc = Stub NDK\nPkg.Revision = 28.0.0\n")
    for name in ("ar", "ranlib", "nm", "strip", "readelf", "readobj"):
        (tools / f"llvm-{name}").symlink_to(f"/usr/bin/llvm-{name}-{llvm}")
    (tools / "ld.lld").symlink_to(f"/usr/bin/ld.lld-{llvm}")
    for name in ("clang", "clang++"):
        (tools / name).write_text(CLANG.format(clang=f"/usr/bin/{name}-{llvm}"))
        (tools / name).chmod(0o755)
    return host / "sysroot"


def write_android(root, llvm, api):
    sysroot = write_ndk_tools(root, llvm)
    for abi, folder, target in ANDROID:
        libraries = sysroot / "usr/lib" / folder / str(api)
        libraries.mkdir(parents=True)
        target = f"{target}{api}"
        stub = libraries / "stub.o"
        for name, symbols in read_symbols(SYMBOLS / "android-symbols.txt", abi).items():
            assemble(stub, llvm, target, symbols, ".type {name},%function\n")
            shared = libraries / f"{name}.so"
            subprocess.run([f"ld.lld-{llvm}", "-shared", f"-soname={name}.so", "-o", shared, stub], check=True)
        unwind = UNWIND + (UNWIND_ARM if abi == "armeabi-v7a" else [])
        assemble(stub, llvm, target, unwind, ".hidden {name}\n.type {name},%function\n")
        subprocess.run([f"llvm-ar-{llvm}", "rcs", libraries / "libunwind.a", stub], check=True)
        stub.unlink()
        for name in ("crtbegin_so.o", "crtend_so.o"):
            assemble(libraries / name, llvm, target, [], "")


def write_apple(root, libraries):
    for name, symbols in libraries.items():
        if name.startswith("lib"):
            path, install = f"usr/lib/{name}.tbd", f"/usr/lib/{name}.dylib"
        else:
            path = f"System/Library/Frameworks/{name}.framework/{name}.tbd"
            install = f"/System/Library/Frameworks/{name}.framework/{name}"
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(
            f"--- !tapi-tbd\ntbd-version: 4\ntargets: {APPLE_TARGETS}\ninstall-name: '{install}'\n"
            f"exports:\n  - targets: {APPLE_TARGETS}\n    symbols: [ {', '.join(symbols)} ]\n...\n"
        )


def main():
    parser = argparse.ArgumentParser(description="Writes stub SDKs")
    parser.add_argument("--api", type=int, required=True)
    parser.add_argument("--llvm", required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    out = arguments.out
    # Written anew only when something changed: cargo rebuilds what a linker's new date touches.
    sources = [pathlib.Path(__file__), SYMBOLS / "android-symbols.txt", SYMBOLS / "ios-symbols.txt"]
    wanted = f"{arguments.api} {arguments.llvm}\n" + "".join(source.read_text() for source in sources)
    stamp = out / "stamp"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    shutil.rmtree(out, ignore_errors=True)
    (out / "include").mkdir(parents=True)
    # The one header of Apple's that ring includes.
    (out / "include/TargetConditionals.h").write_text("#define TARGET_OS_IPHONE 1\n")
    write_android(out / "ndk", arguments.llvm, arguments.api)
    libraries = read_symbols(SYMBOLS / "ios-symbols.txt")
    for sdk in ("iPhoneOS.sdk", "iPhoneSimulator.sdk"):
        write_apple(out / sdk, libraries)
    stamp.write_text(wanted)


if __name__ == "__main__":
    main()
