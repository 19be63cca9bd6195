"""Networks of a members give what each gives alone: outputs, records, counts and gradients."""

from importlib.util import find_spec

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from snnlightning.errors import ConfigurationError, ShapeError
from snnlightning.events import Events
from snnlightning.layers import Members, Quantization, SpikingLayer, SpikingNetwork
from snnlightning.metrics import SynOps
from snnlightning.neurons import ALIF, LI, LIF, AbstractNeuron, CubaLI, CubaLIF
from snnlightning.readouts import LastStep, MaxOverTime, MeanOverTime
from snnlightning.surrogates import ATan, SuperSpike, Triangle

NUMBA = pytest.mark.skipif(
    find_spec("numba") is None, reason="Numba is not installed; pip install 'snnlightning[fast]'"
)
backends = pytest.mark.parametrize("backend", ["reference", pytest.param("numba", marks=NUMBA)])


def network(
    k: int,
    backend: str,
    neuron: AbstractNeuron | None = None,
    size: int = 12,
    recurrent: bool = True,
    **options: object,
) -> SpikingNetwork:
    torch.manual_seed(k)
    neuron = neuron or CubaLIF(v_th=0.5 + 0.25 * k, tau_mem_ms=5.0 + 3.0 * k, learn_tau="per_neuron")
    surrogate = [Triangle(gamma=0.7), SuperSpike(slope=3.0), ATan()][k % 3]
    layers = [
        SpikingLayer(
            8, size, neuron=neuron, surrogate=surrogate, recurrent=recurrent, bias=True, backend=backend, **options
        ),
        SpikingLayer(size, size, neuron=LIF(), surrogate=surrogate, backend=backend),
        SpikingLayer(size, 3, neuron=CubaLI(), backend=backend),
    ]
    for layer in layers:
        layer.w_in.data.mul_(3.0)
    return SpikingNetwork(layers, MeanOverTime()).double()


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return (torch.rand(6, 15, 8, generator=generator) < 0.3).double(), torch.tensor([0, 1, 2, 0, 1, 2])


@backends
@pytest.mark.parametrize("form", ["dense", "events"])
@pytest.mark.parametrize("precision", [None, 6], ids=["float", "six_bits"])
def test_every_member_is_trained_and_counted_as_if_it_were_alone(backend, form, precision):
    options = {} if precision is None else {"quantization": Quantization(weight_bits=precision)}
    together, alone = ([network(k, backend, **options) for k in range(3)] for _ in range(2))
    (x, y), members = batch(), Members(together)
    given = Events.from_dense(x) if form == "events" else x
    out = members(given, potentials=True)
    sum(F.cross_entropy(logits, y) for logits in out.logits).backward()
    for k, own in enumerate(alone):
        expected = own(x, potentials=True)
        F.cross_entropy(expected.logits, y).backward()
        assert torch.equal(out.members[k].records[0].output, expected.records[0].output)
        assert expected.records[1].output.any()
        torch.testing.assert_close(out.members[k].logits, expected.logits, rtol=1e-9, atol=1e-12)
        for mine, theirs in zip(together[k].named_parameters(), own.named_parameters(), strict=True):
            torch.testing.assert_close(
                mine[1].grad, theirs[1].grad, rtol=1e-8, atol=1e-12, msg=lambda m, n=mine[0]: f"{n}: {m}"
            )
        counts = []
        for records in (out.members[k].records, expected.records):
            metric = SynOps()
            metric.update(records)
            counts.append(metric.compute())
        assert counts[0] == counts[1]


@backends
@pytest.mark.parametrize("density", [0.02, 0.3, 0.9])
@pytest.mark.parametrize(
    ("sizes", "recurrent"),
    [
        ((12, 12, 12, 12), (True,) * 4),
        ((12, 12, 12, 12), (False, True, True, False)),
        ((5, 33, 16, 12), (True,) * 4),
        ((64, 1, 40, 7), (True, False, True, False)),
    ],
    ids=["alike", "some_recurrent", "padded", "padded_far_some_recurrent"],
)
def test_members_have_to_the_last_bit_what_they_have_alone(backend, density, sizes, recurrent):
    """They run from events or by a product as each of them does alone, and nothing is rounded by what pads them."""
    together, alone = (
        [
            network(k, backend, size=n, recurrent=r).float()
            for k, (n, r) in enumerate(zip(sizes, recurrent, strict=True))
        ]
        for _ in range(2)
    )
    with torch.no_grad():
        for networks in (together, alone):
            networks[2].layers[1].w_in.fill_(torch.nan)
    x = torch.stack(
        [(torch.rand(6, 15, 8, generator=torch.Generator().manual_seed(k)) < density).float() for k in range(4)]
    )
    out = Members(together)(x, potentials=True)
    y = batch()[1]
    torch.autograd.backward([F.cross_entropy(member.logits, y) for member in out.members])
    for k, own in enumerate(alone):
        expected = own(x[k].clone(), potentials=True)
        F.cross_entropy(expected.logits, y).backward()
        for mine, theirs in zip(out.members[k].records, expected.records, strict=True):
            torch.testing.assert_close(mine.output, theirs.output, rtol=0.0, atol=0.0, equal_nan=True)
            torch.testing.assert_close(mine.potentials, theirs.potentials, rtol=0.0, atol=0.0, equal_nan=True)
            for connection, other in zip(mine.connections, theirs.connections, strict=True):
                assert (connection.name, connection.kind, connection.bits) == (other.name, other.kind, other.bits)
                assert torch.equal(connection.activity, other.activity)
        assert expected.records[0].output.any()
        for mine, theirs in zip(together[k].named_parameters(), own.named_parameters(), strict=True):
            torch.testing.assert_close(
                mine[1].grad,
                theirs[1].grad,
                rtol=0.0,
                atol=0.0,
                equal_nan=True,
                msg=lambda m, n=(k, mine[0]): f"{n}: {m}",
            )


