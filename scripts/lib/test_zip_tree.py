import pathlib
import tempfile
import unittest
import zipfile

from zip_tree import tree, write_zip


class ZipTree(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "a/b").mkdir(parents=True)
        (self.folder / "a/b/c").write_text("c")
        (self.folder / "d").write_text("d")

    def test_names_are_relative_to_the_folder(self):
        self.assertEqual(set(tree(self.folder)), {"a/b/c", "d"})
        self.assertEqual(set(tree(self.folder, "a")), {"a/b/c"})

    def test_the_same_files_give_the_same_bytes(self):
        files = tree(self.folder)
        archives = [self.folder / "1.zip", self.folder / "2.zip"]
        write_zip(archives[0], files)
        write_zip(archives[1], dict(reversed(files.items())))
        self.assertEqual(archives[0].read_bytes(), archives[1].read_bytes())
        with zipfile.ZipFile(archives[0]) as archive:
            self.assertEqual(archive.read("a/b/c"), b"c")
