"""One image: the lanes of a vector are channels.

A value (1, C, H, W) lies as (⌈C / lanes⌉, H, W, lanes), if need be in a border of zeros, and what
its lanes beyond C hold is never used; any other value is a plain array.
"""

__all__: list[str] = []
