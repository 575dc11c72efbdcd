// Softmax end to end: the algorithms on every ISA, the operator through the C API, and the roofline, over single rows
// of 2^6 to 2^26 elements and over batches. Figures that are compared come from one run that interleaves them (a
// single command):
//
//     softmax_bench --benchmark_filter='^(read|copy|stream-copy|.*isa:avx512f).*/rows:1/channels:4194304/'
//         --benchmark_enable_random_interleaving=true --benchmark_repetitions=15
//         --benchmark_report_aggregates_only=true
//
// Names are <algorithm>/isa:<isa>/threads:<n>/rows:<n>/channels:<n>/<warm|rotated>/real_time, without the ISA for the
// roofline. SMXPACK_BENCH_LARGEST_ROW=268435456 in the environment adds rows up to that length. README.md says what is
// measured and counted.
#include <string.h>

#include <string>
#include <vector>

#include "bench/algorithms.h"
#include "bench/measure.h"
#include "bench/operator.h"
#include "bench/rooflines.h"
#include "bench/shape.h"
#include "include/smxpack.h"

namespace {

using smx_bench::Algorithm;
using smx_bench::Buffering;
using smx_bench::Kernels;
using smx_bench::Roofline;
using smx_bench::Shape;

constexpr Shape kBatches[] = {
    {1, 1000},   {16, 32000},  {8, 128256}, {1024, 1024}, {256, 4096},
    {4096, 512}, {32768, 128}, {4096, 64},  {65536, 8},
};

constexpr size_t kShortestRow = size_t{1} << 6;

std::vector<Shape> Shapes() {
  std::vector<Shape> shapes;
  for (size_t n = kShortestRow; n <= smx_bench::LongestRow(); n *= 2) shapes.push_back({1, n});
  shapes.insert(shapes.end(), std::begin(kBatches), std::end(kBatches));
  return shapes;
}

constexpr size_t kThreadCounts[] = {1, 2};

void MeasureOperator(benchmark::State& state, const char* isa, size_t threads, const Shape& shape,
                     Buffering buffering) {
  const smx_bench::Operator op(isa);
  if (op.get() == nullptr) return state.SkipWithError("the operator could not be created for this ISA");
  const smx_bench::Buffers::Pair pair = smx_bench::Buffers(shape.elements(), buffering).Next();
  smx_plan plan;
  if (op.SetUp(shape, pair.x, pair.y) != smx_status_success ||
      smx_get_plan(op.get(), threads, &plan) != smx_status_success) {
    return state.SkipWithError("the operator could not be set up");
  }
  const Algorithm* algorithm = smx_bench::FindAlgorithm(plan.algorithm);
  const smx_bench::Traffic unknown = {0, 0};
  const smx_bench::ThreadPool threadpool = smx_bench::MakeThreadPool(threads);
  smx_bench::Measure(state, shape.elements(), buffering, algorithm != nullptr ? algorithm->traffic : unknown,
                     [&](const float* x, float* y) {
                       op.SetUp(shape, x, y);
                       smx_run_operator(op.get(), threadpool.get());
                     });
  state.SetLabel(std::string(plan.algorithm) + (plan.split_rows > 0 ? ", splits rows" : ""));
}

void MeasureAlgorithm(benchmark::State& state, const Algorithm& algorithm, const Kernels& kernels,
                      const Shape& shape, Buffering buffering) {
  smx_bench::Measure(state, shape.elements(), buffering, algorithm.traffic, [&](const float* x, float* y) {
    for (size_t i = 0; i < shape.elements(); i += shape.channels) {
      algorithm.run(kernels, shape.channels, x + i, y + i);
    }
  });
  state.SetLabel(algorithm.variants(kernels));
}

void MeasureRoofline(benchmark::State& state, const Roofline& roofline, size_t threads, const Shape& shape,
                     Buffering buffering) {
  const smx_bench::ThreadPool threadpool = smx_bench::MakeThreadPool(threads);
  smx_bench::Measure(state, shape.elements(), buffering, roofline.traffic, [&](const float* x, float* y) {
    smx_bench::RunRoofline(roofline, threadpool.get(), shape.elements(), x, y);
  });
  state.SetLabel(roofline.method);
}

// Time is that of the clock, which threads share.
template <class Function>
void Register(const std::string& what, size_t threads, const Shape& shape, Buffering buffering,
              const Function& function) {
  const std::string name =
      what + "/threads:" + std::to_string(threads) + "/rows:" + std::to_string(shape.rows) +
      "/channels:" + std::to_string(shape.channels) + "/" + smx_bench::BufferingName(buffering);
  benchmark::RegisterBenchmark(name.c_str(), function)->UseRealTime();
}

void RegisterShape(const Shape& shape, Buffering buffering) {
  for (size_t i = 0; i < smx_bench::kRooflineCount; i++) {
    const Roofline& roofline = smx_bench::GetRooflines()[i];
    for (const size_t threads : kThreadCounts) {
      Register(roofline.name, threads, shape, buffering, [=, &roofline](benchmark::State& state) {
        MeasureRoofline(state, roofline, threads, shape, buffering);
      });
    }
  }
  for (const Kernels& kernels : smx_bench::AvailableKernels()) {
    const std::string isa = std::string("/isa:") + kernels.isa;
    for (const Algorithm& algorithm : smx_bench::kAlgorithms) {
      Register(algorithm.name + isa, 1, shape, buffering, [=, &algorithm, &kernels](benchmark::State& state) {
        MeasureAlgorithm(state, algorithm, kernels, shape, buffering);
      });
    }
    for (const size_t threads : kThreadCounts) {
      Register("operator" + isa, threads, shape, buffering, [=, &kernels](benchmark::State& state) {
        MeasureOperator(state, kernels.isa, threads, shape, buffering);
      });
    }
  }
}

void RegisterAll() {
  for (const Shape& shape : Shapes()) {
    for (const Buffering buffering : {Buffering::kWarm, Buffering::kRotated}) RegisterShape(shape, buffering);
  }
}

}  // namespace

int main(int argc, char** argv) {
  return smx_bench::RunBenchmarks(argc, argv, RegisterAll);
}
