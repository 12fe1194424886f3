"""SVG chart of the memory of a server during migrations."""

WIDTH, HEIGHT = 820, 400
LEFT, RIGHT, TOP, BOTTOM = 60, 20, 40, 76
COLOURS = ["#9aa7b4", "#4f9d69", "#3a6fb0", "#c1502e", "#7b4fa0"]


def grid_step(maximum):
    """Returns the distance of grid lines."""
    return next(step for step in (10, 25, 50, 100, 250, 500, 1_000, 10_000) if maximum / step <= 8)


def abbreviate(records):
    """Abbreviates a number of records."""
    for unit, name in ((1_000_000, " M"), (1_000, " k")):
        if records >= unit:
            return f"{records / unit:.3g}{name}"
    return str(records)


def svg_text(x, y, label, anchor="start", size=12):
    """Returns an SVG text element."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{label}</text>'


def memory_chart(runs, limit_mib=300):
    """Returns the chart: memory over the relative time of the migration, one line a size."""
    maximum = max([limit_mib] + [kib / 1024 for run in runs for _, kib in run["samples"]]) * 1.05
    plot_width, plot_height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    x = lambda share: LEFT + plot_width * share
    y = lambda mib: TOP + plot_height * (1 - mib / maximum)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" fill="#333">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        svg_text(LEFT, 24, "Resident memory of the server, from the first byte to verified counts", size=15),
    ]
    step = grid_step(maximum)
    for line in range(0, int(maximum) + 1, step):
        out.append(f'<path d="M{LEFT} {y(line):.1f}H{LEFT + plot_width}" stroke="#e3e3e3"/>')
        out.append(svg_text(LEFT - 8, y(line) + 4, f"{line}", "end"))
    out.append(svg_text(LEFT - 8, TOP - 8, "MiB", "end"))
    out.append(f'<path d="M{LEFT} {y(limit_mib):.1f}H{LEFT + plot_width}" stroke="#c33" stroke-dasharray="6 4"/>')
    out.append(svg_text(LEFT + plot_width, y(limit_mib) - 5, f"{limit_mib} MiB", "end"))
    for share in (0, 25, 50, 75, 100):
        out.append(svg_text(x(share / 100), TOP + plot_height + 18, f"{share} %", "middle"))
    out.append(svg_text(LEFT + plot_width / 2, TOP + plot_height + 36, "of the duration of the migration", "middle"))
    for index, run in enumerate(runs):
        colour = COLOURS[index % len(COLOURS)]
        duration = run["samples"][-1][0] or 1
        points = " ".join(f"{x(at / duration):.1f},{y(kib / 1024):.1f}" for at, kib in run["samples"])
        out.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.8"/>')
        legend_x = LEFT + index * plot_width / max(len(runs), 1)
        out.append(f'<path d="M{legend_x:.1f} {HEIGHT - 20}h22" stroke="{colour}" stroke-width="3"/>')
        label = f"{abbreviate(run['records'])} records, {run['took']['whole']:.3g} s, {run['peakKib'] / 1024:.0f} MiB"
        out.append(svg_text(legend_x + 28, HEIGHT - 16, label, size=11))
    return "\n".join([*out, "</svg>"]) + "\n"
