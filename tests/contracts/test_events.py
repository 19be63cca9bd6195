"""Events say the same as the dense tensor, wherever a batch goes: loaders, layers, gradients, counts, a whole fit."""

import gc
import pickle
import weakref

import lightning.pytorch as L
import pytest
import torch

from snnlightning.data import EventBatches, EventDataset, RandmanDataModule
from snnlightning.data.loading import as_batch
from snnlightning.errors import DataError, ShapeError
from snnlightning.events import Events, dense, known, remember
from snnlightning.hardware import Network
from snnlightning.layers import SpikingLayer, SpikingNetwork
from snnlightning.metrics import NeuroBenchSynOps, SynOps
from snnlightning.neurons import LI, LIF
from snnlightning.readouts import MaxOverTime
from snnlightning.scan import supports
from snnlightning.training import SpikingClassifier
from snnlightning.typing import Connection


def batch(*, values: str = "ones", seed: int = 0) -> torch.Tensor:
    """[4, 6, 5] with an empty sample, an empty row and a full one."""
    generator = torch.Generator().manual_seed(seed)
    x = (torch.rand(4, 6, 5, generator=generator) < 0.4).float()
    x[1], x[0, 2], x[2, 3] = 0.0, 0.0, 1.0
    if values == "counts":
        x = x * torch.randint(1, 4, x.shape, generator=generator)
    if values == "analog":
        x = x * torch.randn(x.shape, generator=generator)
        x[3, 1, 2], x[3, 2, 2] = -2.0, torch.nan
    return x


kinds = pytest.mark.parametrize("values", ["ones", "counts", "analog"])


@kinds
def test_dense_and_events_are_each_other(values):
    x = batch(values=values)
    events = Events.from_dense(x)
    assert torch.equal(events.dense().nan_to_num(7.0), x.nan_to_num(7.0))
    assert events.dense() is events.dense()
    assert (events.value is None) is (values == "ones")
    assert (events.shape, events.ndim, events.numel(), len(events)) == (x.shape, 3, x.numel(), 4)
    assert events.density == int((x != 0).sum()) / x.numel()
    Events(events.pointer, events.index, events.value, events.shape)  # what was trusted passes the checks


@kinds
def test_samples_are_cut_and_joined(values):
    x = batch(values=values).nan_to_num(1.0)
    events = Events.from_dense(x)
    assert torch.equal(events[1:3].dense(), x[1:3])
    assert torch.equal(events[-1], x[-1])
    assert torch.equal(Events.cat([events[:1], events[1:1], events[1:]]).dense(), x)
    with pytest.raises(IndexError, match="sample 4 of 4"):
        events[4]
    with pytest.raises(IndexError, match="in steps of 2"):
        events[::2]
    with pytest.raises(ShapeError, match=r"all need the same \[T, N\]"):
        Events.cat([events, Events.from_dense(x[:, :3])])


def test_ones_joined_with_counts_stay_ones():
    one, more = batch(), batch(values="counts")
    assert torch.equal(Events.cat([Events.from_dense(one), Events.from_dense(more)]).dense(), torch.cat([one, more]))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"pointer": torch.tensor([0, 1])}, ShapeError, r"pointer \[2\] is \[B T \+ 1\]"),
        ({"pointer": torch.tensor([0, 2, 1])}, DataError, "must ascend from 0 to the number of events, 2"),
        ({"index": torch.tensor([0, 3], dtype=torch.int32)}, DataError, r"runs from 0 to 3; \[0, 3\) is allowed"),
        ({"index": torch.tensor([1, 1], dtype=torch.int32)}, DataError, "ascend within a row, each once"),
        ({"index": torch.tensor([0, 1])}, DataError, "int64 and int32 are expected"),
        ({"value": torch.tensor([1.0, 0.0])}, DataError, "a value is 0"),
        ({"value": torch.tensor([1.0])}, ShapeError, "one number per event"),
        ({"shape": (1, 2)}, ShapeError, r"\(B, T, N\) is expected"),
    ],
)
def test_lists_that_do_not_fit_are_refused(changes, error, message):
    good = {
        "pointer": torch.tensor([0, 2, 2]),
        "index": torch.tensor([0, 2], dtype=torch.int32),
        "value": None,
        "shape": (1, 2, 3),
    }
    Events(**good)
    with pytest.raises(error, match=message):
        Events(**good | changes)


def test_moving_and_pickling_keep_them():
    events = Events.from_dense(batch(values="counts"))
    assert events.to("cpu") is events
    double = events.to(torch.float64)
    assert double.dtype == double.dense().dtype == torch.float64
    assert double.index is events.index
    there = events.to(torch.device("meta"), non_blocking=True)
    assert {t.device.type for t in (there.pointer, there.index, there.value)} == {"meta"}
    assert torch.equal(pickle.loads(pickle.dumps(events)).dense(), events.dense())


