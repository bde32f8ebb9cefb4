"""Writes an Android archive from compiled classes and shared libraries, and its POM beside it."""

import argparse
import pathlib

from zip_tree import tree, write_zip

MANIFEST = """<manifest xmlns:android="http://schemas.android.com/apk/res/android" package="dev.syncline.core">
  <uses-sdk android:minSdkVersion="24" />
  <uses-permission android:name="android.permission.INTERNET" />
</manifest>
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("out", "classes", "jni", "rules", "licences", "pom"):
        parser.add_argument(f"--{name}", type=pathlib.Path, required=True)
    parser.add_argument("--version", required=True)
    arguments = parser.parse_args()
    files = {
        "AndroidManifest.xml": MANIFEST,
        "classes.jar": arguments.classes.read_bytes(),
        "proguard.txt": arguments.rules.read_bytes(),
        arguments.licences.name: arguments.licences.read_bytes(),
        # Required, and empty: there are no resources.
        "R.txt": b"",
    }
    files |= {f"jni/{name}": content for name, content in tree(arguments.jni).items()}
    write_zip(arguments.out, files)
    arguments.out.with_suffix(".pom").write_text(arguments.pom.read_text().replace("@VERSION@", arguments.version))


if __name__ == "__main__":
    main()
