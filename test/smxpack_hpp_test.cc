// include/smxpack.hpp gives what the functions of smxpack.h give. Built as C++17, and as C++20 for spans.
#include "include/smxpack.hpp"

#include <gtest/gtest.h>

#include <type_traits>
#include <utility>
#include <vector>

#include "test/isas.h"
#include "test/rows.h"
#include "test/rows_operator.h"

namespace smx {
namespace {

using Softmax = smxpack::Softmax<smx_datatype_f32>;

static_assert(!std::is_copy_constructible_v<Softmax> && !std::is_copy_assignable_v<Softmax>);
static_assert(std::is_nothrow_move_constructible_v<Softmax> && std::is_nothrow_move_assignable_v<Softmax>);
static_assert(sizeof(Softmax) == sizeof(smx_operator_t));
static_assert(std::is_same_v<smxpack::Element<smx_datatype_f32>, float>);
static_assert(std::is_same_v<smxpack::Element<smx_datatype_bf16>, uint16_t>);
static_assert(std::is_same_v<smxpack::Element<smx_datatype_qu8>, uint8_t>);
static_assert(std::is_same_v<smxpack::Element<smx_datatype_qs8>, int8_t>);

constexpr size_t kRows = 3;
constexpr size_t kChannels = 50;

class SmxpackHpp : public testing::Test {
 protected:
  SmxpackHpp() {
    UseIsa("scalar");
    for (uint64_t seed = 0; seed < kRows; seed++) rows_.push_back(NormalRow(kChannels, 4.0f, seed));
    for (const std::vector<float>& row : rows_) x_.insert(x_.end(), row.begin(), row.end());
  }

  // What the functions of smxpack.h give, row after row.
  std::vector<float> Expected(RowsFunction function) const {
    RowsRun run;
    run.function = function;
    std::vector<float> expected;
    for (const std::vector<float>& row : RunRows(run, rows_)) {
      expected.insert(expected.end(), row.begin(), row.end());
    }
    return expected;
  }

