"""Small files in the layout of each data set that is read from one, filled with random numbers."""

from pathlib import Path

import numpy as np

__all__ = ["write_all", "write_braille", "write_fsdd", "write_idx", "write_images", "write_mnist1d", "write_nmnist"]


def write_images(folder: Path, *, train: int = 60, test: int = 20) -> str:
    """28 x 28 images of ten classes, as ``fashion_mnist.npz`` and ``mnist.npz``."""
    for name in ("fashion_mnist", "mnist"):
        np.savez(folder / f"{name}.npz", **_images(train, test))
    return str(folder)


def write_idx(folder: Path, *, train: int = 60, test: int = 20) -> None:
    """The same images as the four official files of MNIST."""
    for part, values in _images(train, test).items():
        of, kind = part.split("_")
        head = bytes([0, 0, 8, values.ndim]) + b"".join(size.to_bytes(4, "big") for size in values.shape)
        name = f"{'train' if of == 'train' else 't10k'}-{kind}-idx{values.ndim}-ubyte"
        (folder / name).write_bytes(head + values.tobytes())


def _images(train: int, test: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    content = {}
    for part, n in (("train", train), ("test", test)):
        content[f"{part}_images"] = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        content[f"{part}_labels"] = (np.arange(n) % 10).astype(np.uint8)
    return content


def write_mnist1d(folder: Path, *, train: int = 60, test: int = 20) -> str:
    """Forty-step signals of ten classes."""
    rng = np.random.default_rng(0)
    content = {}
    for end, n in (("", train), ("_test", test)):
        content[f"x{end}"] = rng.normal(size=(n, 40)).astype(np.float32)
        content[f"y{end}"] = (np.arange(n) % 10).astype(np.uint8)
    np.savez(folder / "mnist1d.npz", **content)
    return str(folder / "mnist1d.npz")


def write_braille(folder: Path, *, classes: int = 5, repetitions: int = 20) -> str:
    """Trials of 9 and 10 steps of twelve taxels."""
    rng = np.random.default_rng(0)
    n = classes * repetitions
    offset = np.concatenate([[0], np.cumsum(9 + np.arange(n) % 2)])
    content = {
        "taxels": rng.integers(0, 256, (offset[-1], 12), dtype=np.uint8),
        "offset": offset,
        "label": np.repeat(np.arange(classes), repetitions).astype(np.uint8),
        "repetition": np.tile(np.arange(repetitions), classes).astype(np.uint8),
    }
    np.savez(folder / "braille.npz", **content)
    return str(folder / "braille.npz")


def write_nmnist(folder: Path, *, train: int = 100, test: int = 20) -> str:
    """Recordings of fifty events each, ``train.npz`` and ``test.npz``."""
    for seed, (part, n) in enumerate((("train", train), ("test", test))):
        rng = np.random.default_rng(seed)
        content = {
            "t": np.sort(rng.integers(0, 336_000, (n, 50)), axis=1).astype(np.uint32).ravel(),
            **{name: rng.integers(0, 34, n * 50).astype(np.uint8) for name in ("x", "y")},
            "p": rng.integers(0, 2, n * 50).astype(np.uint8),
            "offset": np.arange(n + 1) * 50,
            "label": (np.arange(n) % 10).astype(np.uint8),
        }
        np.savez(folder / f"{part}.npz", **content)
    return str(folder)


def write_fsdd(folder: Path, *, repetitions: int = 12) -> str:
    """Tones of 40 to 60 ms, another one for each of ten digits; the first two repetitions are for test."""
    rng = np.random.default_rng(0)
    n = 10 * repetitions
    label = np.arange(n) % 10
    tones = [
        8000.0 * np.sin(2.0 * np.pi * (200.0 + 150.0 * digit) * np.arange(rng.integers(320, 480)) / 8000.0)
        for digit in label
    ]
    content = {
        "audio": np.concatenate(tones).astype(np.int16),
        "offset": np.cumsum([0, *map(len, tones)]),
        "label": label.astype(np.uint8),
        "is_test": np.arange(n) < 20,
    }
    np.savez(folder / "fsdd.npz", **content)
    return str(folder / "fsdd.npz")


def write_all(folder: Path) -> dict[str, str]:
    """All of them; paths as the data modules take them."""
    writers = {
        "images": write_images,
        "mnist1d": write_mnist1d,
        "braille": write_braille,
        "nmnist": write_nmnist,
        "fsdd": write_fsdd,
    }
    paths = {}
    for name, write in writers.items():
        (folder / name).mkdir()
        paths[name] = write(folder / name)
    return paths
