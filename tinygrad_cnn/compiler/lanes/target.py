"""The machine that code is made for: how wide its vectors are, and how many it holds."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from typing import Any

from ...errors import ArgumentError, MissingExtraError

# The widest vector of a feature set in bytes, and the number of vector registers.
_X86 = (("avx512f", 64, 32), ("avx2", 32, 16), ("sse2", 16, 16))
# To make code for a lesser machine than this one, and to test that code here.
_RESTRICTED = {"avx2": ("haswell", 32, 16), "sse2": ("x86-64-v2", 16, 16)}
VARIABLE = "TINYGRAD_CNN_TARGET"


@dataclass(frozen=True)
class Target:
    """A processor, as code generation sees it.

    Attributes:
        cpu, features: what LLVM calls it.
        vector_bytes: the width of a vector register.
        registers: how many of them there are.
    """

    cpu: str
    features: str
    vector_bytes: int
    registers: int

    def lanes(self, itemsize: int) -> int:
        """How many numbers of so many bytes a vector holds: the images of a block."""
        return self.vector_bytes // itemsize


def binding() -> Any:
    """LLVM, ready to make code for this machine.

    Raises:
        MissingExtraError: llvmlite is not installed.
    """
    try:
        import llvmlite.binding as llvm
    except ImportError:
        raise MissingExtraError("llvmlite", "fast", "making native code") from None
    _initialize(llvm)
    return llvm


@cache
def _initialize(llvm: Any) -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


def host() -> Target:
    """This machine, or the lesser one that the environment variable TINYGRAD_CNN_TARGET names.

    Raises:
        ArgumentError: the variable names no target that is known.
    """
    name = os.environ.get(VARIABLE, "")
    if name and name not in _RESTRICTED:
        known = ", ".join(_RESTRICTED)
        raise ArgumentError(f"{VARIABLE}={name!r}: expected one of {known}, or nothing")
    return _target(name)


@cache
def _target(restricted: str) -> Target:
    if restricted:
        cpu, width, registers = _RESTRICTED[restricted]
        return Target(cpu, "", width, registers)
    llvm = binding()
    features = llvm.get_host_cpu_features()
    for feature, width, registers in _X86:
        if features.get(feature):
            wide = ",-prefer-256-bit" if width == 64 else ""
            return Target(llvm.get_host_cpu_name(), features.flatten() + wide, width, registers)
    # NEON and what else has vectors of 16 bytes; Arm has 32 of them.
    return Target(llvm.get_host_cpu_name(), features.flatten(), 16, 32)
