import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from count_tests import count


def outcomes(log: str) -> tuple[int, int, int]:
    sums = count(log)
    return sums["passed"], sums["failed"], sums["skipped"]


class CountTests(unittest.TestCase):
    def test_cargo_binaries_are_summed(self):
        log = (
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s\n"
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s\n"
        )
        self.assertEqual(outcomes(log), (15, 2, 1))

    def test_node_counts_cancelled_as_failed(self):
        log = "ℹ tests 9\nℹ suites 1\nℹ pass 4\nℹ fail 1\nℹ cancelled 2\nℹ skipped 1\nℹ todo 1\n"
        self.assertEqual(outcomes(log), (4, 3, 2))

    def test_jest_is_read_through_its_colours(self):
        log = (
            "Test Suites: 1 failed, 3 passed, 4 total\n"
            "\x1b[1mTests:       \x1b[22m\x1b[31m1 failed\x1b[39m, 2 skipped, 7 passed, 10 total\n"
        )
        self.assertEqual(outcomes(log), (7, 1, 2))

    def test_unittest_tells_what_did_not_pass(self):
        log = "Ran 10 tests in 0.5s\n\nFAILED (failures=1, errors=2, skipped=3)\n"
        self.assertEqual(outcomes(log), (4, 3, 3))

    def test_unittest_all_passed(self):
        self.assertEqual(outcomes("Ran 2 tests in 0.001s\n\nOK\n"), (2, 0, 0))

    def test_maven_counts_its_sum_and_no_class_twice(self):
        log = (
            "[ERROR] Tests run: 8, Failures: 1, Errors: 1, Skipped: 0, Time elapsed: 7.4 s <<< FAILURE! -- in a.Test\n"
            "[ERROR] Tests run: 8, Failures: 1, Errors: 1, Skipped: 2\n"
        )
        self.assertEqual(outcomes(log), (4, 2, 2))

    def test_xctest_is_counted_case_by_case(self):
        log = (
            "Test Case 'SyncTests.testOne' started at 2026-11-28 12:00:00.000\n"
            "Test Case 'SyncTests.testOne' passed (0.5 seconds)\n"
            "Test Case 'SyncTests.testTwo' failed (1.25 seconds)\n"
        )
        self.assertEqual(outcomes(log), (1, 1, 0))

    def test_what_our_own_scripts_try_is_counted_one_by_one(self):
        log = "host ok: a\nrest ok: every answer\nfuzz not ok: frames\nfuzz ok: messages\n13 passed, 0 failed\n"
        self.assertEqual(outcomes(log), (3, 1, 0))

    def test_the_simulation_counts_its_seeds_and_each_bug(self):
        log = (
            "seed 7 failed: a tag stands twice\n"
            "simulated 1.5 device-hours, 40 seeds, 1 failures, 5000 times real time\n"
            "simulated 1.5 device-hours, 40 seeds, 0 failures, 5000 times real time\n"
            "dedupe_off caught by seed 2\nincrement_twice NOT caught\n"
        )
        self.assertEqual(outcomes(log), (2, 2, 0))

    def run_script(self, exit_code: int, log: str) -> str:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "log"
            path.write_text(log)
            script = Path(__file__).with_name("count_tests.py")
            arguments = [sys.executable, str(script), str(exit_code), str(path)]
            return subprocess.run(arguments, check=True, capture_output=True, text=True).stdout.strip()

    def test_a_suite_that_ended_badly_counts_as_a_failure(self):
        self.assertEqual(self.run_script(101, "error: could not compile\n"), "0 1 0")

    def test_a_suite_without_tests_counts_as_a_failure(self):
        self.assertEqual(self.run_script(0, ""), "0 1 0")


if __name__ == "__main__":
    unittest.main()
