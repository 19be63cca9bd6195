"""Results as a part of a page in Markdown, and as a picture."""

from pathlib import Path
from typing import Any

__all__ = ["write"]

BEGIN, END = "<!-- benchmarks/kernels: written by the command below -->", "<!-- benchmarks/kernels: end -->"
OWN = ("numba", "numba, events", "numba, bf16", "cpp", "cpp, events")
NO_PEER = (*OWN, "tuned eager, bf16", "cpp, bf16", "numba, separate", "cpp, separate", "torch LSTM")
WANTED = {
    "Wpop": (10.0, 10.0),
    "W2": (4.0, 6.0),
    "W3": (1.8, 2.5),
    "W1 512 sparse": (3.0, 4.0),
    "W1 512 dense": (1.3, 2.0),
    "W1 4096 dense": (1.0, 2.0),
    "W1 4096 sparse": (3.0, 4.0),
}
"""What a dense input has to reach, and what is aimed at, against the faster of the best peer and the tuned loop."""


def write(page: Path, found: dict[str, Any]) -> None:
    """Replace what stands between the two marks; the picture is put beside the page."""
    text = page.read_text(encoding="utf-8")
    start, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    picture = page.with_name("performance.png")
    draw(picture, found)
    parts = [
        "",
        found["conditions"] + ".",
        "",
        *summary(found),
        "",
        *scaling(found),
        f"![ours against the fastest other]({picture.name})",
        "",
    ]
    for result in found["results"]:
        if result.get("part") != "scaling":
            parts += table(result)
    page.write_text(text[:start] + "\n".join(parts) + text[end:], encoding="utf-8")


def fastest(rows: dict[str, Any], key: str) -> tuple[str, float]:
    """The fastest candidate that is not ours."""
    return min(((name, row[key]) for name, row in rows.items() if name not in NO_PEER), key=lambda pair: pair[1])


def key_of(result: dict[str, Any]) -> str:
    """CPU time, which other jobs disturb less; with several threads wall time, which is what they are for."""
    return "cpu_ms" if result["threads"] == 1 else "wall_ms"


def title(result: dict[str, Any]) -> str:
    threads = "" if result["threads"] == 1 else f", {result['threads']} threads (wall time)"
    return f"{result['work']}, {result['surrogate']}{threads}"


def scaling(found: dict[str, Any]) -> list[str]:
    """W2 128x32 with one thing changed."""
    results = [result for result in found["results"] if result.get("part") == "scaling"]
    if not results:
        return []
    lines = ["W2 128x32 with one thing changed, CPU ms:", "", "| | tuned eager | numba | cpp | tuned eager / numba |", "| --- | --- | --- | --- | --- |"]  # fmt: skip
    for result in results:
        eager, numba, cpp = (result["rows"].get(name, {}).get("cpu_ms") for name in ("tuned eager", "numba", "cpp"))
        cells = [f"{value:.1f}" if value else "" for value in (eager, numba, cpp)]
        lines.append(
            f"| {result['work']} | {' | '.join(cells)} | {f'{eager / numba:.1f}x' if eager and numba else ''} |"
        )
    return [*lines, ""]


def summary(found: dict[str, Any]) -> list[str]:
    lines = [
        "Time of the fastest other candidate (best peer or tuned loop) over ours (must and aim for dense input; with events 5 / 8 on W2):", "",
        f"| work, surrogate | fastest other | {' | '.join(OWN)} | must / aim |",
        f"| --- | --- | {' | '.join('---' for _ in OWN)} | --- |",
    ]  # fmt: skip
    for result in found["results"]:
        if result.get("part") in ("scaling", "memory"):
            continue
        rows, key = result["rows"], key_of(result)
        name, least = fastest(rows, key)
        ratios = [f"{least / rows[own][key]:.1f}x" if own in rows else "" for own in OWN]
        wanted = next((pair for work, pair in WANTED.items() if result["work"].startswith(work)), None)
        if result["surrogate"] != "triangle" and result["work"].startswith("W2"):
            wanted = (2.5, 3.5)
        target = f"{wanted[0]:g} / {wanted[1]:g}" if wanted else ""
        lines.append(f"| {title(result)} | {name} {least:.0f} ms | {' | '.join(ratios)} | {target} |")
    return lines


def table(result: dict[str, Any]) -> list[str]:
    rows = result["rows"]
    has_memory = any(row.get("peak_mb") is not None for row in rows.values())
    head = "| | wall ms (spread) | CPU ms |" + (" peak MB |" if has_memory else "")
    lines = [
        "",
        f"**{title(result)}**: {result['rounds']} rounds, load {result['load']:.1f}; {result['condition']}",
        "",
        head,
        "| --- | --- | --- |" + (" --- |" if has_memory else ""),
    ]
    for name, row in rows.items():
        memory = "" if not has_memory else f" {row.get('peak_mb') if row.get('peak_mb') is not None else ''} |"
        lines.append(
            f"| {name} | {row['wall_ms']:.1f} ({row['least_ms']:.1f} - {row['most_ms']:.1f}) | {row['cpu_ms']:.1f} |{memory}"
        )
    return [*lines, ""]


