"""Places without people: beach, forest, desert, mountain, meadow, snowfield, lake and space."""

from __future__ import annotations

from allaprima.lab.scenes.canvas import SNOW, Canvas, Point
from allaprima.lab.scenes.light import Color, mix
from allaprima.lab.scenes.sky import paint_sky, stars


def ground(
    canvas: Canvas, y: float, swing: float, color: Color, *, depth: float = 0.0, snow: float = 0.7
) -> None:
    """Paint a rolling ground from `y` to the bottom, lighter at its crest."""
    color = canvas.vary(color, 8)
    crest = canvas.shade(mix(color, (255, 255, 255), 0.12), depth=depth, snow=snow)
    foot = canvas.shade(mix(color, (0, 0, 0), 0.1), depth=depth, snow=snow)
    canvas.gradient_shape(canvas.ridge(y, swing, waves=canvas.rng.uniform(0.7, 1.3)), (crest, foot))
    canvas.tell_ground("ground", y, color=color)


def water(canvas: Canvas, top: float, bottom: float, color: Color) -> None:
    """Water that mirrors the sky at its far edge, with light strokes of waves."""
    light = canvas.light
    color = canvas.vary(color, 10)
    canvas.tell_ground("water", top, color=color, bottom=bottom)
    near = canvas.shade(color)
    far = mix(near, light.sky[2], 0.6)
    canvas.gradient(top, bottom, (far, near))
    shine = mix(near, light.sky[2], 0.75)
    for _ in range(9):
        y = canvas.rng.uniform(top + 0.02, bottom - 0.01)
        width = 0.03 + 0.1 * (y - top) / max(bottom - top, 0.01)
        x = canvas.rng.random()
        canvas.line([(x - width, y), (x + width, y)], shine, 0.006)


def beach(canvas: Canvas) -> None:
    """Sea, a line of foam, sand and a palm tree."""
    rng = canvas.rng
    horizon = rng.uniform(0.42, 0.52)
    shore = horizon + rng.uniform(0.17, 0.23)
    paint_sky(canvas, horizon)
    water(canvas, horizon, shore + 0.08, (34, 160, 200))
    edge = canvas.ridge(shore, 0.018, waves=1.2)
    canvas.shape([(x, y - 0.022) for x, y in edge], canvas.shade((236, 250, 252)))
    sand = canvas.vary((244, 214, 152), 8)
    canvas.tell_ground("sand", shore, color=sand)
    canvas.gradient_shape(
        edge, (canvas.shade(mix(sand, (150, 110, 70), 0.25), snow=0.5), canvas.shade(sand, snow=0.6))
    )
    side = rng.choice((0.1, 0.9))
    canvas.prop("palm-tree", side + rng.uniform(-0.05, 0.05), shore + 0.12, rng.uniform(0.46, 0.6), snow=0.15)
    if rng.random() < 0.5:
        canvas.prop(
            "palm-tree", 1 - side + rng.uniform(-0.05, 0.05), shore + 0.05, rng.uniform(0.3, 0.4), snow=0.15
        )


def forest(canvas: Canvas) -> None:
    """Paint rows of fir trees, the far ones in haze, behind a mossy floor."""
    rng = canvas.rng
    horizon = rng.uniform(0.55, 0.62)
    paint_sky(canvas, horizon, clouds=False)
    ground(canvas, horizon - 0.04, 0.02, (70, 130, 90), depth=0.45)
    for depth, height, foot, count in ((0.5, 0.36, 0.02, 7), (0.25, 0.5, 0.06, 5)):
        for index in range(count):
            x = (index + rng.uniform(0.2, 0.8)) / count
            canvas.prop("evergreen-tree", x, horizon + foot, height * rng.uniform(0.85, 1.15), depth=depth)
    moss = (84, 132, 66)
    ground(canvas, horizon + 0.03, 0.015, moss)
    for x in (rng.uniform(-0.02, 0.1), rng.uniform(0.9, 1.02)):
        canvas.prop("evergreen-tree", x, horizon + 0.16, rng.uniform(0.68, 0.8))
    ground(canvas, horizon + 0.12, 0.015, moss)
    for _ in range(3):
        canvas.prop("herb", rng.random(), rng.uniform(0.76, 0.99), 0.07)


