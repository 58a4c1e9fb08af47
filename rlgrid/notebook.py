"""How models and solutions show themselves in a notebook: a picture and a caption."""

import base64
import html
import io
from typing import Any

import imageio.v3 as imageio

from rlgrid.layout import shape_of
from rlgrid.picture import draw


def as_html(model: Any, caption: str, **tables: Any) -> str:
    """A picture of a world with a caption, as notebooks show it; ``tables`` are arguments of `draw`."""
    buffer = io.BytesIO()
    rows, columns = shape_of(model)
    cell = min(48.0, 960 / max(rows, columns))
    size = (max(1, round(columns * cell)), max(1, round(rows * cell)))
    imageio.imwrite(buffer, draw(model, size=size, **tables), extension=".png")
    data = base64.b64encode(buffer.getvalue()).decode()
    text = html.escape(caption)
    return f'<figure><img alt="{text}" src="data:image/png;base64,{data}"/><figcaption>{text}</figcaption></figure>'
