"""count_tests.py EXIT_CODE LOG: sums the summaries that test runners left in a log.

Knows cargo test, node:test, jest, unittest, Maven, XCTest, the checks of hosts, and the simulation, whose seeds count
as one test and whose bugs as one each. Prints "PASSED FAILED SKIPPED". A suite that ended badly without a failed test
(it did not compile, it was killed) counts as one failure, and so does one that ran no test.
"""

import re
import sys
from pathlib import Path

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
CARGO = re.compile(r"^test result: \S+ (\d+) passed; (\d+) failed; (\d+) ignored;")
NODE = re.compile(r"^(?:ℹ|#) (pass|fail|cancelled|skipped|todo) (\d+)$")
JEST = re.compile(r"^Tests: +(.*\d+ total)$")
UNITTEST_COUNT = re.compile(r"^Ran (\d+) tests? in [\d.]+s$")
MAVEN = re.compile(r"^\[\w+\] Tests run: (\d+), Failures: (\d+), Errors: (\d+), Skipped: (\d+)$")
XCTEST = re.compile(r"^Test Case '[\w.]+' (passed|failed|skipped) \([\d.]+ seconds\)\.?$")
# What our own scripts print of each thing that they tried.
TRIED = re.compile(r"^(?:fuzz|host|rest) (ok|not ok): ")
UNITTEST_END = re.compile(r"^(?:OK|FAILED)(?: \((.*)\))?$")

SIMULATED = re.compile(r"^simulated [\d.]+ device-hours, \d+ seeds, (\d+) failures, \d+ times real time$")
SABOTAGE = re.compile(r"^\w+ (?:(caught by seed \d+)|NOT caught)$")

NODE_OUTCOME = {"pass": "passed", "fail": "failed", "cancelled": "failed", "skipped": "skipped", "todo": "skipped"}
JEST_OUTCOME = {"passed": "passed", "failed": "failed", "skipped": "skipped", "todo": "skipped"}
UNITTEST_OUTCOME = {
    "failures": "failed",
    "errors": "failed",
    "unexpected successes": "failed",
    "skipped": "skipped",
    "expected failures": "skipped",
}


def count(log: str) -> dict[str, int]:
    """The tests of all runners in a log, by outcome."""
    sums = {"passed": 0, "failed": 0, "skipped": 0}
    unittest_ran = None
    for line in ANSI.sub("", log).splitlines():
        line = line.strip()
        if match := CARGO.match(line):
            for outcome, number in zip(("passed", "failed", "skipped"), match.groups()):
                sums[outcome] += int(number)
        elif match := NODE.match(line):
            sums[NODE_OUTCOME[match[1]]] += int(match[2])
        elif match := JEST.match(line):
            for number, word in re.findall(r"(\d+) (\w+)", match[1]):
                if word in JEST_OUTCOME:
                    sums[JEST_OUTCOME[word]] += int(number)
        elif match := MAVEN.match(line):
            ran, failures, errors, skipped = (int(number) for number in match.groups())
            sums["passed"] += ran - failures - errors - skipped
            sums["failed"] += failures + errors
            sums["skipped"] += skipped
        elif match := XCTEST.match(line):
            sums[match[1]] += 1
        elif match := TRIED.match(line):
            sums["passed" if match[1] == "ok" else "failed"] += 1
        elif match := SIMULATED.match(line):
            sums["passed" if match[1] == "0" else "failed"] += 1
        elif match := SABOTAGE.match(line):
            sums["passed" if match[1] else "failed"] += 1
        elif match := UNITTEST_COUNT.match(line):
            unittest_ran = int(match[1])
        elif unittest_ran is not None and (match := UNITTEST_END.match(line)):
            others = 0
            for part in (match[1] or "").split(", "):
                word, _, number = part.partition("=")
                if word in UNITTEST_OUTCOME:
                    sums[UNITTEST_OUTCOME[word]] += int(number)
                    others += int(number)
            sums["passed"] += unittest_ran - others
            unittest_ran = None
    return sums


def main() -> None:
    exit_code, path = int(sys.argv[1]), Path(sys.argv[2])
    sums = count(path.read_text(encoding="utf-8", errors="replace"))
    if sums["failed"] == 0 and (exit_code != 0 or sum(sums.values()) == 0):
        sums["failed"] = 1
    print(sums["passed"], sums["failed"], sums["skipped"])


if __name__ == "__main__":
    main()
