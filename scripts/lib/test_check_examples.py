"""What check_examples.py takes for quoted."""

import contextlib
import io
import tempfile
import unittest
from pathlib import Path

import check_examples


class Examples(unittest.TestCase):
    def check(self, markdown, source):
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()) as said:
            document, test = Path(folder, "doc.md"), Path(folder, "Test.kt")
            document.write_text(markdown, encoding="utf-8")
            test.write_text(source, encoding="utf-8")
            return check_examples.main([str(document), str(test)]), said.getvalue()

    SOURCE = "fun f() {\n  // example\n  a {\n    b()\n  }\n  // end\n}\n"

    def test_an_example_is_quoted_without_its_indentation(self):
        self.assertEqual(self.check("Text\n\n```kotlin\na {\n  b()\n}\n```\n", self.SOURCE), (0, ""))

    def test_another_text_is_found(self):
        code, said = self.check("```kotlin\na {\n  c()\n}\n```\n", self.SOURCE)
        self.assertEqual(code, 1)
        self.assertIn("is no example of a test", said)
        self.assertIn("is not quoted", said)

    def test_another_language_is_no_quotation(self):
        self.assertEqual(self.check("```swift\na {\n  b()\n}\n```\n", self.SOURCE)[0], 1)

    def test_an_example_that_nobody_quotes_is_found(self):
        self.assertEqual(self.check("```js\nelse()\n```\n", self.SOURCE)[0], 1)

    def test_sources_without_an_example_are_a_mistake(self):
        self.assertEqual(self.check("Text\n", "fun f() {}\n")[0], 1)


if __name__ == "__main__":
    unittest.main()
