"""snnlightning: fit, validate, test and predict through LightningCLI; study for the search."""

import os
import sys
from collections.abc import Sequence

from .. import __version__
from ..errors import ConfigurationError, SnnLightningError, nearest

__all__ = ["main"]

_LIGHTNING = ("fit", "validate", "test", "predict")
_COMMANDS = (*_LIGHTNING, "study", "energy", "profiles")
_HELP = f"""snnlightning {__version__}: recurrent spiking networks for PyTorch Lightning

  snnlightning study run CONFIG [--dir DIR] [--trials N] [--workers N] [--storage URL] [--wandb offline|online|disabled]
      search; takes a study up again when DIR holds one
  snnlightning study launch CONFIG --engine local|slurm --workers N [--storage URL] [--slurm KEY=VALUE ...]
      run, with workers that an engine starts
  snnlightning study worker DIR | --storage URL --study NAME
      one more worker for a study that runs with --remote, on any machine
  snnlightning study status DIR             progress, front, failures; works while the study runs
  snnlightning study report DIR [-o FILE]   the report as one HTML page
  snnlightning study export DIR --trial N -o OUT [--profile NAME ...]
      a trial as checkpoint, configuration, NIR graph and certified counts
  snnlightning study verify OUT             count an export again and compare with its certificate

  snnlightning fit      --config configs/experiments/NAME.yaml [--trainer.max_epochs 3 ...]
  snnlightning validate --config ... --ckpt_path FILE
  snnlightning test     --config ... --ckpt_path FILE
  snnlightning predict  --config ... --ckpt_path FILE

  snnlightning energy CHECKPOINT --data CONFIG --profile NAME [--profile NAME ...] [--json] [-o FILE]
      counts by layer, energy with bands, latency, what does not fit, and the sources
  snnlightning profiles [NAME ...] [--validate [FILE ...]] [--json]
      what chips are priced, by which source, and how far the estimates are from measurements

Help for one of them: snnlightning fit --help, snnlightning study run --help."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        0 on success, 1 when a study ends without a usable network, 2 on bad input (one line on standard error that starts
        with ``error:``), 130 when interrupted.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    # Users' own modules, named in a configuration, are looked up where the command is run; what is installed comes first.
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.append(os.getcwd())
    try:
        return _dispatch(arguments)
    except SnnLightningError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _dispatch(arguments: list[str]) -> int:
    command = arguments[0] if arguments else "--help"
    if command in ("-h", "--help", "--version"):
        print(__version__ if command == "--version" else _HELP)
        return 0
    if command in _LIGHTNING:
        from .fit import run

        run(arguments)
        return 0
    if command == "study":
        from .study import run_study_command

        return run_study_command(arguments[1:])
    if command == "energy":
        from .energy import run_energy_command

        return run_energy_command(arguments[1:])
    if command == "profiles":
        from .hardware import run_profiles_command

        return run_profiles_command(arguments[1:])
    raise ConfigurationError(f"no command {command!r};{nearest(command, _COMMANDS)} Available: {', '.join(_COMMANDS)}.")
