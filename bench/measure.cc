#include "bench/measure.h"

#include <cpuinfo.h>

#include <string>

#include "bench/algorithms.h"
#include "bench/caches.h"

namespace smx_bench {
namespace {

std::string ProcessorName() {
  const cpuinfo_package* package = cpuinfo_initialize() ? cpuinfo_get_package(0) : nullptr;
  return package != nullptr ? package->name : "unknown";
}

void AddCache(const std::string& name, const Cache& cache) {
  benchmark::AddCustomContext(name + "_bytes", std::to_string(cache.bytes));
  benchmark::AddCustomContext(name + "_source", cache.source);
}

// In the order of dispatch.
std::string IsaNames() {
  std::string names;
  for (const Kernels& kernels : AvailableKernels())
    names += (names.empty() ? "" : " ") + std::string(kernels.isa);
  return names;
}

}  // namespace

void AddContext() {
  benchmark::AddCustomContext("processor", ProcessorName());
  benchmark::AddCustomContext("isas", IsaNames());
  benchmark::AddCustomContext("compiler", SMXPACK_COMPILER);
  benchmark::AddCustomContext("compiler_flags", SMXPACK_COMPILER_FLAGS);
  const Caches& caches = GetCaches();
  AddCache("l1", caches.l1);
  AddCache("l2", caches.l2);
  AddCache("last_level", caches.last_level);
  const bool exceeds = RotationBytes() > caches.last_level.bytes;
  benchmark::AddCustomContext(
      "rotation_bytes",
      std::to_string(RotationBytes()) + (exceeds ? "" : " (capped: does not exceed the last-level cache)"));
}

void ReportRates(benchmark::State& state, size_t elements, size_t bytes_per_element, size_t buffers) {
  using benchmark::Counter;
  const int64_t processed = state.iterations() * static_cast<int64_t>(elements);
  state.SetItemsProcessed(processed);
  if (bytes_per_element > 0) state.SetBytesProcessed(processed * static_cast<int64_t>(bytes_per_element));
  state.counters["time_per_element"] =
      Counter(static_cast<double>(elements), Counter::kIsIterationInvariantRate | Counter::kInvert);
  state.counters["buffers"] = static_cast<double>(buffers);
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
