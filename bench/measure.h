// How every bench measures, what it counts, and the main function that benches share.
#pragma once

#include <benchmark/benchmark.h>

#include "bench/buffers.h"
#include "src/runtime/fp_environment.h"

namespace smx_bench {

// How often each element is really read and written, over all passes. A line that is fetched only to be overwritten, and
// what a kernel reads a second time while it is certainly in L1, do not count. {0, 0} where it is not known.
struct Traffic {
  size_t reads;   // of the input's type
  size_t writes;  // of the output's
};

// Sets elements and bytes per second, time per element, and the number of pairs of buffers.
void ReportRates(benchmark::State& state, size_t elements, size_t bytes_per_element, size_t buffers);

// Times call(x, y) on `elements` elements of types X and Y, under the floating-point environment that kernels expect. One
// call, not timed, goes before.
template <class X = F32, class Y = F32, class Call>
void Measure(benchmark::State& state, size_t elements, Buffering buffering, Traffic traffic,
             const Call& call) {
  Buffers<X, Y> buffers(elements, buffering);
  typename Buffers<X, Y>::Pair pair = buffers.Next();
  {
    const smx_fp_environment environment;
    call(pair.x, pair.y);
    for (auto _ : state) {
      pair = buffers.Next();
      call(pair.x, pair.y);
      benchmark::ClobberMemory();
    }
  }
  ReportRates(state, elements, traffic.reads * sizeof(*pair.x) + traffic.writes * sizeof(*pair.y),
              buffers.count());
}

// Adds to the context of results what they are to be judged by: processor, instruction sets, caches, compiler.
void AddContext();

// Runs what `register_benchmarks` registers, as the command line says; returns what main is to return.
int RunBenchmarks(int argc, char** argv, void (*register_benchmarks)());

}  // namespace smx_bench
