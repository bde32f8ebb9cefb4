import pathlib
import tempfile
import unittest

from phone_stubs import SYMBOLS, read_symbols


class PhoneStubs(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name) / "symbols.txt"
        self.path.write_text("# a comment\n[libc]\nmemcpy\nlseek64  armeabi-v7a x86  # only there\n\n[libm]\nexp\n")

    def test_symbols_belong_to_the_library_above_them(self):
        self.assertEqual(read_symbols(self.path), {"libc": ["memcpy", "lseek64"], "libm": ["exp"]})

    def test_a_line_may_hold_for_some_abis_only(self):
        self.assertEqual(read_symbols(self.path, "x86")["libc"], ["memcpy", "lseek64"])
        self.assertEqual(read_symbols(self.path, "arm64-v8a")["libc"], ["memcpy"])

    def test_the_lists_are_sorted_and_name_nothing_twice(self):
        for name in ("android-symbols.txt", "ios-symbols.txt"):
            for library, symbols in read_symbols(SYMBOLS / name).items():
                self.assertEqual(symbols, sorted(set(symbols)), f"{name}, {library}")
