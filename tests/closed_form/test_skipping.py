"""Skip connections: the formula, names and states, and counts by hand."""

import pytest
import torch
from torch import Tensor

from snnlightning.errors import ConfigurationError, ShapeError
from snnlightning.hardware import Network
from snnlightning.initializers import ScaledNormal
from snnlightning.layers import (
    BatchNorm,
    Concat,
    ConvolutionalLayer,
    DelayedLayer,
    Dropout,
    Flatten,
    Residual,
    SpikingLayer,
    SpikingNetwork,
)
from snnlightning.layers.constraints import Dale
from snnlightning.metrics import SynOps
from snnlightning.neurons import LI, LIF
from snnlightning.readouts import MaxOverTime


def layer(inputs: int, size: int, neuron: object = None, **options: object) -> SpikingLayer:
    return SpikingLayer(inputs, size, neuron=neuron or LIF(), initializer=ScaledNormal(3.0), **options)


def network(skip: type, size: int = 6) -> SpikingNetwork:
    torch.manual_seed(0)
    rows = [layer(4, 6), skip([layer(6, size, recurrent=True)]), layer(12 if skip is Concat else 6, 3, LI())]
    return SpikingNetwork(rows, MaxOverTime()).double()


def spikes(steps: int = 10) -> Tensor:
    return (torch.rand(2, steps, 4, generator=torch.Generator().manual_seed(1)) < 0.6).double()


@pytest.mark.parametrize("skip", [Residual, Concat])
def test_it_is_the_sum_or_the_row_of_both_ways(skip):
    net = network(skip)
    out = net(spikes())
    assert net.names == ("hidden_0", "hidden_1", "readout")
    first, _ = net.layers[0](spikes())
    second, _ = net.layers[1].layers[0](first)
    both = first + second if skip is Residual else torch.cat([first, second], dim=2)
    assert first.any()
    assert second.any()
    assert torch.equal(out.records[1].output, second)
    assert torch.equal(out.records[2].connections[0].activity, both)
    torch.testing.assert_close(out.logits, net.layers[2](both)[0].amax(dim=1))
    if skip is Residual:
        assert both.max() == 2.0


@pytest.mark.parametrize("skip", [Residual, Concat])
def test_operations_are_those_of_both_ways(skip):
    net = network(skip)
    with torch.no_grad():
        out = net(spikes())
    metric = SynOps()
    metric.update(out)
    counts = metric.compute()
    first, second = (float(out.records[k].output.sum()) / 2 for k in (0, 1))
    assert counts.by_connection["hidden_1.w_in"] == 6 * first
    assert counts.by_connection["hidden_1.w_rec"] == 6 * second
    assert counts.by_connection["readout.w_in"] == 3 * (first + second)
    assert counts.macs == 0
    assert out.records[2].connections[0].binary == (skip is Concat)


def test_state_hand_over_goes_into_the_skip():
    torch.manual_seed(0)
    inner = [DelayedLayer(6, 6, neuron=LIF(), max_delay_ms=2.0, learn_delay=False), Residual([layer(6, 6)])]
    net = SpikingNetwork([layer(4, 6), Residual(inner), layer(6, 3, LI())], MaxOverTime()).double()
    x = spikes()
    whole, first = net(x), net(x[:, :6])
    second = net(x[:, 6:], first.states)
    assert net.names == ("hidden_0", "hidden_1", "hidden_2", "readout")
    for k in range(4):
        pieces = torch.cat([first.records[k].output, second.records[k].output], dim=1)
        torch.testing.assert_close(pieces, whole.records[k].output, rtol=1e-12, atol=1e-12)


def test_maps_go_through_with_everything_that_may_stand_in_a_row():
    block = [
        ConvolutionalLayer(4, 4, [3], padding="same", neuron=LIF(), norm=BatchNorm(4), backend="reference"),
        Dropout(0.2),
    ]
    rows = [
        ConvolutionalLayer(1, 4, [3], neuron=LIF()),
        Residual(block),
        Concat([block[0]]),
        Flatten(),
        layer(8 * 6, 2, LI()),
    ]
    net = SpikingNetwork(rows, MaxOverTime())
    net(torch.ones(2, 7, 1, 8)).logits.sum().backward()
    assert net.layers[2].shape_after((4, 6)) == (8, 6)


def test_what_does_not_fit_is_refused():
    with pytest.raises(
        ShapeError, match=r"a step of \[6\] and \[5\] behind the stages cannot be added; .* or use Concat"
    ):
        network(Residual, size=5)
    with pytest.raises(ShapeError, match="a layer gives 11 features and the next one takes 12"):
        network(Concat, size=5)
    with pytest.raises(ConfigurationError, match="Residual of nothing"):
        Residual([])
    maps = [ConvolutionalLayer(2, 2, [3], neuron=LIF())]
    with pytest.raises(ShapeError, match="differ in more than their features"):
        Concat(maps).shape_after((2, 8))
    with pytest.raises(ConfigurationError, match="Dale cannot tell whose spikes are whose behind a Concat"):
        Dale().apply(network(Concat))
    Dale().apply(network(Residual))
    with pytest.raises(
        ConfigurationError, match=r"readout.w_in: its activity \[2, 10, 6\] is no layer's output.*Say where"
    ):
        Network.of(network(Residual)(spikes()))
