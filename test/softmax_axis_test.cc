// Softmax over any axis: each column has the bits of the same elements as a contiguous row, and nothing else is touched.
#include <float.h>
#include <gtest/gtest.h>
#include <math.h>

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

constexpr unsigned char kGap = 0xA5;

struct Shape {
  size_t outer;
  size_t axis;
  size_t inner;
};

// Elements between steps and between slices.
struct Gaps {
  size_t step = 0;
  size_t slice = 0;
  bool axis_is_outermost = false;
};

// A tensor in guarded memory. Row o * inner + i is its column (o, i).
class Tensor {
 public:
  Tensor(smx_datatype type, const Shape& shape, const Gaps& gaps, GuardedEdge edge, size_t offset = 0)
      : type_(type),
        shape_(shape),
        axis_stride_(gaps.axis_is_outermost ? shape.outer * (shape.inner + gaps.slice) + gaps.step
                                            : shape.inner + gaps.step),
        outer_stride_(gaps.axis_is_outermost ? shape.inner + gaps.slice
                                             : shape.axis * axis_stride_ + gaps.slice),
        memory_(Elements() * BytesOf(type), edge, offset * BytesOf(type)) {
    std::fill(memory_.begin(), memory_.end(), kGap);
  }

  void Fill(const Rows& columns) {
    Visit([&](size_t column, size_t step, unsigned char* at) {
      WriteElement(type_, columns[column][step], at);
    });
  }

  Rows Columns() {
    Rows columns(shape_.outer * shape_.inner, std::vector<float>(shape_.axis));
    Visit([&](size_t column, size_t step, unsigned char* at) {
      columns[column][step] = ReadElement(type_, at);
    });
    return columns;
  }

  // Forgets the elements. Whether all else is as it was.
  bool SurroundingsAreIntact() {
    Visit([&](size_t, size_t, unsigned char* at) { std::fill_n(at, BytesOf(type_), kGap); });
    return memory_.SurroundingsAreIntact() &&
           std::all_of(memory_.begin(), memory_.end(), [](unsigned char byte) { return byte == kGap; });
  }

  size_t axis_stride() const { return axis_stride_; }
  size_t outer_stride() const { return outer_stride_; }
  void* data() { return memory_.data(); }

 private:
  size_t Elements() const {
    if (shape_.outer == 0 || shape_.inner == 0) return 0;
    return (shape_.outer - 1) * outer_stride_ + (shape_.axis - 1) * axis_stride_ + shape_.inner;
  }

  template <class Function>
  void Visit(const Function& function) {
    for (size_t o = 0; o < shape_.outer; o++) {
      for (size_t a = 0; a < shape_.axis; a++) {
        for (size_t i = 0; i < shape_.inner; i++) {
          const size_t at = o * outer_stride_ + a * axis_stride_ + i;
          function(o * shape_.inner + i, a, memory_.data() + at * BytesOf(type_));
        }
      }
    }
  }

  smx_datatype type_;
  Shape shape_;
  size_t axis_stride_, outer_stride_;
  GuardedBuffer<unsigned char> memory_;
};

struct AxisRun {
  RowsFunction function = RowsFunction::kSoftmax;
  std::string isa = "scalar";
  TypePair types = {smx_datatype_f32, smx_datatype_f32};
  uint32_t flags = 0;
  float scale = 1.0f;
  Gaps input_gaps;
  Gaps output_gaps;
  bool in_place = false;
  size_t threads = 0;
  size_t task_elements = 0;
  size_t streamed_bytes = 0;
  GuardedEdge edge = GuardedEdge::kEnd;
  size_t offset = 0;
};

