// Every microkernel of the list, production and baselines, at sizes that fit L1, L2, the last-level cache and memory, and
// the roofline at the same sizes.
// Figures that are compared come from one run that interleaves them (a single command):
//
//     microkernels_bench --benchmark_filter='f32_raddextexp_ukernel__avx512f'
//         --benchmark_enable_random_interleaving=true --benchmark_repetitions=15
//         --benchmark_report_aggregates_only=true
//
// Names are <function or roofline>[/row:<elements of a row>]/n:<elements>/<warm|rotated>[/tuning]. README.md says what is measured
// and counted.
#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "bench/algorithms.h"
#include "bench/caches.h"
#include "bench/measure.h"
#include "bench/rooflines.h"

namespace {

using smx_bench::Bf16;
using smx_bench::Buffering;
using smx_bench::F16;
using smx_bench::F32;
using smx_bench::Qs8;
using smx_bench::Qu8;
using smx_bench::Traffic;

enum class Level { kL1, kL2, kLastLevel, kMemory };

// A size and whether it is warm.
struct Regime {
  Level level;
  Buffering buffering;
};

// What the bench does with a microkernel: a pass over a row of a type, to one of another.
template <class X = F32, class Y = F32>
struct Pass {
  Traffic traffic;
  std::vector<Regime> regimes;  // where the library uses it: by these scripts/tune.py chooses a variant
  std::function<void(size_t n, const typename X::Memory* x, typename Y::Memory* y)> run;
};

// The same with a microkernel that takes several rows of n floats.
struct RowsPass {
  Traffic traffic;
  std::vector<Regime> regimes;
  std::vector<size_t> lengths;
  std::function<void(size_t rows, size_t n, const float* x, float* y)> run;
};

// A kernel's pass is the function of its name; a kernel without one does not compile.
namespace pass {

// The function type of kernels of elements X, or of X and Y, with further parameters.
template <class X, class... Parameters>
using Reduction = void(size_t, const typename X::Memory*, Parameters...);
template <class X, class Y, class... Parameters>
using Map = void(size_t, const typename X::Memory*, typename Y::Memory*, Parameters...);

constexpr Traffic kReads = {1, 0};
constexpr Traffic kReadsAndWrites = {1, 1};

const std::vector<Regime> kInCache = {{Level::kL1, Buffering::kWarm}, {Level::kL2, Buffering::kWarm}};
const std::vector<Regime> kLongRows = {{Level::kL2, Buffering::kWarm}, {Level::kMemory, Buffering::kWarm}};
const std::vector<Regime> kShortRows = {{Level::kL2, Buffering::kWarm}};
const std::vector<Regime> kNeverTuned = {};  // the baselines: no dispatch takes them

constexpr smx_f32_reciprocal kOne = {1.0f, 0.0f, 0};
constexpr smx_f32_quantizer kQuantizer = {256.0f, 0.0f};
constexpr smx_f32_logarithm kLogarithm = {1.0f, 0.0f, 1.0f, 8.0f, 0x1p-24f};
constexpr float kMax = smx_bench::kLargestInput;

template <class X>
Pass<X, X> Sum(Reduction<X, size_t, smx_f32_extended*, const smx_f32_exponential*>* ukernel) {
  return {kReads, kLongRows, [=](size_t n, const typename X::Memory* x, typename X::Memory*) {
            benchmark::DoNotOptimize(smx_bench::SumRow(ukernel, n, x));
          }};
}
constexpr auto f32_raddextexp = Sum<F32>;
constexpr auto f16_raddextexp = Sum<F16>;
constexpr auto bf16_raddextexp = Sum<Bf16>;
constexpr auto qu8_raddextexp = Sum<Qu8>;
constexpr auto qs8_raddextexp = Sum<Qs8>;

template <class X>
Pass<X, X> Maximum(Reduction<X, float*>* ukernel) {
  return {kReads, kInCache, [=](size_t n, const typename X::Memory* x, typename X::Memory*) {
            float max;
            ukernel(n, x, &max);
            benchmark::DoNotOptimize(max);
          }};
}
constexpr auto f32_rmax = Maximum<F32>;
constexpr auto f16_rmax = Maximum<F16>;
constexpr auto bf16_rmax = Maximum<Bf16>;
constexpr auto qu8_rmax = Maximum<Qu8>;
constexpr auto qs8_rmax = Maximum<Qs8>;

template <class X, class Y>
Pass<X, Y> Scale(Map<X, Y, const smx_f32_reciprocal*, const smx_f32_exponential*>* ukernel) {
  return {kReadsAndWrites, kLongRows, [=](size_t n, const typename X::Memory* x, typename Y::Memory* y) {
            ukernel(n, x, y, &kOne, &smx_bench::kExp);
          }};
}

template <class X, class Y>
Pass<X, Y> Subtract(Map<X, Y, const smx_f32_logarithm*>* ukernel) {
  return {kReadsAndWrites, kLongRows, [=](size_t n, const typename X::Memory* x, typename Y::Memory* y) {
            ukernel(n, x, y, &kLogarithm);
          }};
}

#define SMX_MAPS_OF_TYPES(types, X, Y)                \
  constexpr auto types##_vscaleextexp = Scale<X, Y>;  \
  constexpr auto types##_vstreamextexp = Scale<X, Y>; \
  constexpr auto types##_vsubextc = Subtract<X, Y>;
SMX_MAPS_OF_TYPES(f32, F32, F32)
SMX_MAPS_OF_TYPES(f16, F16, F16)
SMX_MAPS_OF_TYPES(bf16, Bf16, Bf16)
SMX_MAPS_OF_TYPES(f16_f32, F16, F32)
SMX_MAPS_OF_TYPES(bf16_f32, Bf16, F32)
SMX_MAPS_OF_TYPES(f32_f16, F32, F16)
SMX_MAPS_OF_TYPES(f32_bf16, F32, Bf16)
#undef SMX_MAPS_OF_TYPES
constexpr auto qu8_f32_vscaleextexp = Scale<Qu8, F32>;
constexpr auto qs8_f32_vscaleextexp = Scale<Qs8, F32>;

// To quantised types.
template <class X, class Y>
Pass<X, Y> Quantize(
    Map<X, Y, const smx_f32_reciprocal*, const smx_f32_exponential*, const smx_f32_quantizer*>* ukernel) {
  return {kReadsAndWrites, kLongRows, [=](size_t n, const typename X::Memory* x, typename Y::Memory* y) {
            ukernel(n, x, y, &kOne, &smx_bench::kExp, &kQuantizer);
          }};
}
constexpr auto qu8_vscaleextexp = Quantize<Qu8, Qu8>;
constexpr auto qs8_vscaleextexp = Quantize<Qs8, Qs8>;

template <class X, class Y>
Pass<X, Y> Convert(Map<X, Y>* ukernel) {
  return {kReadsAndWrites, kInCache, ukernel};
}
constexpr auto f16_f32_vcvt = Convert<F16, F32>;
constexpr auto bf16_f32_vcvt = Convert<Bf16, F32>;
constexpr auto f32_f16_vcvt = Convert<F32, F16>;
constexpr auto f32_bf16_vcvt = Convert<F32, Bf16>;
constexpr auto qu8_f32_vcvt = Convert<Qu8, F32>;
constexpr auto qs8_f32_vcvt = Convert<Qs8, F32>;

template <class Y>
Pass<F32, Y> ConvertQuantized(Map<F32, Y, const smx_f32_quantizer*>* ukernel) {
  return {kReadsAndWrites, kInCache,
          [=](size_t n, const float* x, typename Y::Memory* y) { ukernel(n, x, y, &kQuantizer); }};
}
constexpr auto f32_qu8_vcvt = ConvertQuantized<Qu8>;
constexpr auto f32_qs8_vcvt = ConvertQuantized<Qs8>;

// The mask is the row itself: another one would be traffic that is not counted.
Pass<> f32_vaddmask(smx_f32_vaddmask_ukernel_fn* ukernel) {
  return {kReadsAndWrites, kInCache, [=](size_t n, const float* x, float* y) { ukernel(n, x, x, y, 0.5f); }};
}

Pass<Qu8, F32> qu8_f32_vselect(smx_qu8_f32_vselect_ukernel_fn* ukernel) {
  return {kReadsAndWrites, kInCache,
          [=](size_t n, const uint8_t* x, float* y) { ukernel(n, x, y, y, 0.5f); }};
}

Pass<> f32_vaddslope(smx_f32_vaddslope_ukernel_fn* ukernel) {
  return {kReadsAndWrites, kInCache,
          [=](size_t n, const float* x, float* y) { ukernel(n, x, y, 0.5f, 0.25f, 0.0f); }};
}

Pass<> f32_vsoftcap(smx_f32_vsoftcap_ukernel_fn* ukernel) {
  return {kReadsAndWrites, kInCache,
          [=](size_t n, const float* x, float* y) { ukernel(n, x, y, 0.02f, 50.0f); }};
}

// Of a dense matrix, more than an iteration takes.
constexpr size_t kColumns = 1024;

Pass<> f32_pack_columns(smx_f32_pack_columns_ukernel_fn* ukernel) {
  return {kReadsAndWrites, kInCache, [=](size_t n, const float* x, float* y) {
            ukernel(x, kColumns, y, n / kColumns * SMX_PANEL, n / kColumns, kColumns);
          }};
}

Pass<> f32_vmulextc_columns(smx_f32_vmulextc_columns_ukernel_fn* ukernel) {
  return {kReadsAndWrites, kInCache, [=](size_t n, const float* x, float* y) {
            constexpr float kHi[kColumns] = {}, kLo[kColumns] = {};
            ukernel(x, y, kColumns, n / kColumns * SMX_PANEL, n / kColumns, kColumns, kHi, kLo, false);
          }};
}

Pass<> f32_vsubextc_columns(smx_f32_vsubextc_columns_ukernel_fn* ukernel) {
  return {kReadsAndWrites, kInCache, [=](size_t n, const float* x, float* y) {
            constexpr float kNone[kColumns] = {};
            const smx_f32_column_logarithms logarithms = {kNone, kNone, kNone, kNone, kNone};
            ukernel(x, SMX_PANEL, y, kColumns, n / kColumns * SMX_PANEL, n / kColumns, kColumns, &logarithms,
                    false);
          }};
}

// Of columns where they are, as the operator calls it most often.
Pass<> f32_vscaleextexp_columns(smx_f32_vscaleextexp_columns_ukernel_fn* ukernel) {
  return {kReadsAndWrites, kInCache, [=](size_t n, const float* x, float* y) {
            constexpr float kReference[kColumns] = {}, kHi[kColumns] = {}, kLo[kColumns] = {};
            ukernel(x, kColumns, y, kColumns, SMX_PANEL, n / kColumns, kColumns, kReference, kHi, kLo, false,
                    &smx_bench::kExp);
          }};
}

// Of fewer than vectors have lanes.
constexpr size_t kFewColumns = 8;

Pass<> f32_columns_to_rows(smx_f32_columns_to_rows_ukernel_fn* ukernel) {
  return {kReadsAndWrites, kInCache, [=](size_t n, const float* x, float* y) {
            ukernel(n / kFewColumns, kFewColumns, x, kFewColumns, y, n / kFewColumns);
          }};
}

Pass<> f32_rows_to_columns(smx_f32_rows_to_columns_ukernel_fn* ukernel) {
  return {kReadsAndWrites, kInCache, [=](size_t n, const float* x, float* y) {
            ukernel(n / kFewColumns, kFewColumns, x, n / kFewColumns, y, kFewColumns);
          }};
}

Pass<> f32_rmax_columns(smx_f32_rmax_columns_ukernel_fn* ukernel) {
  return {kReads, kInCache, [=](size_t n, const float* x, float*) {
            float max[SMX_PANEL];
            ukernel(n / SMX_PANEL, x, SMX_PANEL, max);
            benchmark::DoNotOptimize(max);
          }};
}

Pass<> f32_raddstoreextexp_columns(smx_f32_raddstoreextexp_columns_ukernel_fn* ukernel) {
  return {kReadsAndWrites, kInCache, [=](size_t n, const float* x, float* y) {
            float max[SMX_PANEL];
            std::fill_n(max, SMX_PANEL, kMax);
            smx_f32_column_sums sums = {};
            constexpr size_t kBlock = SMX_BLOCK * SMX_PANEL;
            for (size_t i = 0; i < n; i += kBlock) {
              ukernel(std::min(n - i, kBlock) / SMX_PANEL, x + i, SMX_PANEL, y + i, SMX_PANEL, max, SMX_LANES,
                      &sums, nullptr, 0, &smx_bench::kExp);
            }
            benchmark::DoNotOptimize(sums);
          }};
}

// As often as there are lanes of a group of columns.
Pass<> f32_raddlanes_columns(smx_f32_raddlanes_columns_ukernel_fn* ukernel) {
  return {kReads, kInCache, [=](size_t n, const float*, float*) {
            smx_f32_column_sums sums = {};
            sums.lanes = SMX_LANES;
            for (size_t i = 0; i < n; i += SMX_LANES * SMX_PANEL) {
              smx_f32_column_totals totals;
              ukernel(&sums, &totals, nullptr);
              benchmark::DoNotOptimize(totals);
            }
          }};
}

Pass<> f32_raddstoreextexp(smx_f32_raddstoreextexp_ukernel_fn* ukernel) {
  return {kReadsAndWrites, kInCache, [=](size_t n, const float* x, float* y) {
            smx_bench::References references;
            benchmark::DoNotOptimize(smx_bench::SumAndStoreRow(ukernel, n, x, y, &references));
          }};
}

// In place, as the operator calls it. Multiplies by 1, so that elements stay what they are.
Pass<> f32_vmulextc(smx_f32_vmulextc_ukernel_fn* ukernel) {
  return {kReadsAndWrites, kInCache, [=](size_t n, const float*, float* y) { ukernel(n, y, y, &kOne); }};
}

RowsPass f32_softmax(smx_f32_softmax_ukernel_fn* ukernel) {
  return {kReadsAndWrites,
          kShortRows,
          {48, 64, 100, 128, 197, 256, 512, 1000},
          [=](size_t rows, size_t n, const float* x, float* y) {
            size_t done;
            ukernel(rows, n, 0, x, n, nullptr, 0, nullptr, 0, 1.0f, nullptr, 0, y, n, n, false, &done,
                    &smx_bench::kExp);
          }};
}

RowsPass f32_log_softmax(smx_f32_log_softmax_ukernel_fn* ukernel) {
  RowsPass pass = f32_softmax(nullptr);
  pass.run = [=](size_t rows, size_t n, const float* x, float* y) {
    size_t done;
    ukernel(rows, n, x, n, y, n, false, &done, &smx_bench::kExp);
  };
  return pass;
}

RowsPass f32_softmax_transposed(smx_f32_softmax_transposed_ukernel_fn* ukernel) {
  return {kReadsAndWrites,
          kShortRows,
          {3, 8, 10, 16, 24, 33, 40},
          [=](size_t rows, size_t n, const float* x, float* y) {
            size_t done;
            ukernel(rows, n, 0, SIZE_MAX, x, n, nullptr, 0, 0, 1.0f, y, n, &done, &smx_bench::kExp);
          }};
}

RowsPass f32_log_softmax_transposed(smx_f32_log_softmax_transposed_ukernel_fn* ukernel) {
  RowsPass pass = f32_softmax_transposed(nullptr);
  pass.run = [=](size_t rows, size_t n, const float* x, float* y) {
    size_t done;
    ukernel(rows, n, x, n, y, n, &done, &smx_bench::kExp);
  };
  return pass;
}

// The indices are a part of what is written.
RowsPass f32_topk(smx_f32_topk_ukernel_fn* ukernel) {
  return {kReads, kShortRows, {16, 64, 256}, [=](size_t rows, size_t n, const float* x, float* y) {
            ukernel(rows, n, 8, x, n, reinterpret_cast<int32_t*>(y));
          }};
}

RowsPass f32_softmax_columns(smx_f32_softmax_columns_ukernel_fn* ukernel) {
  return {
      kReadsAndWrites, kShortRows, {3, 10, 21, 33, 64}, [=](size_t rows, size_t n, const float* x, float* y) {
        size_t done;
        ukernel(rows, n, x, rows, y, rows, false, false, &done, &smx_bench::kExp);
      }};
}

Pass<> f32_raddexpminusmax(smx_f32_raddexpminusmax_ukernel_fn* ukernel) {
  return {kReads, kNeverTuned, [=](size_t n, const float* x, float*) {
            float sum;
            ukernel(n, x, kMax, &sum);
            benchmark::DoNotOptimize(sum);
          }};
}

Pass<> f32_vscaleexpminusmax(smx_f32_vscaleexpminusmax_ukernel_fn* ukernel) {
  return {kReadsAndWrites, kNeverTuned,
          [=](size_t n, const float* x, float* y) { ukernel(n, x, y, 1.0f, kMax); }};
}

Pass<> f32_raddstoreexpminusmax(smx_f32_raddstoreexpminusmax_ukernel_fn* ukernel) {
  return {kReadsAndWrites, kNeverTuned, [=](size_t n, const float* x, float* y) {
            float sum;
            ukernel(n, x, y, kMax, &sum);
            benchmark::DoNotOptimize(sum);
          }};
}

// In place, as the algorithm calls it.
Pass<> f32_vmulc(smx_f32_vmulc_ukernel_fn* ukernel) {
  return {kReadsAndWrites, kNeverTuned, [=](size_t n, const float*, float* y) { ukernel(n, y, y, 1.0f); }};
}

}  // namespace pass

// A row whose input and output, as floats, together fill half of a cache, or four times the last-level cache.
struct Size {
  Level level;
  const char* label;
  size_t elements;
};

// In a virtual machine the last-level cache is the host's: rows do not grow with it beyond this.
constexpr size_t kLargestMemoryRow = size_t{64} << 20;

std::vector<Size> Sizes() {
  constexpr size_t kBytesPerElement = 2 * sizeof(float);
  const smx_bench::Caches& caches = smx_bench::GetCaches();
  std::vector<Size> sizes = {
      {Level::kL1, "L1", caches.l1.bytes / 2 / kBytesPerElement},
      {Level::kL2, "L2", caches.l2.bytes / 2 / kBytesPerElement},
      {Level::kLastLevel, "last-level cache", caches.last_level.bytes / 2 / kBytesPerElement},
      {Level::kMemory, "memory", caches.last_level.bytes * 4 / kBytesPerElement},
  };
  for (Size& size : sizes) size.elements = std::min(size.elements, kLargestMemoryRow);
  const auto same = [](const Size& a, const Size& b) { return a.elements == b.elements; };
  sizes.erase(sizes.begin(), std::unique(sizes.rbegin(), sizes.rend(), same).base());
  return sizes;
}

bool Contains(const std::vector<Regime>& regimes, Level level, Buffering buffering) {
  return std::any_of(regimes.begin(), regimes.end(), [=](const Regime& regime) {
    return regime.level == level && regime.buffering == buffering;
  });
}

// At every size, rounded down to whole rows.
template <class X, class Y>
void RegisterPass(const std::string& prefix, const Pass<X, Y>& pass, size_t row = 1) {
  for (const Size& size : Sizes()) {
    const size_t n = size.elements / row * row;
    for (const Buffering buffering : {Buffering::kWarm, Buffering::kRotated}) {
      std::string name = prefix + "/n:" + std::to_string(n) + "/" + smx_bench::BufferingName(buffering);
      if (Contains(pass.regimes, size.level, buffering)) name += "/tuning";
      benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
        smx_bench::Measure<X, Y>(state, n, buffering, pass.traffic,
                                 [&](const auto* x, auto* y) { pass.run(n, x, y); });
        state.SetLabel(size.label);
      });
    }
  }
}

