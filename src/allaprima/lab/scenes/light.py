"""Light: the colours an hour and a weather give to the sky, the ground and what stands on it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from PIL import Image

from allaprima.paint.layout.vocabulary import Hour, Weather

Color = tuple[int, int, int]
Matrix = tuple[float, float, float, float, float, float, float, float, float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class Light:
    """How one hour in one weather looks. Colours are sRGB 0..255."""

    hour: Hour
    weather: Weather
    sky: tuple[Color, Color, Color]
    """Colours at the top, in the middle and at the horizon."""
    haze: Color
    """What far things fade into."""
    ground: Matrix
    """Grade of ground and props: rows of red, green and blue, each three factors and an offset."""
    subject: Matrix
    """Grade of subjects: milder, so that they stay readable."""
    rim: Color
    """Colour of the edge that the light touches."""
    rim_strength: float
    lamps: bool
    """Whether windows and lamps are lit."""


def grade(tint: tuple[float, float, float], saturation: float, lift: float = 0.0) -> Matrix:
    """Return a matrix that mixes colours towards grey, then multiplies them by a tint and adds `lift` (0..255)."""
    grey = (0.299, 0.587, 0.114)
    rows: list[float] = []
    for channel in range(3):
        own = [saturation if source == channel else 0.0 for source in range(3)]
        rows += [tint[channel] * (own[source] + (1 - saturation) * grey[source]) for source in range(3)]
        rows.append(lift)
    return tuple(rows)  # type: ignore[return-value]


def mix(a: Color, b: Color, share: float) -> Color:
    """Return the colour that is `share` (0..1) of the way from a to b."""
    red, green, blue = (round(p + (q - p) * share) for p, q in zip(a, b, strict=True))
    return (red, green, blue)


def apply(matrix: Matrix, color: Color) -> Color:
    """Return a colour under a grade, clipped to 0..255."""
    r, g, b = color
    red, green, blue = (
        min(255, max(0, round(matrix[i] * r + matrix[i + 1] * g + matrix[i + 2] * b + matrix[i + 3])))
        for i in (0, 4, 8)
    )
    return (red, green, blue)


def apply_picture(matrix: Matrix, picture: Image.Image) -> Image.Image:
    """Return an RGBA picture under a grade; its alpha is kept."""
    graded = picture.convert("RGB").convert("RGB", matrix)
    graded.putalpha(picture.getchannel("A"))
    return graded


_HOURS: dict[Hour, Light] = {
    "day": Light(
        hour="day", weather="clear", sky=((64, 156, 240), (124, 196, 250), (214, 240, 253)), haze=(206, 232, 248),
        ground=grade((1.0, 1.0, 1.0), 1.0), subject=grade((1.0, 1.0, 1.0), 1.0),
        rim=(255, 255, 244), rim_strength=0.25, lamps=False,
    ),
    "dawn": Light(
        hour="dawn", weather="clear", sky=((128, 132, 214), (232, 164, 208), (255, 218, 206)), haze=(250, 206, 214),
        ground=grade((0.93, 0.84, 0.95), 0.86, 8), subject=grade((0.98, 0.91, 0.97), 0.95, 4),
        rim=(255, 206, 214), rim_strength=0.55, lamps=False,
    ),
    "sunset": Light(
        hour="sunset", weather="clear", sky=((104, 66, 146), (240, 108, 92), (255, 196, 96)), haze=(252, 166, 100),
        ground=grade((0.98, 0.74, 0.62), 0.92), subject=grade((1.04, 0.88, 0.76), 1.0),
        rim=(255, 190, 96), rim_strength=0.75, lamps=True,
    ),
    "night": Light(
        hour="night", weather="clear", sky=((12, 16, 54), (30, 40, 108), (72, 92, 168)), haze=(58, 76, 146),
        ground=grade((0.38, 0.46, 0.74), 0.75), subject=grade((0.82, 0.81, 1.0), 0.95, 8),
        rim=(170, 200, 255), rim_strength=0.5, lamps=True,
    ),
}  # fmt: skip
_CLOUDED: dict[Weather, tuple[Color, float, float, float]] = {
    # the colour that the sky is mixed with, how much, brightness and saturation of what lies below
    "rain": ((96, 110, 132), 0.62, 0.84, 0.8),
    "snow": ((206, 216, 230), 0.6, 1.0, 0.85),
    "fog": ((214, 220, 226), 0.66, 1.0, 0.72),
}


def light_of(hour: Hour, weather: Weather) -> Light:
    """Return the light of an hour in a weather."""
    base = _HOURS[hour]
    if weather == "clear":
        return base
    veil, share, brightness, saturation = _CLOUDED[weather]
    shade = apply(base.ground, veil) if hour != "day" else veil
    share = share if hour in ("day", "night") else share * 0.7
    top, middle, low = (mix(color, shade, share) for color in base.sky)
    dim = grade((brightness, brightness, brightness), saturation)
    return replace(
        base,
        weather=weather,
        sky=(top, middle, low),
        haze=mix(base.haze, shade, share),
        ground=chain(base.ground, dim),
        subject=chain(base.subject, grade((0.97, 0.97, 0.98), 0.93)),
        rim_strength=base.rim_strength * 0.5,
    )


def chain(first: Matrix, second: Matrix) -> Matrix:
    """Return one matrix that does what `first` and then `second` do."""
    out: list[float] = []
    for row in (0, 4, 8):
        for column in range(4):
            value = sum(second[row + i] * first[4 * i + column] for i in range(3))
            out.append(value + (second[row + 3] if column == 3 else 0.0))
    return tuple(out)  # type: ignore[return-value]
