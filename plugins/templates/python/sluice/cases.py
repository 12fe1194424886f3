"""Runs folders of cases in Python, without Wasm: see "Cases" in README.md."""

import json
import unittest
from pathlib import Path

from . import Mapper, Output
from .json import parse, write

_MIGRATION = b"sluice-test-case"
"""The migration that every case belongs to."""
_REGISTERED_ON = "2026-01-31"


def cases(mapper: Mapper, folder: str) -> type[unittest.TestCase]:
    """A test for each folder."""

    def test(case: Path):
        return lambda self: _check(self, mapper, case)

    folders = sorted(case for case in Path(folder).iterdir() if case.is_dir())
    return type("Cases", (unittest.TestCase,), {f"test_{case.name}": test(case) for case in folders})


def _check(test: unittest.TestCase, mapper: Mapper, case: Path) -> None:
    test.maxDiff = 8_000
    lines, issues = _mapped(mapper, case)
    test.assertEqual([line for _, line in _read(case / "expected.jsonl")], lines)
    expected = case / "issues.json"
    test.assertEqual(json.loads(expected.read_text()) if expected.exists() else [], issues)
    for issue in issues:
        code = issue.get("code") or issue.get("skipped")
        test.assertIn(code, [*mapper.codes, *_platform_codes()], "it is not among the mapper's codes")


def _mapped(mapper: Mapper, case: Path) -> tuple[list[str], list[dict]]:
    """What becomes of a case: its records as lines, and its issues and skips."""
    records = _read(case / "input.jsonl")
    source = case.name.split(".")[0]
    bodies = [text.encode() for _, text in records]
    out = mapper.transform(_MIGRATION, _REGISTERED_ON, source, bodies, _Loaded(mapper, case / "loaded"))
    lines = [
        f'{{"entityType":"{entity_type}","record":{body.decode()}}}'
        for entity_type in mapper.produces
        for body in out.produced.get(entity_type, ([], []))[0]
    ]
    return lines, _issues(out, [number for number, _ in records])


def _issues(out: Output, numbers: list[int]) -> list[dict]:
    issues = []
    for position, found in out.issues:
        issue = {"line": numbers[position], "severity": found.severity, "code": found.code}
        issue |= {"field": found.field} if found.field else {}
        issues.append(issue | ({"rule": found.rule} if found.rule is not None else {}))
    for code, positions in out.skipped.items():
        issues += [{"line": numbers[position], "skipped": code} for position in positions]
    accounted = {numbers[position] for _, origins in out.produced.values() for position in origins}
    accounted |= {issue["line"] for issue in issues if issue.get("severity") != "warning"}
    lost = [number for number in numbers if number not in accounted]
    issues += [{"line": number, "severity": "error", "code": "NOT_ACCOUNTED_FOR"} for number in lost]
    return sorted(issues, key=lambda issue: issue["line"])


class _Loaded:
    """Answers lookups out of `loaded/SOURCE.jsonl`."""

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

    def panicked(self, message: str) -> None:
        """The exception itself says more."""


def _key(text: str, field: str) -> str:
    record = parse(text)
    assert isinstance(record, dict)
    return "\x1f".join(_scalar(record.get(name)) for name in field.split("+"))


def _scalar(value: object) -> str:
    return value if isinstance(value, str) else write(value)


def _read(file: Path) -> list[tuple[int, str]]:
    """Lines of a file with their numbers, without the empty ones."""
    lines = file.read_text(encoding="utf-8").split("\n") if file.exists() else []
    return [(number, line) for number, line in enumerate(lines, 1) if line.strip()]


def _platform_codes() -> list[str]:
    lines = (Path(__file__).parent.parent / "wit" / "codes.txt").read_text().splitlines()
    return [*(line.split()[0] for line in lines if line and not line.startswith("#")), "NOT_ACCOUNTED_FOR"]
