from __future__ import annotations

import torch

from allaprima.lab.training.critic import Critic, hinge, praise
from allaprima.paint.retouch.lite_encoder import LiteEncoder


def test_it_learns_to_tell_sharp_from_soft() -> None:
    torch.manual_seed(0)
    critic, encoder = Critic(hidden=8), LiteEncoder(3).eval().requires_grad_(False)
    sharp = torch.randn(4, 3, 64, 64).sign()
    soft = torch.nn.functional.avg_pool2d(sharp, 5, 1, 2)
    sharp_maps, soft_maps = encoder(sharp), encoder(soft)
    optimizer = torch.optim.Adam(critic.parameters(), 3e-3)
    losses: list[float] = []
    for _ in range(12):
        loss = hinge(critic(sharp, sharp_maps), critic(soft, soft_maps))
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert losses[-1] < 0.9 * losses[0]
    assert praise(critic(sharp, sharp_maps)) > praise(critic(soft, soft_maps))


def test_every_part_of_a_picture_has_its_votes() -> None:
    pixels = torch.randn(2, 3, 64, 32)
    votes = Critic(hidden=4)(pixels, LiteEncoder(3)(pixels))
    assert [tuple(one.shape[2:]) for one in votes] == [(32, 16), (32, 16), (16, 8), (8, 4), (16, 8)]
