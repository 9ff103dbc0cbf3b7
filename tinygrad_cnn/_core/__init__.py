"""The engine: Tensors, primitives, scopes and the backward pass. It knows no operation."""
