"""Medians, ranges, ratios, and tables of them."""

import statistics


def median(values):
    """Returns the median."""
    return statistics.median(values)


def summary(values):
    """Returns median, minimum, maximum and number of values."""
    return {"median": median(values), "least": min(values), "most": max(values), "rounds": len(values)}


def ratio(ours, theirs):
    """Returns the summary of the speed-ups of the rounds: the other time divided by ours."""
    return summary([other / own for own, other in zip(ours, theirs)])


def seconds(of):
    """Formats a time with its range, in a suitable unit."""
    unit, factor, digits = ("s", 1, 2) if of["median"] >= 1 else ("ms", 1000, 0 if of["median"] >= 0.1 else 1)
    middle, least, most = (f"{of[name] * factor:.{digits}f}" for name in ("median", "least", "most"))
    return f"{middle} {unit} ({least}–{most})"


def times(of):
    """Formats a ratio with its range."""
    return f"{of['median']:.2f} ({of['least']:.2f}–{of['most']:.2f})"


def grouped(number):
    """Formats an integer with commas."""
    return f"{round(number):,}"


def table(head, rows):
    """Returns a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"
