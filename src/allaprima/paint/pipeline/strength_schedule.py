"""Any number of steps from any strength: how a live picture over another is painted.

To leave out the first of few steps (`img2img.first_step`) moves a slider in jumps, and leaves a single step nothing
but noise to begin with. Here all steps are taken, evenly spaced along the base's own curve from the level at which
the share `strength` of it is left. One, two and four steps begin at the same level, so a picture is made finer and
not another, and their first prediction is made once.
"""

from __future__ import annotations

from dataclasses import replace

from allaprima.paint.contract.schedule import Schedule

CURVE_STEPS = 50
"""Steps of the schedule that stands for a base's curve: LCM's models know no more."""


def schedule_from(curve: Schedule, strength: float, steps: int) -> Schedule:
    """Return `steps` steps along `curve` from the level that `strength` means, for latents that hold a picture.

    Args:
        curve: a schedule of many steps, whose levels and times are joined by straight lines.
        strength: 0 to 1; what is less than one of the curve's steps is taken for that.
        steps: 1 or more.
    """
    begin = max(strength, 1.0 / len(curve))
    places = [(1.0 - begin * (1.0 - step / steps)) * len(curve) for step in range(steps)]
    sigmas = [_at(curve.sigmas, place) for place in places]
    times = [_at((*curve.times, 0.0), place) for place in places]
    return replace(curve, sigmas=(*sigmas, 0.0), times=tuple(times), noise_scale=1.0)


def _at(values: tuple[float, ...], place: float) -> float:
    low = int(place)
    part = place - low
    return values[low] if part == 0.0 else (1.0 - part) * values[low] + part * values[low + 1]
