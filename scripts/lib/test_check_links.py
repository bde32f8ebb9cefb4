import tempfile
import unittest
from pathlib import Path

from check_links import check


class CheckLinks(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        (self.folder / "other.md").write_text("# One `two`: three\n\n## Same\n\n## Same\n")

    def problems(self, text: str) -> list[str]:
        file = self.folder / "file.md"
        file.write_text(text)
        return [problem.removeprefix(f"{file}:") for problem in check(file)]

    def test_links_that_lead_somewhere_pass(self):
        text = "# Here\n[a](other.md) [b](other.md#one-two-three) [c](#here) [d](other.md#same-1) [e](https://x.y/z)\n"
        self.assertEqual(self.problems(text), [])

    def test_a_missing_file_is_named_with_its_line(self):
        self.assertEqual(self.problems("\n[a](gone.md)\n"), ["2: gone.md does not exist"])

    def test_a_missing_heading_is_named(self):
        self.assertEqual(
            self.problems("[a](other.md#two)"), ["1: other.md#two names a heading that does not exist"]
        )

    def test_a_reference_definition_is_followed(self):
        self.assertEqual(self.problems("[a]: gone.md"), ["1: gone.md does not exist"])

    def test_an_absolute_link_is_refused(self):
        self.assertEqual(self.problems("[a](/other.md)"), ["1: /other.md is absolute: it works on no checkout"])

    def test_code_is_not_read(self):
        self.assertEqual(self.problems("```\n[a](gone.md)\n```\n`[b](gone.md)`\n"), [])


if __name__ == "__main__":
    unittest.main()
