"""The kernels: frozen descriptions of native functions, each of which can emit its code."""

__all__: list[str] = []
