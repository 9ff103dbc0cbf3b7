"""Every error that this package raises on purpose.

    TinygradCnnError
    ├── ShapeError        ValueError          shapes that do not fit together
    ├── DtypeError        TypeError           a dtype that the operation cannot use
    ├── GraphError        RuntimeError        a graph used against its rules
    ├── NonFiniteError    FloatingPointError  a NaN or an infinity where none may be
    ├── DataError         ValueError          a damaged or unexpected data file
    ├── CheckpointError   ValueError          a checkpoint that does not fit its model
    ├── ArgumentError     ValueError          an argument outside its domain
    │   └── PatternError                      a layer pattern that cannot be read or built
    ├── OutOfBoundsError  IndexError          an index that names no element
    ├── TooLargeError     MemoryError         more memory than there is
    ├── SharingError      BufferError         memory that can't be shared with another library
    └── MissingExtraError ImportError         an optional dependency that is not installed

Each class also inherits the built-in that a NumPy user would catch.
"""

from __future__ import annotations

__all__ = [
    "ArgumentError",
    "CheckpointError",
    "DataError",
    "DtypeError",
    "GraphError",
    "MissingExtraError",
    "NonFiniteError",
    "OutOfBoundsError",
    "PatternError",
    "ShapeError",
    "SharingError",
    "TinygradCnnError",
    "TooLargeError",
]


class TinygradCnnError(Exception):
    """The root of every error raised on purpose."""


class ShapeError(TinygradCnnError, ValueError):
    """Shapes that do not fit together."""


class DtypeError(TinygradCnnError, TypeError):
    """A dtype that the operation cannot use."""


class GraphError(TinygradCnnError, RuntimeError):
    """A graph used against its rules, such as a second backward through freed values."""


class NonFiniteError(TinygradCnnError, FloatingPointError):
    """A NaN or an infinity where none may be."""


class DataError(TinygradCnnError, ValueError):
    """A damaged or unexpected data file."""


class CheckpointError(TinygradCnnError, ValueError):
    """A checkpoint or state that does not fit its model."""


class ArgumentError(TinygradCnnError, ValueError):
    """An argument outside the domain that the function accepts."""


class PatternError(ArgumentError):
    """A layer pattern that cannot be read or built; its text points at the place.

    Attributes:
        message: what is wrong, without the picture below it.
        pattern: what was read.
        position: where in it, counted from 0.
        length: how many characters are meant.
    """

    def __init__(self, message: str, pattern: str, position: int, length: int = 1) -> None:
        super().__init__(message, pattern, position, length)  # all of them, so that it pickles
        self.message, self.pattern, self.position = message, pattern, position
        self.length = length

    def __str__(self) -> str:
        if not self.pattern.strip():
            return self.message
        start = self.pattern.rfind("\n", 0, self.position) + 1
        line = self.pattern[start:].partition("\n")[0]
        column = self.position - start
        first = max(column - 50, 0) if len(line) > 76 else 0  # fits a terminal of 80 columns
        shown = "".join(c if c.isprintable() else " " for c in line[first : first + 76])
        carets = "^" * max(min(self.length, first + len(shown) - column), 1)
        return f"{self.message}\n  {shown}\n  {' ' * (column - first)}{carets}"


class OutOfBoundsError(TinygradCnnError, IndexError):
    """An index that names no element."""


class SharingError(TinygradCnnError, BufferError):
    """Memory that can't be shared with another library."""


class TooLargeError(TinygradCnnError, MemoryError):
    """More memory is needed than there is; the message says how much."""


class MissingExtraError(TinygradCnnError, ImportError):
    """An optional dependency that is not installed; the message names the extra."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package!r}: pip install 'tinygrad-cnn[{extra}]'"
        )
        self.package, self.extra = package, extra
