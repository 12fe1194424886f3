"""A picture of a server's memory over the time of its migrations, as SVG."""

WIDTH, HEIGHT = 820, 400
LEFT, RIGHT, TOP, BOTTOM = 60, 20, 40, 76
COLOURS = ["#9aa7b4", "#4f9d69", "#3a6fb0", "#c1502e", "#7b4fa0"]


def step_of(most):
    """How far apart lines of the grid are."""
    return next(step for step in (10, 25, 50, 100, 250, 500, 1_000, 10_000) if most / step <= 8)


def short(records):
    """A number of records in few letters."""
    for unit, name in ((1_000_000, " M"), (1_000, " k")):
        if records >= unit:
            return f"{records / unit:.3g}{name}"
    return str(records)


def text(x, y, words, anchor="start", size=12):
    """Words at a place."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{words}</text>'


def picture(runs, limit_mib=300):
    """Memory against the share of the time that has passed, a line for each size."""
    most = max([limit_mib] + [kib / 1024 for run in runs for _, kib in run["samples"]]) * 1.05
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    x = lambda share: LEFT + wide * share
    y = lambda mib: TOP + high * (1 - mib / most)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" fill="#333">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        text(LEFT, 24, "Resident memory of the server, from the first byte to verified counts", size=15),
    ]
    step = step_of(most)
    for line in range(0, int(most) + 1, step):
        out.append(f'<path d="M{LEFT} {y(line):.1f}H{LEFT + wide}" stroke="#e3e3e3"/>')
        out.append(text(LEFT - 8, y(line) + 4, f"{line}", "end"))
    out.append(text(LEFT - 8, TOP - 8, "MiB", "end"))
    out.append(f'<path d="M{LEFT} {y(limit_mib):.1f}H{LEFT + wide}" stroke="#c33" stroke-dasharray="6 4"/>')
    out.append(text(LEFT + wide, y(limit_mib) - 5, f"{limit_mib} MiB", "end"))
    for share in (0, 25, 50, 75, 100):
        out.append(text(x(share / 100), TOP + high + 18, f"{share} %", "middle"))
    out.append(text(LEFT + wide / 2, TOP + high + 36, "of the time that the migration took", "middle"))
    for index, run in enumerate(runs):
        colour = COLOURS[index % len(COLOURS)]
        whole = run["samples"][-1][0] or 1
        points = " ".join(f"{x(at / whole):.1f},{y(kib / 1024):.1f}" for at, kib in run["samples"])
        out.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.8"/>')
        place = LEFT + index * wide / max(len(runs), 1)
        out.append(f'<path d="M{place:.1f} {HEIGHT - 20}h22" stroke="{colour}" stroke-width="3"/>')
        words = f"{short(run['records'])} records, {run['took']['whole']:.3g} s, {run['peakKib'] / 1024:.0f} MiB"
        out.append(text(place + 28, HEIGHT - 16, words, size=11))
    return "\n".join([*out, "</svg>"]) + "\n"
