"""The page of the playground: the files that a browser is given."""

from __future__ import annotations

from importlib.resources import files

from ...draw._html import resource

__all__ = ["FILES"]

_OWN = ("index.html", "page.css", "panels.css")
_SCRIPTS = ("connection.js", "tiles.js", "curves.js", "panels.js", "drawing.js", "controls.js")
_SHARED = ("base.css", "base.js")

# Name -> content. Nothing else is served, so that no path can lead out of this folder.
FILES = {name: (files(__package__) / name).read_bytes() for name in (*_OWN, *_SCRIPTS)} | {
    name: resource(name).read_bytes() for name in _SHARED
}
