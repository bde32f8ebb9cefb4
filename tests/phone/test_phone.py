"""The libraries for phones, compiled and linked without an SDK, and mistakes that the builds must catch.

SYNCLINE_FULL builds for every ABI and target, and the sizes that an app carries. SYNCLINE_PHONE_SKIP says why nothing
can be compiled here.
"""

import functools
import os
import pathlib
import plistlib
import signal
import struct
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
OUT = ROOT / "target/phone"
LLVM = "22"
PROFILE = "phone"
FULL = bool(os.environ.get("SYNCLINE_FULL"))
SKIP = os.environ.get("SYNCLINE_PHONE_SKIP")

ARM64 = OUT / "android/jniLibs/arm64-v8a/libsyncline_ffi.so"
KOTLIN = OUT / "android/kotlin/dev/syncline/core/syncline_ffi.kt"
FRAMEWORK = OUT / "ios/Frameworks/SynclineFFI.xcframework"
DEVICE = OUT / "aarch64-apple-ios" / PROFILE / "libsyncline_ffi.a"
MANIFEST = ROOT / "react-native-module/ios/PrivacyInfo.xcprivacy"

# A build from nothing on a busy machine.
BUILD_S_MAX = 3_000


def run(*command):
    """The exit code of a command, and all that it said. One that takes too long is ended, with all that it started."""
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        said, _ = process.communicate(timeout=BUILD_S_MAX)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        said, _ = process.communicate()
        said += f"\nended after {BUILD_S_MAX} s"
    return process.returncode, said


@functools.cache
def android():
    chosen = [] if FULL else ["--abi", "arm64-v8a"]
    return run("scripts/build-android", "--stubs", "--profile", PROFILE, *chosen)


@functools.cache
def ios():
    chosen = [] if FULL else ["--target", "aarch64-apple-ios"]
    return run("scripts/build-ios", "--stubs", "--profile", PROFILE, *chosen)


def in_phone_shell(script):
    """Runs what build-android and build-ios are made of."""
    prelude = "set -euo pipefail; source scripts/lib/phone.sh; install_cargo_ndk; use_stub_tools; "
    prelude += 'export ANDROID_NDK_HOME="$stub_ndk"; '
    return run("bash", "-c", prelude + script)


def plant(function, target, feature):
    """Builds the crate of mistakes with one of them, or with none."""
    chosen = f"build_std+=(--features {feature}); " if feature else ""
    stubs = " stubs" if function == "ios_library" else ""
    manifest = "tests/phone/plants/Cargo.toml"
    return in_phone_shell(f"{chosen}{function} {manifest} plants {target} {PROFILE}{stubs}")


def inspect(*arguments):
    return run(sys.executable, "scripts/lib/phone_inspect.py", *map(str, arguments))


def inspect_android(library=ARM64, abi="arm64-v8a", binding=KOTLIN):
    options = ["--abi", abi, "--readobj", f"llvm-readobj-{LLVM}", "--binding", binding, "--profile", PROFILE]
    return inspect("android", library, *options)


def inspect_ios(binding=None, privacy=MANIFEST):
    binding = binding or FRAMEWORK / "ios-arm64/Headers/SynclineFFI/SynclineFFI.h"
    options = ["--nm", f"llvm-nm-{LLVM}", "--strip", f"llvm-strip-{LLVM}", "--binding", binding]
    return inspect("ios", DEVICE, *options, "--profile", PROFILE, "--privacy", privacy)


