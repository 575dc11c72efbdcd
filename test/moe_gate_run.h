// Runs of the gate of a mixture of experts, and what include/smxpack.h says of their results.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <algorithm>
#include <ostream>
#include <string>
#include <vector>

#include "include/smxpack.h"
#include "test/elements.h"
#include "test/guarded_buffer.h"
#include "test/rows.h"
#include "test/rows_operator.h"
#include "test/softmax_tester.h"

namespace smx::gate {

using Row = std::vector<float>;
using Rows = SoftmaxTester::Rows;
using Indices = std::vector<int32_t>;

struct GateRun {
  std::string isa = "scalar";
  TypePair types = {smx_datatype_f32, smx_datatype_f32};
  smx_gate_scores scores = smx_gate_scores_softmax;
  uint32_t flags = 0;
  float scale = 1.0f;
  size_t k = 1;
  Row bias = {};  // empty: none
  size_t gap = 0;
  size_t threads = 0;
  size_t task_elements = 0;  // of the thresholds, where it is not 0
  GuardedEdge edge = GuardedEdge::kEnd;

  bool Normalizes() const { return (flags & SMX_FLAG_NORMALIZE_WEIGHTS) != 0; }
};

std::ostream& operator<<(std::ostream& out, const GateRun& run);

struct Choice {
  Rows weights;
  std::vector<Indices> indices;
};

// Between guard pages; gaps hold NaN.
Choice RunGate(const GateRun& run, const Rows& logits);

std::vector<long double> ExactSigmoids(float scale, const Row& logits);

void ExpectSame(const Choice& actual, const Choice& expected);

// What a run must give.
struct Reference {
  Choice choice;
  double worst;  // the weights' largest error in ULP
};

// What scalar kernels give on the caller's thread, held against the formulas, and softmax weights against the bits of softmax_nc.
Reference ReferenceOf(const GateRun& run, Rows logits);

// Logits of all kinds: ties, masks, rows out of the kernels' range, special ones.
Rows DrawLogits(size_t tokens, size_t experts, uint64_t seed);

Row DrawBias(size_t experts, uint64_t seed);

// What follows draws from anything that has Next() and Below(bound), as SplitMix64 has them.

template <class Random>
size_t DrawCount(Random* random, std::vector<size_t> often, size_t most) {
  const size_t drawn = 1 + random->Below(static_cast<uint32_t>(most));
  return random->Below(2) == 0 ? std::min(most, often[random->Below(static_cast<uint32_t>(often.size()))])
                               : drawn;
}

template <class Random>
size_t DrawExperts(Random* random) {
  return DrawCount(random, {8, 16, 60, 64, 128, 256, 512}, 512);
}

template <class Random>
GateRun DrawRun(Random* random, size_t experts) {
  constexpr float kScales[] = {1.0f, 1.0f, 1.0f, 0.125f, 1.7f, -1.0f, -0.3f, 0.0f, 0x1.8p-41f, -0x1.4p50f};
  constexpr smx_gate_scores kScores[] = {smx_gate_scores_softmax, smx_gate_scores_logits,
                                         smx_gate_scores_sigmoid};
  GateRun run;
  run.types = TypePairs()[random->Below(static_cast<uint32_t>(TypePairs().size()))];
  run.scores = kScores[random->Below(3)];
  run.flags = (random->Below(2) != 0 ? SMX_FLAG_MASKED_ROWS_TO_ZERO : 0) |
              (random->Below(2) != 0 ? SMX_FLAG_NORMALIZE_WEIGHTS : 0);
  run.scale = kScales[random->Below(10)];
  run.k = DrawCount(random, {1, 2, 4, 6, 8}, std::min<size_t>(64, experts));
  if (random->Below(2) == 0) run.bias = DrawBias(experts, random->Next());
  run.gap = random->Below(3);
  run.threads = random->Below(3);
  run.task_elements = random->Below(2) * 100;
  run.edge = random->Below(2) == 0 ? GuardedEdge::kEnd : GuardedEdge::kBeginning;
  return run;
}

}  // namespace smx::gate
