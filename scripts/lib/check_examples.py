"""check_examples.py FILE.md SOURCE...: the Kotlin and Swift code in a Markdown file is that of tests, which compile and run.

In a source, an example lies between the lines `// example` and `// end`. Each block of code in the Markdown file must be one
of them, and each of them must be quoted there. Prints what is not, and exits with 1.
"""

import re
import sys
import textwrap
from pathlib import Path

LANGUAGES = {".kt": "kotlin", ".swift": "swift"}
BLOCK = re.compile(r"^```(kotlin|swift)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLE = re.compile(r"^[ \t]*// example\n(.*?)^[ \t]*// end$", re.MULTILINE | re.DOTALL)


def quoted(markdown: str) -> set[tuple[str, str]]:
    """The blocks of code, each with its language."""
    return set(BLOCK.findall(markdown))


def examples(source: Path) -> set[tuple[str, str]]:
    """The examples of a source, each with its language."""
    texts = EXAMPLE.findall(source.read_text(encoding="utf-8"))
    return {(LANGUAGES[source.suffix], textwrap.dedent(text)) for text in texts}


def main(arguments: list[str]) -> int:
    document, *sources = map(Path, arguments)
    blocks = quoted(document.read_text(encoding="utf-8"))
    known = set().union(*map(examples, sources))
    for what, difference in (("is no example of a test", blocks - known), ("is not quoted", known - blocks)):
        for language, text in sorted(difference):
            print(f"{document}: {language} that {what}:\n{textwrap.indent(text, '    ')}")
    if not known:
        print("there is no example")
    return int(blocks != known or not known)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
