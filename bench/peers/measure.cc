#include "bench/peers/measure.h"

#include <math.h>
#include <string.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <stdexcept>
#include <thread>

namespace smx_peers {
namespace {

using smx_bench::Buffering;

template <class Type>
using Buffers = smx_bench::Buffers<Type, Type>;

// A sample takes about so long, or one run.
constexpr double kSampleNs = 5e6;

// Threads of OpenMP spin for some milliseconds after their work, and would take a processor from who comes next.
constexpr std::chrono::milliseconds kThreadsFallAsleep(20);

// Throws where the result is wrong.
template <class Pair>
Error CheckResult(const Subject& subject, const Shape& shape, const Problem& problem, const Pair& pair,
                  const Reference& reference) {
  memset(pair.y, 0xFF, shape.elements() * ElementBytes(problem));  // NaN
  const std::unique_ptr<Softmax> softmax = subject.peer.create(shape);
  softmax->SetUp(pair.x, pair.y);
  softmax->Run();
  const Error error = reference.ErrorOf(pair.y);
  if (error.relative > TolerableRelativeError(shape.channels, problem.type)) {
    throw std::runtime_error(subject.peer.name + " is wrong for " + ToString(shape) +
                             ": off by a factor of " + std::to_string(1.0 + error.relative));
  }
  return error;
}

// Of one run: of so many in a row, under one reading of the clock. The operator is new; its first run is not timed.
template <class Buffers>
double TimeRuns(const Subject& subject, const Shape& shape, const Options& options, Buffers* buffers,
                size_t runs) {
  if (options.setting.threads > 1) std::this_thread::sleep_for(kThreadsFallAsleep);
  const std::unique_ptr<Softmax> softmax = subject.peer.create(shape);
  const auto set_up = [&] {
    const typename Buffers::Pair pair = buffers->Next();
    softmax->SetUp(pair.x, pair.y);
  };
  set_up();
  softmax->Run();
  const auto start = std::chrono::steady_clock::now();
  for (size_t i = 0; i < runs; i++) {
    if (options.buffering == Buffering::kRotated) set_up();
    softmax->Run();
  }
  const std::chrono::duration<double, std::nano> elapsed = std::chrono::steady_clock::now() - start;
  return elapsed.count() / static_cast<double>(runs);
}

// Every subject's, with its error.
template <class Pair>
std::vector<Result> CheckResults(const std::vector<Subject>& subjects, const Shape& shape,
                                 const Problem& problem, const Pair& pair) {
  const Reference reference(shape, pair.x, problem);
  std::vector<Result> results;
  for (const Subject& subject : subjects) {
    results.push_back({subject.peer.name, subject.role, {}, 1, {}});
    if (subject.role != Role::kRoofline)
      results.back().error = CheckResult(subject, shape, problem, pair, reference);
  }
  return results;
}

// How many runs make a sample.
template <class Buffers>
size_t RunsPerSample(const Subject& subject, const Shape& shape, const Options& options, Buffers* buffers) {
  for (size_t runs = 1;; runs *= 10) {
    const double ns = TimeRuns(subject, shape, options, buffers, runs);
    if (ns * static_cast<double>(runs) * 10 > kSampleNs) return static_cast<size_t>(ceil(kSampleNs / ns));
  }
}

template <class Type>
ShapeResults MeasureType(const std::vector<Subject>& subjects, const Shape& shape, const Options& options,
                         std::mt19937* random) {
  Buffers<Type> buffers(shape.elements(), options.buffering);
  ShapeResults results = {shape, CheckResults(subjects, shape, options.setting.problem, buffers.Next())};
  for (size_t i = 0; i < subjects.size(); i++) {
    results.results[i].runs_per_sample = RunsPerSample(subjects[i], shape, options, &buffers);
  }

  std::vector<size_t> order(subjects.size());
  std::iota(order.begin(), order.end(), size_t{0});
  for (int round = 0; round < options.rounds; round++) {
    std::shuffle(order.begin(), order.end(), *random);
    for (const size_t i : order) {
      Result& result = results.results[i];
      const double ns = TimeRuns(subjects[i], shape, options, &buffers, result.runs_per_sample);
      result.samples.push_back(ns / static_cast<double>(shape.elements()));
    }
  }
  return results;
}

}  // namespace

ShapeResults Measure(const std::vector<Subject>& subjects, const Shape& shape, const Options& options,
                     std::mt19937* random) {
  switch (options.setting.problem.type) {
    case smx_datatype_f16:
      return MeasureType<smx_bench::F16>(subjects, shape, options, random);
    case smx_datatype_bf16:
      return MeasureType<smx_bench::Bf16>(subjects, shape, options, random);
    default:
      return MeasureType<smx_bench::F32>(subjects, shape, options, random);
  }
}

}  // namespace smx_peers
