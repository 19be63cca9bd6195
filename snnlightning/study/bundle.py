"""Bundle: a trial to take away, with everything that is needed to run it elsewhere and to know that it is the same.

    best.ckpt          the weights, with the arguments of their model
    config.yaml        the trial: seed, model, data, trainer
    fit.yaml           the same for ``snnlightning fit --config fit.yaml``, which trains it anew
    network.nir        the network as a NIR graph, where it has one and nir is installed
    certificate.json   counts on the test set, hashes of data, checkpoint, graph and records, estimates, versions, how to check
    metrics.csv, result.json, counts.json, test.json, raster.json, versions.json      as the study left them

``verify_bundle`` counts again and compares number by number.
"""

import dataclasses
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import MissingDependencyError, SnnLightningError, StudyError, nearest
from ..hardware import load
from ..training import Measurement, SpikingModule, measure
from .building import resolve_class
from .config import StudyConfig
from .files import CHECKPOINT, read_json, read_yaml, trial_directory, write_json, write_yaml
from .loading import configuration_of, file_sha256, load_data, load_network
from .versions import versions

__all__ = ["Verification", "export_bundle", "verify_bundle"]

CERTIFICATE, GRAPH = "certificate.json", "network.nir"
_CHECKED = ("data_sha256", "accuracy", "steps", "counts", "footprint_bytes")
_RECORDS = ("metrics.csv", "result.json", "counts.json", "test.json", "raster.json")
_COPIED = (CHECKPOINT, "config.yaml", *_RECORDS)


@dataclasses.dataclass(frozen=True)
class Verification:
    """What a second counting found: ``differences`` are empty when every number is the same."""

    differences: tuple[str, ...]
    accuracy: float
    synops: float


def export_bundle(
    directory: Path, number: int, output: Path, profiles: Sequence[str] = (), sweep: str | None = None
) -> list[str]:
    """Write a trial of a study into a folder of its own.

    Args:
        directory: the study's.
        number: of the trial.
        output: a directory that does not exist yet; nothing is left of it when this fails.
        profiles: chips to estimate for, besides those of the study's objectives.
        sweep: a network that the sweep of this trial put on the front, by the name of its folder (``s12_p60``).

    Returns:
        What could not be written, and why.

    Raises:
        StudyError: no checkpoint of this trial or sweep, or ``output`` exists or cannot be written.
        UnknownNameError: no such profile.
    """
    source = trial_directory(directory, number)
    if not (source / CHECKPOINT).exists():
        have = sorted(int(p.parent.name) for p in directory.glob(f"trials/*/{CHECKPOINT}"))
        hint = nearest(str(number), map(str, have))
        raise StudyError(
            f"{directory} has no checkpoint of trial {number};{hint} It has: {', '.join(map(str, have)) or 'none'}."
        )
    if sweep is not None:
        swept = sorted(p.parent.name for p in source.glob(f"swept/*/{CHECKPOINT}"))
        if sweep not in swept:
            raise StudyError(
                f"trial {number} of {directory} has no swept network {sweep!r};{nearest(sweep, swept)} It has: "
                f"{', '.join(swept) or 'none (they are written at the end, for the points of the front)'}."
            )
        source = source / "swept" / sweep
    if output.exists():
        raise StudyError(f"{output} exists; give a directory that does not exist yet.")
    study = StudyConfig.parse(read_yaml(directory / "study.yaml"))
    chips = list(dict.fromkeys([*study.profiles, *profiles]))
    for chip in chips:
        load(chip)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(dir=output.parent, prefix=".export-"))
    except OSError as error:
        raise StudyError(f"{output} cannot be written: {error.strerror or error}.") from error
    try:
        for file in (*(source / name for name in _COPIED), directory / "versions.json"):
            if file.exists():
                shutil.copy2(file, staged / file.name)
        config = read_yaml(staged / "config.yaml")
        write_yaml(staged / "fit.yaml", _for_fit(config))
        notes = _certify(staged, study.name, config, chips)
        staged.chmod(0o755)
        staged.rename(output)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise
    return notes


