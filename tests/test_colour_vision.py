"""What is told apart by colour is told apart without a kind of cone: simulated protanopia, deuteranopia, tritanopia.

The simulation is that of Machado, Oliveira and Fernandes (2009), A physiologically-based model for simulation of color
vision deficiency, IEEE TVCG 15(6), at severity 1; its matrices act on linear light. Differences are CIE 1976 of CIELAB.
"""

from __future__ import annotations

import numpy as np
import pytest

from rlgrid.theme import LINEAR, THEMES, colormap, contrast, diverging, ink_on, sequential
from rlgrid.window.widgets import legible

KINDS = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def seen(colours: np.ndarray, kind: str) -> np.ndarray:
    """uint8 [..., 3] as people with this kind of vision see them."""
    light = np.clip(LINEAR[np.asarray(colours, np.uint8)] @ np.array(KINDS[kind]).T, 0.0, 1.0)
    return (255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055) + 0.5).astype(
        np.uint8
    )


def lab(colours: np.ndarray) -> np.ndarray:
    """CIELAB of sRGB colours, white being D65."""
    xyz = LINEAR[np.asarray(colours, np.uint8)] @ TO_XYZ.T / TO_XYZ.sum(axis=1)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


def difference(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.linalg.norm(lab(one) - lab(other), axis=-1)


def test_grey_stays_grey_and_what_is_confused_is_confused() -> None:
    grey = np.array([[90, 90, 90], [200, 200, 200]])
    for kind in KINDS:
        assert np.abs(seen(grey, kind).astype(int) - grey).max() <= 2
    red, green = np.array([200, 60, 60]), np.array([110, 115, 40])
    assert difference(seen(red, "deuteranopia"), seen(green, "deuteranopia")) < 0.6 * difference(red, green)


@pytest.mark.parametrize("kind", KINDS)
def test_values_grow_lighter_and_steps_of_a_scale_can_be_seen(kind: str) -> None:
    tenths = seen(sequential()[np.linspace(0, len(sequential()) - 1, 11).astype(int)], kind)
    assert (np.diff(lab(tenths)[:, 0]) > 2).all()
    assert difference(tenths[1:], tenths[:-1]).min() > 5


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("kind", KINDS)
def test_signs_are_told_apart(kind: str, theme: str) -> None:
    part = np.linspace(0.2, 1.0, 9)
    negative, positive = (seen(colormap(sign * part, -1.0, 1.0, theme), kind) for sign in (-1.0, 1.0))
    assert difference(negative, positive).min() > 10
    middle = seen(diverging(theme)[len(diverging(theme)) // 2], kind)
    assert min(difference(negative[1:], middle).min(), difference(positive[1:], middle).min()) > 8


@pytest.mark.parametrize("theme", THEMES)
def test_coloured_words_are_legible_on_panels(theme: str) -> None:
    chosen = THEMES[theme]
    for colour in (chosen.accent, chosen.second, chosen.goal, chosen.harm):
        ink = legible(colour, chosen)
        for ground in (chosen.panel, chosen.background, chosen.raised):
            assert contrast(ink, ground) >= 4.5
            for kind in KINDS:
                assert contrast(seen(np.array(ink), kind), seen(np.array(ground), kind)) > 3.5
        hues = lab(np.array([ink, colour]))[:, 1:]  # still of the same hue
        assert hues[0] @ hues[1] > 0.9 * np.linalg.norm(hues[0]) * np.linalg.norm(hues[1])


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("kind", KINDS)
def test_glyphs_can_be_read_and_what_is_marked_differs(kind: str, theme: str) -> None:
    chosen = THEMES[theme]
    grounds = np.concatenate([sequential()[::16], diverging(theme)[::16], [chosen.goal, chosen.harm, chosen.ice]])
    assert contrast(seen(grounds, kind), seen(ink_on(grounds), kind)).min() > 3.5
    assert difference(seen(np.array(chosen.accent), kind), seen(np.array(chosen.second), kind)) > 30
