"""The mixture layer against the dense formula, and nobody's λ in anybody else's output."""

import threading
from contextlib import nullcontext

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.checkpoint import checkpoint

from molorec.errors import BadInput
from molorec.mixture.lam import Lam
from molorec.mixture.layer import AdapterStack, MixtureLinear, attach, fast_dropout
from molorec.mixture.rule import RULES
from molorec.mixture.rule import rule as rule_named

WIDTH, INNER = 6, 5


class Tiny(nn.Module):
    """Two layers of two linear modules each."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.ModuleList(
            nn.ModuleDict({"up": nn.Linear(WIDTH, INNER), "down": nn.Linear(INNER, WIDTH)}) for _ in range(2))

    def forward(self, x):
        for layer in self.layers:
            x = x + layer["down"](layer["up"](x).tanh())
        return x


def wrapped() -> Tiny:
    model = Tiny().requires_grad_(False)
    attach(model)
    return model


def stack_of(ranks, scales, seed=0, dropout=0.0) -> AdapterStack:
    generator = torch.Generator().manual_seed(seed)

    def pairs(out, into):
        return [(torch.randn(r, into, generator=generator), torch.randn(out, r, generator=generator)) for r in ranks]

    shapes = {"up": (INNER, WIDTH), "down": (WIDTH, INNER)}
    factors = {f"layers.{i}.{name}": pairs(*shape) for i in range(2) for name, shape in shapes.items()}
    return AdapterStack(factors, scales, dropout).eval()


def dense(stack: AdapterStack, path: str, weights: torch.Tensor, rule: str) -> torch.Tensor:
    """ΔW = Σij M_ij √(s_i s_j) B_i A_j, term by term."""
    matrix = rule_named(rule).matrix(weights.float())
    a, b = stack.pair(path)
    of_a, of_b = a.split(stack.ranks), b.split(stack.ranks, dim=1)
    delta = torch.zeros(b.shape[0], a.shape[1])
    for i, left in enumerate(of_b):
        for j, right in enumerate(of_a):
            if matrix[i, j]:
                delta += matrix[i, j] * (stack.scales[i] * stack.scales[j]) ** 0.5 * (left @ right)
    return delta


def module(model: Tiny, path: str) -> MixtureLinear:
    return model.get_submodule(path)


@st.composite
def mixtures(draw):
    rule = draw(st.sampled_from(sorted(RULES)))
    count = draw(st.integers(1, 3))
    ranks = draw(st.lists(st.integers(1, 4), min_size=count, max_size=count))
    alphas = draw(st.lists(st.sampled_from([0.5, 1.0, 8.0]), min_size=count, max_size=count))
    if not rule_named(rule).diagonal:
        ranks = ranks[:1] * count
    scales = [alpha / rank for alpha, rank in zip(alphas, ranks, strict=True)]
    if rule == "product":
        scales = scales[:1] * count
    rows = draw(st.integers(1, 3))
    row = st.lists(st.integers(0, 20), min_size=count, max_size=count).filter(any)
    raw = draw(st.lists(row, min_size=rows, max_size=rows))
    weights = torch.tensor(raw, dtype=torch.float32)
    return rule, stack_of(ranks, scales, draw(st.integers(0, 99))), weights / weights.sum(-1, keepdim=True)


@given(mixtures())
@settings(deadline=None, max_examples=60)
def test_every_row_is_the_dense_formula_at_its_own_lam(mixture):
    rule, stack, weights = mixture
    model, path = wrapped(), "layers.1.up"
    x = torch.randn(len(weights), 4, WIDTH)
    plain = module(model, path)(x)
    with stack.at(weights, rule):
        mixed = module(model, path)(x)
    for row, w in enumerate(weights):
        delta = dense(stack, path, w, rule)
        expected = plain[row] + x[row] @ delta.T
        torch.testing.assert_close(mixed[row], expected, rtol=1e-4, atol=1e-4 * (1 + float(delta.abs().max())))
        with stack.at(w, rule):
            torch.testing.assert_close(module(model, path)(x[row : row + 1])[0], mixed[row], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("granularity", ["layer", "module"])
def test_a_group_is_mixed_at_its_own_lam(rule, granularity):
    model, stack = wrapped(), stack_of([3, 3], [2.0, 2.0])
    groups = stack.groups(granularity)
    weights = torch.rand(len(groups), 1, generator=torch.Generator().manual_seed(1))
    weights = torch.cat([weights, 1 - weights], dim=1)
    for path in stack.paths:
        group = path.split(".")[1] if granularity == "layer" else path
        into = module(model, path).in_features
        x = torch.randn(2, 3, into)
        with stack.at(weights, rule, granularity):
            mixed = module(model, path)(x)
        expected = module(model, path)(x) + x @ dense(stack, path, weights[groups.index(group)], rule).T
        torch.testing.assert_close(mixed, expected, rtol=1e-4, atol=1e-4)


def lam_of(stack: AdapterStack, granularity: str, seed: int) -> Lam:
    """A random λ for a stack."""
    groups = stack.groups(granularity)
    raw = torch.rand(len(groups), len(stack), generator=torch.Generator().manual_seed(seed))
    return Lam.of(granularity, groups, raw / raw.sum(-1, keepdim=True))


@given(st.lists(st.sampled_from(["vector", "global", "layer", "module"]), min_size=1, max_size=4), st.integers(2, 3),
       st.sampled_from(sorted(RULES)), st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_rows_of_one_batch_may_differ_in_lam_and_in_granularity(kinds, adapters, rule, seed):
    model, stack = wrapped(), stack_of([3] * adapters, [2.0] * adapters)
    rows = [[1.0] + [0.0] * (adapters - 1) if kind == "vector" else lam_of(stack, kind, seed + i) for i, kind in enumerate(kinds)]
    x = torch.randn(len(rows), 3, WIDTH, generator=torch.Generator().manual_seed(seed))
    with stack.at(rows, rule):
        together = model(x)
    for i, row in enumerate(rows):
        with stack.at(row, rule):  # between the layers stand larger values, which float32 rounds
            torch.testing.assert_close(together[i : i + 1], model(x[i : i + 1]), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("granularity", "groups", "adapters", "said"), [
    ("layer", ["0"], 2, "of 1 layers, these adapters have 2"), ("layer", ["0", "7"], 2, "differ is"),
    ("module", ["0", "1"], 2, "of 2 modules, these adapters have 4"), ("layer", ["0", "1"], 3, "3 weights for 2 adapters"),
    ("global", ["all"], 3, "3 weights for 2 adapters")])
def test_a_lam_of_other_layers_or_adapters_is_refused(granularity, groups, adapters, said):
    lam = Lam(granularity, {group: [1.0] + [0.0] * (adapters - 1) for group in groups})
    for given_lam in (lam, [lam, [0.5, 0.5]]):
        with pytest.raises(BadInput, match=said), stack_of([2, 2], [1.0, 1.0]).at(given_lam):
            pass


@pytest.mark.parametrize("rule", RULES)
def test_the_gradient_at_an_end_of_the_slider_is_a_number(rule):
    model, stack, x = wrapped(), stack_of([2, 2], [1.0, 1.0]), torch.randn(2, 3, WIDTH)
    for end in ([0.0, 1.0], [1.0, 0.0]):
        lam = torch.tensor([end] * 2, requires_grad=True)
        with stack.at(lam, rule, "layer"):
            model(x).square().sum().backward()
        assert bool(lam.grad.isfinite().all()) and lam.grad.abs().max() > 0


@pytest.mark.parametrize("granularity", ["layer", "module"])
def test_granular_lam_of_another_shape_is_refused(granularity):
    stack = stack_of([2, 2], [1.0, 1.0])
    for shape in ((len(stack.groups(granularity)) + 1, 2), (2,), (1, 2)):
        with pytest.raises(BadInput, match="one row for each"), stack.at(torch.full(shape, 0.5), "sum", granularity):
            pass


def test_an_unknown_granularity_is_refused():
    with pytest.raises(BadInput, match="granularity 'head'"), stack_of([2, 2], [1.0, 1.0]).at(0.5, "sum", "head"):
        pass


@pytest.mark.parametrize("rule", ["sum", "product"])
def test_the_gradient_of_lam_is_the_slope_of_the_output(rule):
    model, stack = wrapped(), stack_of([3, 3], [2.0, 2.0])
    x, direction = torch.randn(2, 3, WIDTH), torch.randn(2, 3, INNER, dtype=torch.float64)
    start = torch.tensor([0.3, 0.7], dtype=torch.float64)

    def reference(weights):
        # the layer computes in float32, too coarse for finite differences: so the dense formula in float64
        a, b = (t.double() for t in stack.pair("layers.0.up"))
        matrix = rule_named(rule).matrix(weights)
        delta = sum(matrix[i, j] * 2.0 * b[:, 3 * i : 3 * i + 3] @ a[3 * j : 3 * j + 3]
                    for i in range(2) for j in range(2))
        return ((x.double() @ delta.T) * direction).sum()

    lam = start.float().requires_grad_()
    with stack.at(lam, rule):
        (module(model, "layers.0.up")(x).double() * direction).sum().backward()
    step = 1e-5
    for k in range(2):
        nudge = torch.zeros(2, dtype=torch.float64)
        nudge[k] = step
        slope = (reference(start + nudge) - reference(start - nudge)) / (2 * step)
        assert lam.grad[k].item() == pytest.approx(slope.item(), rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("rule", RULES)
def test_an_end_of_the_slider_is_one_adapter_alone(rule):
    model, x = wrapped(), torch.randn(1, 3, WIDTH)
    pair = stack_of([3, 3], [2.0, 2.0])
    for lam, k in ((1.0, 0), (0.0, 1)):
        factors = {path: pair.pair(path) for path in pair.paths}
        kth = {path: [(a.split(3)[k], b.split(3, dim=1)[k])] for path, (a, b) in factors.items()}
        alone = AdapterStack(kth, [2.0]).eval()
        with pair.at(lam, rule):
            mixed = model(x)
        with alone.at(1.0, rule):
            torch.testing.assert_close(mixed, model(x), rtol=1e-4, atol=1e-4)


def test_outside_the_with_block_the_model_is_the_base():
    model, x = wrapped(), torch.randn(1, 3, WIDTH)
    base = Tiny()(x)
    assert torch.equal(model(x), base)
    with pytest.raises(RuntimeError, match="on purpose"), stack_of([2, 2], [1.0, 1.0]).at(0.5):
        assert not torch.allclose(model(x), base)
        raise RuntimeError("on purpose")
    assert torch.equal(model(x), base)


def test_a_layer_that_no_adapter_touches_stays_the_base():
    model, x = wrapped(), torch.randn(1, 3, WIDTH)
    only = AdapterStack({"layers.0.up": [(torch.ones(1, WIDTH), torch.ones(INNER, 1))]}, [1.0])
    with only.at(1.0):
        assert torch.equal(module(model, "layers.1.up")(x), module(Tiny(), "layers.1.up")(x))
        assert not torch.equal(module(model, "layers.0.up")(x), module(Tiny(), "layers.0.up")(x))


def test_attaching_twice_wraps_once():
    model = Tiny()
    paths = attach(model)
    assert attach(model) == paths == [f"layers.{i}.{name}" for i in range(2) for name in ("up", "down")]
    assert sum(isinstance(m, MixtureLinear) for m in model.modules()) == 4


def test_threads_at_different_lam_do_not_mix():
    model, stack, x = wrapped(), stack_of([2, 2], [1.0, 1.0]), torch.randn(1, 3, WIDTH)
    lams = [None, 0.0, 0.3, 1.0]
    together, inside = {}, threading.Barrier(len(lams))

    def run(lam):
        with nullcontext() if lam is None else stack.at(lam):
            inside.wait()  # everybody is inside a block of their own before anybody computes
            together[lam] = model(x)
            inside.wait()

    threads = [threading.Thread(target=run, args=(lam,)) for lam in lams]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for lam in lams:
        with nullcontext() if lam is None else stack.at(lam):
            assert torch.equal(model(x), together[lam])
    assert len({tuple(out.flatten().tolist()) for out in together.values()}) == len(lams)


def test_two_stacks_of_one_model_do_not_mix():
    model, x = wrapped(), torch.randn(1, 3, WIDTH)
    one, other = stack_of([2, 2], [1.0, 1.0], seed=1), stack_of([2, 2], [1.0, 1.0], seed=2)
    with one.at(0.4):
        of_one = model(x)
    with other.at(0.4):
        of_other = model(x)
    assert not torch.allclose(of_one, of_other)
    with one.at(0.4):
        with other.at(0.4):
            assert torch.equal(model(x), of_other)
        assert torch.equal(model(x), of_one)


@pytest.mark.parametrize(("rule", "ranks", "scales", "what"), [
    ("product", [2, 3], [1.0, 1.0], "one rank"), ("product", [2, 2], [1.0, 2.0], "one scale"),
    ("peft_linear", [2, 3], [1.0, 1.0], "one rank"),
])
def test_rules_with_cross_terms_refuse_unequal_adapters(rule, ranks, scales, what):
    with pytest.raises(BadInput, match=what), stack_of(ranks, scales).at(0.5, rule):
        pass


def test_dropout_keeps_the_mean_and_drops_its_share():
    torch.manual_seed(0)
    dropped = fast_dropout(torch.ones(401, 499), 0.25)
    assert dropped.mean().item() == pytest.approx(1, abs=0.01)
    assert (dropped == 0).float().mean().item() == pytest.approx(0.25, abs=0.01)
    assert dropped.unique().tolist() == pytest.approx([0, 4 / 3])
    assert fast_dropout(torch.ones(99_999), 0.999).unique().tolist() == [0, 256]  # at most 255 of 256 go


def test_dropout_is_for_training_only():
    model, stack, x = wrapped(), stack_of([2, 2], [1.0, 1.0], dropout=0.5), torch.randn(1, 3, WIDTH)
    still = stack_of([2, 2], [1.0, 1.0])
    with still.at(0.5):
        expected = model(x)
    with stack.at(0.5):
        assert torch.equal(model(x), expected)
    with stack.train().at(0.5):
        assert not torch.allclose(model(x), expected)


@pytest.mark.parametrize("rule", RULES)
def test_gradient_checkpointing_changes_no_gradient(rule):
    model, stack, x = wrapped(), stack_of([2, 2], [1.0, 1.0]), torch.randn(2, 3, WIDTH)
    stack.requires_grad_(True)

    def gradients(run):
        stack.zero_grad()
        lam = torch.tensor([0.4, 0.6], requires_grad=True)
        with stack.at(lam, rule):
            run(x).square().sum().backward()
        return [lam.grad, *(p.grad.clone() for p in stack.parameters())]

    direct = gradients(model)
    again = gradients(lambda x: checkpoint(model, x, use_reentrant=False))
    assert all(g.abs().max() > 0 for g in direct)
    for one, other in zip(direct, again, strict=True):
        torch.testing.assert_close(one, other)
