"""Quantization: rounding by hand, grids, straight-through gradients by formula, state in fixed point, integers."""

import copy
import dataclasses
import itertools

import pytest
import torch
from helpers import dyadic, neuron_variants
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from snnlightning.errors import ConfigurationError
from snnlightning.layers import Quantization, SpikingLayer, SpikingNetwork, integer_weights, quantize
from snnlightning.layers.quantization import FixedPoint
from snnlightning.metrics import SynOps
from snnlightning.neurons import IF, LI, LIF, CubaLI, CubaLIF
from snnlightning.readouts import MaxOverTime, MeanOverTime
from snnlightning.scan import scan
from snnlightning.surrogates import SuperSpike

widths = st.integers(2, 16)
kinds = st.fixed_dictionaries({"weight_bits": widths, "per_channel": st.booleans(), "scale": st.sampled_from(["max", "mse"])})  # fmt: skip
FINE = Quantization(weight_bits=6, state_bits=10, state_fraction_bits=2)


def weights(
    seed: int, spread: float = 1.0, rows: int = 5, columns: int = 7, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Weights of very different sizes, one of them zero."""
    generator = torch.Generator().manual_seed(seed)
    w = spread * torch.randn(rows, columns, generator=generator, dtype=torch.float64) ** 3
    w[0, 0] = 0.0
    return w.to(dtype)


def spikes(*shape: int, seed: int = 0, density: float = 0.4) -> Tensor:
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < density).float()


def network(gain: float = 4.0, **options: object) -> SpikingNetwork:
    torch.manual_seed(3)
    hidden = CubaLIF(tau_mem_ms=6.0, tau_syn_ms=3.0, learn_tau="per_neuron")
    net = SpikingNetwork(
        [
            SpikingLayer(6, 12, neuron=hidden, recurrent=True, bias=True, **options),
            SpikingLayer(12, 3, neuron=CubaLI(), **options),
        ],
        MaxOverTime(),
    )
    with torch.no_grad():
        for layer in net.layers:
            layer.w_in.mul_(gain)
        net.layers[0].bias.uniform_(-0.1, 0.1)
    return net


# Weights.


@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        (2, [1.0, -1.0, 0.0, 0.0, 0.0, 0.0]),  # s = 1
        (3, [1.0, -2 / 3, 1 / 3, -1 / 3, 0.0, 0.0]),  # s = 1/3: 3, -1.8, 0.9, -0.75, 0.12, 0
        (4, [1.0, -4 / 7, 2 / 7, -2 / 7, 0.0, 0.0]),  # s = 1/7: 7, -4.2, 2.1, -1.75, 0.28, 0
        (8, [1.0, -76 / 127, 38 / 127, -32 / 127, 5 / 127, 0.0]),  # 127, -76.2, 38.1, -31.75, 5.08, 0
    ],
)
def test_weights_rounded_by_hand(bits, expected):
    w = torch.tensor([[1.0, -0.6, 0.3, -0.25, 0.04, 0.0]], dtype=torch.float64)
    found = Quantization(weight_bits=bits).rounded(w)
    # s itself is kept to bits + 1 significant bits, so that it differs from 1/q by up to one part in 2^(bits + 1)
    torch.testing.assert_close(
        found.w_in, torch.tensor([expected], dtype=torch.float64), rtol=2.0 ** -(bits + 1), atol=0.0
    )
    assert (found.w_in / found.scale).round().tolist() == [[round(e * (2 ** (bits - 1) - 1)) for e in expected]]


def test_ties_go_to_the_even_integer():
    w = torch.tensor([[7.0, 0.5, 1.5, 2.5, -0.5, -1.5]])
    assert Quantization(weight_bits=4).rounded(w).w_in.tolist() == [[7.0, 0.0, 2.0, 2.0, 0.0, -2.0]]


@settings(max_examples=60)
@given(kinds, st.integers(0, 10**6), st.floats(-12.0, 12.0))
def test_quantising_twice_is_quantising_once(options, seed, exponent):
    quantization = Quantization(**options)
    once = quantization.rounded(weights(seed, 10.0**exponent), weights(seed + 1, 10.0**exponent, columns=5))
    twice = quantization.rounded(once.w_in, once.w_rec)
    assert torch.equal(twice.w_in, once.w_in)
    assert torch.equal(twice.w_rec, once.w_rec)
    assert torch.equal(twice.scale, once.scale)


@settings(max_examples=60)
@given(kinds, st.integers(0, 10**6))
def test_weights_are_whole_multiples_of_the_lsb_in_a_symmetric_range_and_keep_sign_and_zero(options, seed):
    quantization = Quantization(**options)
    w = weights(seed, dtype=torch.float64)
    rounded = quantization.rounded(w)
    q = 2 ** (options["weight_bits"] - 1) - 1
    units = rounded.w_in / rounded.scale
    assert torch.equal(units, units.round())
    assert units.abs().max() <= q
    assert (rounded.w_in * w >= 0).all()
    assert rounded.w_in[0, 0] == 0.0
    negative = quantization.rounded(-w)
    assert torch.equal(negative.w_in, -rounded.w_in)


@settings(max_examples=60)
@given(kinds, st.integers(0, 10**6))
def test_the_error_is_at_most_half_an_lsb_where_nothing_is_clipped(options, seed):
    w = weights(seed, dtype=torch.float64)
    quantization = Quantization(**options)
    rounded = quantization.rounded(w)
    inside = w.abs() <= (quantization.largest_weight + 0.5) * rounded.scale
    error = (rounded.w_in - w).abs()
    assert (error <= 0.5 * rounded.scale * (1 + 1e-12))[inside].all()
    if options["scale"] == "max":
        assert inside.all()
    at_the_end = quantization.largest_weight * rounded.scale.expand_as(w)
    assert torch.equal(rounded.w_in.abs()[~inside], at_the_end[~inside])


@pytest.mark.parametrize("bits", [2, 3, 4, 5])
def test_all_levels_of_a_width_are_used_and_no_more(bits):
    w = torch.linspace(-1.0, 1.0, 2001, dtype=torch.float64).reshape(1, -1)
    levels = Quantization(weight_bits=bits).rounded(w).w_in.unique()
    assert levels.numel() == 2**bits - 1
    assert 0.0 in levels.tolist()


def test_the_largest_weight_of_the_layer_or_of_the_neuron_decides_the_scale_and_both_matrices_share_it():
    w_in = torch.tensor([[7.0, 1.0], [0.5, -0.25]])
    w_rec = torch.tensor([[-14.0, 0.0], [0.0, 0.125]])
    layer = Quantization(weight_bits=4).rounded(w_in, w_rec)
    assert layer.scale.item() == 2.0
    assert layer.w_in.tolist() == [[8.0, 0.0], [0.0, 0.0]]  # 3.5 goes to 4, the even one
    assert layer.w_rec.tolist() == [[-14.0, 0.0], [0.0, 0.0]]
    neuron = Quantization(weight_bits=4, per_channel=True).rounded(w_in, w_rec)
    torch.testing.assert_close(neuron.scale, torch.tensor([[2.0], [0.5 / 7]]), rtol=2.0**-5, atol=0.0)
    assert (neuron.w_in / neuron.scale).tolist() == [[4.0, 0.0], [7.0, -4.0]]  # -3.5 up to the short scale
    assert (neuron.w_rec / neuron.scale).tolist() == [[-7.0, 0.0], [0.0, 2.0]]


def test_weights_that_are_all_zero_stay_so():
    zero = torch.zeros(3, 4)
    for options in ({}, {"per_channel": True}, {"scale": "mse"}, {"per_channel": True, "scale": "mse"}):
        rounded = Quantization(state_bits=16, **options).rounded(zero)
        assert torch.equal(rounded.w_in, zero)
        assert torch.isfinite(rounded.scale).all()
        assert (rounded.scale > 0).all()
    silent = torch.cat([torch.full((1, 4), 3.0), zero])  # a neuron without weights takes the scale of the layer
    assert Quantization(per_channel=True).rounded(silent).scale.unique().numel() == 1


def test_a_weight_that_is_not_a_number_stays_visible():
    w = torch.ones(2, 3)
    w[1, 1] = torch.nan
    assert Quantization().rounded(w).w_in.isnan().any()


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_the_scale_of_least_error_is_the_best_of_a_brute_force_over_the_same_range(bits):
    w = torch.randn(20, 30, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    quantization = Quantization(weight_bits=bits, scale="mse")
    q = quantization.largest_weight

    def error(s: float) -> float:
        return (w - s * (w / s).round().clamp(-q, q)).square().sum().item()

    best = min(error(w.abs().max().item() / q * k / 1000.0) for k in range(100, 1001))
    found = error(quantization.rounded(w).scale.item())
    assert found <= 1.05 * best
    assert found < 0.9 * error(Quantization(weight_bits=bits).rounded(w).scale.item())


@pytest.mark.parametrize("bits", [4, 8, 9])
def test_sums_of_weights_are_exact_in_float32_whatever_their_order(bits):
    w = weights(1, columns=500)
    rounded = Quantization(weight_bits=bits, scale="mse").rounded(w).w_in
    forward, backward = torch.zeros(5), torch.zeros(5)
    for k in range(500):
        forward, backward = forward + rounded[:, k], backward + rounded[:, 499 - k]
    assert torch.equal(forward, backward)
    assert torch.equal(forward.double(), rounded.double().sum(dim=1))
    plain = torch.stack([w[:, :k].sum(1) + w[:, k:].sum(1) for k in range(1, 499)])
    assert not (plain == plain[0]).all()  # the float weights' sums depend on the order


# Gradients.


def test_the_gradient_of_a_weight_passes_where_it_was_not_clipped_and_stops_where_it_was():
    quantization = Quantization(weight_bits=3, scale="mse")
    w = torch.cat([torch.linspace(-1.0, 1.0, 41, dtype=torch.float64), torch.tensor([5.0, -5.0]).double()]).reshape(
        1, -1
    )
    w.requires_grad_()
    rounded = quantization.rounded(w)
    upstream = torch.arange(1.0, 44.0, dtype=torch.float64).reshape(1, -1)
    (rounded.w_in * upstream).sum().backward()
    inside = w.detach().abs() <= 3.5 * rounded.scale
    assert torch.equal(w.grad, torch.where(inside, upstream, 0.0))
    assert not inside[0, -1]
    assert inside.sum() >= 40


@pytest.mark.parametrize("per_channel", [False, True])
def test_with_the_scale_of_the_largest_weight_every_weight_gets_the_whole_gradient(per_channel):
    for seed, bits in itertools.product(range(5), range(2, 17)):
        w = weights(seed).requires_grad_()
        Quantization(weight_bits=bits, per_channel=per_channel).rounded(w).w_in.sum().backward()
        assert torch.equal(w.grad, torch.ones_like(w))


def test_the_gradient_of_a_layer_is_that_of_the_float_layer_with_the_rounded_weights():
    """The straight-through gradient with respect to w is the gradient with respect to the weight in effect."""
    layer = network().double().layers[0]
    twin = copy.deepcopy(layer)
    layer.set_quantization(Quantization(weight_bits=4))
    x = spikes(3, 9, 6).double()
    record = layer.run(x, potentials=True)
    assert record.output.any()
    with torch.no_grad():
        for name, connection in zip(("w_in", "w_rec"), record.connections, strict=True):
            getattr(twin, name).copy_(connection.weight)
    other = twin.run(x, potentials=True)
    assert torch.equal(other.output, record.output)
    for one in (record, other):
        (one.output.sum() + one.potentials.square().sum()).backward()
    for (name, mine), theirs in zip(layer.named_parameters(), twin.parameters(), strict=True):
        assert mine.grad.any()
        assert torch.equal(mine.grad, theirs.grad), name


def test_the_gradient_through_a_rounded_state_passes_inside_the_range_and_is_zero_where_it_saturates():
    """IF without threshold crossing: v[1] = w x[0], rounded; d v[1] / d w = x[0] unless |v| > (Q + 1/2) LSB."""
    quantization = Quantization(weight_bits=2, state_bits=4)  # s = 1, LSB = 1, Q = 7
    for x, value, slope in ((3.4, 3.0, 3.4), (7.4, 7.0, 7.4), (7.6, 7.0, 0.0), (-7.4, -7.0, -7.4), (-20.0, -7.0, 0.0)):
        layer = SpikingLayer(1, 1, neuron=IF(v_th=100.0), quantization=quantization).double()
        with torch.no_grad():
            layer.w_in.fill_(1.0)
        record = layer.run(torch.tensor([[[x], [0.0]]], dtype=torch.float64), potentials=True)
        v = record.potentials[0, 1, 0]
        v.backward()
        assert v.item() == value
        assert layer.w_in.grad.item() == slope


# State.


def test_a_state_rounded_by_hand():
    """LI, b = 1/2, LSB = 1/4: v = 0, then b v + x rounded: 1.25, 0.625 -> 0.5 (tie to even), 0.25, 0.125 -> 0, 0."""
    quantization = Quantization(weight_bits=2, state_bits=8, state_fraction_bits=2)
    neuron = quantization.neuron(LI(), torch.tensor(1.0, dtype=torch.float64))
    x = torch.tensor([1.2, 0.0, 0.0, 0.0, 0.0, 0.0], dtype=torch.float64).reshape(1, -1, 1)
    trace = scan(neuron, x, torch.ones(1, 1, dtype=torch.float64), coefficients={"decay_mem": 0.5}, potentials=True)
    assert trace.output.flatten().tolist() == [0.0, 1.25, 0.5, 0.25, 0.0, 0.0]
    assert torch.equal(trace.potentials, trace.output)


def test_a_state_that_is_too_small_to_decay_stays_for_ever():
    """|v| <= LSB / (2 (1 - b)): with b = 0.9 that is 5 LSB, as the module says where it differs from chips."""
    neuron = FixedPoint(LI(), torch.tensor(1.0, dtype=torch.float64), 127)
    for start, end in ((5.0, 4.0), (4.0, 4.0), (100.0, 4.0), (1.0, 1.0)):
        state = (torch.tensor([[start]], dtype=torch.float64),)
        x = torch.zeros(1, 60, 1, dtype=torch.float64)
        trace = scan(neuron, x, torch.ones(1, 1, dtype=torch.float64), state=state, coefficients={"decay_mem": 0.9})
        assert trace.state[0].item() == end


@pytest.mark.parametrize("neuron", neuron_variants())
@pytest.mark.parametrize("options", [{}, {"per_channel": True}, {"scale": "mse"}], ids=str)
def test_every_potential_and_state_is_a_multiple_of_the_lsb_in_the_range_and_some_saturate(neuron, options):
    torch.manual_seed(0)
    quantization = dataclasses.replace(FINE, **options)
    layer = SpikingLayer(6, 9, neuron=neuron, recurrent=neuron.spiking, quantization=quantization).double()
    with torch.no_grad():
        layer.w_in.mul_(20.0)
        layer.w_in[0] = layer.w_in.abs().max()  # this neuron saturates
    record = layer.run(spikes(4, 40, 6).double(), potentials=True)
    lsb = integer_weights(layer).state_lsb
    assert record.output.any()
    largest = 0.0
    for name, variable in zip(neuron.state_names, record.state, strict=True):
        if name == "z":
            assert set(variable.unique().tolist()) <= {0.0, 1.0}
            continue
        units = variable / lsb
        assert torch.equal(units, units.round())
        assert torch.equal(units.round() * lsb, variable)
        largest = max(largest, units.abs().max().item())
    units = record.potentials / lsb
    assert torch.equal(units, units.round())
    largest = max(largest, units.abs().max().item())
    assert largest <= 511
    if not neuron.spiking and getattr(neuron, "ordering", "") == "seed":
        assert largest == 511


def test_a_bias_lies_on_the_grid_of_the_state_and_is_left_alone_without_one():
    layer = network().layers[0]
    layer.set_quantization(Quantization(weight_bits=4, state_bits=12, state_fraction_bits=3))
    integers = integer_weights(layer)
    x = torch.zeros(1, 2, 6)
    state = layer(x[:, :1])[1]
    assert torch.equal(state[0][0], integers.bias * integers.state_lsb)
    assert (state[0][0] - layer.bias).abs().max() <= 0.5 * integers.state_lsb
    assert not torch.equal(state[0][0], layer.bias)
    layer.set_quantization(Quantization(weight_bits=4))
    assert torch.equal(layer(x[:, :1])[1][0][0], layer.bias)
    assert integer_weights(layer).bias is None


@pytest.mark.parametrize("neuron", neuron_variants())
@pytest.mark.parametrize("first", [0, 1, 7, 20])
def test_state_hand_over_equals_one_run_bit_for_bit(neuron, first):
    torch.manual_seed(1)
    quantization = Quantization(weight_bits=8, state_bits=16, decay_bits=12)
    layer = SpikingLayer(30, 9, neuron=neuron, recurrent=neuron.spiking, quantization=quantization)
    with torch.no_grad():
        layer.w_in.mul_(5.0)
    x = spikes(5, 20, 30)
    whole = layer.run(x, potentials=True)
    one = layer.run(x[:, :first], potentials=True)
    two = layer.run(x[:, first:], one.state, potentials=True)
    assert whole.output.any()
    assert torch.equal(torch.cat([one.output, two.output], dim=1), whole.output)
    assert torch.equal(torch.cat([one.potentials, two.potentials], dim=1), whole.potentials)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(two.state, whole.state, strict=True))


def test_gradients_through_a_handed_over_state_equal_those_of_one_run():
    x = spikes(3, 12, 6).double()

    def gradients(cut: int | None) -> dict[str, Tensor]:
        layer = network().double().layers[0]
        layer.set_quantization(Quantization(weight_bits=4, state_bits=7, state_fraction_bits=1))
        state, outputs = None, []
        for part in (x,) if cut is None else (x[:, :cut], x[:, cut:]):
            output, state = layer(part, state)
            outputs.append(output)
        (torch.cat(outputs, dim=1).sum() + sum(variable.sin().sum() for variable in state)).backward()
        return {name: parameter.grad for name, parameter in layer.named_parameters()}

    whole = gradients(None)
    for cut in (1, 5):
        for name, gradient in gradients(cut).items():
            assert gradient.any(), name
            torch.testing.assert_close(gradient, whole[name], rtol=1e-12, atol=1e-12, msg=name)


def test_the_answer_of_a_sample_does_not_depend_on_the_batch_it_came_in():
    net = quantize(network(), Quantization(weight_bits=8, state_bits=16))
    x = spikes(65, 30, 6)
    whole = net(x, potentials=True)
    for size in (1, 7):
        part = net(x[:size], potentials=True)
        for mine, theirs in zip(part.records, whole.records, strict=True):
            assert torch.equal(mine.potentials, theirs.potentials[:size])


def test_a_state_that_came_in_is_put_on_the_grid_first():
    layer = SpikingLayer(
        1, 1, neuron=LI(tau_mem_ms=float("inf")), quantization=Quantization(weight_bits=2, state_bits=8)
    )
    with torch.no_grad():
        layer.w_in.fill_(1.0)
    record = layer.run(torch.zeros(1, 2, 1), (torch.tensor([[2.3]]),))
    assert record.output.flatten().tolist() == [2.0, 2.0]


def test_no_steps_give_an_empty_output_and_the_state_that_came():
    net = quantize(network(), FINE)
    out = net(spikes(2, 5, 6))
    again = net.layers[0].run(torch.zeros(2, 0, 6), out.states[0], potentials=True)
    assert again.output.shape == again.potentials.shape == (2, 0, 12)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(again.state, out.states[0], strict=True))


@pytest.mark.parametrize("decay", [0.9, 0.123, 1.0])
def test_decays_are_multiples_of_a_power_of_two_with_a_straight_through_gradient(decay):
    quantization = Quantization(decay_bits=4)
    value = torch.tensor([decay, 0.5], dtype=torch.float64, requires_grad=True)
    found = quantization.coefficients({"decay_mem": decay, "decay_syn": value, "a": 0.9})
    assert found["a"] == 0.9  # a gain is no decay
    assert found["decay_mem"] == round(decay * 16) / 16
    assert found["decay_syn"].tolist() == [round(decay * 16) / 16, 0.5]
    found["decay_syn"].sum().backward()
    assert value.grad.tolist() == [1.0, 1.0]


def test_the_decay_in_effect_is_the_rounded_one():
    layer = SpikingLayer(
        1, 1, neuron=LI(tau_mem_ms=10.0), quantization=Quantization(weight_bits=2, decay_bits=3)
    ).double()
    with torch.no_grad():
        layer.w_in.fill_(1.0)
    v = layer(torch.tensor([[[1.0], [0.0], [0.0]]], dtype=torch.float64))[0].flatten()
    assert v.tolist() == [0.0, 1.0, 0.875]  # exp(-0.1) = 0.905 -> 7/8


# Limits of many and of few bits.


def test_with_more_bits_the_network_converges_to_the_float_network():
    x = spikes(5, 15, 6).double()
    net = network().double()
    exact = net(x, potentials=True)
    errors = []
    for bits in (8, 12, 16):
        widths = Quantization(weight_bits=bits, state_bits=2 * bits, state_fraction_bits=bits - 8, decay_bits=bits + 8)
        out = quantize(net, widths)(x, potentials=True)
        errors.append((out.records[0].potentials[:, :4] - exact.records[0].potentials[:, :4]).abs().max().item())
    assert errors[0] > 8.0 * errors[1] > 64.0 * errors[2] > 0.0
    out = quantize(net, Quantization(weight_bits=16, state_bits=32, decay_bits=24))(x)
    assert torch.equal(out.records[0].output, exact.records[0].output)
    torch.testing.assert_close(out.logits, exact.logits, rtol=1e-3, atol=1e-3)
    assert torch.equal(quantize(net, None)(x).logits, exact.logits)


def test_two_bits_are_minus_one_zero_and_one():
    layer = quantize(network(), Quantization(weight_bits=2, scale="mse")).layers[0]
    assert set(integer_weights(layer).w_in.unique().tolist()) == {-1, 0, 1}


# Counting.


def test_weights_rounded_to_zero_are_no_synapses():
    layer = SpikingLayer(2, 3, neuron=LIF(), quantization=Quantization(weight_bits=3))
    with torch.no_grad():
        layer.w_in.copy_(torch.tensor([[3.0, 0.4], [0.4, 1.0], [-0.4, 2.0]]))
    x = torch.tensor([[[1.0, 0.0], [1.0, 1.0]]])  # neuron 0 spikes twice, neuron 1 once
    metric = SynOps()
    metric.update([layer.run(x, kind="input")])
    assert metric.compute().total == 2 * 1 + 1 * 2
    layer.set_quantization(None)
    metric.reset()
    metric.update([layer.run(x, kind="input")])
    assert metric.compute().total == 2 * 3 + 1 * 3


# Integers.


@settings(max_examples=30)
@given(kinds, st.sampled_from([None, 16, 20]), st.integers(0, 10**6))
def test_integers_times_the_scale_are_the_weights_in_effect_bit_for_bit(options, state_bits, seed):
    torch.manual_seed(seed)
    quantization = Quantization(**options, state_bits=state_bits)
    layer = SpikingLayer(6, 5, neuron=LIF(), recurrent=True, bias=True, quantization=quantization)
    nn.init.normal_(layer.bias)
    integers = integer_weights(layer)
    record = layer.run(torch.zeros(1, 1, 6))
    assert torch.equal(integers.w_in * integers.scale, record.connections[0].weight)
    assert torch.equal(integers.w_rec * integers.scale, record.connections[1].weight)
    assert integers.w_in.dtype == torch.int32
    assert integers.w_in.abs().max() <= quantization.largest_weight
    assert not integers.scale.requires_grad
    if state_bits is not None:
        assert torch.equal(record.state[0][0], integers.bias * integers.state_lsb)
        assert torch.equal(integers.state_lsb.reshape(-1) * 2**quantization.fraction_bits, integers.scale.reshape(-1))


@pytest.mark.parametrize("mode", ["subtract", "zero"])
@pytest.mark.parametrize("first", range(3))
def test_the_layer_is_the_integer_machine_that_a_chip_runs(mode, first):
    """Fig. 2 with integers only: weights k 2^f, decays d / 2^8, threshold floor(v_th / LSB); products rounded to even."""
    torch.manual_seed(first)
    quantization = Quantization(weight_bits=5, state_bits=14, state_fraction_bits=3, decay_bits=8)
    layer = SpikingLayer(8, 6, neuron=CubaLIF(reset=mode, v_th=0.5), recurrent=True, quantization=quantization).double()
    with torch.no_grad():
        layer.w_in.mul_(2.0)
        # the threshold is a whole number of LSBs, so that subtracting it stays among the integers
        layer.w_in[0, 0] = 15 / 16 * 2 ** layer.w_in.abs().max().log2().ceil().item()
        largest = layer.w_in[0, 0].item()
        layer.w_in.clamp_(-largest, largest)
    x = spikes(3, 40, 8, seed=first).double()
    record = layer.run(x, potentials=True)
    integers = integer_weights(layer)
    decays = {name: round(256 * value) for name, value in layer.neuron.coefficients().items()}
    threshold = int(0.5 / integers.state_lsb.item())
    assert threshold * integers.state_lsb.item() == 0.5
    i = v = torch.zeros(3, 6, dtype=torch.int64)
    w_in, w_rec = (8 * w.long() for w in (integers.w_in, integers.w_rec))
    spiked = 0
    for step in range(40):
        assert torch.equal(record.potentials[:, step], v * integers.state_lsb)
        z = (v > threshold).long()
        assert torch.equal(record.output[:, step], z.double())
        spiked += int(z.sum())
        arriving = x[:, step].long() @ w_in.T + z @ w_rec.T
        # one rounding per variable: the whole sum over 256
        i_next = (((decays["decay_syn"] * i) + 256 * arriving).double() / 256).round().long().clamp(-8191, 8191)
        v_next = (decays["decay_mem"] * v + 256 * i).double() / 256
        v_next = v_next - threshold * z if mode == "subtract" else v_next * (1 - z)
        i, v = i_next, v_next.round().long().clamp(-8191, 8191)
    assert spiked > 20


# What others do with it.


def test_parameters_have_the_same_names_and_a_checkpoint_loads_both_ways():
    plain, rounded = network(), network(quantization=Quantization(weight_bits=3, state_bits=12))
    assert list(plain.state_dict()) == list(rounded.state_dict())
    with torch.no_grad():
        for parameter in plain.parameters():
            parameter.add_(0.1)
    rounded.load_state_dict(plain.state_dict())
    x = spikes(3, 9, 6)
    assert torch.equal(
        rounded(x).logits, quantize(copy.deepcopy(plain), Quantization(weight_bits=3, state_bits=12))(x).logits
    )
    assert not torch.equal(rounded(x).logits, plain(x).logits)
    other = network()
    other.load_state_dict(rounded.state_dict())
    assert torch.equal(other(x).logits, plain(x).logits)  # the float weights are what is stored


def test_after_training_only_evaluation_is_rounded_and_aware_both():
    x = spikes(3, 9, 6)
    exact = network()(x).logits
    rounded = quantize(network(), Quantization(weight_bits=3))(x).logits
    net = quantize(network(), Quantization(weight_bits=3), "after")
    assert torch.equal(net.train()(x).logits, exact)
    assert torch.equal(net.eval()(x).logits, rounded)
    assert torch.equal(net.train()(x).logits, exact)
    aware = quantize(network(), Quantization(weight_bits=3), "aware")
    assert torch.equal(aware.train()(x).logits, rounded)
    assert torch.equal(aware.eval()(x).logits, rounded)
    assert not torch.equal(exact, rounded)


def test_a_quantised_network_copies_and_pickles(tmp_path):
    net, x = quantize(network(), FINE), spikes(3, 9, 6)
    torch.save(net, tmp_path / "net.pt")
    for twin in (copy.deepcopy(net), torch.load(tmp_path / "net.pt", weights_only=False)):
        assert torch.equal(twin(x).logits, net(x).logits)
    assert "Quantization(weight_bits=6, state_bits=10" in repr(net)
    assert "Quantization" not in repr(network())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("options", [{}, {"state_bits": 14}, {"state_bits": 14, "per_channel": True, "scale": "mse", "decay_bits": 8}], ids=str)  # fmt: skip
def test_a_compiled_network_gives_the_same_bits_and_gradients(options):
    torch._dynamo.reset()
    net, x = quantize(network(), Quantization(weight_bits=6, **options)), spikes(3, 4, 6)
    plain = net(x, potentials=True)
    fast = torch.compile(net, backend="aot_eager", fullgraph=True)(x, potentials=True)
    for mine, theirs in zip(fast.records, plain.records, strict=True):
        assert torch.equal(mine.potentials, theirs.potentials)
        assert torch.equal(mine.connections[0].weight, theirs.connections[0].weight)

    def gradients(logits: Tensor) -> list[Tensor]:
        return list(torch.autograd.grad(logits.square().sum(), list(net.parameters()), allow_unused=True))

    for mine, theirs in zip(gradients(fast.logits), gradients(plain.logits), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_under_autocast_the_grid_is_the_same():
    net, x = quantize(network(), Quantization(weight_bits=4, state_bits=12)), spikes(3, 9, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        record = net(x, potentials=True).records[0]
    lsb = integer_weights(net.layers[0]).state_lsb
    assert record.potentials.dtype == torch.float32
    assert torch.equal((record.potentials / lsb).round() * lsb, record.potentials)


def test_dyadic_weights_that_fit_are_left_as_they_are():
    layer = SpikingLayer(5, 4, neuron=LIF(), recurrent=True, quantization=Quantization(weight_bits=4)).double()
    w_in, w_rec = dyadic(4, 5, low=-7, high=8), dyadic(4, 4, seed=1, low=-7, high=8)
    w_in[0, 0] = 7 / 8
    with torch.no_grad():
        layer.w_in.copy_(w_in)
        layer.w_rec.copy_(w_rec)
    x = spikes(3, 9, 5).double()
    record = layer.run(x)
    assert torch.equal(record.connections[0].weight, w_in)
    assert torch.equal(record.output, scan(LIF(), x, w_in, w_rec, spike=SuperSpike()).output)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight_bits": 1}, "weight_bits is 1; symmetric integers of 1 bit hold nothing but 0. Use at least 2"),
        ({"weight_bits": 0}, "weight_bits is 0; a whole number from 2 to 16 is expected"),
        ({"weight_bits": 17}, "weight_bits is 17; a whole number from 2 to 16"),
        ({"weight_bits": 4.0}, "weight_bits is 4.0; a whole number"),
        ({"weight_bits": True}, "weight_bits is True"),
        ({"weight_bits": None}, "weight_bits is None"),
        ({"weight_bits": 8, "state_bits": 7}, "state_bits is 7; a whole number from 8 to 32 is expected"),
        ({"state_bits": 33}, "state_bits is 33"),
        ({"state_fraction_bits": 2}, "state_fraction_bits belongs to a rounded state; give state_bits"),
        ({"state_bits": 10, "state_fraction_bits": 3}, "state_fraction_bits is 3; a whole number from 0 to 2"),
        ({"decay_bits": 0}, "decay_bits is 0; a whole number from 1 to 24"),
        ({"per_channel": 1}, "per_channel is 1; true or false"),
        ({"scale": "best"}, "scale is 'best'; it must be one of max, mse"),
    ],
    ids=str,
)
def test_widths_that_mean_nothing_are_refused(options, message):
    with pytest.raises(ConfigurationError, match=message):
        Quantization(**options)


def test_mistakes_around_it_are_said():
    with pytest.raises(ConfigurationError, match="Linear has no spiking layer in it"):
        quantize(nn.Linear(2, 3), Quantization())
    with pytest.raises(ConfigurationError, match="quantize is 'before'; it must be one of aware, after"):
        quantize(network(), Quantization(), "before")
    with pytest.raises(ConfigurationError, match=r"quantization is 8; a record such as Quantization\(weight_bits=8\)"):
        SpikingLayer(2, 3, neuron=LIF(), quantization=8)
    with pytest.raises(ConfigurationError, match="this layer has no quantization"):
        integer_weights(network().layers[0])
    with pytest.raises(
        ConfigurationError, match=r"state_bits is 26, and torch\.float32 holds whole numbers of 25 bits"
    ):
        quantize(network(), Quantization(state_bits=26))(spikes(1, 2, 6))
    with pytest.raises(ConfigurationError, match=r"weights of torch\.bfloat16 cannot hold integers times a scale"):
        quantize(network().bfloat16(), Quantization())(spikes(1, 2, 6))


def test_training_on_the_grid_lowers_the_loss():
    torch.manual_seed(0)
    net = SpikingNetwork(
        [SpikingLayer(6, 12, neuron=LIF()), SpikingLayer(12, 3, neuron=LI())], MeanOverTime()
    )  # fmt: skip
    quantize(net, Quantization(weight_bits=3, state_bits=10, scale="mse"))
    x, target = spikes(30, 10, 6), torch.arange(30) % 3
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-2)
    losses = []
    for _ in range(60):
        loss = nn.functional.cross_entropy(net(x).logits, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert min(losses[-5:]) < 0.9 * losses[0]
