"""One complete HTML file from a body, styles, scripts and data; it sends no request."""

from __future__ import annotations

import html
import json
import math
import os
from collections.abc import Mapping, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np

from ..._files import write_text
from ...errors import ArgumentError, DtypeError

__all__ = ["page", "resource", "write_page"]

# Nothing may be fetched: what a page shows is inside of it.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'unsafe-inline'{wasm}"
)
# Inside of a string, JSON may write these as escapes; left bare, they could end the script.
_ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
{styles}</style>
</head>
<body>
{noscript}{body}
<script type="application/json" id="data">{data}</script>
<script>
{scripts}</script>
</body>
</html>
"""
_NOSCRIPT = (
    "<noscript>This page needs JavaScript. It is all in this file: nothing is fetched.</noscript>\n"
)


def page(
    title: str,
    body: str,
    *,
    styles: Sequence[str | Traversable] = (),
    scripts: Sequence[str | Traversable] = (),
    data: Any = None,
    wasm: bool = False,
) -> str:
    """One complete HTML file, with ``base.css`` and ``base.js`` inside.

    Args:
        title: text; escaped here.
        body: HTML; the caller escapes what it puts there.
        styles, scripts: CSS and JavaScript in this order, each a text or a file such as
            ``resource("arrays.js")``. A page with scripts tells a browser that runs none.
        data: what ``pageData()`` returns in JavaScript: numbers, texts, arrays, Tensors' arrays,
            and sequences and mappings of them. NaN and the infinities arrive as such.
        wasm: the scripts compile WebAssembly.

    Raises:
        ArgumentError: a style or script would end its own element.
        DtypeError: ``data`` holds what JSON cannot say.

    >>> text = page("1 < 2", "<main></main>", data={"loss": float("nan")})
    >>> "<title>1 &lt; 2</title>" in text, '{"loss": {"$float": "NaN"}}' in text
    (True, True)
    """
    return _PAGE.format(
        policy=_POLICY.format(wasm=" 'wasm-unsafe-eval'" if wasm else ""),
        title=html.escape(title),
        styles="".join(_inline(source, "style") for source in (resource("base.css"), *styles)),
        scripts="".join(_inline(source, "script") for source in (resource("base.js"), *scripts)),
        noscript=_NOSCRIPT if scripts else "",
        body=body,
        data=json.dumps(_jsonable(data), allow_nan=False).translate(_ESCAPES),
    )


def resource(name: str) -> Traversable:
    """A .css or .js file of this folder.

    >>> resource("base.css").is_file()
    True
    """
    return files(__package__) / name


def write_page(path: str | os.PathLike[str], text: str) -> Path:
    """Write a page, whole at every moment; ``.html`` is added to a name without a suffix.

    Raises:
        ArgumentError: the folder does not exist, or ``path`` is one.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_page(f"{folder}/loss", page("Loss", "")).name
    'loss.html'
    """
    return write_text(path, text, ".html")


def _inline(source: str | Traversable, element: str) -> str:
    text = source if isinstance(source, str) else source.read_text("utf-8")
    if f"</{element}" in text.lower():
        raise ArgumentError(f"a {element} of the page contains </{element}, which would end it")
    return f"{text}\n"


def _jsonable(value: Any) -> Any:
    """``value`` in the types that JSON knows; ``pageData`` reads ``$float`` back as a number."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": "NaN" if math.isnan(value) else f"{'-' * (value < 0)}Infinity"}
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_jsonable(item) for item in value]
    if value is None or isinstance(value, str | int | float):
        return value
    raise DtypeError(f"page: the data hold a {type(value).__name__}, which JSON cannot say")
