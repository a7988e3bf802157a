"""Folders of trajectories: what is in them, stopped and shared builds, and what they may be used for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.lab.distill.tiny import (
    SHAPES,
    draw,
    make,
    teacher,
    texts,
    write_cache,
)
from tests.tiny_vignette import write_tiny_vignette

from allaprima.core.errors import AssetError, OutputError, UserError
from allaprima.lab.distill.data import CacheTexts, DistillBatch, PromptTexts
from allaprima.lab.distill.learners import Learners
from allaprima.lab.distill.network import Network
from allaprima.lab.distill.teacher import TeacherSetup, set_up_teacher
from allaprima.lab.distill.trajectories import (
    Trajectories,
    TrajectorySettings,
    build_trajectories,
    first_noise,
    walk_trajectories,
)
from allaprima.lab.distill.validation import FIRST_SEED
from allaprima.lab.training.latents import LatentCache
from allaprima.paint.bases.vignette.base import load_vignette
from allaprima.paint.contract.base import TextStates
from allaprima.paint.sampling.noise import seeded_noise

SETTINGS = TrajectorySettings(count=7, steps=4, stops=2, guidance=2.0)


SHAPE = SHAPES["vignette"]


class StopError(Exception):
    """Someone pressed Ctrl-C."""


class Tiring(Learners):
    """Answers so many times, then is stopped; `asked` counts."""

    def __init__(self, network: Network, answers: int | None = None) -> None:
        super().__init__(network, {})
        self.answers = answers
        self.asked = 0

    def guided(self, *given: Any, **more: Any) -> torch.Tensor:
        """The teacher's answer."""
        if self.asked == self.answers:
            raise StopError
        self.asked += 1
        return super().guided(*given, **more)


def listening() -> Network:
    """A teacher whose answers depend on the prompt, as fresh ones' hardly do."""
    network = teacher("vignette")
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(1)
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    return network


def build(folder: Path, student: Learners | None = None, **more: Any) -> Path:
    """Seven paths of six prompts."""
    given = {"batch": 2, "base_hash": "a" * 64, "settings": SETTINGS, "known": texts("vignette"), **more}
    student = student or Learners(listening(), {})
    build_trajectories(folder, student, given.pop("known"), SHAPE, given.pop("settings"), **given)
    return folder


