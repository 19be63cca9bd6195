"""Regularizers on rates, potentials, weights and synaptic operations: K20 to K22, gradients in closed form, and from YAML."""

import itertools
import math
import re

import pytest
import torch
from torch import Tensor, nn

from snnlightning.errors import ConfigurationError
from snnlightning.events import Events
from snnlightning.layers import (
    ConvolutionalLayer,
    Flatten,
    SpikingLayer,
    SpikingNetwork,
    SumPool,
)
from snnlightning.metrics import SynOps
from snnlightning.neurons import LI, LIF, CubaLI, CubaLIF
from snnlightning.readouts import MeanOverTime
from snnlightning.regularizers import (
    AbstractRegularizer,
    Heterosynaptic,
    Membrane,
    PopulationUpperBound,
    QuantileUpperBound,
    QuietBurst,
    RateDivergence,
    RateUpperBound,
    TargetCount,
    TargetRate,
    TargetSynOps,
    TotalSynOps,
    UpperBound,
    WeightSize,
)
from snnlightning.regularizers._operations import operations
from snnlightning.training import SpikingClassifier, SpikingModule
from snnlightning.typing import Connection, LayerRecord

ZETA = torch.tensor([[0.0, 2.0, 5.0], [1.0, 4.0, 0.0]], dtype=torch.float64)
T = 10


def trains(counts: Tensor, steps: int = T) -> Tensor:
    """Spike trains [B, T, N] with these counts, first steps first."""
    return (torch.arange(steps).view(1, -1, 1) < counts.unsqueeze(1)).double()


def of(regularizer: AbstractRegularizer, spikes: Tensor) -> float:
    hidden = LayerRecord("hidden_0", True, spikes, (), None, ())
    value = regularizer.of_records([hidden, hidden._replace(spiking=False)])
    assert value is not None
    return value.item()


@pytest.mark.parametrize(
    ("regularizer", "value"),
    [
        (TargetRate(strength=1.0, target_hz=10.0), 143300.0),  # R7
        (TargetRate(strength=1.0, target_hz=10.0, dt_ms=10.0), (5 - 10) ** 2 + (30 - 10) ** 2 + (25 - 10) ** 2),
        (QuietBurst(strength=1.0), 0.0),  # R10
        (TargetCount(strength=1.0 / T**2, target=0.2 * T), 0.0366667),  # R15 on the rates of hidden neurons
        (QuantileUpperBound(strength=1.0, bound=1.0, quantile=0.5, power=1), 0.5),  # R17: medians 2 and 1
        (QuantileUpperBound(strength=1.0, bound=0.0, quantile=0.9, power=1), (4.4 + 3.4) / 2),
        (RateUpperBound(strength=6.0, bound=0.3), 0.2**2 + 0.1**2),  # R9
        (RateUpperBound(strength=2.0, bound=0.2, population=True), (0.7 / 3 - 0.2) ** 2),
        (RateDivergence(strength=1.0, rate=0.3), sum(0.3 * math.log(0.3 / q) + 0.7 * math.log(0.7 / (1 - q)) for q in (0.05, 0.3, 0.25))),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, AbstractRegularizer) else "",
)  # fmt: skip
def test_penalties_have_the_values_of_K20(regularizer, value):
    assert of(regularizer, trains(ZETA)) == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize(("quantile", "values"), [(0.5, (2.0, 1.0)), (0.9, (4.4, 3.4))])
def test_the_quantiles_of_the_samples_are_those_of_K20(quantile, values):
    """Between the two counts around it, in proportion; each sample for itself, and a bound between them frees one."""
    for sample, value in zip(ZETA, values, strict=True):
        of_one = QuantileUpperBound(strength=1.0, bound=0.0, quantile=quantile, power=1)
        assert of(of_one, trains(sample[None])) == pytest.approx(value, rel=1e-12)
    between = QuantileUpperBound(strength=1.0, bound=sum(values) / 2, quantile=quantile)
    assert of(between, trains(ZETA)) == pytest.approx(((values[0] - values[1]) / 2) ** 2 / 2, rel=1e-12)
    at_one = QuantileUpperBound(strength=1.0, bound=1.0, quantile=quantile, power=1)
    assert of(at_one, trains(ZETA)) == pytest.approx(sum(value - 1.0 for value in values) / 2, rel=1e-12)


