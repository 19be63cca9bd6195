"""First spikes and the losses on spike trains: K15, by hand, and through a module."""

import math
import re

import lightning.pytorch as L
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from snnlightning.errors import ConfigurationError, ShapeError
from snnlightning.losses import ClassRate, EarlyCrossEntropy, VanRossum
from snnlightning.readouts import FirstSpike
from snnlightning.training import SpikingClassifier


def train(*steps: int, length: int = 60) -> Tensor:
    spikes = torch.zeros(1, length, 1, dtype=torch.float64)
    for step in steps:
        spikes[0, step, 0] = 1.0
    return spikes


@pytest.mark.parametrize(
    ("late", "distance"), [(1, 0.09516258196404048), (5, 0.3934693402873666), (10, 0.6321205588285577)]
)
def test_a_late_spike_costs_what_K15_says_with_one_exponential(late, distance):
    assert VanRossum(tau_ms=10.0)(train(3), train(3 + late)).item() == pytest.approx(distance, rel=1e-12)


@pytest.mark.parametrize(
    ("late", "half"), [(1, 0.007546597505053043), (5, 0.12901510145514594), (10, 0.33298033407810634)]
)
@pytest.mark.parametrize("dt_ms", [1.0, 0.5])
def test_a_late_spike_costs_what_K15_says_with_two_exponentials(late, half, dt_ms):
    """K15 is not normalised: one spike has 1/2 times 5/6."""
    loss = VanRossum(tau_ms=10.0, tau_rise_ms=5.0, dt_ms=dt_ms)
    assert loss(train(2), train(2 + round(late / dt_ms))).item() * 5.0 / 6.0 == pytest.approx(half, rel=1e-10)
    assert loss(train(2), train()).item() == pytest.approx(0.5, rel=1e-12)


@pytest.mark.parametrize("rise", [None, 4.0])
def test_the_integral_is_that_of_the_kernels_on_a_fine_grid(rise):
    generator = torch.Generator().manual_seed(0)
    one, other = ((torch.rand(2, 12, 3, generator=generator) < 0.3).double() for _ in range(2))
    t = torch.arange(0.0, 400.0, 0.005, dtype=torch.float64)

    def kernel(s: Tensor) -> Tensor:
        fast = torch.exp(-s / rise) if rise else torch.zeros_like(s)
        return torch.where(s >= 0, torch.exp(-s / 9.0) - fast, 0.0)

    filtered = sum((one - other)[:, n, :, None] * kernel(t - 2.0 * n) for n in range(12))
    expected = 0.5 * filtered.square().sum(-1).sum(-1).mean() / kernel(t).square().sum()
    found = VanRossum(tau_ms=9.0, tau_rise_ms=rise, dt_ms=2.0)(one, other)
    assert found.item() == pytest.approx(expected.item(), rel=2e-3)


