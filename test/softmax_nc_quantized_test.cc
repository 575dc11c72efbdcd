// Softmax of bytes: within half a step of the exact result, and the bits of f32, rounded on the scale of the output, on every ISA.
#include <float.h>
#include <gtest/gtest.h>
#include <math.h>
#include <stdio.h>

#include <algorithm>
#include <string>
#include <tuple>
#include <vector>

#include "src/gen/microkernels.h"
#include "test/extent.h"
#include "test/isas.h"
#include "test/log_recorder.h"
#include "test/rows.h"
#include "test/rows_operator.h"
#include "test/softmax_tester.h"

namespace smx {
namespace {

using Rows = SoftmaxTester::Rows;

// The rounding, and the errors of p and of 1 / scale: (4.3 * 2^-23 + 2^-24) * 255 steps.
constexpr long double kSteps = 0.5003L;

class QuantizedSoftmax : public testing::TestWithParam<std::tuple<std::string, TypePair>> {
 protected:
  const std::string& isa() const { return std::get<0>(GetParam()); }
  const TypePair& types() const { return std::get<1>(GetParam()); }
  bool may_run_in_place() const { return types().input == types().output; }

  // The output's zero point is its least number.
  RowsRun Run(float input_scale = 0.1f, float output_scale = 1.0f / 256.0f) const {
    RowsRun run;
    run.isa = isa();
    run.types = types();
    run.input_scale = input_scale;
    run.output_quantization = {output_scale, static_cast<int32_t>(LeastOf(types().output))};
    return run;
  }

  // Zero points at the ends of the type and between.
  std::vector<int32_t> ZeroPoints() const {
    if (types().output == smx_datatype_qu8) return {0, 17, 255};
    if (types().output == smx_datatype_qs8) return {-128, -1, 0, 17, 127};
    return {0};
  }

  // A row of a family, quantised.
  std::vector<float> Draw(const std::string& family, size_t channels, uint64_t seed,
                          float input_scale) const {
    std::vector<float> row = MakeRow(family, channels, seed);
    const float zero_point = types().input == smx_datatype_qu8 ? 128.0f : 0.0f;
    for (float& x : row) x = RoundedTo(types().input, x / input_scale + zero_point);
    return row;
  }

  Rows Draw(const std::string& family, size_t rows, size_t channels, const RowsRun& run) const {
    Rows drawn;
    for (size_t i = 0; i < rows; i++) drawn.push_back(Draw(family, Capped(channels), i + 1, run.input_scale));
    return drawn;
  }

  // What the operator on f32 gives for the same numbers, rounded on the output's scale.
  Rows Expected(const RowsRun& quantized, const Rows& inputs) const {
    RowsRun run;
    run.isa = isa();
    run.scale = quantized.input_scale * quantized.scale;
    Rows rows = RunRows(run, inputs);
    if (!IsQuantized(types().output)) return rows;
    const double inverse_scale = static_cast<double>(1.0f / quantized.output_quantization.scale);
    for (std::vector<float>& row : rows) {
      for (float& y : row) {
        const double multiple = nearbyint(static_cast<double>(y) * inverse_scale);
        y = RoundedTo(types().output,
                      static_cast<float>(multiple + quantized.output_quantization.zero_point));
      }
    }
    return rows;
  }

  void Test(const RowsRun& run, const Rows& inputs, const Rows& expected) const {
    const Rows actual = RunRows(run, inputs);
    for (size_t i = 0; i < inputs.size(); i++) {
      ASSERT_TRUE(SameBits(actual[i], expected[i])) << run << ": row " << i << " of " << inputs[i].size();
    }
  }
  void Test(const RowsRun& run, const Rows& inputs) const { Test(run, inputs, Expected(run, inputs)); }

