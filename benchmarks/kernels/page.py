"""Results as a part of a page in Markdown, and as a picture."""

from pathlib import Path
from typing import Any

__all__ = ["write"]

BEGIN, END = "<!-- benchmarks/kernels: written by the command below -->", "<!-- benchmarks/kernels: end -->"
OWN = ("numba", "numba, events", "cpp", "cpp, events")
NO_PEER = (*OWN, "numba, separate", "cpp, separate", "torch LSTM")
WANTED = {
    "Wpop": (10.0, 10.0),
    "W2": (4.0, 6.0),
    "W3": (1.8, 2.5),
    "W1 512 sparse": (3.0, 4.0),
    "W1 512 dense": (1.3, 2.0),
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
        f"![ours against the fastest other]({picture.name})",
        "",
    ]
    for result in found["results"]:
        parts += table(result)
    page.write_text(text[:start] + "\n".join(parts) + text[end:], encoding="utf-8")


def fastest(rows: dict[str, Any], key: str) -> tuple[str, float]:
    """The fastest candidate that is not ours."""
    return min(((name, row[key]) for name, row in rows.items() if name not in NO_PEER), key=lambda pair: pair[1])


def summary(found: dict[str, Any]) -> list[str]:
    lines = [
        "CPU time of the fastest other candidate (best peer or tuned loop) over ours:", "",
        "| work, surrogate | fastest other | numba | numba, events | cpp | cpp, events | must / aim |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]  # fmt: skip
    for result in found["results"]:
        rows = result["rows"]
        name, least = fastest(rows, "cpu_ms")
        ratios = [f"{least / rows[own]['cpu_ms']:.1f}x" if own in rows else "" for own in OWN]
        wanted = next((pair for work, pair in WANTED.items() if result["work"].startswith(work)), None)
        if result["surrogate"] != "triangle" and result["work"].startswith("W2"):
            wanted = (2.5, 3.5)
        target = f"{wanted[0]:g} / {wanted[1]:g}" if wanted else ""
        lines.append(
            f"| {result['work']}, {result['surrogate']} | {name} {least:.0f} ms | {' | '.join(ratios)} | {target} |"
        )
    return lines


def table(result: dict[str, Any]) -> list[str]:
    rows = result["rows"]
    has_memory = any(row.get("peak_mb") is not None for row in rows.values())
    head = "| | wall ms (spread) | CPU ms |" + (" peak MB |" if has_memory else "")
    lines = [
        "",
        f"**{result['work']}, {result['surrogate']}**: {result['condition']}",
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

    figure, axes = plt.subplots(figsize=(6.4, 4.8), dpi=110)
    markers = {"numba": "o", "numba, events": "^", "cpp": "s", "cpp, events": "D"}
    seen = set()
    xs = [fastest(result["rows"], "cpu_ms")[1] for result in found["results"]]
    low, high = min(xs) * 0.7, max(xs) * 1.4
    for ratio in (1, 2, 4, 8):
        axes.plot([low, high], [low / ratio, high / ratio], color="0.8", linewidth=1, zorder=0)
        axes.annotate(f"{ratio}x", (high, high / ratio), color="0.5", fontsize=8)
    for result, x in zip(found["results"], xs, strict=True):
        for own, marker in markers.items():
            if own in result["rows"]:
                label = own if own not in seen else None
                seen.add(own)
                axes.plot(
                    x,
                    result["rows"][own]["cpu_ms"],
                    marker,
                    color=f"C{list(markers).index(own)}",
                    label=label,
                    markersize=5,
                )
        best = min(result["rows"][own]["cpu_ms"] for own in markers if own in result["rows"])
        axes.annotate(result["work"], (x, best), textcoords="offset points", xytext=(4, -9), fontsize=7)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="fastest other candidate, CPU ms per training step",
        ylabel="ours, CPU ms per training step",
    )
    axes.xaxis.set_minor_formatter("")  # their labels would cover each other
    axes.legend(frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(file)
    plt.close(figure)
