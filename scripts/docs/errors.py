#!/usr/bin/env python3
"""Writes the definitions of codes into docs/api/errors.md, from the table in host/codes/table/.

The page has a pair of lines for each file of the table: `<!-- codes: NAME -->` and `<!-- end of codes -->`. This script
writes an index and one heading for each code between them, and leaves the rest of the page as it is. With --check it
changes nothing, and ends with 1 if the page differs.
"""

import argparse
import re
import sys
import textwrap
import tomllib
from pathlib import Path

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/api/errors.md"
TABLE = ROOT / "host/codes/table"

BLOCK = re.compile(r"(<!-- codes: ([\w-]+) -->\n)(.*?)(<!-- end of codes -->)", re.DOTALL)

PLACES = {
    "problem": "failed requests",
    "job": "failed jobs",
    "upload": "the last line of an upload",
    "record": "result lines and issues",
    "quarantine": "the quarantine",
    "call": "the ledger of calls",
    "log": "the migration's log",
    "server-log": "the server's log",
}


def entries(name):
    """Returns the entries of a file of the table."""
    with open(TABLE / f"{name}.toml", "rb") as file:
        return tomllib.load(file)["code"]


def title(entry):
    """Returns the heading of an entry. Codes of jobs share one, with KIND for the kind of the job."""
    return f"KIND_{entry['code'].split('_', 1)[1]}" if "also" in entry else entry["code"]


def index(listed):
    """Yields the lines of a table of codes."""
    statuses = any("status" in entry for entry in listed)
    yield "| code | status | meaning |" if statuses else "| code | meaning |"
    yield "|---|---|---|" if statuses else "|---|---|"
    for entry in listed:
        name = title(entry)
        cells = [f"[`{name}`](#{name.lower()})", entry["meaning"]]
        if statuses:
            cells.insert(1, ", ".join(map(str, entry.get("status", []))))
        yield f"| {' | '.join(cells)} |"


def item(label, text):
    """Returns an item of a list, wrapped."""
    fill = textwrap.TextWrapper(120, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    return fill.fill(f"- **{label}:** {text}")


def definition(entry):
    """Yields the lines of one entry."""
    name = title(entry)
    yield f"### {name}"
    yield ""
    if "also" in entry:
        # Each of these codes has an address, too.
        yield from (f'<a id="{code.lower()}"></a>`{code}`' for code in sorted([entry["code"], *entry["also"]]))
        yield ""
    yield from textwrap.wrap(entry["meaning"], 120, break_on_hyphens=False)
    yield ""
    yield item("Likely cause", entry["cause"])
    yield item("Remedy", entry["remedy"])
    if entry["places"] != ["problem"]:
        yield item("Stands in", ", ".join(PLACES[place] for place in entry["places"]) + ".")
    if "blame" in entry:
        yield item("Blame", " or ".join(f"`{party}`" for party in entry["blame"]) + ".")
    yield ""
    yield "```text"
    yield entry["example"].rstrip("\n")
    yield "```"
    yield ""


def section(name):
    """Returns what stands between the two lines of a file of the table."""
    listed = entries(name)
    lines = ["", *index(listed), ""]
    for entry in listed:
        lines += definition(entry)
    return "\n".join(lines) + "\n"


def filled(text):
    """Returns the page with every definition as it is now."""
    return BLOCK.sub(lambda block: block[1] + section(block[2]) + block[4], text)


def main():
    """Writes, or checks, the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; end with 1 if the page differs")
    told = parser.parse_args()
    text = PAGE.read_text()
    files = sorted(file.stem for file in TABLE.glob("*.toml"))
    shown = sorted(block[2] for block in BLOCK.finditer(text))
    if files != shown:
        sys.exit(f"docs/api/errors.md shows {', '.join(shown)}; host/codes/table/ has {', '.join(files)}")
    now = filled(text)
    if now == text:
        return
    if told.check:
        sys.exit("docs/api/errors.md: the definitions are not those of host/codes/table/: run `make docs`, and commit it")
    PAGE.write_text(now)


if __name__ == "__main__":
    main()