  // Against exact results. Raises *worst to the largest error, in steps or, of floats, in ULP.
  void TestExact(const RowsRun& run, const std::vector<float>& x, double* worst) const {
    const std::vector<long double> exact = ExactSoftmax(x, 0, run.input_scale * run.scale);
    const std::vector<float> y = RunRows(run, {x})[0];
    if (!IsQuantized(types().output)) {
      ASSERT_TRUE(IsExactEnough(y, exact, worst)) << run;
      return;
    }
    for (size_t i = 0; i < x.size(); i++) {
      const long double steps = exact[i] / run.output_quantization.scale + run.output_quantization.zero_point;
      const long double clamped =
          std::clamp<long double>(steps, LeastOf(types().output), LargestOf(types().output));
      const long double error = fabsl(y[i] - clamped);
      *worst = std::max(*worst, static_cast<double>(error));
      ASSERT_LE(error, kSteps) << run << ": element " << i << " of " << x.size() << " is " << y[i];
    }
  }
};

const std::vector<TypePair> kPairs = {{smx_datatype_qu8, smx_datatype_qu8},
                                      {smx_datatype_qs8, smx_datatype_qs8},
                                      {smx_datatype_qu8, smx_datatype_f32},
                                      {smx_datatype_qs8, smx_datatype_f32}};

std::string NameOfTypes(const testing::TestParamInfo<std::tuple<std::string, TypePair>>& info) {
  return std::get<0>(info.param) + "_" + TypeNames(std::get<1>(info.param));
}

INSTANTIATE_TEST_SUITE_P(, QuantizedSoftmax,
                         testing::Combine(testing::ValuesIn(AvailableIsas()), testing::ValuesIn(kPairs)),
                         NameOfTypes);

// For an emulated processor, which computes exact values in software.
bool IsTooLong(size_t channels) {
  return RunsSparseTests() && channels > 300;
}

TEST_P(QuantizedSoftmax, IsWithinHalfAStepForEveryFamily) {
  double worst = 0.0;
  for (const RowFamily& rows_of : AllRows()) {
    const std::string family = rows_of.name;
    for (float input_scale : {1.0f / 256.0f, 0.01f, 0.1f, 3.0f}) {
      for (float output_scale : {1.0f / 256.0f, 0x1p-14f}) {
        const RowsRun run = Run(input_scale, output_scale);
        for (size_t channels : {1, 2, 10, 41, 300, 1000, 1025, 3000, 20000}) {
          if (IsTooLong(channels)) continue;
          ASSERT_NO_FATAL_FAILURE(TestExact(run, Draw(family, channels, channels, input_scale), &worst))
              << family;
        }
      }
    }
  }
  printf("%.5f %s\n", worst, IsQuantized(types().output) ? "steps" : "ULP");
  RecordProperty("worst_error", std::to_string(worst));
}

TEST_P(QuantizedSoftmax, IsWithinHalfAStepAtEveryLength) {
  double worst = 0.0;
  const RowsRun run = Run(0.05f, 0x1p-10f);
  for (size_t channels = 1; channels <= 530; channels += RunsSparseTests() ? 29 : 1) {
    ASSERT_NO_FATAL_FAILURE(TestExact(run, Draw("normal_4", channels, 1, run.input_scale), &worst));
  }
  for (size_t channels : {SMX_TILE - 1, SMX_TILE, SMX_TILE + 1, 2 * SMX_TILE + 33, 1 << 20}) {
    if (RunsSparseTests() && channels != SMX_TILE + 1) continue;
    ASSERT_NO_FATAL_FAILURE(TestExact(run, Draw("normal_1", Capped(channels), 1, run.input_scale), &worst));
  }
}

// Scales that leave results to a single step, to none, and to steps far below one.
TEST_P(QuantizedSoftmax, IsWithinHalfAStepOnEveryScaleOfTheOutput) {
  double worst = 0.0;
  for (float output_scale : {1.0f / 255.0f, 0.01f, 3.0f, 1e-6f, 1e-15f, 1e-30f, 1e30f, FLT_MAX}) {
    for (int32_t zero_point : ZeroPoints()) {
      for (const char* family : {"normal_1", "uniform_100", "outlier", "equal"}) {
        RowsRun run = Run(0.5f, output_scale);
        run.output_quantization.zero_point = zero_point;
        for (size_t channels : {1, 3, 20, 257, 2000}) {
          if (IsTooLong(channels)) continue;
          ASSERT_NO_FATAL_FAILURE(TestExact(run, Draw(family, channels, 7, run.input_scale), &worst));
        }
      }
    }
  }
}

// Numbers times scales that are out of the kernels' range, beyond what a float holds among them.
TEST_P(QuantizedSoftmax, IsWithinHalfAStepOnEveryScaleOfTheInput) {
  double worst = 0.0;
  for (float input_scale :
       {FLT_MIN, 1e-30f, 0x1p-40f, 1e-5f, 64.3f, 128.1f, 1000.0f, 0x1p+40f, 1e20f, 0x1p+100f, FLT_MAX}) {
    for (float scale : {1.0f, 0.125f, -1.0f, 0.0f}) {
      RowsRun run = Run(input_scale);
      run.scale = scale;
      for (const char* family : {"normal_1", "uniform_100", "equal_minus_flt_max", "equal_flt_max"}) {
        for (size_t channels : {1, 20, 257, 2000}) {
          if (IsTooLong(channels)) continue;
          const std::vector<float> x = Draw(family, channels, 3, 1.0f);
          ASSERT_NO_FATAL_FAILURE(TestExact(run, x, &worst));
          Test(run, {x, x, x, x, x});
        }
      }
    }
  }
}

TEST_P(QuantizedSoftmax, HasTheBitsOfF32ForEveryFamily) {
  for (const RowFamily& rows_of : AllRows()) {
    const std::string family = rows_of.name;
    for (const auto& [rows, channels] : std::vector<std::pair<size_t, size_t>>{
             {1, 1}, {1, 17}, {7, 5}, {20, 40}, {9, 300}, {4, 1024}, {2, 1025}, {1, 2 * SMX_TILE + 33}}) {
      for (int32_t zero_point : ZeroPoints()) {
        RowsRun run = Run(0.1f, 1.0f / 255.0f);
        run.output_quantization.zero_point = zero_point;
        Test(run, Draw(family, rows, channels, run));
      }
    }
  }
}

TEST_P(QuantizedSoftmax, IsTheSameUnderEveryPlan) {
  for (const ForcedPlan& plan : ForcedPlans()) {
    for (size_t channels : {1, 4, 31, 32, 33, 64, 500, 1024, 5000, 40000}) {
      if (IsTooLong(channels)) continue;
      const size_t rows = channels <= SMX_BLOCK ? 9 : 1;
      if (!plan.Takes(rows, channels, false)) continue;
      RowsRun run = Run();
      const Rows inputs = Draw("normal_4", rows, channels, run);
      const Rows expected = Expected(run, inputs);
      run.plan = &plan;
      Test(run, inputs, expected);
      run.input_gap = 3;
      run.output_gap = 2;
      Test(run, inputs, expected);
      if (!may_run_in_place() || !plan.Takes(rows, channels, true)) continue;
      run.in_place = true;
      Test(run, inputs, expected);
    }
  }
}

// Rows that leave the kernels' range among others that do not.
TEST_P(QuantizedSoftmax, RowsOutOfRangeDoNotDisturbTheirNeighbours) {
  for (size_t channels : {3, 40, 200}) {
    RowsRun run = Run(smx_range / 120.0f);
    Rows inputs;
    for (uint64_t seed = 1; seed < 20; seed++) {
      inputs.push_back(UniformRow(channels, 2.0f, seed));
      for (float& x : inputs.back()) x = RoundedTo(types().input, x + (seed % 3 == 0 ? 115.0f : 125.0f));
    }
    const Rows expected = Expected(run, inputs);
    for (size_t threads : {0, 3}) {
      run.threads = threads;
      run.task_elements = 100;
      run.input_gap = 0;
      run.in_place = false;
      Test(run, inputs, expected);
      run.in_place = may_run_in_place();
      run.input_gap = 1;
      Test(run, inputs, expected);
    }
  }
}

TEST_P(QuantizedSoftmax, IsTheSameOnAnyNumberOfThreads) {
  RowsRun run = Run();
  const Rows inputs = Draw("normal_4", 3, 3 * SMX_TILE + 5, run);
  const Rows expected = Expected(run, inputs);
  for (size_t threads : {1, 2, 3, 4}) {
    run.threads = threads;
    Test(run, inputs, expected);
  }
}

TEST_P(QuantizedSoftmax, StaysInsideItsRowsAtAnyAlignment) {
  for (size_t channels :
       {1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 33, 47, 63, 64, 65, 127, 129, 255, 1023, 1025, 1100}) {
    for (size_t rows : {1, 5}) {
      RowsRun run = Run();
      const Rows inputs = Draw("normal_4", rows, channels, run);
      const Rows expected = Expected(run, inputs);
      for (GuardedEdge edge : {GuardedEdge::kEnd, GuardedEdge::kBeginning}) {
        for (size_t offset : {0, 1, 5, 8, 15}) {
          run.edge = edge;
          run.offset = offset;
          Test(run, inputs, expected);
        }
      }
    }
  }
}

// ---- Results that are known

TEST_P(QuantizedSoftmax, OfASingleElementIsOne) {
  for (float x = LeastOf(types().input); x <= LargestOf(types().input); x++) {
    for (float input_scale : {1e-30f, 0.1f, 100.0f, 1e30f}) {
      const float y = RunRows(Run(input_scale), {{x}})[0][0];
      EXPECT_EQ(y, IsQuantized(types().output) ? LargestOf(types().output) : 1.0f);
    }
  }
}

TEST_P(QuantizedSoftmax, OfEqualElementsIsAnEqualShare) {
  for (float x : {LeastOf(types().input), 1.0f, LargestOf(types().input)}) {
    for (size_t channels : {2, 3, 16, 100, 255, 512, 1000, 70000}) {
      if (IsTooLong(channels)) continue;
      const RowsRun run = Run(0.7f, 0x1p-12f);
      const float share = 1.0f / static_cast<float>(channels);
      const float steps = nearbyintf(share * 4096.0f) + LeastOf(types().output);
      const float expected = IsQuantized(types().output) ? RoundedTo(types().output, steps) : share;
      const float error = IsQuantized(types().output) ? 0.0f : share * FLT_EPSILON;
      const Rows rows = RunRows(run, {std::vector<float>(channels, x)});
      for (float y : rows[0]) ASSERT_NEAR(y, expected, error) << channels;
    }
  }
}

TEST_P(QuantizedSoftmax, OfAllNumbers) {
  std::vector<float> x;
  for (float number = LargestOf(types().input); number >= LeastOf(types().input); number--)
    x.push_back(number);
  double worst = 0.0;
  for (float input_scale : {0.001f, 1.0f / 256.0f, 0.1f, 1.0f, 70.0f}) {
    for (float output_scale : {1.0f / 256.0f, 0x1p-12f}) {
      const RowsRun run = Run(input_scale, output_scale);
      ASSERT_NO_FATAL_FAILURE(TestExact(run, x, &worst));
      std::vector<float> y = RunRows(run, {x})[0];
      EXPECT_TRUE(std::is_sorted(y.rbegin(), y.rend()));
    }
  }
}

// Halves of a step go to the even multiple of the scale, whatever the zero point is.
TEST_P(QuantizedSoftmax, RoundsTiesToEven) {
  if (!IsQuantized(types().output)) return;
  for (int32_t zero_point : ZeroPoints()) {
    for (float multiple : {0.5f, 1.5f, 2.5f}) {
      RowsRun run = Run(1.0f, 0.25f / multiple);
      run.output_quantization.zero_point = zero_point;
      ASSERT_EQ(1.0f / run.output_quantization.scale, 4.0f * multiple);
      const float expected = RoundedTo(types().output, nearbyintf(multiple) + static_cast<float>(zero_point));
      EXPECT_EQ(RunRows(run, {{5, 5, 5, 5}})[0], std::vector<float>(4, expected)) << run;
    }
  }
}

// ---- Statuses

class QuantizedStatus : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(smx_initialize(nullptr), smx_status_success); }