def draw(file: Path, found: dict[str, Any]) -> None:
    """CPU time of the fastest other candidate against ours, both logarithmic, with lines of equal ratio."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8.0, 6.0), dpi=110)
    timed = [r for r in found["results"] if r.get("part") != "memory"]
    results = [r for r in timed if r["threads"] == 1] or timed
    markers = {"numba": "o", "numba, events": "^", "cpp": "s", "cpp, events": "D"}
    seen = set()
    xs = [fastest(result["rows"], "cpu_ms")[1] for result in results]
    points: list[tuple[float, float]] = []
    for result, x in zip(results, xs, strict=True):
        scaled = result.get("part") == "scaling"  # W2 128x32 with one thing changed: small and without a name
        for own, marker in markers.items():
            if own in result["rows"]:
                label = own if own not in seen and not scaled else None
                seen |= set() if scaled else {own}
                y = result["rows"][own]["cpu_ms"]
                points.append((x, y))
                color, size = f"C{list(markers).index(own)}", 2.5 if scaled else 5
                axes.plot(x, y, marker, color=color, label=label, markersize=size, alpha=0.5 if scaled else 1.0)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="fastest other candidate, CPU ms per training step (small: W2 128x32 with one thing changed)",
        ylabel="ours, CPU ms per training step",
    )
    axes.xaxis.set_minor_formatter("")  # their labels would cover each other
    low, high = min(xs) * 0.6, max(xs) * 1.6
    axes.set(xlim=(low, high * 1.5), ylim=(min(y for _, y in points) * 0.5, max(y for _, y in points) * 2.5))
    for ratio in (1, 2, 4, 8):
        axes.plot([low, high], [low / ratio, high / ratio], color="0.85", linewidth=1, zorder=0)
    figure.tight_layout()
    legend = axes.legend(frameon=False, fontsize=8, loc="upper left")
    figure.canvas.draw()
    taken = [legend.get_window_extent()]
    for ratio in (1, 2, 4, 8):
        ends = {"textcoords": "offset points", "xytext": (3, -3), "color": "0.5", "fontsize": 8}
        taken.append(axes.annotate(f"{ratio}x", (high, high / ratio), **ends).get_window_extent())
    radius = 5.0
    for x, y in points:
        at = axes.transData.transform((x, y))
        taken.append(mpl.transforms.Bbox([at - radius, at + radius]))
    named = [(x, result) for x, result in zip(xs, results, strict=True) if result.get("part") != "scaling"]
    for x, result in sorted(named, key=lambda pair: pair[0]):
        ours = [result["rows"][own]["cpu_ms"] for own in markers if own in result["rows"]]
        text = result["work"] if result["surrogate"] == "triangle" else f"{result['work']} {result['surrogate']}"
        taken.append(placed(axes, text, x, (min(ours), max(ours)), taken))
    figure.savefig(file)
    plt.close(figure)


def placed(axes: Any, text: str, x: float, span: tuple[float, float], taken: list[Any]) -> Any:
    """Write a label beside its points, where it covers nothing: the nearest of many places, with a line to it; returns its box."""
    frame = axes.get_window_extent()
    tries = [
        (y, (dx, dy))
        for far in (0, 12, 24, 36, 52, 70, 90)
        for y, dy in ((span[0], -8 - far), (span[1], 8 + far))
        for dx in (0, 10 + far, -10 - far)
    ]
    best: tuple[float, Any, tuple[float, tuple[int, int]]] | None = None
    for y, offset in tries:
        label = written(axes, text, (x, y), offset, line=False)
        box = label.get_window_extent()
        label.remove()
        outside = box.width * box.height - overlap(box, frame)
        covered = sum(overlap(box, other) for other in taken) + 10 * outside
        if best is None or covered < best[0]:
            best = covered, box, (y, offset)
        if covered == 0:
            break
    assert best is not None
    y, offset = best[2]
    written(axes, text, (x, y), offset, line=abs(offset[1]) > 16)
    return best[1]


def written(axes: Any, text: str, at: tuple[float, float], offset: tuple[int, int], *, line: bool) -> Any:
    dx, dy = offset
    return axes.annotate(
        text, at, textcoords="offset points", xytext=offset, fontsize=7.5,
        ha="center" if dx == 0 else "left" if dx > 0 else "right", va="bottom" if dy > 0 else "top",
        arrowprops={"arrowstyle": "-", "color": "0.6", "linewidth": 0.6, "shrinkA": 0, "shrinkB": 3} if line else None,
    )  # fmt: skip


def overlap(one: Any, other: Any) -> float:
    """What two boxes share, in square pixels."""
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return float(width * height) if width > 0 and height > 0 else 0.0
