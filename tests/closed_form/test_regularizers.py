"""Regularizers on the counts of K20, worked out by hand; their gradients and where those reach.

Ours are means over the batch. SpyTorch sums, so that with B samples its R1 is ours times B and its R2 ours times B².
"""

import pytest
import torch
from helpers import constructed, every
from torch import Tensor

from snnlightning.errors import ConfigurationError, ShapeError
from snnlightning.layers import SpikingLayer, SpikingNetwork
from snnlightning.losses import CrossEntropy, MeanSquaredError
from snnlightning.neurons import CubaLI, CubaLIF
from snnlightning.readouts import MeanOverTime
from snnlightning.regularizers import (
    AbstractCountRegularizer,
    LowerBound,
    PopulationUpperBound,
    SquaredCount,
    TargetCount,
    TotalCount,
    UpperBound,
)
from snnlightning.training import SpikingModule

ZETA = torch.tensor([[0.0, 2.0, 5.0], [1.0, 4.0, 0.0]], dtype=torch.float64)
B, N = ZETA.shape

POWERS = [
    pytest.param(cls, power, id=f"{name}-{power}")
    for name, cls in ((parameter.id, parameter.values[0]) for parameter in every("regularizers"))
    if issubclass(cls, AbstractCountRegularizer)
    for power in ((1, 2) if "power" in cls.__dataclass_fields__ else (None,))
]


def built(cls: type, power: int | None, **arguments: float) -> AbstractCountRegularizer:
    options = arguments if power is None else {**arguments, "power": power}
    return constructed(cls, **options)


@pytest.mark.parametrize(
    ("regularizer", "value"),
    [
        (TotalCount(strength=1e-5), 1.2e-4 / B),
        (SquaredCount(strength=1e-5), 6.2e-4 / 3.0 / B**2),
        (LowerBound(strength=100.0, bound=1e-3), 1e-4 / 3.0),
        (LowerBound(strength=100.0, bound=1e-3, power=1), 100.0 * 2e-3 / 6.0),
        (PopulationUpperBound(strength=0.06, bound=2.0, power=1), 0.01),
        (PopulationUpperBound(strength=0.06, bound=2.0), 0.01 / 3.0),
        (UpperBound(strength=0.1, bound=4.0), 0.1 / 6.0),
        (UpperBound(strength=0.1, bound=2.5, power=1), 0.1 * 4.0 / 6.0),
        (TargetCount(strength=1.0, target=2.0), 22.0 / 6.0),
        (TargetCount(strength=1.0, target=2.0, power=1), 10.0 / 6.0),
        (TargetCount(strength=5e-4, target=0.0), 0.023 / 6.0),
    ],
    ids=str,
)
def test_penalties_have_the_values_of_K20(regularizer, value):
    """R1 1.2e-4 and R2 2.0666667e-4 are SpyTorch's sums (B = 2); the others are means already. Last: R13."""
    assert regularizer.of_counts(ZETA).item() == pytest.approx(value, rel=1e-12)


def test_the_values_of_spytorch_follow_from_the_batch_size_K20():
    assert TotalCount(strength=1e-5).of_counts(ZETA).item() * B == pytest.approx(1.2e-4, rel=1e-12)
    assert SquaredCount(strength=1e-5).of_counts(ZETA).item() * B**2 == pytest.approx(2.0666667e-4, rel=1e-7)


@pytest.mark.parametrize(("cls", "power"), POWERS)
def test_a_batch_twice_over_pays_the_same_K20(cls, power):
    regularizer = built(cls, power, strength=0.7)
    once, twice = regularizer.of_counts(ZETA), regularizer.of_counts(torch.cat([ZETA, ZETA]))
    assert once > 0 or cls is LowerBound
    assert twice.item() == pytest.approx(once.item(), rel=1e-15)


@pytest.mark.parametrize(("cls", "power"), POWERS)
def test_strength_is_a_factor_and_the_order_of_samples_and_neurons_does_not_matter(cls, power):
    one = built(cls, power, strength=1.0).of_counts(ZETA).item()
    assert built(cls, power, strength=3.0).of_counts(ZETA).item() == pytest.approx(3.0 * one, rel=1e-15)
    assert built(cls, power, strength=1.0).of_counts(ZETA.flip(0, 1)).item() == pytest.approx(one, rel=1e-15)


