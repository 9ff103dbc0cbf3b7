"""What the self-contained HTML pages of this package share: no page needs a network."""

from __future__ import annotations

from .page import page, resource, write_page
from .payload import payload

__all__ = ["page", "payload", "resource", "write_page"]
