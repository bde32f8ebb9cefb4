"""zip_tree.py OUT FOLDER NAME: zips FOLDER/NAME. The same files give the same bytes, so that checksums can be compared."""

import pathlib
import sys
import zipfile

# The oldest date that a zip can hold.
DATE = (1980, 1, 1, 0, 0, 0)


def write_zip(out, files):
    """`files`: name in the archive, and its content."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            info = zipfile.ZipInfo(name, DATE)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, content)


def tree(folder, name="."):
    """All files under a folder, by their path from it."""
    paths = [path for path in (folder / name).rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def main():
    out, folder, name = sys.argv[1:]
    write_zip(pathlib.Path(out), tree(pathlib.Path(folder), name))


if __name__ == "__main__":
    main()
