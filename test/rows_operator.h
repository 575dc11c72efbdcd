// Runs an operator on rows of any types, and reads its results as floats.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "include/smxpack.h"
#include "test/elements.h"
#include "test/guarded_buffer.h"
#include "test/softmax_tester.h"

namespace smx {

enum class RowsFunction { kSoftmax, kLogSoftmax, kLogSumExp };

struct TypePair {
  smx_datatype input;
  smx_datatype output;
};

// All that operators take.
const std::vector<TypePair>& TypePairs();
// Such as "f16" or "bf16_f32".
std::string TypeNames(const TypePair& types);
std::ostream& operator<<(std::ostream& out, const TypePair& types);

struct RowsRun {
  RowsFunction function = RowsFunction::kSoftmax;
  TypePair types = {smx_datatype_f32, smx_datatype_f32};
  std::string isa = "scalar";
  uint32_t flags = 0;
  float scale = 1.0f;    // set where it is not 1
  size_t input_gap = 0;  // elements between rows
  size_t output_gap = 0;
  bool in_place = false;
  size_t threads = 0;                // 0: no pool
  const ForcedPlan* plan = nullptr;  // thresholds
  size_t task_elements = 0;          // of the thresholds, where it is not 0
  GuardedEdge edge = GuardedEdge::kEnd;
  size_t offset = 0;  // elements from that edge
};
std::ostream& operator<<(std::ostream& out, const RowsRun& run);

// Creates an operator, sets it up, runs it once on the pool and deletes it.
void RunOnce(const std::function<smx_status(smx_operator_t*)>& create,
             const std::function<smx_status(smx_operator_t)>& set_up, pthreadpool_t pool);

// Rows of one length, whose elements are of the input's type. Gaps, inputs and what surrounds the buffers must be as before.
SoftmaxTester::Rows RunRows(const RowsRun& run, const SoftmaxTester::Rows& inputs);

// The same of pieces of rows: their sums, and their results given the sums of the rows. The run's function does not matter.
std::vector<smx_partial_sum> RunPartialSums(const RowsRun& run, const SoftmaxTester::Rows& inputs);
SoftmaxTester::Rows RunScaleBySums(const RowsRun& run, const SoftmaxTester::Rows& inputs,
                                   const std::vector<smx_partial_sum>& sums);

}  // namespace smx
