#!/usr/bin/env python3
"""Checks names and doc comments of the Rust sources against the rules of CONTRIBUTING.md.

Three checks:
- type names are unique in the workspace (structs, enums, traits and unions outside of tests);
- no doc comment begins with a question word or with a pronoun that names nobody;
- no retired name comes back.

Prints one line a finding and exits with 1 if there is any. `missing_docs` of the compiler checks the rest.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Folders whose types must have unique names. Plugins are components of their own, and the names of the SDK belong to
# contract 0.1: they change with 0.2.
UNIQUE = ["host", "plugins/builder/src", "tests/mambu/src", "tests/properties", "tests/seeds"]

# Folders whose doc comments and names are checked.
READ = ["host", "plugins", "tests", "fuzz/targets"]

# Words that no doc comment begins with: the sentence would have no subject, or one that the reader has to find.
BEGINNINGS = re.compile(r"^\s*//[/!] (What|Whatever|Whether|How|However|Who|Whoever|Whom|Whose|Somebody|Nobody)\b")

# Names that were replaced, and what replaced them.
RETIRED = {
    "Desk": "MigrationContext",
    "Speaker": "the plugin log",
    "Aside": "TrialWorkspace",
    "Poisoned": "FailedRecord",
    "Rooms": "Semaphore",
    "Shown": "a name that ends in Response",
    "Asked": "a name that ends in Request",
    "Tellable": "a safe value",
    "carry_over": "import",
    "come_back": "retry",
    "leave_out": "skip",
    "keep_settling": "retry_pending",
    "take_back": "rollback",
    "side_by_side": "producer_consumer",
    "in_order": "ordered_parallel",
    "rehearse": "dev_runner",
    "recount": "evidence_verify",
    "tryout": "trial",
    "played": "mock_platform",
    "but_own": "exclude_self",
    "for_anybody": "public_routes",
    "forge": "append",
    "bury": "delete",
    "go_on": "resume_pending",
    "told": "message",
}

TYPE = re.compile(r"^\s*(?:pub(?:\([^)]*\))? )?(?:struct|enum|trait|union) ([A-Z]\w*)")
TESTS = re.compile(r"^\s*#\[cfg\(test\)\]\s*$")


def sources(folders):
    """Yields the path and the lines of each Rust file below the folders, without build output."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.rs")):
            if "target" not in path.relative_to(ROOT).parts[1:2]:
                yield path.relative_to(ROOT), path.read_text().split("\n")


def without_tests(lines):
    """Returns the lines before the module of unit tests."""
    for number, line in enumerate(lines):
        if TESTS.match(line) and re.match(r"\s*mod \w+ \{", lines[number + 1] if number + 1 < len(lines) else ""):
            return lines[:number]
    return lines


def repeated_types():
    """Yields a finding for each type name that is defined more than once."""
    places = {}
    for path, lines in sources(UNIQUE):
        if "tests" in path.parts[1:]:
            continue
        for number, line in enumerate(without_tests(lines), 1):
            if defined := TYPE.match(line):
                places.setdefault(defined.group(1), []).append(f"{path}:{number}")
    for name, found in sorted(places.items()):
        if len(found) > 1:
            yield f"type {name} is defined {len(found)} times: {', '.join(found)}"


def beginnings():
    """Yields a finding for each doc comment that begins with a forbidden word."""
    for path, lines in sources(READ):
        before = ""
        for number, line in enumerate(lines, 1):
            first = not re.match(r"\s*//[/!]", before)
            if first and (word := BEGINNINGS.match(line)):
                yield f"{path}:{number}: doc comment begins with {word.group(1)}"
            before = line


def retired_names():
    """Yields a finding for each retired name that stands in code or names a file."""
    name = re.compile(r"\b(" + "|".join(RETIRED) + r")\b")
    for path, lines in sources(READ):
        if path.stem in RETIRED:
            yield f"{path}: retired file name; use {RETIRED[path.stem]}"
        for number, line in enumerate(lines, 1):
            code = re.sub(r'"(?:[^"\\]|\\.)*"', '""', line.split("//")[0])
            if word := name.search(code):
                yield f"{path}:{number}: retired name {word.group(1)}; use {RETIRED[word.group(1)]}"


def main():
    """Prints all findings; returns the exit code."""
    findings = [*repeated_types(), *beginnings(), *retired_names()]
    print("\n".join(findings) if findings else "words: names and doc comments keep the rules")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
