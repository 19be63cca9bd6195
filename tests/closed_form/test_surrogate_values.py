"""K16: heights, areas and values of the published surrogates; K26: the gradient that is cut off; and what shapes refuse."""

import math
import re
from pathlib import Path

import pytest
import torch

from snnlightning.errors import ConfigurationError, UnknownNameError
from snnlightning.layers import SpikingLayer
from snnlightning.neurons import LIF
from snnlightning.surrogates import (
    S2NN,
    AbstractSurrogate,
    ATan,
    Boxcar,
    Circ,
    Exponential,
    Gaussian,
    LeakyBoxcar,
    LogTailedReLU,
    MemClamp,
    MultiGaussian,
    PeriodicExponential,
    QPseudoSpike,
    Sigmoid,
    Sparse,
    SquareWave,
    SuperSpike,
    Triangle,
    _page,
)
from snnlightning.training import SpikingClassifier


def at(surrogate: AbstractSurrogate, *x: float) -> list[float]:
    values: list[float] = surrogate.derivative(torch.tensor(x, dtype=torch.float64)).tolist()
    return values


@pytest.mark.parametrize(
    ("surrogate", "peak", "area", "value"),
    [
        (SuperSpike(slope=10.0), 1.0, 0.2, 0.25),
        (SuperSpike(slope=10.0, scale=10.0), 10.0, 2.0, 2.5),
        (Sigmoid(slope=10.0), 0.25, 0.1, 0.19661193324148185),
        (Sigmoid(slope=10.0, scale=10.0), 2.5, 1.0, 1.9661193324148185),
        (Triangle(gamma=0.3, slope=10.0), 0.3, 0.03, 0.0),
        (Boxcar(), 1.0, 1.0, 1.0),
        (ATan(alpha=5.0), 2.5, 1.0, 1.54622),
        (MultiGaussian(), 0.4391116, 0.425, None),
        (Exponential(alpha=5.0, scale=0.4), 1.0, 0.4, 0.6065307),
        (Gaussian(sigma=0.5), 0.7978846, 1.0, None),
    ],
    ids=repr,
)
def test_height_area_and_value_at_a_tenth_are_those_of_K16(surrogate, peak, area, value):
    assert surrogate.height == pytest.approx(peak, rel=1e-6)
    assert surrogate.area == pytest.approx(area, rel=1e-12)
    assert value is None or at(surrogate, 0.1) == [pytest.approx(value, rel=1e-5, abs=1e-15)]


def test_the_area_of_superspike_within_fifty_thresholds_is_that_of_K16():
    x = torch.linspace(-50.0, 50.0, 4_000_001, dtype=torch.float64)
    assert torch.trapezoid(SuperSpike(slope=10.0).derivative(x), x).item() == pytest.approx(0.1996008, rel=1e-6)


def test_the_multi_gaussian_has_the_negative_lobes_of_K16():
    assert at(MultiGaussian(), 0.5, 1.5) == pytest.approx([0.2588582, -0.0123242], abs=1e-7)


def test_the_cut_gradient_is_that_of_K26():
    cut = Sparse(SuperSpike(slope=100.0), bound=0.2)
    found = at(cut, *(v - 1.0 for v in (0.79, 0.81, 1.0, 1.19, 1.21)))
    assert found == pytest.approx([0.0, 0.0025, 1.0, 0.0025, 0.0], abs=1e-12)


def test_a_far_bound_is_the_dense_gradient_and_a_near_one_trains_nothing_K26():
    x = torch.rand(3, 12, 5, generator=torch.Generator().manual_seed(0))

    def gradient(surrogate: AbstractSurrogate) -> torch.Tensor:
        torch.manual_seed(1)
        layer = SpikingLayer(5, 7, neuron=LIF(), surrogate=surrogate, recurrent=True)
        layer(x)[0].square().sum().backward()
        assert layer.w_in.grad is not None
        return layer.w_in.grad

    inner = SuperSpike(slope=100.0)
    assert torch.equal(gradient(Sparse(inner, bound=1e6)), gradient(inner))
    assert not gradient(Sparse(inner, bound=1e-30)).any()
    assert not torch.equal(gradient(Sparse(inner, bound=0.2)), gradient(inner))


def test_families_meet_where_their_formulas_do():
    x = torch.linspace(-3.0, 3.0, 601, dtype=torch.float64)
    same = [
        (QPseudoSpike(slope=5.0, alpha=2.0), SuperSpike(slope=10.0)),
        (SquareWave(terms=1, period=6.0, scale=1.5), None),
        (Sparse(Triangle(), bound=5.0), Triangle()),
        (LeakyBoxcar(half_width=0.5, leak=1e-300), Boxcar(half_width=0.5)),
    ]
    for one, other in same:
        expected = torch.cos(math.pi * x / 3.0) if other is None else other.derivative(x)
        inside = (x.abs() - 0.5).abs() > 1e-9  # a boxcar leaves out its left end, its leaky form has both
        torch.testing.assert_close(one.derivative(x)[inside], expected[inside], rtol=1e-12, atol=1e-12)
    below = x < 0
    torch.testing.assert_close(
        MemClamp(slope=10.0).derivative(x)[below], SuperSpike(slope=10.0).derivative(x)[below], rtol=1e-12, atol=0.0
    )
    wide = QPseudoSpike(slope=2.5, alpha=1e9)
    torch.testing.assert_close(wide.derivative(x), Exponential(alpha=5.0, scale=0.4).derivative(x), rtol=0, atol=1e-6)


