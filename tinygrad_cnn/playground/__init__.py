"""The playground: a page on which a network learns, and that one can play with.

``play`` (also ``tinygrad_cnn.play``) serves it to this machine; ``Session`` is all of it but the
server. Needs the extra ``play``.
"""

from __future__ import annotations

from .server import Playground, play
from .session import Session

__all__ = ["Playground", "Session", "play"]
