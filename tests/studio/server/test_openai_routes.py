"""OpenAI's own client against a real server."""

from __future__ import annotations

import base64
import io
import json

import openai
import pytest
from PIL import Image
from tests.studio.server.clients import openai_client
from tests.studio.server.conftest import PacedBase, Serve, Served

from allaprima.core.request import GenerationRequest
from allaprima.paint.painter import Painter
from allaprima.studio.server.settings import ServerSettings

TOKEN = "correct-horse-battery"


def opened(b64: str | None) -> Image.Image:
    assert b64 is not None
    return Image.open(io.BytesIO(base64.b64decode(b64)))


def test_pictures_come_as_base64_with_their_seeds(served: Served) -> None:
    with openai_client(served) as client:
        answer = client.images.generate(
            prompt="a cat", n=2, size="128x64", output_format="png", extra_body={"seed": 7, "steps": 2}
        )
    assert answer.data is not None
    assert [picture.model_extra["seed"] for picture in answer.data if picture.model_extra] == [7, 8]
    assert [opened(picture.b64_json).size for picture in answer.data] == [(128, 64)] * 2
    assert answer.size == "128x64"
    assert len(served.studio.gallery) == 2


def test_the_picture_is_the_painters_own(served: Served) -> None:
    with openai_client(served) as client:
        answer = client.images.generate(prompt="a cat", extra_body={"seed": 3})
    request = GenerationRequest(prompt="a cat", seed=3, width=128, height=64, steps=4, guidance=1.0)
    expected = Painter(base=PacedBase()).paint(request)
    assert answer.data is not None
    with opened(answer.data[0].b64_json) as image:
        assert image.convert("RGB").tobytes() == expected.rgb


def test_words_on_several_lines_are_one_prompt(served: Served) -> None:
    with openai_client(served) as client:
        extra = {"steps": 1, "negative_prompt": "rain\r\nsnow"}
        client.images.generate(prompt="a cat\r\non a roof\nat night", extra_body=extra)
    (entry,) = served.studio.gallery.search()
    assert (entry.request.prompt, entry.request.negative_prompt) == ("a cat on a roof at night", "rain snow")


@pytest.mark.parametrize(("output_format", "kind"), [("png", "PNG"), ("jpeg", "JPEG"), ("webp", "WEBP")])
def test_every_format(served: Served, output_format: str, kind: str) -> None:
    with openai_client(served) as client:
        answer = client.images.generate(prompt="a cat", output_format=output_format)  # type: ignore[call-overload]
    with opened(answer.data[0].b64_json) as image:
        assert image.format == kind


def test_urls_lead_to_the_picture_even_with_a_token(serve: Serve) -> None:
    served = serve(ServerSettings(token=TOKEN))
    with openai_client(served, TOKEN) as client:
        answer = client.images.generate(prompt="a cat", response_format="url")
    assert answer.data is not None
    url = answer.data[0].url
    assert url is not None
    with served.client() as plain:  # without the token
        got = plain.get(url)
        assert got.status_code == 200
        assert got.headers["content-type"] == "image/png"
        assert plain.get(url.split("~")[0]).status_code == 401
        assert plain.get(url[:-1] + ("0" if url[-1] != "0" else "1")).status_code == 401


def test_streams_partial_pictures_and_then_the_whole(served: Served) -> None:
    with openai_client(served) as client:
        stream = client.images.generate(prompt="a cat", stream=True, partial_images=2)
        events = list(stream)
    assert [event.type for event in events] == [
        "image_generation.partial_image",
        "image_generation.partial_image",
        "image_generation.completed",
    ]
    assert [getattr(event, "partial_image_index", None) for event in events] == [0, 1, None]
    assert all(opened(event.b64_json).size == (128, 64) for event in events)
    assert events[-1].output_format == "png"


def test_models_are_listed_and_described(served: Served) -> None:
    with openai_client(served) as client:
        assert [model.id for model in client.models.list()] == ["vignette"]
        assert client.models.retrieve("vignette").owned_by == "allaprima"
        with pytest.raises(openai.NotFoundError, match="no model 'other'"):
            client.models.retrieve("other")


def test_a_failure_gives_an_id_and_no_secret(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    served = serve(base=PacedBase(fails=True))
    with openai_client(served) as client, pytest.raises(openai.InternalServerError) as caught:
        client.images.generate(prompt="a cat")
    text = caught.value.response.text
    assert "secret" not in text
    assert "Traceback" not in text
    problem_id = json.loads(text)["error"]["id"]
    assert problem_id in caplog.text


def test_openais_older_names_are_answered_with_addresses(served: Served) -> None:
    with openai_client(served) as client:
        for model in ("dall-e-2", "dall-e-3"):
            answer = client.images.generate(prompt="a cat", model=model, style="vivid", quality="standard")
            assert answer.data is not None
            assert answer.data[0].url is not None
            assert answer.data[0].b64_json is None
            told = answer.model_extra
            assert told is not None
            assert told["remarks"] == [f"{model} is not here; vignette painted"]
            assert told["ignored"] == ["style"]
            assert client.models.retrieve(model).id == model
        answer = client.images.generate(prompt="a cat", model="gpt-image-1")
        assert answer.data is not None
        assert answer.data[0].b64_json
