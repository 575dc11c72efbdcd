#include "test/rows_operator.h"

#include <gtest/gtest.h>

namespace smx {
namespace {

// Elements are kept as units of 16 bits, of which a float has two.
using Units = GuardedBuffer<uint16_t>;

constexpr uint16_t kGap = 0xDEAD;

size_t UnitsOf(smx_datatype type) {
  return BytesOf(type) / sizeof(uint16_t);
}

const char* NameOf(smx_datatype type) {
  return type == smx_datatype_f32 ? "f32" : type == smx_datatype_f16 ? "f16" : "bf16";
}

// A matrix in guarded memory.
class Matrix {
 public:
  Matrix(smx_datatype type, size_t rows, size_t channels, size_t gap, GuardedEdge edge, size_t offset)
      : type_(type),
        rows_(rows),
        channels_(channels),
        stride_(channels + gap),
        units_(rows == 0 ? 0 : ((rows - 1) * stride_ + channels) * UnitsOf(type), edge,
               offset * UnitsOf(type)) {
    for (uint16_t& unit : units_) unit = kGap;
  }

  void Fill(const SoftmaxTester::Rows& rows) {
    for (size_t r = 0; r < rows_; r++) {
      for (size_t i = 0; i < channels_; i++) WriteElement(type_, rows[r][i], at(r, i));
    }
  }

  SoftmaxTester::Rows Rows() const {
    SoftmaxTester::Rows rows(rows_, std::vector<float>(channels_));
    for (size_t r = 0; r < rows_; r++) {
      for (size_t i = 0; i < channels_; i++) rows[r][i] = ReadElement(type_, at(r, i));
    }
    return rows;
  }

  bool SurroundingsAreIntact() const {
    for (size_t r = 0; r + 1 < rows_; r++) {
      for (const uint16_t* unit = at(r, channels_); unit < at(r + 1, 0); unit++) {
        if (*unit != kGap) return false;
      }
    }
    return units_.SurroundingsAreIntact();
  }

  size_t stride() const { return stride_; }
  void* data() { return units_.data(); }

 private:
  uint16_t* at(size_t row, size_t i) { return units_.data() + (row * stride_ + i) * UnitsOf(type_); }
  const uint16_t* at(size_t row, size_t i) const {
    return units_.data() + (row * stride_ + i) * UnitsOf(type_);
  }

