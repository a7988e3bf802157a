"""OpenAI's own client against a real server."""

from __future__ import annotations

import base64
import io
import json
import threading

import httpx2
import openai
import pytest
from PIL import Image
from tests.studio.server.conftest import PacedBase, Serve, Served

from allaprima.core.request import GenerationRequest
from allaprima.paint.painter import Painter
from allaprima.studio.server.settings import Caps, ServerSettings

TOKEN = "correct-horse-battery"


def client_of(served: Served, key: str = "none") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{served.url}/v1", api_key=key, max_retries=0, timeout=20)


def opened(b64: str | None) -> Image.Image:
    assert b64 is not None
    return Image.open(io.BytesIO(base64.b64decode(b64)))


def test_pictures_come_as_base64_with_their_seeds(served: Served) -> None:
    with client_of(served) as client:
        answer = client.images.generate(
            prompt="a cat", n=2, size="128x64", output_format="png", extra_body={"seed": 7, "steps": 2}
        )
    assert answer.data is not None
    assert [picture.model_extra["seed"] for picture in answer.data if picture.model_extra] == [7, 8]
    assert [opened(picture.b64_json).size for picture in answer.data] == [(128, 64)] * 2
    assert answer.size == "128x64"
    assert len(served.studio.gallery) == 2


def test_the_picture_is_the_painters_own(served: Served) -> None:
    with client_of(served) as client:
        answer = client.images.generate(prompt="a cat", extra_body={"seed": 3})
    request = GenerationRequest(prompt="a cat", seed=3, width=128, height=64, steps=4, guidance=1.0)
    expected = Painter(base=PacedBase()).paint(request)
    assert answer.data is not None
    with opened(answer.data[0].b64_json) as image:
        assert image.convert("RGB").tobytes() == expected.rgb


def test_words_on_several_lines_are_one_prompt(served: Served) -> None:
    with client_of(served) as client:
        extra = {"steps": 1, "negative_prompt": "rain\r\nsnow"}
        client.images.generate(prompt="a cat\r\non a roof\nat night", extra_body=extra)
    (entry,) = served.studio.gallery.search()
    assert (entry.request.prompt, entry.request.negative_prompt) == ("a cat on a roof at night", "rain snow")


@pytest.mark.parametrize(("output_format", "kind"), [("png", "PNG"), ("jpeg", "JPEG"), ("webp", "WEBP")])
def test_every_format(served: Served, output_format: str, kind: str) -> None:
    with client_of(served) as client:
        answer = client.images.generate(prompt="a cat", output_format=output_format)  # type: ignore[call-overload]
    with opened(answer.data[0].b64_json) as image:
        assert image.format == kind


def test_urls_lead_to_the_picture_even_with_a_token(serve: Serve) -> None:
    served = serve(ServerSettings(token=TOKEN))
    with client_of(served, TOKEN) as client:
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
    with client_of(served) as client:
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
    with client_of(served) as client:
        assert [model.id for model in client.models.list()] == ["vignette"]
        assert client.models.retrieve("vignette").owned_by == "allaprima"
        with pytest.raises(openai.NotFoundError, match="no model 'other'"):
            client.models.retrieve("other")


def test_openais_own_model_names_mean_the_first_base(served: Served) -> None:
    with client_of(served) as client:
        client.images.generate(prompt="a cat", model="dall-e-3")
        with pytest.raises(openai.NotFoundError):
            client.images.generate(prompt="a cat", model="qwen")


REFUSED: list[tuple[dict[str, object], str]] = [
    ({"prompt": ""}, "prompt is empty"),
    ({"prompt": "x" * 1001}, "1,001 characters"),
    ({"prompt": "a cat", "size": "100000x10000"}, "width 100000"),
    ({"prompt": "a cat", "size": "4096x4096"}, "4096x4096 pixels"),
    ({"prompt": "a cat", "size": "64x64"}, "expected 256x256 or 128x64"),
    ({"prompt": "a cat", "size": "big"}, "expected width x height"),
    ({"prompt": "a cat", "n": 11}, "n: "),
    ({"prompt": "a cat", "steps": 1000}, "1000 steps"),
    ({"prompt": "a cat", "seed": 2**63}, "seed 9223372036854775808"),
    ({"prompt": "a cat", "seed": -1}, "seed -1"),
    ({"prompt": "a cat", "seed": 2**63 - 1, "n": 2}, "seed 9223372036854775808"),
    ({"prompt": "a cat", "background": "transparent"}, "background"),
    ({"prompt": "a cat", "colour": "red"}, "colour"),
    ({"prompt": "a cat", "loras": [{"name": "../../etc/passwd"}]}, "LoRA"),
    ({"prompt": "<lora:ink:1> a cat"}, "among the LoRAs"),
    ({"prompt": "a\x00cat"}, "control character"),
    ({}, "prompt"),
]


