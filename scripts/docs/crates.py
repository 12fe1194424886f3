#!/usr/bin/env python3
"""Draws the crates of host/ and their dependencies as an SVG, from `cargo metadata`.

Without arguments it writes docs/images/crates.svg. With --check it writes nothing, and ends with 1 if the committed
picture differs. It ends with 1 as well if crates depend on each other in a cycle.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs/images/crates.svg"

BOX_HEIGHT, ROW_HEIGHT = 30, 84
CHARACTER_WIDTH, PADDING, GAP, MARGIN = 7.6, 12, 22, 20


def metadata(file):
    """Returns what cargo knows of the workspace's packages, or what a file says in its place."""
    if file:
        return json.loads(Path(file).read_text())
    command = ["cargo", "metadata", "--format-version", "1", "--no-deps"]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)


def dependencies(packages):
    """Returns the workspace packages that each workspace package needs to be built; tests' needs are left out."""
    names = {package["name"] for package in packages}
    needed = {name: set() for name in names}
    for package in packages:
        for dependency in package["dependencies"]:
            if dependency["kind"] != "dev" and dependency["name"] in names:
                needed[package["name"]].add(dependency["name"])
    return needed


def cycle(needed):
    """Returns the packages of one cycle in order, or none."""
    done, open_ = set(), []

    def visit(name):
        if name in open_:
            return open_[open_.index(name):] + [name]
        if name in done:
            return None
        open_.append(name)
        for other in sorted(needed[name]):
            if found := visit(other):
                return found
        open_.pop()
        done.add(name)
        return None

    return next((found for name in sorted(needed) if (found := visit(name))), None)


def of_host(packages, needed):
    """Returns the same for the packages below host/ alone."""
    host = {p["name"] for p in packages if Path(p["manifest_path"]).is_relative_to(Path(p["root"]) / "host")}
    return {name: needed[name] & host for name in host}


def reduced(needed):
    """Returns the dependencies without those that follow from others."""

    def reach(name):
        found = set()
        for other in needed[name]:
            found |= {other} | reach(other)
        return found

    return {
        name: {one for one in others if not any(one in reach(other) for other in others - {one})}
        for name, others in needed.items()
    }


def layers_of(needed):
    """Returns each crate's layer: the length of its longest way down. Crates without dependencies are at 0."""
    layers = {}

    def layer(name):
        if name not in layers:
            layers[name] = max((layer(other) + 1 for other in needed[name]), default=0)
        return layers[name]

    for name in needed:
        layer(name)
    return layers


def rows_of(needed, layers):
    """Returns rows of nodes from the top, and the edges between neighbouring rows.

    An edge that passes a row has a node of no width there, so that it does not cross a box.
    """
    height = max(layers.values(), default=0)
    rows = [sorted(name for name in needed if layers[name] == height - row) for row in range(height + 1)]
    edges = []
    for name in sorted(needed):
        for other in sorted(needed[name]):
            last = name
            for row in range(height - layers[name] + 1, height - layers[other]):
                passing = (name, other, row)
                rows[row].append(passing)
                edges.append((last, passing))
                last = passing
            edges.append((last, other))
    return rows, edges


def ordered(rows, edges):
    """Sorts each row by where its neighbours stand, a few times down and up, and keeps the order with fewest crossings."""
    above, below = {}, {}
    for one, other in edges:
        below.setdefault(one, []).append(other)
        above.setdefault(other, []).append(one)

    def crossings(rows):
        count = 0
        for upper, lower in zip(rows, rows[1:]):
            place = {node: index for index, node in enumerate(lower)}
            ends = [sorted(place[other] for other in below.get(node, []) if other in place) for node in upper]
            flat = [end for group in ends for end in group]
            count += sum(a > b for index, a in enumerate(flat) for b in flat[index + 1:])
        return count

    best, least = [list(row) for row in rows], crossings(rows)
    for turn in range(24):
        neighbours, order = (above, range(1, len(rows))) if turn % 2 == 0 else (below, range(len(rows) - 2, -1, -1))
        for row in order:
            beside = rows[row - 1] if turn % 2 == 0 else rows[row + 1]
            place = {node: index / max(len(beside) - 1, 1) for index, node in enumerate(beside)}
            here = {node: index / max(len(rows[row]) - 1, 1) for index, node in enumerate(rows[row])}

            def middle(node):
                known = [place[other] for other in neighbours.get(node, []) if other in place]
                return sum(known) / len(known) if known else here[node]

            rows[row].sort(key=lambda node: (middle(node), str(node)))
        if (now := crossings(rows)) < least:
            best, least = [list(row) for row in rows], now
    return best


