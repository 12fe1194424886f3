"""Report of a run: counters, and findings with the command that reproduces each."""

import re
import sys
import threading
import time
from collections import Counter

#: Kinds of findings that violate a guarantee about records. Their number must be 0.
VIOLATION_KINDS = ["lost", "duplicated", "false success"]

#: Other kinds of findings: unexpected behaviour without harm to a record.
OTHER_KINDS = ["wrong", "stuck", "no start", "unclear"]


class Report:
    """Counters and findings of all parts."""

    def __init__(self, command, folder):
        self.command, self.folder = command, folder
        self.figures = Counter()
        self.maxima = Counter()
        self.findings = []
        self.skipped = {}
        self.notes = Counter()
        self.started = time.monotonic()
        self._lock = threading.Lock()

    def add(self, figure, count=1):
        """Adds to a counter."""
        with self._lock:
            self.figures[figure] += count

    def maximum(self, figure, value):
        """Records a value of which the report shows the maximum."""
        with self._lock:
            self.maxima[figure] = max(self.maxima[figure], value)

    def note(self, message):
        """Counts an observation that is no finding."""
        with self._lock:
            self.notes[message] += 1

    def add_finding(self, kind, part, turn, message):
        """Records a finding with the command that reproduces it. Prints it immediately."""
        assert kind in VIOLATION_KINDS + OTHER_KINDS, kind
        reproduce = f"{self.command} --parts {part} --turn {turn}"
        with self._lock:
            self.findings.append((kind, part, turn, message, reproduce))
            number = len(self.findings)
        self.log(f"FOUND {number} ({kind}, {part}): {message}\n    reproduce: {reproduce}")
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "findings.txt").open("a") as file:
            file.write(f"{kind} | {part} | {message} | {reproduce}\n")

    def count_of(self, kind):
        """Returns the number of findings of a kind."""
        return sum(1 for finding in self.findings if finding[0] == kind)

    def skip(self, subject, reason):
        """Records a subject that was not tested, with the reason."""
        self.skipped[subject] = reason
        self.log(f"skipped: {subject}: {reason}")

    def log(self, message):
        """Prints a progress message with the elapsed time."""
        print(f"[{time.monotonic() - self.started:7.1f} s] {message}", file=sys.stderr, flush=True)

    def passed(self):
        """Returns true if there is no finding."""
        return not self.findings

    def table(self):
        """Returns the report as text: a table of counters, then skipped subjects, notes and findings."""
        rows = [("counter", "value"), *sorted(self.figures.items())]
        rows += [(kind, self.count_of(kind)) for kind in VIOLATION_KINDS + OTHER_KINDS]
        rows += [(name, f"{value:.2f} s") for name, value in sorted(self.maxima.items())]
        width = max(len(name) for name, _ in rows)
        lines = [
            f"| {name:<{width}} | {value if isinstance(value, str) else format(value, ','):>12} |"
            for name, value in rows
        ]
        lines.insert(1, f"|{'-' * (width + 2)}|{'-' * 13}:|")
        lines += [f"\nSkipped: {subject}: {reason}" for subject, reason in self.skipped.items()]
        lines += [f"\nNoted {count} times: {message}" for message, count in self.notes.most_common()]
        by_message = Counter(
            (kind, part, re.sub(r"[0-9][0-9,]*", "N", message.partition(" [")[0]))
            for kind, part, _, message, _ in self.findings
        )
        lines += [
            f"\nFOUND {count} times ({kind}, {part}): {message}" for (kind, part, message), count in by_message.items()
        ]
        return "\n".join(lines) + "\n"