Rows Run(const AxisRun& run, const Shape& shape, const Rows& columns) {
  Tensor x(run.types.input, shape, run.input_gaps, run.edge, run.offset);
  Tensor other(run.types.output, run.in_place ? Shape{0, 1, 1} : shape, run.output_gaps, run.edge,
               run.offset + 1);
  Tensor& y = run.in_place ? x : other;
  x.Fill(columns);
  UseIsa(run.isa);
  smx_thresholds thresholds;
  EXPECT_EQ(smx_get_thresholds(&thresholds), smx_status_success);
  if (run.task_elements != 0) thresholds.task_elements = run.task_elements;
  if (run.streamed_bytes != 0) thresholds.streamed_bytes = run.streamed_bytes;
  EXPECT_EQ(smx_set_thresholds(&thresholds), smx_status_success);
  const bool is_log = run.function == RowsFunction::kLogSoftmax;
  RunOnce(
      [&](smx_operator_t* op) {
        return (is_log ? smx_create_log_softmax_axis : smx_create_softmax_axis)(
            run.types.input, run.types.output, run.flags, op);
      },
      [&](smx_operator_t op) {
        EXPECT_EQ(smx_set_scale(op, run.scale), smx_status_success);
        return (is_log ? smx_setup_log_softmax_axis : smx_setup_softmax_axis)(
            op, shape.outer, shape.axis, shape.inner, x.outer_stride(), x.axis_stride(), y.outer_stride(),
            y.axis_stride(), x.data(), y.data());
      },
      Pool(run.threads));
  const Rows results = y.Columns();
  if (!run.in_place) {
    const Rows after = x.Columns();
    for (size_t c = 0; c < columns.size(); c++)
      EXPECT_TRUE(SameBits(after[c], columns[c])) << "the input was written";
    EXPECT_TRUE(other.SurroundingsAreIntact());
  }
  EXPECT_TRUE(x.SurroundingsAreIntact());
  return results;
}

// As contiguous rows.
Rows Expected(const AxisRun& run, const Rows& columns) {
  RowsRun rows;
  rows.function = run.function;
  rows.isa = run.isa;
  rows.types = run.types;
  rows.flags = run.flags;
  rows.scale = run.scale;
  return RunRows(rows, columns);
}

void Check(const AxisRun& run, const Shape& shape, const Rows& columns, const Rows& expected) {
  SCOPED_TRACE(testing::Message() << run.isa << " " << run.types << ", " << shape.outer << " x " << shape.axis
                                  << " x " << shape.inner << ", scale " << run.scale
                                  << (run.in_place ? ", in place" : "") << ", " << run.threads
                                  << " threads, gaps " << run.input_gaps.step << " and "
                                  << run.input_gaps.slice);
  const Rows actual = Run(run, shape, columns);
  for (size_t c = 0; c < columns.size(); c++) ASSERT_TRUE(SameBits(actual[c], expected[c])) << "column " << c;
}

void Check(const AxisRun& run, const Shape& shape, const Rows& columns) {
  Check(run, shape, columns, Expected(run, columns));
}

class SoftmaxAxis : public testing::TestWithParam<std::tuple<std::string, TypePair>> {
 protected:
  AxisRun Default() const {
    AxisRun run;
    run.isa = std::get<0>(GetParam());
    run.types = std::get<1>(GetParam());
    return run;
  }

  bool is_f32() const {
    return Default().types.input == smx_datatype_f32 && Default().types.output == smx_datatype_f32;
  }

  // Columns of the input's type.
  Rows Draw(const Shape& shape, const std::string& family = "normal_4", uint64_t seed = 1) const {
    Rows columns;
    for (size_t c = 0; c < shape.outer * shape.inner; c++) {
      columns.push_back(RoundedTo(Default().types.input, MakeRow(family, shape.axis, seed + c)));
    }
    return columns;
  }
};

INSTANTIATE_TEST_SUITE_P(, SoftmaxAxis,
                         testing::Combine(testing::ValuesIn(AvailableIsas()), testing::ValuesIn(TypePairs())),
                         [](const auto& info) {
                           return std::get<0>(info.param) + "_" + TypeNames(std::get<1>(info.param));
                         });

// With some again, so that they fill vectors, and are no fewer: a tensor of one slice has them as lanes, and few of each of several
// as rows.
Rows Filled(Rows columns, size_t least = 0) {
  for (size_t c = 0; columns.size() % SMX_PANEL != 0 || columns.size() < least; c++)
    columns.push_back(columns[c]);
  return columns;
}

