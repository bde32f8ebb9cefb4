"""stubs.py SOURCES WRITTEN OUT: empty Java classes in OUT for what the Kotlin in SOURCES imports and has not itself.

So Expo's own sources can be read without Android's SDK. They do not compile against empty classes, but what they declare
is known, and that is what our module is checked against. WRITTEN holds the stubs that are written by hand: none is made
for these.
"""

import re
import sys
from pathlib import Path

IMPORT = re.compile(r"^import (?:static )?([\w.]+)", re.MULTILINE)
# Libraries that are really there.
PRESENT = ("kotlin.", "kotlinx.", "java.", "javax.crypto", "javax.net", "expo.")


def class_names(imports: set[str]) -> dict[str, set[str]]:
    """The imported top-level classes, with the names that are imported from within each."""
    classes: dict[str, set[str]] = {}
    for name in imports:
        parts = name.split(".")
        first = next((index for index, part in enumerate(parts) if part[0].isupper()), None)
        if first is not None:
            classes.setdefault(".".join(parts[: first + 1]), set()).update(parts[first + 1 : first + 2])
    return classes


def member(name: str) -> str:
    if name.isupper():
        return f"  public static final int {name} = 0;\n"
    if name[0].isupper():
        return f"  public static class {name} {{}}\n"
    return f"  public static Object {name}(Object... arguments) {{ return null; }}\n"


def main() -> None:
    sources, written, out = (Path(argument) for argument in sys.argv[1:])
    imports: set[str] = set()
    used_as_annotation: set[str] = set()
    for file in sources.rglob("*.kt"):
        text = file.read_text(encoding="utf-8")
        imports.update(IMPORT.findall(text))
        used_as_annotation.update(re.findall(r"@(?:\w+:)?([A-Z]\w*)", text))
    for name, members in class_names({name for name in imports if not name.startswith(PRESENT)}).items():
        path = Path(*name.split("."))
        if any((root / path).with_suffix(end).exists() for root in (sources, written) for end in (".kt", ".java")):
            continue
        kind = "@interface" if path.name in used_as_annotation else "class"
        body = "" if kind == "@interface" else "".join(member(inner) for inner in sorted(members))
        file = (out / path).with_suffix(".java")
        file.parent.mkdir(parents=True, exist_ok=True)
        package = ".".join(path.parts[:-1])
        file.write_text(f"package {package};\n\npublic {kind} {path.name} {{\n{body}}}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
