"""Normalisation and dropout: their formulas, where they stand, and what is left of them in evaluation, counts and exports."""

import pytest
import torch
from helpers import dyadic
from torch import Tensor, nn
from torch.nn.utils import parametrize

from snnlightning.errors import ConfigurationError, ShapeError
from snnlightning.initializers import ScaledNormal
from snnlightning.layers import (
    AbstractLayer,
    BatchNorm,
    ConvolutionalLayer,
    DelayedLayer,
    Dropout,
    Flatten,
    LayerNorm,
    Quantization,
    SpikingLayer,
    SpikingNetwork,
    fold,
    integer_weights,
    quantize,
)
from snnlightning.metrics import SynOps
from snnlightning.neurons import LI, LIF
from snnlightning.readouts import MaxOverTime
from snnlightning.scan import scan

KINDS = ["dense", "convolutional", "per synapse", "per axon"]


def layer(kind: str, norm: nn.Module | None, **options: object) -> tuple[AbstractLayer, Tensor]:
    """A layer of four features with weights that make it spike, and an input for it."""
    torch.manual_seed(0)
    options = {"neuron": LIF(tau_mem_ms=4.0), "bias": True, "initializer": ScaledNormal(2.0), "norm": norm, **options}
    if kind == "convolutional":
        made, x = ConvolutionalLayer(2, 4, [3], padding=1, **options), dyadic(3, 9, 2, 5, seed=1).abs()
    elif kind == "dense":
        made, x = SpikingLayer(3, 4, **options), dyadic(3, 9, 3, seed=1).abs()
    else:
        made = DelayedLayer(3, 4, max_delay_ms=4.0, learn_delay=False, per=kind.removeprefix("per "), **options)
        x = dyadic(3, 9, 3, seed=1).abs()
    with torch.no_grad():
        made.bias.copy_(torch.tensor([0.5, -0.25, 0.125, 0.0]))
    return made.double(), x


