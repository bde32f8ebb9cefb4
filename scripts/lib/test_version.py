import json
import pathlib
import shutil
import tempfile
import unittest

from version import MODULE, ROOT, SEMVER, found, write


class Version(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        (self.root / MODULE).mkdir()
        for name in ("Cargo.toml", f"{MODULE}/package.json", f"{MODULE}/package-lock.json"):
            shutil.copy(ROOT / name, self.root / name)

    def test_what_is_written_is_found_everywhere(self):
        write(self.root, "3.2.1-rc.1")
        self.assertEqual({version for said in found(self.root).values() for version in said}, {"3.2.1-rc.1"})

    def test_the_dependencies_between_our_crates_are_among_the_places(self):
        self.assertGreaterEqual(len(found(self.root)["Cargo.toml"]), 5)

    def test_writing_the_same_version_changes_no_byte(self):
        before = {path: path.read_text() for path in self.root.rglob("*.*") if path.is_file()}
        write(self.root, found(self.root)["Cargo.toml"][0])
        self.assertEqual({path: path.read_text() for path in before}, before)

    def test_a_manifest_of_another_version_is_found(self):
        path = self.root / MODULE / "package.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"version": "9.9.9"}))
        self.assertEqual(found(self.root)[f"{MODULE}/package.json"], ["9.9.9"])

    def test_a_word_is_not_a_version(self):
        self.assertIsNone(SEMVER.fullmatch("latest"))
        self.assertIsNotNone(SEMVER.fullmatch("1.2.3"))
