// The gate of a mixture of experts, for every instruction set and type of logits: bench/moe_gate.h has the names.
#include "bench/measure.h"
#include "bench/moe_gate.h"

int main(int argc, char** argv) {
  return smx_bench::RunBenchmarks(argc, argv, smx_bench::RegisterMoeGates);
}
