"""Places that people built: rooftop, city, street, farm, park and harbor."""

from __future__ import annotations

from allaprima.lab.scenes.canvas import Canvas
from allaprima.lab.scenes.light import Color, mix
from allaprima.lab.scenes.places_wild import ground, water
from allaprima.lab.scenes.sky import paint_sky

_LAMP: Color = (255, 214, 120)
_WALLS: tuple[Color, ...] = (
    (150, 170, 200), (206, 160, 140), (170, 150, 190), (120, 160, 176), (220, 190, 150), (140, 150, 170),
)  # fmt: skip


def _glass(canvas: Canvas, dark: Color) -> Color:
    """Return the colour of a pane: lit when lamps are, else dark."""
    return _LAMP if canvas.light.lamps else canvas.shade(dark)


def skyline(canvas: Canvas, base: float, low: float, high: float, *, count: int, depth: float) -> None:
    """Paint a row of towers with windows; some windows are lit when lamps are."""
    rng = canvas.rng
    x = -rng.uniform(0, 0.08)
    while x < 1:
        width = rng.uniform(0.8, 1.25) / count
        top = base - rng.uniform(low, high)
        paint = canvas.vary(rng.choice(_WALLS), 12)
        canvas.tell("tower", (x, top, x + width, base + 0.02), color=paint)
        wall = canvas.shade(paint, depth=depth)
        canvas.box(x, top, x + width - 0.006, base + 0.02, wall)
        canvas.box(x + width * 0.72, top, x + width - 0.006, base + 0.02, mix(wall, (0, 0, 20), 0.1))
        if rng.random() < 0.3:
            canvas.line([(x + width / 2, top), (x + width / 2, top - 0.06)], wall, 0.008)
        _windows(canvas, x, top, width, base, wall)
        x += width


def _windows(canvas: Canvas, x: float, top: float, width: float, base: float, wall: Color) -> None:
    columns = max(2, round(width / 0.045))
    cell = width / (columns + 0.5)
    lit = mix(_LAMP, wall, 0.1)
    dark = mix(wall, (255, 255, 255), 0.22) if not canvas.light.lamps else mix(wall, (0, 0, 24), 0.25)
    y = top + 0.03
    while y < base - 0.03:
        for column in range(columns):
            left = x + cell * (column + 0.5)
            tone = lit if canvas.light.lamps and canvas.rng.random() < 0.5 else dark
            canvas.box(left, y, left + cell * 0.5, y + 0.026, tone)
        y += 0.055


def city(canvas: Canvas) -> None:
    """Paint a square before two rows of towers."""
    rng = canvas.rng
    base = rng.uniform(0.68, 0.74)
    paint_sky(canvas, base)
    skyline(canvas, base, 0.34, 0.56, count=8, depth=0.55)
    skyline(canvas, base, 0.14, 0.36, count=6, depth=0.12)
    for _ in range(rng.randint(2, 4)):
        canvas.prop("deciduous-tree", rng.random(), base + 0.03, rng.uniform(0.12, 0.17))
    stone = canvas.vary((188, 186, 192), 8)
    canvas.tell_ground("pavement", base + 0.02, color=stone)
    canvas.gradient(
        base + 0.02,
        1,
        (canvas.shade(mix(stone, (90, 90, 110), 0.2), snow=0.7), canvas.shade(stone, snow=0.75)),
    )
    joint = canvas.shade(mix(stone, (60, 60, 90), 0.2), snow=0.5)
    for share in (-0.6, -0.2, 0.2, 0.6, 1.0, 1.4):
        canvas.line([(0.5 + (share - 0.4) * 0.7, base + 0.02), (0.5 + (share - 0.4) * 1.6, 1)], joint, 0.005)
    canvas.line([(0, base + 0.1), (1, base + 0.1)], joint, 0.004)