void RegisterPass(const std::string& prefix, const RowsPass& pass) {
  for (const size_t length : pass.lengths) {
    const auto run = [=](size_t n, const float* x, float* y) { pass.run(n / length, length, x, y); };
    RegisterPass(prefix + "/row:" + std::to_string(length), Pass<>{pass.traffic, pass.regimes, run}, length);
  }
}

template <class Function, class AnyPass>
void RegisterMicrokernel(const char* isa, const std::string& function, AnyPass (*pass_of)(Function*),
                         Function* ukernel) {
  if (smx_bench::IsAvailable(isa)) return RegisterPass(function, pass_of(ukernel));
  // Named all the same: the names are those of the list.
  benchmark::RegisterBenchmark((function + "/unsupported").c_str(), [](benchmark::State& state) {
    state.SkipWithError("this processor does not support it");
  });
}

void RegisterRooflines() {
  for (size_t i = 0; i < smx_bench::kRooflineCount; i++) {
    const smx_bench::Roofline& roofline = smx_bench::GetRooflines()[i];
    RegisterPass(roofline.name, Pass<>{roofline.traffic, pass::kNeverTuned, roofline.run});
  }
}

void RegisterAll() {
  RegisterRooflines();
#define SMX_REGISTER(isa, kernel, function, tile, accumulators) \
  RegisterMicrokernel(#isa, #function, pass::kernel, function);
  SMX_FOREACH_MICROKERNEL(SMX_REGISTER)
  SMX_FOREACH_VARIANT(SMX_REGISTER)
  SMX_FOREACH_BASELINE(SMX_REGISTER)
#undef SMX_REGISTER
}

}  // namespace

int main(int argc, char** argv) {
  return smx_bench::RunBenchmarks(argc, argv, RegisterAll);
}