// Of f32 every length is tried, of other types, which are converted and no more, those up to `narrow`.
size_t LongestAxis(bool is_f32, size_t narrow) {
  if (!is_f32) return narrow;
  return RunsSparseTests() ? 3000 : SIZE_MAX;
}

TEST_P(SoftmaxAxis, HasTheBitsOfRowsForEveryLength) {
  for (size_t axis : {1, 2, 3, 10, 15, 16, 17, 21, 32, 33, 64, 65, 150, 1000, 1024, 1025, 4096, 4097}) {
    for (size_t inner : {1, 3, 16, 21, 100}) {
      if (axis * inner > (RunsSparseTests() ? 5000 : 70000)) continue;
      const Shape shape = {2, axis, inner};
      Check(Default(), shape, Draw(shape));
    }
  }
}

TEST_P(SoftmaxAxis, HasTheBitsOfRowsForAnyNumberOfColumns) {
  for (size_t inner = 1; inner <= 70; inner++) {
    for (size_t outer : {1, 3, 9}) {
      const Shape shape = {outer, 21, inner};
      Check(Default(), shape, Draw(shape));
    }
  }
  for (size_t inner : {511, 512, 513, 1030, 4096}) Check(Default(), {1, 5, inner}, Draw({1, 5, inner}));
}

TEST_P(SoftmaxAxis, LongColumnsHaveTheBitsOfRows) {
  for (size_t axis : {size_t{5000}, size_t{SMX_TILE}, size_t{SMX_TILE + 1}, size_t{40000}, size_t{50000}}) {
    for (size_t inner : {2, 31}) {
      if ((!is_f32() && inner > 2) || (RunsSparseTests() && axis > SMX_TILE + 1)) continue;
      const Shape shape = {1, axis, inner};
      AxisRun run = Default();
      Check(run, shape, Draw(shape));
      run.in_place = run.types.input == run.types.output;
      Check(run, shape, Draw(shape, "jumps"));
      Check(run, shape, Draw(shape, "million"));
    }
  }
}

// Where they lie, where steps are not far apart, and by way of a panel.
TEST_P(SoftmaxAxis, LongGroupsOfColumnsHaveTheBitsOfRows) {
  for (const Shape& shape :
       {Shape{2, 4097, 20}, Shape{1, 5000, 48}, Shape{1, 4100, 272}, Shape{1, 1366, 512}}) {
    if (!is_f32() && shape.inner > 20) continue;
    if (RunsSparseTests() && shape.axis * shape.inner > 1000000) continue;
    for (RowsFunction function : {RowsFunction::kSoftmax, RowsFunction::kLogSoftmax}) {
      AxisRun run = Default();
      run.function = function;
      for (const char* family : {"normal_4", "jumps"}) {
        const Rows columns = Draw(shape, family), expected = Expected(run, columns);
        run.in_place = false;
        Check(run, shape, columns, expected);
        run.in_place = run.types.input == run.types.output;
        Check(run, shape, columns, expected);
      }
    }
  }
}

// Few of them, of which a vector holds several steps.
TEST_P(SoftmaxAxis, LongFewColumnsHaveTheBitsOfRows) {
  for (const Shape& shape : {Shape{1, 2049, 8}, Shape{2, 3000, 4}, Shape{1, 2055, 2}, Shape{1, 5001, 8},
                             Shape{1, SMX_TILE + 7, 2}}) {
    if (RunsSparseTests() && shape.axis > 2100) continue;
    for (RowsFunction function : {RowsFunction::kSoftmax, RowsFunction::kLogSoftmax}) {
      AxisRun run = Default();
      run.function = function;
      for (const char* family : {"normal_4", "jumps", "million"}) {
        const Rows columns = Draw(shape, family), expected = Expected(run, columns);
        Check(run, shape, columns, expected);
        AxisRun in_place = run;
        in_place.in_place = run.types.input == run.types.output;
        Check(in_place, shape, columns, expected);
        AxisRun streamed = run;
        streamed.streamed_bytes = 1;
        streamed.edge = GuardedEdge::kBeginning;
        streamed.offset = 15;  // the output's is 16
        Check(streamed, shape, columns, expected);
      }
    }
  }
}