def verify_bundle(bundle: Path) -> Verification:
    """Count a bundle's network on its data again, and compare with its certificate.

    Raises:
        StudyError: the folder is no bundle, or its certificate is not whole.
        SnnLightningError: its network or data cannot be built here.
    """
    file = bundle / CERTIFICATE
    if not file.exists():
        raise StudyError(
            f"{bundle} has no {CERTIFICATE}; `snnlightning study export` makes one with every SpikingModule."
        )
    said = read_json(file)
    needed = ("checkpoint_sha256", *_CHECKED)
    missing = [name for name in needed if name not in said] if isinstance(said, Mapping) else needed
    if missing:
        raise StudyError(
            f"{file} lacks {', '.join(missing)}, so there is nothing to compare with; export the trial again."
        )
    differences = []
    checkpoint = file_sha256(bundle / CHECKPOINT) if (bundle / CHECKPOINT).exists() else "not there"
    if checkpoint != said["checkpoint_sha256"]:
        differences.append(f"checkpoint: SHA-256 was {said['checkpoint_sha256']} and is {checkpoint}")
    graph = _sha256_of_graph(bundle)
    if graph != said.get("graph_sha256", graph):
        differences.append(f"{GRAPH}: SHA-256 was {said['graph_sha256']} and is {graph}")
    for name, was in said.get("files_sha256", {}).items():
        there = file_sha256(bundle / name) if (bundle / name).exists() else "not there"
        if there != was:
            differences.append(f"{name}: SHA-256 was {was} and is {there}")
    try:
        measured, _ = _measured(bundle)
    except SnnLightningError as error:
        if not differences:
            raise
        raise StudyError(f"{bundle} is not what was certified ({'; '.join(differences)}), and: {error}") from error
    found = _plain(measured.as_dict())
    for name in _CHECKED:
        differences += _differences(name, said[name], found[name])
    return Verification(tuple(differences), measured.accuracy, measured.counts.total)


def _certify(folder: Path, study: str, config: Mapping[str, Any], profiles: Sequence[str]) -> list[str]:
    """Write the certificate and the graph; what could not be written, and why."""
    if not issubclass(resolve_class("model", config["model"]["class_path"]), SpikingModule):
        return [f"no {CERTIFICATE} and no network.nir: the model is no SpikingModule, so nothing of it is counted"]
    measured, model = _measured(folder)
    notes = _write_graph(folder / GRAPH, model)
    certificate = {
        "study": study,
        "trial": config["number"],
        "seed": config["seed"],
        "checkpoint_sha256": file_sha256(folder / CHECKPOINT),
        "graph_sha256": _sha256_of_graph(folder),
        "files_sha256": {name: file_sha256(folder / name) for name in _RECORDS if (folder / name).exists()},
        **measured.as_dict(),
        "estimates": [measured.estimate(name).as_dict() for name in profiles],
        "versions": versions(),
        "check": "snnlightning study verify FOLDER",
        "train_again": "snnlightning fit --config FOLDER/fit.yaml",
    }
    write_json(folder / CERTIFICATE, certificate)
    return notes


def _sha256_of_graph(folder: Path) -> str | None:
    """None where NIR could not express the network."""
    return file_sha256(folder / GRAPH) if (folder / GRAPH).exists() else None


def _write_graph(file: Path, model: SpikingModule) -> list[str]:
    from ..interop import to_nir, write_nir

    try:
        write_nir(to_nir(model), file)
    except MissingDependencyError as error:
        return [f"no network.nir: {error}"]
    except SnnLightningError as error:
        return [f"no network.nir, NIR cannot express this network: {error}"]
    return []


def _measured(folder: Path) -> tuple[Measurement, SpikingModule]:
    config = configuration_of(folder / CHECKPOINT, None)
    model = load_network(folder / CHECKPOINT, config)
    return measure(model, load_data(config, folder / "config.yaml"), "test"), model


def _for_fit(config: Mapping[str, Any]) -> dict[str, Any]:
    trainer = {"logger": False, **config["trainer"]}
    return {"seed_everything": config["seed"], "trainer": trainer, "model": config["model"], "data": config["data"]}


def _plain(value: Any) -> Any:
    """As JSON gives it back: tuples are lists."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _differences(name: str, said: Any, found: Any) -> list[str]:
    if isinstance(said, Mapping) and isinstance(found, Mapping):
        keys = [*said, *(key for key in found if key not in said)]
        return [line for key in keys for line in _differences(f"{name}.{key}", said.get(key), found.get(key))]
    return [] if said == found else [f"{name} was {said} and is {found}"]
