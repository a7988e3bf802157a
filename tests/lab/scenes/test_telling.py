"""What a caption tells and leaves open, and how often."""

from __future__ import annotations

import pytest
from tests.lab.scenes.captioned import LANGUAGES, many, mentions, scene_of, ways_of

from allaprima.lab.scenes.spec import Subject
from allaprima.paint.layout.subjects import SUBJECTS
from allaprima.paint.layout.vocabulary import Language
from allaprima.paint.layout.wording import wording


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_not_said_is_not_in_the_text(language: Language) -> None:
    scene = scene_of(Subject(kind="cat", accessory="crown"), place="harbor", hour="night", weather="snow")
    words = wording(language)
    for text, said in many(scene, language):
        plain = text.removesuffix("snowy")
        assert ("place" in said) == mentions(plain, ways_of(words.places, "harbor")), text
        assert ("accessory" in said) == ("crown" in text.lower() or "冠" in text), text
        if "hour" not in said:
            assert "night" not in text.lower()
            assert "夜" not in text
        if "weather" not in said:
            assert "snow" not in text.lower()
            assert "雪" not in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_captions_differ_and_leave_out_at_the_shares_meant(language: Language) -> None:
    told = many(scene_of(Subject(kind="cat"), weather="rain"), language, 1000)
    assert len({text for text, _ in told}) > 600
    assert sum("place" in said for _, said in told) / 1000 == pytest.approx(0.84, abs=0.04)
    assert sum("hour" in said for _, said in told) / 1000 == pytest.approx(0.70, abs=0.05)
    assert sum("weather" in said for _, said in told) / 1000 == pytest.approx(0.79, abs=0.05)
    bare = SUBJECTS["cat"].en[0] if language == "en" else SUBJECTS["cat"].zh[0]
    assert any(text == bare for text, _ in told)