// Columns of every kind beside each other.
TEST_P(SoftmaxAxis, HostileColumnsHaveTheBitsOfRows) {
  const std::vector<RowFamily> families = AllRows();
  for (size_t axis : {size_t{1}, size_t{7}, size_t{40}, size_t{200}, size_t{3000}, size_t{SMX_TILE + 70}}) {
    if (axis > LongestAxis(is_f32(), 200)) continue;
    Rows columns;
    for (uint64_t seed : {1, 2}) {
      for (const RowFamily& family : families) {
        columns.push_back(RoundedTo(Default().types.input, MakeRow(family.name, axis, seed)));
      }
    }
    columns = Filled(columns);
    for (uint32_t flags : {uint32_t{0}, SMX_FLAG_MASKED_ROWS_TO_ZERO}) {
      AxisRun run = Default();
      run.flags = flags;
      const Rows expected = Expected(run, columns);
      Check(run, {1, axis, columns.size()}, columns, expected);
      Check(run, {columns.size() / 4, axis, 4}, columns, expected);
      run.in_place = run.types.input == run.types.output;
      run.threads = 3;
      run.task_elements = 1;
      Check(run, {1, axis, columns.size()}, columns, expected);
    }
  }
}

TEST_P(SoftmaxAxis, HasTheBitsOfRowsUnderEveryScale) {
  for (float scale : {0.125f, 1.7f, -0.7f, 0.0f, 1e20f, -1e-20f, FLT_MAX}) {
    for (size_t axis : {size_t{3}, size_t{300}, size_t{5000}}) {
      if (axis > LongestAxis(is_f32(), 300)) continue;
      Rows columns;
      for (const char* family : {"normal_4", "normal_30", "mask_minus_inf", "million", "one_nan",
                                 "one_plus_inf", "all_minus_inf", "flt_max_both_signs", "range_ends"}) {
        columns.push_back(RoundedTo(Default().types.input, MakeRow(family, axis, 1)));
      }
      columns = Filled(columns);
      AxisRun run = Default();
      run.scale = scale;
      Check(run, {1, axis, columns.size()}, columns);
      Check(run, {2, axis, columns.size() / 2}, columns);
    }
  }
}

TEST_P(SoftmaxAxis, LeavesGapsAndSurroundingsAlone) {
  for (const Shape& shape :
       {Shape{3, 10, 5}, Shape{2, 21, 37}, Shape{5, 33, 1}, Shape{1, 1030, 19}, Shape{1, 1030, 30}}) {
    const Rows columns = Draw(shape);
    const Rows expected = Expected(Default(), columns);
    for (bool axis_is_outermost : {false, true}) {
      for (GuardedEdge edge : {GuardedEdge::kEnd, GuardedEdge::kBeginning}) {
        for (size_t offset : {0, 1, 7}) {
          AxisRun run = Default();
          run.edge = edge;
          run.offset = offset;
          run.input_gaps = {3, 1, axis_is_outermost};
          run.output_gaps = {0, 6, !axis_is_outermost};
          Check(run, shape, columns, expected);
          run.in_place = run.types.input == run.types.output;
          Check(run, shape, columns, expected);
        }
      }
    }
  }
}

TEST_P(SoftmaxAxis, HasTheBitsOfRowsOnAnyNumberOfThreads) {
  for (const Shape& shape : {Shape{1, 100, 300}, Shape{7, 9, 3}, Shape{20, 64, 1}, Shape{7, 90, 3},
                             Shape{1, 20000, 8}, Shape{1, 20000, 47}}) {
    if (shape.axis > LongestAxis(is_f32(), 100)) continue;
    const Rows columns = Draw(shape);
    const Rows expected = Expected(Default(), columns);
    for (size_t threads : {1, 2, 3, 4}) {
      AxisRun run = Default();
      run.threads = threads;
      Check(run, shape, columns, expected);
      run.task_elements = 1;
      Check(run, shape, columns, expected);
    }
  }
}