def rooftop(canvas: Canvas) -> None:
    """Paint a tiled roof high over the town, with a chimney."""
    rng = canvas.rng
    ridge = rng.uniform(0.66, 0.72)
    paint_sky(canvas, ridge)
    skyline(canvas, ridge + 0.06, 0.1, 0.3, count=9, depth=0.5)
    tile = canvas.vary(rng.choice(((206, 96, 74), (190, 84, 84), (176, 104, 84))), 10)
    x = rng.choice((rng.uniform(0.05, 0.14), rng.uniform(0.76, 0.85)))
    brick = canvas.shade(canvas.vary((160, 92, 84), 8))
    canvas.box(x, ridge - 0.14, x + 0.1, ridge + 0.06, brick)
    canvas.tell("chimney", (x - 0.012, ridge - 0.16, x + 0.112, ridge))
    canvas.tell_ground("roof", ridge, color=tile)
    canvas.box(x - 0.012, ridge - 0.16, x + 0.112, ridge - 0.12, mix(brick, (0, 0, 0), 0.15))
    row, y = 0, ridge
    while y < 1:
        height = 0.055 + 0.02 * row
        shade = canvas.shade(mix(tile, (40, 10, 30), 0.16 if row % 2 else 0.04), snow=0.65)
        edge = mix(shade, (20, 0, 20), 0.22)
        canvas.box(0, y, 1, y + height, shade)
        width = 0.075 + 0.02 * row
        for column in range(int(1 / width) + 2):
            cx = (column + (0.5 if row % 2 else 0.0)) * width
            canvas.oval(cx, y + height * 0.92, width * 0.49, height * 0.3, shade)
            canvas.line([(cx + width / 2, y + height * 0.1), (cx + width / 2, y + height)], edge, 0.005)
        canvas.line([(0, y), (1, y)], edge, 0.006)
        y += height
        row += 1
    canvas.box(0, ridge - 0.022, 1, ridge + 0.018, canvas.shade(mix(tile, (255, 220, 200), 0.25), snow=0.9))


def street(canvas: Canvas) -> None:
    """House fronts with doors and awnings along a pavement and a road."""
    rng = canvas.rng
    kerb = rng.uniform(0.7, 0.75)
    paint_sky(canvas, kerb)
    x = -rng.uniform(0.0, 0.12)
    while x < 1:
        width = rng.uniform(0.2, 0.3)
        _house(canvas, x, width, kerb, kerb - rng.uniform(0.36, 0.54))
        x += width
    canvas.gradient(
        kerb, kerb + 0.07, (canvas.shade((206, 202, 200), snow=0.7), canvas.shade((186, 182, 186), snow=0.7))
    )
    canvas.box(0, kerb + 0.07, 1, kerb + 0.085, canvas.shade((150, 150, 160), snow=0.4))
    canvas.gradient(
        kerb + 0.085, 1, (canvas.shade((104, 108, 122), snow=0.55), canvas.shade((92, 96, 110), snow=0.55))
    )
    canvas.tell_ground("pavement", kerb, bottom=kerb + 0.085)
    canvas.tell_ground("road", kerb + 0.085)
    start = rng.uniform(-0.1, 0.0)
    for index in range(5):
        left = start + index * 0.25
        canvas.box(left, 0.93, left + 0.13, 0.945, canvas.shade((240, 236, 214)))


def _house(canvas: Canvas, x: float, width: float, foot: float, top: float) -> None:
    rng = canvas.rng
    paint = rng.choice(((240, 196, 160), (170, 206, 214), (240, 214, 140), (214, 160, 170), (190, 210, 170)))
    paint = canvas.vary(paint, 10)
    canvas.tell("house", (x - 0.012, top - 0.1, x + width + 0.008, foot), color=paint)
    wall = canvas.shade(paint, depth=0.05)
    roof = canvas.shade(canvas.vary((164, 90, 84), 14), snow=0.8)
    canvas.box(x, top, x + width - 0.004, foot, wall)
    canvas.shape([(x - 0.012, top), (x + width / 2, top - 0.1), (x + width + 0.008, top)], roof)
    lamps = canvas.light.lamps
    for row in range(2):
        for column in range(2):
            left, y = x + width * (0.16 + 0.4 * column), top + 0.05 + 0.13 * row
            right, frame = left + width * 0.26, mix(wall, (255, 255, 255), 0.4)
            glass = _LAMP if lamps and rng.random() < 0.65 else canvas.shade((110, 150, 180))
            canvas.box(left - 0.007, y - 0.007, right + 0.007, y + 0.087, frame)
            canvas.box(left, y, right, y + 0.08, glass)
    door = x + width * 0.36
    canvas.box(door, foot - 0.13, door + width * 0.28, foot, canvas.shade(canvas.vary((120, 84, 76), 16)))
    awning = canvas.shade(rng.choice(((226, 90, 90), (80, 150, 150), (240, 180, 80))), snow=0.5)
    canvas.box(x + width * 0.1, foot - 0.17, x + width * 0.9, foot - 0.135, awning, radius=0.01)