def desert(canvas: Canvas) -> None:
    """Paint dunes in two tones and cacti."""
    rng = canvas.rng
    horizon = rng.uniform(0.52, 0.6)
    paint_sky(canvas, horizon, clouds=rng.random() < 0.3)
    ground(canvas, horizon, 0.05, (232, 172, 106), depth=0.3)
    ground(canvas, horizon + 0.09, 0.04, (238, 182, 106))
    canvas.prop("cactus", rng.choice((0.1, 0.9)), horizon + 0.16, rng.uniform(0.3, 0.42))
    for _ in range(rng.randint(1, 2)):
        canvas.prop("cactus", rng.uniform(0.05, 0.95), horizon + 0.08, rng.uniform(0.1, 0.18), depth=0.15)
    ground(canvas, horizon + 0.22, 0.025, (246, 198, 124))


def mountain(canvas: Canvas) -> None:
    """Paint snow-capped summits behind a green slope."""
    rng = canvas.rng
    horizon = rng.uniform(0.6, 0.66)
    paint_sky(canvas, horizon)
    far = canvas.peaks(horizon, 0.26, 4)
    canvas.gradient_shape(
        far, (canvas.shade((120, 140, 180), depth=0.55), canvas.shade((120, 140, 180), depth=0.85))
    )
    near = canvas.peaks(horizon + 0.04, rng.uniform(0.38, 0.48), rng.choice((2, 3)))
    rock = canvas.vary((116, 124, 148), 10)
    canvas.gradient_shape(
        near, (canvas.shade(rock, depth=0.1), canvas.shade(mix(rock, (90, 130, 110), 0.5), depth=0.3))
    )
    _tell_peaks(canvas, far, horizon)
    _tell_peaks(canvas, near, horizon + 0.04, color=rock)
    for index in range(1, len(near) - 2, 2):
        _cap(canvas, near[index - 1], near[index], near[index + 1])
    ground(canvas, horizon + 0.06, 0.03, (104, 160, 92))
    for _ in range(rng.randint(3, 5)):
        x, foot = rng.random(), horizon + rng.uniform(0.09, 0.13)
        canvas.prop("evergreen-tree", x, foot, rng.uniform(0.12, 0.18))
    ground(canvas, horizon + 0.15, 0.02, (124, 178, 96))


def _tell_peaks(canvas: Canvas, line: list[Point], foot: float, *, color: Color | None = None) -> None:
    """Note down each mountain of a jagged skyline, from the valley before it to the one behind."""
    for index in range(1, len(line) - 2, 2):
        canvas.tell("mountain", (line[index - 1][0], line[index][1], line[index + 1][0], foot), color=color)


def _cap(canvas: Canvas, left: Point, top: Point, right: Point) -> None:
    def between(a: Point, b: Point, share: float) -> Point:
        return (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share)

    a, b = between(top, left, 0.36), between(top, right, 0.36)
    teeth = ((0.25, -0.05), (0.5, 0.01), (0.75, -0.05))
    zigzag = [(x, y + down) for (x, y), down in ((between(a, b, part), down) for part, down in teeth)]
    canvas.shape([top, a, *zigzag, b], canvas.shade((246, 250, 255)))
    canvas.shape([top, zigzag[1], zigzag[2], b], canvas.shade((206, 218, 240)))


def meadow(canvas: Canvas) -> None:
    """Soft green hills with flowers."""
    rng = canvas.rng
    horizon = rng.uniform(0.5, 0.58)
    paint_sky(canvas, horizon)
    ground(canvas, horizon, 0.05, (120, 186, 130), depth=0.4)
    ground(canvas, horizon + 0.06, 0.045, (126, 196, 92), depth=0.1)
    ground(canvas, horizon + 0.16, 0.03, (146, 212, 84))
    for _ in range(rng.randint(12, 18)):
        y = rng.uniform(horizon + 0.21, 0.99)
        radius = 0.006 + 0.012 * (y - horizon)
        bloom = rng.choice(((255, 246, 250), (255, 214, 90), (250, 128, 160), (180, 140, 240)))
        x, tone = rng.random(), canvas.shade(bloom)
        for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            canvas.oval(x + dx * radius, y + dy * radius, radius, radius, tone)
        canvas.oval(x, y, radius * 0.8, radius * 0.8, canvas.shade((255, 206, 60)))


def snowfield(canvas: Canvas) -> None:
    """White hills with blue shade and a few snowy firs."""
    rng = canvas.rng
    horizon = rng.uniform(0.52, 0.6)
    paint_sky(canvas, horizon)
    white = (236, 243, 252)
    ground(canvas, horizon, 0.05, (196, 214, 240), depth=0.25)
    for _ in range(rng.randint(4, 6)):
        x, foot = rng.random(), horizon + rng.uniform(0.06, 0.1)
        canvas.prop("evergreen-tree", x, foot, rng.uniform(0.16, 0.3), snow=0.6)
    ground(canvas, horizon + 0.08, 0.04, (216, 229, 247))
    for x in (rng.uniform(0.0, 0.14), rng.uniform(0.86, 1.0)):
        canvas.oval(x, horizon + 0.25, 0.24, 0.1, canvas.shade(SNOW))
        canvas.tell("snowdrift", (x - 0.24, horizon + 0.15, x + 0.24, horizon + 0.35))
    ground(canvas, horizon + 0.19, 0.025, white)


