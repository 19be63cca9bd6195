"""What every file in ``surrogates`` promises; a new family is met by all of this without being named."""

import copy
import dataclasses
import inspect
import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from helpers import every
from hypothesis import given, settings
from hypothesis import strategies as st

from snnlightning import surrogates
from snnlightning.errors import ConfigurationError
from snnlightning.layers import SpikingLayer
from snnlightning.neurons import LIF
from snnlightning.surrogates import AbstractSurrogate, Triangle

FAMILIES = every("surrogates")
DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
all_families = pytest.mark.parametrize("cls", FAMILIES)
SIZES = st.floats(1e-3, 1e3)


def members(cls: type[AbstractSurrogate]) -> list[AbstractSurrogate]:
    """The default, a narrow one and a wide one."""
    return [cls(), cls.from_height_width(10.0, 0.01), cls.from_height_width(0.3, 2.0)]


def changed(cls: type[AbstractSurrogate], name: str) -> AbstractSurrogate:
    """The default with one field changed; what is no number becomes another surrogate."""
    value = getattr(cls(), name)
    other = value + 1 if isinstance(value, int) else 1.7 * value if isinstance(value, float) else Triangle()
    return dataclasses.replace(cls(), **{name: other})


def numbers(cls: type[AbstractSurrogate]) -> list[str]:
    return [field.name for field in dataclasses.fields(cls) if isinstance(field.default, int | float)]


def signs(cls: type[AbstractSurrogate]) -> list[int]:
    """The sides on which the half width is measured."""
    return {"both": [1, -1], "below": [-1], "above": [1]}[cls.side]


def around_threshold(surrogate: AbstractSurrogate) -> torch.Tensor:
    """Points near threshold, none of them at a kink."""
    return surrogate.width * torch.linspace(-4.013, 4.017, 402, dtype=torch.float64)


