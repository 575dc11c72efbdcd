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
#include "test/moe_gate_run.h"
#include "test/rows.h"
#include "test/rows_operator.h"
#include "test/softmax_tester.h"
#include "test/ulp.h"

namespace smx::gate {
namespace {

class MoeGate : public testing::TestWithParam<std::string> {};

INSTANTIATE_TEST_SUITE_P(, MoeGate, testing::ValuesIn(AvailableIsas()),
                         [](const auto& info) { return info.param; });

TEST_P(MoeGate, IsRightWithEveryOptionAtRandom) {
  const size_t runs = RunsSparseTests() ? 100 : 1500;
  double worst[4] = {};
  for (uint64_t seed = 0; seed < runs && !HasFailure(); seed++) {
    SplitMix64 random(seed);
    const size_t experts = DrawExperts(&random);
    GateRun run = DrawRun(&random, experts);
    run.isa = GetParam();
    SCOPED_TRACE(testing::Message() << "seed " << seed << ": " << run);
    const size_t tokens = 1 + random.Below(40);
    const Rows logits = DrawLogits(tokens, experts, random.Next());
    const Reference reference = ReferenceOf(run, logits);
    ExpectSame(RunGate(run, logits), reference.choice);
    double* error = &worst[run.scores != smx_gate_scores_sigmoid ? 0 : run.Normalizes() ? 2 : 1];
    *error = std::max(*error, reference.worst);
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
        const double error = UlpError(choice.weights[t][0], ExactSigmoids(run.scale, logits[t])[0]);
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
}  // namespace smx::gate