  smx_status Create(smx_datatype input, float input_scale, smx_datatype output,
                    const smx_quantization* quantization, uint32_t flags = 0) {
    smx_operator_t op = reinterpret_cast<smx_operator_t>(1);
    const smx_status status =
        smx_create_softmax_nc_quantized(input, input_scale, output, quantization, flags, &op);
    EXPECT_EQ(op != nullptr, status == smx_status_success);
    EXPECT_EQ(log_.messages().empty(), status == smx_status_success);
    log_.Clear();
    smx_delete_operator(op);
    return status;
  }

  static constexpr smx_quantization kWhole = {1.0f / 256.0f, 0};
  LogRecorder log_{smx_log_level_error};
};

TEST_F(QuantizedStatus, ScalesArePositiveNormalAndFinite) {
  for (float scale : {FLT_MIN, 1e-30f, 1.0f, FLT_MAX}) {
    const smx_quantization output = {scale, 0};
    EXPECT_EQ(Create(smx_datatype_qu8, scale, smx_datatype_qu8, &output), smx_status_success) << scale;
    EXPECT_EQ(Create(smx_datatype_qs8, scale, smx_datatype_f32, nullptr), smx_status_success) << scale;
  }
  for (float scale : {0.0f, -0.0f, -1.0f, 1e-40f, -FLT_MIN, INFINITY, -INFINITY, NAN}) {
    const smx_quantization output = {scale, 0};
    EXPECT_EQ(Create(smx_datatype_qu8, scale, smx_datatype_qu8, &kWhole), smx_status_invalid_parameter)
        << scale;
    EXPECT_EQ(Create(smx_datatype_qu8, 1.0f, smx_datatype_qu8, &output), smx_status_invalid_parameter)
        << scale;
    EXPECT_EQ(Create(smx_datatype_qu8, 1.0f, smx_datatype_f32, &output), smx_status_success) << scale;
  }
}

