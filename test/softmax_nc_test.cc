// Softmax of f16 and bf16: the results of f32 (softmax_nc_f32_test.cc), rounded once more, on every ISA.
#include <gtest/gtest.h>
#include <math.h>
#include <stdio.h>

#include <algorithm>
#include <string>
#include <tuple>
#include <vector>

#include "src/gen/microkernels.h"
#include "test/isas.h"
#include "test/rows.h"
#include "test/rows_operator.h"
#include "test/softmax_tester.h"

namespace smx {
namespace {

using Rows = SoftmaxTester::Rows;

class SoftmaxNc : public testing::TestWithParam<std::tuple<std::string, TypePair>> {
 protected:
  const std::string& isa() const { return std::get<0>(GetParam()); }
  const TypePair& types() const { return std::get<1>(GetParam()); }
  bool may_run_in_place() const { return types().input == types().output; }

  RowsRun Run() const {
    RowsRun run;
    run.isa = isa();
    run.types = types();
    return run;
  }

  // Rows of a family, of the input's type.
  Rows Draw(const std::string& family, size_t rows, size_t channels, uint64_t seed = 1) const {
    Rows drawn;
    for (size_t i = 0; i < rows; i++) {
      drawn.push_back(RoundedTo(types().input, MakeRow(family, Capped(channels), seed + i)));
    }
    return drawn;
  }

  // What the operator on f32 gives for the same elements, rounded.
  Rows Expected(const Rows& inputs, uint32_t flags = 0) const {
    RowsRun run;
    run.isa = isa();
    run.flags = flags;
    Rows rows = RunRows(run, inputs);
    for (std::vector<float>& row : rows) row = RoundedTo(types().output, row);
    return rows;
  }

