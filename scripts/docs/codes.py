#!/usr/bin/env python3
"""Checks that the reference is complete: every code, field, value and setting of the source is in it.

| place | has to name |
|---|---|
| host/codes/table/ | every code in the source of host/, and every code in wit/codes.txt; and no other code |
| docs/plugins/target-records.md | every field and value of the domains' tables of fields, and every code of their rules |
| docs/operate/configure.md | every setting |

A name counts on a page where it stands in backticks. docs/api/errors.md is made of the table: see errors.py. Ends with 1
if a name is missing.
"""

import fnmatch
import re
import sys
import tomllib
from pathlib import Path

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parents[2]

CODE = re.compile(r'"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)"')
# A single word in capitals is a code where it is made one.
SINGLE = re.compile(
    r"(?:Code::new\(|Issue::error\(|Issue::warning\(|\w+::new\((?:StatusCode|Level)::\w+,"
    r'|(?:bad_request|not_found|conflict|unprocessable)\()\s*"([A-Z]+)"'
)
QUOTED = re.compile(r'"([A-Z][A-Z0-9_]*)"')
FIELD = re.compile(r'\b(?:required|optional)\(\s*"(\w+)"')
ONE_OF = re.compile(r"OneOf\(&\[([^\]]*)\]\)")
SETTING = re.compile(r"^    pub (\w+): ", re.MULTILINE)

# Words in capitals that are no codes, and files whose words are none.
SCAN = tomllib.loads((ROOT / "host/codes/scan.toml").read_text())
NO_CODES = re.compile("|".join(fnmatch.translate(word) for word in SCAN["words"]))
NO_SOURCE = re.compile("|".join(re.escape(part) for part in SCAN["files"]))


def source(pattern):
    """Yields the code of each Rust file that fits, without its comments and its own tests."""
    for file in sorted(ROOT.glob(pattern)):
        if NO_SOURCE.search(f"/{file.relative_to(ROOT)}"):
            continue
        text = file.read_text().split("#[cfg(test)]\nmod tests")[0]
        yield file, "\n".join(line for line in text.splitlines() if not line.strip().startswith("//"))


def found(pattern, expression):
    """Returns every match in the files that fit, each with a file that has it."""
    return {name: file for file, text in source(pattern) for name in expression.findall(text)}


def defined_codes():
    """Returns every code of the table, each with its file."""
    codes = {}
    for file in sorted((ROOT / "host/codes/table").glob("*.toml")):
        for entry in tomllib.loads(file.read_text())["code"]:
            codes |= {code: file for code in [entry["code"], *entry.get("also", [])]}
    return codes


def wrong_codes():
    """Yields codes without a definition, and definitions that nothing uses."""
    listed = ROOT / "wit/codes.txt"
    contract = {line.split()[0]: listed for line in listed.read_text().splitlines() if line and not line.startswith("#")}
    raised = {code: file for code, file in found("host/**/*.rs", CODE).items() if not NO_CODES.fullmatch(code)}
    raised |= found("host/**/*.rs", SINGLE) | contract
    defined = defined_codes()
    for code in sorted(raised.keys() - defined.keys()):
        yield f"host/codes/table/ does not define `{code}`, which is in {raised[code].relative_to(ROOT)}"
    used = found("host/**/*.rs", QUOTED) | contract
    for code in sorted(defined.keys() - used.keys()):
        yield f"{defined[code].relative_to(ROOT)} defines `{code}`, which nothing uses"


def needed():
    """Returns what each page has to name, each with the file that says so."""
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
        "docs/plugins/target-records.md": records,
        "docs/operate/configure.md": settings,
    }


def main():
    """Compares the reference and the source."""
    wrong = list(wrong_codes())
    for page, names in needed().items():
        text = (ROOT / page).read_text()
        shown = {word for span in re.findall(r"`([^`\n]+)`", text) for word in re.split(r"[^\w-]+", span)}
        for name in sorted(names.keys() - shown):
            wrong.append(f"{page} does not name `{name}`, which is in {names[name].relative_to(ROOT)}")
    for line in wrong:
        print(line, file=sys.stderr)
    if wrong:
        sys.exit(f"{len(wrong)} faults in the reference")
    print(f"the reference has every code ({len(defined_codes())}), field, value and setting, and no code that nothing uses")


if __name__ == "__main__":
    main()