def test_what_is_known_is_forgotten_with_the_tensor_and_when_it_changes():
    events = Events.from_dense(batch())
    x = events.dense()
    assert torch.equal(known(x).index, events.index)
    assert Events.from_dense(x).index is events.index
    remember(y := x.clone(), events)
    y[0] = 0.0
    assert known(y) is None
    gone, list_gone = weakref.ref(x), weakref.ref(events.index)
    del x, y, events
    gc.collect()
    assert gone() is None
    assert list_gone() is None


def test_what_is_known_of_a_tensor_stays_while_only_a_graph_holds_it():
    weight = torch.ones(5, requires_grad=True)
    x = batch()
    remember(x, Events.from_dense(batch()))
    product = x * weight
    del x
    gc.collect()
    assert known(product.grad_fn._saved_self) is not None


def test_a_tensor_in_the_place_of_one_that_is_gone_is_not_taken_for_it():
    events, places = Events.from_dense(batch()), set()
    for _ in range(50):
        x = batch()
        assert known(x) is None
        remember(x, events)
        assert known(x) is not None
        places.add(id(x))
        del x
    assert len(places) < 50  # memory was used again


@kinds
@pytest.mark.parametrize("backend", ["reference", "auto"])
def test_a_network_makes_no_difference_between_events_and_their_tensor(values, backend):
    torch.manual_seed(0)
    x = batch(values=values).nan_to_num(1.0)
    layers = [SpikingLayer(5, 40, neuron=LIF(), recurrent=True, backend=backend), SpikingLayer(40, 3, neuron=LI())]
    net = SpikingNetwork(layers, MaxOverTime())
    found = []
    for given in (x, Events.from_dense(x)):
        net.zero_grad()
        out = net(given)
        out.logits.square().sum().backward()
        counts = []
        for metric in (SynOps(), NeuroBenchSynOps()):
            metric.update(out)
            counts.append(str(metric.compute()))
        shape = Network.of(out, weight_bits=8, state_bits=16)
        found.append((out.logits, [p.grad for p in net.parameters()], counts, shape))
    (one, grads, *rest), (other, others, *theirs) = found
    torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)
    for mine, expected in zip(others, grads, strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-5, atol=1e-6)
    assert rest == theirs


@kinds
def test_counts_of_events_are_those_of_the_tensor_element_by_element(values):
    from snnlightning.metrics._counting import Tallies

    x = batch(values=values)
    mine, expected = (
        Tallies().of(Connection("w_in", "input", sent, torch.ones(1, x.shape[2]), False))
        for sent in (Events.from_dense(x), x)
    )
    assert torch.equal(mine.sums, expected.sums)
    assert torch.equal(mine.any_at, expected.any_at)


def test_events_on_another_device_go_to_the_reference():
    events = Events.from_dense(batch()).to("meta")
    assert "x is on meta" in supports("numba", LI(), events, torch.ones(3, 5))


@pytest.mark.parametrize("binarize", [False, True])
def test_a_data_set_hands_out_the_same_numbers_either_way(binarize):
    generator = torch.Generator().manual_seed(0)
    counts = torch.tensor([40, 0, 25, 3])
    total = int(counts.sum())
    dataset = EventDataset(
        torch.cat([counts.new_zeros(1), counts.cumsum(0)]),
        torch.randint(6, (total,), generator=generator), torch.randint(5, (total,), generator=generator),
        torch.arange(4), steps=6, in_features=5, binarize=binarize,
    )  # fmt: skip
    for picked in ([0, 1, 2, 3], [2, 2, 0], [1], []):
        x, y = dataset.__getitems__(picked)
        events, labels = EventBatches(dataset).__getitems__(picked)
        assert torch.equal(events.dense(), x)
        assert torch.equal(labels, y)
        Events(events.pointer, events.index, events.value, events.shape)
        assert (events.value is None) or not binarize
    one, label = EventBatches(dataset)[-1]
    assert one.shape == (1, 6, 5)
    assert int(label) == 3
    loader = torch.utils.data.DataLoader(EventBatches(dataset), batch_size=3, collate_fn=as_batch, num_workers=0)
    assert [len(events) for events, _ in loader] == [3, 1]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_fit_on_events_is_the_fit_on_tensors(workers):
    options = {"classes": 2, "units": 8, "samples_per_class": 20, "modes": 50, "steps": 60, "batch_size": 8}
    found = []
    for events in (False, True):
        data = RandmanDataModule(**options, num_workers=workers if events else 0, events=events)
        L.seed_everything(0, verbose=False)
        model = SpikingClassifier(8, 2, [12], init_gain=2.0)
        trainer = L.Trainer(
            max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(model, data)
        trainer.test(model, data, verbose=False)
        probabilities = torch.cat(trainer.predict(model, data))
        found.append((trainer.callback_metrics, probabilities, model.counts["test"]))
    (dense_metrics, dense_out, dense_counts), (metrics, out, counts) = found
    assert metrics.keys() == dense_metrics.keys()
    for name, value in metrics.items():
        torch.testing.assert_close(value, dense_metrics[name], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(out, dense_out, rtol=1e-5, atol=1e-6)
    assert counts == dense_counts


def test_dense_leaves_a_tensor_alone():
    x = batch()
    assert dense(x) is x