  void Test(const RowsRun& run, const Rows& inputs, const Rows& expected) const {
    const Rows actual = RunRows(run, inputs);
    for (size_t i = 0; i < inputs.size(); i++) {
      EXPECT_TRUE(SameBits(actual[i], expected[i])) << run << ": row " << i << " of " << inputs[i].size();
    }
  }
  void Test(const RowsRun& run, const Rows& inputs) const { Test(run, inputs, Expected(inputs, run.flags)); }
};

// Whose results are rounded to a narrower type.
class SoftmaxNcRounding : public SoftmaxNc {};

// f32 alone is the matter of softmax_nc_f32_test.cc.
std::vector<TypePair> NarrowTypePairs(bool in_output) {
  std::vector<TypePair> pairs;
  for (const TypePair& types : TypePairs()) {
    const bool narrow_output = types.output != smx_datatype_f32;
    if (narrow_output || (!in_output && types.input != smx_datatype_f32)) pairs.push_back(types);
  }
  return pairs;
}

std::string NameOfTypes(const testing::TestParamInfo<std::tuple<std::string, TypePair>>& info) {
  return std::get<0>(info.param) + "_" + TypeNames(std::get<1>(info.param));
}

INSTANTIATE_TEST_SUITE_P(, SoftmaxNc,
                         testing::Combine(testing::ValuesIn(AvailableIsas()),
                                          testing::ValuesIn(NarrowTypePairs(false))),
                         NameOfTypes);
INSTANTIATE_TEST_SUITE_P(, SoftmaxNcRounding,
                         testing::Combine(testing::ValuesIn(AvailableIsas()),
                                          testing::ValuesIn(NarrowTypePairs(true))),
                         NameOfTypes);

TEST_P(SoftmaxNc, IsThatOfF32RoundedForEveryFamily) {
  for (const RowFamily& family : AllRows()) {
    for (const auto& [rows, channels] : std::vector<std::pair<size_t, size_t>>{{1, 1},
                                                                               {1, 17},
                                                                               {7, 5},
                                                                               {20, 40},
                                                                               {5, 41},
                                                                               {9, 300},
                                                                               {4, 1024},
                                                                               {2, 1025},
                                                                               {1, 2 * SMX_TILE + 33}}) {
      Test(Run(), Draw(family.name, rows, channels));
    }
  }
}

TEST_P(SoftmaxNc, IsTheSameUnderEveryPlan) {
  for (const ForcedPlan& plan : ForcedPlans()) {
    for (size_t channels : {1, 4, 31, 32, 33, 64, 500, 1024, 5000, 40000}) {
      const size_t rows = channels <= SMX_BLOCK ? 9 : 1;
      if (!plan.Takes(rows, channels, false)) continue;
      const Rows inputs = Draw("normal_4", rows, channels);
      const Rows expected = Expected(inputs);
      RowsRun run = Run();
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

// Rows that leave the kernels' range among others.
TEST_P(SoftmaxNc, HostileRowsDoNotDisturbTheirNeighbours) {
  for (size_t channels : {3, 40, 200}) {
    Rows inputs;
    for (const RowFamily& family : AllRows()) {
      for (const std::vector<float>& row : Draw(family.name, 3, channels)) inputs.push_back(row);
    }
    const Rows expected = Expected(inputs);
    for (size_t threads : {0, 3}) {
      RowsRun run = Run();
      run.threads = threads;
      run.task_elements = 100;
      Test(run, inputs, expected);
      run.in_place = may_run_in_place();
      run.input_gap = 1;
      Test(run, inputs, expected);
    }
  }
}

TEST_P(SoftmaxNc, IsTheSameOnAnyNumberOfThreads) {
  const Rows inputs = Draw("normal_4", 3, 3 * SMX_TILE + 5);
  const Rows expected = Expected(inputs);
  for (size_t threads : {1, 2, 3, 4}) {
    RowsRun run = Run();
    run.threads = threads;
    Test(run, inputs, expected);
  }
}

TEST_P(SoftmaxNc, StaysInsideItsRowsAtAnyAlignment) {
  for (size_t channels : {1, 2, 7, 15, 16, 17, 31, 33, 47, 63, 64, 65, 127, 129, 255, 1023, 1025, 1100}) {
    for (size_t rows : {1, 5}) {
      const Rows inputs = Draw("normal_4", rows, channels, channels);
      const Rows expected = Expected(inputs);
      for (GuardedEdge edge : {GuardedEdge::kEnd, GuardedEdge::kBeginning}) {
        for (size_t offset : {0, 1, 5, 8}) {
          RowsRun run = Run();
          run.edge = edge;
          run.offset = offset;
          Test(run, inputs, expected);
        }
      }
    }
  }
}

TEST_P(SoftmaxNc, MaskedRowsAreZeroUnderTheFlag) {
  const float zero = 0.0f;
  for (size_t channels : {1, 40, 100, 3000}) {
    Rows inputs = Draw("normal_4", 5, channels);
    inputs[1].assign(channels, -INFINITY);
    inputs[4].assign(channels, -INFINITY);
    for (uint32_t flags : {uint32_t{0}, SMX_FLAG_MASKED_ROWS_TO_ZERO}) {
      RowsRun run = Run();
      run.flags = flags;
      const Rows y = RunRows(run, inputs);
      for (size_t i = 0; i < channels; i++) {
        if (flags != 0) {
          EXPECT_TRUE(SameBits({y[1][i]}, {zero}));
        } else {
          EXPECT_TRUE(isnan(y[1][i]));
        }
        EXPECT_FALSE(isnan(y[0][i]));
      }
    }
  }
}

// Against the exact values: correctly rounded but for one in a thousand, and then the neighbour.
TEST_P(SoftmaxNcRounding, IsCorrectlyRoundedButForOneInAThousand) {
  size_t results = 0, others = 0;
  for (const char* family : {"normal_1", "normal_4", "normal_30", "uniform_100", "mask_minus_inf", "wide"}) {
    for (const auto& [rows, channels] :
         std::vector<std::pair<size_t, size_t>>{{500, 10}, {100, 64}, {20, 512}, {4, 4096}, {1, 100000}}) {
      const Rows inputs = Draw(family, rows, channels);
      const Rows y = RunRows(Run(), inputs);
      for (size_t r = 0; r < inputs.size(); r++) {
        const std::vector<long double> exact = ReferenceSoftmax(inputs[r]);
        for (size_t i = 0; i < inputs[r].size(); i++) {
          const double nearest = static_cast<double>(exact[i]);
          if (nearest < 0x1p-126) continue;  // f32 flushes
          const int64_t away =
              OrdinalOf(types().output, y[r][i]) - OrdinalOf(types().output, static_cast<float>(nearest));
          ASSERT_LE(std::abs(away), 1) << family << ", " << inputs[r].size() << ", element " << i;
          others += away != 0;
          results++;
        }
      }
    }
  }
  EXPECT_LE(others * 1000, results);
  printf("%zu of %zu results are not the nearest\n", others, results);
  RecordProperty("not_nearest_in_a_million",
                 std::to_string(1e6 * static_cast<double>(others) / static_cast<double>(results)));
}

// Equal elements of a long row: f16 has denormals for 1/channels.
TEST(SoftmaxNcF16, KeepsDenormalResults) {
  const size_t channels = Capped(200000);
  RowsRun run;
  run.types = {smx_datatype_f16, smx_datatype_f16};
  for (const std::string& isa : AvailableIsas()) {
    run.isa = isa;
    const std::vector<float> y = RunRows(run, {std::vector<float>(channels, 3.0f)})[0];
    const float expected = RoundedTo(smx_datatype_f16, 1.0f / static_cast<float>(channels));
    EXPECT_GT(expected, 0.0f);
    EXPECT_TRUE(std::all_of(y.begin(), y.end(), [=](float element) { return element == expected; }));
  }
}

TEST(SoftmaxNcTypes, ThatHaveNoKernelsAreUnsupported) {
  UseIsa("scalar");
  smx_operator_t op = nullptr;
  const TypePair pairs[] = {{smx_datatype_f16, smx_datatype_bf16},
                            {smx_datatype_bf16, smx_datatype_f16},
                            {static_cast<smx_datatype>(0), smx_datatype_f32},
                            {smx_datatype_f32, static_cast<smx_datatype>(0)}};
  for (const TypePair& types : pairs) {
    op = reinterpret_cast<smx_operator_t>(1);
    EXPECT_EQ(smx_create_softmax_nc(types.input, types.output, 0, &op), smx_status_unsupported_parameter);
    EXPECT_EQ(op, nullptr);
    op = reinterpret_cast<smx_operator_t>(1);
    EXPECT_EQ(smx_create_log_softmax_nc(types.input, types.output, 0, &op), smx_status_unsupported_parameter);
    EXPECT_EQ(op, nullptr);
  }
}

TEST(SoftmaxNcTypes, SetupIsThatOfTheOperator) {
  UseIsa("scalar");
  float x[4] = {}, y[4];
  smx_operator_t softmax = nullptr, log_softmax = nullptr, logsumexp = nullptr;
  ASSERT_EQ(smx_create_softmax_nc(smx_datatype_f16, smx_datatype_f16, 0, &softmax), smx_status_success);
  ASSERT_EQ(smx_create_log_softmax_nc(smx_datatype_f32, smx_datatype_f32, 0, &log_softmax),
            smx_status_success);
  ASSERT_EQ(smx_create_logsumexp_nc(smx_datatype_f32, 0, &logsumexp), smx_status_success);
  EXPECT_EQ(smx_setup_softmax_nc_f32(softmax, 1, 4, 4, 4, x, y), smx_status_invalid_state);
  EXPECT_EQ(smx_setup_softmax_nc(log_softmax, 1, 4, 4, 4, x, y), smx_status_invalid_state);
  EXPECT_EQ(smx_setup_log_softmax_nc(softmax, 1, 4, 4, 4, x, y), smx_status_invalid_state);
  EXPECT_EQ(smx_setup_logsumexp_nc(log_softmax, 1, 4, 4, x, y), smx_status_invalid_state);
  EXPECT_EQ(smx_setup_log_softmax_nc(logsumexp, 1, 4, 4, 4, x, y), smx_status_invalid_state);
  for (smx_operator_t op : {softmax, log_softmax, logsumexp})
    EXPECT_EQ(smx_delete_operator(op), smx_status_success);
}

// Elements of two bytes: alignment, overlap and extent are those of the types.
TEST(SoftmaxNcTypes, MemoryIsCheckedInBytes) {
  UseIsa("scalar");
  alignas(64) uint16_t memory[64] = {};
  const auto at = [&](size_t byte) { return reinterpret_cast<char*>(memory) + byte; };
  smx_operator_t f16 = nullptr, mixed = nullptr;
  ASSERT_EQ(smx_create_softmax_nc(smx_datatype_f16, smx_datatype_f16, 0, &f16), smx_status_success);
  ASSERT_EQ(smx_create_softmax_nc(smx_datatype_f16, smx_datatype_f32, 0, &mixed), smx_status_success);
  EXPECT_EQ(smx_setup_softmax_nc(f16, 2, 4, 4, 4, at(2), at(18)), smx_status_success);
  EXPECT_EQ(smx_setup_softmax_nc(f16, 2, 4, 4, 4, at(1), at(64)), smx_status_invalid_parameter);
  EXPECT_EQ(smx_setup_softmax_nc(f16, 2, 4, 4, 4, at(0), at(65)), smx_status_invalid_parameter);
  EXPECT_EQ(smx_setup_softmax_nc(f16, 2, 4, 4, 4, at(0), at(14)), smx_status_invalid_parameter) << "overlap";
  EXPECT_EQ(smx_setup_softmax_nc(f16, 2, 4, 8, 8, at(0), at(8)), smx_status_success) << "rows interleave";
  EXPECT_EQ(smx_setup_softmax_nc(f16, 2, 4, 8, 8, at(0), at(6)), smx_status_invalid_parameter);
  EXPECT_EQ(smx_setup_softmax_nc(f16, 2, 4, 4, 4, at(0), at(0)), smx_status_success) << "in place";
  EXPECT_EQ(smx_setup_softmax_nc(mixed, 1, 4, 4, 4, at(0), at(0)), smx_status_invalid_parameter)
      << "elements of different sizes";
  EXPECT_EQ(smx_setup_softmax_nc(mixed, 1, 4, 4, 4, at(0), at(8)), smx_status_success);
  EXPECT_EQ(smx_setup_softmax_nc(mixed, 1, 4, 4, 4, at(2), at(10)), smx_status_invalid_parameter)
      << "alignment";
  EXPECT_EQ(smx_setup_softmax_nc(mixed, 1, 4, 4, 4, at(24), at(10 + 2)), smx_status_invalid_parameter);
  // Rows of 8 and of 16 bytes, interleaved at strides of 24 bytes.
  EXPECT_EQ(smx_setup_softmax_nc(mixed, 2, 4, 12, 6, at(0), at(8)), smx_status_success);
  EXPECT_EQ(smx_setup_softmax_nc(mixed, 2, 4, 12, 6, at(16), at(0)), smx_status_success);
  EXPECT_EQ(smx_setup_softmax_nc(mixed, 2, 4, 12, 6, at(14), at(0)), smx_status_invalid_parameter);
  for (smx_operator_t op : {f16, mixed}) EXPECT_EQ(smx_delete_operator(op), smx_status_success);
}

// Rows that go several at a time, whose results bypass the caches.
struct Batch {
  static constexpr size_t kRows = 150, kChannels = 100, kStride = 112;
  alignas(64) float y[kRows * kStride];
};

void RunBatch(bool is_log, smx_datatype input, float scale, size_t streamed_bytes, size_t threads,
              Batch* batch) {
  const std::vector<float> x = NormalRow(Batch::kRows * Batch::kChannels, 4.0f, 1);
  const std::vector<unsigned char> elements = Encode(input, x.data(), x.size());
  smx_thresholds thresholds;
  EXPECT_EQ(smx_get_thresholds(&thresholds), smx_status_success);
  thresholds.streamed_bytes = streamed_bytes;
  thresholds.task_elements = 2000;
  EXPECT_EQ(smx_set_thresholds(&thresholds), smx_status_success);
  std::fill(std::begin(batch->y), std::end(batch->y), -1.0f);
  RunOnce(
      [&](smx_operator_t* op) {
        return (is_log ? smx_create_log_softmax_nc : smx_create_softmax_nc)(input, smx_datatype_f32, 0, op);
      },
      [&](smx_operator_t op) {
        EXPECT_EQ(smx_set_scale(op, scale), smx_status_success);
        const smx_status status = (is_log ? smx_setup_log_softmax_nc : smx_setup_softmax_nc)(
            op, Batch::kRows, Batch::kChannels, Batch::kChannels, Batch::kStride, elements.data(), batch->y);
        smx_plan plan;
        EXPECT_EQ(smx_get_plan(op, 1, &plan), smx_status_success);
        EXPECT_STREQ(plan.algorithm, "several-rows");
        EXPECT_EQ(plan.streams_output, streamed_bytes == 1);
        return status;
      },
      Pool(threads));
}

TEST(SoftmaxNcBatches, PastTheCachesHaveTheBitsOfThoseInThem) {
  for (const std::string& isa : AvailableIsas()) {
    UseIsa(isa);
    for (bool is_log : {false, true}) {
      for (smx_datatype input : {smx_datatype_f32, smx_datatype_bf16}) {
        for (float scale : {1.0f, -0.7f}) {
          Batch stored, streamed;
          RunBatch(is_log, input, scale, SIZE_MAX, 0, &stored);
          for (size_t threads : {0, 3}) {
            RunBatch(is_log, input, scale, 1, threads, &streamed);
            EXPECT_EQ(memcmp(streamed.y, stored.y, sizeof(stored.y)), 0)
                << isa << ", log " << is_log << ", type " << input << ", scale " << scale;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace smx