// Few columns of many slices, and slices whose steps follow one another.
TEST_P(SoftmaxAxis, ScatteredColumnsHaveTheBitsOfRows) {
  for (const Shape& shape : {Shape{70, 21, 1}, Shape{33, 40, 2}, Shape{50, 10, 3}, Shape{9, 64, 7},
                             Shape{40, 100, 1}, Shape{20, 150, 5}, Shape{5, 33, 15}, Shape{3, 5000, 2}}) {
    if (shape.axis > LongestAxis(is_f32(), 150)) continue;
    for (const char* family : {"normal_4", "million"}) {
      const Rows columns = Draw(shape, family);
      AxisRun run = Default();
      const Rows expected = Expected(run, columns);
      for (const Gaps& gaps : {Gaps{0, 0, false}, Gaps{1, 2, false}, Gaps{0, 0, true}, Gaps{3, 1, true}}) {
        run.input_gaps = run.output_gaps = gaps;
        Check(run, shape, columns, expected);
      }
      run.in_place = run.types.input == run.types.output;
      run.threads = 2;
      run.task_elements = 1;
      Check(run, shape, columns, expected);
    }
  }
}

// Past the caches, where whole vectors are aligned in every step: columns before the first boundary are not.
TEST_P(SoftmaxAxis, StreamedResultsHaveTheBitsOfRows) {
  for (const Shape& shape : {Shape{2, 21, 84}, Shape{1, 64, 200}, Shape{2, 150, 61}, Shape{1, 70, 300},
                             Shape{1, 5, 3000}, Shape{1, 5000, 40}}) {
    if (shape.axis > LongestAxis(is_f32(), 150)) continue;
    for (RowsFunction function : {RowsFunction::kSoftmax, RowsFunction::kLogSoftmax}) {
      AxisRun run = Default();
      run.function = function;
      run.streamed_bytes = 1;
      run.edge = GuardedEdge::kBeginning;
      run.output_gaps.step = SMX_PANEL - shape.inner % SMX_PANEL;
      Rows columns = Draw(shape);
      columns[columns.size() / 2] = RoundedTo(run.types.input, MakeRow("million", shape.axis, 1));
      const Rows expected = Expected(run, columns);
      for (size_t offset : {0, 6, 15}) {
        run.offset = offset;
        for (size_t threads : {0, 2}) {
          run.threads = threads;
          Check(run, shape, columns, expected);
        }
      }
    }
  }
}

TEST_P(SoftmaxAxis, LogSoftmaxHasTheBitsOfRows) {
  const std::vector<RowFamily> families = AllRows();
  for (size_t axis : {size_t{1}, size_t{7}, size_t{200}, size_t{3000}, size_t{SMX_TILE + 70}}) {
    if (axis > LongestAxis(is_f32(), 200)) continue;
    Rows columns;
    for (const RowFamily& family : families) {
      columns.push_back(RoundedTo(Default().types.input, MakeRow(family.name, axis, 1)));
    }
    columns = Filled(columns, axis <= 200 ? 17 * SMX_PANEL : 0);
    for (float scale : {1.0f, 0.3f, -2.0f, 1e20f, -1e-20f}) {
      AxisRun run = Default();
      run.function = RowsFunction::kLogSoftmax;
      run.scale = scale;
      run.flags = scale == 1.0f ? SMX_FLAG_MASKED_ROWS_TO_ZERO : 0;
      const Rows expected = Expected(run, columns);
      Check(run, {1, axis, columns.size()}, columns, expected);
      run.in_place = run.types.input == run.types.output;
      run.threads = 2;
      Check(run, {columns.size() / 4, axis, 4}, columns, expected);
    }
  }
}

// As many as are lanes, within range.
TEST_P(SoftmaxAxis, LogSoftmaxOfManyColumnsHasTheBitsOfRows) {
  AxisRun run = Default();
  run.function = RowsFunction::kLogSoftmax;
  for (const Shape& shape :
       {Shape{1, 70, 17 * SMX_PANEL}, Shape{2, 70, 17 * SMX_PANEL + 3}, Shape{1, 1030, 18 * SMX_PANEL}}) {
    if (shape.axis > LongestAxis(is_f32(), 70)) continue;
    for (const char* family : {"normal_4", "normal_30"}) Check(run, shape, Draw(shape, family));
  }
}