  SoftmaxTester::Rows rows_;
  std::vector<float> x_;
};

TEST_F(SmxpackHpp, Softmax) {
  std::vector<float> y(x_.size());
  Softmax op;
  ASSERT_EQ(op.Create(), smx_status_success);
  ASSERT_EQ(op.Setup(kRows, kChannels, kChannels, kChannels, x_.data(), y.data()), smx_status_success);
  ASSERT_EQ(op.Run(), smx_status_success);
  EXPECT_TRUE(SameBits(y, Expected(RowsFunction::kSoftmax)));
}

TEST_F(SmxpackHpp, Scale) {
  std::vector<float> y(x_.size()), halves = x_;
  for (float& x : halves) x *= 0.5f;
  Softmax op;
  EXPECT_EQ(op.SetScale(0.5f), smx_status_invalid_parameter);
  ASSERT_EQ(op.Create(), smx_status_success);
  ASSERT_EQ(op.Setup(kRows, kChannels, kChannels, kChannels, halves.data(), y.data()), smx_status_success);
  ASSERT_EQ(op.SetScale(2.0f), smx_status_success);
  ASSERT_EQ(op.Run(), smx_status_success);
  EXPECT_TRUE(SameBits(y, Expected(RowsFunction::kSoftmax)));
}

TEST_F(SmxpackHpp, LogSoftmax) {
  std::vector<float> y(x_.size());
  smxpack::LogSoftmax<smx_datatype_f32> op;
  ASSERT_EQ(op.Create(), smx_status_success);
  ASSERT_EQ(op.Setup(kRows, kChannels, kChannels, kChannels, x_.data(), y.data()), smx_status_success);
  ASSERT_EQ(op.Run(), smx_status_success);
  EXPECT_TRUE(SameBits(y, Expected(RowsFunction::kLogSoftmax)));
}

// The rows as columns.
TEST_F(SmxpackHpp, AnyAxis) {
  std::vector<float> x(x_.size()), y(x_.size()), expected(x_.size());
  for (size_t r = 0; r < kRows; r++) {
    for (size_t i = 0; i < kChannels; i++) x[i * kRows + r] = rows_[r][i];
  }
  const auto transpose = [&](const std::vector<float>& rows) {
    for (size_t r = 0; r < kRows; r++) {
      for (size_t i = 0; i < kChannels; i++) expected[i * kRows + r] = rows[r * kChannels + i];
    }
  };
  smxpack::SoftmaxAxis<smx_datatype_f32> softmax;
  ASSERT_EQ(softmax.Create(), smx_status_success);
  ASSERT_EQ(softmax.Setup(1, kChannels, kRows, x.data(), y.data()), smx_status_success);
  ASSERT_EQ(softmax.Run(), smx_status_success);
  transpose(Expected(RowsFunction::kSoftmax));
  EXPECT_TRUE(SameBits(y, expected));
  smxpack::LogSoftmaxAxis<smx_datatype_f32> log_softmax;
  ASSERT_EQ(log_softmax.Create(), smx_status_success);
  ASSERT_EQ(log_softmax.Setup(1, kChannels, kRows, 0, kRows, 0, kRows, x.data(), y.data()),
            smx_status_success);
  ASSERT_EQ(log_softmax.Run(), smx_status_success);
  transpose(Expected(RowsFunction::kLogSoftmax));
  EXPECT_TRUE(SameBits(y, expected));
}

// Rows of one head each, whose queries see everything.
TEST_F(SmxpackHpp, AttentionSoftmax) {
  std::vector<float> y(x_.size());
  smxpack::AttentionSoftmax op;
  smx_attention attention = {};
  EXPECT_EQ(op.Setup(attention), smx_status_invalid_parameter);
  ASSERT_EQ(op.Create({smx_datatype_f32, smx_datatype_f32, smx_datatype{}, 0.0f, 0}), smx_status_success);
  attention.batch_size = 1;
  attention.heads = kRows;
  attention.queries = 1;
  attention.keys = kChannels;
  attention.input_strides = attention.output_strides = {0, kChannels, 0, 1};
  attention.input = x_.data();
  attention.output = y.data();
  ASSERT_EQ(op.Setup(attention), smx_status_success);
  ASSERT_EQ(op.Run(), smx_status_success);
  EXPECT_TRUE(SameBits(y, Expected(RowsFunction::kSoftmax)));
}

TEST_F(SmxpackHpp, LogSumExp) {
  std::vector<float> y(kRows);
  smxpack::LogSumExp<smx_datatype_f32> op;
  ASSERT_EQ(op.Create(), smx_status_success);
  ASSERT_EQ(op.Setup(kRows, kChannels, kChannels, x_.data(), y.data()), smx_status_success);
  ASSERT_EQ(op.Run(), smx_status_success);
  EXPECT_TRUE(SameBits(y, Expected(RowsFunction::kLogSumExp)));
}

TEST_F(SmxpackHpp, PartialSums) {
  std::vector<float> y(x_.size());
  std::vector<smx_partial_sum> sums(kRows);
  smxpack::PartialSum<smx_datatype_f32> reduce;
  smxpack::ScaleByPartialSum<smx_datatype_f32> scale;
  ASSERT_EQ(reduce.Create(), smx_status_success);
  ASSERT_EQ(reduce.Setup(kRows, kChannels, kChannels, x_.data(), sums.data()), smx_status_success);
  ASSERT_EQ(reduce.Run(), smx_status_success);
  ASSERT_EQ(scale.Create(), smx_status_success);
  ASSERT_EQ(scale.Setup(kRows, kChannels, kChannels, kChannels, x_.data(), sums.data(), y.data()),
            smx_status_success);
  ASSERT_EQ(scale.Run(), smx_status_success);
  EXPECT_TRUE(SameBits(y, Expected(RowsFunction::kSoftmax)));
}

TEST_F(SmxpackHpp, TypesFlagsStridesAndPool) {
  constexpr size_t kStride = 5;
  constexpr uint16_t kOne = 0x3F80, kMask = 0xFF80;  // bf16
  std::vector<uint16_t> x = {kOne, kOne, 7, 7, 7, kMask, kMask};
  std::vector<float> y(4, -1.0f);
  smxpack::Softmax<smx_datatype_bf16, smx_datatype_f32> op;
  ASSERT_EQ(op.Create(SMX_FLAG_MASKED_ROWS_TO_ZERO), smx_status_success);
  ASSERT_EQ(op.Setup(2, 2, kStride, 2, x.data(), y.data()), smx_status_success);
  ASSERT_EQ(op.Run(Pool(2)), smx_status_success);
  EXPECT_EQ(y, (std::vector<float>{0.5f, 0.5f, 0.0f, 0.0f}));
}

TEST_F(SmxpackHpp, QuantizedSoftmax) {
  const uint8_t x[4] = {100, 100, 110, 110};
  uint8_t y[4];
  smxpack::QuantizedSoftmax<smx_datatype_qu8> op;
  EXPECT_EQ(op.Create(0.0f, {1.0f / 256.0f, 0}), smx_status_invalid_parameter);
  EXPECT_EQ(op.Create(1.0f), smx_status_invalid_parameter) << "the output's scale is 0";
  ASSERT_EQ(op.Create(100.0f, {1.0f / 256.0f, 3}), smx_status_success);
  ASSERT_EQ(op.Setup(1, 4, 4, 4, x, y), smx_status_success);
  ASSERT_EQ(op.Run(), smx_status_success);
  EXPECT_EQ(std::vector<uint8_t>(y, y + 4), (std::vector<uint8_t>{3, 3, 131, 131}));
  float probabilities[4];
  smxpack::QuantizedSoftmax<smx_datatype_qu8, smx_datatype_f32> to_floats;
  ASSERT_EQ(to_floats.Create(100.0f), smx_status_success);
  ASSERT_EQ(to_floats.Setup(1, 4, 4, 4, x, probabilities), smx_status_success);
  ASSERT_EQ(to_floats.Run(), smx_status_success);
  EXPECT_EQ(probabilities[3], 0.5f);
}

TEST_F(SmxpackHpp, MoeGate) {
  const std::vector<float> x = {0.0f, 1.0f, 2.0f, 3.0f, 3.0f, 2.0f, 1.0f, 0.0f};
  const std::vector<float> bias = {0.0f, 0.0f, 0.0f, -9.0f};
  float weights[4];
  int32_t indices[4];
  smxpack::MoeGate<smx_datatype_f32> op;
  EXPECT_EQ(op.Create(static_cast<smx_gate_scores>(0)), smx_status_invalid_parameter);
  ASSERT_EQ(op.Create(smx_gate_scores_sigmoid, SMX_FLAG_NORMALIZE_WEIGHTS), smx_status_success);
  ASSERT_EQ(op.Setup(2, 4, 2, 4, x.data(), bias.data(), weights, indices), smx_status_success);
  ASSERT_EQ(op.Run(), smx_status_success);
  EXPECT_EQ(std::vector<int32_t>(indices, indices + 4), (std::vector<int32_t>{2, 1, 0, 1}));
  EXPECT_FLOAT_EQ(weights[0] + weights[1], 1.0f);
  EXPECT_GT(weights[0], weights[1]);
#if __cplusplus >= 202002L
  ASSERT_EQ(op.Setup(4, 2, x, {}, weights, indices), smx_status_success);
  ASSERT_EQ(op.Run(), smx_status_success);
  EXPECT_EQ(std::vector<int32_t>(indices, indices + 4), (std::vector<int32_t>{3, 2, 0, 1}));
  EXPECT_EQ(op.Setup(4, 1, x, bias, weights, indices), smx_status_invalid_parameter);
  EXPECT_EQ(op.Setup(4, 2, x, std::span(bias).first(3), weights, indices), smx_status_invalid_parameter);
  EXPECT_EQ(op.Setup(4, 2, x, bias, weights, std::span(indices).first(3)), smx_status_invalid_parameter);
  EXPECT_EQ(op.Setup(3, 2, x, {}, weights, indices), smx_status_invalid_parameter);
#endif
}

TEST_F(SmxpackHpp, Moves) {
  Softmax first;
  ASSERT_EQ(first.Create(), smx_status_success);
  const smx_operator_t op = first.get();
  Softmax second = std::move(first);
  EXPECT_EQ(first.get(), nullptr);
  EXPECT_EQ(second.get(), op);
  ASSERT_EQ(first.Create(), smx_status_success);
  first = std::move(second);
  EXPECT_EQ(first.get(), op);
}

// Under the allocator's eyes: each operator is deleted once.
TEST_F(SmxpackHpp, DeletesItsOperator) {
  struct Counters {
    int allocated = 0;
    int freed = 0;
  } counters;
  const smx_allocator allocator = {&counters,
                                   [](void* context, size_t size) {
                                     static_cast<Counters*>(context)->allocated++;
                                     return malloc(size);
                                   },
                                   [](void* context, void* memory) {
                                     static_cast<Counters*>(context)->freed++;
                                     free(memory);
                                   }};
  ASSERT_EQ(smx_deinitialize(), smx_status_success);
  ASSERT_EQ(smx_initialize(&allocator), smx_status_success);
  {
    Softmax first, second;
    ASSERT_EQ(first.Create(), smx_status_success);
    ASSERT_EQ(first.Create(), smx_status_success);
    EXPECT_EQ(counters.freed, 1);
    ASSERT_EQ(second.Create(), smx_status_success);
    second = std::move(first);
    EXPECT_EQ(counters.freed, 2);
    EXPECT_EQ(second.Create(~0u), smx_status_invalid_parameter);
    EXPECT_EQ(second.get(), nullptr);
    EXPECT_EQ(counters.freed, 3);
    ASSERT_EQ(second.Create(), smx_status_success);
  }
  EXPECT_EQ(counters.allocated, 4);
  EXPECT_EQ(counters.freed, 4);
  ASSERT_EQ(smx_deinitialize(), smx_status_success);
}

TEST_F(SmxpackHpp, WithoutAnOperatorNothingRuns) {
  float x = 1.0f, y = 2.0f;
  Softmax op;
  EXPECT_EQ(op.Setup(1, 1, 1, 1, &x, &y), smx_status_invalid_parameter);
  EXPECT_EQ(op.Run(), smx_status_invalid_parameter);
  ASSERT_EQ(op.Create(), smx_status_success);
  EXPECT_EQ(op.Run(), smx_status_invalid_state);
  EXPECT_EQ(y, 2.0f);
}

#if __cplusplus >= 202002L

TEST_F(SmxpackHpp, SpansOfRows) {
  std::vector<float> y(x_.size());
  Softmax op;
  ASSERT_EQ(op.Create(), smx_status_success);
  ASSERT_EQ(op.Setup(kChannels, x_, y), smx_status_success);
  ASSERT_EQ(op.Run(), smx_status_success);
  EXPECT_TRUE(SameBits(y, Expected(RowsFunction::kSoftmax)));

  ASSERT_EQ(op.Setup(kChannels, {}, {}), smx_status_success);
  EXPECT_EQ(op.Setup(0, x_, y), smx_status_invalid_parameter);
  EXPECT_EQ(op.Setup(kChannels + 1, x_, y), smx_status_invalid_parameter);
  EXPECT_EQ(op.Setup(kChannels, x_, std::span(y).first(kChannels)), smx_status_invalid_parameter);
}

TEST_F(SmxpackHpp, SpansOfResults) {
  std::vector<float> y(kRows);
  smxpack::LogSumExp<smx_datatype_f32> op;
  ASSERT_EQ(op.Create(), smx_status_success);
  ASSERT_EQ(op.Setup(kChannels, x_, y), smx_status_success);
  ASSERT_EQ(op.Run(), smx_status_success);
  EXPECT_TRUE(SameBits(y, Expected(RowsFunction::kLogSumExp)));

  EXPECT_EQ(op.Setup(0, x_, y), smx_status_invalid_parameter);
  EXPECT_EQ(op.Setup(kChannels + 1, x_, y), smx_status_invalid_parameter);
  EXPECT_EQ(op.Setup(kChannels, x_, std::span(y).first(1)), smx_status_invalid_parameter);
}

// Each row in two pieces.
TEST_F(SmxpackHpp, SpansOfPartialSums) {
  constexpr size_t kHalf = kChannels / 2;
  const std::vector<float> halves[] = {{x_.begin(), x_.begin() + kHalf},
                                       {x_.begin() + kHalf, x_.begin() + kChannels}};
  smx_partial_sum sums[2];
  smxpack::PartialSum<smx_datatype_f32> reduce;
  ASSERT_EQ(reduce.Create(), smx_status_success);
  for (size_t i = 0; i < 2; i++) {
    ASSERT_EQ(reduce.Setup(kHalf, halves[i], std::span(&sums[i], 1)), smx_status_success);
    ASSERT_EQ(reduce.Run(), smx_status_success);
  }
  ASSERT_EQ(smxpack::MergePartialSums(std::span(&sums[0], 1), std::span(&sums[1], 1)), smx_status_success);
  EXPECT_EQ(smxpack::MergePartialSums(sums, std::span(&sums[1], 1)), smx_status_invalid_parameter);

  const std::vector<float> expected = Expected(RowsFunction::kSoftmax);
  std::vector<float> y(kHalf);
  smxpack::ScaleByPartialSum<smx_datatype_f32> scale;
  ASSERT_EQ(scale.Create(), smx_status_success);
  for (size_t i = 0; i < 2; i++) {
    ASSERT_EQ(scale.Setup(kHalf, halves[i], std::span(&sums[0], 1), y), smx_status_success);
    ASSERT_EQ(scale.Run(), smx_status_success);
    for (size_t j = 0; j < kHalf; j++) EXPECT_FLOAT_EQ(y[j], expected[i * kHalf + j]);
  }
  EXPECT_EQ(scale.Setup(kHalf, halves[0], sums, y), smx_status_invalid_parameter);
  EXPECT_EQ(scale.Setup(kHalf, halves[0], std::span(&sums[0], 1), std::span(y).first(1)),
            smx_status_invalid_parameter);
  EXPECT_EQ(scale.Setup(0, halves[0], std::span(&sums[0], 1), y), smx_status_invalid_parameter);
}

#endif

}  // namespace
}  // namespace smx
