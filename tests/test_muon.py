import torch

from eggym.muon import Muon, orthogonal


def test_all_directions_become_about_equally_long():
    generator = torch.Generator().manual_seed(0)
    for shape in [(2, 8, 8), (3, 24, 8), (1, 8, 24)]:
        lengths = torch.linalg.svdvals(orthogonal(torch.randn(shape, generator=generator)))
        assert lengths.shape == (shape[0], 8)
        assert lengths[:, :-1].min() > 0.5 and lengths.max() < 1.4  # the last, smallest one may stay small


def test_directions_are_kept():
    # by hand: a diagonal matrix has the axes as its directions, so the result is diagonal with the same signs
    found = orthogonal(torch.diag(torch.tensor([3.0, -2.0, 1.0]))[None])[0]
    assert torch.allclose(found - found.diag().diag(), torch.zeros(3, 3), atol=1e-6)
    assert found.diag().sign().tolist() == [1, -1, 1]
    assert found.diag().abs().sub(1).abs().max() < 0.4


def test_the_size_of_the_gradient_does_not_matter():
    matrices = torch.randn(2, 6, 6, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(orthogonal(matrices), orthogonal(1000 * matrices), atol=1e-4)


def test_a_gradient_of_zero_moves_nothing():
    assert orthogonal(torch.zeros(1, 4, 4)).abs().max() == 0


def test_matrices_of_one_shape_move_as_they_would_alone():
    generator = torch.Generator().manual_seed(2)
    starts = [torch.randn(size, generator=generator) for size in [(4, 4), (8, 4), (4, 4)]]
    together, alone = ([start.clone() for start in starts] for _ in range(2))
    group, singles = Muon(together, 0.9), [Muon([one], 0.9) for one in alone]
    for _ in range(3):
        for one, other in zip(together, alone, strict=True):
            one.grad = other.grad = torch.randn(one.shape, generator=generator)
        group.step(0.1)
        for single in singles:
            single.step(0.1)
    for one, other, start in zip(together, alone, starts, strict=True):
        assert torch.allclose(one, other, atol=1e-5)
        assert not torch.allclose(one, start, atol=0.01)


def test_the_first_step_goes_against_the_gradient_by_the_rate():
    # by hand: gradient 5 I is made I (about), so each diagonal entry falls by about the rate, 0.1
    matrix = torch.eye(3)
    matrix.grad = 5 * torch.eye(3)
    Muon([matrix], 0.9).step(0.1)
    assert (matrix.diag() - 0.9).abs().max() < 0.04


def test_momentum_looks_ahead():
    # by hand, momentum 0.9, gradients 1 then g: ahead = g + 0.9*(0.9*1 + g) = 1.9 g + 0.81. The entry with g = -0.3
    # still falls (+0.24), the one with g = -0.6 rises (-0.33); a momentum that does not look ahead lets both fall, none
    # lets both rise.
    matrix = torch.zeros(2, 2)
    muon = Muon([matrix], 0.9)
    matrix.grad = torch.eye(2)
    muon.step(0.1)
    before = matrix.diag().clone()
    matrix.grad = torch.diag(torch.tensor([-0.3, -0.6]))
    muon.step(0.1)
    assert (matrix.diag() - before).sign().tolist() == [-1, 1]