@pytest.mark.parametrize(("cls", "power"), POWERS)
def test_spikes_are_counted_over_time(cls, power):
    generator = torch.Generator().manual_seed(0)
    spikes = (torch.rand(3, 9, 4, generator=generator) < 0.4).double()
    regularizer = built(cls, power, strength=2.0)
    assert torch.equal(regularizer(spikes), regularizer.of_counts(spikes.sum(dim=1)))
    assert regularizer(spikes).ndim == 0


@pytest.mark.parametrize(
    ("regularizer", "gradient"),
    [
        (TotalCount(strength=3.0), torch.full((B, N), 3.0 / B)),
        (SquaredCount(strength=3.0), 2.0 * 3.0 * ZETA.sum(dim=0).expand(B, N) / N / B**2),
        (LowerBound(strength=100.0), -2.0 * 100.0 * (1e-3 - ZETA).clamp_min(0.0) / (B * N)),
        (
            PopulationUpperBound(strength=0.06, bound=2.0),
            2.0 * 0.06 * (ZETA.mean(dim=1, keepdim=True) - 2.0).clamp_min(0.0).expand(B, N) / (B * N),
        ),
        (UpperBound(strength=0.1, bound=4.0), 2.0 * 0.1 * (ZETA - 4.0).clamp_min(0.0) / (B * N)),
        (TargetCount(strength=0.5, target=1.5), 2.0 * 0.5 * (ZETA - 1.5) / (B * N)),
        (UpperBound(strength=0.1, bound=3.5, power=1), 0.1 * (ZETA > 3.5).double() / (B * N)),
        (LowerBound(strength=0.1, bound=0.5, power=1), -0.1 * (ZETA < 0.5).double() / (B * N)),
        (TargetCount(strength=0.5, target=1.5, power=1), 0.5 * (ZETA - 1.5).sign() / (B * N)),
    ],
    ids=lambda value: "" if isinstance(value, Tensor) else f"{type(value).__name__}-{getattr(value, 'power', '')}",
)
def test_gradients_have_the_forms_of_section_5_2(regularizer, gradient):
    spikes = torch.zeros(B, 6, N, dtype=torch.float64)
    for b in range(B):
        for i in range(N):
            spikes[b, : int(ZETA[b, i]), i] = 1.0
    spikes.requires_grad_()
    regularizer(spikes).backward()
    expected = gradient.double().unsqueeze(1).expand(B, 6, N)
    torch.testing.assert_close(spikes.grad, expected, rtol=1e-12, atol=1e-15)


def test_a_silent_entry_has_the_gradient_of_K20():
    counts = ZETA.clone().requires_grad_()
    LowerBound(strength=100.0, bound=1e-3).of_counts(counts).backward()
    assert counts.grad[0, 0].item() == pytest.approx(-0.2 / 6.0, rel=1e-12)
    assert counts.grad[1, 0].item() == 0.0


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize(
    ("cls", "options"),
    [(LowerBound, {"bound": 2.0}), (UpperBound, {"bound": 2.0}), (PopulationUpperBound, {"bound": 2.0}),
     (TargetCount, {"target": 2.0})],
    ids=["lower", "upper", "population", "target"],
)  # fmt: skip
def test_a_count_exactly_on_the_bound_costs_nothing_and_gets_no_gradient(cls, options, power):
    """[x]+ has slope 0 at 0, as relu has: counts are whole numbers, so they sit on the bound all the time."""
    counts = torch.full((2, 3), 2.0, dtype=torch.float64, requires_grad=True)
    penalty = cls(strength=1.0, power=power, **options).of_counts(counts)
    penalty.backward()
    assert penalty.item() == 0.0
    assert not counts.grad.any()


# K21: the gradient reaches the hidden weights, and only those.


def network() -> tuple[SpikingNetwork, Tensor]:
    torch.manual_seed(5)
    net = SpikingNetwork(
        [SpikingLayer(6, 8, neuron=CubaLIF(), recurrent=True), SpikingLayer(8, 3, neuron=CubaLI())], MeanOverTime()
    ).double()
    return net, (torch.rand(4, 25, 6) < 0.4).double()


