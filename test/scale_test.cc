// smx_set_scale: every operator on rows with a factor of its elements, on every ISA that can run here.
#include <float.h>
#include <gtest/gtest.h>
#include <math.h>

#include <algorithm>
#include <string>
#include <vector>

#include "src/gen/microkernels.h"
#include "test/extent.h"
#include "test/isas.h"
#include "test/log_recorder.h"
#include "test/rows.h"
#include "test/rows_operator.h"
#include "test/softmax_tester.h"
#include "test/ulp.h"

namespace smx {
namespace {

using Rows = SoftmaxTester::Rows;

// Those that kernels take as they are, at their ends too, and those for which elements are staged.
const std::vector<float> kScales = {0.125f,  0x1.6A09E6p-4f, 1.0f / 3.0f, 1.7f,    10.0f,   100.0f,  1000.0f,
                                    1e-3f,   0x1p-40f,       0x1p+40f,    -1.0f,   -0.7f,   -300.0f, 0.0f,
                                    -0.0f,   0x1.8p-41f,     0x1.2p+41f,  1e-20f,  -1e-20f, 1e20f,   -1e20f,
                                    FLT_MIN, -FLT_MIN,       FLT_MAX,     -FLT_MAX};

std::vector<size_t> Lengths() {
  if (RunsSparseTests()) return {3, 41};
  return {1, 3, 10, 41, 300, 1025, 20000};
}

struct Exact {
  std::vector<long double> softmax;
  std::vector<long double> log_softmax;
  long double logsumexp;
};

Exact ExactOf(float scale, const std::vector<float>& x) {
  const std::vector<long double> products = Products(scale, x);
  const long double max = *std::max_element(products.begin(), products.end());
  CompensatedSum sum;
  for (long double product : products) sum.Add(expl(product - max));
  const long double above_max = logl(sum.value());
  Exact exact;
  exact.logsumexp = max + above_max;
  for (long double product : products) {
    exact.softmax.push_back(expl(product - max) / sum.value());
    exact.log_softmax.push_back((product - max) - above_max);
  }
  return exact;
}

// Whether the product of the row has a softmax: no 0 * inf, and no +inf.
bool IsFinite(float scale, const std::vector<float>& x) {
  const std::vector<long double> products = Products(scale, x);
  return std::all_of(products.begin(), products.end(), [](long double p) { return p < INFINITY; }) &&
         std::any_of(products.begin(), products.end(), [](long double p) { return p > -INFINITY; });
}

class Scale : public testing::TestWithParam<std::string> {
 protected:
  RowsRun Run(float scale, RowsFunction function = RowsFunction::kSoftmax) const {
    RowsRun run;
    run.isa = GetParam();
    run.function = function;
    run.scale = scale;
    return run;
  }
};

INSTANTIATE_TEST_SUITE_P(, Scale, testing::ValuesIn(AvailableIsas()),
                         [](const auto& info) { return info.param; });

TEST_P(Scale, ResultsAreAsExactAsWithoutIt) {
  double worst = 0.0, worst_log = 0.0, worst_sum = 0.0;
  for (float scale : kScales) {
    for (const RowFamily& family : FiniteRows()) {
      for (size_t channels : Lengths()) {
        const std::vector<float> x = MakeRow(family.name, channels, channels);
        if (!IsFinite(scale, x)) continue;
        SCOPED_TRACE(testing::Message() << "scale " << scale << ", " << family.name << ", " << channels);
        const Exact exact = ExactOf(scale, x);
        ASSERT_TRUE(IsExactEnough(RunRows(Run(scale), {x})[0], exact.softmax, &worst));
        const std::vector<float> y = RunRows(Run(scale, RowsFunction::kLogSoftmax), {x})[0];
        for (size_t i = 0; i < channels; i++) {
          worst_log = std::max(worst_log, LogUlpError(y[i], exact.log_softmax[i]));
          ASSERT_LE(worst_log, kLogUlps) << "log-softmax of element " << i << " is " << y[i];
        }
        const float sum = RunRows(Run(scale, RowsFunction::kLogSumExp), {x})[0][0];
        worst_sum = std::max(worst_sum, LogUlpError(sum, exact.logsumexp));
        ASSERT_LE(worst_sum, kLogUlps) << "logsumexp is " << sum;
      }
    }
  }
  printf("softmax: %.3f ULP; of max(|y|, 1): log-softmax %.3f, logsumexp %.3f\n", worst, worst_log,
         worst_sum);
}

// Rows at a time, by all kernels that there are for them.
TEST_P(Scale, HasTheSameBitsUnderEveryPlanOnEveryIsa) {
  for (float scale : kScales) {
    for (size_t channels : {5, 40, 100, 1000, 3000, 2 * SMX_TILE + 5}) {
      const size_t rows = channels <= SMX_BLOCK ? 9 : 2;
      Rows inputs;
      for (size_t r = 0; r < rows; r++) inputs.push_back(MakeRow("normal_4", channels, r));
      RowsRun scalar = Run(scale);
      scalar.isa = "scalar";
      const Rows expected = RunRows(scalar, inputs);
      for (const ForcedPlan& plan : ForcedPlans()) {
        for (bool in_place : {false, true}) {
          if (!plan.Takes(rows, channels, in_place)) continue;
          RowsRun run = Run(scale);
          run.plan = &plan;
          run.in_place = in_place;
          run.threads = in_place ? 3 : 0;
          run.input_gap = run.output_gap = 2;
          const Rows actual = RunRows(run, inputs);
          for (size_t r = 0; r < rows; r++) ASSERT_TRUE(SameBits(actual[r], expected[r])) << run;
        }
      }
    }
  }
}

// A power of two is exact in the elements, and a sign is.
TEST_P(Scale, OfAPowerOfTwoIsThatOfElementsTimesIt) {
  for (float scale : {0.25f, 2.0f, -1.0f, -8.0f}) {
    for (RowsFunction function :
         {RowsFunction::kSoftmax, RowsFunction::kLogSoftmax, RowsFunction::kLogSumExp}) {
      for (const char* family : {"normal_4", "normal_30", "mask_minus_inf", "million"}) {
        for (size_t channels : {10, 100, 1000, 40000}) {
          const std::vector<float> x = MakeRow(family, channels, 1);
          std::vector<float> product = x;
          for (float& element : product) element *= scale;
          const RowsRun run = Run(scale, function);
          EXPECT_TRUE(SameBits(RunRows(run, {x})[0], RunRows(Run(1.0f, function), {product})[0]))
              << run << ": " << family << ", " << channels;
        }
      }
    }
  }
}

TEST_P(Scale, OfOtherTypesIsThatOfF32Rounded) {
  for (const TypePair& types : TypePairs()) {
    for (float scale : {0.125f, -0.7f, 1e20f}) {
      for (size_t channels : {1, 20, 500, 3000}) {
        Rows inputs;
        for (uint64_t seed : {1, 2, 3, 4, 5})
          inputs.push_back(RoundedTo(types.input, MakeRow("normal_4", channels, seed)));
        for (RowsFunction function : {RowsFunction::kSoftmax, RowsFunction::kLogSoftmax}) {
          RowsRun run = Run(scale, function);
          const Rows of_f32 = RunRows(run, inputs);
          run.types = types;
          const Rows actual = RunRows(run, inputs);
          for (size_t r = 0; r < inputs.size(); r++) {
            EXPECT_TRUE(SameBits(actual[r], RoundedTo(types.output, of_f32[r]))) << run;
          }
        }
      }
    }
  }
}

TEST_P(Scale, EdgeCases) {
  struct Case {
    float scale;
    std::vector<float> x;
    std::vector<float> softmax;
    float logsumexp;
    uint32_t flags;
  };
  const float inf = INFINITY;
  const std::vector<Case> cases = {
      {0.0f, {1, -FLT_MAX, FLT_MAX, 5}, {0.25f, 0.25f, 0.25f, 0.25f}, logf(4.0f), 0},
      {0.0f, {1, -inf}, {NAN, NAN}, NAN, 0},
      {0.0f, {-inf, -inf}, {NAN, NAN}, NAN, SMX_FLAG_MASKED_ROWS_TO_ZERO},
      {0.0f, {1, NAN}, {NAN, NAN}, NAN, 0},
      {-2.0f, {1, -inf}, {NAN, NAN}, inf, 0},
      {-2.0f, {1, inf}, {1, 0}, -2.0f, 0},
      {-2.0f, {inf, inf}, {NAN, NAN}, -inf, 0},
      {-2.0f, {inf, inf}, {0, 0}, -inf, SMX_FLAG_MASKED_ROWS_TO_ZERO},
      {3.0f, {1, -inf}, {1, 0}, 3.0f, 0},
      {3.0f, {1, inf}, {NAN, NAN}, inf, 0},
      {1e10f, {3e38f, -3e38f}, {1, 0}, inf, 0},
      {-1e10f, {3e38f, -3e38f}, {0, 1}, inf, 0},
      {FLT_MAX, {1, 1, 0, -1}, {0.5f, 0.5f, 0, 0}, FLT_MAX, 0},
      {FLT_MAX, {FLT_MAX, FLT_MAX}, {0.5f, 0.5f}, inf, 0},
      {-FLT_MAX, {FLT_MAX, FLT_MAX}, {0.5f, 0.5f}, -inf, 0},
      {1e-20f, {0, 1e20f}, {1 / (1 + expf(1)), expf(1) / (1 + expf(1))}, logf(1 + expf(1)), 0},
      {1e-45f, {0, FLT_MAX}, {0.5f, 0.5f}, logf(2.0f), 0},  // a denormal counts as 0
  };
  for (const Case& c : cases) {
    RowsRun run = Run(c.scale);
    run.flags = c.flags;
    SCOPED_TRACE(run);
    const std::vector<float> y = RunRows(run, {c.x})[0];
    const std::vector<float> several = RunRows(run, {c.x, c.x, c.x, c.x, c.x})[4];
    EXPECT_TRUE(SameBits(several, y));
    for (size_t i = 0; i < y.size(); i++) {
      EXPECT_TRUE(isnan(c.softmax[i]) ? isnan(y[i]) : fabsf(y[i] - c.softmax[i]) <= 1e-6f)
          << i << ": " << y[i];
    }
    run.flags = 0;
    run.function = RowsFunction::kLogSumExp;
    const float sum = RunRows(run, {c.x})[0][0];
    const bool is_right =
        isnan(c.logsumexp) ? isnan(sum) : sum == c.logsumexp || fabsf(sum - c.logsumexp) <= 1e-6f;
    EXPECT_TRUE(is_right) << "logsumexp is " << sum;
  }
}

// Also where their product with the scale is not denormal.
TEST_P(Scale, DenormalElementsCountAsZero) {
  for (float scale : {2.0f, -1000.0f, SMX_LARGEST_SCALE, 1e30f}) {
    for (float denormal : {0.75f * FLT_MIN, -0.75f * FLT_MIN, FLT_TRUE_MIN}) {
      const RowsRun run = Run(scale, RowsFunction::kLogSumExp);
      EXPECT_EQ(RunRows(run, {{denormal}})[0][0], 0.0f) << run << ", of " << denormal;
      EXPECT_EQ(RunRows(run, {{denormal, -INFINITY / scale}})[0][0], 0.0f) << run << ", of " << denormal;
    }
  }
}

// Pieces of whole tiles, merged, have the bits of the row where its products are within +-2^14.
TEST_P(Scale, OfPiecesIsThatOfTheRow) {
  for (float scale : {0.125f, -0.7f, 1e-20f, 0.0f}) {
    const std::vector<float> x = MakeRow("normal_4", 3 * SMX_TILE + 7, 1);
    const std::vector<float> expected = RunRows(Run(scale), {x})[0];
    std::vector<smx_partial_sum> sums;
    for (size_t start = 0; start < x.size(); start += SMX_TILE) {
      const size_t end = std::min<size_t>(x.size(), start + SMX_TILE);
      sums.push_back(RunPartialSums(Run(scale), {{x.begin() + start, x.begin() + end}})[0]);
    }
    for (size_t i = 1; i < sums.size(); i++) {
      ASSERT_EQ(smx_merge_partial_sums(1, &sums[0], &sums[i]), smx_status_success);
    }
    EXPECT_TRUE(SameBits(RunScaleBySums(Run(scale), {x}, {sums[0]})[0], expected)) << "scale " << scale;
  }
}

// Of products out of range, one piece under a shift and the other not.
TEST_P(Scale, OfPiecesOutOfRangeIsExactEnough) {
  for (float scale : {100.0f, -100.0f, 0x1.2p+41f, -1e-20f}) {
    std::vector<float> x = MakeRow("normal_4", 2 * SMX_TILE, 1);
    const float largest = 40000.0f / scale;
    for (float& element : x) element *= fabsf(1.0f / scale);
    for (size_t i = SMX_TILE; i < x.size(); i++) x[i] += largest;
    x[3] = x[SMX_TILE + 3];
    const std::vector<long double> exact = ExactOf(scale, x).softmax;
    const smx_partial_sum first = RunPartialSums(Run(scale), {{x.begin(), x.begin() + SMX_TILE}})[0];
    const smx_partial_sum second = RunPartialSums(Run(scale), {{x.begin() + SMX_TILE, x.end()}})[0];
    for (bool is_reversed : {false, true}) {
      smx_partial_sum sum = is_reversed ? second : first;
      ASSERT_EQ(smx_merge_partial_sums(1, &sum, is_reversed ? &first : &second), smx_status_success);
      EXPECT_TRUE(IsExactEnough(RunScaleBySums(Run(scale), {x}, {sum})[0], exact))
          << "scale " << scale << (is_reversed ? ", reversed" : "");
    }
  }
}

TEST(ScaleStatus, SumsOfDifferentScalesAreNotMerged) {
  RowsRun run;
  const Rows row = {{1.0f, 2.0f}};
  std::vector<smx_partial_sum> sums = RunPartialSums(run, row);
  run.scale = 0.5f;
  const std::vector<smx_partial_sum> others = RunPartialSums(run, row);
  const smx_partial_sum before = sums[0];
  LogRecorder log(smx_log_level_error);
  EXPECT_EQ(smx_merge_partial_sums(1, sums.data(), others.data()), smx_status_invalid_parameter);
  EXPECT_EQ(memcmp(&before, &sums[0], sizeof(before)), 0);
  EXPECT_EQ(log.messages().size(), 1u);
}

TEST(ScaleStatus, IsFiniteOrItStays) {
  smx_operator_t op = nullptr;
  LogRecorder log(smx_log_level_error);
  EXPECT_EQ(smx_set_scale(nullptr, 1.0f), smx_status_invalid_parameter);
  ASSERT_EQ(smx_initialize(nullptr), smx_status_success);
  ASSERT_EQ(smx_create_softmax_nc_f32(0, &op), smx_status_success);
  const float x[2] = {0.0f, 1.0f};
  float y[2], expected[2];
  ASSERT_EQ(smx_set_scale(op, 3.0f), smx_status_success);
  ASSERT_EQ(smx_setup_softmax_nc_f32(op, 1, 2, 2, 2, x, expected), smx_status_success);
  ASSERT_EQ(smx_run_operator(op, nullptr), smx_status_success);
  EXPECT_LE(UlpError(expected[1], 1.0L / (1.0L + expl(-3.0L))), kSoftmaxUlps);
  for (float scale : {NAN, INFINITY, -INFINITY}) {
    EXPECT_EQ(smx_set_scale(op, scale), smx_status_invalid_parameter);
  }
  ASSERT_EQ(smx_setup_softmax_nc_f32(op, 1, 2, 2, 2, x, y), smx_status_success);
  ASSERT_EQ(smx_run_operator(op, nullptr), smx_status_success);
  EXPECT_EQ(memcmp(y, expected, sizeof(y)), 0);
  ASSERT_EQ(smx_set_scale(op, 1.0f), smx_status_success);  // after setup
  ASSERT_EQ(smx_run_operator(op, nullptr), smx_status_success);
  EXPECT_LE(UlpError(y[1], 1.0L / (1.0L + expl(-1.0L))), kSoftmaxUlps);
  EXPECT_EQ(smx_delete_operator(op), smx_status_success);
}

}  // namespace
}  // namespace smx
