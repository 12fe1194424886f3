#!/usr/bin/env python3
"""Checks that the reference pages are complete: every code, field, value and setting of the source is on its page.

| page | has to name |
|---|---|
| docs/api/errors.md | every code in the source of host/, and every code in wit/codes.txt |
| docs/plugins/target-records.md | every field and value of the domains' tables of fields, and every code of their rules |
| docs/operate/configure.md | every setting |

A name counts where it stands in backticks. Ends with 1 if one is missing.
"""

import re
import sys
from pathlib import Path

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parents[2]

CODE = re.compile(r'"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)"')
FIELD = re.compile(r'\b(?:required|optional)\(\s*"(\w+)"')
ONE_OF = re.compile(r"OneOf\(&\[([^\]]*)\]\)")
SETTING = re.compile(r"^    pub (\w+): ", re.MULTILINE)
STATE = r"(RUNNING|SUCCEEDED|FAILED|CANCELLED|INTERRUPTED)"

# Words in capitals that are no codes: environment variables, SQLite's own names, words of the synthetic bank.
NO_CODES = re.compile(
    rf"SLUICE_.*|OTEL_.*|CARGO_.*|SQLITE_.*|OUT_DIR|API_KEY|SCREAMING_SNAKE_CASE|NO_ROW|NOT_UTF_8|UVER_.*"
    rf"|(VALIDATE|IMPORT|COUNTS|REMAP|TRIAL|COMPARE|REPLAY|PLAN|UNDO)_{STATE}"
)
# Files whose words are made up for tests, or are a bank's.
NO_SOURCE = re.compile(r"properties|_cases|chance\.rs|arbitrary|build\.rs|/demo/|/tests/")


def source(pattern):
    """Yields the code of each Rust file that fits, without its comments and its own tests."""
    for file in sorted(ROOT.glob(pattern)):
        if NO_SOURCE.search(str(file.relative_to(ROOT))):
            continue
        text = file.read_text().split("#[cfg(test)]\nmod tests")[0]
        yield file, "\n".join(line for line in text.splitlines() if not line.strip().startswith("//"))


def found(pattern, expression):
    """Returns every match in the files that fit, each with a file that has it."""
    return {name: file for file, text in source(pattern) for name in expression.findall(text)}


def needed():
    """Returns what each page has to name, each with the file that says so."""
    codes = {code: file for code, file in found("host/**/*.rs", CODE).items() if not NO_CODES.fullmatch(code)}
    listed = ROOT / "wit/codes.txt"
    codes |= {line.split()[0]: listed for line in listed.read_text().splitlines() if line and not line.startswith("#")}
    fields = "plugins/domains/*/src/fields.rs"
    records = found(fields, FIELD)
    for words, file in found(fields, ONE_OF).items():
        records |= {word: file for word in re.findall(r'"([^"]+)"', words)}
    of_platforms = lambda file: "mambu" in str(file)
    rules = found("plugins/domains/*/src/*.rs", CODE)
    records |= {code: file for code, file in rules.items() if not of_platforms(file)}
    settings = {}
    for file, text in source("host/**/*.rs"):
        if "/config" in str(file):
            structs = re.findall(r"pub struct \w+ \{(.*?)^\}", text, re.DOTALL | re.MULTILINE)
            settings |= {name: file for struct in structs for name in SETTING.findall(struct)}
    return {
        "docs/api/errors.md": codes,
        "docs/plugins/target-records.md": records,
        "docs/operate/configure.md": settings,
    }


def main():
    """Compares pages and source."""
    missing = 0
    for page, names in needed().items():
        text = (ROOT / page).read_text()
        shown = {word for span in re.findall(r"`([^`\n]+)`", text) for word in re.split(r"[^\w-]+", span)}
        for name, file in sorted(names.items()):
            if name not in shown:
                print(f"{page} does not name `{name}`, which is in {file.relative_to(ROOT)}", file=sys.stderr)
                missing += 1
    if missing:
        sys.exit(f"{missing} names are missing from the reference pages")
    print("the reference pages name every code, field, value and setting")


if __name__ == "__main__":
    main()