@all_families
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 0, 3), (2, 3, 4)], ids=str)
def test_forward_is_the_strict_step_and_keeps_dtype_and_shape(cls, dtype, shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    spikes = cls()(x)
    assert (spikes.dtype, spikes.shape) == (dtype, x.shape)
    assert torch.equal(spikes, (x > 0).to(dtype))


@all_families
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_exactly_at_threshold_there_is_no_spike_and_one_step_above_there_is(cls, dtype):
    above = torch.nextafter(torch.zeros(1), torch.ones(1)).to(dtype) if dtype is torch.float32 else None
    assert cls()(torch.tensor([0.0, -0.0], dtype=dtype)).tolist() == [0.0, 0.0]
    assert above is None or cls()(above).item() == 1.0
    assert cls()(torch.tensor([1e-6, -1e-6], dtype=dtype)).tolist() == [1.0, 0.0]
    assert cls()(torch.tensor([math.inf, -math.inf], dtype=dtype)).tolist() == [1.0, 0.0]


@all_families
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_derivative_is_finite_and_nowhere_negative_unless_the_family_is_signed(cls, dtype):
    x = torch.linspace(-100.0, 100.0, 40_001, dtype=torch.float64).to(dtype)
    for surrogate in members(cls):
        h = surrogate.derivative(x)
        assert h.dtype == dtype
        assert h.isfinite().all()
        assert cls.signed or (h >= 0).all()
        assert h.max() > 0


@all_families
def test_the_derivative_is_symmetric_unless_it_has_a_side_and_falls_away_from_threshold(cls):
    symmetric = []
    for surrogate in members(cls):
        x = surrogate.width * torch.linspace(0.0, 5.0, 501, dtype=torch.float64)[1:] * 1.0001
        symmetric.append(torch.allclose(surrogate.derivative(-x), surrogate.derivative(x), rtol=1e-12))
        for sign in signs(cls):
            h = surrogate.derivative(sign * x)
            assert not cls.falls or (h.diff() <= 1e-12 * surrogate.height).all()
            assert (h <= surrogate.height * (1 + 1e-12)).all()
    assert all(symmetric) is (cls.side == "both")


@all_families
def test_a_signed_family_has_negative_values_and_others_have_none(cls):
    for surrogate in members(cls):
        h = surrogate.derivative(surrogate.width * torch.linspace(-30.0, 30.0, 3001, dtype=torch.float64))
        assert bool((h < 0).any()) is cls.signed


@all_families
@given(height=SIZES, width=SIZES)
@settings(max_examples=30)
def test_height_and_width_mean_the_same_in_every_family(cls, height, width):
    surrogate = cls.from_height_width(height=height, width=width)
    assert (surrogate.height, surrogate.width) == (pytest.approx(height, rel=1e-9), pytest.approx(width, rel=1e-9))
    again = cls.from_height_width(surrogate.height, surrogate.width)
    for field in dataclasses.fields(cls):
        found, expected = getattr(again, field.name), getattr(surrogate, field.name)
        if isinstance(expected, AbstractSurrogate):
            found, expected = dataclasses.astuple(found), dataclasses.astuple(expected)
        assert found == pytest.approx(expected, rel=1e-9)
    at = torch.tensor([0.0, width, -width], dtype=torch.float64)
    peak, *halves = surrogate.derivative(at).tolist()
    assert peak == pytest.approx(height, rel=1e-9)
    for sign in signs(cls):
        if cls.jumps:
            inside, outside = surrogate.derivative(sign * width * torch.tensor([0.999, 1.001])).tolist()
            assert inside == pytest.approx(height)
            assert outside < 0.5 * height
        else:
            assert halves[0 if sign > 0 else 1] == pytest.approx(height / 2.0, rel=1e-8)


@all_families
def test_the_area_is_the_integral_of_the_derivative(cls):
    """By the smooth twin, which the next tests hold against the derivative; infinite where it still grows far out."""
    for surrogate in members(cls):
        far = surrogate.width * torch.tensor([1e5, 1e7, 1e9], dtype=torch.float64)
        near, further, furthest = (surrogate.soft(far) - surrogate.soft(-far)).tolist()
        if math.isinf(surrogate.area):
            assert further - near > 0.01 * (near - surrogate.height * surrogate.width)
            assert furthest - further > 0.9 * (further - near)
        elif math.isnan(surrogate.area):
            assert abs(near) < 10.0 * surrogate.height * surrogate.width
        else:
            assert furthest == pytest.approx(surrogate.area, rel=1e-4)


@all_families
def test_every_parameter_changes_the_derivative_of_its_own_record_only(cls):
    default = cls()
    x = around_threshold(default)
    before = default.derivative(x)
    for field in dataclasses.fields(cls):
        other = changed(cls, field.name)
        wide = x if field.name != "bound" else 60.0 * x
        assert not torch.allclose(other.derivative(wide), default.derivative(wide), rtol=1e-4, atol=1e-9)
        assert other != default
    assert torch.equal(default.derivative(x), before)


@all_families
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_backward_is_the_derivative_times_what_comes_from_above(cls, dtype):
    generator = torch.Generator().manual_seed(1)
    for surrogate in members(cls):
        x = (surrogate.width * torch.randn(3, 50, generator=generator)).to(dtype).requires_grad_()
        upstream = torch.randn(3, 50, generator=generator).to(dtype)
        surrogate(x).backward(upstream)
        assert x.grad.dtype == dtype
        assert torch.equal(x.grad, upstream * surrogate.derivative(x.detach()))


@all_families
def test_the_smooth_twin_has_the_derivative_as_its_gradient_and_is_a_half_at_threshold(cls):
    for surrogate in members(cls):
        assert surrogate.soft(torch.zeros(1, dtype=torch.float64)).item() == 0.5
        x = around_threshold(surrogate).requires_grad_()
        surrogate.soft(x).sum().backward()
        torch.testing.assert_close(x.grad, surrogate.derivative(x.detach()), rtol=1e-10, atol=1e-12)
        rise = surrogate.soft(x.detach()).diff() / x.detach().diff()
        assert cls.signed or (rise >= -1e-12).all()


@all_families
def test_the_smooth_twin_is_the_integral_of_the_derivative(cls):
    """Finite differences of the values, not only autograd's own account of them."""
    for surrogate in members(cls):
        x, step = around_threshold(surrogate), 1e-6 * surrogate.width
        slope = (surrogate.soft(x + step) - surrogate.soft(x - step)) / (2.0 * step)
        torch.testing.assert_close(slope, surrogate.derivative(x), rtol=1e-5, atol=1e-6 * surrogate.height)


@all_families
def test_nan_gives_no_spike_and_a_nan_gradient(cls):
    x = torch.tensor([math.nan, 0.1], requires_grad=True)
    spikes = cls()(x)
    spikes.sum().backward()
    assert spikes.tolist() == [0.0, 1.0]
    assert x.grad[0].isnan()
    assert x.grad[1].isfinite()


@all_families
def test_double_backward_is_refused_and_not_silently_zero(cls):
    x = torch.tensor([0.05, -0.05], requires_grad=True)
    (gradient,) = torch.autograd.grad((cls()(x) * x).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


@all_families
def test_a_surrogate_pickles_copies_compares_and_hashes_by_its_numbers(cls):
    for surrogate in members(cls):
        for twin in (pickle.loads(pickle.dumps(surrogate)), copy.deepcopy(surrogate), dataclasses.replace(surrogate)):
            assert twin == surrogate
            assert hash(twin) == hash(surrogate)
    assert len(set(members(cls))) == 3
    assert eval(repr(cls()), vars(surrogates)) == cls()


def test_surrogates_of_different_families_are_never_equal():
    defaults = [parameter.values[0]() for parameter in FAMILIES]
    assert all(a != b for k, a in enumerate(defaults) for b in defaults[k + 1 :])


@all_families
def test_a_surrogate_is_frozen_and_keeps_nothing_on_its_class(cls):
    surrogate = cls()
    with pytest.raises(dataclasses.FrozenInstanceError):
        surrogate.__setattr__(numbers(cls)[0], 3.0)
    before = {name: value for name, value in vars(cls).items() if isinstance(value, int | float)}
    cls.from_height_width(3.0, 0.7)(torch.randn(4, requires_grad=True)).sum().backward()
    assert {name: value for name, value in vars(cls).items() if isinstance(value, int | float)} == before


@all_families
def test_two_layers_with_different_widths_do_not_influence_each_other(cls):
    """The gradient of the first one is the same whether or not the second one exists and runs in between."""
    x = torch.rand(2, 10, 3, generator=torch.Generator().manual_seed(2))

    def layer(width: float) -> SpikingLayer:
        torch.manual_seed(3)
        return SpikingLayer(3, 4, neuron=LIF(), surrogate=cls.from_height_width(1.0, width), recurrent=True)

    alone = layer(0.5)
    alone(x)[0].sum().backward()
    first, second = layer(0.5), layer(5.0)
    one, two = first(x)[0].sum(), second(x)[0].sum()
    one.backward()
    two.backward()
    assert torch.equal(first.w_in.grad, alone.w_in.grad)
    assert not torch.equal(first.w_in.grad, second.w_in.grad)


@all_families
@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf, "1", None, True], ids=repr)
def test_parameters_that_are_no_positive_numbers_are_refused(cls, bad):
    for name in numbers(cls):
        with pytest.raises(ConfigurationError, match=rf"{cls.__name__}.*{name}.*(greater than 0|whole)"):
            cls(**{name: bad})


