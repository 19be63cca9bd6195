"""Captured: a pass through a network as one CUDA graph, so that the GPU does not wait for Python."""

import logging
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import compress
from typing import Any, Protocol, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.func import functional_call

from ..errors import ConfigurationError
from ..events import Events, dense

__all__ = ["Captured"]

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_WARM = 2
"""Passes of a shape before it is captured: kernels are compiled and memory is asked for in the first."""
_STRANGE = 1000
"""Passes of which none was like another, after which no more are looked at."""


class Recorder(Protocol):
    """Runs something, and gives its result and what makes the same tensors anew from what the inputs hold then."""

    def __call__(self, work: Callable[[], _T]) -> tuple[_T, Callable[[], None]]:
        """The result, whose tensors stay where they are, and a function that fills them again."""

    def warm(self, work: Callable[[], object]) -> None:
        """Run it once where it will be recorded: what is compiled or put on the device once is done then."""


class Captured:
    """The network itself, called the same way, with its passes on a GPU recorded as CUDA graphs and played back.

    A training step of a small network is bound by the few hundred microseconds that Python and PyTorch need to start its kernels. From
    the third pass of a shape on, forward and backward are played back as one launch each; on other devices, and for what cannot be
    recorded (the reason is logged once), the network is called as it is: with states, under ``torch.compile``, and as long as a module
    has hooks, which are to see every pass. Outputs are copies, so they may be kept.

    What a recording depends on is looked at in every call: shape and type of the input, gradients or none, autocast, how exact products
    are, where the parameters are, and the attributes of all modules (``train()``, another surrogate, ...), by identity: a list that is
    changed in place is the same list. What else happens in Python during a pass, random numbers of one's own generators among it,
    happens while recording only.

    Args:
        network: x [B, T, ...] -> a tree of tuples and tensors, such as ``SpikingNetwork`` and ``Members``. It keeps its parameters, and
            its ``state_dict``; this is no module.
        shapes: how many recordings are kept; each has the memory of a pass of its own. > 0.

    Gradient: as without, of parameters and of x; once. Of several passes of one shape only the last can go backward, which is said
    (``RuntimeError``) and not guessed.

    Raises:
        ConfigurationError: ``shapes`` < 1.

    Source: the same as ``torch.cuda.make_graphed_callables``, for records, with the checks that it leaves to the caller.

    Example:
        >>> from snnlightning.layers import SpikingLayer, SpikingNetwork
        >>> from snnlightning.neurons import LI
        >>> from snnlightning.readouts import MaxOverTime
        >>> network = Captured(SpikingNetwork([SpikingLayer(3, 2, neuron=LI())], MaxOverTime()))
        >>> network(torch.ones(4, 5, 3)).logits.shape
        torch.Size([4, 2])
    """

    def __init__(self, network: nn.Module, *, shapes: int = 8, recorder: Recorder | None = None) -> None:
        if shapes < 1:
            raise ConfigurationError(f"shapes is {shapes}; at least one recording is needed.")
        self.network = network
        self.shapes = shapes
        self._recorder = recorder
        self._passes: dict[Hashable, _Pass] = {}
        self._met: Counter[Hashable] = Counter()
        self._ids: tuple[int, ...] = ()
        self._parameters: list[nn.Parameter] = []
        self._looked: list[tuple[dict[str, Any], int, tuple[str, ...]]] | None = None
        self._hooks: list[dict[int, Any]] = []
        self._said: set[str] = set()
        self._refused = False

    def __call__(self, x: Tensor | Events, *states: Any, **options: Any) -> Any:
        """What the network returns."""
        if self._refused or torch.compiler.is_compiling() or not (self._recorder or x.device.type == "cuda"):
            return self.network(x, *states, **options)
        attributes = self._settings()
        ids = tuple(map(id, attributes))
        if ids != self._ids:
            self._looked = None  # a module may stand in the place of another
            attributes = self._settings()
            self._ids = ids = tuple(map(id, attributes))
            self._parameters = list(self.network.parameters())
        if any(self._hooks):
            self._say("hooks of its modules are to see every pass")
            return self.network(x, *states, **options)
        if states or not all(isinstance(value, bool | int | str | None) for value in options.values()):
            return self.network(x, *states, **options)
        x = dense(x)
        key = (
            x.shape, x.dtype, x.device, x.requires_grad, torch.is_grad_enabled(), torch.is_inference_mode_enabled(),
            _autocast(x), torch.get_float32_matmul_precision(), tuple(sorted(options.items())), ids,
            tuple([(p.data_ptr(), p.requires_grad) for p in self._parameters]),
        )  # fmt: skip
        found = self._passes.get(key)
        if found is None:
            self._met[key] += 1
            if self._met[key] <= _WARM or len(self._passes) >= self.shapes:
                if len(self._met) > _STRANGE:
                    self._refuse(
                        f"{_STRANGE} passes were all different; some attribute of a layer is another one in every pass"
                    )
                return self.network(x, **options)
            try:
                found = _Pass(self.network, x, options, self._recorder or _Graphs(x), attributes)
            except RuntimeError as error:
                # CUDA's: something in it waits for the device, or is not allowed while recording.
                self._refuse(str(error))
                return self.network(x, **options)
            self._passes[key] = found
        return found(x)

    def _settings(self) -> list[Any]:
        """What modules were told, and their parts and parameters, as objects: who changes a setting puts another object there."""
        looked = self._looked
        if looked is None or any(len(told) != count for told, count, _ in looked):
            looked = self._look()
        try:
            return [told[name] for told, _, names in looked for name in names]
        except KeyError:  # one went, and another came
            return [told[name] for told, _, names in self._look() for name in names]

    def _look(self) -> list[tuple[dict[str, Any], int, tuple[str, ...]]]:
        modules: list[Any] = list(self.network.modules())
        self._hooks = [
            hooks
            for m in modules
            for hooks in (m._forward_hooks, m._forward_pre_hooks, m._backward_hooks, m._backward_pre_hooks)
        ]
        self._looked = [
            (part, len(part), tuple(name for name in part if part is not vars(module) or not name.startswith("_")))
            for module in modules
            for part in (vars(module), module._parameters, module._buffers, module._modules)
        ]
        return self._looked

    def _refuse(self, reason: str) -> None:
        self._refused = True
        self._say(reason)

    def _say(self, reason: str) -> None:
        if reason not in self._said:
            self._said.add(reason)
            _log.warning("the network is not recorded as a CUDA graph, and runs without: %s", reason)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and other processes record for themselves."""
        return _again, (self.network, self.shapes)


def _again(network: nn.Module, shapes: int) -> Captured:
    return Captured(network, shapes=shapes)


class _Graphs:
    """Records as CUDA graphs, on one stream and in one pool of memory."""

    def __init__(self, x: Tensor) -> None:
        self.device = x.device
        self.stream = torch.cuda.Stream(x.device)
        self.pool = torch.cuda.graph_pool_handle()

    def __call__(self, work: Callable[[], _T]) -> tuple[_T, Callable[[], None]]:
        graph = torch.cuda.CUDAGraph()
        # Other threads (of a data loader that pins memory, of other libraries) go on as they like.
        with (
            torch.cuda.device(self.device),
            torch.cuda.graph(graph, pool=self.pool, stream=self.stream, capture_error_mode="thread_local"),
        ):
            result = work()
        return result, graph.replay

    def warm(self, work: Callable[[], object]) -> None:
        self.stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self.stream):
            work()
        torch.cuda.current_stream(self.device).wait_stream(self.stream)


class _Pass:
    """The recording of one shape."""

    def __init__(
        self, network: nn.Module, x: Tensor, options: dict[str, Any], recorder: Recorder, attributes: Sequence[object]
    ) -> None:
        self.attributes = attributes  # kept alive, so that no other object takes their ids
        self.x = x.detach().clone().requires_grad_(x.requires_grad)
        self.turn = 0
        self.owned = tuple(network.parameters())
        # The same memory, but leaves of their own: what autograd keeps for the network's belongs to the caller's stream.
        leaves = {p: p.detach().requires_grad_(p.requires_grad) for p in self.owned}
        named = {
            f"{where}.{name}".lstrip("."): leaves[p]
            for where, module in network.named_modules()
            for name, p in module._parameters.items()
            if p is not None
        }
        enabled, dtype = _autocast(x)

        def forward() -> Any:
            with torch.autocast(x.device.type, dtype=dtype, enabled=enabled, cache_enabled=False):
                # Every name of a tied parameter is there. (Tying them itself, it leaves a layer that stands in two places with the leaf.)
                return functional_call(network, named, (self.x,), options, tie_weights=False)

        def there_and_back() -> None:
            outputs = [t for t in _tensors(forward()) if t.requires_grad and t.grad_fn is not None]
            if outputs and self.inputs:
                with torch.autocast(x.device.type, enabled=False):
                    torch.autograd.grad(outputs, self.inputs, [torch.zeros_like(t) for t in outputs], allow_unused=True)

        learns = torch.is_grad_enabled()
        self.inputs = [t for t in (self.x, *leaves.values()) if t.requires_grad] if learns else []
        self.parameters = [p for p in self.owned if p.requires_grad] if learns else []
        named_buffers = dict(network.named_buffers())
        buffers = list(named_buffers.values())
        before = [buffer.detach().clone() for buffer in buffers]
        # A pass that nobody asked for leaves nothing behind.
        with torch.random.fork_rng([x.device] if x.device.type == "cuda" else []):
            recorder.warm(there_and_back)
        for buffer, was in zip(buffers, before, strict=True):
            buffer.data.copy_(was)
        changed = [id(buffer) for buffer in network.buffers()] != [id(buffer) for buffer in buffers]
        for name, buffer in named_buffers.items():
            owner, _, own = name.rpartition(".")
            network.get_submodule(owner)._buffers[own] = buffer
        if changed:
            raise RuntimeError("a pass puts another tensor in the place of a buffer; change it in place")
        self.tree, self.forward = recorder(forward)
        strange = _strange(self.tree)
        if strange is not None:
            raise RuntimeError(f"it returns a {type(strange).__name__}; tensors, and tuples of them, are expected")
        given = (self.x, *leaves.values())
        known = {id(tensor) for tensor in (*given, *buffers)}
        self.outputs = tuple({id(tensor): tensor for tensor in _tensors(self.tree) if id(tensor) not in known}.values())
        self.plain = [tensor.detach() for tensor in self.outputs]
        self.shown = _shown(self.plain)
        self.rebuild = _rebuilding(self.tree, {id(tensor): at for at, tensor in enumerate((*given, *self.outputs))})
        self.differentiable = [t.requires_grad for t in self.outputs]
        self.backwards: dict[tuple[bool, ...], _Backward] = {}
        everything = tuple(self.differentiable)
        if self.inputs and any(everything):
            # A loss looks at the answer, mostly, and regularizers at the rest; what gets no gradient would be an addition of zeros.
            answer = id(self.tree[0]) if isinstance(self.tree, tuple) else None
            first = tuple(id(t) == answer and needs for t, needs in zip(self.outputs, everything, strict=True))
            for which in {first, everything}:
                if any(which):
                    self.backwards[which] = _Backward(self, which, recorder)

    def __call__(self, x: Tensor) -> Any:
        made = _Replay.apply(self, x, *self.parameters) if self.inputs else _copies(self, x)
        return self.tree if self.rebuild is None else self.rebuild((x, *self.owned, *made))


class _Backward:
    """The recording of the way back from some of the outputs."""

    def __init__(self, one: _Pass, which: tuple[bool, ...], recorder: Recorder) -> None:
        outputs = [t for t, wanted in zip(one.outputs, which, strict=True) if wanted]
        self.grads = [torch.zeros_like(t) if wanted else None for t, wanted in zip(one.outputs, which, strict=True)]

        def backward() -> tuple[Tensor | None, ...]:
            with torch.autocast(one.x.device.type, enabled=False):
                above = [grad for grad in self.grads if grad is not None]
                return torch.autograd.grad(outputs, one.inputs, above, retain_graph=True, allow_unused=True)

        self.found, self.play = recorder(backward)

    def __call__(self, grads: Sequence[Tensor | None]) -> tuple[Tensor | None, ...]:
        for own, grad in zip(self.grads, grads, strict=True):
            if own is not None:
                own.zero_() if grad is None else own.copy_(grad)
        self.play()
        made = [None if t is None else torch.empty_like(t) for t in self.found]
        if any(t is not None for t in made):
            torch._foreach_copy_([t for t in made if t is not None], [t for t in self.found if t is not None])
        return tuple(made)


def _copies(one: _Pass, x: Tensor) -> tuple[Tensor, ...]:
    one.turn += 1
    one.x.data.copy_(x)  # what a recording reads has no versions
    one.forward()
    made: list[Tensor] = []
    for t, at in zip(one.plain, one.shown, strict=True):
        made.append(
            torch.empty_like(t)
            if at is None
            else t.new_empty(0).set_(made[at].untyped_storage(), 0, t.shape, t.stride())
        )
    own = [at is None for at in one.shown]
    if made:  # one launch for all of one type
        torch._foreach_copy_([*compress(made, own)], [*compress(one.plain, own)])
    return tuple(made)


class _Replay(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, one: _Pass, x: Tensor, *parameters: Tensor) -> tuple[Tensor, ...]:
        made = _copies(one, x)
        ctx.one, ctx.turn, ctx.has_x = one, one.turn, x.requires_grad
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*(t for t, needs in zip(made, one.differentiable, strict=True) if not needs))
        return made

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        one = ctx.one
        if ctx.turn != one.turn:
            raise RuntimeError(
                "backward through a recorded pass after a later pass of the same shape has used its memory; call backward before "
                "the next forward, or use the network without recording (Captured(network).network, cuda_graphs=False)."
            )
        which = tuple(grad is not None for grad in grads)
        play = one.backwards.get(which) or one.backwards[tuple(one.differentiable)]
        found = play(grads)
        return (None, *found) if ctx.has_x else (None, None, *found)


def _shown(tensors: Sequence[Tensor]) -> list[int | None]:
    """Of each, which earlier one has the same memory (flattened, detached): what reads records knows a source by its memory."""
    first: dict[Hashable, int] = {}
    found: list[int | None] = []
    for at, t in enumerate(tensors):
        place = (t.untyped_storage().data_ptr(), t.storage_offset(), t.numel(), t.dtype)
        same = first.setdefault(place, at) if t.is_contiguous() and t.numel() else at
        found.append(None if same == at else same)
    return found


def _autocast(x: Tensor) -> tuple[bool, torch.dtype]:
    return torch.is_autocast_enabled(x.device.type), torch.get_autocast_dtype(x.device.type)


def _tensors(tree: Any) -> Iterable[Tensor]:
    """All tensors of nested tuples."""
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, tuple):
        for part in tree:
            yield from _tensors(part)


def _strange(tree: Any) -> object | None:
    """What may hold tensors and is no tuple of them."""
    if isinstance(tree, tuple):
        return next((found for part in tree if (found := _strange(part)) is not None), None)
    return None if isinstance(tree, Tensor | bool | int | float | str | None) else cast(object, tree)


def _rebuilding(tree: Any, places: dict[int, int]) -> Callable[[Sequence[Tensor]], Any] | None:
    """What makes the same tree of other tensors: of the i-th where one with ``places[id] = i`` was; None when nothing changes."""
    if isinstance(tree, Tensor):
        at = places.get(id(tree))
        return None if at is None else lambda new: new[at]
    parts = [_rebuilding(part, places) for part in tree] if isinstance(tree, tuple) else []
    if not any(parts):
        return None
    both = [(part, old) for part, old in zip(parts, tree, strict=True)]
    make: Callable[[Iterable[Any]], Any] = type(tree)._make if hasattr(tree, "_make") else tuple
    return lambda new: make([old if part is None else part(new) for part, old in both])