def test_a_periodic_family_has_its_height_at_every_multiple_of_the_threshold():
    surrogate = PeriodicExponential(alpha=4.0, period=1.5, scale=0.7)
    assert at(surrogate, 0.0, 1.5, 3.0, 6.0) == pytest.approx([0.7] * 4)
    assert at(surrogate, -1.5, 0.75, 2.25) == pytest.approx([0.7 * math.exp(-6.0), *[0.7 * math.exp(-3.0)] * 2])


def test_the_tail_of_circ_is_one_over_the_cube():
    assert at(Circ(alpha=0.5), 1e4)[0] / at(Circ(alpha=0.5), 2e4)[0] == pytest.approx(8.0, rel=1e-6)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: MultiGaussian(share=1.0), "share is 1.0; a number in (0, 1)"),
        (lambda: MultiGaussian(spread=1.0), "spread is 1.0; a number greater than 1"),
        (lambda: MultiGaussian.from_height_width(1.0, 1.0, share=2.0), "share is 2.0"),
        (lambda: QPseudoSpike(alpha=1.0), "alpha is 1.0; a number greater than 1"),
        (lambda: QPseudoSpike.from_height_width(1.0, 1.0, alpha=0.5), "alpha is 0.5"),
        (lambda: LeakyBoxcar(leak=0.5), "leak is 0.5; a number in (0, 0.5)"),
        (lambda: LogTailedReLU(leak=0.9), "leak is 0.9; a number in (0, 0.5)"),
        (lambda: SquareWave(terms=1.5), "terms is 1.5; a whole number"),
        (lambda: SquareWave.from_height_width(1.0, 1.0, terms=0), "greater than 0"),
        (lambda: Sparse("superspike"), "'superspike'; a surrogate such as"),
        (lambda: Sparse.from_height_width(1.0, 0.5, bound=0.1), "bound is 0.1 and width 0.5"),
        (lambda: S2NN(alpha=-1.0), "greater than 0"),
    ],
)
def test_shapes_out_of_range_are_refused(build, message):
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        build()


def test_shape_parameters_change_the_shape_and_leave_height_and_width():
    for shaped in (
        MultiGaussian.from_height_width(0.8, 0.3, share=0.3, spread=3.0),
        SquareWave.from_height_width(0.8, 0.3, terms=5),
        QPseudoSpike.from_height_width(0.8, 0.3, alpha=3.5),
        LeakyBoxcar.from_height_width(0.8, 0.3, leak=0.2),
        LogTailedReLU.from_height_width(0.8, 0.3, leak=0.2),
        PeriodicExponential.from_height_width(0.8, 0.3, period=2.0),
        Sparse.from_height_width(0.8, 0.3, of=Triangle, bound=0.4),
    ):
        assert (shaped.height, shaped.width) == (pytest.approx(0.8), pytest.approx(0.3))
        assert shaped != type(shaped).from_height_width(0.8, 0.3)


def test_the_page_and_its_picture_are_what_the_code_says():
    docs = Path(__file__).parents[2] / "docs"
    page = (docs / "surrogates.md").read_text(encoding="utf-8")
    picture = (docs / "surrogates.svg").read_text(encoding="utf-8")
    assert _page.updated(page) == page, "run: python -m snnlightning.surrogates._page docs"
    assert _page.picture() == picture, "run: python -m snnlightning.surrogates._page docs"
    assert set(re.findall(r"^\| `(\w+)` \|", page, flags=re.MULTILINE)) == set(_page.families())


@pytest.mark.parametrize(
    ("surrogate", "built"),
    [
        ("exponential", Exponential.from_height_width(0.8, 0.3)),
        ({"family": "MultiGaussian", "share": 0.1}, MultiGaussian.from_height_width(0.8, 0.3, share=0.1)),
        (
            {"family": "sparse", "of": "triangle", "bound": 0.4},
            Sparse.from_height_width(0.8, 0.3, of=Triangle, bound=0.4),
        ),
    ],
)
def test_a_configuration_names_a_family_and_shapes_it(surrogate, built):
    model = SpikingClassifier(3, 2, [4], surrogate=surrogate, surrogate_height=0.8, surrogate_width=0.3)
    assert model.network.layers[0].surrogate == built


@pytest.mark.parametrize(
    ("surrogate", "message"),
    [
        ({"share": 0.1}, "a mapping names its family"),
        ({"family": "superspike", "slope": 3.0}, "SuperSpike has no shape 'slope'; It has: none. Its size comes from"),
        ({"family": "multi_gaussian", "spred": 3.0}, "did you mean 'spread'"),
        ({"family": "sparse", "of": "triangel"}, "no surrogate named 'triangel'; did you mean 'triangle'"),
    ],
)
def test_a_shape_that_a_family_does_not_have_is_refused(surrogate, message):
    with pytest.raises((ConfigurationError, UnknownNameError), match=re.escape(message)):
        SpikingClassifier(3, 2, [4], surrogate=surrogate)
