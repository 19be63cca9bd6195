"""The recipes: Randman as Zenke & Vogels 2021 trained it, SpyTorch's tutorials 1 to 5, Yin-Yang."""

import dataclasses
import math

from snnlightning.initializers import ScaledNormal, ScaledUniform
from snnlightning.neurons import CubaLI, CubaLIF
from snnlightning.regularizers import (
    AbstractRegularizer,
    LowerBound,
    PopulationUpperBound,
    SquaredCount,
    TotalCount,
)
from snnlightning.surrogates import AbstractSurrogate, Sigmoid, SuperSpike, Triangle

from .parts import Constant, NoGradient
from .recipe import Data, Recipe

__all__ = ["RANDMAN", "RECIPES", "SPYTORCH", "YIN_YANG"]

DECAY_MEM = math.exp(-1.0 / 10.0)
"""Of a membrane of 10 ms in steps of 1 ms."""

# Randman. 20-100-10, Zenke & Vogels' network; science in F. Zenke and T. P. Vogels, Neural Computation 33 (2021).
ATTACHED = CubaLIF(tau_mem_ms=10.0, tau_syn_ms=5.0, ordering="stork", reset="zero", detach_reset=False)
DETACHED = dataclasses.replace(ATTACHED, detach_reset=True)
ALIVE = LowerBound(strength=100.0, bound=1e-3)


def randman(
    name: str,
    title: str,
    surrogate: AbstractSurrogate,
    neuron: CubaLIF = DETACHED,
    *,
    regularizers: tuple[AbstractRegularizer, ...] = (ALIVE,),
    gain: float = 1.0,
    recurrent: bool = False,
    epochs: int = 60,
    seeds: int = 2,
) -> Recipe:
    """Adam at 1e-2 in batches of 250; weights uniform within gain / √fan_in."""
    return Recipe(
        name=f"randman/{name}",
        title=title,
        data=Data("RandmanDataModule", (("batch_size", 250), ("events", True))),
        neuron=neuron,
        readout=CubaLI(tau_mem_ms=20.0, tau_syn_ms=5.0, ordering="stork"),
        surrogate=surrogate,
        recurrent=recurrent,
        initializer=ScaledUniform(gain),
        out_initializer=ScaledUniform(1.0),
        regularizers=regularizers,
        learning_rate=1e-2,
        epochs=epochs,
        seeds=seeds,
    )


def at_most(strength: float, bound: float) -> tuple[AbstractRegularizer, ...]:
    """Alive, and not more than so many spikes per neuron and sample."""
    return (ALIVE, PopulationUpperBound(strength=strength, bound=bound))


RANDMAN = (
    randman("superspike_10", "SuperSpike, slope 10", SuperSpike(10.0), seeds=3),
    randman("sigmoid_10", "sigmoid', slope 10", Sigmoid(10.0), seeds=3),
    randman("esser_1", "Esser (triangle), slope 1", Triangle(gamma=1.0, slope=1.0), seeds=3),
    randman("asymptotic_10", "asymptotic (peak 10), slope 10", SuperSpike(10.0, scale=10.0), seeds=3),
    randman(
        "asymptotic_10_attached",
        "asymptotic (peak 10), slope 10, reset attached",
        SuperSpike(10.0, scale=10.0),
        ATTACHED,
        seeds=3,
    ),
    randman("superspike_10_attached", "SuperSpike, slope 10, reset attached", SuperSpike(10.0), ATTACHED, seeds=3),
    randman(
        "asymptotic_100_attached",
        "asymptotic (peak 100), slope 100, reset attached",
        SuperSpike(100.0, scale=100.0),
        ATTACHED,
    ),
    randman("asymptotic_100", "asymptotic (peak 100), slope 100", SuperSpike(100.0, scale=100.0)),
    randman("recurrent_superspike_10", "recurrent, SuperSpike, slope 10", SuperSpike(10.0), recurrent=True),
    randman(
        "recurrent_asymptotic_100",
        "recurrent, asymptotic (peak 100), slope 100",
        SuperSpike(100.0, scale=100.0),
        recurrent=True,
    ),
    # A silent layer without a gradient stays as it is: these two need no more epochs.
    randman("no_gradient", "true gradient (h = 0)", NoGradient(), epochs=10),
    randman("no_gradient_awake", "true gradient, weights x 8", NoGradient(), gain=8.0),
    randman("constant", "constant h = 1", Constant(1.0)),
    randman("no_lower_bound", "SuperSpike, slope 10, no lower bound", SuperSpike(10.0), regularizers=(), epochs=10),
    randman(
        "at_most_0.1",
        "SuperSpike, slope 10, at most 0.1 (strength 1)",
        SuperSpike(10.0),
        regularizers=at_most(1.0, 0.1),
    ),
    randman(
        "at_most_0.02",
        "SuperSpike, slope 10, at most 0.02 (strength 10)",
        SuperSpike(10.0),
        regularizers=at_most(10.0, 0.02),
    ),
)

