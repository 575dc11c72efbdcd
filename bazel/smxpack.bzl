"""How SMXPACK's sources are compiled, and a library for each ISA."""

load("//:src/gen/microkernels.bzl", "ISAS")

# A product and a sum stay two roundings unless a kernel asks for fma: bits may not depend on the compiler.
_COPTS = ["-ffp-contract=off", "-Wall", "-Wextra", "-Werror"]
C_COPTS = _COPTS + ["-std=c11", "-pedantic"]
CC_COPTS = _COPTS + ["-std=c++17"]

# Symbols are hidden, so libraries have linkstatic: Bazel makes no shared object of them for a test to link with.
LIBRARY_COPTS = CC_COPTS + ["-fno-exceptions", "-fno-rtti", "-fvisibility=hidden"]

# Kernels are called through pointers: link-time optimisation has nothing to gain there.
_MICROKERNEL_COPTS = LIBRARY_COPTS + ["-fno-lto"]

def _on_processors(processors, sources):
    if not processors:
        return sources
    cases = {"@platforms//cpu:" + processor: sources for processor in processors}
    cases["//conditions:default"] = []
    return select(cases)

def microkernels(name, archive, testonly = False):
    """Defines cc_library `name` of the microkernels of all ISAs.

    Args:
      name: the library; `name`_`isa`, each with its ISA's flags, are its parts.
      archive: the field of ISAS that lists the sources.
      testonly: as in cc_library.
    """
    for isa, record in ISAS.items():
        native.cc_library(
            name = name + "_" + isa,
            testonly = testonly,
            srcs = _on_processors(record.processors, getattr(record, archive)),
            copts = _MICROKERNEL_COPTS + record.flags,
            linkstatic = True,
            deps = [":headers"],
        )
    native.cc_library(
        name = name,
        testonly = testonly,
        deps = [name + "_" + isa for isa in ISAS],
    )
