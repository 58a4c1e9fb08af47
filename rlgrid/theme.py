"""Colours: the tokens of the dark and the light theme, the maps from values to colours, and the ink that reads on them.

One-signed values use cividis (Nuñez, Anderton and Renslow 2018), which people with colour vision deficiencies read as
others do; values of both signs use a diverging map whose middle is 0, equal steps of value being equal steps of
colour on both sides. Contrast is WCAG 2.1's: (L1 + 0.05) / (L2 + 0.05) of the relative luminances L.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

RGB = tuple[int, int, int]

CONTRAST = 4.5
"""The least contrast of ink on a cell (WCAG 2.1, level AA)."""


def rgb(text: str) -> RGB:
    """The three bytes of a colour written ``#rrggbb``."""
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


@dataclass(frozen=True)
class Theme:
    """Named colours, each an (r, g, b) of bytes."""

    name: str
    background: RGB
    panel: RGB
    raised: RGB
    hairline: RGB
    text: RGB
    muted: RGB
    accent: RGB  # what is now: the agent, its trail, playing, the selected action
    second: RGB  # what can be changed, or was
    goal: RGB
    harm: RGB
    wall: RGB
    hatch: RGB
    floor: RGB  # a cell without a value
    gap: RGB  # the line between two cells
    ice: RGB
    door: RGB
    negative: RGB  # the ends and the middle of the diverging map
    neutral: RGB
    positive: RGB


DARK = Theme(
    name="dark",
    background=rgb("#0e1116"),
    panel=rgb("#161b22"),
    raised=rgb("#1f2630"),
    hairline=rgb("#2b333e"),
    text=rgb("#e8ecf1"),
    muted=rgb("#93a0b1"),
    accent=rgb("#ff9f43"),
    second=rgb("#4fb3ff"),
    goal=rgb("#2fbf71"),
    harm=rgb("#ff6b6b"),
    wall=rgb("#0a0d11"),
    hatch=rgb("#232b35"),
    floor=rgb("#1f2630"),
    gap=rgb("#0e1116"),
    ice=rgb("#9bd7ff"),
    door=rgb("#7a5230"),
    negative=rgb("#e2574c"),
    neutral=rgb("#2a313b"),
    positive=rgb("#58b4f5"),
)

LIGHT = Theme(
    name="light",
    background=rgb("#f4f5f7"),
    panel=rgb("#ffffff"),
    raised=rgb("#eef0f3"),
    hairline=rgb("#d5dae1"),
    text=rgb("#161b22"),
    muted=rgb("#5d6878"),
    accent=rgb("#d9660b"),
    second=rgb("#0a6fc2"),
    goal=rgb("#2fbf71"),
    harm=rgb("#c62f2f"),
    wall=rgb("#dfe3e8"),
    hatch=rgb("#c3cad3"),
    floor=rgb("#ffffff"),
    gap=rgb("#d9dee5"),
    ice=rgb("#9bd7ff"),
    door=rgb("#c79a6b"),
    negative=rgb("#b8322a"),
    neutral=rgb("#eceef2"),
    positive=rgb("#1767a8"),
)

THEMES = {theme.name: theme for theme in (DARK, LIGHT)}


def theme_of(theme: str | Theme) -> Theme:
    """A theme by its name; a `Theme` is returned as it is.

    Raises:
        ValueError: if there is no theme of that name.
    """
    if isinstance(theme, Theme):
        return theme
    if theme not in THEMES:
        raise ValueError(f"theme must be {' or '.join(map(repr, THEMES))} or a Theme, not {theme!r}")
    return THEMES[theme]


# Cividis as a broken line: (position of 255, colour), within one unit of a byte of the published table throughout.
_CIVIDIS = {
    **{0: "#00224e", 19: "#00306f", 21: "#003170", 23: "#013271", 28: "#123570", 34: "#1e3a6f", 43: "#2b406d"},
    **{52: "#36466c", 66: "#45506c", 84: "#565c6d", 107: "#6b6d72", 126: "#7b7a78", 147: "#8f8a78", 164: "#9f9775"},
    **{179: "#aea371", 192: "#bcae6c", 205: "#c9b965", 219: "#d9c55c", 232: "#e7d150", 243: "#f3db42"},
    **{251: "#fde334", 252: "#fee434", 255: "#fee838"},
}
_STEPS = 1024


@cache
def _ramp(stops: tuple[tuple[float, RGB], ...]) -> NDArray[np.uint8]:
    """uint8 [_STEPS, 3]: colours at equal distances along a broken line of stops in [0, 1]."""
    where = np.linspace(0.0, 1.0, _STEPS)
    at = [position for position, _ in stops]
    channels = [np.interp(where, at, [colour[k] for _, colour in stops]) for k in range(3)]
    table = np.stack(channels, axis=-1).round().astype(np.uint8)
    table.setflags(write=False)
    return table