class SoftmaxAxisSetup : public testing::Test {
 protected:
  SoftmaxAxisSetup() {
    UseIsa("scalar");
    EXPECT_EQ(smx_create_softmax_axis(smx_datatype_f32, smx_datatype_f32, 0, &op_), smx_status_success);
  }
  ~SoftmaxAxisSetup() override { EXPECT_EQ(smx_delete_operator(op_), smx_status_success); }

  smx_status SetUpTensor(Shape shape, size_t x_outer, size_t x_axis, size_t y_outer, size_t y_axis,
                         const void* x, void* y) {
    return smx_setup_softmax_axis(op_, shape.outer, shape.axis, shape.inner, x_outer, x_axis, y_outer, y_axis,
                                  x, y);
  }

  smx_operator_t op_ = nullptr;
  float x_[64] = {};
  float y_[64] = {};
};

TEST_F(SoftmaxAxisSetup, OfNothingTouchesNothing) {
  for (const Shape& shape : {Shape{0, 3, 4}, Shape{2, 3, 0}, Shape{0, 100, 4}, Shape{2, 100, 0}}) {
    ASSERT_EQ(SetUpTensor(shape, 0, 0, 0, 0, nullptr, nullptr), smx_status_success);
    smx_plan plan;
    EXPECT_EQ(smx_get_plan(op_, 1, &plan), smx_status_success);
    EXPECT_EQ(smx_run_operator(op_, nullptr), smx_status_success);
  }
}

TEST_F(SoftmaxAxisSetup, BadArgumentsAreRejected) {
  constexpr smx_status kInvalid = smx_status_invalid_parameter;
  const Shape shape = {2, 3, 4};
  ASSERT_EQ(SetUpTensor(shape, 12, 4, 12, 4, x_, y_), smx_status_success);
  LogRecorder log(smx_log_level_error);
  EXPECT_EQ(SetUpTensor({2, 0, 4}, 12, 4, 12, 4, x_, y_), kInvalid);
  EXPECT_EQ(SetUpTensor({0, 0, 4}, 12, 4, 12, 4, x_, y_), kInvalid) << "though there is nothing to compute";
  EXPECT_EQ(SetUpTensor(shape, 11, 4, 12, 4, x_, y_), kInvalid);
  EXPECT_EQ(SetUpTensor(shape, 12, 3, 12, 4, x_, y_), kInvalid);
  EXPECT_EQ(SetUpTensor(shape, 12, 0, 12, 4, x_, y_), kInvalid);
  EXPECT_EQ(SetUpTensor(shape, 12, 4, 0, 4, x_, y_), kInvalid);
  EXPECT_EQ(SetUpTensor(shape, 12, 4, 6, 4, x_, y_), kInvalid);
  EXPECT_EQ(SetUpTensor(shape, 4, 7, 12, 4, x_, y_), kInvalid)
      << "the axis outermost, but slices within its steps overlap";
  EXPECT_EQ(SetUpTensor(shape, 12, 4, 12, 4, nullptr, y_), kInvalid);
  EXPECT_EQ(SetUpTensor(shape, 12, 4, 12, 4, x_, nullptr), kInvalid);
  EXPECT_EQ(SetUpTensor(shape, 12, 4, 12, 4, reinterpret_cast<char*>(x_) + 2, y_), kInvalid);
  EXPECT_EQ(SetUpTensor(shape, 12, 4, 12, 4, x_, reinterpret_cast<char*>(y_) + 1), kInvalid);
  EXPECT_EQ(SetUpTensor({SIZE_MAX / 4, 3, 4}, 12, 4, 12, 4, x_, y_), kInvalid);
  EXPECT_EQ(SetUpTensor({2, SIZE_MAX / 8, 4}, 12, 4, 12, 4, x_, y_), kInvalid);
  EXPECT_EQ(SetUpTensor({2, 3, SIZE_MAX / 4}, SIZE_MAX, SIZE_MAX / 2, 12, 4, x_, y_), kInvalid);
  EXPECT_EQ(SetUpTensor({1, 3, 4}, 0, SIZE_MAX / 8, 0, 4, x_, y_), kInvalid);
  EXPECT_EQ(log.messages().size(), 16u);
  EXPECT_EQ(SetUpTensor({1, 3, 4}, 0, 4, 1, 5, x_, y_), smx_status_success)
      << "the stride of one slice does not matter";
  EXPECT_EQ(SetUpTensor({2, 1, 4}, 4, 0, 5, 1, x_, y_), smx_status_success) << "that of one step neither";
  EXPECT_EQ(SetUpTensor(shape, 4, 8, 12, 4, x_, y_), smx_status_success) << "the axis may be the outermost";
  EXPECT_EQ(smx_setup_softmax_nc_f32(op_, 1, 4, 4, 4, x_, y_), smx_status_invalid_state);
  EXPECT_EQ(smx_setup_log_softmax_axis(op_, 1, 3, 4, 12, 4, 12, 4, x_, y_), smx_status_invalid_state);
}

