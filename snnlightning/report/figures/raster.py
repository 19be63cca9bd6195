"""Raster: the spikes of one sample, one panel per layer."""

from typing import TYPE_CHECKING

from ..files import Layer, Raster
from ..markup import label
from .style import BLUE, GREY, layout, plotly

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["raster_figure", "spikes_left_out"]

SPIKES_LIMIT = 20_000
PANEL_HEIGHT_PX = 220.0


def raster_figure(raster: Raster) -> "Figure":
    """A row of panels, time across and neurons up; a spike is a short upright tick.

    All ticks of a layer are one path, so that the page stays quick with many panels. A tick is as tall as its neuron's
    row, and never less than two pixels. A layer with more than SPIKES_LIMIT spikes shows every k-th of them
    (:func:`spikes_left_out` counts the rest).
    """
    layers = raster.layers
    figure = plotly("subplots").make_subplots(
        rows=1,
        cols=max(len(layers), 1),
        shared_xaxes=True,
        horizontal_spacing=0.25 / max(len(layers), 1) if len(layers) > 1 else 0.0,
        subplot_titles=[f"{label(layer.name, 24)} ({len(layer.time):,} spikes)" for layer in layers],
    )
    for column, layer in enumerate(layers, start=1):
        step = _stride(layer)
        half = max(0.4, layer.neurons / PANEL_HEIGHT_PX)
        ticks = [
            (time * raster.dt_ms, neuron) for time, neuron in zip(layer.time[::step], layer.neuron[::step], strict=True)
        ]
        figure.add_scatter(
            row=1,
            col=column,
            x=[value for time, _ in ticks for value in (time, time, None)],
            y=[value for _, neuron in ticks for value in (neuron - half, neuron + half, None)],
            mode="lines",
            line={
                "color": GREY if column == 1 and layer.name == "input" else BLUE,
                "width": 1.6,
                "simplify": False,
            },
            hoverinfo="skip",
            showlegend=False,
        )
        end = raster.steps * raster.dt_ms
        figure.update_xaxes(range=[-0.02 * end, 1.02 * end], title={"text": "time (ms)"}, row=1, col=column)
        figure.update_yaxes(range=[-1.0, max(layer.neurons, 1)], row=1, col=column)
    layout(figure, margin={"l": 60, "r": 10, "t": 30, "b": 50})
    figure.update_xaxes(showgrid=False)
    figure.update_yaxes(showgrid=False)
    if layers:
        figure.update_yaxes(title={"text": "neuron"}, row=1, col=1)
    figure.update_annotations(font={"size": 12})
    return figure


def spikes_left_out(raster: Raster) -> int:
    """How many spikes :func:`raster_figure` does not draw."""
    return sum(len(layer.time) - len(layer.time[:: _stride(layer)]) for layer in raster.layers)


def _stride(layer: Layer) -> int:
    return -(-len(layer.time) // SPIKES_LIMIT) or 1
