"""From programs to tables of native calls: what is batched, what is one loop, what lies where."""

__all__: list[str] = []
