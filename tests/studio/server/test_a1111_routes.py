"""A1111's routes: its field names, its shapes, and pictures painted over."""

from __future__ import annotations

import base64
import io
import json
import threading
from pathlib import Path
from typing import Any

from PIL import Image, PngImagePlugin
from tests.studio.server.conftest import PacedBase, Serve, Served
from tests.studio.server.lora_files import cards_with
from tests.studio.server.pictures import png_bytes

from allaprima.core.picture_files import read_request
from allaprima.studio.server.settings import ServerSettings


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def png_that_says(infotext: str) -> bytes:
    out, said = io.BytesIO(), PngImagePlugin.PngInfo()
    said.add_text("parameters", infotext)
    Image.new("RGB", (8, 8)).save(out, "PNG", pnginfo=said)
    return out.getvalue()


def png_of(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def mean_of(png: str) -> float:
    with Image.open(io.BytesIO(base64.b64decode(png))) as image:
        levels = image.convert("L").tobytes()
    return sum(levels) / len(levels)


def test_txt2img_answers_with_pictures_parameters_and_info(served: Served, tmp_path: Path) -> None:
    body = {
        "prompt": "a cat",
        "steps": 3,
        "cfg_scale": 1,
        "seed": 5,
        "batch_size": 2,
        "sampler_name": "Euler",
    }
    with served.client() as client:
        answer = client.post("/sdapi/v1/txt2img", json={**body, "hr_scale": 2, "enable_hr": False, "odd": 1})
    assert answer.status_code == 200, answer.text
    data = answer.json()
    assert len(data["images"]) == 2
    assert data["parameters"]["prompt"] == "a cat"
    info = json.loads(data["info"])
    assert info["all_seeds"] == [5, 6]
    assert info["ignored"] == ["odd"]
    assert "Seed: 6" in info["infotexts"][1]
    (tmp_path / "out.png").write_bytes(base64.b64decode(data["images"][1]))
    assert read_request(tmp_path / "out.png").seed == 6


def test_what_is_not_to_be_saved_is_sent_and_not_kept(served: Served) -> None:
    body = {"prompt": "a cat", "steps": 1, "batch_size": 2}
    with served.client() as client:
        for asked, kept in (({"do_not_save_samples": True}, 0), ({"do_not_save_samples": None}, 2)):
            answer = client.post("/sdapi/v1/txt2img", json={**body, **asked})
            assert answer.status_code == 200, answer.text
            assert len(answer.json()["images"]) == 2
            assert json.loads(answer.json()["info"])["ignored"] == []
            assert len(list(served.gallery_folder.glob("*.png"))) == kept


def test_lines_and_random_seeds_as_its_clients_send_them(served: Served) -> None:
    with served.client() as client:
        answer = client.post("/sdapi/v1/txt2img", json={"prompt": "a cat,\nred", "seed": -1, "n_iter": 2})
    info = json.loads(answer.json()["info"])
    assert info["prompt"] == "a cat, red"
    assert info["all_seeds"][1] == info["all_seeds"][0] + 1


def test_several_images_are_a_batch_each_painted_over(served: Served) -> None:
    shades = (20, 130, 240)
    images = [b64(png_of(Image.new("RGB", (128, 64), (shade,) * 3))) for shade in shades]
    body = {"init_images": images, "prompt": "a", "denoising_strength": 0.0, "seed": 5, "steps": 2}
    with served.client() as client:
        once = client.post("/sdapi/v1/img2img", json=body | {"batch_size": 4})
        twice = client.post("/sdapi/v1/img2img", json=body | {"batch_size": 3, "n_iter": 2})
        few = client.post("/sdapi/v1/img2img", json=body | {"batch_size": 2})
        many = client.post("/sdapi/v1/img2img", json=body | {"batch_size": 3, "n_iter": 9})
    means = [mean_of(image) for image in once.json()["images"]]
    assert means == sorted(means)
    assert means[2] - means[0] > 20
    info = json.loads(once.json()["info"])
    assert (info["all_seeds"], info["batch_size"]) == ([5, 6, 7], 3)
    assert [f"Seed: {seed}," in text for seed, text in zip((5, 6, 7), info["infotexts"], strict=True)] == [
        True
    ] * 3
    assert json.loads(twice.json()["info"])["all_seeds"] == [5, 6, 7, 8, 9, 10]
    again = [mean_of(image) for image in twice.json()["images"]]
    assert again[:3] == means
    assert again[3:] == sorted(again[3:])
    assert few.status_code == 422
    assert "bad number of images passed: 3; expecting 2" in few.json()["detail"]
    assert "got 27 pictures" in many.json()["detail"]


def test_img2img_keeps_as_much_as_it_is_told(served: Served) -> None:
    bright, dark = b64(png_bytes(128, 64)), b64(png_bytes(128, 64, "L"))
    means = []
    with served.client() as client:
        for strength in (0.0, 1.0):
            body = {
                "init_images": [bright],
                "prompt": "a",
                "denoising_strength": strength,
                "seed": 1,
                "steps": 20,
            }
            answer = client.post("/sdapi/v1/img2img", json=body)
            assert answer.status_code == 200, answer.text
            means.append(mean_of(answer.json()["images"][0]))
        url = f"data:image/png;base64,{dark}"
        assert client.post("/sdapi/v1/img2img", json={"init_images": [url], "prompt": "a"}).status_code == 200
        plain = client.post("/sdapi/v1/txt2img", json={"prompt": "a", "seed": 1, "steps": 20}).json()
    assert means[1] == mean_of(plain["images"][0])
    assert means[0] != means[1]
    files = [path.read_bytes() for path in served.gallery_folder.glob("*.png")]
    assert sum(b"Denoising strength: 0.0" in data for data in files) == 1


def noisy(width: int, height: int) -> Image.Image:
    return Image.effect_noise((width, height), 90).convert("RGB")


def sent(image: Image.Image) -> str:
    out = io.BytesIO()
    image.save(out, "PNG")
    return b64(out.getvalue())


def got(served: Served, **body: Any) -> tuple[Image.Image, dict[str, Any]]:
    with served.client() as client:
        answer = client.post("/sdapi/v1/img2img", json={"prompt": "a", "steps": 2, "seed": 1, **body})
    assert answer.status_code == 200, answer.text
    image = Image.open(io.BytesIO(base64.b64decode(answer.json()["images"][0])))
    return image.convert("RGB"), {
        **json.loads(answer.json()["info"]),
        "parameters": answer.json()["parameters"],
    }


def outside(image: Image.Image, box: tuple[int, int, int, int]) -> bytes:
    rest = image.copy()
    rest.paste("black", box)
    return rest.tobytes()


def test_a_mask_says_what_is_painted(served: Served) -> None:
    picture, mask, box = noisy(128, 64), Image.new("L", (128, 64), 0), (32, 16, 96, 48)
    mask.paste(255, box)
    body = {
        "init_images": [sent(picture)], "mask": sent(mask), "mask_blur": 0, "inpaint_full_res": False,
        "inpainting_fill": 1, "denoising_strength": 1.0,
    }  # fmt: skip
    painted, info = got(served, **body)
    assert outside(painted, box) == outside(picture, box)
    assert painted.crop(box).tobytes() != picture.crop(box).tobytes()
    assert info["infotexts"][0].endswith("Denoising strength: 1.0, Inpaint area: Whole picture")
    assert info["ignored"] == []
    assert "mask" not in info["parameters"]
    turned, _ = got(served, **body, inpainting_mask_invert=1)
    assert turned.crop(box).tobytes() == picture.crop(box).tobytes()
    assert outside(turned, box) != outside(picture, box)
    # Blurred, a few pixels beyond the mask change too; far from it nothing does.
    soft, _ = got(served, **{**body, "mask_blur": 4})
    assert outside(soft, box) != outside(picture, box)
    assert outside(soft, (12, 0, 116, 64)) == outside(picture, (12, 0, 116, 64))


def test_a_mask_that_is_transparent_is_painted_where_it_is_opaque_as_a1111_does(served: Served) -> None:
    picture, mask, box = noisy(128, 64), Image.new("RGBA", (128, 64), (0, 0, 0, 0)), (32, 16, 96, 48)
    mask.paste((0, 0, 0, 255), box)
    body = {"mask_blur": 0, "inpaint_full_res": False, "init_images": [sent(picture)], "mask": sent(mask)}
    painted, _ = got(served, **body)
    assert outside(painted, box) == outside(picture, box)
    assert painted.crop(box).tobytes() != picture.crop(box).tobytes()


def test_only_what_is_masked_is_painted_at_full_size_and_put_back(served: Served) -> None:
    picture, mask, box = noisy(400, 300), Image.new("L", (400, 300), 0), (300, 200, 340, 220)
    mask.paste(255, box)
    body = {
        "init_images": [sent(picture)],
        "mask": sent(mask),
        "mask_blur": 0,
        "inpaint_full_res_padding": 16,
    }
    painted, info = got(served, **body)
    assert painted.size == (400, 300)
    assert outside(painted, box) == outside(picture, box)
    assert painted.crop(box).tobytes() != picture.crop(box).tobytes()
    assert "Inpaint area: Only masked" in info["infotexts"][0]
    # A mask of another size is stretched, as A1111 does.
    smaller, _ = got(served, **{**body, "mask": sent(mask.resize((200, 150), Image.Resampling.NEAREST))})
    assert smaller.size == (400, 300)
    assert outside(smaller, (298, 198, 342, 222)) == outside(picture, (298, 198, 342, 222))


def test_what_is_painted_may_begin_as_the_colours_around_it(served: Served) -> None:
    picture, mask, box = Image.new("RGB", (128, 64), "white"), Image.new("L", (128, 64), 0), (32, 16, 96, 48)
    picture.paste("black", box)
    mask.paste(255, box)
    body = {"init_images": [sent(picture)], "mask": sent(mask), "mask_blur": 0, "denoising_strength": 0.0}
    for full in (True, False):
        filled, _ = got(served, **body, inpainting_fill=0, inpaint_full_res=full)
        as_it_is, _ = got(served, **body, inpainting_fill=1, inpaint_full_res=full)
        assert mean_of(sent(filled.crop(box))) > 40 + mean_of(sent(as_it_is.crop(box)))


def test_what_is_not_honoured_of_a_mask_is_listed(served: Served) -> None:
    body = {"init_images": [sent(noisy(128, 64))], "mask": sent(Image.new("L", (128, 64), 255))}
    _, info = got(served, **body, inpainting_fill=2, mask_round=False)
    assert info["ignored"] == ["inpainting_fill", "mask_round"]
    _, info = got(served, init_images=body["init_images"], inpainting_fill=2)
    assert info["ignored"] == []


def test_masks_that_paint_nothing_or_are_none_are_refused(served: Served) -> None:
    with served.client() as client:
        for mask, told in (
            (sent(Image.new("L", (128, 64), 0)), "keeps every pixel"),
            (b64(b"no picture"), "that is text"),
            ("%", "not base64"),
        ):
            body = {"prompt": "a", "init_images": [sent(noisy(128, 64))], "mask": mask}
            answer = client.post("/sdapi/v1/img2img", json=body)
            assert (answer.status_code, told in answer.json()["detail"]) == (400, True), answer.text
        answer = client.post("/sdapi/v1/txt2img", json={"prompt": "a", "mask": "x"})
        assert answer.status_code == 422


def test_img2img_fits_pictures_of_other_sizes(served: Served) -> None:
    with served.client() as client:
        for mode in (0, 1, 2):
            body = {"init_images": [b64(png_bytes(300, 100))], "prompt": "a", "resize_mode": mode}
            assert client.post("/sdapi/v1/img2img", json=body).status_code == 200


def test_progress_tells_and_interrupt_stops(serve: Serve) -> None:
    served = serve(base=PacedBase(pace_s=0.02))
    answers = []

    def ask() -> None:
        with served.client() as client:
            answers.append(client.post("/sdapi/v1/txt2img", json={"prompt": "a cat", "steps": 150}))

    thread = threading.Thread(target=ask)
    with served.client() as client:
        assert client.get("/sdapi/v1/progress").json()["progress"] == 0.0
        client.post("/sdapi/v1/options", json={"live_previews_enable": True})
        thread.start()
        served.wait_for(lambda: client.get("/sdapi/v1/progress").json()["state"]["sampling_step"] > 1)
        progress = client.get("/sdapi/v1/progress").json()
        assert 0 < progress["progress"] < 1
        assert progress["eta_relative"] > 0
        assert progress["state"]["sampling_steps"] == 150
        assert base64.b64decode(progress["current_image"]).startswith(b"\xff\xd8")
        assert client.get("/sdapi/v1/progress?skip_current_image=true").json()["current_image"] is None
        assert client.post("/sdapi/v1/interrupt").json() == {}
        thread.join()
    assert answers[0].json()["images"] == []
    assert json.loads(answers[0].json()["info"])["interrupted"]


def test_lists_and_options(serve: Serve, tmp_path: Path) -> None:
    folder = tmp_path / "loras"
    served = serve(loras=cards_with(folder, "sun set"))
    (folder / "sun set.png").write_bytes(png_bytes())
    with served.client() as client:
        cards_with(folder, "ink")
        loras = client.get("/sdapi/v1/loras").json()
        assert [(one["name"], one["alias"]) for one in loras] == [("ink", "ink"), ("sun set", "sun set")]
        assert client.post("/sdapi/v1/refresh-loras").json() == {}
        assert [one["model_name"] for one in client.get("/sdapi/v1/sd-models").json()] == ["vignette"]
        assert client.get("/sdapi/v1/samplers").json()[0]["name"] == "Euler"
        assert client.get("/sdapi/v1/schedulers").json()[0]["label"] == "Automatic"
        assert client.get("/sdapi/v1/options").json()["sd_model_checkpoint"] == "vignette"
        assert client.post("/sdapi/v1/options", json={"sd_model_checkpoint": "vignette"}).status_code == 200
        assert (
            client.post("/sdapi/v1/options", json={"sd_model_checkpoint": "/etc/passwd"}).status_code == 404
        )
        every = [client.get(f"/sdapi/v1/{one}").text for one in ("loras", "sd-models", "options")]
        assert client.get("/api/loras/preview", params={"name": "sun set"}).content == png_bytes()
        assert client.get("/api/loras/preview", params={"name": "../sun set"}).status_code == 404
    assert str(tmp_path) not in "".join(every)


def test_png_info_reads_what_pictures_say(served: Served) -> None:
    with served.client() as client:
        painted = client.post("/sdapi/v1/txt2img", json={"prompt": "a cat", "seed": 4}).json()["images"][0]
        info = client.post("/sdapi/v1/png-info", json={"image": painted}).json()
        assert info["parameters"]["Prompt"] == "a cat"
        assert info["parameters"]["Seed"] == "4"
        half = b64(png_that_says('a cat\nSteps: "\\ud800", Seed: 3, CFG scale: 4'))
        said = client.post("/sdapi/v1/png-info", json={"image": half})
        assert said.json()["parameters"]["Steps"] == '"\\ud800"'
        assert client.post("/sdapi/v1/png-info", json={"image": b64(png_bytes())}).json()["info"] == ""
        assert client.post("/sdapi/v1/png-info", json={"image": b64(b"no picture at all")}).status_code == 400


def test_basic_authentication_as_its_clients_do_it(serve: Serve) -> None:
    served = serve(ServerSettings(token="correct-horse-battery"))
    with served.client() as client:
        assert client.get("/sdapi/v1/options").status_code == 401
        assert client.get("/sdapi/v1/options", auth=("any", "correct-horse-battery")).status_code == 200
        assert client.get("/sdapi/v1/options", auth=("any", "wrong")).status_code == 401