def sequential() -> NDArray[np.uint8]:
    """uint8 [N, 3], cividis from its low to its high end."""
    return _ramp(tuple((position / 255, rgb(colour)) for position, colour in _CIVIDIS.items()))


def diverging(theme: str | Theme = "dark") -> NDArray[np.uint8]:
    """uint8 [N, 3], the theme's map for values of both signs; its middle stands for 0."""
    theme = theme_of(theme)
    return _ramp(((0.0, theme.negative), (0.5, theme.neutral), (1.0, theme.positive)))


def palette_of(lo: float, hi: float, theme: str | Theme = "dark") -> tuple[NDArray[np.uint8], float, float]:
    """The colours of a scale from its low to its high end, uint8 [N, 3], and these ends.

    Cividis where lo and hi have one sign; else the diverging map from -m to m with m the larger of -lo and hi.

    Raises:
        ValueError: if lo and hi are not a scale.
    """
    if not (np.isfinite(lo) and np.isfinite(hi) and lo <= hi):
        raise ValueError(f"a scale needs finite ends, the lower first, not ({lo}, {hi})")
    if lo < 0 < hi:
        most = max(-lo, hi)
        return diverging(theme), -most, most
    return sequential(), lo, hi


def colormap(values: ArrayLike, lo: float, hi: float, theme: str | Theme = "dark") -> NDArray[np.uint8]:
    """Colours of values on the scale [lo, hi].

    Cividis where lo and hi have one sign. Where lo < 0 < hi, the diverging map from -m to m with m the larger of -lo
    and hi, so that 0 is always the middle. Values beyond the scale take the colour of its end; values that are not
    finite take the floor's colour.

    Args:
        values: numbers of any shape [...].
        lo, hi: the ends of the scale, finite, lo <= hi.
        theme: whose diverging map and floor are used.

    Returns:
        uint8 [..., 3].

    Raises:
        ValueError: if lo and hi are not a scale.
    """
    given = np.asarray(values, np.float64)
    table, lo, hi = palette_of(lo, hi, theme)
    finite = np.isfinite(given)
    # In quarters, so that a scale of nearly the whole float range does not overflow.
    lo, span = lo / 4, hi / 4 - lo / 4
    with np.errstate(invalid="ignore"):
        part = (np.clip(given / 4, lo, hi / 4) - lo) / span if span > 0 else np.zeros_like(given)
    index = np.where(finite, part, 0.0) * (_STEPS - 1) + 0.5
    colours: NDArray[np.uint8] = np.array(table[index.astype(np.intp)])  # of a single value it would be a view
    if not finite.all():
        colours[~finite] = theme_of(theme).floor
    return colours


# --- ink ------------------------------------------------------------------------------------------------------------

LINEAR = np.array([c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in np.arange(256) / 255])
WEIGHTS = np.array([0.2126, 0.7152, 0.0722])

# Tried in this order. The soft pair is kinder to the eye, but on mid-grey only the hard pair reaches the contrast:
# whatever the background, white or this near-black does, since (1 + 0.05) / (L + 0.05) of the two exceeds 4.5 squared.
INKS = np.array([rgb("#e8ecf1"), rgb("#10141a"), rgb("#ffffff"), rgb("#050607")], np.uint8)


def luminance(colours: ArrayLike) -> NDArray[np.float64]:
    """Relative luminance in [0, 1] of colours uint8 [..., 3]; shape [...]."""
    result: NDArray[np.float64] = LINEAR[np.asarray(colours, np.uint8)] @ WEIGHTS
    return result


INK_LIMITS = np.array([(ink + 0.05) / CONTRAST - 0.05 for ink in luminance(INKS[[0, 2]])] + [0.0])
INK_LIMITS[2] = CONTRAST * (luminance(INKS[1]) + 0.05) - 0.05
"""The luminances of the ground at which another of `INKS` is taken: up to the first the soft light one, from the last
on the soft dark one; between them the hard light one up to the second, and then the hard dark one."""


def contrast(one: ArrayLike, other: ArrayLike) -> NDArray[np.float64]:
    """Contrast ratio in [1, 21] of two colours uint8 [..., 3], which broadcast; shape [...]."""
    a, b = luminance(one), luminance(other)
    result: NDArray[np.float64] = (np.maximum(a, b) + 0.05) / (np.minimum(a, b) + 0.05)
    return result


def ink_on(colours: ArrayLike) -> NDArray[np.uint8]:
    """A dark or light ink for each background uint8 [..., 3], of contrast at least 4.5; uint8 [..., 3]."""
    ground = luminance(colours)
    light, between, dark = INK_LIMITS
    choice = np.where(ground <= light, 0, np.where(ground >= dark, 1, np.where(ground <= between, 2, 3)))
    result: NDArray[np.uint8] = INKS[choice]
    return result