@all_families
@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_heights_and_widths_that_are_not_positive_are_refused(cls, bad):
    for arguments in ({"height": bad, "width": 1.0}, {"height": 1.0, "width": bad}):
        with pytest.raises(ConfigurationError, match="greater than 0"):
            cls.from_height_width(**arguments)


@all_families
def test_numbers_of_numpy_are_numbers(cls):
    first = numbers(cls)[0]
    for number in (np.float64(2.0), np.float32(2.0), np.int64(2)):
        assert getattr(cls(**{first: number}), first) == 2.0


@all_families
def test_every_parameter_has_a_default_and_a_line_in_the_docstring(cls):
    documented = inspect.getdoc(cls) or ""
    for field in dataclasses.fields(cls):
        assert field.default is not dataclasses.MISSING
        assert f"{field.name}:" in documented


@all_families
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_compiled_step_is_the_step_with_the_same_gradient(cls, backend):
    surrogate = cls()

    def weighted(x: torch.Tensor, upstream: torch.Tensor) -> Any:
        return (surrogate(x) * upstream).sum()

    torch._dynamo.reset()
    compiled = torch.compile(weighted, backend=backend, fullgraph=True)
    x = around_threshold(surrogate).float().requires_grad_()
    upstream = torch.randn(402, generator=torch.Generator().manual_seed(4))
    (expected,) = torch.autograd.grad(weighted(x, upstream), x)
    (found,) = torch.autograd.grad(compiled(x, upstream), x)
    torch.testing.assert_close(found, expected)
    assert compiled(x, upstream).item() == pytest.approx(weighted(x, upstream).item())