def test_a_silent_neuron_is_quiet_K20():
    silent = ZETA.clone()
    silent[:, 0] = 0.0
    assert of(QuietBurst(strength=1.0), trains(silent)) == pytest.approx(0.005, rel=1e-12)


def test_bounds_on_rates_are_bounds_on_counts_in_other_units():
    spikes = trains(ZETA)
    assert of(RateUpperBound(strength=T**2, bound=0.3), spikes) == pytest.approx(
        of(UpperBound(strength=1.0, bound=0.3 * T), spikes), rel=1e-12
    )
    assert of(RateUpperBound(strength=T**2, bound=0.1, population=True), spikes) == pytest.approx(
        of(PopulationUpperBound(strength=1.0, bound=0.1 * T), spikes), rel=1e-12
    )


@pytest.mark.parametrize(
    ("regularizer", "gradient"),
    [
        (
            TargetRate(strength=1e-4, target_hz=10.0),
            lambda s: 2e-4 * (1000 * s.mean(dim=(0, 1)) - 10) * 1000 / (2 * T),
        ),
        (QuietBurst(strength=4.0, low=0.1, high=0.26), lambda s: torch.tensor([-2.0, 2.0, 0.0]).double() / (2 * T)),
        (
            RateUpperBound(strength=3.0, bound=0.1),
            lambda s: (2 * 3.0 * (s.mean(dim=1) - 0.1).clamp_min(0) / (6 * T))[:, None],
        ),
        (
            QuantileUpperBound(strength=3.0, bound=1.5, quantile=0.5, power=1),
            lambda s: (torch.tensor([[0, 1, 0], [0, 0, 0]]) * 3.0 / 2)[:, None],
        ),
        (
            RateDivergence(strength=2.0, rate=0.3),
            lambda s: 2.0 * (0.7 / (1 - s.mean(dim=(0, 1))) - 0.3 / s.mean(dim=(0, 1))) / (2 * T),
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, AbstractRegularizer) else "",
)
def test_gradients_with_respect_to_spikes_in_closed_form(regularizer, gradient):
    spikes = trains(ZETA).requires_grad_()
    regularizer(spikes).backward()
    expected = gradient(spikes.detach()).double().expand_as(spikes)
    torch.testing.assert_close(spikes.grad, expected, rtol=1e-9, atol=1e-12)


def test_a_neuron_that_never_spikes_has_a_finite_divergence_and_is_woken():
    spikes = torch.zeros(2, T, 1, dtype=torch.float64, requires_grad=True)
    value = RateDivergence(strength=1.0, rate=0.2)(spikes)
    value.backward()
    assert value.item() == pytest.approx(0.2 * math.log(10) + 0.8 * math.log(0.8 / 0.98))
    assert (spikes.grad < 0).all()


# Potentials.


def test_the_membrane_term_is_that_of_its_formula_and_has_its_gradient():
    u = torch.tensor([[[0.2, 1.4], [0.995, -3.0]]], dtype=torch.float64, requires_grad=True)
    record = LayerRecord("hidden_0", True, torch.zeros(1, 2, 2), (), u, ())
    value = Membrane(strength=2.0, rest=0.5).of_records([record, record])
    x = [v - 1.0 for v in (0.2, 1.4, 0.995, -3.0)]
    mean = sum(1 / (1 + math.exp(-v)) for v in x) / 4
    assert value.item() == pytest.approx(2.0 * ((0.41 + 0.005) / 4 + 0.5 * max(0.0, 0.1 - mean)), rel=1e-12)
    value.backward()
    torch.testing.assert_close(u.grad, 2.0 / 4 * torch.tensor([[[0.0, 1.0], [1.0, 0.0]]]).double())


def test_the_second_membrane_term_lifts_a_layer_far_below_threshold():
    u = torch.full((2, 3, 4), -4.0, dtype=torch.float64, requires_grad=True)
    record = LayerRecord("hidden_0", True, torch.zeros(2, 3, 4), (), u, ())
    Membrane(strength=1.0).of_records([record, record]).backward()
    assert (u.grad < 0).all()


def test_a_module_keeps_potentials_for_the_membrane_and_only_in_training():
    model = SpikingClassifier(6, 3, [8, 5], regularizers={"membrane": {"strength": 3e-3}}, init_gain=2.0)
    x = (torch.rand(4, 12, 6, generator=torch.Generator().manual_seed(0)) < 0.4).float()
    records = model(x).records
    assert all(record.potentials is not None for record in records)
    model.penalty(records).backward()
    assert model.network.layers[0].w_in.grad.abs().sum() > 0
    assert model.network.layers[1].w_rec.grad.abs().sum() > 0
    assert model.network.layers[2].w_in.grad is None
    assert all(record.potentials is None for record in model.eval()(x).records)


def test_what_has_no_potentials_is_refused():
    hidden = LayerRecord("hidden_0", True, torch.zeros(1, 2, 1), (), None, ())
    with pytest.raises(ConfigurationError, match="the record of 'hidden_0' holds none; call the network with"):
        Membrane(strength=1.0).of_records([hidden, hidden])
    with pytest.raises(ConfigurationError, match="Membrane reads potentials, which LocalErrors does not keep"):
        SpikingClassifier(6, 3, [8], regularizers={"membrane": {"strength": 1.0}}, learning="local_errors")


# Weights.


def test_the_heterosynaptic_gradient_is_the_published_decay():
    torch.manual_seed(3)
    net = SpikingNetwork(
        [SpikingLayer(6, 8, neuron=LIF(), recurrent=True), SpikingLayer(8, 3, neuron=LI())], MeanOverTime()
    ).double()
    with torch.no_grad():
        net.layers[0].w_in.mul_(4.0)
    records = net((torch.rand(4, 25, 6) < 0.4).double()).records
    Heterosynaptic(strength=0.7, tau_ms=20.0).of_records(records).backward()
    trace, fourth = torch.zeros(4, 8, dtype=torch.float64), torch.zeros(8, dtype=torch.float64)
    for n in range(25):
        trace = math.exp(-1 / 20) * trace + records[0].output[:, n].detach()
        fourth += trace.pow(4).mean(dim=0) / 25
    assert fourth.max() > 1
    for w in (net.layers[0].w_in, net.layers[0].w_rec):
        torch.testing.assert_close(w.grad, 0.7 * fourth[:, None] * w.detach(), rtol=1e-12, atol=0.0)
    assert net.layers[1].w_in.grad is None


@pytest.mark.parametrize("power", [1, 2])
def test_the_size_of_weights_counts_every_weight_once(power):
    net = SpikingNetwork(
        [SpikingLayer(3, 4, neuron=LIF(), recurrent=True), SpikingLayer(4, 2, neuron=LI())], MeanOverTime()
    )
    records = net(torch.zeros(1, 2, 3)).records
    expected = sum(w.abs().pow(power).sum() for w in net.parameters())
    value = WeightSize(strength=0.3, power=power).of_records(records)
    assert value.item() == pytest.approx(0.3 * expected.item(), rel=1e-6)
    value.backward()
    sign = net.layers[0].w_rec.detach()
    torch.testing.assert_close(net.layers[0].w_rec.grad, 0.3 * (sign.sign() if power == 1 else 2 * sign))


# Synaptic operations.


def dense_network() -> tuple[SpikingNetwork, Tensor]:
    torch.manual_seed(5)
    net = SpikingNetwork(
        [
            SpikingLayer(6, 8, neuron=CubaLIF(), recurrent=True),
            SpikingLayer(8, 7, neuron=CubaLIF(), recurrent=True),
            SpikingLayer(7, 3, neuron=CubaLI()),
        ],
        MeanOverTime(),
    ).double()
    with torch.no_grad():
        for layer in net.layers:
            layer.w_in.mul_(3.0)
        net.layers[0].w_rec[2, 3] = 0.0
        net.layers[1].w_in[:, 1] = 0.0
    return net, torch.randint(0, 3, (4, 25, 6)).double()


def convolutional_network() -> tuple[SpikingNetwork, Tensor]:
    torch.manual_seed(6)
    layers: list[nn.Module] = [
        ConvolutionalLayer(1, 3, [3, 3], neuron=LIF(), stride=2, padding=1, recurrent=True),
        SumPool([2, 2]),
        Flatten(),
        SpikingLayer(12, 4, neuron=LI()),
    ]
    net = SpikingNetwork(layers, MeanOverTime()).double()
    with torch.no_grad():
        net.layers[0].w_in.mul_(8.0)
    return net, (torch.rand(2, 5, 1, 8, 8) < 0.6).double()


@pytest.mark.parametrize("make", [dense_network, convolutional_network])
def test_operations_with_a_gradient_are_those_that_the_metric_counts(make):
    net, x = make()
    out = net(x)
    metric = SynOps()
    metric.update(out)
    counts = metric.compute()
    assert counts.by_kind["recurrent"] > 0
    assert operations(out.records).item() == pytest.approx(counts.total, rel=1e-12)
    for kind, value in counts.by_kind.items():
        assert operations(out.records, (kind,)).item() == pytest.approx(value, rel=1e-12)
    assert TotalSynOps(strength=2.0, hidden_only=True).of_records(out.records).item() == pytest.approx(
        2.0 * (counts.total - counts.by_kind["input"]), rel=1e-12
    )


def test_events_and_analog_input_are_counted_as_the_metric_counts_them():
    net, x = dense_network()
    for given in (Events.from_dense(x.float()), x / 3.0, x.to(torch.int64).double()):
        out = net.float()(given if isinstance(given, Events) else given.float())
        metric = SynOps()
        metric.update(out)
        assert operations(out.records).item() == pytest.approx(metric.compute().total, rel=1e-6)


def test_a_spike_costs_its_fan_out_recurrent_synapses_included():
    """The gradient with respect to the hidden spikes: the weights that are not zero and leave each neuron, over B."""
    net, x = dense_network()
    records = net(x).records
    hidden = records[0].output
    (found,) = torch.autograd.grad(
        operations(records[1:2], ("feedforward",)) + operations(records[:1], ("recurrent",)), hidden
    )
    fan_out = (net.layers[1].w_in != 0).sum(dim=0) + (net.layers[0].w_rec != 0).sum(dim=0)
    assert fan_out.tolist() == [15, 8, 15, 14, 15, 15, 15, 15]
    last = found[:, -1] * 4.0  # nothing comes after the last step
    assert torch.equal(last, fan_out.double().expand(4, 8))


def sent(count: int, size: int) -> Tensor:
    """A train [1, 30, size] with so many spikes."""
    return torch.cat([torch.ones(count), torch.zeros(30 * size - count)]).view(1, 30, size)


def counted(name: str, n_in: int, n: int, spikes_in: int, spikes: int, kind: str, recurrent: bool) -> LayerRecord:
    own = sent(spikes, n)
    parts = [Connection(f"{name}.w_in", kind, sent(spikes_in, n_in), torch.ones(n, n_in), True)]  # type: ignore[arg-type]
    parts += [Connection(f"{name}.w_rec", "recurrent", own, torch.ones(n, n), True)] if recurrent else []
    return LayerRecord(name, name != "readout", own, (), None, tuple(parts))


def test_the_counts_of_K22():
    """3-4(rec)-2(rec)-2 with 5 spikes in, 7 and 3 in the hidden layers: 74 with all recurrence, 40 without; S 40, target 50: 0.04."""
    for recurrent, total in ((True, 74.0), (False, 40.0)):
        records = [
            counted("hidden_0", 3, 4, 5, 7, "input", recurrent),
            counted("hidden_1", 4, 2, 7, 3, "feedforward", recurrent),
            counted("readout", 2, 2, 3, 0, "readout", False),
        ]
        assert operations(records).item() == total
    assert TargetSynOps(strength=1.0, target=50.0).of_records(records).item() == pytest.approx(0.04)


def test_the_target_and_its_gradient_are_those_of_K22_and_section_5_2():
    spikes = torch.ones(1, 7, 4, dtype=torch.float64, requires_grad=True)
    weight = torch.ones(2, 4, dtype=torch.float64)
    record = LayerRecord("readout", False, spikes, (), None, (Connection("r", "readout", spikes, weight, True),))
    value = TargetSynOps(strength=1.0, target=40.0).of_records([record])
    assert value.item() == pytest.approx(0.16, rel=1e-12)  # S = 56
    value.backward()
    torch.testing.assert_close(spikes.grad, torch.full_like(spikes, 2 * (56 - 40) / 40**2 * 2), rtol=1e-12, atol=0.0)


# All of them.

NETWORK_WIDE = [
    TargetRate(strength=1e-4),
    QuietBurst(strength=1.0, low=0.0, high=0.01),
    RateUpperBound(strength=1.0, bound=0.01),
    RateDivergence(strength=1.0, rate=0.01),
    QuantileUpperBound(strength=1.0, bound=0.1),
    Membrane(strength=1.0),
    Heterosynaptic(strength=1.0),
    WeightSize(strength=1.0),
    TotalSynOps(strength=1e-3),
    TargetSynOps(strength=1.0, target=100.0),
]


@pytest.mark.parametrize("regularizer", NETWORK_WIDE, ids=lambda r: type(r).__name__)
def test_the_gradient_reaches_every_hidden_weight_and_a_batch_twice_over_pays_the_same_K20_K21(regularizer):
    net, x = dense_network()
    value = regularizer.of_records(net(x, potentials=True).records)
    value.backward()
    for layer in net.layers[:2]:
        assert layer.w_in.grad.abs().sum() > 0
        assert layer.w_rec.grad.abs().sum() > 0
    assert (net.layers[2].w_in.grad is None) is not isinstance(regularizer, WeightSize)
    twice = regularizer.of_records(net(torch.cat([x, x]), potentials=True).records)
    assert twice.item() == pytest.approx(value.item(), rel=1e-12)


@pytest.mark.parametrize("regularizer", NETWORK_WIDE, ids=lambda r: type(r).__name__)
def test_every_one_is_built_from_a_configuration(regularizer):
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(regularizer).__name__).lower().replace("syn_ops", "synops")
    arguments = {"strength": 0.5, **({"target": 100.0} if name == "target_synops" else {})}
    model = SpikingClassifier(6, 3, [8], regularizers={name: arguments})
    assert isinstance(model, SpikingModule)
    assert [type(r) for r in model.regularizers] == [type(regularizer)]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: TargetRate(strength=1.0, dt_ms=0.0), "dt_ms is 0.0; it must be greater than 0"),
        (lambda: TargetRate(strength=1.0, target_hz=-1.0), "target_hz is -1.0"),
        (lambda: QuietBurst(strength=1.0, low=0.6), "low 0.6 and high 0.5"),
        (lambda: QuantileUpperBound(strength=1.0, quantile=1.1), "quantile is 1.1"),
        (lambda: RateDivergence(strength=1.0, rate=0.0), "rate is 0.0"),
        (lambda: Membrane(strength=1.0, rest=-1.0), "rest is -1.0"),
        (lambda: Heterosynaptic(strength=1.0, tau_ms=0.0), "tau_ms is 0.0"),
        (lambda: TargetSynOps(strength=1.0, target=0.0), "target is 0.0"),
        (lambda: WeightSize(strength=1.0, power=3), "power is 3"),
    ],
)
def test_values_out_of_range_are_refused(build, message):
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        build()


def test_a_network_without_hidden_layers_pays_nothing():
    net = SpikingNetwork([SpikingLayer(3, 2, neuron=LI())], MeanOverTime())
    records = net(torch.ones(1, 2, 3)).records
    for regularizer in itertools.chain(NETWORK_WIDE[:7]):
        assert regularizer.of_records(records) is None
