"""What a run did and found: figures that are added up, and findings with what repeats each."""

import re
import sys
import threading
import time
from collections import Counter

#: What must be 0, by the kind of a finding.
PROMISES = ["lost", "duplicated", "false success"]

#: Other kinds: something else than promised, though no record came to harm.
OTHERS = ["wrong", "stuck", "no start", "unclear"]


class Account:
    """Figures and findings of all parts."""

    def __init__(self, command, folder):
        self.command, self.folder = command, folder
        self.figures = Counter()
        self.most = Counter()
        self.findings = []
        self.skipped = {}
        self.notes = Counter()
        self.began = time.monotonic()
        self._lock = threading.Lock()

    def add(self, figure, many=1):
        """Adds to a figure."""
        with self._lock:
            self.figures[figure] += many

    def top(self, figure, value):
        """Notes the most of something."""
        with self._lock:
            self.most[figure] = max(self.most[figure], value)

    def note(self, words):
        """Counts something that is worth knowing and no finding."""
        with self._lock:
            self.notes[words] += 1

    def found(self, kind, part, turn, words):
        """Notes a finding, at once, with what repeats it."""
        assert kind in PROMISES + OTHERS, kind
        repeat = f"{self.command} --parts {part} --turn {turn}"
        with self._lock:
            self.findings.append((kind, part, turn, words, repeat))
            number = len(self.findings)
        self.say(f"FOUND {number} ({kind}, {part}): {words}\n    repeat: {repeat}")
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "findings.txt").open("a") as file:
            file.write(f"{kind} | {part} | {words} | {repeat}\n")

    def of(self, kind):
        """How many findings of a kind."""
        return sum(1 for finding in self.findings if finding[0] == kind)

    def skip(self, what, why):
        """Notes what was not done."""
        self.skipped[what] = why
        self.say(f"skipped: {what}: {why}")

    def say(self, words):
        """Tells how far it is."""
        print(f"[{time.monotonic() - self.began:7.1f} s] {words}", file=sys.stderr, flush=True)

    def kept(self):
        """Whether all that is promised was kept."""
        return not self.findings

    def table(self):
        """The figures, and the findings below them."""
        rows = [("what", "how many"), *sorted(self.figures.items())]
        rows += [(kind, self.of(kind)) for kind in PROMISES + OTHERS]
        rows += [(name, f"{value:.2f} s") for name, value in sorted(self.most.items())]
        wide = max(len(name) for name, _ in rows)
        lines = [
            f"| {name:<{wide}} | {value if isinstance(value, str) else format(value, ','):>12} |"
            for name, value in rows
        ]
        lines.insert(1, f"|{'-' * (wide + 2)}|{'-' * 13}:|")
        lines += [f"\nSkipped: {what}: {why}" for what, why in self.skipped.items()]
        lines += [f"\nNoted {many} times: {words}" for words, many in self.notes.most_common()]
        by_words = Counter(
            (kind, part, re.sub(r"[0-9][0-9,]*", "N", words.partition(" [")[0]))
            for kind, part, _, words, _ in self.findings
        )
        lines += [f"\nFOUND {many} times ({kind}, {part}): {words}" for (kind, part, words), many in by_words.items()]
        return "\n".join(lines) + "\n"
