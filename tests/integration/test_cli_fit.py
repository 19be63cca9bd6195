"""snnlightning fit, validate, test, predict: what runs, and what bad input gets to read."""

import csv
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

import snnlightning
from snnlightning.cli import main
from snnlightning.training import SpikingClassifier

ROOT = Path(snnlightning.__file__).parents[1]

pytestmark = [
    pytest.mark.filterwarnings("ignore:The number of training batches"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no `val_dataloader`"),
]

NET = """
import lightning.pytorch as L
import torch
import snnlightning as snn


class MyNet(snn.SpikingClassifier):
    def __init__(self, width: int = 5, **kwargs):
        super().__init__(64, 10, [width], **kwargs)
        self.save_hyperparameters()


class Bug(snn.SpikingClassifier):
    def __init__(self, width: int = 5):
        super().__init__(64, 10, [width])
        self.no_such_attribute.append(1)


class Plain(snn.SpikingModule):
    def __init__(self):
        super().__init__(torch.nn.Linear(700, 20), num_classes=20)


class Tell(L.Callback):
    def __init__(self, file: str):
        self.file = file

    def on_fit_end(self, trainer, module):
        group = trainer.optimizers[0].param_groups[0]
        with open(self.file, "w") as file:
            print(type(trainer.optimizers[0]).__name__, group["lr"], group.get("momentum"), type(module).__name__, file=file)


class MyData(snn.DigitsDataModule):
    def __init__(self, size: int = 128):
        super().__init__(steps=4, batch_size=size)
        self.save_hyperparameters()
"""


def config(**changes):
    """A small configuration; ``trainer__max_epochs=3`` changes a value, None removes it."""
    content = {
        "seed_everything": 1,
        "trainer": {
            "max_epochs": 1,
            "accelerator": "cpu",
            "limit_train_batches": 2,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "logger": {"class_path": "CSVLogger", "init_args": {"save_dir": "runs", "name": "small"}},
        },
        "model": {
            "class_path": "SpikingClassifier",
            "init_args": {"in_features": 64, "num_classes": 10, "hidden_sizes": [6], "tau_mem_ms": 6.0},
        },
        "data": {"class_path": "DigitsDataModule", "init_args": {"steps": 6, "batch_size": 128}},
    }
    for path, value in changes.items():
        place = content
        *way, last = path.split("__")
        for key in way:
            place = place.setdefault(key, {})
        place[last] = value
    return content


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty current folder; configurations and modules lie beside it, so that what a command writes can be seen."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    monkeypatch.setattr(sys, "argv", ["snnlightning", "fit", "--config", "x.yaml"])  # Lightning must not complain of it
    (tmp_path / "ournet.py").write_text(NET)
    yield here
    sys.modules.pop("ournet", None)


def write(folder, content, name="config.yaml"):
    path = folder.parent / name
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return str(path)


def fit(folder, *arguments, **changes):
    assert main(["fit", "--config", write(folder, config(**changes)), *arguments]) == 0


def checkpoint(folder):
    (path,) = folder.glob("runs/small/version_0/checkpoints/*.ckpt")
    return path


def metrics(folder, version=0):
    with (folder / f"runs/small/version_{version}/metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {key: float(value) for row in rows for key, value in row.items() if value}


# --- what works --------------------------------------------------------------------------------------------------------


def test_fit_writes_metrics_checkpoint_and_the_resolved_configuration(folder):
    fit(folder, "--trainer.max_epochs", "2", "--model.init_args.learning_rate=0.004")
    assert {"train_loss", "val_accuracy", "val_synops", "val_synops_recurrent"} <= metrics(folder).keys()
    assert metrics(folder)["epoch"] == 1
    resolved = yaml.safe_load((folder / "runs/small/version_0/config.yaml").read_text())
    assert resolved["trainer"]["max_epochs"] == 2
    assert resolved["model"]["init_args"]["learning_rate"] == 0.004
    assert resolved["model"]["init_args"]["surrogate"] == "superspike"  # a default
    assert SpikingClassifier.load_from_checkpoint(checkpoint(folder)).hparams.learning_rate == 0.004


def test_the_resolved_configuration_runs_again_to_the_same_numbers(folder):
    fit(folder)
    assert main(["fit", "--config", str(folder / "runs/small/version_0/config.yaml")]) == 0
    assert metrics(folder, 1) == metrics(folder, 0)


def test_validate_test_and_predict_take_a_checkpoint_of_fit(folder, capsys):
    fit(folder)
    trained = metrics(folder)
    file = write(folder, config(model__init_args__hidden_sizes=[9]))  # the checkpoint knows better
    assert main(["validate", "--config", file, "--ckpt_path", str(checkpoint(folder))]) == 0
    assert metrics(folder, 1)["val_loss"] == pytest.approx(trained["val_loss"], rel=1e-6)
    assert metrics(folder, 1)["val_synops"] == trained["val_synops"]
    assert main(["test", "--config", file, "--ckpt_path", str(checkpoint(folder))]) == 0
    assert metrics(folder, 2)["test_accuracy"] > 0
    assert main(["predict", "--config", file, "--ckpt_path", str(checkpoint(folder))]) == 0
    assert "test_accuracy" in capsys.readouterr().out


def test_fit_goes_on_from_a_checkpoint(folder):
    fit(folder, "--trainer.max_epochs=2")
    whole = metrics(folder)
    fit(folder)
    first = next(folder.glob("runs/small/version_1/checkpoints/*.ckpt"))
    fit(folder, "--trainer.max_epochs=2", "--ckpt_path", str(first))
    assert metrics(folder, 2)["epoch"] == 1
    assert metrics(folder, 2)["train_loss"] == whole["train_loss"]


def test_optimizer_and_scheduler_of_the_configuration_are_the_ones_in_use(folder):
    fit(
        folder,
        optimizer={"class_path": "torch.optim.SGD", "init_args": {"lr": 0.5, "momentum": 0.25}},
        lr_scheduler={"class_path": "torch.optim.lr_scheduler.StepLR", "init_args": {"step_size": 1, "gamma": 0.1}},
        trainer__callbacks=[{"class_path": "ournet.Tell", "init_args": {"file": "told.txt"}}],
    )
    assert (folder / "told.txt").read_text().split() == ["SGD", "0.05", "0.25", "SpikingClassifier"]
    saved = torch.load(checkpoint(folder), weights_only=True)
    assert saved["optimizer_states"][0]["param_groups"][0]["momentum"] == 0.25
    assert SpikingClassifier.load_from_checkpoint(checkpoint(folder)).hparams.hidden_sizes == [6]


def test_optimizer_and_scheduler_can_be_given_by_short_name_on_the_command_line(folder):
    scheduler = ["--lr_scheduler=ReduceLROnPlateau", "--lr_scheduler.monitor=val_loss"]
    tell = "--trainer.callbacks=[{class_path: ournet.Tell, init_args: {file: told.txt}}]"
    fit(folder, "--optimizer=AdamW", "--optimizer.lr=0.002", *scheduler, tell)
    assert (folder / "told.txt").read_text().split()[:2] == ["AdamW", "0.002"]


def test_without_an_optimizer_the_models_own_is_used(folder):
    tell = [{"class_path": "ournet.Tell", "init_args": {"file": "told.txt"}}]
    fit(folder, "--model.init_args.learning_rate=0.003", trainer__callbacks=tell)
    assert (folder / "told.txt").read_text().split()[:2] == ["Adam", "0.003"]


def test_classes_of_the_users_own_module_work_by_class_path(folder):
    model = {"class_path": "ournet.MyNet", "init_args": {"width": 7, "tau_mem_ms": 5.0}}
    fit(folder, model=model, data={"class_path": "ournet.MyData", "init_args": {"size": 64}})
    saved = torch.load(checkpoint(folder), weights_only=True)
    assert saved["hyper_parameters"]["width"] == 7
    assert saved["state_dict"]["network.layers.0.w_in"].shape == (7, 64)
    import ournet

    loaded = ournet.MyNet.load_from_checkpoint(checkpoint(folder))
    assert loaded.network.layers[0].neuron.tau_mem_ms == 5.0


def test_help_is_shown_and_is_no_error(folder, capsys):
    assert main(["fit", "--help"]) == 0
    out, err = capsys.readouterr()
    assert "--trainer.max_epochs" in out
    assert "usage: snnlightning" in out
    assert "error" not in err
    assert list(folder.iterdir()) == []


def test_print_config_lists_every_argument_and_runs_nothing(folder, capsys):
    assert main(["fit", "--config", write(folder, config()), "--print_config"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["model"]["init_args"]["surrogate_width"] == 0.1
    assert list(folder.iterdir()) == []


def test_a_users_own_config_yaml_in_the_current_folder_is_left_alone(folder):
    mine = folder / "config.yaml"
    mine.write_text("# mine\n" + yaml.safe_dump(config()))
    before = mine.read_text()
    assert (
        main(["fit", "--config", "config.yaml", "--trainer.logger=false", "--trainer.enable_checkpointing=false"]) == 0
    )
    assert mine.read_text() == before


def test_a_bug_in_a_users_class_keeps_its_traceback(folder):
    with pytest.raises(AttributeError, match="no_such_attribute"):
        main(["fit", "--config", write(folder, config(model={"class_path": "ournet.Bug"}))])


def test_ctrl_c_is_status_130(folder, monkeypatch, capsys):
    handler = signal.getsignal(signal.SIGINT)

    def interrupted(self, batch, batch_idx):
        raise KeyboardInterrupt

    monkeypatch.setattr(SpikingClassifier, "training_step", interrupted)
    try:
        assert main(["fit", "--config", write(folder, config())]) == 130
    finally:
        signal.signal(signal.SIGINT, handler)  # Lightning ignores further ones
    assert capsys.readouterr().err.strip().endswith("interrupted")


def run(arguments, cwd):
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from snnlightning.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


def test_a_real_process_trains_and_another_refuses(folder):
    done = run(["fit", "--config", write(folder, config())], folder)
    assert done.returncode == 0, done.stderr
    assert checkpoint(folder).exists()
    assert "Warning" not in done.stderr.replace("UserWarning", "")  # no Deprecation, no Future
    assert "litlogger" not in done.stderr
    empty = folder / "empty"
    empty.mkdir()
    done = run(["fit", "--config", write(folder, config()), "--trainer.max_epoch=3"], empty)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: trainer has no key 'max_epoch'; did you mean 'max_epochs'? It has: accelerator,")
    assert list(empty.iterdir()) == []


# --- what does not -----------------------------------------------------------------------------------------------------

PL = "is built on pytorch_lightning, and snnlightning on lightning.pytorch.*Write `import lightning.pytorch as pl`"

BAD_FILES = {
    "top level": (
        {"modle": {"class_path": "X"}},
        r"has no key 'modle'; did you mean 'model'\? It has: .*data.*trainer",
    ),
    "top level, nothing below": ({"modle": {}}, r"has no key 'modle'; did you mean 'model'\? It has: .*data.*trainer"),
    "top level, null": ({"modle": None}, r"has no key 'modle'; did you mean 'model'\? It has: .*data.*trainer"),
    "trainer": ({"trainer__max_epoch": 3}, r"trainer has no key 'max_epoch'; did you mean 'max_epochs'\? It has: acc"),
    "trainer, nothing below": (
        {"trainer__max_epoch": {}},
        r"trainer has no key 'max_epoch'; did you mean 'max_epochs'\?",
    ),
    "model": (
        {"model__init_args__hidden_size": [3]},
        r"SpikingClassifier has no key 'hidden_size'; did you mean 'hidden_sizes'\? It has: bias, .*weight_decay\.",
    ),
    "model, nothing below": ({"model__init_args__taus": {}}, r"model.init_args has no key 'taus'.* It has: bias, "),
    "beside init_args": (
        {"model__init_arg": {"bias": True}},
        r"model has no key 'init_arg'; did you mean 'init_args'\? Arguments of SpikingClassifier go below init_args",
    ),
    "data": (
        {"data__init_args__batchsize": 3},
        r"DigitsDataModule has no key 'batchsize'; did you mean 'batch_size'\? It",
    ),
    "optimizer": (
        {"optimizer": {"class_path": "torch.optim.SGD", "init_args": {"momentun": 1}}},
        r"SGD has no key 'momentun'; did you mean 'momentum'\? It has: .*lr",
    ),
    "scheduler": (
        {"lr_scheduler": {"class_path": "torch.optim.lr_scheduler.StepLR", "init_args": {"step": 1}}},
        r"StepLR has no key 'step'; did you mean 'step_size'\? It has: gamma",
    ),
    "scheduler alone": (
        {"lr_scheduler": {"class_path": "torch.optim.lr_scheduler.StepLR", "init_args": {"step_size": 1}}},
        r"lr_scheduler is set and optimizer is not",
    ),
    "callback": (
        {"trainer__callbacks": [{"class_path": "ModelCheckpoint", "init_args": {"monitr": "a"}}]},
        r"ModelCheckpoint has no key 'monitr'; did you mean 'monitor'\? It has: .*save_last",
    ),
    "one of two loggers": (
        {"trainer__logger": [{"class_path": "CSVLogger", "init_args": {"save_dr": "a"}}]},
        r"CSVLogger has no key 'save_dr'; did you mean 'save_dir'\?",
    ),
    "unknown model": (
        {"model__class_path": "SpikingClasifier"},
        r"model: no class named 'SpikingClasifier'; did you mean 'SpikingClassifier'\? Known: .*SpikingModule",
    ),
    "unknown data": ({"data__class_path": "DigitDataModule"}, r"did you mean 'DigitsDataModule'\? Known: .*Randman"),
    "unknown optimizer": (
        {"optimizer__class_path": "Addam"},
        r"no class named 'Addam'; did you mean 'Adam'\? Known: ASGD",
    ),
    "unknown logger": ({"trainer__logger__class_path": "CSVLoger"}, r"trainer.logger: .*did you mean 'CSVLogger'\?"),
    "unknown in module": (
        {"model__class_path": "ournet.MyNit"},
        r"cannot import 'ournet.MyNit' \(.*no attribute 'MyNit'\)",
    ),
    "unknown module": ({"model__class_path": "nomod.Net"}, r"cannot import 'nomod.Net' \(No module named 'nomod'\)"),
    "another kind of class": (
        {"model__class_path": "collections.OrderedDict"},
        r"model: collections.OrderedDict is not a LightningModule. Known: .*SpikingClassifier",
    ),
    "the other Lightning": (
        {"model": {"class_path": "pytorch_lightning.demos.boring_classes.BoringModel"}},
        PL,
    ),
    "the other Lightning's callback": (
        {"trainer__callbacks": [{"class_path": "pytorch_lightning.callbacks.Timer"}]},
        PL,
    ),
    "trainer's type": ({"trainer__max_epochs": "many"}, r"trainer.max_epochs is 'many'; int or null is expected"),
    "model's type": (
        {"model__init_args__in_features": "many"},
        r"SpikingClassifier: in_features is 'many'; int is expected",
    ),
    "model's nested type": (
        {"model__init_args__regularizers": {"lower_bound": 3}},
        r"regularizers is \{'lower_bound': 3\}; dict\[str, dict\[str, Any\]\] or null is expected",
    ),
    "data's type": ({"data__init_args__steps": 2.5}, r"DigitsDataModule: steps is '2.5'; int is expected"),
    "a missing argument": (
        {"model__init_args": {"num_classes": 10}},
        r"SpikingClassifier: in_features is missing; give it in the configuration",
    ),
    "our constructor": (
        {"model__init_args__surrogate": "superspyke"},
        r"no surrogate named 'superspyke'; did you mean 'superspike'\? Available: atan,",
    ),
    "our constructor, nested": (
        {"model__init_args__regularizers": {"lower_bond": {"strength": 1.0}}},
        r"no regularizer named 'lower_bond'; did you mean 'lower_bound'\?",
    ),
    "a negative time constant": ({"model__init_args__tau_mem_ms": -1.0}, r"tau_mem_ms is -1.0"),
    "data's constructor": ({"data__init_args__steps": 0}, r"steps is 0; a whole number of at least 1 is expected"),
    "torch's constructor": (
        {"optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": -1.0}}},
        r"Invalid learning rate: -1.0",
    ),
    "the trainer's constructor": ({"trainer__strategy": "foo"}, r"invalid strategy name: `strategy='foo'`"),
    "other channels": (
        {"model__init_args__in_features": 65},
        r"model.init_args.in_features is 65 and DigitsDataModule gives 64 channels; make them equal",
    ),
    "too few classes": ({"model__init_args__num_classes": 9}, r"num_classes is 9 and DigitsDataModule has 10 classes"),
    "a missing data file": (
        {"data": {"class_path": "SpikingHDF5DataModule", "init_args": {"train": "no.h5"}}},
        r"there is no file no.h5",
    ),
    "a missing data file, own model": (
        {
            "data": {"class_path": "SpikingHDF5DataModule", "init_args": {"train": "no.h5"}},
            "model": {"class_path": "ournet.Plain"},
        },
        r"there is no file no.h5",
    ),
}

BAD_ARGUMENTS = {
    "no configuration": (["fit"], r"no data and no model; give it in the configuration \(--config FILE\)"),
    "no such file": (["fit", "--config", "no.yaml"], r"there is no configuration file no.yaml"),
    "no file": (["fit", "--config"], r"expected one argument"),
    "a word": (["fit", "--config", "GOOD", "extra"], r"unexpected argument 'extra'; options start with --"),
    "top level": (
        ["fit", "--config", "GOOD", "--modle=3"],
        r"has no key 'modle'; did you mean 'model'\? It has: ckpt_path",
    ),
    "trainer": (
        ["fit", "--config", "GOOD", "--trainer.max_epoch", "3"],
        r"trainer has no key 'max_epoch'; did you mean 'max_epochs'\? It has: accelerator",
    ),
    "model": (
        ["fit", "--config", "GOOD", "--model.init_args.hidden_size=[3]"],
        r"did you mean 'hidden_sizes'\? It has: bias",
    ),
    "model, short": (
        ["fit", "--config", "GOOD", "--model.hidden_size=[3]"],
        r"did you mean 'hidden_sizes'\? It has: bias",
    ),
    "data": (
        ["test", "--config", "GOOD", "--data.init_args.batchsize=3"],
        r"did you mean 'batch_size'\? It has: batch_size",
    ),
    "model's type": (
        ["fit", "--config", "GOOD", "--model.init_args.learning_rate=fast"],
        r"learning_rate is 'fast'; float is",
    ),
    "seed's type": (["fit", "--config", "GOOD", "--seed_everything=abc"], r"seed_everything is 'abc'; bool or int is"),
    "no such checkpoint": (["test", "--config", "GOOD", "--ckpt_path", "no.ckpt"], r"there is no checkpoint no.ckpt"),
    "no checkpoint": (["validate", "--config", "GOOD", "--ckpt_path", "GOOD"], r"cannot be read as a checkpoint"),
    "no YAML": (["fit", "--config", "NOYAML"], r"noyaml.yaml is not YAML: .*line 1"),
    "a list": (["fit", "--config", "LIST"], r"list.yaml holds list; a mapping with model, data, trainer is expected"),
    "no text": (["fit", "--config", "BINARY"], r"cannot read the configuration file .*binary.yaml"),
    "an empty file": (["fit", "--config", "EMPTY"], r"empty.yaml holds NoneType; a mapping"),
}


def refused(folder, capsys, arguments, message):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    assert "\N{MATHEMATICAL LEFT WHITE SQUARE BRACKET}" not in line
    assert re.search(message, line), line
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(("changes", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_is_one_line_and_nothing_is_written(folder, capsys, changes, message):
    refused(folder, capsys, ["fit", "--config", write(folder, config(**changes))], message)


@pytest.mark.parametrize(("arguments", "message"), BAD_ARGUMENTS.values(), ids=BAD_ARGUMENTS)
def test_a_bad_argument_is_one_line_and_nothing_is_written(folder, capsys, arguments, message):
    files = {
        "GOOD": write(folder, config()),
        "NOYAML": write(folder, "a: [1\nb: 2", "noyaml.yaml"),
        "LIST": write(folder, "- 1\n", "list.yaml"),
        "EMPTY": write(folder, "", "empty.yaml"),
        "BINARY": write(folder, "", "binary.yaml"),
    }
    Path(files["BINARY"]).write_bytes(b"\x00\xff\xfe")
    refused(folder, capsys, [files.get(argument, argument) for argument in arguments], message)


def test_a_users_module_on_the_other_lightning_is_told_which_import_to_use(folder, capsys):
    source = "import pytorch_lightning as pl\n\nclass Net(pl.LightningModule):\n    pass\n"
    (folder.parent / "oldnet.py").write_text(source)
    path = write(folder, config(model={"class_path": "oldnet.Net"}))
    refused(folder, capsys, ["fit", "--config", path], "oldnet.Net " + PL)


def test_an_unknown_command_lists_the_known_ones(folder, capsys):
    refused(
        folder, capsys, ["fitt"], r"no command 'fitt'; did you mean 'fit'\? Available: fit, validate, test, predict"
    )


def test_a_metric_to_monitor_that_nobody_logs_is_one_line(folder, capsys):
    callbacks = [{"class_path": "ModelCheckpoint", "init_args": {"monitor": "val_acc"}}]
    assert main(["fit", "--config", write(folder, config(trainer__callbacks=callbacks))]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert re.search(r"^error: .*monitor='val_acc'.*could not find the monitored key.*'val_accuracy'", last), last
