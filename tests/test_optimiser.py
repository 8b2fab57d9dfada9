import math

import pytest
import torch

from eggym.es.optimiser import Adam, Momentum, Sgd

SHAPES = {"w": torch.Size([4, 3])}
ALL = slice(None)
CPU = torch.device("cpu")


def test_plain_steps_are_the_gradient_times_the_rate():
    subject = Sgd()
    assert subject.begin(0.01) == 0.01
    gradient = torch.ones(4, 3)
    assert subject.change("w", gradient, ALL) is gradient


def test_momentum_by_hand():
    # b = 0.6: sqrt(1 - 0.36) = 0.8; m = 1, then 0.6 + 1 = 1.6, then 0.96; times 0.8 * 0.1
    subject = Momentum(SHAPES, 0.6, CPU)
    found = []
    for gradient in (1.0, 1.0, 0.0):
        assert subject.begin(0.1) == 1.0
        found.append(float(subject.change("w", torch.full((4, 3), gradient), ALL)[0, 0]))
    assert found == pytest.approx([0.08, 0.128, 0.0768])


def test_momentum_keeps_the_rms_of_independent_gradients_and_lengthens_a_constant_one():
    generator = torch.Generator().manual_seed(0)
    subject = Momentum({"w": torch.Size([100, 100])}, 0.9, CPU)
    for _ in range(60):
        subject.begin(0.01)
        change = subject.change("w", torch.randn(100, 100, generator=generator), ALL)
    assert float(change.square().mean().sqrt()) == pytest.approx(0.01, rel=0.03)
    for _ in range(100):
        subject.begin(0.01)
        change = subject.change("w", torch.ones(100, 100), ALL)
    assert float(change.mean()) == pytest.approx(0.01 * math.sqrt(1.9 / 0.1), rel=0.01)


def test_adam_is_torchs_adam_to_rounding():
    generator = torch.Generator().manual_seed(0)
    weight = torch.nn.Parameter(torch.zeros(4, 3))
    theirs = torch.optim.Adam([weight], lr=0.01, betas=(0.8, 0.95), eps=1e-3, maximize=True)
    ours, total = Adam(SHAPES, 0.8, 0.95, 1e-3, CPU), torch.zeros(4, 3)
    for _ in range(20):
        gradient = torch.randn(4, 3, generator=generator)
        weight.grad = gradient.clone()
        theirs.step()
        ours.begin(0.01)
        total += ours.change("w", gradient, ALL)
    assert torch.allclose(total, weight.detach(), atol=1e-6)


def test_adam_is_separate_ieee_operations():
    # the formula in float64 with a rounding to float32 after each operation; a fused step would differ in last bits
    def single(value):
        return value.float().double()

    def by_hand(gradients, rate, beta1, beta2, eps):
        m = v = torch.zeros(200, dtype=torch.float64)
        power1 = power2 = 1.0
        for gradient in gradients:
            g = gradient.double()
            m = single(single(m * f32(beta1)) + single(g * f32(1 - beta1)))
            v = single(single(v * f32(beta2)) + single(single(g * g) * f32(1 - beta2)))
            power1, power2 = power1 * beta1, power2 * beta2
        size = single(single(torch.sqrt(single(v * f32(1 / (1 - power2))))) + f32(eps))
        return single(single(single(m * f32(1 / (1 - power1))) / size) * f32(rate))

    def f32(value):
        return float(torch.tensor(value, dtype=torch.float32))

    generator = torch.Generator().manual_seed(0)
    gradients = [torch.randn(200, generator=generator) for _ in range(2)]
    subject = Adam({"w": torch.Size([200])}, 0.9, 0.999, 1e-8, CPU)
    for gradient in gradients:
        subject.begin(0.003)
        found = subject.change("w", gradient.clone(), ALL)
    assert torch.equal(found.double(), by_hand(gradients, 0.003, 0.9, 0.999, 1e-8))


@pytest.mark.parametrize(
    "make", [lambda: Momentum(SHAPES, 0.9, CPU), lambda: Adam(SHAPES, 0.9, 0.99, 1e-8, CPU)], ids=["momentum", "adam"]
)
def test_blocks_of_rows_give_the_bits_of_the_whole(make):
    gradients = [torch.randn(4, 3, generator=torch.Generator().manual_seed(step)) for step in range(5)]
    whole, blocks = make(), make()
    for gradient in gradients:
        whole.begin(0.01)
        blocks.begin(0.01)
        want = whole.change("w", gradient.clone(), ALL)
        parts = [blocks.change("w", gradient[rows].clone(), rows) for rows in (slice(0, 1), slice(1, 4))]
        assert torch.equal(torch.cat(parts), want)
