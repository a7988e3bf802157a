"""Places with a roof: a room with a window, and a stage before a painted sky."""

from __future__ import annotations

from allaprima.lab.scenes.canvas import Canvas
from allaprima.lab.scenes.light import Color, mix
from allaprima.paint.layout.sky import ORBS


def room(canvas: Canvas) -> None:
    """Paint a papered wall with a window on the sky, a picture, a plant and a wooden floor."""
    rng = canvas.rng
    floor = rng.uniform(0.7, 0.76)
    paper = canvas.vary(rng.choice(((240, 214, 180), (196, 216, 206), (222, 200, 222), (200, 214, 234))), 8)
    dim = 0.35 if canvas.light.hour == "night" else 0.6
    wall = mix(canvas.shade(paper), paper, dim)
    canvas.gradient(0, floor, (mix(wall, (255, 255, 255), 0.08), wall))
    canvas.tell_ground("wall", 0.0, color=paper, bottom=floor)
    stripe = mix(wall, (255, 255, 255), 0.14)
    for index in range(9):
        canvas.box(index / 9 + 0.03, 0, index / 9 + 0.06, floor, stripe)
    left = rng.choice((rng.uniform(0.06, 0.12), rng.uniform(0.5, 0.56)))
    _window(canvas, left, rng.uniform(0.1, 0.14), 0.36, 0.36)
    other = left + 0.56 if left < 0.3 else left - 0.26
    frame = mix(canvas.shade((150, 104, 70)), (150, 104, 70), dim)
    y = rng.uniform(0.14, 0.22)
    canvas.box(other - 0.09, y, other + 0.09, y + 0.2, frame)
    canvas.tell("painting", (other - 0.09, y, other + 0.09, y + 0.2))
    canvas.box(other - 0.07, y + 0.02, other + 0.07, y + 0.18, mix(wall, (255, 255, 255), 0.5))
    canvas.oval(other, y + 0.11, 0.045, 0.045, mix(canvas.shade((226, 110, 90)), (226, 110, 90), dim))
    board = canvas.vary((190, 136, 90), 10)
    canvas.tell_ground("floor", floor, color=board)
    plank = mix(canvas.shade(board), board, dim)
    canvas.gradient(floor, 1, (mix(plank, (40, 10, 0), 0.14), plank))
    for index in range(-3, 13):
        x = index / 9
        canvas.line([(x, floor), (0.5 + (x - 0.5) * 1.9, 1)], mix(plank, (40, 10, 0), 0.25), 0.005)
    canvas.box(0, floor - 0.03, 1, floor, mix(wall, (255, 255, 255), 0.55))
    canvas.prop("potted-plant", rng.choice((0.08, 0.92)), floor + 0.06, rng.uniform(0.26, 0.32), snow=0.0)


def _window(canvas: Canvas, x: float, y: float, width: float, height: float) -> None:
    light = canvas.light
    canvas.tell("window", (x - 0.025, y - 0.025, x + width + 0.025, y + height + 0.025))
    bar = mix(canvas.shade((250, 246, 240)), (250, 246, 240), 0.5)
    canvas.box(x - 0.025, y - 0.025, x + width + 0.025, y + height + 0.025, bar)
    canvas.gradient(y, y + height, light.sky, x0=x, x1=x + width)
    orb: Color = (255, 244, 206) if light.hour != "sunset" else (255, 226, 130)
    cx, cy = x + width * 0.3, y + height * (0.7 if ORBS[light.hour] == "low sun" else 0.3)
    if light.weather == "clear":
        canvas.oval(cx, cy, 0.04, 0.04, orb)
    if light.hour == "night":
        for _ in range(8):
            star = (x + canvas.rng.uniform(0.02, width - 0.02), y + canvas.rng.uniform(0.02, height * 0.7))
            canvas.oval(*star, 0.004, 0.004, (255, 255, 255))
    foot = y + height
    crest = [(x, foot - 0.06), (x + width * 0.4, foot - 0.1), (x + width, foot - 0.05)]
    hill = canvas.shade((110, 160, 110), depth=0.25, snow=0.8)
    canvas.shape([(x, foot), *crest, (x + width, foot)], hill)
    canvas.box(x + width / 2 - 0.008, y, x + width / 2 + 0.008, y + height, bar)
    canvas.box(x, y + height / 2 - 0.008, x + width, y + height / 2 + 0.008, bar)


def stage(canvas: Canvas) -> None:
    """Paint red curtains around a backdrop of sky, spotlights and a wooden stage."""
    rng, light = canvas.rng, canvas.light
    floor = rng.uniform(0.7, 0.76)
    canvas.gradient(0, floor, light.sky)
    if light.hour == "night":
        for _ in range(14):
            canvas.oval(rng.uniform(0.2, 0.8), rng.uniform(0.15, 0.5), 0.004, 0.004, (255, 255, 255))
    canvas.glow(0.5, floor - 0.05, 0.5, mix(light.sky[2], (255, 246, 214), 0.5), 0.8)
    wood = canvas.vary((196, 140, 90), 10)
    canvas.tell_ground("backdrop", 0.0, bottom=floor)
    canvas.tell_ground("floor", floor, color=wood)
    board = canvas.shade(wood)
    board = mix(board, (196, 140, 90), 0.3)
    canvas.gradient(floor, 1, (mix(board, (40, 10, 10), 0.25), board))
    for index in range(1, 5):
        y = floor + (1 - floor) * (index / 5) ** 1.4
        canvas.line([(0, y), (1, y)], mix(board, (40, 10, 0), 0.25), 0.005)
    red = canvas.vary(rng.choice(((206, 40, 60), (190, 36, 70), (214, 56, 50))), 8)
    width = rng.uniform(0.15, 0.19)
    for left, right in ((0.0, width), (1 - width, 1.0)):
        canvas.tell("curtain", (left, 0.0, right, floor + 0.03), color=red)
    red = mix(canvas.shade(red), red, 0.45)
    for fold in range(4):
        tone = mix(red, (50, 0, 20), 0.32 if fold % 2 else 0.0)
        a, b = width * fold / 4, width * (fold + 1) / 4
        canvas.box(a, 0, b, floor + 0.03, tone)
        canvas.box(1 - b, 0, 1 - a, floor + 0.03, tone)
    for scallop in range(6):
        x = (scallop + 0.5) / 6
        canvas.oval(x, 0.08, 0.1, 0.09, mix(red, (50, 0, 20), 0.25))
        canvas.oval(x, 0.065, 0.1, 0.085, red)
    gold: Color = mix(canvas.shade((250, 204, 90)), (250, 204, 90), 0.5)
    canvas.box(0, 0, 1, 0.045, mix(red, (50, 0, 20), 0.2))
    canvas.box(0, 0.04, 1, 0.052, gold)
