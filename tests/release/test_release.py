"""What `scripts/release --dry-run` puts together, looked into as those who install it would.

SYNCLINE_PHONE_SKIP says why nothing can be compiled for phones here.
"""

import hashlib
import io
import json
import os
import pathlib
import re
import subprocess
import tarfile
import tomllib
import unittest
import zipfile
from xml.etree import ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SKIP = os.environ.get("SYNCLINE_PHONE_SKIP")

LIBRARY = "libsyncline_ffi.so"
ELF = b"\x7fELF"
CRATES = {"syncline-protocol", "syncline", "syncline-ffi", "syncline-server"}


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@unittest.skipIf(SKIP, SKIP)
class Release(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        done = subprocess.run(
            ["scripts/release", "--dry-run"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert done.returncode == 0, done.stdout
        cls.version = subprocess.run(
            ["python3", "scripts/lib/version.py"], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout.strip()
        cls.out = ROOT / f"target/release-{cls.version}"

    def packed(self, path):
        """The files of a tarball, by their paths in it."""
        with tarfile.open(path) as archive:
            members = [member for member in archive.getmembers() if member.isfile()]
            return {member.name: archive.extractfile(member).read() for member in members}

    def zipped(self, content):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    def sbom(self, name):
        described = json.loads((self.out / name).read_text())
        self.assertEqual(described["bomFormat"], "CycloneDX")
        return {component["name"] for component in described["components"]}

    def test_every_file_has_its_checksum(self):
        lines = (self.out / "SHA256SUMS").read_text().splitlines()
        sums = {name: checksum for checksum, name in (line.split("  ", 1) for line in lines)}
        files = {path.relative_to(self.out).as_posix(): path for path in self.out.rglob("*") if path.is_file()}
        self.assertEqual(set(sums), set(files) - {"SHA256SUMS"})
        for name, checksum in sums.items():
            self.assertEqual(sha256(files[name].read_bytes()), checksum, name)

    def test_the_npm_package_holds_what_it_exports_and_the_binaries(self):
        files = self.packed(self.out / f"expo-syncline-{self.version}.tgz")
        manifest = json.loads(files["package/package.json"])
        self.assertEqual(manifest["version"], self.version)
        exported = [path for entry in manifest["exports"].values() for path in targets(entry)]
        for path in [manifest["main"], manifest["types"], *exported]:
            self.assertIn(f"package/{path.removeprefix('./')}", files)
        self.assertEqual(files[f"package/android/src/main/jniLibs/arm64-v8a/{LIBRARY}"][:4], ELF)
        framework = "package/ios/Frameworks/SynclineFFI.xcframework/"
        self.assertTrue(any(name.startswith(framework) and name.endswith(".a") for name in files))

    def test_the_android_archive_holds_classes_and_libraries(self):
        folder = self.out / "maven/dev/syncline/syncline-core" / self.version
        files = self.zipped((folder / f"syncline-core-{self.version}.aar").read_bytes())
        self.assertEqual(files[f"jni/arm64-v8a/{LIBRARY}"][:4], ELF)
        self.assertIn(b"com.sun.jna", files["proguard.txt"])
        classes = self.zipped(files["classes.jar"])
        for name in ("core/SynclineClient", "SyncClient", "SystemTrust"):
            self.assertEqual(classes[f"dev/syncline/{name}.class"][:4], b"\xca\xfe\xba\xbe")
        pom = ElementTree.parse(folder / f"syncline-core-{self.version}.pom").getroot()
        self.assertEqual(pom.findtext("{*}version"), self.version)

    def test_the_swift_package_names_the_framework_by_its_checksum(self):
        framework = (self.out / "SynclineFFI.xcframework.zip").read_bytes()
        package = self.zipped((self.out / f"syncline-swift-{self.version}.zip").read_bytes())
        manifest = package["Package.swift"].decode()
        self.assertIn(f'checksum: "{sha256(framework)}"', manifest)
        self.assertIn(f"/v{self.version}/SynclineFFI.xcframework.zip", manifest)
        self.assertNotRegex(manifest, r"@[A-Z]+@")
        self.assertIn("Sources/Syncline/SyncClient.swift", package)
        self.assertIn("SynclineFFI.xcframework/Info.plist", self.zipped(framework))

    def test_whatever_holds_the_library_holds_the_licences_of_what_is_linked_into_it(self):
        npm = self.packed(self.out / f"expo-syncline-{self.version}.tgz")
        archive = f"maven/dev/syncline/syncline-core/{self.version}/syncline-core-{self.version}.aar"
        swift = self.zipped((self.out / f"syncline-swift-{self.version}.zip").read_bytes())
        licences = [
            npm["package/LICENSE-THIRD-PARTY"],
            self.zipped((self.out / archive).read_bytes())["LICENSE-THIRD-PARTY"],
            swift["LICENSE-THIRD-PARTY"],
        ]
        self.assertEqual(len(set(licences)), 1)
        text = licences[0].decode()
        linked = set(re.findall(r"(?m)^([a-z0-9_-]+) [0-9][^ ]* \(", text))
        self.assertTrue({"sled", "rustls", "ring", "tokio", "uniffi_core"} <= linked, linked)
        self.assertFalse({"syncline", "proptest"} & linked)
        self.assertIn("Permission is hereby granted", text)

    def test_the_crates_depend_on_each_other_by_version(self):
        found = set()
        for path in (self.out / "crates").iterdir():
            files = self.packed(path)
            manifest = tomllib.loads(files[f"{path.stem}/Cargo.toml"].decode())
            found.add(manifest["package"]["name"])
            self.assertEqual(manifest["package"]["version"], self.version)
            for name, dependency in manifest.get("dependencies", {}).items():
                self.assertNotIn("path", dependency, f"{path.name}: {name}")
                if name in CRATES:
                    self.assertEqual(dependency["version"], self.version, f"{path.name}: {name}")
        self.assertEqual(found, CRATES)

    def test_the_bills_of_materials_are_those_of_each_target(self):
        android = self.sbom("sbom-aarch64-linux-android.cdx.json")
        ios = self.sbom("sbom-aarch64-apple-ios.cdx.json")
        for name in ("syncline", "sled", "rustls", "tokio", "uniffi"):
            self.assertIn(name, android)
            self.assertIn(name, ios)
        # Android's own judge of certificates is asked through Kotlin.
        self.assertNotIn("rustls-platform-verifier", android)
        self.assertIn("rustls-platform-verifier", ios)
        self.assertIsInstance(self.sbom("sbom-npm.cdx.json"), set)

    def test_the_notes_are_one_section_of_the_changelog(self):
        notes = (self.out / "notes.md").read_text()
        self.assertIn("### Added", notes)
        self.assertIsNone(re.search(r"(?m)^## ", notes))


def targets(entry):
    return [entry] if isinstance(entry, str) else list(entry.values())


if __name__ == "__main__":
    unittest.main()
