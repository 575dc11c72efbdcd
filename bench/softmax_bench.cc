// Softmax end to end: the algorithms on every ISA, the operator through the C API, and the roofline, over single rows
// of 2^3 to 2^26 elements and over batches, on one thread up to all processors. Figures that are compared come from one run that interleaves them (a
// single command):
//
//     softmax_bench --benchmark_filter='^(read|copy|stream-copy|.*isa:avx512f).*/rows:1/channels:4194304/'
//         --benchmark_enable_random_interleaving=true --benchmark_repetitions=15
//         --benchmark_report_aggregates_only=true
//
// Names are <algorithm>/isa:<isa>/threads:<n>/rows:<n>/channels:<n>/<warm|rotated>/real_time, without the ISA for the
// roofline; operator:<name>/types:<type>/isa:... for operators and types that are not softmax of f32, over the batches.
// SMXPACK_BENCH_LARGEST_ROW=268435456 in the environment adds rows up to that length. README.md says what is
// measured and counted.
#include <cpuinfo.h>
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
using smx_bench::OperatorKind;
using smx_bench::Roofline;
using smx_bench::Shape;

constexpr Shape kBatches[] = {
    {2, size_t{1} << 23}, {1, 1000},   {16, 32000},  {8, 128256}, {1024, 1024},
    {256, 4096},          {4096, 512}, {32768, 128}, {4096, 64},  {65536, 8},
};

// Short rows, as many as together fill a part of a level 2 cache.
constexpr size_t kShortChannels[] = {8, 10, 16, 24, 32, 48, 64, 100, 128, 197, 256, 512, 1000, 1024};
constexpr size_t kShortRowsElements = size_t{1} << 16;

// Of which every thread has as many when threads are added (weak scaling): one in cache and one out of it.
constexpr Shape kBatchesPerThread[] = {{256, 4096}, {2, size_t{1} << 23}};

constexpr size_t kShortestRow = size_t{1} << 3;

std::vector<Shape> Shapes() {
  std::vector<Shape> shapes;
  for (size_t n = kShortestRow; n <= smx_bench::LongestRow(); n *= 2) shapes.push_back({1, n});
  shapes.insert(shapes.end(), std::begin(kBatches), std::end(kBatches));
  for (const size_t channels : kShortChannels) shapes.push_back({kShortRowsElements / channels, channels});
  return shapes;
}

// Powers of two, and the number of processors.
std::vector<size_t> ThreadCounts() {
  const size_t processors = cpuinfo_initialize() ? cpuinfo_get_processors_count() : 1;
  std::vector<size_t> counts;
  for (size_t threads = 1; threads < processors; threads *= 2) counts.push_back(threads);
  counts.push_back(processors);
  return counts;
}

template <class Type>
void MeasureOperator(benchmark::State& state, const char* isa, const OperatorKind& kind, size_t threads,
                     const Shape& shape, Buffering buffering) {
  smx_bench::Operator op(isa, kind, Type::kDatatype, shape.rows);
  if (op.get() == nullptr) return state.SkipWithError("the operator could not be created for this ISA");
  const auto pair = smx_bench::Buffers<Type, Type>(shape.elements(), buffering).Next();
  smx_plan plan;
  if (op.SetUp(shape, pair.x, pair.y) != smx_status_success ||
      smx_get_plan(op.get(), threads, &plan) != smx_status_success) {
    return state.SkipWithError("the operator could not be set up");
  }
  const Algorithm* algorithm = smx_bench::FindAlgorithm(plan.algorithm);
  const bool is_planned = kind.traffic.reads == 0 && algorithm != nullptr;
  const smx_bench::ThreadPool threadpool = smx_bench::MakeThreadPool(threads);
  smx_bench::Measure<Type, Type>(state, shape.elements(), buffering,
                                 is_planned ? algorithm->traffic : kind.traffic, [&](const void* x, void* y) {
                                   op.SetUp(shape, x, y);
                                   smx_run_operator(op.get(), threadpool.get());
                                 });
  state.SetLabel(std::string(plan.algorithm) + (plan.split_rows > 0 ? ", splits rows" : ""));
}

// An algorithm over the rows of a matrix, of which each thread takes a contiguous part.
struct Rows {
  const Algorithm& algorithm;
  const Kernels& kernels;
  Shape shape;
  size_t threads;
  const float* x;
  float* y;
};

