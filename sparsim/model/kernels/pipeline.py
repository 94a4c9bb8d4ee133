"""Compilation of kernels with few of numba's passes, and with one optimisation, as part of their entry.

Plain numba optimises every function, generates its machine code, and optimises it again in every caller. Here
functions that only kernels call are not optimised until they are linked into an entry.
"""

from __future__ import annotations

import gc
import sys
from contextlib import suppress
from functools import cache
from typing import Any

from llvmlite import binding
from numba.core import compiler, compiler_machinery, config, lowering, typed_passes, types, untyped_passes
from numba.core.codegen import JITCodeLibrary
from numba.core.types.misc import unliteral


class _Lower(lowering.Lower):  # type: ignore[misc]
    """The lowering of functions without reference counts, in which previous values of variables need no
    release.
    """

    def storevar(self, value: Any, name: str, argidx: int | None = None) -> None:
        if self.context.enable_nrt:
            return super().storevar(value, name, argidx)
        self._alloca_var(name, self.typeof(name))
        if name in self._singly_assigned_vars:
            self._blk_local_varmap[name] = value
        else:
            self.builder.store(value, self.getvar(name))

    def delvar(self, name: str) -> None:
        if self.context.enable_nrt:
            super().delvar(name)


@compiler_machinery.register_pass(mutates_CFG=True, analysis_only=False)
class _Lowering(typed_passes.NativeLowering):  # type: ignore[misc]
    _name = "kernel_lowering"
    lowering_class = _Lower


PASSES = (
    untyped_passes.TranslateByteCode,
    untyped_passes.FixupArgs,
    untyped_passes.IRProcessing,
    untyped_passes.ReconstructSSA,
    typed_passes.NopythonTypeInference,
    typed_passes.PreLowerStripPhis,
    typed_passes.IRLegalization,
    typed_passes.AnnotateTypes,
    _Lowering,
    typed_passes.NoPythonBackend,
)


class _Library(JITCodeLibrary):  # type: ignore[misc]
    _linking_libraries: list[Any]

    def _optimize_functions(self, module: Any) -> None:
        module.data_layout = self._codegen._data_layout


class _PartLibrary(_Library):
    """The code of a kernel that only kernels call. It is linked into entries and never runs by itself."""

    def finalize(self) -> None:
        self._raise_if_finalized()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """Return no pointer, because no machine code is made."""
        return 0

    @property
    def codegen(self) -> Any:
        return self

    def set_env(self, name: str, environment: Any) -> None:
        """Do nothing, because kernels need no Python environment."""


class _EntryLibrary(_Library):
    """The code of an entry and of all kernels that it calls, however indirectly."""

    def finalize(self) -> None:
        libraries = dict.fromkeys(self._linking_libraries)
        waiting = list(libraries)
        while waiting:
            new = [one for one in waiting.pop()._linking_libraries if one not in libraries]
            libraries |= dict.fromkeys(new)
            waiting += new
        self._linking_libraries = list(libraries)
        super().finalize()

    def _optimize_final_module(self) -> None:
        """Optimise without numba's first round, which removes reference counts; kernels have none."""
        passes, builder = self._codegen._module_pass_manager()
        passes.run(self._final_module, builder)


class _ModelLibrary(_EntryLibrary):
    """The code of the model's entry. Its loops are not unrolled: those over levels, dims and ranks are short,
    and those over lanes use whole vectors already.
    """

    def _optimize_final_module(self) -> None:
        options = binding.create_pipeline_tuning_options(config.OPT)
        options.loop_vectorization = bool(config.LOOP_VECTORIZE)
        options.slp_vectorization = bool(config.SLP_VECTORIZE)
        options.loop_unrolling = options.loop_interleaving = False
        builder = binding.create_pass_builder(self._codegen._tm, options)
        builder.getModulePassManager().run(self._final_module, builder)


class _Types:
    """The typing context of numba with a cache of the types of operators and fields."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self._known: dict[Any, Any] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def _remembered(self, name: str, *arguments: Any) -> Any:
        key = name, *arguments
        if key not in self._known:
            self._known[key] = getattr(self._context, name)(*arguments)
        return self._known[key]

    def resolve_function_type(self, function: Any, arguments: Any, keywords: Any) -> Any:
        if isinstance(function, types.Dispatcher):  # a kernel is not compiled again for every constant
            arguments = tuple(map(unliteral, arguments))
        elif not keywords:
            key = function, arguments
            if key not in self._known:
                self._known[key] = self._context.resolve_function_type(function, arguments, keywords)
            return self._known[key]
        return self._context.resolve_function_type(function, arguments, keywords)

    def resolve_getattr(self, kind: Any, name: str) -> Any:
        return self._remembered("resolve_getattr", kind, name)

    def resolve_setitem(self, target: Any, index: Any, value: Any) -> Any:
        return self._remembered("resolve_setitem", target, index, value)


_types_of = cache(_Types)


class _Passes(compiler_machinery.PassManager):  # type: ignore[misc]
    _ENFORCING = False  # numba's own passes need no checks between them


class PartCompiler(compiler.CompilerBase):  # type: ignore[misc]
    """The compiler of kernels that only kernels call."""

    library = _PartLibrary

    def define_pipelines(self) -> Any:
        self.state.library = self.library(self.state.targetctx.codegen(), self.state.func_id.func_qualname)
        self.state.library.enable_object_caching()
        self.state.typingctx = _types_of(self.state.typingctx)
        passes = _Passes("kernel")
        for one in PASSES:
            passes.add_pass(one, one.__name__)
        passes.finalize()
        return [passes]


@cache
def _announce() -> None:
    """Explain the delay once on stderr, whether or not it is a terminal."""
    with suppress(OSError):
        if sys.stderr is not None:
            print(
                "sparsim: compiling kernels, once for this machine (about 12 s)", file=sys.stderr, flush=True
            )


class EntryCompiler(PartCompiler):
    """The compiler of kernels that Python calls."""

    library = _EntryLibrary  # type: ignore[assignment]

    def define_pipelines(self) -> Any:
        _announce()
        return super().define_pipelines()

    def compile_extra(self, function: Any) -> Any:
        """Compile without garbage collection, which would take a sixth of the time and free hardly
        anything.
        """
        collects = gc.isenabled()
        gc.disable()
        try:
            return super().compile_extra(function)
        finally:
            if collects:
                gc.enable()


class ModelCompiler(EntryCompiler):
    """The compiler of the entry that is called without numba."""

    library = _ModelLibrary
