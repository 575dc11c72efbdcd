// The gate of a mixture of experts: against a reference of higher precision with every option combined at random, the
// same bits from every instruction set and number of threads, and nothing touched outside the buffers.
#include <float.h>
#include <gtest/gtest.h>
#include <math.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "src/operators/scale.h"
#include "src/runtime/fp_environment.h"
#include "test/elements.h"
#include "test/guarded_buffer.h"
#include "test/isas.h"
#include "test/log_recorder.h"
#include "test/rows.h"
#include "test/rows_operator.h"
#include "test/softmax_tester.h"
#include "test/ulp.h"

namespace smx {
namespace {

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

std::ostream& operator<<(std::ostream& out, const GateRun& run) {
  return out << run.isa << ", " << run.types << ", scores " << run.scores << ", flags " << run.flags
             << ", scale " << run.scale << ", k = " << run.k << (run.bias.empty() ? "" : ", biased")
             << ", gap " << run.gap << ", " << run.threads << " threads";
}

struct Choice {
  Rows weights;
  std::vector<Indices> indices;
};

template <class Elements>
std::vector<std::vector<typename Elements::value_type>> Split(const Elements& elements, size_t k) {
  std::vector<std::vector<typename Elements::value_type>> rows;
  for (auto it = elements.begin(); it != elements.end(); it += static_cast<ptrdiff_t>(k)) {
    rows.emplace_back(it, it + static_cast<ptrdiff_t>(k));
  }
  return rows;
}

// Between guard pages; gaps hold NaN.
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

std::vector<long double> ExactSigmoids(const GateRun& run, const Row& chosen) {
  std::vector<long double> weights = Products(run.scale, chosen);
  for (long double& w : weights) w = 1.0L / (1.0L + expl(-w));
  if (!run.Normalizes()) return weights;
  long double sum = 0.0L;
  for (long double w : weights) sum += w < static_cast<long double>(FLT_MIN) ? 0.0L : w;
  const bool is_zero = (run.flags & SMX_FLAG_MASKED_ROWS_TO_ZERO) != 0;
  for (long double& w : weights) w = sum == 0.0L ? (is_zero ? 0.0L : static_cast<long double>(NAN)) : w / sum;
  return weights;
}

std::vector<long double> ExactWeights(const GateRun& run, const Row& logits, const Indices& indices) {
  const Row chosen = At(logits, indices);
  if (run.scores == smx_gate_scores_sigmoid) return ExactSigmoids(run, chosen);
  if (run.scores == smx_gate_scores_logits || run.Normalizes())
    return ExactSoftmax(chosen, run.flags, run.scale);
  const std::vector<long double> all = ExactSoftmax(logits, run.flags, run.scale);
  std::vector<long double> weights;
  for (int32_t i : indices) weights.push_back(all[static_cast<size_t>(i)]);
  return weights;
}

double UlpsOf(const GateRun& run) {
  if (run.scores != smx_gate_scores_sigmoid) return kSoftmaxUlps;
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
      EXPECT_LE(error, UlpsOf(run)) << "choice " << j << ": " << choice.weights[t][j];
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

void ExpectSame(const Choice& actual, const Choice& expected) {
  EXPECT_EQ(actual.indices, expected.indices);
  for (size_t t = 0; t < expected.weights.size(); t++) {
    EXPECT_TRUE(SameBits(actual.weights[t], expected.weights[t])) << "token " << t;
  }
}

// Of all kinds: ties, masks, rows out of the kernels' range, special ones.
Row DrawLogits(SplitMix64* random, size_t experts) {
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

Row DrawBias(SplitMix64* random, size_t experts) {
  constexpr float kSpecial[] = {INFINITY, -INFINITY, NAN};
  Row bias = NormalRow(experts, 0.25f, random->Next());
  const uint32_t kind = random->Below(4);
  for (float& b : bias) {
    if (kind == 0) b = rintf(4.0f * b) / 4.0f;
    if (kind == 1 && random->Below(6) == 0) b = kSpecial[random->Below(random->Below(8) == 0 ? 3 : 2)];
  }
  return bias;
}

size_t DrawCount(SplitMix64* random, std::vector<size_t> often, size_t most) {
  const size_t drawn = 1 + random->Below(static_cast<uint32_t>(most));
  return random->Below(2) == 0 ? std::min(most, often[random->Below(static_cast<uint32_t>(often.size()))])
                               : drawn;
}

GateRun DrawRun(SplitMix64* random, const std::string& isa, size_t experts) {
  constexpr float kScales[] = {1.0f, 1.0f, 1.0f, 0.125f, 1.7f, -1.0f, -0.3f, 0.0f, 0x1.8p-41f, -0x1.4p50f};
  constexpr smx_gate_scores kScores[] = {smx_gate_scores_softmax, smx_gate_scores_logits,
                                         smx_gate_scores_sigmoid};
  GateRun run;
  run.isa = isa;
  run.types = TypePairs()[random->Below(static_cast<uint32_t>(TypePairs().size()))];
  run.scores = kScores[random->Below(3)];
  run.flags = (random->Below(2) != 0 ? SMX_FLAG_MASKED_ROWS_TO_ZERO : 0) |
              (random->Below(2) != 0 ? SMX_FLAG_NORMALIZE_WEIGHTS : 0);
  run.scale = kScales[random->Below(10)];
  run.k = DrawCount(random, {1, 2, 4, 6, 8}, std::min<size_t>(64, experts));
  if (random->Below(2) == 0) run.bias = DrawBias(random, experts);
  run.gap = random->Below(3);
  run.threads = random->Below(3);
  run.task_elements = random->Below(2) * 100;
  run.edge = random->Below(2) == 0 ? GuardedEdge::kEnd : GuardedEdge::kBeginning;
  return run;
}

class MoeGate : public testing::TestWithParam<std::string> {};

INSTANTIATE_TEST_SUITE_P(, MoeGate, testing::ValuesIn(AvailableIsas()),
                         [](const auto& info) { return info.param; });

TEST_P(MoeGate, IsRightWithEveryOptionAtRandom) {
  const size_t runs = RunsSparseTests() ? 100 : 1500;
  double worst[4] = {};
  for (uint64_t seed = 0; seed < runs && !HasFailure(); seed++) {
    SplitMix64 random(seed);
    const size_t experts = DrawCount(&random, {8, 16, 60, 64, 128, 256, 512}, 512);
    GateRun run = DrawRun(&random, GetParam(), experts);
    Rows logits(1 + random.Below(40));
    for (Row& row : logits) row = RoundedTo(run.types.input, DrawLogits(&random, experts));
    const Choice choice = RunGate(run, logits);

    GateRun plain = run;
    plain.isa = "scalar";
    plain.types.output = smx_datatype_f32;
    plain.gap = plain.threads = plain.task_elements = 0;
    Choice expected = RunGate(plain, logits);
    double* error = &worst[run.scores != smx_gate_scores_sigmoid ? 0 : run.Normalizes() ? 2 : 1];
    *error = std::max(*error, Check(plain, logits, expected));
    CheckSoftmaxBits(plain, logits, expected);
    for (Row& weights : expected.weights) weights = RoundedTo(run.types.output, weights);
    SCOPED_TRACE(testing::Message() << "seed " << seed << ", " << run);
    ExpectSame(choice, expected);
  }
  RecordProperty("worst_softmax_ulps", std::to_string(worst[0]));
  RecordProperty("worst_sigmoid_ulps", std::to_string(worst[1]));
  RecordProperty("worst_normalized_sigmoid_ulps", std::to_string(worst[2]));
  printf("largest errors: softmax %.2f, sigmoid %.2f, normalised %.2f ULP\n", worst[0], worst[1], worst[2]);
}

// Up to where they are 0 and 1, and beyond: one expert a token.
TEST_P(MoeGate, SigmoidsAreWithinTheirBound) {
  const size_t n = RunsSparseTests() ? 1000 : 20000;
  double worst = 0.0;
  for (float scale : {1.0f, 0.3f, -1.0f, 0x1.8p-45f, 0x1p45f}) {
    for (float bound : {1.0f, 20.0f, 110.0f, 1e6f}) {
      GateRun run;
      run.isa = GetParam();
      run.scores = smx_gate_scores_sigmoid;
      run.scale = scale;
      Rows logits;
      for (float x : UniformRow(n, bound, 1)) logits.push_back({x / scale});
      const Choice choice = RunGate(run, logits);
      for (size_t t = 0; t < n; t++) {
        const double error = UlpError(choice.weights[t][0], ExactSigmoids(run, logits[t])[0]);
        ASSERT_LE(error, kSigmoidUlps) << logits[t][0] << " under a scale of " << scale;
        worst = std::max(worst, error);
      }
    }
  }
  RecordProperty("worst_ulps", std::to_string(worst));
}

// A task's tokens, a group's and a few, on several threads.
TEST_P(MoeGate, ManyTokensOverThreadsHaveTheBitsOfEachAlone) {
  for (size_t experts : {8, 64, 300}) {
    Rows logits(5000);
    for (size_t t = 0; t < logits.size(); t++) logits[t] = NormalRow(experts, 4.0f, t);
    GateRun run;
    run.isa = GetParam();
    run.k = 6;
    run.scores = smx_gate_scores_sigmoid;
    run.flags = SMX_FLAG_NORMALIZE_WEIGHTS;
    run.bias = NormalRow(experts, 0.1f, 7);
    const Choice expected = RunGate(run, logits);
    for (size_t t : {size_t{0}, size_t{1023}, logits.size() - 1}) {
      const Choice alone = RunGate(run, {logits[t]});
      EXPECT_EQ(alone.indices[0], expected.indices[t]);
      EXPECT_TRUE(SameBits(alone.weights[0], expected.weights[t]));
    }
    run.threads = 3;
    ExpectSame(RunGate(run, logits), expected);
  }
}

// ---- The table of the header.

class MoeGateTable : public testing::Test {
 protected:
  Choice Of(smx_gate_scores scores, const Row& logits, size_t k, uint32_t flags = 0,
            const Row& bias = {}) const {
    GateRun run;
    run.isa = AvailableIsas().front();
    run.scores = scores;
    run.flags = flags;
    run.k = k;
    run.bias = bias;
    return RunGate(run, {logits});
  }
  Row WeightsOf(smx_gate_scores scores, const Row& logits, size_t k, uint32_t flags = 0) const {
    return Of(scores, logits, k, flags).weights[0];
  }
};

constexpr smx_gate_scores kSoftmax = smx_gate_scores_softmax;
constexpr smx_gate_scores kLogits = smx_gate_scores_logits;
constexpr smx_gate_scores kSigmoid = smx_gate_scores_sigmoid;
constexpr uint32_t kNormalize = SMX_FLAG_NORMALIZE_WEIGHTS;
constexpr uint32_t kMasked = SMX_FLAG_MASKED_ROWS_TO_ZERO;

TEST_F(MoeGateTable, TiesGoToTheLowestIndex) {
  const Row logits = {1.0f, 3.0f, 3.0f, 0.0f, 3.0f, 1.0f, -0.0f, FLT_TRUE_MIN};
  const Indices expected = {1, 2, 4, 0, 5, 3, 6, 7};
  for (smx_gate_scores scores : {kSoftmax, kLogits, kSigmoid}) {
    EXPECT_EQ(Of(scores, logits, 8).indices[0], expected);
    EXPECT_EQ(Of(scores, logits, 3).indices[0], Indices(expected.begin(), expected.begin() + 3));
  }
}

// Scores of 1 and of 0 that logits tell apart.
TEST_F(MoeGateTable, OrderIsThatOfLogits) {
  const Row logits = {50.0f, -200.0f, 60.0f, -150.0f};
  EXPECT_EQ(Of(kSigmoid, logits, 4).indices[0], (Indices{2, 0, 3, 1}));
  EXPECT_EQ(Of(kSigmoid, logits, 4).weights[0], (Row{1.0f, 1.0f, 0.0f, 0.0f}));
  EXPECT_EQ(Of(kSigmoid, logits, 4, 0, Row(4, 0.0f)).indices[0], (Indices{0, 2, 1, 3})) << "that of scores";
}

TEST_F(MoeGateTable, NanIsChosenFirst) {
  const Row logits = {INFINITY, NAN, 2.0f, -NAN, 1.0f};
  for (smx_gate_scores scores : {kSoftmax, kLogits, kSigmoid}) {
    EXPECT_EQ(Of(scores, logits, 4).indices[0], (Indices{1, 3, 0, 2}));
  }
  EXPECT_TRUE(SameBits(WeightsOf(kSoftmax, logits, 3), Row(3, NAN)));
  EXPECT_TRUE(SameBits(WeightsOf(kLogits, logits, 3), Row(3, NAN)));
  EXPECT_TRUE(SameBits(WeightsOf(kSigmoid, logits, 3), {NAN, NAN, 1.0f}));
  EXPECT_TRUE(SameBits(WeightsOf(kSigmoid, logits, 3, kNormalize), Row(3, NAN)));
  const Choice biased = Of(kSoftmax, logits, 2, 0, {0.0f, 1.0f, 2.0f, 3.0f, 4.0f});
  EXPECT_EQ(biased.indices[0], (Indices{0, 1})) << "all scores are NaN";
}

TEST_F(MoeGateTable, InfinityMakesSoftmaxNan) {
  const Row logits = {0.0f, INFINITY, INFINITY, 1.0f};
  EXPECT_TRUE(SameBits(WeightsOf(kSoftmax, logits, 3), Row(3, NAN)));
  EXPECT_TRUE(SameBits(WeightsOf(kLogits, logits, 3), Row(3, NAN)));
  EXPECT_EQ(WeightsOf(kSigmoid, {-INFINITY, INFINITY}, 2), (Row{1.0f, 0.0f}));
  EXPECT_EQ(WeightsOf(kSigmoid, {INFINITY, INFINITY, 0.0f}, 2, kNormalize), (Row{0.5f, 0.5f}));
}

TEST_F(MoeGateTable, MaskedExpertsAreLastAndZero) {
  const Row logits = {-INFINITY, 1.0f, -INFINITY, 1.0f, -INFINITY};
  for (smx_gate_scores scores : {kSoftmax, kLogits}) {
    for (uint32_t flags : {uint32_t{0}, kNormalize}) {
      const Choice choice = Of(scores, logits, 4, flags);
      EXPECT_EQ(choice.indices[0], (Indices{1, 3, 0, 2}));
      EXPECT_EQ(choice.weights[0], (Row{0.5f, 0.5f, 0.0f, 0.0f}));
    }
  }
}

TEST_F(MoeGateTable, MaskedRows) {
  const Row logits(9, -INFINITY);
  for (smx_gate_scores scores : {kSoftmax, kLogits, kSigmoid}) {
    for (uint32_t flags : {uint32_t{0}, kNormalize}) {
      EXPECT_EQ(Of(scores, logits, 3, flags).indices[0], (Indices{0, 1, 2}));
      const bool is_nan = scores != kSigmoid || flags != 0;
      EXPECT_TRUE(SameBits(WeightsOf(scores, logits, 3, flags), Row(3, is_nan ? NAN : 0.0f)));
      EXPECT_TRUE(SameBits(WeightsOf(scores, logits, 3, flags | kMasked), Row(3, 0.0f)));
    }
  }
}

TEST_F(MoeGateTable, BiasChoosesAndHasNoPartInWeights) {
  const Row logits = {0.0f, 0.0f, 0.0f, 0.0f};
  const Row bias = {-INFINITY, 0.5f, 0.75f, -0.25f};
  const Choice sigmoid = Of(kSigmoid, logits, 2, 0, bias);
  EXPECT_EQ(sigmoid.indices[0], (Indices{2, 1}));
  EXPECT_EQ(sigmoid.weights[0], (Row{0.5f, 0.5f}));
  EXPECT_EQ(Of(kSoftmax, logits, 2, 0, bias).weights[0], (Row{0.25f, 0.25f}));
  EXPECT_EQ(Of(kSoftmax, logits, 2, kNormalize, bias).weights[0], (Row{0.5f, 0.5f}));
  EXPECT_EQ(Of(kLogits, logits, 4, 0, bias).indices[0], (Indices{2, 1, 3, 0}));
}

// ---- Statuses

class MoeGateCalls : public testing::Test {
 protected:
  static constexpr size_t kTokens = 3, kExperts = 10, kK = 4;

  void SetUp() override {
    UseIsa(AvailableIsas().front());
    op_ = Create(smx_datatype_f32, smx_datatype_f32);
  }
  void TearDown() override { smx_delete_operator(op_); }

  static smx_operator_t Create(smx_datatype input, smx_datatype weight) {
    smx_operator_t op = nullptr;
    EXPECT_EQ(smx_create_moe_gate_nc(input, weight, kSigmoid, 0, &op), smx_status_success);
    return op;
  }

  // Changes one argument of a good call.
  struct Arguments {
    size_t tokens = kTokens, experts = kExperts, k = kK, stride = kExperts;
    const void* logits;
    const float* bias = nullptr;
    void* weights;
    int32_t* indices;
  };
  Arguments Good() {
    Arguments a;
    a.logits = x_;
    a.weights = weights_;
    a.indices = indices_;
    return a;
  }
  smx_status SetUpGate(const Arguments& a) {
    return smx_setup_moe_gate_nc(op_, a.tokens, a.experts, a.k, a.stride, a.logits, a.bias, a.weights,
                                 a.indices);
  }
  void ExpectRejected(const Arguments& arguments, smx_status status, const std::string& reason) {
    LogRecorder log(smx_log_level_error);
    EXPECT_EQ(SetUpGate(arguments), status) << reason;
    EXPECT_TRUE(log.Holds(smx_log_level_error, reason)) << reason << "\n" << log;
  }

  smx_operator_t op_ = nullptr;
  float x_[kTokens * kExperts] = {};
  float bias_[kExperts] = {};
  float weights_[kTokens * kK] = {};
  int32_t indices_[kTokens * kK] = {};
};

TEST_F(MoeGateCalls, BadShapesAreRejected) {
  constexpr smx_status kInvalid = smx_status_invalid_parameter;
  Arguments a = Good();
  ExpectRejected((a.experts = 0, a), kInvalid, "k is above experts");
  ExpectRejected((a = Good(), a.k = 0, a), kInvalid, "k is 0");
  ExpectRejected((a = Good(), a.k = kExperts + 1, a), kInvalid, "k is above experts");
  ExpectRejected((a = Good(), a.stride = kExperts - 1, a), kInvalid, "input_stride is below channels");
  ExpectRejected((a = Good(), a.experts = a.stride = 513, a), smx_status_unsupported_parameter,
                 "experts is above 512");
  ExpectRejected((a = Good(), a.experts = a.stride = 100, a.k = 65, a), smx_status_unsupported_parameter,
                 "k is above 64");
  ExpectRejected((a = Good(), a.tokens = SIZE_MAX / 2, a), kInvalid,
                 "logits as input, weights as output: the input's size in bytes overflows");
  EXPECT_EQ(smx_run_operator(op_, nullptr), smx_status_invalid_state) << "nothing has been set up";
}

TEST_F(MoeGateCalls, BadMemoryIsRejected) {
  constexpr smx_status kInvalid = smx_status_invalid_parameter;
  Arguments a = Good();
  ExpectRejected((a.logits = nullptr, a), kInvalid, "input is NULL");
  ExpectRejected((a = Good(), a.weights = nullptr, a), kInvalid, "weights as output: output is NULL");
  ExpectRejected((a = Good(), a.indices = nullptr, a), kInvalid, "indices as output: output is NULL");
  ExpectRejected((a = Good(), a.logits = reinterpret_cast<char*>(x_) + 2, a), kInvalid,
                 "logits as input, weights as output: input is not aligned");
  ExpectRejected((a = Good(), a.bias = reinterpret_cast<float*>(reinterpret_cast<char*>(bias_) + 1), a),
                 kInvalid, "bias as input, weights as output: input is not aligned");
  ExpectRejected((a = Good(), a.weights = x_ + kExperts, a), kInvalid, "logits as input, weights as output");
  ExpectRejected((a = Good(), a.indices = reinterpret_cast<int32_t*>(weights_), a), kInvalid,
                 "weights as input, indices as output");
  ExpectRejected((a = Good(), a.bias = weights_, a.weights = weights_ + 1, a), kInvalid,
                 "bias as input, weights as output");
  EXPECT_EQ(SetUpGate((a = Good(), a.bias = x_, a)), smx_status_success) << "what is read alone may overlap";
}

TEST_F(MoeGateCalls, NoTokensTouchNothing) {
  Arguments a;
  a.tokens = 0;
  a.logits = a.weights = a.indices = nullptr;
  ASSERT_EQ(SetUpGate(a), smx_status_success);
  EXPECT_EQ(smx_run_operator(op_, nullptr), smx_status_success);
}

TEST_F(MoeGateCalls, BadCreates) {
  const auto expect = [](smx_status expected, smx_datatype input, smx_datatype weight, smx_gate_scores scores,
                         uint32_t flags, const std::string& reason) {
    LogRecorder log(smx_log_level_error);
    smx_operator_t op = reinterpret_cast<smx_operator_t>(&log);
    EXPECT_EQ(smx_create_moe_gate_nc(input, weight, scores, flags, &op), expected) << reason;
    EXPECT_EQ(op, nullptr);
    EXPECT_TRUE(log.Holds(smx_log_level_error, reason)) << log;
  };
  constexpr smx_datatype kF32 = smx_datatype_f32;
  expect(smx_status_invalid_parameter, kF32, kF32, static_cast<smx_gate_scores>(4), 0, "unknown scores 4");
  expect(smx_status_invalid_parameter, kF32, kF32, kSoftmax, 4, "unknown flags");
  expect(smx_status_unsupported_parameter, smx_datatype_f16, smx_datatype_bf16, kSoftmax, 0, "no kernels");
  expect(smx_status_unsupported_parameter, smx_datatype_qu8, kF32, kSoftmax, 0, "quantized");
  EXPECT_EQ(smx_create_moe_gate_nc(kF32, kF32, kSoftmax, 0, nullptr), smx_status_invalid_parameter);
}

TEST_F(MoeGateCalls, OtherOperatorsAreRejected) {
  smx_operator_t softmax = nullptr;
  ASSERT_EQ(smx_create_softmax_nc_f32(0, &softmax), smx_status_success);
  EXPECT_EQ(smx_setup_moe_gate_nc(softmax, 1, 2, 1, 2, x_, nullptr, weights_, indices_),
            smx_status_invalid_state);
  EXPECT_EQ(smx_setup_softmax_nc_f32(op_, 1, 2, 2, 2, x_, weights_), smx_status_invalid_state);
  EXPECT_EQ(smx_delete_operator(softmax), smx_status_success);
}

// A set-up that fails leaves what was set up.
TEST_F(MoeGateCalls, RunsAgainAndUnderAnotherScale) {
  for (size_t i = 0; i < kTokens * kExperts; i++) x_[i] = static_cast<float>(i % kExperts);
  ASSERT_EQ(SetUpGate(Good()), smx_status_success);
  Arguments bad = Good();
  bad.k = 0;
  EXPECT_EQ(SetUpGate(bad), smx_status_invalid_parameter);
  ASSERT_EQ(smx_run_operator(op_, nullptr), smx_status_success);
  EXPECT_EQ(indices_[0], 9);
  EXPECT_EQ(smx_set_scale(op_, NAN), smx_status_invalid_parameter);
  ASSERT_EQ(smx_set_scale(op_, -1.0f), smx_status_success);
  ASSERT_EQ(smx_run_operator(op_, nullptr), smx_status_success);
  EXPECT_EQ(indices_[kK], 0);
  EXPECT_EQ(weights_[kK], 0.5f);
}

TEST_F(MoeGateCalls, TellsItsPlan) {
  smx_plan plan;
  EXPECT_EQ(smx_get_plan(op_, 1, &plan), smx_status_invalid_state);
  ASSERT_EQ(SetUpGate(Good()), smx_status_success);
  ASSERT_EQ(smx_get_plan(op_, 2, &plan), smx_status_success);
  EXPECT_STREQ(plan.algorithm, "tokens-as-lanes");
  EXPECT_GT(plan.rows_per_task, 0u);
  EXPECT_EQ(plan.split_rows, 0u);
}

}  // namespace
}  // namespace smx