def test_what_cannot_be_painted_is_refused_in_openais_shape(served: Served) -> None:
    with served.client() as client:
        for body, says in REFUSED:
            answer = client.post("/v1/images/generations", json=body)
            assert answer.status_code == 400, answer.text
            error = answer.json()["error"]
            assert says in error["message"]
            assert error["type"] == "invalid_request_error"
            assert set(error) == {"message", "type", "param", "code", "id"}
    assert len(served.studio.gallery) == 0


def test_numbers_beyond_reason_and_broken_json_are_refused(served: Served) -> None:
    texts = [
        '{"prompt": "a cat", "seed": ' + "9" * 5000 + "}",
        '{"prompt": "a cat", "guidance": NaN}',
        '{"prompt": "a cat", "guidance": 1e999}',
        '{"prompt": ' + "[" * 100_000,
        '{"prompt": "a \\ud800 cat"}',
        '["a cat"]',
        "{",
    ]
    with served.client(content_type="application/json") as client:
        for text in texts:
            answer = client.post("/v1/images/generations", content=text)
            assert answer.status_code in {400, 413}, (text[:60], answer.text)
            assert "error" in answer.json()


def test_a_failure_gives_an_id_and_no_secret(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    served = serve(base=PacedBase(fails=True))
    with client_of(served) as client, pytest.raises(openai.InternalServerError) as caught:
        client.images.generate(prompt="a cat")
    text = caught.value.response.text
    assert "secret" not in text
    assert "Traceback" not in text
    problem_id = json.loads(text)["error"]["id"]
    assert problem_id in caplog.text


def test_a_client_that_leaves_cancels_its_job(serve: Serve) -> None:
    served = serve(base=PacedBase(pace_s=0.02))
    with served.client() as client, pytest.raises(httpx2.ReadTimeout):
        client.post("/v1/images/generations", json={"prompt": "a cat", "steps": 150}, timeout=0.3)
    served.wait_for(lambda: served.studio.engine.stats().counters["jobs_cancelled"] == 1)
    assert served.studio.jobs.tickets == {}
    assert served.studio.engine.stats().jobs_running == 0


def test_a_stream_without_partial_pictures_begins_before_the_picture_is_there(served: Served) -> None:
    served.base.held.set()
    body = {"prompt": "a cat", "stream": True}
    with served.client() as client, client.stream("POST", "/v1/images/generations", json=body) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        served.base.held.clear()
        lines = [line for line in answer.iter_lines() if line.startswith("event: ")]
    assert lines == ["event: image_generation.completed"]


def test_a_stream_that_is_left_cancels_its_job(serve: Serve) -> None:
    served = serve(base=PacedBase(pace_s=0.02))
    body = {"prompt": "a cat", "steps": 150, "stream": True, "partial_images": 3}
    with served.client() as client, client.stream("POST", "/v1/images/generations", json=body) as answer:
        assert next(answer.iter_lines()).startswith("event: image_generation.partial_image")
    served.wait_for(lambda: served.studio.engine.stats().counters["jobs_cancelled"] == 1)
    assert served.studio.jobs.tickets == {}


def test_a_client_may_not_fill_the_queue(serve: Serve) -> None:
    served = serve(ServerSettings(caps=Caps(jobs_per_client=2)))
    served.base.held.set()
    statuses: list[int] = []

    def ask() -> None:
        with served.client() as client:
            statuses.append(client.post("/v1/images/generations", json={"prompt": "a cat"}).status_code)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    served.wait_for(lambda: len(served.studio.jobs.tickets) == 2)
    with client_of(served) as client, pytest.raises(openai.RateLimitError):
        client.images.generate(prompt="a cat")
    served.base.held.clear()
    for thread in threads:
        thread.join()
    assert statuses == [200, 200]