def trained(norm: nn.Module) -> nn.Module:
    """Numbers that are not those it starts with."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for tensor in (*norm.parameters(), *norm.buffers()):
            tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
    return norm


def test_batch_norm_is_that_of_torch_over_batch_and_time():
    ours, theirs = trained(BatchNorm(4, momentum=0.3)).double(), nn.BatchNorm1d(4, momentum=0.3).double()
    theirs.load_state_dict(
        {"weight": ours.gain, "bias": ours.shift, "running_mean": ours.mean, "running_var": ours.variance,
         "num_batches_tracked": torch.tensor(0)}
    )  # fmt: skip
    x = torch.randn(3, 7, 4, dtype=torch.float64)
    torch.testing.assert_close(ours(x).flatten(0, 1), theirs(x.flatten(0, 1)))
    torch.testing.assert_close((ours.mean, ours.variance), (theirs.running_mean, theirs.running_var))
    torch.testing.assert_close(ours.eval()(x).flatten(0, 1), theirs.eval()(x.flatten(0, 1)))


def test_layer_norm_has_mean_shift_and_deviation_gain_in_every_step():
    x = torch.randn(3, 7, 4, 6, dtype=torch.float64)
    y = LayerNorm(4, gain=2.0, eps=1e-12).double()(x)
    torch.testing.assert_close(y.mean(dim=(2, 3)), torch.zeros(3, 7, dtype=torch.float64))
    torch.testing.assert_close(y.std(dim=(2, 3), correction=0), torch.full((3, 7), 2.0, dtype=torch.float64))
    flat = LayerNorm(4).double()(x[..., 0])
    torch.testing.assert_close(flat, nn.functional.layer_norm(x[..., 0], (4,)))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "convolutional"])
@pytest.mark.parametrize("norm", [BatchNorm, LayerNorm])
def test_it_stands_between_the_weights_and_the_neurons_and_leaves_recurrence_alone(kind, norm):
    one, x = layer(kind, trained(norm(4)).double(), recurrent=True, backend="reference")
    plain, _ = layer(kind, None, neuron=LI(tau_mem_ms=1e-9))  # its potential is the drive, a step later
    plain.load_state_dict({k: v for k, v in one.state_dict().items() if not k.startswith(("norm", "w_rec"))})
    padded = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    drive = plain.run(padded, potentials=True).potentials[:, 1:]
    mine = one.run(x, potentials=True)
    theirs = scan(
        one.neuron,
        trained(norm(4)).double()(drive),
        None,
        one.w_rec,
        spike=one.surrogate,
        potentials=True,
        backend="reference",
    )
    assert mine.output.any()
    torch.testing.assert_close(mine.potentials, theirs.potentials, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("recurrent", [False, True])
def test_batch_norm_in_evaluation_is_part_of_the_weights_and_folding_keeps_output_and_counts(kind, recurrent):
    one, x = layer(kind, trained(BatchNorm(4)), recurrent=recurrent)
    live = one.run(x, potentials=True)
    one.eval()
    folded = fold(one)
    assert one.norm is not None
    assert folded.norm is None
    assert not any(name.startswith("norm") for name in folded.state_dict())
    mine, theirs = one.run(x, potentials=True), folded.run(x, potentials=True)
    assert torch.equal(mine.potentials, theirs.potentials)
    assert not torch.equal(mine.potentials, live.potentials)
    # The formula, with the norm as a function of the drive.
    bare, _ = layer(kind, None, neuron=LI(tau_mem_ms=1e-9))
    bare.load_state_dict({k: v for k, v in one.state_dict().items() if not k.startswith(("norm", "w_rec"))})
    as_weights, _ = layer(kind, None, neuron=LI(tau_mem_ms=1e-9))
    as_weights.load_state_dict({k: v for k, v in folded.state_dict().items() if not k.startswith("w_rec")})
    padded = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    drives = [bare(padded)[0][:, 1:], as_weights(padded)[0][:, 1:]]
    torch.testing.assert_close(one.norm(drives[0]), drives[1], rtol=1e-9, atol=1e-9)
    counts = []
    for record in (mine, theirs):
        metric = SynOps()
        metric.update([record])
        counts.append(metric.compute())
    assert counts[0] == counts[1]
    assert counts[0].active_updates == counts[0].updates  # the shift is a bias


def test_folding_writes_parametrised_weights_down_and_leaves_the_network_as_it_is():
    class Half(nn.Module):
        def forward(self, w: Tensor) -> Tensor:
            return 0.5 * w

    network = SpikingNetwork(
        [SpikingLayer(3, 4, neuron=LIF(), norm=trained(BatchNorm(4))), SpikingLayer(4, 2, neuron=LI())], MaxOverTime()
    ).double()
    parametrize.register_parametrization(network.layers[0], "w_in", Half())
    before = {key: value.clone() for key, value in network.state_dict().items()}
    folded = fold(network)
    x = dyadic(2, 8, 3, seed=1).abs()
    assert network.training
    assert not folded.training
    assert set(folded.state_dict()) == {"layers.0.w_in", "layers.0.bias", "layers.1.w_in"}
    torch.testing.assert_close(folded(x).logits, network.eval()(x).logits)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_quantisation_after_training_rounds_the_folded_weights():
    one, x = layer("dense", trained(BatchNorm(4)))
    quantize(one, Quantization(weight_bits=4), "after")
    one.run(x)
    one.eval()
    folded = fold(one)
    assert torch.equal(one.run(x).connections[0].weight, folded.run(x).connections[0].weight)
    assert torch.equal(integer_weights(one).w_in, integer_weights(folded).w_in)
    quantize(one, Quantization(weight_bits=4), "aware")
    with pytest.raises(ConfigurationError, match=r"BatchNorm that depends on the input.*quantize='after', or fold"):
        one.train().run(x)


def test_what_cannot_be_is_refused_with_the_way_out():
    with pytest.raises(ConfigurationError, match=r"the layer has a LayerNorm.*only BatchNorm can be folded"):
        fold(layer("dense", LayerNorm(4))[0])
    with pytest.raises(ConfigurationError, match=r"norm is BatchNorm\(3.*one of 4 features, such as BatchNorm\(4\)"):
        layer("dense", BatchNorm(3))
    with pytest.raises(ShapeError, match=r"a drive \[1, 2, 3\] in a normalisation of 4 features"):
        BatchNorm(4)(torch.zeros(1, 2, 3))
    with pytest.raises(ConfigurationError, match="momentum is 2"):
        BatchNorm(4, momentum=2.0)
    with pytest.raises(ConfigurationError, match="a share in"):
        Dropout(1.0)
    with pytest.raises(ShapeError, match=r"layer 'layer': x is \[3, 9, 2\]; \[B, T, N_in\] with N_in = 3"):
        layer("dense", BatchNorm(4))[0].run(torch.zeros(3, 9, 2))


# Dropout.


@pytest.mark.parametrize("per_step", [False, True])
def test_dropout_keeps_the_mean_and_its_mask_is_constant_over_time_or_not(per_step):
    torch.manual_seed(0)
    dropout = Dropout(0.25, per_step=per_step)
    y = dropout(torch.ones(40, 25, 30))
    assert y.unique().tolist() == pytest.approx([0.0, 4.0 / 3.0])
    assert y.mean().item() == pytest.approx(1.0, abs=0.03)
    assert torch.equal(y, y[:, :1].expand_as(y)) != per_step
    assert not torch.equal(y, y[:1].expand_as(y))


def test_dropout_is_nothing_in_evaluation_so_that_counts_and_placements_see_the_layer_before_it():
    x = torch.ones(1, 2, 3)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x
    network = SpikingNetwork(
        [SpikingLayer(3, 4, neuron=LIF()), Dropout(0.5), SpikingLayer(4, 2, neuron=LI())], MaxOverTime()
    )
    out = network.eval()(x)
    assert out.records[1].connections[0].activity is out.records[0].output
    assert out.records[1].connections[0].binary
    assert not network.train()(x).records[1].connections[0].binary
    maps = SpikingNetwork(
        [ConvolutionalLayer(1, 2, [3], neuron=LIF()), Dropout(0.5), Flatten(), SpikingLayer(12, 2, neuron=LI())],
        MaxOverTime(),
    )
    assert maps(torch.ones(2, 5, 1, 8)).logits.shape == (2, 2)
