// The softmax of attention, with any options, sizes, strides and threads. What must hold:
// - rows have the bits of softmax on the logits that include/smxpack.h tells, on every ISA;
// - what a query does not see is neither read nor written, and guard pages lie beside the buffers.
#include <gtest/gtest.h>

#include <string>

#include "test/attention_problem.h"
#include "test/fuzz/fuzz_input.h"
#include "test/fuzz/hostile_rows.h"
#include "test/isas.h"
#include "test/softmax_tester.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace smx;
  GTEST_FLAG_SET(throw_on_failure, true);  // libFuzzer does not see the trap of break_on_failure
  FuzzInput input(data, size);
  attention::Problem problem = attention::DrawProblem(&input);
  const HostileRows hostile = DrawHostileRows(&input);
  problem.rows = [&hostile](size_t n, uint64_t seed) { return hostile(n, seed % 1000); };
  problem.family = "hostile";
  problem.seed = input.Integer(4);
  attention::Setting setting;
  setting.threads = input.Below(4);
  setting.task_elements = 1 + input.Below(5000);
  setting.edge = input.OneIn(2) ? GuardedEdge::kBeginning : GuardedEdge::kEnd;
  UseIsa("scalar");
  const attention::Result expected = attention::Expected(problem, attention::LogitsOf(problem));
  for (const std::string& isa : AvailableIsas()) {
    setting.isa = isa;
    attention::ExpectResult(problem, setting, expected);
  }
  return 0;
}