@pytest.mark.parametrize("rise", [None, 4.0])
def test_the_distance_is_symmetric_zero_for_equal_trains_and_has_an_exact_gradient(rise):
    generator = torch.Generator().manual_seed(1)
    one, other = (torch.rand(2, 6, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    loss = VanRossum(tau_rise_ms=rise)
    assert loss(one, other).item() == pytest.approx(loss(other, one).item(), rel=1e-12)
    assert loss(one, one).item() == 0.0
    assert torch.autograd.gradcheck(lambda y: loss(y, other), (one.requires_grad_(),))
    doubled = loss(torch.cat([one, one]), torch.cat([other, other]))
    assert doubled.item() == pytest.approx(loss(one, other).item(), rel=1e-12)


def test_a_class_stands_for_a_regular_train_of_its_neuron():
    output = torch.zeros(2, 9, 3, dtype=torch.float64)
    trains = VanRossum(interval_steps=4).trains(torch.tensor([2, 0]), output)
    assert trains.nonzero().tolist() == [[0, 3, 2], [0, 7, 2], [1, 3, 0], [1, 7, 0]]
    loss = VanRossum(interval_steps=4)
    assert loss(output, torch.tensor([2, 0])).item() == loss(output, trains).item()
    assert loss(trains, torch.tensor([2, 0])).item() == 0.0


def test_rates_of_classes_by_hand():
    spikes = torch.tensor([[[1.0, 0.0], [0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]], dtype=torch.float64)
    loss = ClassRate(right=0.4, wrong=0.1)
    assert loss(spikes, torch.tensor([0])).item() == pytest.approx(0.5 * (0.1**2 + 0.15**2), rel=1e-12)
    assert loss(spikes, torch.tensor([1])).item() == pytest.approx(0.5 * (0.4**2 + 0.15**2), rel=1e-12)


def test_the_first_spike_is_counted_in_steps_and_silence_is_the_end():
    y = torch.zeros(1, 6, 3, dtype=torch.float64)
    y[0, 2, 0] = y[0, 4, 0] = y[0, 0, 1] = 1.0
    assert (-3.0 * FirstSpike(tau_steps=3.0)(y)).tolist() == [[pytest.approx(2.0), 0.0, pytest.approx(6.0)]]


def test_the_gradient_of_the_first_spike_is_how_far_each_step_would_move_it():
    """First at step 2, second at 4, T = 6: a spike at 0 or 1 brings it forward; without the first, it is the second; none later."""
    y = torch.zeros(1, 6, 1, dtype=torch.float64)
    y[0, [2, 4], 0] = 1.0
    y.requires_grad_()
    FirstSpike(tau_steps=1.0)(y).sum().backward()
    assert y.grad.flatten().tolist() == [2.0, 1.0, 2.0, 0.0, 0.0, 0.0]


def test_a_silent_layer_is_pulled_to_spike_by_the_price_of_being_late():
    y = torch.zeros(1, 6, 2, dtype=torch.float64, requires_grad=True)
    logits = FirstSpike(tau_steps=6.0)(y)
    assert EarlyCrossEntropy(early=0.5, scale=2.0)(logits, torch.tensor([1])).item() == pytest.approx(
        math.log(2.0) + 0.5 * (math.exp(0.5) - 1.0), rel=1e-12
    )
    EarlyCrossEntropy(early=0.5)(logits, torch.tensor([1])).backward()
    assert (y.grad[0, :, 1] < 0).all()


@pytest.mark.parametrize(
    ("loss", "readout", "gain"),
    [
        ("early_cross_entropy", {"readout": "first_spike", "tau_steps": 3.0}, 2.5),
        ("cross_entropy", "first_spike", 2.5),
        ({"loss": "van_rossum", "interval_steps": 4}, "spike_count", 1.5),
        ({"loss": "class_rate", "right": 0.4}, "spike_count", 1.5),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:.*does not have many workers.*", "ignore:.*log_every_n.*")
def test_a_module_learns_by_it_from_a_configuration(loss, readout, gain):
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(60) % 3
    lively = torch.nn.functional.one_hot(y, 3).repeat_interleave(4, dim=1).float()
    x = (torch.rand(60, 20, 12, generator=generator) < 0.02 + 0.5 * lively[:, None]).float()
    data = DataLoader(TensorDataset(x, y), batch_size=20)
    torch.manual_seed(0)
    model = SpikingClassifier(
        12,
        3,
        [24],
        loss=loss,
        readout=readout,
        recurrent=False,
        surrogate_width=1.0,
        init_gain=gain,
        learning_rate=2e-2,
    )
    trainer = L.Trainer(
        max_epochs=20, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False,
    )  # fmt: skip
    trainer.fit(model, data, data)
    assert trainer.callback_metrics["val_accuracy"] > 0.9
    assert trainer.callback_metrics["val_loss"] == pytest.approx(
        float(trainer.callback_metrics["train_loss"]), rel=0.5, abs=0.3
    )


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: VanRossum(tau_ms=5.0, tau_rise_ms=5.0), "tau_rise_ms is 5.0 and tau_ms 5.0"),
        (lambda: VanRossum(interval_steps=0), "interval_steps is 0"),
        (lambda: ClassRate(right=1.2), "ClassRate.right is 1.2"),
        (lambda: EarlyCrossEntropy(early=-1.0), "early is -1.0"),
        (lambda: FirstSpike(tau_steps=0.0), "tau_steps is 0.0"),
        (lambda: SpikingClassifier(3, 2, [4], loss="van_rossum"), "reads potentials; use readout='spike_count'"),
        (
            lambda: SpikingClassifier(3, 2, [4], loss="class_rate", readout="spike_count", learning="local_errors"),
            "ClassRate reads spike trains, which LocalErrors does not hand out",
        ),
        (
            lambda: SpikingClassifier(3, 2, [4], readout="first_spike", tau_out_ms=5.0),
            "tau_out_ms belongs to a leaky readout",
        ),
        (lambda: SpikingClassifier(3, 2, [4], loss={"tau_ms": 3.0}), "a mapping names it under the key 'loss'"),
        (
            lambda: SpikingClassifier(3, 2, [4], loss={"loss": "van_rossum", "tau": 3.0}),
            "VanRossum has no parameter 'tau'",
        ),
    ],
)
def test_bad_combinations_are_refused(build, message):
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        build()


def test_trains_of_another_shape_are_refused():
    with pytest.raises(ShapeError, match=r"target is \[1, 60, 1\] for an output of \[1, 30, 1\]"):
        VanRossum()(train(1, length=30), train(1))
