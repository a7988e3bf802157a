from __future__ import annotations

from allaprima.paint.lora.files.trained_settings import remarks_on_unused


def test_keys_that_a_terminal_would_act_on_are_named_without_that() -> None:
    (said,) = remarks_on_unused({"ink": ("\x1b[31mred", "plain.key")})
    assert said.endswith(r"'\x1b[31mred', plain.key")