TEST_F(SoftmaxAxisSetup, OverlapIsFound) {
  constexpr smx_status kInvalid = smx_status_invalid_parameter;
  const Shape shape = {2, 3, 4};
  EXPECT_EQ(SetUpTensor(shape, 12, 4, 12, 4, x_, x_), smx_status_success) << "in place";
  EXPECT_EQ(SetUpTensor(shape, 12, 4, 12, 4, x_, x_ + 24), smx_status_success);
  for (size_t distance = 1; distance < 24; distance++) {
    EXPECT_EQ(SetUpTensor(shape, 12, 4, 12, 4, x_, x_ + distance), kInvalid) << distance;
    EXPECT_EQ(SetUpTensor(shape, 12, 4, 12, 4, x_ + distance, x_), kInvalid) << distance;
  }
  EXPECT_EQ(SetUpTensor(shape, 13, 4, 12, 4, x_, x_), kInvalid) << "other strides";
  // In gaps, found by comparing all elements.
  for (const auto& [large, small] : std::vector<std::pair<size_t, size_t>>{{27, 9}, {24, 4}, {30, 5}}) {
    for (bool axis_is_outermost : {false, true}) {
      const size_t outer_stride = axis_is_outermost ? small : large,
                   axis_stride = axis_is_outermost ? large : small;
      const Shape two = axis_is_outermost ? Shape{3, 2, 4} : Shape{2, 3, 4};
      std::vector<float> memory(200);
      std::vector<bool> used(200);
      for (size_t o = 0; o < two.outer; o++) {
        for (size_t a = 0; a < two.axis; a++) {
          for (size_t i = 0; i < two.inner; i++) used[o * outer_stride + a * axis_stride + i] = true;
        }
      }
      for (size_t distance = 1; distance < 60; distance++) {
        bool overlaps = false;
        for (size_t at = 0; at + distance < used.size(); at++) overlaps |= used[at] && used[at + distance];
        const smx_status expected = overlaps ? kInvalid : smx_status_success;
        float* x = memory.data();
        EXPECT_EQ(SetUpTensor(two, outer_stride, axis_stride, outer_stride, axis_stride, x, x + distance),
                  expected)
            << distance;
        EXPECT_EQ(SetUpTensor(two, outer_stride, axis_stride, outer_stride, axis_stride, x + distance, x),
                  expected)
            << distance;
      }
    }
  }
}

