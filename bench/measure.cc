#include "bench/measure.h"

#include <string>

#include "bench/caches.h"

namespace smx_bench {
namespace {

void AddContext() {
  const Caches& caches = GetCaches();
  benchmark::AddCustomContext("l1_bytes", std::to_string(caches.l1_bytes));
  benchmark::AddCustomContext("l2_bytes", std::to_string(caches.l2_bytes));
  benchmark::AddCustomContext("last_level_bytes", std::to_string(caches.last_level_bytes));
  const bool exceeds = RotationBytes() > caches.last_level_bytes;
  benchmark::AddCustomContext(
      "rotation_bytes",
      std::to_string(RotationBytes()) + (exceeds ? "" : " (capped: does not exceed the last-level cache)"));
}

}  // namespace

void ReportRates(benchmark::State& state, size_t elements, Traffic traffic, const Buffers& buffers) {
  using benchmark::Counter;
  const int64_t processed = state.iterations() * static_cast<int64_t>(elements);
  state.SetItemsProcessed(processed);
  const int floats = traffic.reads + traffic.writes;
  if (floats > 0) state.SetBytesProcessed(processed * floats * static_cast<int64_t>(sizeof(float)));
  state.counters["time_per_element"] =
      Counter(static_cast<double>(elements), Counter::kIsIterationInvariantRate | Counter::kInvert);
  state.counters["buffers"] = static_cast<double>(buffers.count());
}

int RunBenchmarks(int argc, char** argv, void (*register_benchmarks)()) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  AddContext();
  register_benchmarks();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

}  // namespace smx_bench