def lake(canvas: Canvas) -> None:
    """Still water between far hills and a grassy bank."""
    rng = canvas.rng
    horizon = rng.uniform(0.44, 0.5)
    bank = horizon + rng.uniform(0.27, 0.31)
    paint_sky(canvas, horizon)
    hills = canvas.peaks(horizon, rng.uniform(0.1, 0.2), 3)
    canvas.shape(hills, canvas.shade((96, 140, 150), depth=0.45))
    _tell_peaks(canvas, hills, horizon)
    for _ in range(rng.randint(5, 8)):
        canvas.prop("evergreen-tree", rng.random(), horizon + 0.015, rng.uniform(0.08, 0.13), depth=0.2)
    water(canvas, horizon, bank + 0.05, (44, 132, 178))
    mirror = canvas.shade((60, 110, 140), depth=0.3)
    canvas.shape([(x, min(2 * horizon - y, horizon + 0.12) if y < 1 else horizon) for x, y in hills], mirror)
    canvas.line([(0, horizon), (1, horizon)], canvas.shade((70, 120, 110), depth=0.3), 0.012)
    ground(canvas, bank, 0.025, (128, 186, 88))
    for _ in range(4):
        x = rng.choice((rng.uniform(0, 0.2), rng.uniform(0.8, 1)))
        canvas.prop("herb", x, bank + rng.uniform(0.01, 0.06), 0.1)


_NEBULA: dict[str, tuple[Color, Color, Color]] = {
    "day": ((18, 30, 84), (30, 74, 150), (70, 150, 214)),
    "dawn": ((44, 30, 96), (128, 70, 156), (232, 140, 186)),
    "sunset": ((52, 20, 70), (150, 50, 90), (248, 140, 80)),
    "night": ((6, 6, 24), (12, 14, 44), (24, 30, 78)),
}


def space(canvas: Canvas) -> None:
    """Paint a cratered moon under planets and stars; the hour is the colour of the nebula."""
    rng, light = canvas.rng, canvas.light
    horizon = rng.uniform(0.68, 0.76)
    colors = _NEBULA[light.hour]
    canvas.gradient(0, 1, (*colors, colors[2]))
    for _ in range(3):
        canvas.glow(rng.random(), rng.uniform(0.1, 0.6), rng.uniform(0.25, 0.4), colors[2], 0.35)
    stars(canvas, 0.85, 60)
    x, y = rng.choice((rng.uniform(0.1, 0.25), rng.uniform(0.75, 0.9))), rng.uniform(0.14, 0.28)
    tone = rng.choice(((242, 150, 110), (110, 190, 220), (196, 140, 230), (236, 196, 120)))
    radius = rng.uniform(0.09, 0.14)
    canvas.tell("planet", (x - radius, y - radius, x + radius, y + radius), color=tone)
    canvas.oval(x, y, radius, radius, mix(tone, colors[0], 0.35))
    canvas.oval(
        x - radius * 0.1, y - radius * 0.1, radius * 0.86, radius * 0.86, mix(tone, (255, 255, 255), 0.1)
    )
    canvas.prop(
        "ringed-planet", 1 - x + rng.uniform(-0.06, 0.06), rng.uniform(0.2, 0.36), rng.uniform(0.12, 0.18)
    )
    grey = canvas.vary((190, 190, 206), 10)
    canvas.tell_ground("ground", horizon, color=grey)
    dust = canvas.shade(grey)
    canvas.oval(0.5, horizon + 0.75, 1.15, 0.75, mix(dust, (255, 255, 255), 0.18))
    canvas.oval(0.5, horizon + 0.77, 1.15, 0.75, dust)
    for _ in range(6):
        cx, cy = rng.random(), rng.uniform(horizon + 0.09, 0.98)
        width = rng.uniform(0.03, 0.08)
        canvas.oval(cx, cy, width, width * 0.36, mix(dust, (0, 0, 20), 0.22))
        canvas.oval(cx, cy + width * 0.1, width * 0.86, width * 0.26, mix(dust, (0, 0, 20), 0.1))
