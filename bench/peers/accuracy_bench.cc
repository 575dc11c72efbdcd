// The error of every softmax, ours and those of other libraries, against the length of the row:
//
//     accuracy_bench --benchmark_filter='input:normal/channels:1048576$'
//
// Names are accuracy/subject:<name>/input:<normal|equal>/channels:<n>. Each is computed once; the counters max_ulp and
// mean_ulp are what it is for. SMXPACK_BENCH_LARGEST_ROW=268435456 in the environment adds rows up to that length, which
// take 4 GiB of memory. README.md says more.
#include <math.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "bench/algorithms.h"
#include "bench/measure.h"
#include "bench/peers/reference.h"
#include "bench/peers/row_loop.h"
#include "bench/peers/subjects.h"

namespace smx_peers {
namespace {

// Rows together hold at least so many elements, so that the largest error of short ones is not that of a few elements.
constexpr size_t kFewestElements = size_t{1} << 16;
constexpr size_t kShortestRow = 10;

struct Input {
  const char* name;
  std::vector<float> (*draw)(size_t n);
};

std::vector<float> DrawNormal(size_t n) {
  std::mt19937 engine(2001);
  std::normal_distribution<float> distribution(0.0f, smx_bench::kInputDeviation);
  std::vector<float> x(n);
  for (float& element : x) element = distribution(engine);
  return x;
}

std::vector<float> DrawEqual(size_t n) {
  return std::vector<float>(n, -11.1f);
}

constexpr Input kInputs[] = {{"normal", DrawNormal}, {"equal", DrawEqual}};

Shape ShapeOf(size_t channels) {
  return {(kFewestElements + channels - 1) / channels, channels};
}

// What subjects get, and what they should give. One exists at a time, for it is large.
struct Task {
  const Input* input;
  size_t channels;
  std::vector<float> x;
  std::vector<float> y;
  Reference reference;

  Task(const Input& i, size_t n)
      : input(&i),
        channels(n),
        x(i.draw(ShapeOf(n).elements())),
        y(x.size()),
        reference(ShapeOf(n), x.data()) {}
};

Task* TaskOf(const Input& input, size_t channels) {
  static std::unique_ptr<Task> task;
  if (task == nullptr || task->input != &input || task->channels != channels) {
    task.reset();
    task = std::make_unique<Task>(input, channels);
  }
  return task.get();
}

void MeasureError(benchmark::State& state, const Peer& peer, const Input& input, size_t channels) {
  Task* const task = TaskOf(input, channels);
  std::fill(task->y.begin(), task->y.end(), NAN);
  try {
    const std::unique_ptr<Softmax> softmax = peer.create(ShapeOf(channels));
    softmax->SetUp(task->x.data(), task->y.data());
    for (auto _ : state) softmax->Run();
  } catch (const std::exception& exception) {
    return state.SkipWithError(exception.what());
  }
  const Error error = task->reference.ErrorOf(task->y.data());
  if (!isfinite(error.ulp)) return state.SkipWithError("gives NaN or infinity");
  state.counters["max_ulp"] = error.ulp;
  state.counters["mean_ulp"] = error.mean_ulp;
  state.SetLabel(peer.version);
}

// What the operator chooses from, each at every length.
Peer OfAlgorithm(const char* name, const smx_bench::Kernels& kernels) {
  const smx_bench::Algorithm& algorithm = *smx_bench::FindAlgorithm(name);
  const auto row = [&algorithm, &kernels](size_t n, const float* x, float* y) {
    const smx_fp_environment environment;
    algorithm.run(kernels, n, x, y);
  };
  return {std::string(name) + " " + kernels.isa, algorithm.variants(kernels), true,
          [=](const Shape& shape) { return std::make_unique<RowLoop<decltype(row)>>(row, shape, 1); }};
}

std::vector<Peer> Peers() {
  const smx_bench::Kernels& kernels = smx_bench::AvailableKernels().front();
  std::vector<Peer> peers = {OfAlgorithm("two-pass", kernels), OfAlgorithm("store-and-rescale", kernels)};
  const Setting setting = {kernels.isa, 1};
  for (Subject& subject : Subjects(setting, FoundPeers(setting))) {
    if (subject.role != Role::kRoofline) peers.push_back(std::move(subject.peer));
  }
  return peers;
}

// No powers of two before the last: the reciprocal of one is exact. Nor the same number times such powers, for then equal
// logits have the same error at each length.
std::vector<size_t> Lengths() {
  std::vector<size_t> lengths;
  for (size_t n = kShortestRow; n <= smx_bench::LongestRow() / 2; n = 4 * n + 1) lengths.push_back(n);
  lengths.push_back(smx_bench::LongestRow());
  return lengths;
}

void RegisterAll() {
  AddAbsentPeersToContext();
  static const std::vector<Peer> peers = Peers();
  for (const Input& input : kInputs) {
    for (const size_t channels : Lengths()) {
      for (const Peer& peer : peers) {
        const std::string name = "accuracy/subject:" + peer.name + "/input:" + input.name +
                                 "/channels:" + std::to_string(channels);
        benchmark::RegisterBenchmark(name.c_str(), [&peer, &input, channels](benchmark::State& state) {
          MeasureError(state, peer, input, channels);
        })->Iterations(1);
      }
    }
  }
}

}  // namespace
}  // namespace smx_peers

int main(int argc, char** argv) {
  return smx_bench::RunBenchmarks(argc, argv, smx_peers::RegisterAll);
}
