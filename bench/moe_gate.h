// The gate of a mixture of experts, through the C API.
#pragma once

#include "bench/shape.h"

namespace smx_bench {

// Tokens x experts, and how many are chosen of each.
constexpr Shape kGateShapes[] = {{4096, 64},  {4096, 256}, {4096, 8}, {4096, 128},
                                 {4096, 512}, {1, 64},     {1, 256}};
constexpr size_t kChosen = 8;

// "moe-gate/<scores>/isa:<isa>/types:<type>/rows:<tokens>/channels:<experts>", on one thread.
void RegisterMoeGates();

}  // namespace smx_bench
