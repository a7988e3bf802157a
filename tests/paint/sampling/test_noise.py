from __future__ import annotations

import torch

from allaprima.paint.sampling.noise import noise_stream, seeded_noise


def test_a_row_belongs_to_its_seed_and_not_to_the_batch() -> None:
    together = seeded_noise([3, 2**63 - 1, 0], (12, 16, 16))
    for row, seed in enumerate((3, 2**63 - 1, 0)):
        assert torch.equal(together[row], seeded_noise([seed], (12, 16, 16))[0])
    assert not torch.equal(together[0], together[1])


def test_it_is_standard_normal_and_leaves_the_global_generator_alone() -> None:
    state = torch.get_rng_state()
    noise = seeded_noise(range(8), (12, 16, 16))
    assert torch.equal(torch.get_rng_state(), state)
    assert noise.dtype == torch.float32
    assert abs(float(noise.mean())) < 0.02
    assert abs(float(noise.std()) - 1) < 0.02


def test_the_stream_goes_on_as_one_generator_does() -> None:
    stream = noise_stream([5, 6], (4, 8, 8))
    drawn = [next(stream) for _ in range(3)]
    assert torch.equal(drawn[0], seeded_noise([5, 6], (4, 8, 8)))
    generator = torch.Generator().manual_seed(6)
    for noise in drawn:
        assert torch.equal(noise[1:], torch.randn(1, 4, 8, 8, generator=generator))