@pytest.mark.parametrize(
    "regularizer",
    [
        TotalCount(strength=1.0),
        SquaredCount(strength=1.0),
        LowerBound(strength=1.0, bound=100.0),
        LowerBound(strength=1.0, bound=100.0, power=1),
        UpperBound(strength=1.0, bound=0.5),
        UpperBound(strength=1.0, bound=0.5, power=1),
        PopulationUpperBound(strength=1.0, bound=0.5),
        PopulationUpperBound(strength=1.0, bound=0.5, power=1),
        TargetCount(strength=1.0, target=0.5),
        TargetCount(strength=1.0, target=0.5, power=1),
    ],
    ids=str,
)
def test_outside_the_dead_zone_the_gradient_reaches_hidden_weights_and_never_the_readout_K21(regularizer):
    net, x = network()
    spikes = net(x).records[0].output
    assert spikes.sum() > 20
    regularizer(spikes).backward()
    assert net.layers[0].w_in.grad.abs().sum() > 0
    assert net.layers[0].w_rec.grad.abs().sum() > 0
    assert net.layers[1].w_in.grad is None


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize(
    ("cls", "bound"), [(LowerBound, 0.0), (UpperBound, 25.0), (PopulationUpperBound, 25.0)], ids=["low", "up", "pop"]
)
def test_inside_the_dead_zone_there_is_exactly_no_gradient_K21(cls, bound, power):
    net, x = network()
    cls(strength=1.0, bound=bound, power=power)(net(x).records[0].output).backward()
    assert not net.layers[0].w_in.grad.any()
    assert not net.layers[0].w_rec.grad.any()


# Warm-up.


def test_the_strength_is_off_then_rises_then_stays():
    warm = TotalCount(strength=1.0, start_epoch=3, ramp_epochs=4)
    assert [warm.factor(epoch) for epoch in range(9)] == [0.0, 0.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert [TotalCount(strength=1.0, start_epoch=2).factor(epoch) for epoch in range(4)] == [0.0, 0.0, 1.0, 1.0]
    assert TotalCount(strength=1.0).factor(0) == 1.0


def test_a_module_applies_every_regularizer_to_every_hidden_layer_at_its_share():
    torch.manual_seed(5)
    net = SpikingNetwork(
        [
            SpikingLayer(6, 8, neuron=CubaLIF()),
            SpikingLayer(8, 7, neuron=CubaLIF()),
            SpikingLayer(7, 3, neuron=CubaLIF()),
        ],
        MeanOverTime(),
    ).double()
    out = net((torch.rand(4, 25, 6) < 0.4).double())
    on, ramp, off = TotalCount(strength=2.0), SquaredCount(strength=1.0, ramp_epochs=4), TotalCount(strength=9.0, start_epoch=1)  # fmt: skip
    found = SpikingModule(net, num_classes=3, regularizers=[on, ramp, off]).penalty(out.records)
    hidden = [record.output for record in out.records[:-1]]
    expected = sum(on(spikes) + 0.25 * ramp(spikes) for spikes in hidden)
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    assert SpikingModule(net, num_classes=3, regularizers=[off]).penalty(out.records) is None


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        pytest.param(parameter.values[0], name, id=f"{parameter.id}-{name}")
        for parameter in every("regularizers")
        for name in ("strength", "start_epoch", "ramp_epochs", "bound", "target")
        if name in parameter.values[0].__dataclass_fields__
    ],
)
def test_negative_and_missing_numbers_are_refused(cls, name):
    for bad in (-1.0, float("nan"), float("inf"), "1", None, True):
        with pytest.raises(ConfigurationError, match=rf"{name} is .*; (it must be 0 or greater|a number)"):
            constructed(cls, **{"strength": 1.0, "target": 1.0, name: bad})


@pytest.mark.parametrize(("cls", "power"), POWERS)
def test_only_powers_one_and_two_and_only_three_axes(cls, power):
    if power is not None:
        with pytest.raises(ConfigurationError, match="power is 3; it must be 1 or 2"):
            cls(strength=1.0, power=3)
    with pytest.raises(ShapeError, match=r"takes spikes \[B, T, N\]; \[2, 3\] came"):
        cls(strength=1.0)(ZETA)


# Losses, which meet the regularizers in the same sum.


def test_cross_entropy_and_mean_squared_error_by_hand():
    logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]], dtype=torch.float64)
    target = torch.tensor([0, 2])
    log_sums = torch.tensor([torch.e**2 + 2.0, torch.e + 2.0], dtype=torch.float64).log()
    assert CrossEntropy()(logits, target).item() == pytest.approx((log_sums.sum().item() - 2.0) / 2.0, rel=1e-12)
    assert MeanSquaredError(on=2.0, off=0.5)(logits, target).item() == pytest.approx(
        (0 + 0.25 + 0.25 + 0.25 + 0.25 + 4.0) / 6.0, rel=1e-12
    )
    with pytest.raises(ConfigurationError, match=r"label_smoothing is 1\.0; it must be in \[0, 1\)"):
        CrossEntropy(label_smoothing=1.0)
