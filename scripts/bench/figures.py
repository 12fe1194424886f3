"""Medians, spreads, ratios, and tables of them."""

import statistics


def median(values):
    """The median."""
    return statistics.median(values)


def summary(values):
    """Median, least and most."""
    return {"median": median(values), "least": min(values), "most": max(values), "rounds": len(values)}


def ratio(ours, theirs):
    """How many times as fast we are: the median of the rounds' ratios, and their spread."""
    return summary([other / own for own, other in zip(ours, theirs)])


def seconds(of):
    """A time with its spread, in a unit that fits."""
    unit, factor, digits = ("s", 1, 2) if of["median"] >= 1 else ("ms", 1000, 0 if of["median"] >= 0.1 else 1)
    middle, least, most = (f"{of[name] * factor:.{digits}f}" for name in ("median", "least", "most"))
    return f"{middle} {unit} ({least}–{most})"


def times(of):
    """A ratio with its spread."""
    return f"{of['median']:.2f} ({of['least']:.2f}–{of['most']:.2f})"


def grouped(number):
    """A whole number with commas."""
    return f"{round(number):,}"


def table(head, rows):
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"
