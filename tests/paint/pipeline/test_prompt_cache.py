from __future__ import annotations

from dataclasses import replace

import torch
from tests.tiny import SteadyBase

from allaprima.paint.contract.base import TextStates
from allaprima.paint.pipeline.prompt_cache import MAX_PROMPTS, PromptCache, join_prompts

ONE = 64
"""More bytes than a prompt of three letters takes, less than two of them do."""


def test_a_prompt_is_encoded_once_and_beside_others() -> None:
    base = SteadyBase()
    cache = PromptCache(base, max_bytes=2**20)
    cat, dog, again = cache.encode(["cat", "a large dog", "cat"])
    assert again is cat
    assert cache.encode(["a large dog"]) == [dog]
    assert base.encoded == [["cat", "a large dog"]]
    assert (cache.misses, cache.hits) == (2, 2)
    assert cat.text.mask.all()
    assert cat.text.mask.shape[1] < dog.text.mask.shape[1]


def test_equal_states_have_equal_digests() -> None:
    cache = PromptCache(SteadyBase(), max_bytes=2**20)
    alone, owl, cow = (cache.encode([text])[0] for text in ("cat", "owl", "cow"))
    assert alone.digest != owl.digest
    assert alone.digest == cow.digest  # a SteadyBase reads the first letter, and these have one length
    assert cache.encode(["dog", "cats", "cat"])[2].digest == alone.digest


def test_another_state_of_the_encoder_is_another_encoding() -> None:
    base = SteadyBase()
    cache = PromptCache(base, max_bytes=2**20)
    cache.encode(["cat"], state="plain")
    cache.encode(["cat"], state="with a LoRA")
    assert len(base.encoded) == 2


def test_memory_is_bounded_and_the_least_recent_goes() -> None:
    base = SteadyBase()
    cache = PromptCache(base, max_bytes=3 * ONE)
    for word in ("cat", "dog", "owl"):
        cache.encode([word])
    assert cache.num_bytes <= 3 * ONE
    cache.encode(["cat"])
    cache.encode(["fox"])
    base.encoded.clear()
    cache.encode(["cat"])
    assert base.encoded == []
    cache.encode(["dog"])
    assert base.encoded == [["dog"]]
    many = cache.encode([f"{number:03}" for number in range(50)])
    assert len(many) == 50
    assert cache.num_bytes <= 3 * ONE


def test_no_more_than_so_many_are_kept_however_small() -> None:
    base = SteadyBase()
    cache = PromptCache(base, max_bytes=2**30)
    for number in range(MAX_PROMPTS + 20):
        cache.encode([f"{number:03}"])
    base.encoded.clear()
    cache.encode(["020"])
    assert base.encoded == []
    cache.encode(["019"])
    assert base.encoded == [["019"]]
    assert len(cache.encode([f"dog {number}" for number in range(MAX_PROMPTS + 5)])) == MAX_PROMPTS + 5


def test_joined_prompts_are_padded_and_masked() -> None:
    short = TextStates(
        states=torch.ones(1, 2, 3), mask=torch.ones(1, 2, dtype=torch.bool), pooled=torch.ones(1, 4)
    )
    long = TextStates(
        states=torch.ones(1, 5, 3), mask=torch.ones(1, 5, dtype=torch.bool), pooled=torch.zeros(1, 4)
    )
    joined = join_prompts([short, long])
    assert joined.lengths == (2, 5)
    assert joined.states[0, 2:].eq(0).all()
    assert joined.pooled is not None
    assert joined.pooled.shape == (2, 4)
    assert joined.layout is None
    assert join_prompts([short]) is short


def test_joined_prompts_keep_their_maps() -> None:
    open_ = TextStates(states=torch.ones(2, 2, 3), mask=torch.ones(2, 2, dtype=torch.bool))
    told = replace(open_.rows([0]), layout=torch.ones(1, 5, 4, 4))
    joined = join_prompts([open_, told])
    assert joined.layout is not None
    assert joined.layout.flatten(1).sum(1).tolist() == [0.0, 0.0, 80.0]