@unittest.skipIf(SKIP, SKIP)
class Phone(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def assert_built(self, outcome):
        code, said = outcome
        self.assertEqual(code, 0, said)
        return said

    def assert_measured(self, outcome):
        """It was built, and says how large it is."""
        print(*(line for line in self.assert_built(outcome).splitlines() if " bytes" in line), sep="\n")

    def assert_caught(self, outcome, *names):
        code, said = outcome
        self.assertNotEqual(code, 0, said)
        for name in names:
            self.assertIn(name, said)


class Android(Phone):
    def setUp(self):
        super().setUp()
        self.assert_built(android())

    def test_the_library_links_and_passes_every_check(self):
        self.assertIn("arm64-v8a: ", self.assert_built(inspect_android()))

    def test_a_library_of_another_architecture_is_caught(self):
        self.assert_caught(inspect_android(abi="x86_64"), "EM_AARCH64")

    def test_pages_of_4_kb_are_caught(self):
        library = self.folder / ARM64.name
        library.write_bytes(with_alignment(ARM64.read_bytes(), 4096))
        self.assert_caught(inspect_android(library), "aligned to 4096")

    def test_a_function_that_is_not_exported_is_caught(self):
        binding = self.folder / "binding.kt"
        binding.write_text(KOTLIN.read_text() + "\nexternal fun uniffi_syncline_ffi_fn_forgotten(): Unit\n")
        self.assert_caught(inspect_android(binding=binding), "uniffi_syncline_ffi_fn_forgotten")

    @unittest.skipUnless(FULL, "only with --full: the optimised build takes minutes")
    def test_what_an_app_carries_is_small_enough(self):
        for abi in ("arm64-v8a", "armeabi-v7a", "x86_64", "x86"):
            with self.subTest(abi):
                self.assert_measured(run("scripts/bench", "size", "--abi", abi))

    def test_the_core_compiles_for_32_bits(self):
        self.assert_built(in_phone_shell(f"android_check Cargo.toml syncline-ffi armeabi-v7a {PROFILE}"))


class Ios(Phone):
    def setUp(self):
        super().setUp()
        self.assert_built(ios())

    def test_the_library_links_and_passes_every_check(self):
        self.assertIn("aarch64-apple-ios, linked: ", self.assert_built(inspect_ios()))

    @unittest.skipUnless(FULL, "only with --full: the optimised build takes minutes")
    def test_what_an_app_carries_is_small_enough(self):
        for target in ("aarch64-apple-ios", "aarch64-apple-ios-sim", "x86_64-apple-ios"):
            with self.subTest(target):
                options = ["--target", target, "--out", str(self.folder)]
                self.assert_measured(run("scripts/build-ios", "--stubs", "--profile", "app", *options))

    def test_the_framework_says_what_it_holds(self):
        with open(FRAMEWORK / "Info.plist", "rb") as file:
            slices = plistlib.load(file)["AvailableLibraries"]
        wanted = {"ios-arm64", "ios-arm64_x86_64-simulator"} if FULL else {"ios-arm64"}
        self.assertEqual({entry["LibraryIdentifier"] for entry in slices}, wanted)
        for entry in slices:
            self.assertTrue((FRAMEWORK / entry["LibraryIdentifier"] / entry["LibraryPath"]).is_file())

    def test_clang_imports_the_module_from_the_framework(self):
        source = self.folder / "import.m"
        source.write_text("@import SynclineFFI;\nRustBuffer buffer;\n")
        headers = FRAMEWORK / "ios-arm64/Headers"
        options = ["-fmodules", f"-fmodules-cache-path={self.folder}", "-ffreestanding", "-fsyntax-only", "-I", str(headers)]
        self.assert_built(run(f"clang-{LLVM}", "--target=arm64-apple-ios16.4", *options, str(source)))

    def test_a_function_that_is_not_exported_is_caught(self):
        binding = self.folder / "binding.h"
        binding.write_text("void uniffi_syncline_ffi_fn_forgotten(void);\n")
        self.assert_caught(inspect_ios(binding=binding), "uniffi_syncline_ffi_fn_forgotten")

    def test_a_privacy_manifest_without_a_reason_is_caught(self):
        with open(MANIFEST, "rb") as file:
            manifest = plistlib.load(file)
        manifest["NSPrivacyAccessedAPITypes"] = []
        privacy = self.folder / "PrivacyInfo.xcprivacy"
        privacy.write_bytes(plistlib.dumps(manifest))
        self.assert_caught(inspect_ios(privacy=privacy), "NSPrivacyAccessedAPICategoryFileTimestamp")


class Plants(Phone):
    def test_what_is_sound_links_for_android(self):
        self.assert_built(plant("android_library", "arm64-v8a", None))

    def test_a_symbol_of_android_api_30_is_caught(self):
        self.assert_caught(plant("android_library", "arm64-v8a", "api-30"), "pthread_cond_clockwait")

    def test_what_is_sound_links_for_ios(self):
        self.assert_built(plant("ios_library", "aarch64-apple-ios", None))

    def test_a_call_that_only_linux_has_is_caught(self):
        self.assert_caught(plant("ios_library", "aarch64-apple-ios", "linux-only"), "epoll_create1")

    def test_a_number_of_64_bits_is_caught(self):
        self.assert_caught(plant("android_check", "armeabi-v7a", "pointer-width"), "out of range for `usize`")


def with_alignment(elf, alignment):
    """A 64-bit library, with its loaded segments said to be aligned to something else."""
    elf = bytearray(elf)
    (table,) = struct.unpack_from("<Q", elf, 32)
    size, count = struct.unpack_from("<HH", elf, 54)
    for header in range(table, table + size * count, size):
        if struct.unpack_from("<I", elf, header)[0] == 1:
            struct.pack_into("<Q", elf, header + 48, alignment)
    return bytes(elf)


if __name__ == "__main__":
    unittest.main()
