"""Placement: no neuron is lost, no core holds more than it can, and messages follow; links and barriers by hand."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnlightning.errors import ConfigurationError, UnknownNameError
from snnlightning.hardware import Counts, Kernel, Layer, Network, Synapses, available, estimate, load, place
from snnlightning.hardware.latency import sync_ns
from snnlightning.hardware.traffic import busiest_link, traffic

PLACED = tuple(name for name in available() if load(name).limit("neurons_per_core") is not None)
TERMS = tuple(name for name in available() if load(name).price("chip_mw") is None and not load(name).has_memory)


@st.composite
def networks(draw):
    """Dense, pruned and convolutional layers in a row, some recurrent."""
    channels, size = draw(st.integers(1, 4)), draw(st.integers(6, 20))
    kernel = Kernel(channels, draw(st.integers(1, 24)), (size, size), (3, 3), (1, 1), (1, 1), (1, 1))
    hidden, out = draw(st.integers(1, 1500)), draw(st.integers(1, 40))
    layers = (Layer("conv", kernel.outputs), Layer("hidden", hidden), Layer("readout", out))
    fan_in = draw(st.integers(1, min(kernel.outputs, 400)))
    synapses = [
        Synapses("conv.w", "input", "conv", kernel=kernel),
        Synapses("hidden.w", "conv", "hidden", synapses=fan_in * hidden, fan_in=fan_in),
        Synapses("readout.w", "hidden", "readout"),
    ]
    if draw(st.booleans()):
        synapses.append(Synapses("hidden.rec", "hidden", "hidden"))
    return Network(kernel.inputs, layers, tuple(synapses), draw(st.sampled_from([1, 4, 8])))


def counted(network, events, steps=10):
    """Counts of that many events of each source, all of whose synapses are average ones."""
    sent = {m.name: float(events.get(m.source, 0)) for m in network.synapses}
    synops = {m.name: sent[m.name] * network.synapses_of(m) / network.size(m.source) for m in network.synapses}
    spikes = {layer.name: float(events.get(layer.name, 0)) for layer in network.layers[:-1]}
    return Counts(
        steps, synops, float(steps * network.neurons), spikes, 0.0, float(events.get("input", 0)), None, network, sent
    )


@pytest.mark.parametrize("profile", PLACED)
@given(network=networks())
def test_no_neuron_is_lost_and_no_core_is_overfull(profile, network):
    prices = load(profile)
    placement = place(network, prices)
    for layer in network.layers:
        cores = placement.of(layer.name)
        assert sum(core.neurons for core in cores) == layer.neurons
        assert 0 < max(core.neurons for core in cores) <= prices.limit("neurons_per_core")
        assert max(core.neurons for core in cores) - min(core.neurons for core in cores) <= 1
    if prices.limit("input_cores"):
        assert sum(core.neurons for core in placement.of("input")) == network.inputs
    for name, bits in placement.memory_bits.items():
        assert bits <= prices.limit("synapse_memory_bits") or name in placement.too_large
    if (most := prices.limit("in_axons_per_core")) is not None:
        for name, axons in placement.in_axons.items():
            assert axons <= most or network.fan_in(name) > most
    if (per_tile := prices.limit("cores_per_tile")) is not None:
        tiles = [(core.x, core.y) for core in placement.cores]
        assert max(tiles.count(tile) for tile in tiles) <= per_tile
        assert len(set(tiles)) == placement.tiles


@given(network=networks(), events=st.integers(0, 5000))
def test_a_spike_is_at_least_one_message_and_at_most_one_per_core(network, events):
    profile = load("boyle2025_loihi")
    placement = place(network, profile)
    sent = traffic(counted(network, {"hidden": events}), placement)
    targets = len(placement.of("readout")) + len(placement.of("hidden")) * any(
        m.name == "hidden.rec" for m in network.synapses
    )
    assert events * (1 - 1e-9) <= sent.messages["hidden"] <= events * targets * (1 + 1e-9)


def renamed(counts, names):
    """The same counts with other names of layers."""
    network = counts.network
    new = lambda name: names.get(name, name)  # noqa: E731
    other = dataclasses.replace(
        network,
        layers=tuple(dataclasses.replace(layer, name=new(layer.name)) for layer in network.layers),
        synapses=tuple(dataclasses.replace(m, source=new(m.source), target=new(m.target)) for m in network.synapses),
    )
    return dataclasses.replace(counts, spikes={new(k): v for k, v in counts.spikes.items()}, network=other)


@pytest.mark.parametrize("profile", TERMS)
@given(network=networks(), events=st.integers(0, 5000))
def test_names_of_layers_do_not_matter(profile, network, events):
    one = counted(network, {"input": events, "conv": events // 2, "hidden": events // 3})
    other = renamed(one, {"conv": "readout", "hidden": "conv", "readout": "hidden"})
    first, second = (estimate(counts, profile, dt_ms=1.0) for counts in (one, other))
    assert first.priced_uj == second.priced_uj
    assert first.latency_ms == second.latency_ms
    assert first.reasons == second.reasons


@pytest.mark.parametrize("profile", available())
@given(
    network=networks(),
    few=st.integers(0, 3000),
    more=st.integers(0, 3000),
    source=st.sampled_from(["input", "conv", "hidden"]),
)
def test_more_events_never_cost_less_or_take_less_time(profile, network, few, more, source):
    less = estimate(counted(network, {source: few}), profile, dt_ms=1.0)
    further = estimate(counted(network, {source: few + more}), profile, dt_ms=1.0)
    for part in ("priced_uj", "latency_ms"):
        low, high = getattr(less, part), getattr(further, part)
        assert low is None or all(a <= b * (1 + 1e-12) for a, b in zip(low, high, strict=True))


def test_more_active_updates_never_cost_less():
    network = Network.chain(10, [20, 5])
    make = lambda active: Counts(10, {}, 250.0, active_updates=active, network=network)  # noqa: E731
    prices = [
        estimate(make({"hidden_0": a, "readout": b}), "boyle2025_loihi").nominal("dynamic_uj")
        for a, b in ((0.0, 0.0), (100.0, 0.0), (100.0, 50.0), (200.0, 50.0))
    ]
    assert prices == sorted(set(prices))
    assert prices[-1] == estimate(make(None), "boyle2025_loihi").nominal("dynamic_uj")


def test_active_updates_are_paid_where_they_are():
    network = Network.chain(10, [20, 5])
    counts = Counts(10, {}, 250.0, active_updates={"hidden_0": 30.0, "readout": 7.0}, network=network)
    costs = {cost.layer: cost for cost in estimate(counts, "boyle2025_loihi").by_layer}
    assert costs["hidden_0"].energy_uj.nominal == pytest.approx(200 * 51.2e-6 + 30 * 21.6e-6)
    assert costs["readout"].energy_uj.nominal == pytest.approx(50 * 51.2e-6 + 7 * 21.6e-6)
    assert costs["input"].energy_uj is None
    # The slowest core is the hidden one: 20 accesses, and 3 of 20 active in a step.
    slowest = estimate(counts, "davies2018_loihi").latency_ms.nominal
    assert slowest == pytest.approx(10 * (113 + 20 * 5.3 + 3 * 3.1) * 1e-6)


def test_cores_with_too_many_destinations_are_split():
    """1,000 neurons have a destination on each core of the readout; 4,096 of them fit a core."""
    profile = load("davies2018_loihi")
    network = Network.chain(4, [1000, 20_000], [False, False])
    placement = place(network, profile)
    assert len(placement.of("readout")) >= 20
    assert placement.out_axons["hidden_0"] <= 4096
    assert len(placement.of("hidden_0")) == -(-1000 // (4096 // len(placement.of("readout"))))
    counts = Counts(
        1, {"hidden_0.w_in": 0.0, "readout.w_in": 0.0}, 21_000.0, {"hidden_0": 0.0}, 0.0, 0.0, None, network
    )
    assert not [budget for budget in estimate(counts, profile).budgets if budget.name == "out_axons_per_core"]


def test_kernels_are_split_until_their_sources_fit_the_axons_of_a_core():
    """64 channels of 16 x 16: all sources are four times the axons of a core, one row of places needs three rows of them."""
    profile = load("davies2018_loihi")
    kernel = Kernel(64, 64, (16, 16), (3, 3), (1, 1), (1, 1), (1, 1))
    network = Network(
        kernel.inputs, (Layer("conv", kernel.outputs),), (Synapses("conv.w", "input", "conv", kernel=kernel),)
    )
    placement = place(network, profile)
    assert placement.in_axons["conv"] <= 4096 < network.inputs
    result = estimate(counted(network, {"input": 10}), profile)
    assert not result.walls
    # Every synapse is stored, none shared: 8 bits and an index of 9 or more.
    stored = sum(core.neurons for core in placement.of("conv")) * kernel.fan_in * 8
    assert placement.memory_bits["conv"] * len(placement.of("conv")) > stored


def test_a_chip_whose_places_share_their_weights_stores_the_kernel_once():
    profile = load("davies2018_loihi")
    kernel = Kernel(4, 8, (16, 16), (3, 3), (1, 1), (1, 1), (1, 1))
    network = Network(
        kernel.inputs, (Layer("conv", kernel.outputs),), (Synapses("conv.w", "input", "conv", kernel=kernel),)
    )
    flag = dataclasses.replace(profile.limits["input_cores"], name="shared_kernels")
    shared = dataclasses.replace(profile, limits={**profile.limits, "shared_kernels": flag})
    assert place(network, shared).memory_bits == {"conv": 4 * 8 * 9 * 8}
    assert place(network, profile).memory_bits["conv"] > 10 * 4 * 8 * 9 * 8


def test_pruned_weights_need_less_memory_and_never_more_than_dense_ones():
    profile = load("boyle2025_loihi")
    bits = []
    for fan_in in (1000, 500, 100, 10):
        matrix = Synapses(
            "readout.w_in", "input", "readout", synapses=None if fan_in == 1000 else fan_in * 100, fan_in=fan_in
        )
        bits.append(place(Network(1000, (Layer("readout", 100),), (matrix,)), profile).memory_bits["readout"])
    # Dense: 1,000 axons of 100 x 8 + 10 bits in words of 64.
    assert bits[0] == 1000 * 13 * 64
    assert bits == sorted(bits, reverse=True)
    # Ten inputs each: 1,000 synapses of 8 + 7 bits in up to 1,000 axons.
    assert bits[-1] == 1000 * 15 + 1000 * 73


def one_to_one():
    """Three tiles in a square of two: [input, a, a, a] at (0, 0), [a, b, b, b] at (1, 0), [b, readout] at (0, 1)."""
    layers = (Layer("a", 4096), Layer("b", 4096), Layer("readout", 16))
    pairs = Synapses("b.w", "a", "b", synapses=4096, fan_in=1)
    return Network(10, layers, (Synapses("a.w", "input", "a"), pairs, Synapses("readout.w", "b", "readout")))


def test_the_busiest_link_by_hand():
    """Three quarters of b go to the west and then down; its last quarter is in the tile of the readout."""
    network = one_to_one()
    placement = place(network, load("davies2018_loihi"))
    assert [(core.layer, core.x, core.y) for core in placement.cores] == [
        ("input", 0, 0), *[("a", 0, 0)] * 3, ("a", 1, 0), *[("b", 1, 0)] * 3, ("b", 0, 1), ("readout", 0, 1),
    ]  # fmt: skip
    counts = counted(network, {"b": 800})
    assert busiest_link(counts, placement) == pytest.approx(600)
    sent = traffic(counts, placement)
    assert (sent.messages["b"], sent.hops_ew["b"], sent.hops_ns["b"]) == pytest.approx((800, 600, 600))
    assert busiest_link(counted(network, {}), placement) == 0.0
    # Each neuron of a has one target: three quarters start in the west, three quarters of these end in the east.
    assert busiest_link(counted(network, {"a": 1600}), placement) == pytest.approx(1600 * 0.75 * 0.75)


def test_loads_of_links_are_those_of_messages_one_by_one():
    """Every pair of tiles walked on its own, x first."""
    network = Network.chain(300, [2000, 1200, 100], [False, True, False])
    placement = place(network, load("davies2018_loihi"))
    counts = counted(network, {"input": 50, "hidden_0": 900, "hidden_1": 400})
    walked = {}
    for source, targets in (("input", ["hidden_0"]), ("hidden_0", ["hidden_1"]), ("hidden_1", ["hidden_1", "readout"])):
        events = {"input": 50, "hidden_0": 900, "hidden_1": 400}[source]
        for here in placement.of(source):
            for there in (core for name in targets for core in placement.of(name)):
                x, y = here.x, here.y
                while (x, y) != (there.x, there.y):
                    step = (1 if there.x > x else -1, 0) if x != there.x else (0, 1 if there.y > y else -1)
                    key = (x, y, *step)
                    walked[key] = walked.get(key, 0.0) + events * here.neurons / network.size(source)
                    x, y = x + step[0], y + step[1]
    assert placement.tiles > 9
    assert busiest_link(counts, placement) == pytest.approx(max(walked.values()))
    sent = traffic(counts, placement)
    assert sum(sent.hops_ew.values()) + sum(sent.hops_ns.values()) == pytest.approx(sum(walked.values()))


def test_a_slow_link_holds_up_the_step():
    profile = load("davies2018_loihi")
    counts = counted(one_to_one(), {"b": 800}, steps=1)
    slow = dataclasses.replace(profile.coefficients["link_ns"], value=500.0, low=500.0, high=500.0)
    held = dataclasses.replace(profile, coefficients={**profile.coefficients, "link_ns": slow})
    step = estimate(counts, held).nominal("latency_ms") * 1e6
    assert step == pytest.approx(600 * 500 + 113 + (465 - 113) * 2 / 31)
    assert estimate(counts, profile).nominal("latency_ms") * 1e6 < step


@pytest.mark.parametrize(
    ("profile", "tiles", "nanoseconds"),
    [
        ("boyle2025_loihi", 1, 600), ("boyle2025_loihi", 2, 1000), ("boyle2025_loihi", 3, 1200), ("boyle2025_loihi", 4, 1400),
        ("boyle2025_loihi", 29, 1800), ("boyle2025_loihi", 99, 1800), ("davies2018_loihi", 32, 465),
        ("davies2018_loihi2_bound", 7, 200), ("kerasspiking_loihi", 7, 0),
    ],
)  # fmt: skip
def test_barriers_are_the_published_ones_and_linear_in_between(profile, tiles, nanoseconds):
    assert sync_ns(load(profile), tiles).nominal == pytest.approx(nanoseconds)


def test_the_fullest_core_of_a_layer_sets_the_step():
    """1,025 neurons on cores of 1,024: 513 and 512; the step takes 513 accesses."""
    network = Network(1, (Layer("a", 1025),), (Synapses("a.w", "input", "a"),))
    counts = Counts(1, {"a.w": 0.0}, 1025.0, {}, 0.0, 0.0, 0.0, network)
    assert estimate(counts, "davies2018_loihi").nominal("latency_ms") == pytest.approx((113 + 513 * 5.3) * 1e-6)


def test_reasons_are_sentences_and_walls_come_first():
    wide = Network.chain(5000, [200_000])
    counts = Counts(1, {"readout.w_in": 0.0}, 200_000.0, {}, 0.0, 0.0, None, wide)
    reasons = estimate(counts, "davies2018_loihi").reasons
    assert reasons[0].startswith("in_axons_per_core 5,000 > 4,096 (")
    assert reasons[0].endswith("more chips do not help.")
    assert any(reason.startswith("cores ") and reason.endswith("more chips or more time do.") for reason in reasons)
    assert estimate(Counts(1, {}, 5.0, network=Network.chain(3, [5])), "davies2018_loihi").reasons == ()


def test_a_number_that_is_not_there_says_why():
    counts = Counts(1, {"readout.w_in": 3.0}, 5.0, {}, 0.0, 1.0, None, Network.chain(3, [5]))
    assert estimate(counts, "davies2018_loihi").nominal("latency_ms") > 0
    with pytest.raises(
        ConfigurationError, match=r"gives no priced_uj: dynamic; .*static_mw: no latency; give latency_ms"
    ):
        estimate(counts, "yao2024_speck").nominal("priced_uj")
    with pytest.raises(ConfigurationError, match="kerasspiking_loihi gives no latency_ms"):
        estimate(counts, "kerasspiking_loihi").nominal("latency_ms")
    with pytest.raises(ConfigurationError, match="merolla2014_truenorth gives no static_uj: contained in all_in_uj"):
        estimate(counts, "merolla2014_truenorth").nominal("static_uj")
    with pytest.raises(UnknownNameError, match="no quantity of an estimate named 'energy_uj'"):
        estimate(counts, "davies2018_loihi").nominal("energy_uj")


def test_a_table_by_layers_adds_up():
    network = Network.chain(40, [64, 10])
    counts = counted(network, {"input": 30, "hidden_0": 50})
    result = estimate(counts, "boyle2025_loihi")
    assert [(cost.layer, cost.neurons, cost.cores) for cost in result.by_layer] == [
        ("input", 40, 1), ("hidden_0", 64, 1), ("readout", 10, 1),
    ]  # fmt: skip
    assert sum(cost.synops for cost in result.by_layer) == counts.synops_total
    assert sum(cost.updates for cost in result.by_layer) == counts.neuron_updates
    assert sum(cost.energy_uj.nominal for cost in result.by_layer) == pytest.approx(result.nominal("dynamic_uj"))
    assert [cost.spikes for cost in result.by_layer] == [30, 50, None]


def test_speck_takes_small_convolutions_and_nothing_recurrent():
    kernel = Kernel(2, 8, (34, 34), (17, 17), (1, 1), (0, 0), (1, 1))
    network = Network(
        kernel.inputs, (Layer("conv", kernel.outputs),), (Synapses("conv.w", "input", "conv", kernel=kernel),)
    )
    assert [wall.name for wall in estimate(counted(network, {}), "yao2024_speck").walls] == ["kernel_taps"]
    dense = Network.chain(10, [2000, 10], [False, False])
    assert [wall.name for wall in estimate(counted(dense, {}), "yao2024_speck").walls] == ["channels"]
    deep = Network.chain(10, [10] * 10, [False] * 10)
    assert [budget.name for budget in estimate(counted(deep, {}), "yao2024_speck").budgets] == ["layers"]