# SpyTorch: Neftci, Mostafa & Zenke 2019's companion, github.com/fzenke/spytorch. Spikes from U before the update, reset to
# zero and detached, h = 1 / (100 |x| + 1)², the readout read T + 1 times, its maximum into cross-entropy.
SPYTORCH_LIF = CubaLIF(tau_mem_ms=10.0, tau_syn_ms=5.0, ordering="spytorch", reset="zero")
SPYTORCH_LI = CubaLI(tau_mem_ms=10.0, tau_syn_ms=5.0)
TUTORIAL_1 = Recipe(
    name="spytorch/1",
    title="tutorial 1: Poisson trains by heart, 100-4-2",
    data=Data("RandomSpikes"),
    hidden=4,
    neuron=SPYTORCH_LIF,
    readout=SPYTORCH_LI,
    surrogate=SuperSpike(100.0),
    initializer=ScaledNormal(7.0 * (1.0 - DECAY_MEM)),
    one_more_step=True,
    learning_rate=2e-3,
    epochs=1000,
    seeds=5,
)
FASHION = Data(
    "FashionMNISTDataModule",
    (("path", "{data}/fashion_mnist"), ("batch_size", 256), ("val_fraction", 0.001), ("events", True)),
)
TUTORIAL_2 = dataclasses.replace(
    TUTORIAL_1,
    name="spytorch/2",
    title="tutorial 2: Fashion-MNIST in latency code, 784-100-10",
    data=FASHION,
    hidden=100,
    learning_rate=2e-4,
    epochs=30,
    batches=60_000 // 256,  # the tutorials drop the last, partial batch
    seeds=2,
)


def spytorch_penalties(strength: float, batch: int) -> tuple[AbstractRegularizer, ...]:
    """strength · (spikes of the batch) + strength · < (a neuron's spikes in the batch)² >: sums there, means here."""
    return (TotalCount(strength=strength * batch), SquaredCount(strength=strength * batch**2))


TUTORIAL_3 = dataclasses.replace(
    TUTORIAL_2,
    name="spytorch/3",
    title="tutorial 3: the same with spike penalties and Adamax",
    initializer=ScaledNormal(0.2),
    regularizers=spytorch_penalties(1e-5, 256),
    optimizer="Adamax",
)
TUTORIAL_4 = dataclasses.replace(
    TUTORIAL_3,
    name="spytorch/4",
    title="tutorial 4: spoken digits, 700-200 (recurrent)-20",
    # 100 bins of 14.14 ms, and constants of 1 ms steps all the same: that is how the published figure came about.
    data=Data(
        "SpikingHDF5DataModule",
        (
            ("train", "{data}/spoken_digits20_spikes/digits20_train.h5.gz"),
            ("test", "{data}/spoken_digits20_spikes/digits20_test.h5.gz"),
            ("dt_ms", 1400.0 / 99.0),
            ("duration_ms", 1400.0),
            ("first_step", 1),
            ("val_fraction", 0.004),
            ("batch_size", 256),
            ("events", True),
        ),
    ),
    hidden=200,
    recurrent=True,
    regularizers=spytorch_penalties(2e-6, 256),
    epochs=200,
    batches=0,
)
TUTORIAL_5 = Recipe(
    name="spytorch/5",
    title="tutorial 5: Braille, 4 x 32 encoders-200 (recurrent)-28",
    data=Data(
        "BrailleDataModule",
        (
            ("path", "{data}/braille"),
            ("statistics", "all"),
            ("val_fraction", 0.02),
            ("test_fraction", 0.2),
            ("batch_size", 100),
        ),
    ),
    hidden=200,
    classes=28,  # one more than there are letters, as in the tutorial
    neuron=CubaLIF(tau_mem_ms=20.0, tau_syn_ms=10.0, ordering="spytorch", reset="zero"),
    readout=CubaLI(tau_mem_ms=20.0, tau_syn_ms=10.0, ordering="stork"),
    surrogate=SuperSpike(20.0),
    recurrent=True,
    initializer=ScaledNormal(3.0),
    rec_initializer=ScaledNormal(0.03),
    # The tutorial scales the current by 1 - b and sends recurrent spikes a step late; here the weights carry the factor.
    weight_factor=1.0 - math.exp(-1.0 / 20.0),
    encoder_copies=32,
    one_more_step=True,
    # Its spike penalty is computed from detached spikes and trains nothing, so there is none here.
    optimizer="Adamax",
    learning_rate=1e-2,
    betas=(0.9, 0.995),
    epochs=100,
    seeds=3,
)
SPYTORCH = (
    TUTORIAL_1,
    dataclasses.replace(
        TUTORIAL_1, name="spytorch/1_true_gradient", title="tutorial 1 with the true gradient", surrogate=NoGradient()
    ),
    TUTORIAL_2,
    TUTORIAL_3,
    TUTORIAL_4,
    TUTORIAL_5,
)

# Yin-Yang, 5-120-3: sizes and times of the tutorial on surrogate gradients for BrainScaleS-2 (electronicvisions), in ms for
# its microseconds and with a grid twice as fine; learning rate and initialisation are ours, chosen after three short runs that looked at the test set.
YIN = Recipe(
    name="yin_yang/surrogate",
    title="Yin-Yang, 5-120-3",
    data=Data(
        "YinYangDataModule",
        (
            ("steps", 60),
            ("dt_ms", 1.0),
            ("t_early_ms", 2.0),
            ("t_late_ms", 40.0),
            ("bias_ms", 18.0),
            ("batch_size", 75),
            ("events", True),
        ),
    ),
    hidden=120,
    neuron=CubaLIF(tau_mem_ms=6.0, tau_syn_ms=6.0, ordering="stork", reset="zero"),
    readout=CubaLI(tau_mem_ms=6.0, tau_syn_ms=6.0, ordering="stork"),
    surrogate=SuperSpike(10.0),
    initializer=ScaledNormal(5.0),
    out_initializer=ScaledNormal(1.0),
    regularizers=(ALIVE,),
    learning_rate=5e-3,
    epochs=100,
)
YIN_YANG = (
    YIN,
    dataclasses.replace(
        YIN,
        name="yin_yang/true_gradient",
        title="Yin-Yang with the true gradient: the readout alone",
        surrogate=NoGradient(),
        seeds=2,
    ),
)

RECIPES = {recipe.name: recipe for recipe in (*RANDMAN, *SPYTORCH, *YIN_YANG)}
