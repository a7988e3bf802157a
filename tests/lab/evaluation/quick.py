"""A quick evaluation with a judge that is sure of everything."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tests.tiny import SteadyBase

from allaprima.lab.evaluation.accuracy import ATTRIBUTES
from allaprima.lab.evaluation.judge import Judge
from allaprima.lab.evaluation.painting import PaintSettings
from allaprima.lab.evaluation.vignette import Evaluation, EvaluationSettings, evaluate_vignette

SURE: dict[str, float] = dict.fromkeys(ATTRIBUTES, 1.0)


QUICK = EvaluationSettings(
    prompts=12, paint=PaintSettings(steps=1, batch=5), autoencoder_scenes=2, judged_scenes=2
)


def evaluate(base: SteadyBase, judge: Judge) -> Evaluation:
    return evaluate_vignette(base, judge, SURE, settings=QUICK)


class RedFinder:
    """Takes what is red for the subject."""

    def find(self, image: Image.Image) -> NDArray[np.float32]:
        """Return the matte."""
        return (np.asarray(image)[..., 0] > 200).astype(np.float32)
