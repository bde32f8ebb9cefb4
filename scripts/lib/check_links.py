"""check_links.py FILE...: every relative link and anchor in Markdown files leads somewhere.

Links to other sites are not followed. Prints "FILE:LINE: reason" for each broken one and exits with 1.
"""

import re
import sys
from pathlib import Path
from urllib.parse import unquote

LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?[^)]*\)")
DEFINITION = re.compile(r"^ {0,3}\[[^\]]+\]:\s*<?(\S+?)>?(?:\s|$)")
HEADING = re.compile(r"^ {0,3}#{1,6}\s+(.*?)\s*#*\s*$")
HTML_ANCHOR = re.compile(r"""<a\s+(?:id|name)=["']([^"']+)["']""")
FENCE = re.compile(r"^ {0,3}(```+|~~~+)")
CODE_SPAN = re.compile(r"(`+)(?:(?!\1).)*\1")


def prose(text: str):
    """The numbered lines outside fenced code."""
    fence = None
    for number, line in enumerate(text.splitlines(), 1):
        if match := FENCE.match(line):
            if fence is None:
                fence = match[1]
            elif match[1].startswith(fence):
                fence = None
        elif fence is None:
            yield number, line


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


def anchors(path: Path) -> set[str]:
    """All anchors of a Markdown file; a repeated heading is numbered."""
    found: set[str] = set()
    for _, line in prose(path.read_text(encoding="utf-8")):
        found.update(HTML_ANCHOR.findall(line))
        if match := HEADING.match(line):
            name, count = slug(match[1]), 0
            while (unique := f"{name}-{count}" if count else name) in found:
                count += 1
            found.add(unique)
    return found


def broken(path: Path, target: str) -> str | None:
    """Why a link in a file leads nowhere."""
    if re.match(r"^[a-z][a-z0-9+.-]*:", target, re.IGNORECASE):
        return None
    name, _, anchor = target.partition("#")
    if name.startswith("/"):
        return f"{target} is absolute: it works on no checkout"
    file = path.parent / unquote(name) if name else path
    if not file.exists():
        return f"{target} does not exist"
    if anchor and file.suffix == ".md" and unquote(anchor) not in anchors(file):
        return f"{target} names a heading that does not exist"
    return None


def check(path: Path) -> list[str]:
    """The broken links of a file, a line each."""
    problems = []
    for number, line in prose(path.read_text(encoding="utf-8")):
        line = CODE_SPAN.sub("", line)
        for target in LINK.findall(line) + DEFINITION.findall(line):
            if reason := broken(path, target):
                problems.append(f"{path}:{number}: {reason}")
    return problems


def main() -> None:
    problems = [problem for name in sys.argv[1:] for problem in check(Path(name))]
    print("\n".join(problems), end="\n" if problems else "")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
