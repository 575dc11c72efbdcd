#include "bench/algorithms.h"

#include <cpuinfo.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>

#include "src/runtime/dispatch.h"

namespace smx_bench {
namespace {

struct Variant {
  int tile;
  int accumulators;
};

// Which variants the three-pass algorithms take.
struct BaselineVariants {
  const char* isa;
#define SMX_MEMBER(kernel) Variant kernel;
  SMX_FOREACH_BASELINE_KERNEL(SMX_MEMBER)
#undef SMX_MEMBER
};

// Reloading: the variants of XNNPACK's softmax operator (2024 and later), so that these stand for it where it cannot be
// linked. Recomputing: those of XNNPACK's own benchmark; its u96 and u24 for AVX2 have no twin here, the next best
// are taken. f32_rmax is the one that dispatch takes.
constexpr BaselineVariants kXnnpackVariants[] = {
    {"avx512f", {128, 4}, {16, 1}, {64, 2}, {32, 1}},
    {"avx2", {64, 4}, {32, 1}, {32, 2}, {16, 1}},
};
// Of ISAs that are not listed. A kernel without this variant gives the first of its list.
constexpr BaselineVariants kOtherVariants = {"", {64, 4}, {32, 1}, {64, 2}, {32, 1}};

const BaselineVariants& VariantsOf(const char* isa) {
  for (const BaselineVariants& variants : kXnnpackVariants) {
    if (strcmp(variants.isa, isa) == 0) return variants;
  }
  return kOtherVariants;
}

Baselines PickBaselines(const char* picked) {
  const BaselineVariants& variants = VariantsOf(picked);
  Baselines baselines = {};
#define SMX_PICK(isa, kernel, function, tile_, accumulators_)                               \
  if (strcmp(#isa, picked) == 0 &&                                                          \
      (baselines.kernel == nullptr ||                                                       \
       (variants.kernel.tile == tile_ && variants.kernel.accumulators == accumulators_))) { \
    baselines.kernel = function;                                                            \
  }
  SMX_FOREACH_BASELINE(SMX_PICK)
#undef SMX_PICK
  return baselines;
}

using AnyFunction = void (*)();

// "f32_rmax u64_acc4".
std::string VariantName(AnyFunction ukernel) {
#define SMX_NAME(isa, kernel, function, tile, accumulators)                                           \
  if (ukernel == reinterpret_cast<AnyFunction>(function)) {                                           \
    return std::string(#kernel " ") + &(#function)[sizeof("smx_" #kernel "_ukernel__" #isa "_") - 1]; \
  }
  SMX_FOREACH_MICROKERNEL(SMX_NAME)
  SMX_FOREACH_BASELINE(SMX_NAME)
#undef SMX_NAME
  return "?";
}

template <class... Functions>
std::string VariantNames(Functions... ukernels) {
  std::string names;
  for (AnyFunction ukernel : {reinterpret_cast<AnyFunction>(ukernels)...}) {
    names += (names.empty() ? "" : ", ") + VariantName(ukernel);
  }
  return names;
}

// Calls function(start, length) for every tile.
template <class Function>
void ForEachTile(size_t n, const Function& function) {
  for (size_t i = 0; i < n; i += SMX_TILE) function(i, std::min<size_t>(SMX_TILE, n - i));
}

// sum_tile(start, length) returns the sum of a tile.
template <class SumTile>
smx_f32_extended SumTiles(size_t n, const SumTile& sum_tile) {
  if (n <= SMX_TILE) return sum_tile(0, n);
  smx_partial_sum sum = smx_empty_sum;
  ForEachTile(n, [&](size_t start, size_t length) {
    const smx_f32_extended tile = sum_tile(start, length);
    smx_partial_sum_add_tile(&sum, &tile);
  });
  return smx_f32_extended_of(&sum);
}

// Reads the row, reads the row, writes the result.
void TwoPass(const Kernels& kernels, size_t n, const float* x, float* y) {
  const smx_f32_extended sum = SumRow(kernels.production.f32_raddextexp, n, x);
  ScaleRow(kernels.production.f32_vscaleextexp, n, x, y, smx_f32_reciprocal_of(&sum));
}

// The same, the result written past the caches, as the operator does with long rows.
void TwoPassStream(const Kernels& kernels, size_t n, const float* x, float* y) {
  const smx_f32_extended sum = SumRow(kernels.production.f32_raddextexp, n, x);
  ScaleRow(kernels.production.f32_vstreamextexp, n, x, y, smx_f32_reciprocal_of(&sum));
}

// Reads the row and writes the terms, then reads the terms and overwrites them.
void StoreAndRescale(const Kernels& kernels, size_t n, const float* x, float* y) {
  References references;
  const smx_f32_extended sum = SumAndStoreRow(kernels.production.f32_raddstoreextexp, n, x, y, &references);
  RescaleRow(kernels.production.f32_vmulextc, n, y, smx_f32_reciprocal_of(&sum), references);
}

// Reads the row three times, writes the result.
void ThreePassRecompute(const Kernels& kernels, size_t n, const float* x, float* y) {
  float max, sum;
  kernels.production.f32_rmax(n, x, &max);
  kernels.baselines.f32_raddexpminusmax(n, x, max, &sum);
  kernels.baselines.f32_vscaleexpminusmax(n, x, y, 1.0f / sum, max);
}

// Reads the row twice and writes the terms, then reads the terms and overwrites them.
void ThreePassReload(const Kernels& kernels, size_t n, const float* x, float* y) {
  float max, sum;
  kernels.production.f32_rmax(n, x, &max);
  kernels.baselines.f32_raddstoreexpminusmax(n, x, y, max, &sum);
  kernels.baselines.f32_vmulc(n, y, y, 1.0f / sum);
}

}  // namespace

bool IsAvailable(const char* isa) {
  return smx_isa_is_available(isa, cpuinfo_initialize());
}

const std::vector<Kernels>& AvailableKernels() {
  static const std::vector<Kernels> available = [] {
    std::vector<Kernels> all;
    const auto add = [&](const char* isa) {
      if (!IsAvailable(isa)) return;
      Kernels kernels = {isa, {}, PickBaselines(isa)};
      smx_dispatch(isa, cpuinfo_initialize(), &kernels.production);
      all.push_back(kernels);
    };
#define SMX_ADD(isa, condition) add(#isa);
    SMX_FOREACH_ISA(SMX_ADD)
#undef SMX_ADD
    return all;
  }();
  return available;
}

size_t LongestRow() {
  constexpr size_t kByDefault = size_t{1} << 26;
  const char* asked = getenv("SMXPACK_BENCH_LARGEST_ROW");
  if (asked == nullptr) return kByDefault;
  return std::min<size_t>(strtoull(asked, nullptr, 10), kLargestRow);
}

template <class X>
smx_f32_extended SumRow(void (*raddextexp)(size_t, const X*, size_t, smx_f32_extended*,
                                           const smx_f32_exponential*),
                        size_t n, const X* x) {
  return SumTiles(n, [&](size_t start, size_t length) {
    smx_f32_extended tile;
    raddextexp(length, x + start, n - start - length, &tile, &kExp);
    return tile;
  });
}

template smx_f32_extended SumRow(smx_f32_raddextexp_ukernel_fn*, size_t, const float*);
template smx_f32_extended SumRow(smx_f16_raddextexp_ukernel_fn*, size_t, const uint16_t*);
template smx_f32_extended SumRow(smx_qu8_raddextexp_ukernel_fn*, size_t, const uint8_t*);
template smx_f32_extended SumRow(smx_qs8_raddextexp_ukernel_fn*, size_t, const int8_t*);

smx_f32_extended SumAndStoreRow(smx_f32_raddstoreextexp_ukernel_fn* raddstoreextexp, size_t n, const float* x,
                                float* y, References* references) {
  return SumTiles(n, [&](size_t start, size_t length) {
    smx_f32_extended tile;
    raddstoreextexp(length, x + start, n - start - length, nullptr, 1.0f, y + start, &tile, &kExp);
    references->of_tile[start / SMX_TILE] = tile.reference;
    return tile;
  });
}

void ScaleRow(smx_f32_vscaleextexp_ukernel_fn* vscaleextexp, size_t n, const float* x, float* y,
              const smx_f32_reciprocal& reciprocal) {
  ForEachTile(n, [&](size_t start, size_t length) {
    vscaleextexp(length, x + start, y + start, &reciprocal, &kExp);
  });
}

void RescaleRow(smx_f32_vmulextc_ukernel_fn* vmulextc, size_t n, float* y,
                const smx_f32_reciprocal& reciprocal, const References& references) {
  ForEachTile(n, [&](size_t start, size_t length) {
    smx_f32_reciprocal of_tile = reciprocal;
    of_tile.exponent += SMX_BIAS - references.of_tile[start / SMX_TILE];
    vmulextc(length, y + start, y + start, &of_tile);
  });
}

const Algorithm kAlgorithms[kAlgorithmCount] = {
    {"two-pass",
     TwoPass,
     {2, 1},
     [](const Kernels& k) {
       return VariantNames(k.production.f32_raddextexp, k.production.f32_vscaleextexp);
     }},
    {"two-pass-stream",
     TwoPassStream,
     {2, 1},
     [](const Kernels& k) {
       return VariantNames(k.production.f32_raddextexp, k.production.f32_vstreamextexp);
     }},
    {"store-and-rescale",
     StoreAndRescale,
     {2, 2},
     [](const Kernels& k) {
       return VariantNames(k.production.f32_raddstoreextexp, k.production.f32_vmulextc);
     }},
    {"three-pass-recompute",
     ThreePassRecompute,
     {3, 1},
     [](const Kernels& k) {
       return VariantNames(k.production.f32_rmax, k.baselines.f32_raddexpminusmax,
                           k.baselines.f32_vscaleexpminusmax);
     }},
    {"three-pass-reload",
     ThreePassReload,
     {3, 2},
     [](const Kernels& k) {
       return VariantNames(k.production.f32_rmax, k.baselines.f32_raddstoreexpminusmax,
                           k.baselines.f32_vmulc);
     }},
};

const Algorithm* FindAlgorithm(const char* name) {
  for (const Algorithm& algorithm : kAlgorithms) {
    if (strcmp(algorithm.name, name) == 0) return &algorithm;
  }
  return nullptr;
}

}  // namespace smx_bench
