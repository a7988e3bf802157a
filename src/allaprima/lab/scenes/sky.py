"""The sky: gradient, sun or moon, stars and clouds."""

from __future__ import annotations

from allaprima.lab.scenes.canvas import Canvas
from allaprima.lab.scenes.light import Color, mix
from allaprima.paint.layout.sky import Cloud, Orb, draw_clouds, draw_orb

_SUN: Color = (255, 236, 150)
_LOW_SUN: Color = (255, 222, 140)
_MOON: Color = (250, 244, 216)


def paint_sky(canvas: Canvas, horizon: float, *, clouds: bool = True) -> None:
    """Sky from the top to a little below the horizon, with what hangs in it."""
    light = canvas.light
    # Hills may dip below the horizon; the sky goes on behind them in its last colour.
    canvas.gradient(0, horizon, light.sky)
    canvas.tell_ground("sky", 0.0, bottom=horizon)
    canvas.box(0, horizon, 1, min(1.0, horizon + 0.2), light.sky[2])
    if light.hour == "night" and light.weather != "fog":
        stars(canvas, horizon, 10 if light.weather != "clear" else 34)
    orb = draw_orb(canvas.rng, light.hour, light.weather, horizon)
    if orb is not None:
        _orb(canvas, orb)
        canvas.tell(orb.name, orb.box)
    if clouds:
        for cloud in draw_clouds(canvas.rng, light.weather, horizon):
            _cloud(canvas, cloud)


def stars(canvas: Canvas, bottom: float, count: int) -> None:
    """Small stars, a few of them larger."""
    for _ in range(count):
        radius = canvas.rng.choice((0.003, 0.003, 0.004, 0.0055))
        tone = canvas.rng.choice(((255, 255, 255), (255, 244, 214), (206, 222, 255)))
        canvas.oval(canvas.rng.random(), canvas.rng.uniform(0, bottom * 0.92), radius, radius, tone)


def _orb(canvas: Canvas, orb: Orb) -> None:
    light, x, y, radius = canvas.light, orb.x, orb.y, orb.radius
    if orb.kind == "low sun":
        sun = _LOW_SUN if light.hour == "sunset" else (255, 240, 220)
        canvas.glow(x, y, 0.42, sun, 0.75)
        canvas.oval(x, y, radius, radius, sun)
    elif orb.kind == "sun":
        canvas.glow(x, y, 0.26, (255, 250, 214), 0.8)
        canvas.oval(x, y, radius, radius, _SUN)
    else:
        dim = 0.0 if light.weather == "clear" else 0.55
        moon = mix(_MOON, light.sky[0], dim)
        canvas.glow(x, y, 0.25, mix(light.sky[1], moon, 0.5), 0.6)
        canvas.oval(x, y, radius, radius, moon)
        for dx, dy, crater in ((-0.02, -0.015, 0.013), (0.02, 0.012, 0.017), (-0.012, 0.03, 0.009)):
            canvas.oval(x + dx, y + dy, crater, crater, mix(moon, light.sky[1], 0.18))


def _cloud(canvas: Canvas, cloud: Cloud) -> None:
    """Paint one puffy cloud: a flat foot, three round heads and a lit upper side."""
    light, x, y, width = canvas.light, cloud.x, cloud.y, cloud.width
    bright = {"day": 0.85, "dawn": 0.45, "sunset": 0.32, "night": 0.12}[light.hour]
    body = mix(light.sky[1], (255, 255, 255), bright)
    if light.weather == "rain":
        body = mix(light.sky[0], (60, 66, 80), 0.25)
    under = mix(body, light.sky[0], 0.25)
    canvas.tell("cloud", cloud.box)
    for color, lift in ((under, 0.0), (body, 0.018)):
        for dx, dy, radius in ((-0.26, 0.0, 0.17), (0.0, -0.1, 0.25), (0.27, 0.01, 0.16)):
            canvas.oval(x + dx * width, y + dy * width - lift, radius * width, radius * width * 0.86, color)
        canvas.box(
            x - width / 2, y - lift, x + width / 2, y + 0.13 * width - lift, color, radius=0.06 * width
        )