  smx_datatype type_;
  size_t rows_, channels_, stride_;
  Units units_;
};

smx_status Create(const RowsRun& run, smx_operator_t* op) {
  switch (run.function) {
    case RowsFunction::kSoftmax:
      return smx_create_softmax_nc(run.types.input, run.types.output, run.flags, op);
    case RowsFunction::kLogSoftmax:
      return smx_create_log_softmax_nc(run.types.input, run.types.output, run.flags, op);
    case RowsFunction::kLogSumExp:
      return smx_create_logsumexp_nc(run.types.input, run.flags, op);
  }
  return smx_status_invalid_parameter;
}

smx_status SetUp(const RowsRun& run, smx_operator_t op, size_t rows, size_t channels, size_t x_stride,
                 size_t y_stride, const void* x, void* y) {
  switch (run.function) {
    case RowsFunction::kSoftmax:
      return smx_setup_softmax_nc(op, rows, channels, x_stride, y_stride, x, y);
    case RowsFunction::kLogSoftmax:
      return smx_setup_log_softmax_nc(op, rows, channels, x_stride, y_stride, x, y);
    case RowsFunction::kLogSumExp:
      return smx_setup_logsumexp_nc(op, rows, channels, x_stride, x, static_cast<float*>(y));
  }
  return smx_status_invalid_parameter;
}

void SetThresholds(const RowsRun& run) {
  smx_thresholds thresholds;
  ASSERT_EQ(smx_get_thresholds(&thresholds), smx_status_success);
  if (run.plan != nullptr) thresholds = run.plan->thresholds;
  if (run.task_elements != 0) thresholds.task_elements = run.task_elements;
  ASSERT_EQ(smx_set_thresholds(&thresholds), smx_status_success);
}

void SetScale(const RowsRun& run, smx_operator_t op) {
  if (run.scale == 1.0f) return;
  EXPECT_EQ(smx_set_scale(op, run.scale), smx_status_success);
}

}  // namespace

const std::vector<TypePair>& TypePairs() {
  static const std::vector<TypePair> pairs = {
      {smx_datatype_f32, smx_datatype_f32},   {smx_datatype_f16, smx_datatype_f16},
      {smx_datatype_bf16, smx_datatype_bf16}, {smx_datatype_f16, smx_datatype_f32},
      {smx_datatype_bf16, smx_datatype_f32},  {smx_datatype_f32, smx_datatype_f16},
      {smx_datatype_f32, smx_datatype_bf16}};
  return pairs;
}

std::string TypeNames(const TypePair& types) {
  if (types.input == types.output) return NameOf(types.input);
  return std::string(NameOf(types.input)) + "_" + NameOf(types.output);
}

std::ostream& operator<<(std::ostream& out, const TypePair& types) {
  return out << TypeNames(types);
}

void RunOnce(const std::function<smx_status(smx_operator_t*)>& create,
             const std::function<smx_status(smx_operator_t)>& set_up, pthreadpool_t pool) {
  smx_operator_t op = nullptr;
  ASSERT_EQ(create(&op), smx_status_success);
  EXPECT_EQ(set_up(op), smx_status_success);
  EXPECT_EQ(smx_run_operator(op, pool), smx_status_success);
  EXPECT_EQ(smx_delete_operator(op), smx_status_success);
}

SoftmaxTester::Rows RunRows(const RowsRun& run, const SoftmaxTester::Rows& inputs) {
  const size_t channels = inputs.front().size();
  const bool reduces = run.function == RowsFunction::kLogSumExp;
  const size_t results = reduces ? 1 : channels;
  const size_t output_gap = reduces ? 0 : run.output_gap;
  const smx_datatype output_type = reduces ? smx_datatype_f32 : run.types.output;
  Matrix x(run.types.input, inputs.size(), channels, run.input_gap, run.edge, run.offset);
  Matrix other(output_type, run.in_place ? 0 : inputs.size(), results, output_gap, run.edge, run.offset + 1);
  Matrix& y = run.in_place ? x : other;
  x.Fill(inputs);

  UseIsa(run.isa);
  SetThresholds(run);
  SCOPED_TRACE(run);
  RunOnce([&](smx_operator_t* op) { return Create(run, op); },
          [&](smx_operator_t op) {
            SetScale(run, op);
            return SetUp(run, op, inputs.size(), channels, x.stride(), y.stride(), x.data(), y.data());
          },
          Pool(run.threads));

  if (!run.in_place) {
    const SoftmaxTester::Rows after = x.Rows();
    for (size_t r = 0; r < inputs.size(); r++) EXPECT_TRUE(SameBits(after[r], inputs[r])) << run << ": input";
  }
  EXPECT_TRUE(x.SurroundingsAreIntact()) << run;
  EXPECT_TRUE(y.SurroundingsAreIntact()) << run;
  return y.Rows();
}

std::vector<smx_partial_sum> RunPartialSums(const RowsRun& run, const SoftmaxTester::Rows& inputs) {
  const size_t channels = inputs.front().size();
  Matrix x(run.types.input, inputs.size(), channels, run.input_gap, run.edge, run.offset);
  x.Fill(inputs);
  GuardedBuffer<smx_partial_sum> sums(inputs.size());
  UseIsa(run.isa);
  RunOnce([&](smx_operator_t* op) { return smx_create_partial_sum_nc(run.types.input, 0, op); },
          [&](smx_operator_t op) {
            SetScale(run, op);
            return smx_setup_partial_sum_nc(op, inputs.size(), channels, x.stride(), x.data(), sums.data());
          },
          Pool(run.threads));
  EXPECT_TRUE(x.SurroundingsAreIntact() && sums.SurroundingsAreIntact());
  return {sums.begin(), sums.end()};
}

SoftmaxTester::Rows RunScaleBySums(const RowsRun& run, const SoftmaxTester::Rows& inputs,
                                   const std::vector<smx_partial_sum>& sums) {
  const size_t channels = inputs.front().size();
  Matrix x(run.types.input, inputs.size(), channels, run.input_gap, run.edge, run.offset);
  Matrix y(run.types.output, inputs.size(), channels, run.output_gap, run.edge, run.offset + 1);
  x.Fill(inputs);
  UseIsa(run.isa);
  RunOnce(
      [&](smx_operator_t* op) {
        return smx_create_scale_by_partial_sum_nc(run.types.input, run.types.output, run.flags, op);
      },
      [&](smx_operator_t op) {
        SetScale(run, op);
        return smx_setup_scale_by_partial_sum_nc(op, inputs.size(), channels, x.stride(), y.stride(),
                                                 x.data(), sums.data(), y.data());
      },
      Pool(run.threads));
  EXPECT_TRUE(x.SurroundingsAreIntact() && y.SurroundingsAreIntact());
  return y.Rows();
}

std::ostream& operator<<(std::ostream& out, const RowsRun& run) {
  const char* const names[] = {"softmax", "log-softmax", "logsumexp"};
  return out << names[static_cast<int>(run.function)] << " " << run.types << ", " << run.isa << ", "
             << (run.plan != nullptr ? run.plan->name : "default plan") << ", gaps " << run.input_gap
             << " and " << run.output_gap << (run.in_place ? ", in place" : "") << ", " << run.threads
             << " threads, flags " << run.flags << ", scale " << run.scale << ", offset " << run.offset;
}

}  // namespace smx