@NUMBA
@pytest.mark.parametrize("shared", [True, False], ids=["one_input", "inputs"])
def test_narrow_members_are_summed_over_many_samples_as_they_are_alone(shared):
    """Samples are taken in lots whose size depends on the width; and numpy adds up a single column in an order of its own."""
    sizes = (33, 1, 64)
    together, alone = ([network(k, "numba", size=n).float() for k, n in enumerate(sizes)] for _ in range(2))
    generator = torch.Generator().manual_seed(1)
    x = (torch.rand(*([] if shared else [3]), 150, 40, 8, generator=generator) < 0.3).float()
    y = torch.randint(0, 3, (150,), generator=generator)
    out = Members(together)(x)
    torch.autograd.backward([F.cross_entropy(member.logits, y) for member in out.members])
    for k, own in enumerate(alone):
        F.cross_entropy(own((x if shared else x[k]).clone()).logits, y).backward()
        for mine, theirs in zip(together[k].named_parameters(), own.named_parameters(), strict=True):
            assert torch.equal(mine[1].grad, theirs[1].grad), (k, mine[0])


@backends
def test_state_hand_over_equals_one_run(backend):
    members, (x, _) = Members([network(k, backend) for k in range(2)]), batch()
    first = members(x[:, :7])
    second = members(x[:, 7:], first.states)
    whole = members(x)
    for k in range(2):
        parts = torch.cat([out.members[k].records[1].output for out in (first, second)], dim=1)
        assert torch.equal(parts, whole.members[k].records[1].output)


@backends
def test_thresholds_that_rise_differ_between_members(backend):
    neurons = [ALIF(beta=0.5 * (k + 1), tau_mem_ms=5.0) for k in range(2)]
    networks = [network(k, backend, neuron) for k, neuron in enumerate(neurons)]
    (x, _), out = batch(), Members(networks)(batch()[0])
    for own, member in zip(networks, out.members, strict=True):
        assert torch.equal(member.records[0].output, own(x).records[0].output)


def test_every_member_may_have_an_input_of_its_own():
    x = torch.stack([batch()[0], batch()[0].flip(0)])
    networks = [network(k, "reference") for k in range(2)]
    out = Members(networks)(x)
    for k in range(2):
        torch.testing.assert_close(out.logits[k], networks[k](x[k]).logits, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("error", "message", "networks"),
    [
        (ConfigurationError, "Members without networks", lambda: []),
        (ShapeError, r"stage 0 of network 1 is 8 -> 12, .*backend='reference'; in network 0 it is 8 -> 12, .*backend='auto'\. Hidden",
         lambda: [network(0, "auto"), network(1, "reference")]),
        (ShapeError, r"network 1 has 1 stages and network 0 has 3",
         lambda: [network(0, "auto"), SpikingNetwork([SpikingLayer(8, 3, neuron=LI())], MeanOverTime())]),
        (ConfigurationError, r"network 1 reads by LastStep\(\) and network 0 by MaxOverTime\(\)",
         lambda: [SpikingNetwork([SpikingLayer(8, 3, neuron=LI())], readout) for readout in (MaxOverTime(), LastStep())]),
    ],
)  # fmt: skip
def test_networks_that_cannot_run_together_are_refused(error, message, networks):
    with pytest.raises(error, match=message):
        Members(networks())


def test_members_of_other_kinds_are_refused_with_the_name_of_the_stage():
    members = Members([network(0, "auto"), network(1, "auto", LIF())])
    with pytest.raises(ConfigurationError, match=r"layer 'hidden_0': members are CubaLIF.* and LIF"):
        members(batch()[0])