TEST_F(SoftmaxAxisSetup, ThePlanSaysHow) {
  std::vector<float> x(1366 * 512), y(x.size());
  smx_plan plan;
  const auto algorithm = [&](Shape shape) {
    EXPECT_EQ(SetUpTensor(shape, shape.axis * shape.inner, shape.inner, shape.axis * shape.inner, shape.inner,
                          x.data(), y.data()),
              smx_status_success);
    EXPECT_EQ(smx_get_plan(op_, 2, &plan), smx_status_success);
    EXPECT_GT(plan.rows_per_task, 0u);
    EXPECT_FALSE(plan.streams_output || plan.split_rows > 0);
    return std::string(plan.algorithm);
  };
  EXPECT_EQ(algorithm({1, 100, 16}), "columns-as-lanes");
  EXPECT_EQ(algorithm({1, 5000, 48}), "columns-by-blocks");
  EXPECT_EQ(algorithm({1, 15, 15}), "columns-as-lanes");
  EXPECT_EQ(algorithm({1, 65, 15}), "columns-as-rows");
  EXPECT_EQ(algorithm({1, 65, 26}), "columns-as-rows");
  EXPECT_EQ(algorithm({1, 65, 27}), "columns-as-lanes");
  EXPECT_EQ(algorithm({1, 4096, 16}), "columns-as-lanes");
  EXPECT_EQ(algorithm({1, 4097, 16}), "columns-by-blocks");
  EXPECT_EQ(algorithm({1, 1365, 512}), "columns-as-lanes");
  EXPECT_EQ(algorithm({1, 1366, 512}), "columns-by-blocks") << "far apart";
  EXPECT_EQ(algorithm({1, 1366, 511}), "columns-as-lanes");
  EXPECT_EQ(algorithm({1, 17000, 2}), "columns-as-rows") << "on two threads";
  EXPECT_EQ(algorithm({2, 17000, 2}), "columns-by-blocks");
  EXPECT_STREQ(plan.reason, "steps of few columns fill vectors");
  EXPECT_EQ(algorithm({2, 17000, 3}), "columns-as-rows");
  EXPECT_EQ(algorithm({2, 2047, 8}), "columns-as-rows");
  EXPECT_EQ(algorithm({1, 100000, 2}), "columns-as-rows") << "tile by tile";
  EXPECT_EQ(algorithm({100, 10, 1}), "rows-as-lanes");
  EXPECT_EQ(algorithm({2, 64, 16}), "columns-as-lanes");
  EXPECT_STREQ(plan.reason, "columns are no longer than one kernel takes");
  EXPECT_EQ(algorithm({2, 65, 16}), "columns-as-lanes");
  EXPECT_STREQ(plan.reason, "a panel holds columns as long");
}

TEST_F(SoftmaxAxisSetup, LargeOutputsStream) {
  smx_thresholds thresholds;
  ASSERT_EQ(smx_get_thresholds(&thresholds), smx_status_success);
  thresholds.streamed_bytes = 2 * sizeof(float) * 2 * 10 * 32;
  ASSERT_EQ(smx_set_thresholds(&thresholds), smx_status_success);
  ASSERT_EQ(smx_delete_operator(op_), smx_status_success);
  ASSERT_EQ(smx_create_softmax_axis(smx_datatype_f32, smx_datatype_f32, 0, &op_), smx_status_success);
  std::vector<float> x(20000), y(x.size());
  const auto streams = [&](Shape shape, size_t outer, size_t axis, float* output) {
    EXPECT_EQ(SetUpTensor(shape, outer, axis, outer, axis, x.data(), output), smx_status_success);
    smx_plan plan;
    EXPECT_EQ(smx_get_plan(op_, 1, &plan), smx_status_success);
    return plan.streams_output;
  };
  EXPECT_TRUE(streams({2, 10, 32}, 320, 32, y.data()));
  EXPECT_TRUE(streams({2, 10, 32}, 320, 32, y.data() + 1));
  EXPECT_FALSE(streams({2, 10, 31}, 320, 32, y.data())) << "smaller";
  EXPECT_FALSE(streams({2, 10, 32}, 320, 32, x.data())) << "in place";
  EXPECT_FALSE(streams({2, 10, 32}, 330, 33, y.data())) << "steps are not aligned";
  EXPECT_FALSE(streams({2, 10, 32}, 328, 32, y.data())) << "slices are not aligned";
  EXPECT_FALSE(streams({60, 10, 8}, 160, 16, y.data())) << "columns do not fill vectors";
  EXPECT_TRUE(streams({2, 80, 32}, 2560, 32, y.data()));
  EXPECT_FALSE(streams({2, 80, 38}, 3840, 48, y.data())) << "columns are transposed";
  float* const aligned = y.data() + smx_elements_to_boundary(y.data(), sizeof(float), SMX_PANEL);
  EXPECT_TRUE(streams({2, 2048, 4}, 8192, 4, aligned));
  EXPECT_FALSE(streams({2, 2048, 4}, 8192, 4, aligned + 1)) << "vectors are not aligned";
}

}  // namespace
}  // namespace smx