def width_of(node):
    """Returns the width of a node's box; an edge that passes has little."""
    return len(node) * CHARACTER_WIDTH + 2 * PADDING if isinstance(node, str) else 6


def placed(rows):
    """Returns the middle of each node, and the picture's width: each row is centred."""
    widths = [sum(width_of(node) for node in row) + GAP * (len(row) - 1) for row in rows]
    wide = max(widths, default=0)
    middles = {}
    for index, (row, row_width) in enumerate(zip(rows, widths)):
        x = MARGIN + (wide - row_width) / 2
        for node in row:
            middles[node] = (x + width_of(node) / 2, MARGIN + index * ROW_HEIGHT + BOX_HEIGHT / 2)
            x += width_of(node) + GAP
    return middles, wide + 2 * MARGIN


def picture(needed):
    """Returns the SVG of these crates."""
    shown = reduced(needed)
    layers = layers_of(shown)
    rows, edges = rows_of(shown, layers)
    rows = ordered(rows, edges)
    middles, wide = placed(rows)
    high = 2 * MARGIN + (len(rows) - 1) * ROW_HEIGHT + BOX_HEIGHT
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:.0f} {high:.0f}" font-family="monospace" font-size="13">',
        "<!-- Made by scripts/docs/crates.py from cargo metadata: change the crates, not this file. -->",
        '<defs><marker id="end" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#6b7a89"/></marker></defs>',
        f'<rect width="{wide:.0f}" height="{high:.0f}" fill="#fff"/>',
    ]
    for one, other in edges:
        (x1, y1), (x2, y2) = middles[one], middles[other]
        y1 += BOX_HEIGHT / 2 if isinstance(one, str) else 0
        y2 -= BOX_HEIGHT / 2 if isinstance(other, str) else 0
        half = (y1 + y2) / 2
        end = ' marker-end="url(#end)"' if isinstance(other, str) else ""
        out.append(
            f'<path d="M{x1:.1f} {y1:.1f}C{x1:.1f} {half:.1f} {x2:.1f} {half:.1f} {x2:.1f} {y2:.1f}" fill="none" '
            f'stroke="#6b7a89"{end}/>'
        )
    for row in rows:
        for node in row:
            if isinstance(node, str):
                x, y = middles[node]
                wide_box = width_of(node)
                out.append(
                    f'<rect x="{x - wide_box / 2:.1f}" y="{y - BOX_HEIGHT / 2:.1f}" width="{wide_box:.1f}" '
                    f'height="{BOX_HEIGHT}" rx="5" fill="#e9f0f7" stroke="#3a6fb0"/>'
                )
                out.append(f'<text x="{x:.1f}" y="{y + 4.5:.1f}" text-anchor="middle" fill="#1d2a36">{node}</text>')
    return "\n".join([*out, "</svg>"]) + "\n"


def main():
    """Draws, or checks what is drawn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 if the picture is stale")
    parser.add_argument("--metadata", metavar="FILE", help="a file in place of cargo metadata")
    parser.add_argument("--out", metavar="FILE", default=PICTURE, type=Path, help="where the picture goes")
    told = parser.parse_args()
    known = metadata(told.metadata)
    packages = [{**package, "root": known["workspace_root"]} for package in known["packages"]]
    needed = dependencies(packages)
    if found := cycle(needed):
        sys.exit("crates depend on each other in a cycle: " + " → ".join(found))
    drawn = picture(of_host(packages, needed))
    if not told.check:
        told.out.write_text(drawn)
    elif not told.out.exists() or told.out.read_text() != drawn:
        sys.exit(f"{told.out.name} is not what the crates are now: run `make docs`, and commit it")


if __name__ == "__main__":
    main()
