// The gate of a mixture of experts, with any options, sizes, logits and threads. What must hold:
// - the choice is that of a stable sort, weights are within their bounds, those of softmax have the bits of rows;
// - every ISA gives the same, and guard pages lie beside the buffers.
#include <gtest/gtest.h>

#include <string>

#include "test/fuzz/fuzz_input.h"
#include "test/fuzz/hostile_rows.h"
#include "test/isas.h"
#include "test/moe_gate_run.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace smx;
  GTEST_FLAG_SET(throw_on_failure, true);  // libFuzzer does not see the trap of break_on_failure
  FuzzInput input(data, size);
  const size_t experts = gate::DrawExperts(&input);
  gate::GateRun run = gate::DrawRun(&input, experts);
  const size_t tokens = 1 + input.Below(40);
  gate::Rows logits = gate::DrawLogits(tokens, experts, input.Integer(4));
  if (input.OneIn(2)) {
    const HostileRows hostile = DrawHostileRows(&input);
    for (size_t t = 0; t < tokens; t++) logits[t] = hostile(experts, t);
  }
  const gate::Reference reference = gate::ReferenceOf(run, logits);
  for (const std::string& isa : AvailableIsas()) {
    run.isa = isa;
    SCOPED_TRACE(run);
    gate::ExpectSame(gate::RunGate(run, logits), reference.choice);
  }
  return 0;
}