def farm(canvas: Canvas) -> None:
    """Paint a red barn, a fence and furrowed fields."""
    rng = canvas.rng
    horizon = rng.uniform(0.52, 0.58)
    paint_sky(canvas, horizon)
    ground(canvas, horizon, 0.03, (140, 190, 110), depth=0.35)
    _barn(canvas, rng.choice((rng.uniform(0.14, 0.22), rng.uniform(0.78, 0.86))), horizon + 0.1)
    field = canvas.vary((232, 200, 96), 10)
    ground(canvas, horizon + 0.08, 0.012, field)
    furrow = canvas.shade(mix(field, (140, 100, 40), 0.3), snow=0.6)
    for share in range(-3, 14):
        away = share / 10 - 0.5
        canvas.line([(0.5 + away * 0.9, horizon + 0.1), (0.5 + away * 2.6, horizon + 0.3)], furrow, 0.008)
    ground(canvas, horizon + 0.24, 0.012, (138, 190, 84))
    wood = canvas.shade((250, 244, 232), snow=0.3)
    y = horizon + 0.2
    canvas.tell("fence", (0.0, y - 0.03, 1.0, y + 0.085))
    for rail in (0.0, 0.045):
        canvas.box(0, y + rail, 1, y + rail + 0.014, mix(wood, canvas.shade((140, 110, 90)), 0.15))
    for index in range(8):
        x = (index + 0.5) / 8
        canvas.box(x - 0.011, y - 0.03, x + 0.011, y + 0.085, wood)


_GAMBREL = ((-0.15, 0.19), (-0.1, 0.285), (0.0, 0.34), (0.1, 0.285), (0.15, 0.19))


def _barn(canvas: Canvas, x: float, foot: float) -> None:
    red, roof = canvas.shade(canvas.vary((204, 66, 58), 10)), canvas.shade((120, 110, 124), snow=0.85)
    white = canvas.shade((246, 240, 232))
    canvas.box(x - 0.13, foot - 0.2, x + 0.13, foot, red)
    canvas.tell("barn", (x - 0.16, foot - 0.35, x + 0.16, foot))
    canvas.shape(
        [
            (x - 0.13, foot - 0.2),
            (x - 0.09, foot - 0.28),
            (x, foot - 0.33),
            (x + 0.09, foot - 0.28),
            (x + 0.13, foot - 0.2),
        ],
        red,
    )
    eaves = [(x + dx, foot - up) for dx, up in _GAMBREL]
    canvas.line(eaves, roof, 0.028)
    canvas.box(x - 0.06, foot - 0.14, x + 0.06, foot, white)
    canvas.box(x - 0.05, foot - 0.13, x + 0.05, foot, red)
    canvas.line([(x - 0.05, foot - 0.13), (x + 0.05, foot)], white, 0.01)
    canvas.line([(x + 0.05, foot - 0.13), (x - 0.05, foot)], white, 0.01)
    canvas.box(x - 0.03, foot - 0.26, x + 0.03, foot - 0.205, _glass(canvas, (90, 60, 60)))


def park(canvas: Canvas) -> None:
    """Paint a lawn with round trees, a path, a bench and a lamp."""
    rng = canvas.rng
    horizon = rng.uniform(0.54, 0.6)
    paint_sky(canvas, horizon)
    ground(canvas, horizon - 0.04, 0.03, (104, 160, 104), depth=0.4)
    for _ in range(rng.randint(4, 6)):
        canvas.prop("deciduous-tree", rng.random(), horizon + 0.03, rng.uniform(0.2, 0.28), depth=0.2)
    ground(canvas, horizon + 0.02, 0.012, (130, 194, 92))
    side = rng.choice((0, 1))
    tree = (1 - side) * rng.uniform(0.86, 0.96) + side * rng.uniform(0.04, 0.14)
    canvas.prop("deciduous-tree", tree, horizon + 0.14, rng.uniform(0.5, 0.6))
    path = canvas.shade(canvas.vary((232, 212, 178), 8), snow=0.75)
    bend = rng.uniform(0.3, 0.7)
    canvas.tell("path", (bend - 0.05, horizon + 0.04, bend + 0.05, horizon + 0.1))
    canvas.shape(
        [(bend - 0.05, horizon + 0.04), (bend + 0.05, horizon + 0.04), (0.85, 1.0), (0.15, 1.0)], path
    )
    _lamp_post(canvas, 1 - tree, horizon + 0.12)
    _bench(canvas, tree + (0.13 if side else -0.13), horizon + 0.15)


