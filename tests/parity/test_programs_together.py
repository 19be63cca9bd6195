"""Programs that share samples may be slow and fast as they like: Triton's interpreter with all of a grid at once, in random turns.

The interpreter runs one program after the other. Here each is a thread, one of them runs at a time, and hands over where another could
have come in between: at atomics and stores. Memory that nobody has written is NaN.
"""

import importlib
import inspect
import itertools
import random
import threading
from typing import Any

import pytest
import torch
from torch import Tensor

from snnlightning.neurons import CubaLIF
from snnlightning.scan import scan
from snnlightning.surrogates import Triangle

pytest.importorskip("triton", reason="Triton is not installed; pip install 'snnlightning[gpu]'")
if torch.cuda.is_available():
    pytest.skip("there is a GPU, where programs run together", allow_module_level=True)

from test_triton import kernels  # noqa: F401  (imported for the interpreter)
from triton.runtime import interpreter


class Together:
    """All programs of a grid, in the place of a kernel that is called for each of them."""

    now: "Together | None" = None

    def __init__(self, kernel: Any, grid: tuple[int, ...], seed: int) -> None:
        self.kernel, self.random, self.begun = kernel, random.Random(seed), False
        self.__name__, self.__signature__ = kernel.__name__, inspect.signature(kernel)
        self.__globals__, self.__annotations__ = kernel.__globals__, kernel.__annotations__
        self.left = list(itertools.product(*map(range, (*grid, 1, 1)[:3])))
        self.turn, self.mine = self.random.choice(self.left), threading.local()
        self.changed, self.errors = threading.Condition(), []

    def __call__(self, **arguments: Any) -> None:
        if self.begun:
            return
        self.begun, Together.now = True, self
        threads = [threading.Thread(target=self.program, args=(at, arguments)) for at in self.left]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        Together.now = None
        if self.errors:
            raise self.errors[0]

    def program(self, at: tuple[int, ...], arguments: Any) -> None:
        self.mine.at = at
        self.wait()
        try:
            self.kernel(**arguments)
        except Exception as error:
            self.errors.append(error)
        with self.changed:
            self.left.remove(at)
            self.turn = self.random.choice(self.left) if self.left else at
            self.changed.notify_all()

    def wait(self) -> None:
        with self.changed:
            self.changed.wait_for(lambda: self.turn == self.mine.at)
        interpreter.interpreter_builder.grid_idx = self.mine.at

    def hand_over(self) -> None:
        with self.changed:
            self.turn = self.random.choice(self.left)
            self.changed.notify_all()
        self.wait()


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = itertools.count()

    class Grid(interpreter.GridExecutor):  # type: ignore[misc]
        def __init__(self, fn: Any, names: Any, grid: Any, *rest: Any) -> None:
            super().__init__(fn, names, grid, *rest)
            self.fn = Together(self.fn, grid, next(seeds))

    def interrupted(name: str) -> None:
        own = getattr(interpreter.InterpreterBuilder, name)

        def does(builder: Any, *arguments: Any) -> Any:
            found = own(builder, *arguments)
            if Together.now is not None and Together.now.random.random() < 0.5:
                Together.now.hand_over()
            return found

        monkeypatch.setattr(interpreter.InterpreterBuilder, name, does)

    monkeypatch.setattr(interpreter, "GridExecutor", Grid)
    for name in ("create_atomic_rmw", "create_masked_store"):
        interrupted(name)
    empty = Tensor.new_empty

    def unwritten(*arguments: Any, **options: Any) -> Tensor:
        made = empty(*arguments, **options)
        return made.fill_(torch.nan) if made.is_floating_point() else made

    monkeypatch.setattr(Tensor, "new_empty", unwritten)


@pytest.mark.parametrize("neuron", [CubaLIF(), CubaLIF(ordering="spytorch", reset="zero")], ids=["seed", "spytorch"])
@pytest.mark.usefixtures("kernels", "together")
def test_no_program_reads_what_another_has_not_written(monkeypatch, neuron):
    """Where spikes travel one step longer a program could be two steps ahead, and be counted in the place of another."""
    layer = importlib.import_module("snnlightning.neurons._triton.layer")
    launching = importlib.import_module("snnlightning.neurons._triton.launching")
    tile = launching.Tile(16, 16, 64, launching.kernels.SHARED)
    monkeypatch.setattr(layer, "tile", lambda *_: tile)
    generator = torch.Generator().manual_seed(0)
    drive = torch.randn(3, 8, 40, generator=generator) + 0.5
    w_rec = torch.randn(40, 40, generator=generator) / 6.0
    for _ in range(3):
        found = []
        for backend in ("triton", "reference"):
            leaves = [drive.clone().requires_grad_(), w_rec.clone().requires_grad_()]
            output = scan(neuron, leaves[0], None, leaves[1], spike=Triangle(), backend=backend).output
            found.append((output, *torch.autograd.grad(output.square().sum(), leaves)))
        assert torch.equal(found[0][0], found[1][0])
        for mine, theirs in zip(*found, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=0.0, atol=1e-5 * float(theirs.detach().abs().max()))
