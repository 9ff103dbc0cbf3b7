"""How the picture looks. Shape and border tell kinds apart where colours do not."""

from __future__ import annotations

__all__ = ["BOXES", "COPY", "EDGE", "FAINT", "FRAME", "GRAPH", "INK", "LINES", "NODE"]

INK, FAINT, LINE = "#17212b", "#52606d", "#44515e"
GRAPH = {
    "rankdir": "TB", "nodesep": "0.2", "ranksep": "0.2", "bgcolor": "white", "labelloc": "t",
    "fontname": "Arial", "fontsize": "10", "fontcolor": FAINT,
}  # fmt: skip
NODE = {
    "shape": "box", "style": "filled", "fontname": "Arial", "fontsize": "11", "color": LINE,
    "fontcolor": INK, "margin": "0.06,0.03", "height": "0.2", "width": "0.2",
}  # fmt: skip
EDGE = {"fontname": "Arial", "fontsize": "9", "arrowsize": "0.6"}
COPY = {"style": "filled,dashed", "color": "#9fb0c0"}  # a box that stands above already
FRAME = {"style": "rounded", "color": "#9fb0c0", "labeljust": "l", "margin": "6"}
BOXES = {
    "parameter": {"shape": "box3d", "fillcolor": "#fdeed0"},
    "variable": {"shape": "note", "fillcolor": "#fdeed0"},
    "input": {"shape": "invhouse", "fillcolor": "#e9e6f5"},
    "constant": {"style": "filled,dashed", "fillcolor": "#f1f3f5"},
    "operation": {"style": "filled,rounded", "fillcolor": "#e3eef9"},
    "result": {"peripheries": "2", "penwidth": "1.5", "fillcolor": "#d9f0df"},
}
LINES = {
    "value": {"color": LINE},
    "gradient": {"color": "#c2410c", "fontcolor": "#c2410c", "style": "dashed", "dir": "back"},
    "no gradient": {
        "color": "#7b8794", "fontcolor": FAINT, "style": "dotted", "penwidth": "1.6",
        "arrowhead": "tee",
    },
}  # fmt: skip