TEST_F(QuantizedStatus, ZeroPointsAreNumbersOfTheType) {
  for (int32_t zero_point : {INT32_MIN, -129, -128, -1, 0, 127, 128, 255, 256, INT32_MAX}) {
    const smx_quantization output = {1.0f, zero_point};
    const auto expected = [](bool is_valid) {
      return is_valid ? smx_status_success : smx_status_invalid_parameter;
    };
    EXPECT_EQ(Create(smx_datatype_qu8, 1.0f, smx_datatype_qu8, &output),
              expected(zero_point >= 0 && zero_point <= 255));
    EXPECT_EQ(Create(smx_datatype_qs8, 1.0f, smx_datatype_qs8, &output),
              expected(zero_point >= -128 && zero_point <= 127));
  }
}

TEST_F(QuantizedStatus, ArgumentsThatAreMissingOrUnknownAreInvalid) {
  EXPECT_EQ(Create(smx_datatype_qu8, 1.0f, smx_datatype_qu8, nullptr), smx_status_invalid_parameter);
  EXPECT_EQ(Create(smx_datatype_qu8, 1.0f, smx_datatype_qu8, &kWhole, 2), smx_status_invalid_parameter);
  EXPECT_EQ(Create(smx_datatype_qu8, 1.0f, smx_datatype_qu8, &kWhole, SMX_FLAG_MASKED_ROWS_TO_ZERO),
            smx_status_success);
  EXPECT_EQ(smx_create_softmax_nc_quantized(smx_datatype_qu8, 1.0f, smx_datatype_qu8, &kWhole, 0, nullptr),
            smx_status_invalid_parameter);
}