def _lamp_post(canvas: Canvas, x: float, foot: float) -> None:
    iron = canvas.shade((64, 76, 84))
    canvas.line([(x, foot), (x, foot - 0.32)], iron, 0.014)
    canvas.tell("lamp", (x - 0.034, foot - 0.384, x + 0.034, foot))
    canvas.box(x - 0.03, foot - 0.01, x + 0.03, foot + 0.008, iron)
    if canvas.light.lamps:
        canvas.glow(x, foot - 0.35, 0.14, _LAMP, 0.8)
    canvas.oval(x, foot - 0.35, 0.034, 0.034, _glass(canvas, (246, 246, 236)))


def _bench(canvas: Canvas, x: float, foot: float) -> None:
    wood, iron = canvas.shade((176, 116, 74), snow=0.5), canvas.shade((70, 70, 80))
    canvas.tell("bench", (x - 0.11, foot - 0.115, x + 0.11, foot))
    for dx in (-0.09, 0.08):
        canvas.box(x + dx, foot - 0.11, x + dx + 0.014, foot, iron)
    for y in (0.115, 0.085, 0.05):
        canvas.box(x - 0.11, foot - y, x + 0.11, foot - y + 0.02, wood)


def harbor(canvas: Canvas) -> None:
    """Paint boats and a lighthouse on the water behind a wooden pier."""
    rng = canvas.rng
    horizon = rng.uniform(0.44, 0.5)
    pier = rng.uniform(0.74, 0.78)
    paint_sky(canvas, horizon)
    side = rng.choice((0.12, 0.88))
    coast = canvas.shade((110, 140, 130), depth=0.35)
    canvas.oval(side, horizon + 0.01, 0.26, 0.05, coast)
    canvas.tell("coast", (side - 0.26, horizon - 0.04, side + 0.26, horizon))
    _lighthouse(canvas, side, horizon - 0.03)
    water(canvas, horizon, pier + 0.03, (40, 122, 160))
    for index in range(rng.randint(2, 3)):
        x = rng.uniform(0.05, 0.95)
        canvas.prop("sailboat", x, horizon + 0.06 + 0.07 * index, 0.14 + 0.07 * index, snow=0.2)
    wood = canvas.vary((172, 124, 86), 10)
    canvas.tell_ground("pier", pier, color=wood)
    tone = canvas.shade(wood, snow=0.65)
    dark = mix(tone, (20, 10, 20), 0.4)
    for x in (0.06, 0.36, 0.64, 0.94):
        canvas.box(x - 0.02, pier - 0.07, x + 0.02, pier + 0.06, dark)
        canvas.oval(x, pier - 0.07, 0.02, 0.01, tone)
    canvas.gradient(pier, 1, (mix(tone, (255, 240, 220), 0.1), tone))
    canvas.box(0, pier, 1, pier + 0.016, dark)
    for index in range(-4, 14):
        x = index / 9
        canvas.line([(x, pier + 0.016), (0.5 + (x - 0.5) * 1.7, 1)], mix(tone, (20, 10, 20), 0.25), 0.005)


def _lighthouse(canvas: Canvas, x: float, foot: float) -> None:
    white, red = canvas.shade((248, 246, 240)), canvas.shade((216, 70, 64))
    for index in range(4):
        a, b = 0.042 - 0.005 * index, 0.042 - 0.005 * (index + 1)
        y = foot - 0.065 * index
        canvas.shape(
            [(x - a, y), (x + a, y), (x + b, y - 0.065), (x - b, y - 0.065)], red if index % 2 else white
        )
    top = foot - 0.26
    canvas.tell("lighthouse", (x - 0.042, top - 0.08, x + 0.042, foot))
    if canvas.light.lamps:
        canvas.glow(x, top - 0.02, 0.2, _LAMP, 0.9)
    canvas.box(x - 0.02, top - 0.04, x + 0.02, top, _glass(canvas, (200, 226, 236)))
    canvas.shape([(x - 0.03, top - 0.04), (x, top - 0.08), (x + 0.03, top - 0.04)], red)
