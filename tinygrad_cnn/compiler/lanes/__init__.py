"""Lane kernels: each image of a block is one lane of a vector, and native code is made by LLVM.

Data of a batch lie as (blocks, …, lanes), so that every operation is the program of one image on
vectors: no shuffles, no gathers and no remainder loops in space. ``channels`` is for one image.
"""

__all__: list[str] = []
