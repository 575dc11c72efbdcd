// The softmax algorithms, each a function of microkernels and a row, and the passes that they consist of.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <string>
#include <vector>

#include "bench/measure.h"
#include "src/operators/row_sum.h"
#include "src/runtime/runtime.h"

namespace smx_bench {

// One pointer a baseline, named as the kernel.
struct Baselines {
#define SMX_MEMBER(kernel) smx_##kernel##_ukernel_fn* kernel;
  SMX_FOREACH_BASELINE_KERNEL(SMX_MEMBER)
#undef SMX_MEMBER
};

// The microkernels of an ISA: those that the operator would take, and baselines as XNNPACK takes them.
struct Kernels {
  const char* isa;
  smx_microkernels production;
  Baselines baselines;
};

// Of a scale of 1.
inline const smx_f32_exponential kExp = smx_f32_exponential_of(1.0f);

// Whether microkernels of an ISA of the list can run here.
bool IsAvailable(const char* isa);

// Those of every ISA that can run here, in the order of dispatch.
const std::vector<Kernels>& AvailableKernels();

constexpr size_t kLargestRow = size_t{1} << 28;

// The longest single row to be measured: SMXPACK_BENCH_LARGEST_ROW in the environment, or 2^26.
size_t LongestRow();

// What a pass that stores the terms of a row's sum leaves to the pass that scales them: each tile's reference.
struct References {
  int32_t of_tile[kLargestRow / SMX_TILE];
};

// The sum of a row, tile by tile. The inputs of the benches are within the kernels' range, and a row's references so
// close to each other that a single step of f32-vmulextc spans them: nothing else is provided for.
template <class X>
smx_f32_extended SumRow(void (*raddextexp)(size_t, const X*, size_t, smx_f32_extended*,
                                           const smx_f32_exponential*),
                        size_t n, const X* x);
smx_f32_extended SumAndStoreRow(smx_f32_raddstoreextexp_ukernel_fn* raddstoreextexp, size_t n, const float* x,
                                float* y, References* references);

// The last passes.
void ScaleRow(smx_f32_vscaleextexp_ukernel_fn* vscaleextexp, size_t n, const float* x, float* y,
              const smx_f32_reciprocal& reciprocal);
void RescaleRow(smx_f32_vmulextc_ukernel_fn* vmulextc, size_t n, float* y,
                const smx_f32_reciprocal& reciprocal, const References& references);

struct Algorithm {
  const char* name;  // as smx_plan gives it, where the operator knows it
  void (*run)(const Kernels& kernels, size_t n, const float* x, float* y);
  Traffic traffic;
  std::string (*variants)(const Kernels& kernels);  // such as "f32_rmax u64_acc4, f32_vmulc u32"
};

constexpr size_t kAlgorithmCount = 5;
extern const Algorithm kAlgorithms[kAlgorithmCount];

// The algorithm of this name, or NULL.
const Algorithm* FindAlgorithm(const char* name);

}  // namespace smx_bench
