#include "test/moe_gate_run.h"

#include <float.h>
#include <gtest/gtest.h>
#include <math.h>

#include <numeric>

#include "src/operators/scale.h"
#include "src/runtime/fp_environment.h"
#include "test/isas.h"
#include "test/ulp.h"

namespace smx::gate {
namespace {

template <class Elements>
std::vector<std::vector<typename Elements::value_type>> Split(const Elements& elements, size_t k) {
  std::vector<std::vector<typename Elements::value_type>> rows;
  for (auto it = elements.begin(); it != elements.end(); it += static_cast<ptrdiff_t>(k)) {
    rows.emplace_back(it, it + static_cast<ptrdiff_t>(k));
  }
  return rows;
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const GateRun& run) {
  return out << run.isa << ", " << run.types << ", scores " << run.scores << ", flags " << run.flags
             << ", scale " << run.scale << ", k = " << run.k << (run.bias.empty() ? "" : ", biased")
             << ", gap " << run.gap << ", " << run.threads << " threads";
}

Choice RunGate(const GateRun& run, const Rows& logits) {
  SCOPED_TRACE(run);
  const size_t tokens = logits.size(), experts = logits.front().size(), stride = experts + run.gap;
  Row padded(tokens * stride - run.gap, NAN);
  for (size_t t = 0; t < tokens; t++)
    std::copy(logits[t].begin(), logits[t].end(), padded.data() + t * stride);
  const GuardedBuffer<unsigned char> x(Encode(run.types.input, padded.data(), padded.size()), run.edge);
  const GuardedBuffer<float> bias(run.bias, run.edge);
  GuardedBuffer<unsigned char> weights(tokens * run.k * BytesOf(run.types.output), run.edge);
  GuardedBuffer<int32_t> indices(tokens * run.k, run.edge);
  UseIsa(run.isa);
  smx_thresholds thresholds;
  EXPECT_EQ(smx_get_thresholds(&thresholds), smx_status_success);
  if (run.task_elements != 0) thresholds.task_elements = run.task_elements;
  EXPECT_EQ(smx_set_thresholds(&thresholds), smx_status_success);
  RunOnce(
      [&](smx_operator_t* op) {
        return smx_create_moe_gate_nc(run.types.input, run.types.output, run.scores, run.flags, op);
      },
      [&](smx_operator_t op) {
        EXPECT_EQ(smx_set_scale(op, run.scale), smx_status_success);
        return smx_setup_moe_gate_nc(op, tokens, experts, run.k, stride, x.data(),
                                     run.bias.empty() ? nullptr : bias.data(), weights.data(),
                                     indices.data());
      },
      Pool(run.threads));
  EXPECT_TRUE(weights.SurroundingsAreIntact() && indices.SurroundingsAreIntact());
  return {Split(Decode(run.types.output, weights.data(), indices.size()), run.k),
          Split(Indices(indices.begin(), indices.end()), run.k)};
}

namespace {

// By softmax_nc, and by the operator's formula of sigmoids on scalar kernels.
Row ScoresOf(const GateRun& run, const Row& logits) {
  if (run.scores == smx_gate_scores_softmax) {
    RowsRun softmax;
    softmax.flags = run.flags & SMX_FLAG_MASKED_ROWS_TO_ZERO;
    softmax.scale = run.scale;
    return RunRows(softmax, {logits})[0];
  }
  const smx_fp_environment environment;
  Row scores = logits;
  if (run.scores == smx_gate_scores_logits) {
    for (float& x : scores) x *= run.scale;
    return scores;
  }
  const smx_scale scale = smx_scale_of(run.scale);
  const smx_staging staging = smx_staging_of(&scale, false, 0.0f);
  const smx_f32_reciprocal one = {1.0f, 0.0f, 0};
  for (float& x : scores) {
    x = smx_staged(&staging, x);
    if (x * scale.exponential.scale > 25.0f) x = 25.0f / scale.exponential.scale;
  }
  ScalarMicrokernel("f32_vscaleextexp")
      .As<smx_f32_vscaleextexp_ukernel_fn>()(scores.size(), scores.data(), scores.data(), &one,
                                             &scale.exponential);
  for (float& x : scores) x = x / (1.0f + x);
  return scores;
}

// What experts are chosen by.
std::vector<long double> Keys(const GateRun& run, const Row& logits) {
  if (run.bias.empty()) return Products(run.scale, logits);
  const Row scores = ScoresOf(run, logits);
  const smx_fp_environment environment;
  std::vector<long double> keys;
  for (size_t i = 0; i < scores.size(); i++)
    keys.push_back(static_cast<long double>(scores[i] + run.bias[i]));
  return keys;
}

Indices Chosen(const GateRun& run, const Row& logits) {
  const std::vector<long double> keys = Keys(run, logits);
  Indices indices(keys.size());
  std::iota(indices.begin(), indices.end(), 0);
  std::stable_sort(indices.begin(), indices.end(), [&keys](int32_t a, int32_t b) {
    return isnan(keys[b]) ? false : isnan(keys[a]) || keys[a] > keys[b];
  });
  indices.resize(run.k);
  return indices;
}

Row At(const Row& row, const Indices& indices) {
  Row values;
  for (int32_t i : indices) values.push_back(row[static_cast<size_t>(i)]);
  return values;
}

}  // namespace

std::vector<long double> ExactSigmoids(float scale, const Row& chosen) {
  std::vector<long double> weights = Products(scale, chosen);
  for (long double& w : weights) w = 1.0L / (1.0L + expl(-w));
  return weights;
}

namespace {

// Scores below FLT_MIN count as 0. Which of those next to it do, the sigmoids alone tell.
std::vector<long double> ExactNormalizedSigmoids(const GateRun& run, const Row& logits, const Row& chosen) {
  std::vector<long double> weights = ExactSigmoids(run.scale, chosen);
  GateRun alone = run;
  alone.flags &= ~SMX_FLAG_NORMALIZE_WEIGHTS;
  const Row rounded = RunGate(alone, {logits}).weights[0];
  long double sum = 0.0L;
  for (size_t j = 0; j < run.k; j++) {
    EXPECT_LE(UlpError(rounded[j], weights[j]), kSigmoidUlps) << "choice " << j << ": " << rounded[j];
    if (rounded[j] == 0.0f) weights[j] = 0.0L;
    sum += weights[j];
  }
  const bool is_zero = (run.flags & SMX_FLAG_MASKED_ROWS_TO_ZERO) != 0;
  for (long double& w : weights) w = sum == 0.0L ? (is_zero ? 0.0L : static_cast<long double>(NAN)) : w / sum;
  return weights;
}

std::vector<long double> ExactWeights(const GateRun& run, const Row& logits, const Indices& indices) {
  const Row chosen = At(logits, indices);
  if (run.scores == smx_gate_scores_sigmoid) {
    return run.Normalizes() ? ExactNormalizedSigmoids(run, logits, chosen) : ExactSigmoids(run.scale, chosen);
  }
  if (run.scores == smx_gate_scores_logits || run.Normalizes())
    return ExactSoftmax(chosen, run.flags, run.scale);
  const std::vector<long double> all = ExactSoftmax(logits, run.flags, run.scale);
  std::vector<long double> weights;
  for (int32_t i : indices) weights.push_back(all[static_cast<size_t>(i)]);
  return weights;
}

double BoundOf(const GateRun& run, long double exact) {
  if (run.scores != smx_gate_scores_sigmoid) return SoftmaxBound(exact);
  return run.Normalizes() ? kNormalizedSigmoidUlps : kSigmoidUlps;
}

// Returns the largest error.
double Check(const GateRun& run, const Rows& logits, const Choice& choice) {
  double worst = 0.0;
  for (size_t t = 0; t < logits.size(); t++) {
    SCOPED_TRACE(testing::Message() << run << ", token " << t);
    EXPECT_EQ(choice.indices[t], Chosen(run, logits[t]));
    const std::vector<long double> exact = ExactWeights(run, logits[t], choice.indices[t]);
    for (size_t j = 0; j < run.k; j++) {
      const double error = UlpError(choice.weights[t][j], exact[j]);
      EXPECT_LE(error, BoundOf(run, exact[j])) << "choice " << j << ": " << choice.weights[t][j];
      worst = std::max(worst, error);
    }
  }
  return worst;
}

// A weight of softmax is what softmax_nc gives for the row, or for that of the chosen experts.
void CheckSoftmaxBits(const GateRun& run, const Rows& logits, const Choice& choice) {
  if (run.scores == smx_gate_scores_sigmoid) return;
  const bool is_of_chosen = run.scores == smx_gate_scores_logits || run.Normalizes();
  RowsRun softmax;
  softmax.flags = run.flags & SMX_FLAG_MASKED_ROWS_TO_ZERO;
  softmax.scale = run.scale;
  for (size_t t = 0; t < logits.size(); t++) {
    const Indices& indices = choice.indices[t];
    const Row expected = is_of_chosen ? RunRows(softmax, {At(logits[t], indices)})[0]
                                      : At(RunRows(softmax, {logits[t]})[0], indices);
    EXPECT_TRUE(SameBits(choice.weights[t], expected)) << run << ", token " << t;
  }
}

}  // namespace

void ExpectSame(const Choice& actual, const Choice& expected) {
  EXPECT_EQ(actual.indices, expected.indices);
  for (size_t t = 0; t < expected.weights.size(); t++) {
    EXPECT_TRUE(SameBits(actual.weights[t], expected.weights[t])) << "token " << t;
  }
}

Reference ReferenceOf(const GateRun& run, Rows logits) {
  for (Row& row : logits) row = RoundedTo(run.types.input, row);
  GateRun plain = run;
  plain.isa = "scalar";
  plain.types.output = smx_datatype_f32;
  plain.gap = plain.threads = plain.task_elements = 0;
  Choice choice = RunGate(plain, logits);
  const double worst = Check(plain, logits, choice);
  CheckSoftmaxBits(plain, logits, choice);
  for (Row& weights : choice.weights) weights = RoundedTo(run.types.output, weights);
  return {choice, worst};
}

namespace {

Row DrawToken(SplitMix64* random, size_t experts) {
  const uint32_t kind = random->Below(11);
  const float sigma = kind < 4 ? 4.0f : kind == 4 ? 40.0f : kind == 5 ? 1e37f : 1.0f;
  Row row = NormalRow(experts, sigma, random->Next());
  if (kind == 6) std::fill(row.begin(), row.end(), -INFINITY);
  for (float& x : row) {
    const bool is_drawn = random->Below(3) == 0;
    if (kind == 3 || kind == 7) x = rintf(x);
    if (kind == 7 && is_drawn) x = -INFINITY;
    if (kind == 8 && random->Below(20) == 0) x = NAN;
    if (kind == 9 && random->Below(20) == 0) x = INFINITY;
    if (kind == 10 && is_drawn) x = random->Uniform() * FLT_MIN;
  }
  return row;
}

}  // namespace

Rows DrawLogits(size_t tokens, size_t experts, uint64_t seed) {
  SplitMix64 random(seed);
  Rows logits(tokens);
  for (Row& row : logits) row = DrawToken(&random, experts);
  return logits;
}

Row DrawBias(size_t experts, uint64_t seed) {
  constexpr float kSpecial[] = {INFINITY, -INFINITY, NAN};
  SplitMix64 random(seed);
  Row bias = NormalRow(experts, 0.25f, random.Next());
  const uint32_t kind = random.Below(4);
  for (float& b : bias) {
    if (kind == 0) b = rintf(4.0f * b) / 4.0f;
    if (kind == 1 && random.Below(6) == 0) b = kSpecial[random.Below(random.Below(8) == 0 ? 3 : 2)];
  }
  return bias;
}

}  // namespace smx::gate
