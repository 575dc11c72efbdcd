// What smx_initialize sets up: the allocator, the processor's facts and the microkernels that were picked.
#pragma once

#include <stdbool.h>

#include "include/smxpack.h"
#include "src/gen/microkernels.h"

#ifdef __cplusplus
extern "C" {
#endif

// One pointer a kernel, named as the kernel.
struct smx_microkernels {
#define SMX_MEMBER(kernel) smx_##kernel##_ukernel_fn* kernel;
  SMX_FOREACH_KERNEL(SMX_MEMBER)
#undef SMX_MEMBER
};

struct smx_runtime {
  struct smx_allocator allocator;
  const char* isa;
  struct smx_microkernels microkernels;
  struct smx_thresholds default_thresholds;
  struct smx_thresholds thresholds;
};

bool smx_is_initialized(void);

// Copies it, for another thread may initialise the library anew at any time. Returns false where it is not initialised.
bool smx_get_runtime(struct smx_runtime* runtime_out);

#ifdef __cplusplus
}  // extern "C"
#endif
