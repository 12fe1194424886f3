"""Runs cases in Python, without Wasm. See "Cases" in README.md."""

import json
import unittest
from pathlib import Path

from . import Mapper, Output
from .json import parse, write

_MIGRATION = b"sluice-test-case"
"""Reference id of the fixed migration that every case belongs to."""
_REGISTERED_ON = "2026-01-31"
"""Day on which that migration was registered."""


def cases(mapper: Mapper, folder: str) -> type[unittest.TestCase]:
    """Returns a test case with a test for each folder."""

    def test(case: Path):
        return lambda self: _check(self, mapper, case)

    folders = sorted(case for case in Path(folder).iterdir() if case.is_dir())
    return type("Cases", (unittest.TestCase,), {f"test_{case.name}": test(case) for case in folders})


def _check(test: unittest.TestCase, mapper: Mapper, case: Path) -> None:
    """Runs a case and compares its output with the expected output."""
    test.maxDiff = 8_000
    lines, issues = _run_case(mapper, case)
    test.assertEqual([line for _, line in _read(case / "expected.jsonl")], lines)
    expected = case / "issues.json"
    test.assertEqual(json.loads(expected.read_text()) if expected.exists() else [], issues)
    for issue in issues:
        code = issue.get("code") or issue.get("skipped")
        test.assertIn(code, [*mapper.codes, *_platform_codes()], "the mapper does not declare the code")


def _run_case(mapper: Mapper, case: Path) -> tuple[list[str], list[dict]]:
    """Runs a case. Returns its records as lines, and its issues and skips."""
    records = _read(case / "input.jsonl")
    source = case.name.split(".")[0]
    bodies = [text.encode() for _, text in records]
    out = mapper.transform(_MIGRATION, _REGISTERED_ON, source, bodies, _CaseHost(mapper, case / "loaded"))
    lines = [
        f'{{"entityType":"{entity_type}","record":{body.decode()}}}'
        for entity_type in mapper.produces
        for body in out.produced.get(entity_type, ([], []))[0]
    ]
    return lines, _issues(out, [number for number, _ in records])


def _issues(out: Output, numbers: list[int]) -> list[dict]:
    """Returns issues and skips, in the order of the input lines."""
    issues = []
    for position, finding in out.issues:
        issue = {"line": numbers[position], "severity": finding.severity, "code": finding.code}
        issue |= {"field": finding.field} if finding.field else {}
        issues.append(issue | ({"rule": finding.rule} if finding.rule is not None else {}))
    for code, positions in out.skipped.items():
        issues += [{"line": numbers[position], "skipped": code} for position in positions]
    accounted = {numbers[position] for _, origins in out.produced.values() for position in origins}
    accounted |= {issue["line"] for issue in issues if issue.get("severity") != "warning"}
    unaccounted = [number for number in numbers if number not in accounted]
    issues += [{"line": number, "severity": "error", "code": "NOT_ACCOUNTED_FOR"} for number in unaccounted]
    return sorted(issues, key=lambda issue: issue["line"])


class _CaseHost:
    """A host that answers lookups from `loaded/SOURCE.jsonl`."""

    def __init__(self, mapper: Mapper, folder: Path) -> None:
        self.mapper = mapper
        self.folder = folder

    def find(self, source: str, field: str, keys: list[bytes]) -> list[tuple[int, bytes]]:
        of = self.mapper.sources.get(source)
        if of is None or field not in ("+".join(of.key), *of.lookups):
            raise ValueError(f"{source} cannot be looked up by {field}: the mapper does not declare it")
        found = []
        loaded = [(_key(text, field), text.encode()) for _, text in _read(self.folder / f"{source}.jsonl")]
        for index, key in enumerate(keys):
            found += [(index, body) for known, body in loaded if known == key.decode()]
        return found


def _key(text: str, field: str) -> str:
    """Returns the value of a key; the values of several fields are joined by U+001F."""
    record = parse(text)
    assert isinstance(record, dict)
    return "\x1f".join(_scalar(record.get(name)) for name in field.split("+"))


def _scalar(value: object) -> str:
    return value if isinstance(value, str) else write(value)


def _read(file: Path) -> list[tuple[int, str]]:
    """Returns the lines of a file that are not empty, with their numbers. A missing file has no lines."""
    lines = file.read_text(encoding="utf-8").split("\n") if file.exists() else []
    return [(number, line) for number, line in enumerate(lines, 1) if line.strip()]


def _platform_codes() -> list[str]:
    """Returns the codes that a mapper need not declare."""
    lines = (Path(__file__).parent.parent / "wit" / "codes.txt").read_text().splitlines()
    return [*(line.split()[0] for line in lines if line and not line.startswith("#")), "NOT_ACCOUNTED_FOR"]