def held(folder: Path) -> dict[str, bytes]:
    """The folder's files."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "begun.json"}


def test_each_path_is_its_prompts_from_noise_of_its_own(tmp_path: Path) -> None:
    known, student = texts("vignette"), Learners(listening(), {})
    paths = Trajectories.open(build(tmp_path / "paths", student), known)
    assert paths.latents.shape == (7, 3, *SHAPE)
    assert sorted(paths.prompts[:6]) == list(range(6))
    noise = torch.from_numpy(paths.latents[:, 0].astype(np.float32))
    assert torch.allclose(noise, first_noise(range(7), SHAPE, 0), atol=2e-3)
    assert len({row.numpy().tobytes() for row in noise}) == 7
    assert abs(float(noise.std()) - 1) < 0.05
    with torch.no_grad():
        for row in range(7):
            again = noise[row].expand(6, *SHAPE)
            walked = walk_trajectories(student, again, known.take(range(6)), known.empty(6), SETTINGS)
            kept = torch.from_numpy(paths.latents[row, -1].astype(np.float32))
            far = (walked[:, -1] - kept).abs().amax((1, 2, 3))
            assert far.argmin() == paths.prompts[row]
            assert far.sort().values[1] > 10 * far.min()


@pytest.mark.parametrize("batch", [2, 4])
def test_a_stopped_build_goes_on_bit_for_bit_whatever_the_batch(batch: int, tmp_path: Path) -> None:
    whole = held(build(tmp_path / "whole"))
    with pytest.raises(StopError):
        build(tmp_path / "parts", Tiring(listening(), answers=2 * SETTINGS.steps + 1))
    assert len(list((tmp_path / "parts").glob("part-*.npy"))) == 2
    with pytest.raises(AssetError, match="has no paths"):
        Trajectories.open(tmp_path / "parts", texts("vignette"))
    rest = Tiring(listening())
    assert held(build(tmp_path / "parts", rest, batch=batch)) == whole
    assert rest.asked == 2 * SETTINGS.steps


def test_a_finished_folder_is_left_alone(tmp_path: Path) -> None:
    before = held(build(tmp_path / "paths"))
    times = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "paths").iterdir()}
    build(tmp_path / "paths", Tiring(listening(), answers=0), batch=3)
    assert held(tmp_path / "paths") == before
    assert times == {path.name: path.stat().st_mtime_ns for path in (tmp_path / "paths").iterdir()}


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"settings": replace(SETTINGS, count=8)}, "count 7 and got count 8"),
        ({"settings": replace(SETTINGS, seed=1)}, "seed 0 and got seed 1"),
        ({"base_hash": "b" * 64}, "base with the hash a{12} and got base with the hash b{12};"),
        ({"known": texts("vignette", 5)}, "of prompts"),
        ({"last": 4}, "last 6 and got last 4"),
    ],
)
def test_a_build_of_something_else_is_refused(
    other: dict[str, Any], said: str, *, finished: bool, tmp_path: Path
) -> None:
    build(tmp_path / "paths")
    if not finished:
        (tmp_path / "paths" / "paths.json").unlink()
    with pytest.raises(AssetError, match=said):
        build(tmp_path / "paths", **other)


def test_what_an_earlier_version_began_is_refused(tmp_path: Path) -> None:
    (tmp_path / "begun.json").write_text(json.dumps(asdict(SETTINGS)), encoding="utf-8")
    with pytest.raises(AssetError, match="another version began; expected an empty folder"):
        build(tmp_path)


def test_two_processes_share_what_one_would_walk(tmp_path: Path) -> None:
    script = tmp_path / "two.py"
    script.write_text(
        "import sys; from pathlib import Path; import torch; torch.set_num_threads(1)\n"
        "from tests.lab.distill.test_trajectories import Tiring, build, listening\n"
        "student = Tiring(listening()); build(Path(sys.argv[1]), student)\n"
        "import os; Path(sys.argv[2] + os.environ.get('RANK', '')).write_text(str(student.asked))\n"
    )
    environment = {
        **os.environ, "ACCELERATE_USE_CPU": "true", "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path]),
    }  # fmt: skip
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for name, how in (("one", []), ("two", launch)):
        subprocess.run(
            [sys.executable, *how, str(script), str(tmp_path / name), str(tmp_path / f"asked-{name}")],
            check=True, env=environment, capture_output=True, timeout=900,
        )  # fmt: skip
    assert held(tmp_path / "two") == held(tmp_path / "one")
    asked = [int((tmp_path / f"asked-two{rank}").read_text()) for rank in (0, 1)]
    assert asked == [2 * SETTINGS.steps] * 2


def test_noise_is_no_other_paths_and_not_the_exams() -> None:
    rows = [*first_noise(range(300), (4,), 100), *first_noise(range(300), (4,), 101)]
    rows += seeded_noise([FIRST_SEED + number for number in range(300)], (4,))
    assert len({row.numpy().tobytes() for row in rows}) == 900
    assert torch.equal(first_noise([7], (4,), 3)[0], first_noise(range(9), (4,), 3)[7])


def test_prompts_of_the_exam_are_neither_walked_nor_learned_from(tmp_path: Path) -> None:
    known = texts("vignette")
    folder = build(tmp_path / "paths", last=5)
    paths = Trajectories.open(folder, known, last=5)
    assert set(paths.prompts) == set(range(5))
    paths = Trajectories.open(folder, known, last=2)  # the training holds more back than the walk did
    assert set(paths.prompts) == {0, 1}
    prompts = np.load(folder / "prompts.npy").tolist()
    allowed = {path.tobytes() for path, prompt in zip(paths.latents, prompts, strict=True) if prompt < 2}
    seen = set()
    for step in range(20):
        batch = paths.batch(draw(step))
        assert batch.trajectory is not None
        for row in range(4):
            path = batch.trajectory[row].numpy().astype(np.float16)
            seen.add(path.tobytes())
            prompt = prompts[next(n for n, one in enumerate(paths.latents) if np.array_equal(one, path))]
            assert torch.equal(batch.text.states[row], known.take([prompt]).states[0])
    assert seen == allowed
    with pytest.raises(AssetError, match="lower --exam"):
        Trajectories.open(folder, known, last=0)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            {"base_hash": "b" * 64},
            "of base with the hash a{12} and got base with the hash b{12}; expected the same",
        ),
        ({"texts": texts("vignette", 9)}, "of prompts with the hash [0-9a-f]{12} and got prompts"),
        ({"shape": (4, 8, 8)}, r"shape \[4, 12, 12\] and got shape \[4, 8, 8\]"),
    ],
)
def test_paths_of_something_else_are_refused(asked: dict[str, Any], said: str, tmp_path: Path) -> None:
    right: dict[str, Any] = {
        "texts": texts("vignette"),
        "base_hash": "a" * 64,
        "shape": SHAPE,
    }
    folder = build(tmp_path / "paths")
    Trajectories.open(folder, **right)
    with pytest.raises(AssetError, match=said):
        Trajectories.open(folder, **{**right, **asked})


def test_paths_of_before_are_not_asked_what_they_do_not_say(tmp_path: Path) -> None:
    folder = build(tmp_path / "paths")
    for name in ("begun.json", "paths.json"):
        (folder / name).write_text(json.dumps(asdict(SETTINGS)), encoding="utf-8")
    paths = Trajectories.open(folder, texts("vignette"), shape=SHAPE, last=3, base_hash="b" * 64)
    assert set(paths.prompts) == {0, 1, 2}
    build(folder, Tiring(listening(), answers=0))


def _resave(name: str, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Callable[[Path], None]:
    return lambda folder: np.save(folder / name, change(np.load(folder / name)))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: os.truncate(folder / "paths.npy", 1000), "cannot read .*paths.npy"),
        (lambda folder: (folder / "paths.npy").write_bytes(b"xx"), "cannot read .*paths.npy"),
        (lambda folder: (folder / "prompts.npy").unlink(), "cannot read .*prompts.npy"),
        (lambda folder: (folder / "paths.json").write_text("{"), "cannot read .*paths.json"),
        (lambda folder: (folder / "paths.json").write_bytes(b"\xff\xfe"), "cannot read .*paths.json"),
        (lambda folder: (folder / "paths.json").write_text("[1]"), "expected settings"),
        (_resave("paths.npy", lambda old: old[:3]), "3 paths and 7 prompts; expected 7 of both"),
        (_resave("prompts.npy", lambda old: old + 1000), "prompts 1000 to 1005 and got 6 prompts"),
        (_resave("paths.npy", lambda old: old[..., 0]), "expected an array of 5 dimensions"),
    ],
)
def test_a_damaged_folder_is_refused(spoil: Callable[[Path], None], said: str, tmp_path: Path) -> None:
    folder = build(tmp_path / "paths")
    spoil(folder)
    with pytest.raises(AssetError, match=said):
        Trajectories.open(folder, texts("vignette"), shape=SHAPE)
    with pytest.raises(AssetError):
        build(folder)


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/paths")):
        with pytest.raises(OutputError, match="expected a folder with room that is open to you"):
            build(place)
    assert (tmp_path / "file").read_text() == "mine"


def test_prompts_are_known_by_their_words_and_caches_by_their_captions(tmp_path: Path) -> None:
    known = texts("vignette", 2)
    named = [PromptTexts(text=known.text, nothing=known.nothing, words=words).digest()
             for words in (("a", "b"), ("b", "a"), ())]  # fmt: skip
    assert len(set(named)) == 3
    off = TextStates(states=known.text.states + 1e-3, mask=known.text.mask)
    assert PromptTexts(text=off, nothing=known.nothing, words=("a", "b")).digest() == named[0]
    for name, scenes in (("one", 12), ("same", 12), ("other", 11)):
        write_cache(tmp_path / name, scenes)

    def digest(name: str) -> str:
        return CacheTexts(cache=LatentCache.open(tmp_path / name)).digest()

    assert digest("one") == digest("same") != digest("other")
    np.save(tmp_path / "same" / "states.npy", np.load(tmp_path / "same" / "states.npy")[::-1])
    assert digest("one") != digest("same")


def test_a_bench_takes_its_own_paths_and_holds_back_what_its_exam_is_about(tmp_path: Path) -> None:
    weights = write_tiny_vignette(tmp_path / "weights")

    def bench(base_hash: str = "a" * 64, **more: Any) -> TeacherSetup:
        return set_up_teacher(load_vignette(weights), base_hash, **{"prompts": prompts, **more})

    prompts = tmp_path / "prompts.txt"
    prompts.write_text("\n".join("abcdefghijkl"), encoding="utf-8")
    walked = bench(held_out=1)
    build_trajectories(tmp_path / "paths", Learners(walked.network, {}), walked.texts, walked.shape,
                replace(SETTINGS, count=11), last=walked.last, base_hash="a" * 64)  # fmt: skip
    trained = bench(trajectories=tmp_path / "paths", held_out=3)
    assert isinstance(trained.material, Trajectories)
    assert set(trained.material.prompts) == set(range(9))
    assert set(trained.validation_prompts) == {9, 10, 11}
    assert trained.material.guidance == 2.0
    with pytest.raises(UserError, match="got base with the hash bbb"):
        bench("b" * 64, trajectories=tmp_path / "paths")
    other = tmp_path / "other.txt"
    other.write_text(prompts.read_text(encoding="utf-8").replace("a", "z"), encoding="utf-8")
    with pytest.raises(UserError, match="and got prompts"):
        bench(prompts=other, trajectories=tmp_path / "paths")


def test_paths_are_the_teachers(tmp_path: Path) -> None:
    student, known = Learners(teacher("vignette"), {}), texts("vignette")
    settings = TrajectorySettings(count=5, steps=8, stops=4, guidance=2.0)
    build_trajectories(tmp_path / "whole", student, known, SHAPES["vignette"], settings, batch=2)
    whole = Trajectories.open(tmp_path / "whole", known)
    assert whole.latents.shape == (5, 5, *SHAPES["vignette"])
    batch: DistillBatch = whole.batch(draw(0))
    assert batch.trajectory is not None
    walked = walk_trajectories(student, batch.noise, batch.text, batch.empty, settings)
    assert torch.allclose(walked, batch.trajectory, atol=0.05)
    # the lesson from a path is the lesson from asking the teacher
    model, task = make("turbo", "vignette", penalty=0.0)
    assert isinstance(model, Learners)
    which = torch.tensor([0, 0, 0, 0])
    _, t, wanted, _ = task.lesson(model, batch, which)
    levels = model.process.timesteps(4)
    after = torch.full((4,), levels[1])
    assert torch.allclose(model.process.solve(batch.noise, t, walked[:, 1], after), wanted, atol=0.3)
    # and so is the first step's in distribution matching, of one step or more
    for steps in (1, 2):
        _, matching = make("dmd", "vignette", steps=steps, diversity=1.0)
        assert torch.equal(matching.anchor(model, batch), batch.trajectory[:, 4 // steps])
    with pytest.raises(UserError, match="4 stops for 3 steps"):
        batch.stops_per_step(3)
