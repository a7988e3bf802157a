from __future__ import annotations

import copy
import gc
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise, permutations
from typing import Any

import pytest
import torch
from accelerate.hooks import ModelHook, add_hook_to_module
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from allaprima.core.errors import LoraError
from allaprima.paint.bases.vignette.denoiser import Denoiser, DenoiserConfig
from allaprima.paint.lora.pages import HUGE, empty_block, empty_tensor_like
from allaprima.paint.lora.runtime.rack import Rack
from allaprima.paint.lora.update import Dense, LowRank, Update, delta_of, merge_into


@dataclass(frozen=True)
class Made:
    """A LoRA made in memory."""

    name: str
    updates: Mapping[str, Update]


class Net(nn.Module):
    """One of each kind of layer that a LoRA can touch, and one that it cannot."""

    def __init__(self) -> None:
        super().__init__()
        self.near = nn.Conv2d(3, 8, 3, stride=2, padding=1, padding_mode="reflect")
        self.point = nn.Conv2d(8, 12, 1)
        self.groups = nn.Conv2d(12, 12, 3, padding=1, groups=3)
        self.first = nn.Linear(12, 24)
        self.norm = nn.LayerNorm(24)
        self.second = nn.Linear(24, 12, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.groups(self.point(self.near(x)).tanh())
        out: Tensor = self.second(self.norm(self.first(x.flatten(2).transpose(1, 2))))
        return out


SHAPES = {"near": (8, 3, 3, 3), "point": (12, 8, 1, 1), "first": (24, 12), "second": (12, 24)}


def make_net() -> Net:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Net().requires_grad_(requires_grad=False).eval()


def low_rank(shape: tuple[int, ...], rank: int, draw: torch.Generator) -> LowRank:
    down = torch.randn(rank, *shape[1:], generator=draw) / 4
    up = torch.randn(shape[0], rank, *(1,) * (len(shape) - 2), generator=draw) / 4
    return LowRank(down=down, up=up)


def make_lora(name: str, seed: int, rank: int = 4, only: tuple[str, ...] = tuple(SHAPES)) -> Made:
    draw = torch.Generator().manual_seed(seed)
    return Made(name, {f"net.{path}": low_rank(SHAPES[path], rank, draw) for path in only})


def make_dense(name: str, seed: int) -> Made:
    draw = torch.Generator().manual_seed(seed)
    return Made(
        name,
        {
            "net.second": Dense(delta=torch.randn(12, 24, generator=draw) / 8),
            "net.groups": Dense(delta=torch.randn(12, 4, 3, 3, generator=draw) / 8),
            "net.first": low_rank((24, 12), 2, draw),
        },
    )


X = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
A, B, D = make_lora("a", 1), make_lora("b", 2, rank=17, only=("near", "second")), make_dense("d", 3)
LORAS = {lora.name: lora for lora in (A, B, D)}


def answer(net: nn.Module) -> Tensor:
    out: Tensor = net(X)
    return out


def expected(wanted: Mapping[str, float], loras: Mapping[str, Made] = LORAS) -> Tensor:
    """Return what a network answers whose weights were changed by hand."""
    net = make_net()
    for name, weight in wanted.items():
        for key, update in loras[name].updates.items():
            net.get_parameter(key.removeprefix("net.") + ".weight").add_(delta_of(update), alpha=weight)
    return answer(net)


def is_merged(rack: Rack) -> bool:
    """Ask again each time, which the type checker does not do with a property."""
    return rack.merged


def close(left: Tensor, right: Tensor) -> bool:
    return bool(torch.allclose(left, right, atol=2e-6, rtol=1e-5))


def weights_of(net: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def same(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@pytest.fixture(params=[False, True], ids=["pointers", "addresses kept"])
def keep(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def make_rack(net: nn.Module, *, keep_addresses: bool | None = None, **options: Any) -> Rack:
    rack = Rack({"net": net}, keep_addresses=keep_addresses, **options)
    for lora in LORAS.values():
        rack.register(lora)
    return rack


@pytest.mark.parametrize(
    "wanted", [{"a": 1.0}, {"a": 0.3}, {"d": 1.0}, {"a": -0.5, "b": 2.0}, {"a": 0.5, "b": 0.7, "d": -1.5}]
)
def test_side_path_and_merge_answer_as_changed_weights_do(wanted: dict[str, float], *, keep: bool) -> None:
    net = make_net()
    rack = make_rack(net, keep_addresses=keep)
    assert not torch.allclose(expected(wanted), net(X), atol=1e-2)
    rack.set_adapters(wanted)
    assert close(net(X), expected(wanted))
    assert not is_merged(rack)
    assert rack.merge()
    assert is_merged(rack)
    assert close(net(X), expected(wanted))


@pytest.mark.parametrize("merging", [False, True])
def test_a_b_a_and_detach_give_the_first_bits_back(*, keep: bool, merging: bool) -> None:
    net = make_net()
    plain_weights, plain = weights_of(net), net(X)
    rack = make_rack(net, keep_addresses=keep)
    addresses = [parameter.data_ptr() for parameter in net.parameters()]

    def attached(name: str) -> tuple[Tensor, dict[str, Tensor]]:
        rack.set_adapters({name: 0.8})
        if merging:
            assert rack.merge()
        seen = answer(net), weights_of(net)
        rack.set_adapters({})
        assert same(weights_of(net), plain_weights)
        assert torch.equal(net(X), plain)
        return seen

    first, _, again = attached("a"), attached("b"), attached("a")
    assert torch.equal(first[0], again[0])
    assert same(first[1], again[1])
    assert same(first[1], plain_weights) is not merging
    assert [parameter.data_ptr() for parameter in net.parameters()] == addresses


def test_kept_addresses_stay_while_attached_and_merged() -> None:
    net = make_net()
    rack = make_rack(net, keep_addresses=True)
    rack.register(make_lora("e", 9))
    addresses = [parameter.data_ptr() for parameter in net.parameters()]
    sides = []
    for name in ("a", "e", "a"):
        rack.set_adapters({name: 1.0})
        side = vars(net.first)["side"]
        sides.append((side.down.data_ptr(), side.up.data_ptr(), side.scale.vector.data_ptr()))
        rack.merge()
        assert [parameter.data_ptr() for parameter in net.parameters()] == addresses
    assert len(set(sides)) == 1


def test_weight_zero_equals_absent(*, keep: bool) -> None:
    net = make_net()
    plain = net(X)
    rack = make_rack(net, keep_addresses=keep)
    rack.set_adapters({"a": 0.0})
    assert torch.equal(net(X), plain)
    assert rack.attached == {"a": 0.0}
    rack.set_adapters({"a": 0.0, "b": 1.0})
    beside = net(X)
    rack.set_adapters({"b": 1.0})
    assert torch.equal(net(X), beside)


def test_a_weight_that_changes_acts_and_the_order_of_coming_does_not_show(*, keep: bool) -> None:
    pictures = []
    for order in permutations(("a", "b", "d")):
        net = make_net()
        rack = make_rack(net, keep_addresses=keep)
        weights: dict[str, float] = {}
        for name in order:
            weights[name] = 1.0
            rack.set_adapters(weights)
        for name, weight in (("a", 0.25), ("b", 1.5)):
            weights[name] = weight
            rack.set_adapters(weights)
        unmerged = net(X)
        rack.merge()
        pictures.append((unmerged, net(X)))
    assert all(torch.equal(x, y) for pair in pictures for x, y in zip(pair, pictures[0], strict=True))
    assert close(pictures[0][0], expected({"a": 0.25, "b": 1.5, "d": 1.0}))


def test_what_is_wanted_again_stays_merged() -> None:
    net = make_net()
    rack = make_rack(net)
    rack.set_adapters({"a": 0.5})
    rack.merge()
    rack.set_adapters({"a": 0.5})
    assert is_merged(rack)
    rack.set_adapters({"a": 0.5, "b": 0.0})
    assert is_merged(rack)
    rack.set_adapters({"a": 0.6})
    assert not is_merged(rack)
    assert close(net(X), expected({"a": 0.6}))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (
            {"net.second": LowRank(down=torch.ones(2, 23), up=torch.ones(12, 2))},
            r"\(12, 23\); expected \(12, 24\)",
        ),
        ({"net.second": Dense(delta=torch.ones(24, 12))}, r"\(24, 12\); expected \(12, 24\)"),
        ({"net.norm": Dense(delta=torch.ones(24, 24))}, "net.norm, which the loaded base does not have"),
        ({"other.first": Dense(delta=torch.ones(24, 12))}, "made for another"),
        ({"net.groups": LowRank(down=torch.ones(2, 4, 3, 3), up=torch.ones(12, 2, 1, 1))}, "3 groups"),
    ],
)
def test_a_fault_found_late_changes_nothing(wrong: dict[str, Update], says: str, *, keep: bool) -> None:
    net = make_net()
    rack = make_rack(net, keep_addresses=keep)
    rack.set_adapters({"a": 0.5})
    before, seen = weights_of(net), net(X)
    with pytest.raises(LoraError, match=says):
        rack.register(Made("a", {**A.updates, **wrong}))
    assert rack.attached == {"a": 0.5}
    assert torch.equal(net(X), seen)
    assert same(weights_of(net), before)
    with pytest.raises(LoraError, match="changes nothing"):
        rack.register(Made("a", {}))


def test_bad_uses_say_so_and_change_nothing() -> None:
    net = make_net()
    rack = make_rack(net)
    rack.set_adapters({"a": 1.0})
    seen = net(X)
    for bad in (float("nan"), float("inf")):
        with pytest.raises(LoraError, match="expected a finite number"):
            rack.set_adapters({"a": bad})
    with pytest.raises(LoraError, match="'c'; expected one that is registered: a, b, d"):
        rack.set_adapters({"a": 1.0, "c": 1.0})
    with pytest.raises(LoraError, match="detach it before"):
        rack.forget("a")
    assert torch.equal(net(X), seen)
    rack.set_adapters({})
    rack.forget("a")
    assert rack.registered == ("b", "d")
    with pytest.raises(ValueError, match=r"got down \(2, 3\) and up \(4, 3\)"):
        LowRank(down=torch.ones(2, 3), up=torch.ones(4, 3))


def test_a_merge_goes_on_where_its_budget_ended_and_shows_nothing_before_the_end(*, keep: bool) -> None:
    net = make_net()
    rack = make_rack(net, keep_addresses=keep)
    rack.set_adapters({"a": 1.0})
    seen, before = net(X), weights_of(net)
    calls = 0
    while not rack.merge(budget_s=0.0):
        calls += 1
        assert torch.equal(net(X), seen)
        assert same(weights_of(net), before)
    assert calls == len(SHAPES) - 1
    assert close(net(X), expected({"a": 1.0}))


def test_a_merge_overtaken_by_another_wish_is_discarded(*, keep: bool) -> None:
    net = make_net()
    rack = make_rack(net, keep_addresses=keep)
    rack.set_adapters({"a": 1.0})
    rack.merge(budget_s=0.0)
    rack.set_adapters({"d": 1.0})
    rack.merge()
    assert close(net(X), expected({"d": 1.0}))
    rack.set_adapters({})
    assert torch.equal(net(X), make_net()(X))


def test_two_contents_in_turns_are_both_merged_and_a_third_takes_the_older_ones_place() -> None:
    net = make_net()
    rack = make_rack(net)
    seen = {}
    for weight in (1.0, 0.5):
        rack.set_adapters({"a": weight})
        rack.merge()
        seen[weight] = net(X)
        assert close(seen[weight], expected({"a": weight}))
    both = rack.num_bytes
    for weight in (1.0, 0.5, 1.0):
        rack.set_adapters({"a": weight})
        assert is_merged(rack)
        assert torch.equal(net(X), seen[weight])
    rack.set_adapters({"a": 0.25})
    assert not is_merged(rack)
    rack.merge()
    assert rack.num_bytes == both
    for wanted, merged in (({"a": 1.0}, True), ({"a": 0.25}, True), ({"a": 0.5}, False)):
        rack.set_adapters(wanted)
        assert is_merged(rack) == merged
        assert close(net(X), expected(wanted))
    rack.set_adapters({})
    assert same(weights_of(net), weights_of(make_net()))


def test_merges_begun_in_turns_are_both_gone_on_with_and_do_not_cost_a_whole_one() -> None:
    net = make_net()
    rack = make_rack(net)
    for _ in range(len(SHAPES)):
        for weight in (1.0, 0.5):
            rack.set_adapters({"a": weight})
            rack.merge(budget_s=0.0)
    rack.set_adapters({"a": 1.0})
    assert is_merged(rack)
    for weight in (0.1, 0.2, 0.3):  # a slider on its way
        rack.set_adapters({"a": weight})
        rack.merge(budget_s=0.0)
        assert close(net(X), expected({"a": weight}))
    rack.set_adapters({"a": 1.0})
    assert is_merged(rack)
    assert close(net(X), expected({"a": 1.0}))


def test_a_kept_merge_is_not_shown_for_a_lora_of_its_name_or_to_a_network_that_was_cast() -> None:
    net = make_net()
    rack = make_rack(net)
    for wanted in ({"a": 1.0}, {"d": 1.0}):
        rack.set_adapters(wanted)
        rack.merge()
    rack.register(Made("a", make_lora("a", 7).updates))
    rack.set_adapters({"a": 1.0})
    assert not is_merged(rack)
    assert close(net(X), expected({"a": 1.0}, {"a": make_lora("a", 7)}))
    net.double()  # while a merge is shown
    rack.set_adapters({})
    assert {weight.dtype for weight in net.state_dict().values()} == {torch.float64}
    rack.set_adapters({"d": 1.0})
    assert not is_merged(rack)


def test_a_merge_of_weights_that_were_exchanged_is_made_again() -> None:
    net = make_net()
    rack = make_rack(net)
    rack.set_adapters({"a": 1.0})
    rack.merge()
    rack.set_adapters({})
    doubled = {name: 2 * weight for name, weight in weights_of(net).items()}
    net.load_state_dict(doubled, assign=True)
    plain = net(X)
    rack.set_adapters({"a": 1.0})
    assert not is_merged(rack)
    beside = net(X)
    rack.merge()
    assert close(net(X), beside)
    rack.set_adapters({})
    assert torch.equal(net(X), plain)


def test_a_merge_made_again_that_fails_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    net = make_net()
    rack = make_rack(net)
    rack.set_adapters({"a": 1.0})
    rack.merge()
    rack.set_adapters({})
    net.double()
    rack.set_adapters({"a": 1.0})
    layers = [
        module for module in net.modules() if "side" in vars(module) and vars(module)["side"] is not None
    ]

    def fail(*_args: Any, out: Tensor, **_options: Any) -> None:
        out.fill_(1e3)
        raise MemoryError

    monkeypatch.setattr("allaprima.paint.lora.runtime.merge.merge_into", fail)
    for _ in layers:
        with pytest.raises(MemoryError):
            rack.merge()
    assert not is_merged(rack)
    assert all(layer.weight.abs().max() < 100.0 for layer in layers if isinstance(layer, nn.Linear))


@pytest.mark.parametrize("options", [{"keeps_merges": False}, {"keep_addresses": True}])
def test_no_merge_is_kept_where_memory_is_counted_or_addresses_stay(options: dict[str, Any]) -> None:
    rack = make_rack(make_net(), **options)
    for wanted in ({"a": 1.0}, {"d": 1.0}):
        rack.set_adapters(wanted)
        rack.merge()
    rack.set_adapters({"a": 1.0})
    assert not is_merged(rack)


def test_a_merge_that_fails_leaves_the_side_paths(monkeypatch: pytest.MonkeyPatch, *, keep: bool) -> None:
    net = make_net()
    rack = make_rack(net, keep_addresses=keep)
    rack.set_adapters({"a": 1.0})
    seen, before = net(X), weights_of(net)
    tries = iter([False, False, True])

    def fail_third(*args: Any, **kwargs: Any) -> None:
        if next(tries):
            raise KeyboardInterrupt
        merge_into(*args, **kwargs)

    monkeypatch.setattr("allaprima.paint.lora.runtime.merge.merge_into", fail_third)
    with pytest.raises(KeyboardInterrupt):
        rack.merge()
    monkeypatch.undo()
    assert torch.equal(net(X), seen)
    assert same(weights_of(net), before)
    assert rack.merge()
    assert close(net(X), expected({"a": 1.0}))
    rack.set_adapters({})
    assert same(weights_of(net), before)


def test_merging_bf16_rounds_once() -> None:
    net = make_net().bfloat16()
    draw = torch.Generator().manual_seed(4)
    small = {"net.first": low_rank((24, 12), 4, draw)}
    small["net.first"].up.mul_(1e-2)
    rack = Rack({"net": net})
    rack.register(Made("small", small))
    pristine = net.first.weight.clone()
    side = LowRank(down=small["net.first"].down.bfloat16(), up=small["net.first"].up.bfloat16())
    rack.set_adapters({"small": 1.0})
    rack.merge()
    assert net.first.weight.dtype == torch.bfloat16
    assert torch.equal(net.first.weight, (pristine.float() + delta_of(side)).bfloat16())
    rack.set_adapters({})
    assert torch.equal(net.first.weight, pristine)


@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rank", [16, 5])
def test_a_scale_is_rounded_once_wherever_it_is_multiplied_on(
    stored: torch.dtype, dtype: torch.dtype, rank: int, *, keep: bool
) -> None:
    # Side by side in one row, as in a file.
    row = torch.randn(rank * (12 + 24), generator=torch.Generator().manual_seed(0)).to(stored)
    down, up = row[: rank * 12].view(rank, 12), row[rank * 12 :].view(24, rank)
    net = make_net().to(dtype)
    rack = Rack({"net": net}, keep_addresses=keep)
    rack.register(Made("scaled", {"net.first": LowRank(down=down, up=up, scale=0.3)}))
    rack.set_adapters({"scaled": 1.0})
    side = vars(net.first)["side"]
    assert torch.equal(side.down[:rank], down.to(dtype))
    assert torch.equal(side.up[:, :rank], (up.float() * 0.3).to(dtype))
    assert torch.equal(row, torch.randn(len(row), generator=torch.Generator().manual_seed(0)).to(stored))


def test_registering_anew_reaches_the_next_picture(*, keep: bool) -> None:
    net = make_net()
    rack = make_rack(net, keep_addresses=keep)
    rack.set_adapters({"a": 1.0, "b": 0.5})
    rack.merge()
    state = rack.state()
    newer = make_lora("a", 77, rank=5)
    rack.register(newer)
    assert close(net(X), expected({"a": 1.0, "b": 0.5}, {**LORAS, "a": newer}))
    assert rack.state() != state
    assert rack.state("net") == rack.state()
    assert rack.state("text_encoder") == ()


def test_merging_gives_way_where_weights_are_shared_or_moved_about_or_too_large() -> None:
    tied = make_net()
    tied.twin = nn.Linear(12, 24)
    tied.twin.weight = tied.first.weight
    limited = make_net()
    hooked = make_net()
    add_hook_to_module(hooked.first, ModelHook())
    for net, max_merge_bytes in ((tied, None), (limited, 100), (hooked, None)):
        rack = make_rack(net, max_merge_bytes=max_merge_bytes)
        rack.set_adapters({"a": 1.0})
        assert not rack.merge()
        assert not is_merged(rack)
        assert close(net(X), expected({"a": 1.0}))


def test_layers_that_are_no_plain_layers_get_their_side_path_too() -> None:
    class Louder(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:  # noqa: A002
            return super().forward(input) * 2

    net = Louder(12, 24)
    rack = Rack({"net": nn.Sequential(net)})
    update = low_rank((24, 12), 3, torch.Generator().manual_seed(0))
    rack.register(Made("x", {"net.0": update}))
    x = torch.randn(5, 12)
    plain = net(x)
    rack.set_adapters({"x": 1.0})
    assert close(net(x), plain + x @ delta_of(update).T)
    assert close(net(input=x), net(x))


def test_made_in_inference_mode_used_outside_and_the_other_way_round() -> None:
    net = make_net()
    with torch.inference_mode():
        rack = make_rack(net, keep_addresses=False)
        rack.set_adapters({"a": 0.5})
        rack.merge(0.0)
        seen = net(X)
    assert torch.equal(net(X), seen)
    rack.merge()
    rack.set_adapters({"a": 0.7})
    leaf = X.clone().requires_grad_()
    net(leaf).sum().backward()
    assert leaf.grad is not None
    with torch.inference_mode():
        rack.merge()
        rack.set_adapters({})
    assert torch.equal(net(X), make_net()(X))
    assert not net.first.weight.is_inference()


def test_names_and_copies_of_a_network_with_a_rack_are_the_usual_ones() -> None:
    net = make_net()
    rack = make_rack(net)
    rack.set_adapters({"a": 1.0})
    assert net.state_dict().keys() == make_net().state_dict().keys()
    assert close(copy.deepcopy(net)(X), expected({"a": 1.0}))
    assert repr(net.first).endswith("(in_features=12, out_features=24, bias=True)")


def test_a_lora_that_is_as_needed_is_used_where_it_lies_and_memory_is_made_ready_for_others() -> None:
    net = make_net()
    rack = Rack({"net": net}, keep_addresses=False)
    same_shape = make_lora("same", 1, rank=16)
    rack.register(same_shape)
    assert rack.num_bytes == 0
    rack.set_adapters({"same": 1.0})
    update = same_shape.updates["net.first"]
    assert isinstance(update, LowRank)
    assert vars(net.first)["side"].down.data_ptr() == update.down.data_ptr()
    rack.register(A)
    taken = rack.num_bytes
    rack.merge()
    rack.unmerge()
    assert rack.num_bytes == 2 * taken
    rack.register(make_lora("a", 5))
    assert rack.num_bytes == taken


def test_large_blocks_are_whole_and_writable() -> None:
    for num_bytes in (0, 100, 5 * HUGE + 3):
        block = empty_block(num_bytes, torch.device("cpu"))
        assert block.shape == (num_bytes,)
        assert int(block.fill_(7).sum()) == 7 * num_bytes
    like = torch.empty(2, 8, 3, 3).contiguous(memory_format=torch.channels_last)
    assert empty_tensor_like(like).stride() == like.stride()


def test_a_thousand_swaps_over_a_hundred_loras_do_not_grow() -> None:
    net = make_net()
    rack = Rack({"net": net}, cache_bytes=40_000)
    for i in range(100):
        rack.register(make_lora(f"{i:03}", i, rank=1 + i % 4))

    def swap(begin: int, end: int) -> tuple[int, int]:
        for i in range(begin, end):
            rack.set_adapters({f"{i % 100:03}": 1.0, f"{(i * 7) % 100:03}": 0.5})
            if i % 10 == 0:
                rack.merge()
        gc.collect()
        tensors = sum(type(one) is Tensor for one in gc.get_objects())
        return rack.num_bytes, tensors

    swap(0, 200)
    first, last = swap(200, 600), swap(600, 1000)
    assert last[0] <= 1.01 * first[0]
    assert last[1] <= 1.01 * first[1]
    rack.set_adapters({})
    rack.merge()
    assert torch.equal(net(X), make_net()(X))


@pytest.fixture
def no_recompiles() -> Iterator[None]:
    torch.compiler.reset()
    with torch._dynamo.config.patch(error_on_recompile=True):
        yield
    torch.compiler.reset()


@pytest.mark.usefixtures("no_recompiles")
@pytest.mark.filterwarnings(
    "ignore:.torch.jit.script_method. is deprecated:DeprecationWarning"
)  # of inductor's own
@pytest.mark.parametrize("backend", ["eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_a_compiled_block_is_compiled_once_for_a_hundred_swaps(backend: str, *, keep: bool) -> None:
    config = DenoiserConfig(
        latent_channels=4, layers=1, heads=2, head_width=16, text_width=32, rope_axes=(4, 6, 6)
    )
    denoiser = Denoiser(config).requires_grad_(requires_grad=False).eval()
    transformer = denoiser.transformer
    rack = Rack({"transformer": transformer}, keep_addresses=keep)
    linears = {
        f"transformer.{path}": tuple(module.weight.shape)
        for path, module in transformer.named_modules()
        if isinstance(module, nn.Linear) and path.startswith("transformer_blocks.")
    }
    for i in range(10):
        draw = torch.Generator().manual_seed(i)
        rack.register(Made(str(i), {key: low_rank(shape, 1 + i, draw) for key, shape in linears.items()}))
    arguments = (torch.randn(1, 4, 4, 4), torch.full((1,), 0.5), torch.randn(1, 5, 32))
    rack.set_adapters({"3": 0.5})
    with torch.inference_mode():
        eager = denoiser(*arguments)
        for block in transformer.transformer_blocks:
            block.compile(backend=backend, fullgraph=True)
        seen = []
        for i in range(100):
            rack.set_adapters({str(i * 7 % 10): 1.0 if i % 3 else 0.5})
            seen.append(denoiser(*arguments))
        rack.set_adapters({"3": 0.5})
        assert torch.allclose(denoiser(*arguments), eager, atol=1e-5)
    assert all(not torch.equal(x, y) for x, y in pairwise(seen))


STEPS = st.one_of(
    st.tuples(
        st.just("set_adapters"),
        st.dictionaries(st.sampled_from(sorted(LORAS)), st.sampled_from([-1.0, 0.0, 0.5, 1.0])),
    ),
    st.tuples(st.just("merge"), st.sampled_from([0.0, None])),
    st.tuples(st.just("unmerge"), st.none()),
)


@settings(max_examples=20, deadline=None)
@given(steps=st.lists(STEPS, max_size=8), keep_addresses=st.booleans())
def test_whatever_happens_answers_are_right_and_the_way_back_is_exact(
    steps: list[tuple[str, Any]], *, keep_addresses: bool
) -> None:
    net = make_net()
    rack = make_rack(net, keep_addresses=keep_addresses)
    wanted: dict[str, float] = {}
    for action, argument in steps:
        if action == "set_adapters":
            wanted = argument
            rack.set_adapters(wanted)
        elif action == "merge":
            rack.merge(argument)
        else:
            rack.unmerge()
        assert close(net(X), expected(wanted))
    rack.set_adapters({})
    assert torch.equal(net(X), make_net()(X))
    assert same(weights_of(net), weights_of(make_net()))
