#!/usr/bin/env python3
"""Checks the documents: links, anchors, pictures, named files, the book's contents, and the length of two pages.

It reads the Markdown of the book and of the top level. A path in backticks that begins with a folder of the repository,
such as `wit/codes.txt`, has to exist. Ends with 1 if anything is wrong. With --fix it first corrects paths of files that
moved, where exactly one file in the repository has the name.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "docs"
SUMMARY = BOOK / "SUMMARY.md"

# Pages with a promised length, in lines.
LONGEST = {"README.md": 150, "docs/internals/architecture.md": 200}

# Folders of the repository that a path in backticks may begin with.
FOLDERS = ("docs/", "fuzz/", "host/", "plugins/", "scripts/", "tests/", "wit/", ".ci/")
NAMED_PATH = re.compile(r"[\w.*/-]+")
CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
LINK = re.compile(r"(!?)\[(?:[^\]\[]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")


def pages():
    """Returns every document, by its path from the repository's root."""
    found = sorted(BOOK.rglob("*.md")) + sorted(ROOT.glob("*.md"))
    return {str(page.relative_to(ROOT)): page.read_text() for page in found}


def outside_fences(text):
    """Returns the text with fenced and indented blocks blanked, line by line, so that line numbers stay."""
    lines, fence = [], None
    for line in text.split("\n"):
        mark = re.match(r"\s*(```+|~~~+)", line)
        if mark and fence is None:
            fence = mark.group(1)
        elif mark and line.strip().startswith(fence):
            fence, line = None, ""
        lines.append("" if fence or line.startswith("    ") else line)
    return "\n".join(lines)


def anchors(text):
    """Returns the anchors of a page's headings, as mdBook and GitHub make them."""
    found, seen = set(), {}
    for line in outside_fences(text).split("\n"):
        heading = re.match(r"#{1,6}\s+(.*?)\s*#*$", line)
        if not heading:
            continue
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.group(1)).replace("`", "")
        name = "".join("-" if c.isspace() else c.lower() for c in words if c.isalnum() or c in "_-" or c.isspace())
        times = seen.get(name, 0)
        seen[name] = times + 1
        found.add(f"{name}-{times}" if times else name)
    return found


def line_of(text, at):
    """Returns the number of the line at an offset."""
    return text.count("\n", 0, at) + 1


def broken_links(name, text, all_anchors):
    """Yields what is wrong with the links and pictures of a page."""
    plain = CODE_SPAN.sub(lambda span: " " * 0 + re.sub(r"[^\n]", " ", span.group(0)), outside_fences(text))
    folder = (ROOT / name).parent
    for link in LINK.finditer(plain):
        target = link.group(2)
        where = f"{name}:{line_of(plain, link.start())}"
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (folder / path).resolve() if path else ROOT / name
        if not file.is_relative_to(ROOT) or not file.exists():
            yield f"{where}: {target} does not exist"
            continue
        relative = str(file.relative_to(ROOT))
        if name.startswith("docs/") and not relative.startswith("docs/"):
            yield f"{where}: {target} is not in the book: name the file in backticks"
        if anchor and anchor not in all_anchors.get(relative, set()):
            yield f"{where}: {relative} has no heading #{anchor}"


def named_paths(text):
    """Yields each path of the repository that a page names in backticks, with its place in the text."""
    for span in CODE_SPAN.finditer(outside_fences(text)):
        path = span.group(2).split("::")[0]
        if NAMED_PATH.fullmatch(path) and path.startswith(FOLDERS):
            yield path, span.start(2)


def exists(path):
    """Returns true if a named path is in the repository; one with a star if anything fits it."""
    if "*" in path:
        return any(True for _ in ROOT.glob(path.rstrip("/")))
    return (ROOT / path).exists()


def files_by_name():
    """Returns the repository's files by their last name."""
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    found = {}
    for path in listed:
        if (ROOT / path).exists():
            found.setdefault(Path(path).name, []).append(path)
    return found


def missing_paths(name, text, by_name):
    """Yields the named paths of a page that do not exist, with where a file of that name is."""
    for path, at in named_paths(text):
        if not exists(path):
            others = by_name.get(Path(path).name, [])
            elsewhere = f"; there is {', '.join(others[:3])}" if others else ""
            yield f"{name}:{line_of(text, at)}: `{path}` does not exist{elsewhere}"


def wrong_contents(texts):
    """Yields pages that SUMMARY.md lacks or names twice."""
    listed = [target for _, target in LINK.findall(texts["docs/SUMMARY.md"])]
    for page in sorted(set(listed)):
        if listed.count(page) > 1:
            yield f"docs/SUMMARY.md names {page} more than once"
    pages_there = {name.removeprefix("docs/") for name in texts if name.startswith("docs/")} - {"SUMMARY.md"}
    for page in sorted(pages_there - set(listed)):
        yield f"docs/SUMMARY.md does not name {page}"


def too_long(texts):
    """Yields pages that are longer than they may be."""
    for name, most in LONGEST.items():
        lines = texts[name].count("\n")
        if lines > most:
            yield f"{name} has {lines} lines: at most {most}"


def fix(texts, by_name):
    """Corrects named paths of files that moved, where one file alone has the name."""
    for name, text in texts.items():
        moved = {path: by_name.get(Path(path).name, []) for path, _ in named_paths(text) if not exists(path)}
        fixed = text
        for path, found in moved.items():
            if len(found) == 1:
                fixed = re.sub(rf"`{re.escape(path)}(?=`|::)", f"`{found[0]}", fixed)
        if fixed != text:
            (ROOT / name).write_text(fixed)
            print(f"corrected paths in {name}")


def main():
    """Checks all documents."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fix", action="store_true", help="correct paths of files that moved")
    told = parser.parse_args()
    by_name = files_by_name()
    if told.fix:
        fix(pages(), by_name)
    texts = pages()
    all_anchors = {name: anchors(text) for name, text in texts.items()}
    wrong = [*wrong_contents(texts), *too_long(texts)]
    for name, text in texts.items():
        wrong += [*broken_links(name, text, all_anchors), *missing_paths(name, text, by_name)]
    for line in wrong:
        print(line, file=sys.stderr)
    if wrong:
        sys.exit(f"{len(wrong)} faults in the documents")
    print(f"{len(texts)} documents: links, anchors, pictures and named files are in order")


if __name__ == "__main__":
    main()
