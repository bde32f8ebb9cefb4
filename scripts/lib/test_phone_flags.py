"""Tests for the flags that phone.sh gives to compilers."""

import os
import pathlib
import subprocess
import tempfile
import unittest

PHONE = pathlib.Path(__file__).parent / "phone.sh"


class Flags(unittest.TestCase):
    def test_a_folder_with_a_space_is_one_flag_and_those_of_the_caller_are_kept(self):
        with tempfile.TemporaryDirectory(prefix="cargo home ") as home:
            crates = pathlib.Path(home, "registry/src/index")
            crates.mkdir(parents=True)
            script = 'set -euo pipefail; source "$1"; use_build_std "$2"; printf %s "$CARGO_ENCODED_RUSTFLAGS"'
            env = {key: value for key, value in os.environ.items() if key != "CARGO_ENCODED_RUSTFLAGS"}
            flags = subprocess.run(
                ["bash", "-c", script, "bash", PHONE, "/the sources"],
                env={**env, "CARGO_HOME": home, "RUSTFLAGS": "--cfg one"},
                check=True,
                capture_output=True,
                text=True,
            ).stdout.split("\x1f")
        self.assertEqual(flags[:3], ["--cfg", "one", "-Zlocation-detail=none"])
        self.assertEqual(flags[3:], ["--remap-path-prefix=/the sources/=", f"--remap-path-prefix={crates}/="])


if __name__ == "__main__":
    unittest.main()
