#!/usr/bin/env python3
"""Keeps source code that the documents show equal to the source.

A line `<!-- source: PATH -->` stands before a fenced block. This script fills the block with that file; a placeholder
{{name}} becomes `first`, the name of the tutorial's project. With --check it changes nothing, and ends with 1 if a block
differs.
"""

import argparse
import re
import sys
from pathlib import Path

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parents[2]
SHOWN = re.compile(r"(<!-- source: (\S+) -->\n+```\w*\n)(.*?)(^```$)", re.DOTALL | re.MULTILINE)


def filled(text):
    """Returns a page with each shown source as it is now."""
    source = lambda path: (ROOT / path).read_text().replace("{{name}}", "first")
    return SHOWN.sub(lambda block: block[1] + source(block[2]) + block[4], text)


def main():
    """Fills, or checks, all documents."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; end with 1 if a block differs")
    told = parser.parse_args()
    stale = []
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        text = page.read_text()
        if (now := filled(text)) != text:
            stale.append(str(page.relative_to(ROOT)))
            if not told.check:
                page.write_text(now)
    if stale and told.check:
        sys.exit(f"{', '.join(stale)}: the shown source is not the source any more: run `make docs`, and commit it")


if __name__ == "__main__":
    main()
