// Log-softmax and logsumexp: what include/smxpack.h says of their results, on every ISA that can run here.
#include <float.h>
#include <gtest/gtest.h>
#include <math.h>
#include <stdio.h>

#include <algorithm>
#include <string>
#include <vector>

#include "src/gen/microkernels.h"
#include "src/operators/row_sum.h"
#include "test/isas.h"
#include "test/rows.h"
#include "test/rows_operator.h"
#include "test/softmax_tester.h"
#include "test/ulp.h"

namespace smx {
namespace {

using Rows = SoftmaxTester::Rows;

// log(sum of exp(x - max)) without the rounding of max + log.
long double LogAboveMax(const std::vector<float>& row) {
  const long double max = *std::max_element(row.begin(), row.end());
  CompensatedSum sum;
  for (float x : row) sum.Add(expl(x - max));
  return logl(sum.value());
}

class LogSoftmaxNc : public testing::TestWithParam<std::string> {
 protected:
  RowsRun Run(RowsFunction function) const {
    RowsRun run;
    run.isa = GetParam();
    run.function = function;
    return run;
  }
};

INSTANTIATE_TEST_SUITE_P(, LogSoftmaxNc, testing::ValuesIn(AvailableIsas()),
                         [](const auto& info) { return info.param; });

std::vector<size_t> Lengths() {
  return {1, 2, 3, 10, 16, 33, 100, 1000, 1025, 20000, Capped(100000)};
}

TEST_P(LogSoftmaxNc, IsWithinTwoUlp) {
  double worst = 0.0, worst_sum = 0.0;
  for (const RowFamily& family : FiniteRows()) {
    for (size_t channels : Lengths()) {
      SCOPED_TRACE(testing::Message() << family.name << ", " << channels);
      const std::vector<float> x = MakeRow(family.name, channels, channels);
      const float max = *std::max_element(x.begin(), x.end());
      const long double above_max = LogAboveMax(x);
      const std::vector<float> y = RunRows(Run(RowsFunction::kLogSoftmax), {x})[0];
      for (size_t i = 0; i < channels; i++) {
        const double error = LogUlpError(y[i], (static_cast<long double>(x[i]) - max) - above_max);
        ASSERT_LE(error, kLogUlps) << "element " << i << " is " << y[i];
        worst = std::max(worst, error);
      }
      const float sum = RunRows(Run(RowsFunction::kLogSumExp), {x})[0][0];
      const double error = LogUlpError(sum, max + above_max);
      ASSERT_LE(error, kLogUlps) << "logsumexp is " << sum;
      worst_sum = std::max(worst_sum, error);
    }
  }
  printf("log-softmax: %.3f ULP of max(|y|, 1); logsumexp: %.3f\n", worst, worst_sum);
  RecordProperty("worst_ulps", std::to_string(worst));
}

TEST_P(LogSoftmaxNc, HasTheBitsOfScalar) {
  for (RowsFunction function : {RowsFunction::kLogSoftmax, RowsFunction::kLogSumExp}) {
    for (const RowFamily& family : FiniteRows()) {
      for (size_t channels : {7, 100, 1025, 2 * SMX_TILE + 5}) {
        RowsRun run = Run(function);
        const Rows inputs = {MakeRow(family.name, channels, 1), MakeRow(family.name, channels, 2),
                             MakeRow(family.name, channels, 3)};
        RowsRun scalar = run;
        scalar.isa = "scalar";
        const Rows expected = RunRows(scalar, inputs);
        for (size_t threads : {0, 2, 3}) {
          for (bool in_place : {false, true}) {
            if (in_place && function == RowsFunction::kLogSumExp) continue;
            run.threads = threads;
            run.in_place = in_place;
            run.task_elements = 100;
            const Rows actual = RunRows(run, inputs);
            for (size_t i = 0; i < inputs.size(); i++) {
              EXPECT_TRUE(SameBits(actual[i], expected[i])) << run << ": " << family.name << ", " << channels;
            }
          }
        }
      }
    }
  }
}

// Rows that leave the kernels' range among others, by the kernels on several rows.
TEST_P(LogSoftmaxNc, RowsAtATimeHaveTheBitsOfEachAlone) {
  for (size_t channels : {1, 3, 40, 41, 200, 1000}) {
    Rows inputs, expected;
    for (const auto* families : {&FiniteRows(), &SpecialRows()}) {
      for (const RowFamily& family : *families) {
        for (uint64_t seed : {1, 2, 3}) inputs.push_back(MakeRow(family.name, channels, seed));
      }
    }
    for (const std::vector<float>& row : inputs) {
      expected.push_back(RunRows(Run(RowsFunction::kLogSoftmax), {row})[0]);
    }
    for (bool in_place : {false, true}) {
      for (size_t threads : {0, 3}) {
        RowsRun run = Run(RowsFunction::kLogSoftmax);
        run.in_place = in_place;
        run.threads = threads;
        run.task_elements = 100;
        run.input_gap = 1;
        const Rows actual = RunRows(run, inputs);
        for (size_t i = 0; i < inputs.size(); i++) {
          EXPECT_TRUE(SameBits(actual[i], expected[i])) << run << ": row " << i << " of " << channels;
        }
      }
    }
  }
}

TEST_P(LogSoftmaxNc, OfOtherTypesIsThatOfF32Rounded) {
  for (const TypePair& types : TypePairs()) {
    for (const char* family :
         {"normal_4", "uniform_1000", "mask_minus_inf", "one_nan", "all_minus_inf", "million"}) {
      for (size_t channels : {1, 20, 500, 3000}) {
        Rows inputs;
        for (uint64_t seed : {1, 2, 3, 4, 5})
          inputs.push_back(RoundedTo(types.input, MakeRow(family, channels, seed)));
        for (RowsFunction function : {RowsFunction::kLogSoftmax, RowsFunction::kLogSumExp}) {
          RowsRun run = Run(function);
          const Rows of_f32 = RunRows(run, inputs);
          run.types = types;
          run.input_gap = 1;
          run.output_gap = 3;
          const Rows actual = RunRows(run, inputs);
          const smx_datatype type = function == RowsFunction::kLogSoftmax ? types.output : smx_datatype_f32;
          for (size_t i = 0; i < inputs.size(); i++) {
            EXPECT_TRUE(SameBits(actual[i], RoundedTo(type, of_f32[i]))) << run << ": " << family;
          }
        }
      }
    }
  }
}

TEST_P(LogSoftmaxNc, EdgeCases) {
  struct Case {
    std::vector<float> x;
    std::vector<float> y;
    float sum;
    uint32_t flags;
  };
  const float inf = INFINITY;
  const std::vector<Case> cases = {
      {{5.0f}, {0.0f}, 5.0f, 0},
      {{-1e30f}, {0.0f}, -1e30f, 0},
      {{0.1f}, {0.0f}, 0.1f, 0},
      {{0.1f, -inf, -inf}, {0.0f, -inf, -inf}, 0.1f, 0},
      {{-inf, 123.456f}, {-inf, 0.0f}, 123.456f, 0},
      {{-inf, -inf}, {NAN, NAN}, -inf, 0},
      {{-inf, -inf}, {-inf, -inf}, -inf, SMX_FLAG_MASKED_ROWS_TO_ZERO},
      {{1.0f, NAN}, {NAN, NAN}, NAN, SMX_FLAG_MASKED_ROWS_TO_ZERO},
      {{1.0f, inf}, {NAN, NAN}, inf, 0},
      {{NAN, inf}, {NAN, NAN}, NAN, 0},
      {{-inf, inf}, {NAN, NAN}, inf, 0},
      {{FLT_MAX, -FLT_MAX}, {0.0f, -inf}, FLT_MAX, 0},
      {{FLT_MAX, 0.0f}, {0.0f, -FLT_MAX}, FLT_MAX, 0},
      {{-FLT_MAX, -inf}, {0.0f, -inf}, -FLT_MAX, 0},
      {{2.0f, 2.0f, 2.0f, 2.0f}, {-1.3862944f, -1.3862944f, -1.3862944f, -1.3862944f}, 3.3862944f, 0},
      {{FLT_MAX, FLT_MAX}, {-0.6931472f, -0.6931472f}, FLT_MAX, 0},
      {{-3e38f, -3e38f}, {-0.6931472f, -0.6931472f}, -3e38f, 0},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(testing::PrintToString(c.x));
    RowsRun run = Run(RowsFunction::kLogSoftmax);
    run.flags = c.flags;
    EXPECT_TRUE(SameBits(RunRows(run, {c.x})[0], c.y));
    EXPECT_TRUE(SameBits(RunRows(Run(RowsFunction::kLogSumExp), {c.x})[0], {c.sum}));
  }
}

// The largest result of a row that one element dominates is small, and exact beyond an ULP of 1.
TEST_P(LogSoftmaxNc, IsExactCloseToZero) {
  for (float distance : {8.0f, 12.0f, 16.0f, 20.0f, 25.0f}) {
    for (float max : {0.0f, 3.3f, -77.7f, 9000.0f}) {
      const std::vector<float> x = {max - distance, max, max - distance - 1.0f};
      const long double exact =
          -log1pl(expl(x[0] - static_cast<long double>(max)) + expl(x[2] - static_cast<long double>(max)));
      const float y = RunRows(Run(RowsFunction::kLogSoftmax), {x})[0][1];
      EXPECT_LE(fabsl(y - exact), -exact * 8 * 0x1p-24L + 0x1p-46L) << max << ", " << distance;
    }
  }
}

TEST(Log, IsExact) {
  SplitMix64 generator(1);
  const auto mantissa = [&generator] { return 1.0 + static_cast<double>(generator.Next() >> 12) * 0x1p-52; };
  double worst = 0.0;
  const auto compare = [&worst](double a, double b) {
    const long double larger = std::max(a, b);
    const long double exact = log1pl((larger - b) / b);
    if (exact == 0.0L) {
      EXPECT_EQ(smx_log_above(a, b), 0.0);
    } else {
      worst = std::max(worst, static_cast<double>(fabsl(smx_log_above(a, b) - exact) / exact));
    }
  };
  for (int i = 0; i < 200000; i++) {
    const int exponent = static_cast<int>(generator.Below(120)) - 60;
    const double b = ldexp(mantissa(), exponent);
    compare(ldexp(mantissa(), exponent + (i % 2 == 0 ? static_cast<int>(generator.Below(60)) : 0)), b);
    compare(b * (1.0 + ldexp(1.0, -static_cast<int>(generator.Below(53)))), b);
    compare(b, b);
    compare(1.5 * b, b);
  }
  EXPECT_LE(worst, 0x1p-35);
  printf("log: %.3g relative\n", worst);
}

}  // namespace
}  // namespace smx
