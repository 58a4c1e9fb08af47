"""Numbers as people read them: as many digits as fit or are proven, a true minus, no rounding that hides a change."""

from __future__ import annotations

import math

MINUS = "−"


def fixed(value: float, digits: int = 4) -> str:
    """``value`` with so many decimals and a true minus sign; large numbers keep six figures in all."""
    if math.isnan(value):
        return "none"
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    whole = len(str(int(abs(value))))
    digits = max(0, min(digits, 7 - whole))
    shown = f"{abs(value):,.{digits}f}" if abs(value) < 1e9 else short(abs(value))
    negative = value < 0 and any(c in "123456789" for c in shown)
    return MINUS + shown if negative else shown


def short(value: float) -> str:
    """A number in few characters: 0.184, 3.1e-2, 12.4."""
    if math.isnan(value) or math.isinf(value):
        return fixed(value)
    size = abs(value)
    sign = MINUS if value < 0 else ""
    if size == 0:
        return "0"
    if 0.1 <= size < 1000:
        return sign + f"{size:.3f}" if size < 10 else sign + f"{size:.1f}"
    if 1000 <= size < 1e7:
        return sign + f"{size:,.0f}"
    mantissa, exponent = f"{size:.1e}".split("e")
    return f"{sign}{mantissa}e{int(exponent)}"


def tight(value: float) -> str:
    """A number in two figures: 0.18, 12, 3.4e4."""
    if math.isnan(value) or math.isinf(value):
        return fixed(value)
    mantissa, _, exponent = f"{abs(value):.2g}".partition("e")
    return (MINUS if value < 0 else "") + mantissa + (f"e{int(exponent)}" if exponent else "")


def count(number: int, unit: str = "") -> str:
    """A count with its unit: 1 sweep, 26 sweeps, 1,000 steps."""
    words = f"{number:,}"
    return f"{words} {unit}{'' if number == 1 else 's'}" if unit else words


def speed(units: float, unit: str) -> str:
    """A speed in words: 8 sweeps/s, 1,000 steps/s, full speed."""
    if math.isinf(units):
        return "full speed"
    if units < 1:
        return f"{units:g} {unit}/s"
    return f"{units:,.0f} {unit}{'' if units == 1 else 's'}/s"


def proven(lower: float, upper: float, value: float) -> str:
    """``value`` with the digits that the interval around it proves and two more, at least two in all."""
    gap = upper - lower
    if not math.isfinite(gap) or gap <= 0:
        return fixed(value, 6)
    return fixed(value, min(9, max(2, 2 - math.floor(math.log10(gap)))))
