from __future__ import annotations

import torch

from allaprima.paint.memory.rehearsal import Rehearsal


def test_a_rehearsal_counts_what_is_alive_at_once() -> None:
    layer = torch.nn.Linear(64, 64, device="meta")
    with Rehearsal([layer]) as needed, torch.no_grad():
        given = needed.hold(torch.empty(256, 64, device="meta"))
        first = layer(given)
        second = first * 2
        del first
        _ = second + 1
    assert needed.peak_bytes == 3 * 256 * 64 * 4


def test_attention_is_rehearsed_without_its_table() -> None:
    with Rehearsal() as needed:
        query = torch.empty(1, 1, 4096, 8, device="meta")
        torch.nn.functional.scaled_dot_product_attention(query, query, query)
    assert needed.peak_bytes == 2 * 4096 * 8 * 4