void RunPart(const Rows& rows, size_t part) {
  const size_t most = (rows.shape.rows + rows.threads - 1) / rows.threads;
  const size_t end = std::min(rows.shape.rows, (part + 1) * most);
  for (size_t row = part * most; row < end; row++) {
    const size_t start = row * rows.shape.channels;
    rows.algorithm.run(rows.kernels, rows.shape.channels, rows.x + start, rows.y + start);
  }
}

void MeasureAlgorithm(benchmark::State& state, const Algorithm& algorithm, const Kernels& kernels,
                      size_t threads, const Shape& shape, Buffering buffering) {
  const smx_bench::ThreadPool threadpool = smx_bench::MakeThreadPool(threads);
  smx_bench::Measure(state, shape.elements(), buffering, algorithm.traffic, [&](const float* x, float* y) {
    Rows rows = {algorithm, kernels, shape, threads, x, y};
    if (threads == 1) return RunPart(rows, 0);
    pthreadpool_parallelize_1d(
        threadpool.get(),
        [](void* context, size_t part) {
          const smx_fp_environment environment;  // each thread has its own
          RunPart(*static_cast<const Rows*>(context), part);
        },
        &rows, threads, 0);
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

void RegisterRooflines(const Shape& shape, size_t threads, Buffering buffering) {
  for (size_t i = 0; i < smx_bench::kRooflineCount; i++) {
    const Roofline& roofline = smx_bench::GetRooflines()[i];
    Register(roofline.name, threads, shape, buffering, [=, &roofline](benchmark::State& state) {
      MeasureRoofline(state, roofline, threads, shape, buffering);
    });
  }
}

template <class Type>
void RegisterOperator(const std::string& what, const OperatorKind& kind, const Kernels& kernels,
                      const Shape& shape, size_t threads, Buffering buffering) {
  Register(what + "/isa:" + kernels.isa, threads, shape, buffering,
           [=, &kind, &kernels](benchmark::State& state) {
             MeasureOperator<Type>(state, kernels.isa, kind, threads, shape, buffering);
           });
}

// Those that the operator of the algorithms leaves: its other types, and the others.
void RegisterOtherOperators(const Kernels& kernels, const Shape& shape, size_t threads, Buffering buffering) {
  const auto register_type = [&](auto type, const OperatorKind& kind) {
    using Type = decltype(type);
    const std::string what =
        std::string("operator:") + kind.name + "/types:" + smx_bench::TypeName(Type::kDatatype);
    RegisterOperator<Type>(what, kind, kernels, shape, threads, buffering);
  };
  for (const OperatorKind* kind : smx_bench::kOperatorKinds) {
    if (kind != &smx_bench::kSoftmax) register_type(smx_bench::F32(), *kind);
    register_type(smx_bench::F16(), *kind);
    register_type(smx_bench::Bf16(), *kind);
  }
}

void RegisterAlgorithms(const Kernels& kernels, const Shape& shape, size_t threads, Buffering buffering) {
  for (const Algorithm& algorithm : smx_bench::kAlgorithms) {
    Register(std::string(algorithm.name) + "/isa:" + kernels.isa, threads, shape, buffering,
             [=, &algorithm, &kernels](benchmark::State& state) {
               MeasureAlgorithm(state, algorithm, kernels, threads, shape, buffering);
             });
  }
}

void RegisterShape(const Shape& shape, size_t threads, Buffering buffering) {
  RegisterRooflines(shape, threads, buffering);
  for (const Kernels& kernels : smx_bench::AvailableKernels()) {
    RegisterOperator<smx_bench::F32>("operator", smx_bench::kSoftmax, kernels, shape, threads, buffering);
    if (threads == 1 || shape.rows > 1) RegisterAlgorithms(kernels, shape, threads, buffering);
  }
}

void RegisterAll() {
  for (const Buffering buffering : {Buffering::kWarm, Buffering::kRotated}) {
    for (const size_t threads : ThreadCounts()) {
      for (const Shape& shape : Shapes()) RegisterShape(shape, threads, buffering);
      for (const Kernels& kernels : smx_bench::AvailableKernels()) {
        for (const Shape& shape : kBatches) RegisterOtherOperators(kernels, shape, threads, buffering);
      }
      if (threads == 1) continue;  // which is a batch of the others
      for (const Shape& each : kBatchesPerThread) {
        RegisterShape({each.rows * threads, each.channels}, threads, buffering);
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  return smx_bench::RunBenchmarks(argc, argv, RegisterAll);
}
