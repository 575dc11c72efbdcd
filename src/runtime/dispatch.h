// Picks a microkernel of each kind: an ordered walk over the list, the first that is supported wins.
#pragma once

#include <stdbool.h>

#include "src/runtime/runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

// `requested` is the value of SMXPACK_ISA or NULL; `cpuinfo_ready` whether cpuinfo_initialize succeeded. The scalar
// kernels are picked where nothing else is supported. Returns the ISA's name.
const char* smx_dispatch(const char* requested, bool cpuinfo_ready, struct smx_microkernels* microkernels);

// The name of the picked microkernel of the kernel with this index in the list, or NULL beyond the last.
const char* smx_microkernel_name(const struct smx_microkernels* microkernels, size_t index);

// Whether an ISA of the list can run here.
bool smx_isa_is_available(const char* isa, bool cpuinfo_ready);

#ifdef __cplusplus
}  // extern "C"
#endif
