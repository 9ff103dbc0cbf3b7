# ruff: noqa: RUF001, RUF002  (signs that look like others)
"""The commands of LaTeX that ``mathml`` knows, and what they are in Unicode."""

from __future__ import annotations

GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ϵ", "varepsilon": "ε",
    "zeta": "ζ", "eta": "η", "theta": "θ", "iota": "ι", "kappa": "κ", "lambda": "λ", "mu": "μ",
    "nu": "ν", "xi": "ξ", "pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ", "upsilon": "υ",
    "phi": "ϕ", "varphi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω",
    "partial": "∂", "ell": "ℓ",
}  # fmt: skip

# Letters and signs that stand upright.
UPRIGHT = {
    "Gamma": "Γ", "Delta": "Δ", "Theta": "Θ", "Lambda": "Λ", "Xi": "Ξ", "Pi": "Π", "Sigma": "Σ",
    "Phi": "Φ", "Psi": "Ψ", "Omega": "Ω", "nabla": "∇", "infty": "∞", "top": "⊤", "bot": "⊥",
    "emptyset": "∅", "ldots": "…", "dots": "…", "cdots": "⋯", "vdots": "⋮", "ddots": "⋱",
    "%": "%", "&": "&", "#": "#", "$": "$", "_": "_", "forall": "∀", "exists": "∃",
    "neg": "¬", "lnot": "¬",
}  # fmt: skip

SIGNS = {"+": "+", "-": "−", "*": "∗"}
PRIME = "′"
BINARY = {
    "odot": "⊙", "cdot": "⋅", "times": "×", "oplus": "⊕", "otimes": "⊗", "ast": "∗", "star": "⋆",
    "circ": "∘", "pm": "±", "mp": "∓", "div": "÷", "wedge": "∧", "land": "∧", "vee": "∨",
    "lor": "∨", "cap": "∩", "cup": "∪", "setminus": "∖", "bmod": "mod",
}  # fmt: skip

RELATIONS = {
    "le": "≤", "leq": "≤", "ge": "≥", "geq": "≥", "ne": "≠", "neq": "≠", "ll": "≪", "gg": "≫",
    "in": "∈", "notin": "∉", "subset": "⊂", "approx": "≈", "equiv": "≡", "sim": "∼",
    "propto": "∝", "mid": "∣", "lt": "<", "gt": ">", "coloneqq": "≔",
    "leftarrow": "←", "gets": "←", "rightarrow": "→", "to": "→", "mapsto": "↦",
    "Leftarrow": "⇐", "Rightarrow": "⇒", "Leftrightarrow": "⇔", "leftrightarrow": "↔",
}  # fmt: skip

DELIMITERS = {
    "lbrace": "{", "rbrace": "}", "{": "{", "}": "}", "lbrack": "[", "rbrack": "]",
    "lfloor": "⌊", "rfloor": "⌋", "lceil": "⌈", "rceil": "⌉", "langle": "⟨", "rangle": "⟩",
    "lvert": "|", "rvert": "|", "vert": "|", "lVert": "‖", "rVert": "‖", "Vert": "‖", "|": "‖",
}  # fmt: skip
OPENING = frozenset("([{⌊⌈⟨")
CLOSING = frozenset(")]}⌋⌉⟩")

# Signs whose limits stand below and above them in a displayed formula.
LARGE = {"sum": "∑", "prod": "∏", "bigcup": "⋃", "bigcap": "⋂"}
INTEGRALS = {"int": "∫", "iint": "∬", "oint": "∮"}
LIMITS = {name: name for name in ("max", "min", "lim", "sup", "inf", "det", "gcd", "Pr")}
LIMITS |= {"argmax": "arg max", "argmin": "arg min"}
FUNCTIONS = frozenset(
    ("exp", "ln", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "arcsin", "arccos", "arctan",
     "arg", "dim", "ker", "deg", "cot", "sec", "csc", "coth")
)  # fmt: skip

SPACES = {  # in em
    ",": 1 / 6, ":": 2 / 9, ">": 2 / 9, ";": 5 / 18, "!": -1 / 6, " ": 0.25,
    "quad": 1.0, "qquad": 2.0,
}  # fmt: skip

ACCENTS = {
    "bar": "¯", "hat": "^", "tilde": "~", "dot": "˙", "ddot": "¨", "vec": "→", "check": "ˇ"
}  # fmt: skip
BRACES = {"overbrace": ("mover", "⏞"), "underbrace": ("munder", "⏟")}

# What a table stands between, and the styles of its columns.
_LEFT, _RIGHT = "text-align: left", "text-align: right"
ENVIRONMENTS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "matrix": ("", "", ()), "pmatrix": ("(", ")", ()), "bmatrix": ("[", "]", ()),
    "Bmatrix": ("{", "}", ()), "vmatrix": ("|", "|", ()), "Vmatrix": ("‖", "‖", ()),
    "cases": ("{", "", (_LEFT,)),
    "aligned": ("", "", (f"{_RIGHT}; padding-right: 0", f"{_LEFT}; padding-left: 0")),
}  # fmt: skip

# Characters that Unicode has elsewhere than its alphabet would say.
_ELSEWHERE = {
    "bb": dict(zip("CHNPQRZ", "ℂℍℕℙℚℝℤ", strict=True)),
    "cal": dict(zip("BEFHILMRego", "ℬℰℱℋℐℒℳℛℯℊℴ", strict=True)),
}
_ALPHABETS = {  # where capitals, small letters and digits begin
    "bf": (0x1D400, 0x1D41A, 0x1D7CE), "bb": (0x1D538, 0x1D552, 0x1D7D8),
    "cal": (0x1D49C, 0x1D4B6, None),
}  # fmt: skip


def styled(text: str, alphabet: str) -> str:
    """Letters and digits in bold ("bf"), double-struck ("bb") or script ("cal") characters.

    Browsers agree on no other way to set them: of ``mathvariant`` they all know "normal" alone.

    >>> styled("x1", "bf"), styled("R", "bb"), styled("L", "cal")
    ('𝐱𝟏', 'ℝ', 'ℒ')
    """
    return "".join(_character(c, alphabet) for c in text)


def _character(c: str, alphabet: str) -> str:
    if c in _ELSEWHERE.get(alphabet, {}):
        return _ELSEWHERE[alphabet][c]
    for first, start in zip("Aa0", _ALPHABETS[alphabet], strict=True):
        if start is not None and 0 <= ord(c) - ord(first) < (10 if first == "0" else 26):
            return chr(start + ord(c) - ord(first))
    return c
