"""What every file in ``readouts`` promises, and each of them by hand."""

import copy
import math
import pickle

import pytest
import torch
from helpers import every

from snnlightning.errors import ShapeError
from snnlightning.readouts import LastStep, MaxOverTime, MeanOverTime, SpikeCount, SumOfSoftmax

all_readouts = pytest.mark.parametrize("cls", every("readouts"))
Y = torch.tensor([[[0.0, 1.0], [2.0, 0.0], [1.0, -4.0]], [[0.0, 0.0], [-1.0, -2.0], [-3.0, -1.0]]], dtype=torch.float64)
E = math.e


@pytest.mark.parametrize(
    ("readout", "logits"),
    [
        (LastStep(), [[1.0, -4.0], [-3.0, -1.0]]),
        (MaxOverTime(), [[2.0, 1.0], [0.0, 0.0]]),
        (MeanOverTime(), [[1.0, -1.0], [-4.0 / 3.0, -1.0]]),
        (SpikeCount(), [[3.0, -3.0], [-4.0, -3.0]]),
        (
            SumOfSoftmax(),
            [
                [1 / (1 + E) + E**2 / (E**2 + 1) + E**5 / (E**5 + 1), E / (1 + E) + 1 / (E**2 + 1) + 1 / (E**5 + 1)],
                [0.5 + E / (E + 1) + 1 / (1 + E**2), 0.5 + 1 / (E + 1) + E**2 / (1 + E**2)],
            ],
        ),
    ],
    ids=str,
)
def test_logits_by_hand(readout, logits):
    torch.testing.assert_close(readout(Y), torch.tensor(logits, dtype=torch.float64), rtol=1e-12, atol=1e-12)


@all_readouts
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("batch", [0, 1, 4])
@pytest.mark.parametrize("steps", [1, 6])
def test_a_readout_gives_one_number_per_class_in_the_same_dtype(cls, dtype, batch, steps):
    logits = cls()(torch.randn(batch, steps, 3).to(dtype))
    assert (logits.shape, logits.dtype) == ((batch, 3), dtype)


@all_readouts
def test_samples_and_classes_may_be_permuted(cls):
    y = torch.randn(5, 7, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows, classes = torch.tensor([3, 0, 4, 1, 2]), torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(cls()(y[rows][:, :, classes]), cls()(y)[rows][:, classes], rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(cls()(y[:1]), cls()(y)[:1], rtol=1e-14, atol=1e-14)


@all_readouts
def test_gradients_are_those_of_finite_differences(cls):
    y = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(cls(), (y,))


@all_readouts
def test_a_stronger_class_gets_the_higher_logit(cls):
    y = torch.rand(2, 6, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    y[..., 1] += 2.0
    assert cls()(y).argmax(dim=1).tolist() == [1, 1]


@all_readouts
def test_a_readout_copies_compares_and_hashes(cls):
    for twin in (pickle.loads(pickle.dumps(cls())), copy.deepcopy(cls())):
        assert twin == cls()
        assert hash(twin) == hash(cls())


@all_readouts
def test_no_step_and_missing_axes_are_refused(cls):
    for shape in ((2, 0, 3), (2, 3), (1, 2, 3, 4)):
        with pytest.raises(
            ShapeError, match=rf"{cls.__name__} reads \[B, T, C\] with T >= 1; \[{shape[0]}, {shape[1]}"
        ):
            cls()(torch.zeros(shape))


@all_readouts
def test_nan_is_not_hidden(cls):
    y = torch.zeros(2, 4, 3)
    y[0, 3, 1] = math.nan
    logits = cls()(y)
    assert logits[0, 1].isnan()
    assert logits[1].isfinite().all()


def test_the_maximum_takes_one_step_and_shares_with_no_tie():
    """``amax`` would send half of the gradient to each of two equal maxima."""
    y = torch.tensor([[[1.0], [3.0], [3.0], [3.0], [0.0]]], requires_grad=True)
    MaxOverTime()(y).sum().backward()
    assert y.grad.flatten().tolist() == [0.0, 1.0, 0.0, 0.0, 0.0]