TEST_F(QuantizedStatus, PairsWithoutKernelsAreUnsupported) {
  for (const TypePair& pair : std::vector<TypePair>{{smx_datatype_qu8, smx_datatype_qs8},
                                                    {smx_datatype_qs8, smx_datatype_qu8},
                                                    {smx_datatype_f32, smx_datatype_qu8},
                                                    {smx_datatype_qu8, smx_datatype_f16},
                                                    {smx_datatype_f32, smx_datatype_f32},
                                                    {smx_datatype_f16, smx_datatype_f32},
                                                    {smx_datatype_qu8, static_cast<smx_datatype>(6)}}) {
    EXPECT_EQ(Create(pair.input, 1.0f, pair.output, &kWhole), smx_status_unsupported_parameter) << pair;
  }
}

// Operators without scales say which one has them.
TEST_F(QuantizedStatus, OtherOperatorsDoNotTakeBytes) {
  smx_operator_t op = reinterpret_cast<smx_operator_t>(1);
  const auto expect_unsupported = [&](smx_status status) {
    EXPECT_EQ(status, smx_status_unsupported_parameter);
    EXPECT_EQ(op, nullptr);
    ASSERT_EQ(log_.messages().size(), 1u);
    log_.Clear();
  };
  expect_unsupported(smx_create_softmax_nc(smx_datatype_qu8, smx_datatype_qu8, 0, &op));
  expect_unsupported(smx_create_log_softmax_nc(smx_datatype_qs8, smx_datatype_f32, 0, &op));
  expect_unsupported(smx_create_scale_by_partial_sum_nc(smx_datatype_qs8, smx_datatype_f32, 0, &op));
  expect_unsupported(smx_create_logsumexp_nc(smx_datatype_qu8, 0, &op));
  expect_unsupported(smx_create_partial_sum_nc(smx_datatype_qu8, 0, &op));
}

TEST_F(QuantizedStatus, ProductsOfScalesAreFiniteOrTheyStay) {
  const uint8_t x[2] = {0, 1};
  uint8_t y[2];
  smx_operator_t op = nullptr;
  ASSERT_EQ(smx_create_softmax_nc_quantized(smx_datatype_qu8, 1e30f, smx_datatype_qu8, &kWhole, 0, &op),
            smx_status_success);
  ASSERT_EQ(smx_set_scale(op, 1e-30f), smx_status_success);
  EXPECT_EQ(smx_set_scale(op, 1e10f), smx_status_invalid_parameter);
  EXPECT_EQ(log_.messages().size(), 1u);
  EXPECT_EQ(smx_set_scale(op, -1e10f), smx_status_invalid_parameter);
  ASSERT_EQ(smx_setup_softmax_nc(op, 1, 2, 2, 2, x, y), smx_status_success);
  ASSERT_EQ(smx_run_operator(op, nullptr), smx_status_success);
  EXPECT_EQ(y[0], 69);  // 256 / (1 + e)
  EXPECT_EQ(y[1], 187);
  EXPECT_EQ(smx_setup_softmax_nc_f32(op, 1, 1, 1, 1, nullptr, nullptr), smx_status_invalid_state);
  EXPECT_EQ(smx_setup_softmax_nc(op, 2, 2, 2, 2, x, const_cast<uint8_t*>(x) + 1),
            smx_status_invalid_parameter)
      << "overlap";
  EXPECT_EQ(smx_delete_operator(op), smx_status_success);
}

}  // namespace
}  // namespace smx
