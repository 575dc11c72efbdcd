// The microkernels whose lanes are columns: together they have the bits of the kernels of one row, whichever of them is of
// which instruction set; each touches its columns only.
#include <float.h>
#include <math.h>

#include <algorithm>
#include <string>

#include "src/operators/row_sum.h"
#include "src/runtime/fp_environment.h"
#include "test/guarded_buffer.h"
#include "test/microkernel_fixture.h"

namespace smx {
namespace {

using Columns = std::vector<std::vector<float>>;

std::vector<Microkernel> MicrokernelsOf(const std::vector<std::string>& kernels) {
  std::vector<Microkernel> found;
  for (const std::string& kernel : kernels) {
    for (const Microkernel& microkernel : AvailableMicrokernels(kernel)) found.push_back(microkernel);
  }
  return found;
}

const std::vector<std::string> kShort = {"f32_softmax_columns"};
const std::vector<std::string> kPipeline = {
    "f32_pack_columns",      "f32_rmax_columns",     "f32_raddstoreextexp_columns", "f32_raddextexp_columns",
    "f32_raddlanes_columns", "f32_vmulextc_columns", "f32_vscaleextexp_columns"};

// ---- All of them, one after the other

// The kernel that is tested, and the scalar ones for the rest.
class Pipeline {
 public:
  explicit Pipeline(const Microkernel& tested) : tested_(tested) {}

  // Softmax of columns whose maxima are within range: of their terms, or of them once more.
  Columns Run(bool stores, const Columns& x) const {
    const smx_fp_environment environment;
    const size_t columns = x.size(), n = x[0].size(), groups = (columns - 1) / SMX_PANEL + 1;
    std::vector<float> matrix(n * columns), panel(groups * n * SMX_PANEL + SMX_PANEL, 0.0f),
        reference(groups * SMX_PANEL), hi(reference), lo(reference);
    for (size_t j = 0; j < n; j++) {
      for (size_t c = 0; c < columns; c++) matrix[j * columns + c] = x[c][j];
    }
    As<smx_f32_pack_columns_ukernel_fn>("f32_pack_columns")(matrix.data(), columns, panel.data(),
                                                            n * SMX_PANEL, n, columns);
    const size_t blocks = (n - 1) / SMX_BLOCK + 1;
    std::vector<std::vector<float>> max(blocks, std::vector<float>(groups * SMX_PANEL));
    for (size_t b = 0; b < blocks; b++) {
      for (size_t g = 0; g < groups; g++) {
        As<smx_f32_rmax_columns_ukernel_fn>("f32_rmax_columns")(BlockLength(n, b),
                                                                &panel[(g * n + b * SMX_BLOCK) * SMX_PANEL],
                                                                SMX_PANEL, &max[b][g * SMX_PANEL]);
      }
    }
    for (size_t g = 0; g < groups; g++) {
      const smx_f32_column_totals totals =
          Sum(stores, n, &panel[g * n * SMX_PANEL], max, g * SMX_PANEL, &reference[g * SMX_PANEL]);
      std::copy_n(totals.normalizer_hi, SMX_PANEL, &hi[g * SMX_PANEL]);
      std::copy_n(totals.normalizer_lo, SMX_PANEL, &lo[g * SMX_PANEL]);
    }
    if (stores) {
      As<smx_f32_vmulextc_columns_ukernel_fn>("f32_vmulextc_columns")(
          panel.data(), matrix.data(), columns, n * SMX_PANEL, n, columns, hi.data(), lo.data(), false);
    } else {
      As<smx_f32_vscaleextexp_columns_ukernel_fn>("f32_vscaleextexp_columns")(
          panel.data(), SMX_PANEL, matrix.data(), columns, n * SMX_PANEL, n, columns, reference.data(),
          hi.data(), lo.data(), false, &kExp);
    }
    Columns y(columns, std::vector<float>(n));
    for (size_t j = 0; j < n; j++) {
      for (size_t c = 0; c < columns; c++) y[c][j] = matrix[j * columns + c];
    }
    return y;
  }

 private:
  template <class Function>
  Function* As(const std::string& kernel) const {
    return (kernel == tested_.kernel ? tested_ : ScalarMicrokernel(kernel)).As<Function>();
  }

  static size_t BlockLength(size_t n, size_t block) {
    return std::min<size_t>(SMX_BLOCK, n - block * SMX_BLOCK);
  }

  smx_f32_column_totals Sum(bool stores, size_t n, float* panel, const std::vector<std::vector<float>>& max,
                            size_t c, float* reference) const {
    smx_f32_column_sums sums;
    sums.lanes = 0;
    std::fill_n(sums.max, SMX_PANEL, -INFINITY);
    for (size_t i = 0; i < SMX_PANEL; i++) {
      float largest = -INFINITY;
      for (const std::vector<float>& of_block : max) largest = std::max(largest, of_block[c + i]);
      sums.reference[i] = static_cast<float>(smx_exponent_of(largest, &kExp));
    }
    for (size_t b = 0; b < max.size(); b++) {
      float* at = panel + b * SMX_BLOCK * SMX_PANEL;
      float dropped[SMX_PANEL];
      As<smx_f32_raddstoreextexp_columns_ukernel_fn>("f32_raddstoreextexp_columns")(
          BlockLength(n, b), at, SMX_PANEL, stores ? at : dropped, stores ? SMX_PANEL : 0, &max[b][c],
          SMX_LANES, &sums, nullptr, 0, &kExp);
    }
    std::copy_n(sums.reference, SMX_PANEL, reference);
    smx_f32_column_totals totals;
    As<smx_f32_raddlanes_columns_ukernel_fn>("f32_raddlanes_columns")(&sums, &totals, nullptr);
    return totals;
  }

  const Microkernel& tested_;
};

// By the scalar kernels of one row.
std::vector<float> OneRow(const std::vector<float>& x) {
  const smx_fp_environment environment;
  std::vector<float> y(x.size());
  smx_f32_extended sum;
  ScalarMicrokernel("f32_raddextexp").As<smx_f32_raddextexp_ukernel_fn>()(x.size(), x.data(), 0, &sum, &kExp);
  const smx_f32_reciprocal reciprocal = smx_f32_reciprocal_of(&sum);
  ScalarMicrokernel("f32_vscaleextexp")
      .As<smx_f32_vscaleextexp_ukernel_fn>()(x.size(), x.data(), y.data(), &reciprocal, &kExp);
  return y;
}

bool IsInRange(const std::vector<float>& x) {
  return smx_is_in_range(*std::max_element(x.begin(), x.end()), &kExp);
}

class ColumnsPipeline : public MicrokernelTest {
 protected:
  // Against each column as a row.
  void Test(const Columns& x) const {
    for (bool stores : {false, true}) {
      const Columns y = Pipeline(kernel()).Run(stores, x);
      for (size_t c = 0; c < x.size(); c++) {
        EXPECT_TRUE(SameBits(y[c].data(), OneRow(x[c]).data(), x[c].size()))
            << "column " << c << " of " << x.size() << ", n = " << x[c].size() << ", stores " << stores;
      }
    }
  }
};

INSTANTIATE_TEST_SUITE_P(List, ColumnsPipeline, testing::ValuesIn(MicrokernelsOf(kPipeline)), TestName);

TEST_P(ColumnsPipeline, HasTheBitsOfOneRowOfEveryFamily) {
  for (size_t n : {1, 2, 5, 15, 16, 17, 31, 32, 33, 48, 50, 64, 100, 333, 1000, 1024, 1025, 3000}) {
    Columns x;
    for (const RowFamily& family : FiniteRows()) {
      for (uint64_t seed : {1, 2}) {
        const std::vector<float> column = family.make(n, seed);
        if (IsInRange(column)) x.push_back(column);
      }
    }
    Test(x);
  }
}

TEST_P(ColumnsPipeline, HasTheBitsOfOneRowForAnyNumberOfColumns) {
  for (size_t columns = 1; columns <= 2 * std::max<size_t>(kernel().tile, SMX_PANEL) + 1; columns++) {
    Columns x;
    for (size_t c = 0; c < columns; c++) x.push_back(NormalRow(21, 4.0f, c));
    Test(x);
  }
}

// Columns do not disturb their neighbours.
TEST_P(ColumnsPipeline, NanAndOutOfRangeStayInTheirColumn) {
  for (size_t n : {1, 20, 70, 1100}) {
    for (float bad : {NAN, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, 20000.0f}) {
      Columns x;
      for (size_t c = 0; c < 2 * SMX_PANEL; c++) x.push_back(NormalRow(n, 4.0f, c));
      const Columns good = x;
      for (size_t c = 3; c < x.size(); c += 7) x[c].assign(n, bad);
      for (bool stores : {false, true}) {
        const Columns y = Pipeline(kernel()).Run(stores, x);
        for (size_t c = 0; c < x.size(); c++) {
          if (c % 7 == 3) continue;
          EXPECT_TRUE(SameBits(y[c].data(), OneRow(good[c]).data(), n)) << "column " << c << ", bad " << bad;
        }
      }
    }
  }
}

// ---- Each by itself

// Columns of a matrix with gaps.
struct Matrix {
  size_t n;
  size_t columns;
  size_t stride;  // from step to step

  size_t group_stride() const { return n * SMX_PANEL; }
  // Kernels take whole vectors of the panel.
  size_t PanelFloats() const { return ((columns - 1) / SMX_PANEL + 1) * group_stride() + SMX_PANEL; }
  size_t Elements() const { return (n - 1) * stride + columns; }
  size_t InMatrix(size_t j, size_t c) const { return j * stride + c; }
  size_t InPanel(size_t j, size_t c) const {
    return c / SMX_PANEL * group_stride() + j * SMX_PANEL + c % SMX_PANEL;
  }

  template <class Function>
  void ForEach(const Function& function) const {
    for (size_t j = 0; j < n; j++) {
      for (size_t c = 0; c < columns; c++) function(j, c);
    }
  }
};

std::ostream& operator<<(std::ostream& out, const Matrix& matrix) {
  return out << matrix.n << " x " << matrix.columns << " of " << matrix.stride;
}

// Results stream where every step begins at whole vectors.
std::vector<Matrix> MatricesFor(size_t tile) {
  std::vector<Matrix> matrices;
  for (size_t n : {1, 3, 18}) {
    const size_t step = RunsSparseTests() ? 17 : 5;
    for (size_t columns = 1; columns <= 2 * tile + SMX_PANEL + 1;
         columns += columns <= SMX_PANEL ? 1 : step) {
      for (size_t stride : {columns + n % 2 * 3, (columns + SMX_PANEL) / SMX_PANEL * SMX_PANEL}) {
        matrices.push_back({n, columns, stride});
      }
    }
  }
  return matrices;
}

bool MayStream(const Matrix& matrix, GuardedEdge edge) {
  return matrix.stride % SMX_PANEL == 0 && edge == GuardedEdge::kBeginning;
}

class PackColumns : public MicrokernelTest {};
INSTANTIATE_TEST_SUITE_P(List, PackColumns, testing::ValuesIn(MicrokernelsOf({"f32_pack_columns"})),
                         TestName);

TEST_P(PackColumns, PacksAndReadsColumnsOnly) {
  for (const Matrix& matrix : MatricesFor(kernel().tile)) {
    for (GuardedEdge edge : {GuardedEdge::kEnd, GuardedEdge::kBeginning}) {
      SCOPED_TRACE(matrix);
      const GuardedBuffer<float> x(NormalRow(matrix.Elements(), 10.0f, matrix.columns), edge);
      GuardedBuffer<float> panel(matrix.PanelFloats(), edge);
      kernel().As<smx_f32_pack_columns_ukernel_fn>()(x.data(), matrix.stride, panel.data(),
                                                     matrix.group_stride(), matrix.n, matrix.columns);
      matrix.ForEach([&](size_t j, size_t c) {
        ASSERT_EQ(panel[matrix.InPanel(j, c)], x.data()[matrix.InMatrix(j, c)]) << j << ", " << c;
      });
      EXPECT_TRUE(panel.SurroundingsAreIntact());
    }
  }
}

constexpr float kGap = -123.0f;

// Holds what was written against expected(j, c), and the gaps against what they were.
template <class Expected>
void ExpectWritten(const Matrix& matrix, GuardedBuffer<float>* y, const Expected& expected) {
  matrix.ForEach([&](size_t j, size_t c) {
    float& at = (*y)[matrix.InMatrix(j, c)];
    ASSERT_TRUE(SameBits(at, expected(j, c))) << j << ", " << c;
    at = kGap;
  });
  EXPECT_TRUE(std::all_of(y->begin(), y->end(), [](float element) { return element == kGap; })) << "in a gap";
  EXPECT_TRUE(y->SurroundingsAreIntact());
}

// Columns and the rows that they are, with gaps.
std::vector<Matrix> MatricesToTranspose() {
  std::vector<Matrix> matrices;
  for (size_t n : {1, 3, SMX_LANES - 1, SMX_LANES, SMX_LANES + 1, 2 * SMX_LANES, 7 * SMX_LANES - 1}) {
    for (size_t columns = 1; columns <= 2 * SMX_PANEL + 1; columns++) {
      matrices.push_back({n, columns, columns + columns % 3});
    }
  }
  return matrices;
}

Matrix RowsOf(const Matrix& matrix) {
  return {matrix.columns, matrix.n, matrix.n + matrix.columns % 2};
}

class ColumnsToRows : public MicrokernelTest {};
INSTANTIATE_TEST_SUITE_P(List, ColumnsToRows, testing::ValuesIn(MicrokernelsOf({"f32_columns_to_rows"})),
                         TestName);

TEST_P(ColumnsToRows, ReadsColumnsAndWritesRowsOnly) {
  for (const Matrix& matrix : MatricesToTranspose()) {
    const Matrix rows = RowsOf(matrix);
    for (GuardedEdge edge : {GuardedEdge::kEnd, GuardedEdge::kBeginning}) {
      SCOPED_TRACE(matrix);
      const GuardedBuffer<float> x(NormalRow(matrix.Elements(), 10.0f, matrix.columns), edge);
      GuardedBuffer<float> y(rows.Elements(), edge);
      std::fill(y.begin(), y.end(), kGap);
      kernel().As<smx_f32_columns_to_rows_ukernel_fn>()(matrix.n, matrix.columns, x.data(), matrix.stride,
                                                        y.data(), rows.stride);
      ExpectWritten(rows, &y, [&](size_t c, size_t j) { return x.data()[matrix.InMatrix(j, c)]; });
    }
  }
}

class RowsToColumns : public MicrokernelTest {};
INSTANTIATE_TEST_SUITE_P(List, RowsToColumns, testing::ValuesIn(MicrokernelsOf({"f32_rows_to_columns"})),
                         TestName);

TEST_P(RowsToColumns, ReadsRowsAndWritesColumnsOnly) {
  for (const Matrix& matrix : MatricesToTranspose()) {
    const Matrix rows = RowsOf(matrix);
    for (GuardedEdge edge : {GuardedEdge::kEnd, GuardedEdge::kBeginning}) {
      SCOPED_TRACE(matrix);
      const GuardedBuffer<float> x(NormalRow(rows.Elements(), 10.0f, matrix.columns), edge);
      GuardedBuffer<float> y(matrix.Elements(), edge);
      std::fill(y.begin(), y.end(), kGap);
      kernel().As<smx_f32_rows_to_columns_ukernel_fn>()(matrix.n, matrix.columns, x.data(), rows.stride,
                                                        y.data(), matrix.stride);
      ExpectWritten(matrix, &y, [&](size_t j, size_t c) { return x.data()[rows.InMatrix(c, j)]; });
    }
  }
}

class VmulextcColumns : public MicrokernelTest {};
INSTANTIATE_TEST_SUITE_P(List, VmulextcColumns, testing::ValuesIn(MicrokernelsOf({"f32_vmulextc_columns"})),
                         TestName);

// A product with the low part that is flushed below FLT_MIN, and results that are.
float Flushed(float x) {
  return fabsf(x) < FLT_MIN ? 0.0f : x;
}

TEST_P(VmulextcColumns, ScalesAndWritesColumnsOnly) {
  for (const Matrix& matrix : MatricesFor(kernel().tile)) {
    for (GuardedEdge edge : {GuardedEdge::kEnd, GuardedEdge::kBeginning}) {
      SCOPED_TRACE(matrix);
      SplitMix64 generator(matrix.columns);
      const auto draw = [&](int exponent) { return ldexpf(1.0f + fabsf(generator.Uniform()), exponent); };
      GuardedBuffer<float> panel(matrix.PanelFloats(), edge);
      for (float& x : panel) x = draw(60 - static_cast<int>(generator.Below(170)));
      GuardedBuffer<float> hi(matrix.columns + SMX_PANEL, edge), lo(hi.size(), edge);
      for (float& x : hi) x = draw(-70);
      for (float& x : lo) x = ldexpf(generator.Uniform(), -96);
      hi[matrix.columns / 2] = lo[matrix.columns / 2] = NAN;
      GuardedBuffer<float> y(matrix.Elements(), edge);
      std::fill(y.begin(), y.end(), kGap);
      {
        const smx_fp_environment environment;
        kernel().As<smx_f32_vmulextc_columns_ukernel_fn>()(panel.data(), y.data(), matrix.stride,
                                                           matrix.group_stride(), matrix.n, matrix.columns,
                                                           hi.data(), lo.data(), MayStream(matrix, edge));
      }
      ExpectWritten(matrix, &y, [&](size_t j, size_t c) {
        const float x = panel[matrix.InPanel(j, c)];
        return Flushed(fmaf(x, hi[c], Flushed(x * lo[c])));
      });
    }
  }
}

class VsubextcColumns : public MicrokernelTest {};
INSTANTIATE_TEST_SUITE_P(List, VsubextcColumns, testing::ValuesIn(MicrokernelsOf({"f32_vsubextc_columns"})),
                         TestName);

TEST_P(VsubextcColumns, SubtractsAndWritesColumnsOnly) {
  for (const Matrix& matrix : MatricesFor(kernel().tile)) {
    SCOPED_TRACE(matrix);
    const GuardedEdge edge = matrix.columns % 2 == 0 ? GuardedEdge::kBeginning : GuardedEdge::kEnd;
    const size_t columns = matrix.columns + SMX_PANEL;
    const GuardedBuffer<float> panel(NormalRow(matrix.PanelFloats(), 10.0f, 1)),
        factor(NormalRow(columns, 1.0f, 2)), shift(NormalRow(columns, 9.0f, 3)),
        scale(NormalRow(columns, 1.0f, 4)), hi(NormalRow(columns, 9.0f, 5)), lo(NormalRow(columns, 1e-6f, 6));
    GuardedBuffer<float> y(matrix.Elements(), edge);
    std::fill(y.begin(), y.end(), kGap);
    {
      const smx_fp_environment environment;
      const smx_f32_column_logarithms logarithms = {factor.data(), shift.data(), scale.data(), hi.data(),
                                                    lo.data()};
      kernel().As<smx_f32_vsubextc_columns_ukernel_fn>()(panel.data(), SMX_PANEL, y.data(), matrix.stride,
                                                         matrix.group_stride(), matrix.n, matrix.columns,
                                                         &logarithms, MayStream(matrix, edge));
    }
    ExpectWritten(matrix, &y, [&](size_t j, size_t c) {
      const float shifted = fmaf(panel.data()[matrix.InPanel(j, c)], factor.data()[c], -shift.data()[c]);
      return fmaf(shifted, scale.data()[c], -hi.data()[c]) - lo.data()[c];
    });
  }
}

class VscaleextexpColumns : public MicrokernelTest {};
INSTANTIATE_TEST_SUITE_P(List, VscaleextexpColumns,
                         testing::ValuesIn(MicrokernelsOf({"f32_vscaleextexp_columns"})), TestName);

TEST_P(VscaleextexpColumns, HasTheBitsOfRowsAndWritesColumnsOnly) {
  const Microkernel scale_row = ScalarMicrokernel("f32_vscaleextexp");
  for (const Matrix& matrix : MatricesFor(kernel().tile)) {
    SCOPED_TRACE(matrix);
    const smx_fp_environment environment;
    const GuardedEdge edge = matrix.columns % 2 == 0 ? GuardedEdge::kBeginning : GuardedEdge::kEnd;
    SplitMix64 generator(matrix.columns);
    std::vector<smx_f32_reciprocal> reciprocals(matrix.columns);
    GuardedBuffer<float> reference(matrix.columns + SMX_PANEL, edge), hi(reference.size(), edge),
        lo(reference.size(), edge);
    for (size_t c = 0; c < matrix.columns; c++) {
      const int32_t exponent = static_cast<int32_t>(generator.Below(100)) - 50;
      reciprocals[c] = {0.75f + generator.Uniform() / 4, ldexpf(1.0f + static_cast<float>(c), -45), exponent};
      reference[c] = static_cast<float>(exponent);
      hi[c] = reciprocals[c].hi * smx_pow2(-SMX_BIAS);
      lo[c] = reciprocals[c].lo * smx_pow2(-SMX_BIAS);
    }
    const GuardedBuffer<float> panel(NormalRow(matrix.PanelFloats(), 30.0f, matrix.columns), edge);
    GuardedBuffer<float> y(matrix.Elements(), edge);
    std::fill(y.begin(), y.end(), kGap);
    kernel().As<smx_f32_vscaleextexp_columns_ukernel_fn>()(
        panel.data(), SMX_PANEL, y.data(), matrix.stride, matrix.group_stride(), matrix.n, matrix.columns,
        reference.data(), hi.data(), lo.data(), MayStream(matrix, edge), &kExp);
    ExpectWritten(matrix, &y, [&](size_t j, size_t c) {
      float result;
      scale_row.As<smx_f32_vscaleextexp_ukernel_fn>()(1, &panel.data()[matrix.InPanel(j, c)], &result,
                                                      &reciprocals[c], &kExp);
      return result;
    });
  }
}

// ---- Sums of columns where they are

class ColumnsInPlace : public MicrokernelTest {
 protected:
  static constexpr size_t kStride = 3 * SMX_PANEL + 5;

  // Of a group of columns whose steps are `stride` apart.
  smx_f32_column_sums Sum(size_t n, const float* x, size_t stride) const {
    const smx_fp_environment environment;
    smx_f32_column_sums sums = {};
    const float max[SMX_PANEL] = {};
    float dropped[SMX_PANEL];
    kernel().As<smx_f32_raddstoreextexp_columns_ukernel_fn>()(n, x, stride, dropped, 0, max, SMX_LANES, &sums,
                                                              nullptr, 0, &kExp);
    return sums;
  }
};

class SumsInPlace : public ColumnsInPlace {
 protected:
  // Of the kernel that is tested, or of the scalar one.
  static smx_f32_column_sums SumOfLanes(const Microkernel& kernel, size_t n, const float* x, size_t lanes) {
    const smx_fp_environment environment;
    smx_f32_column_sums sums = {};
    const float max[SMX_PANEL] = {};
    float dropped[SMX_PANEL];
    kernel.As<smx_f32_raddstoreextexp_columns_ukernel_fn>()(n, x, SMX_PANEL, dropped, 0, max, lanes, &sums,
                                                            nullptr, 0, &kExp);
    return sums;
  }
};
INSTANTIATE_TEST_SUITE_P(List, SumsInPlace,
                         testing::ValuesIn(MicrokernelsOf({"f32_raddstoreextexp_columns"})), TestName);
class MaximaInPlace : public ColumnsInPlace {};
INSTANTIATE_TEST_SUITE_P(List, MaximaInPlace, testing::ValuesIn(MicrokernelsOf({"f32_rmax_columns"})),
                         TestName);

// The group's elements in gaps that are NaN, and without.
template <class Test>
void ForGroupsInPlace(size_t stride, const Test& test) {
  for (size_t n : {1, 2, 15, 16, 17, 33, 64, 100}) {
    SCOPED_TRACE(n);
    const std::vector<float> dense = NormalRow(n * SMX_PANEL, 4.0f, n);
    for (GuardedEdge edge : {GuardedEdge::kEnd, GuardedEdge::kBeginning}) {
      GuardedBuffer<float> x((n - 1) * stride + SMX_PANEL, edge);
      std::fill(x.begin(), x.end(), NAN);
      for (size_t j = 0; j < n; j++) std::copy_n(&dense[j * SMX_PANEL], SMX_PANEL, &x[j * stride]);
      test(n, dense.data(), x.data());
    }
  }
}

TEST_P(SumsInPlace, AreThoseOfAPanelAndOfColumnsOnly) {
  ForGroupsInPlace(kStride, [&](size_t n, const float* dense, const float* x) {
    const smx_f32_column_sums expected = Sum(n, dense, SMX_PANEL), sums = Sum(n, x, kStride);
    ASSERT_EQ(sums.lanes, expected.lanes);
    for (size_t l = 0; l < sums.lanes; l++) {
      EXPECT_TRUE(SameBits(sums.hi[l], expected.hi[l], SMX_PANEL));
      EXPECT_TRUE(SameBits(sums.lo[l], expected.lo[l], SMX_PANEL));
    }
  });
}

TEST_P(SumsInPlace, OfFewerLanesHaveTheBitsOfTheScalarKernel) {
  const Microkernel scalar = ScalarMicrokernel("f32_raddstoreextexp_columns");
  for (size_t lanes : {1, 2, 4, 8}) {
    for (size_t n = 1; n <= 5 * lanes; n++) {
      SCOPED_TRACE(testing::Message() << n << " vectors, " << lanes << " lanes");
      const std::vector<float> x = NormalRow(n * SMX_PANEL, 4.0f, n);
      const smx_f32_column_sums expected = SumOfLanes(scalar, n, x.data(), lanes),
                                sums = SumOfLanes(kernel(), n, x.data(), lanes);
      ASSERT_EQ(sums.lanes, std::min(n, lanes));
      for (size_t l = 0; l < sums.lanes; l++) {
        EXPECT_TRUE(SameBits(sums.hi[l], expected.hi[l], SMX_PANEL));
        EXPECT_TRUE(SameBits(sums.lo[l], expected.lo[l], SMX_PANEL));
      }
    }
  }
}

TEST_P(MaximaInPlace, AreThoseOfColumnsOnly) {
  ForGroupsInPlace(kStride, [&](size_t n, const float* dense, const float* x) {
    float max[SMX_PANEL];
    kernel().As<smx_f32_rmax_columns_ukernel_fn>()(n, x, kStride, max);
    for (size_t c = 0; c < SMX_PANEL; c++) {
      float largest = -INFINITY;
      for (size_t j = 0; j < n; j++) largest = std::max(largest, dense[j * SMX_PANEL + c]);
      EXPECT_EQ(max[c], largest) << c;
    }
  });
}

// ---- Short columns

// By the scalar kernel whose lanes are rows.
std::vector<float> OneShortRow(bool is_log, const std::vector<float>& x) {
  const smx_fp_environment environment;
  std::vector<float> y(x.size());
  const size_t n = x.size();
  RunRows(ScalarMicrokernel(is_log ? "f32_log_softmax_transposed" : "f32_softmax_transposed"), 1, n, x.data(),
          n, y.data(), n);
  return y;
}

class ShortColumns : public MicrokernelTest {
 protected:
  size_t Run(bool is_log, const Matrix& matrix, const float* x, float* y, bool streams = false) const {
    const smx_fp_environment environment;
    size_t done = SIZE_MAX;
    kernel().As<smx_f32_softmax_columns_ukernel_fn>()(matrix.columns, matrix.n, x, matrix.stride, y,
                                                      matrix.stride, is_log, streams, &done, &kExp);
    return done;
  }

  static float Element(const Matrix& matrix, size_t j, size_t c) {
    return 5.0f * sinf(static_cast<float>(matrix.InMatrix(j, c) * 37 % 1001));
  }

  static std::vector<float> Expected(bool is_log, const Matrix& matrix, size_t c) {
    std::vector<float> row(matrix.n);
    for (size_t j = 0; j < matrix.n; j++) row[j] = Element(matrix, j, c);
    return OneShortRow(is_log, row);
  }
};
INSTANTIATE_TEST_SUITE_P(List, ShortColumns, testing::ValuesIn(MicrokernelsOf(kShort)), TestName);

TEST_P(ShortColumns, HaveTheBitsOfRowsAndTouchColumnsOnly) {
  for (size_t n : {1, 2, 3, 5, 8, 9, 15, 16, 17, 21, 31, 32, 33, 48, 50, 63, 64}) {
    for (size_t columns : {1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 64, 127, 128, 129}) {
      for (bool is_log : {false, true}) {
        const Matrix matrix = {n, columns, (columns + 2 * SMX_PANEL) / SMX_PANEL * SMX_PANEL};
        SCOPED_TRACE(matrix);
        GuardedBuffer<float> x(matrix.Elements());
        std::fill(x.begin(), x.end(), NAN);
        matrix.ForEach([&](size_t j, size_t c) { x[matrix.InMatrix(j, c)] = Element(matrix, j, c); });
        Columns expected;
        for (size_t c = 0; c < columns; c++) expected.push_back(Expected(is_log, matrix, c));
        for (GuardedEdge edge : {GuardedEdge::kBeginning, GuardedEdge::kEnd}) {
          GuardedBuffer<float> y(matrix.Elements(), edge);
          std::fill(y.begin(), y.end(), kGap);
          EXPECT_EQ(Run(is_log, matrix, x.data(), y.data(), MayStream(matrix, edge)), columns);
          ExpectWritten(matrix, &y, [&](size_t j, size_t c) { return expected[c][j]; });
        }
        EXPECT_EQ(Run(is_log, matrix, x.data(), x.data()), columns);
        matrix.ForEach([&](size_t j, size_t c) {
          ASSERT_TRUE(SameBits(x[matrix.InMatrix(j, c)], expected[c][j])) << "in place " << j << ", " << c;
        });
      }
    }
  }
}

TEST_P(ShortColumns, StopBeforeTheVectorOfOneOutOfRange) {
  const Matrix matrix = {30, 150, 160};
  for (float bad : {nextafterf(smx_range, INFINITY), INFINITY, -INFINITY, -FLT_MAX}) {
    for (size_t place = 0; place < matrix.columns; place += 13) {
      std::vector<float> x(matrix.Elements()), y(x.size(), kGap);
      matrix.ForEach(
          [&](size_t j, size_t c) { x[matrix.InMatrix(j, c)] = c == place ? bad : Element(matrix, j, c); });
      const size_t done = Run(false, matrix, x.data(), y.data());
      EXPECT_LE(done, place);
      EXPECT_GT(done + SMX_PANEL, place);
      for (size_t c = 0; c < matrix.columns; c++) {
        const std::vector<float> expected =
            c < done ? Expected(false, matrix, c) : std::vector<float>(matrix.n, kGap);
        for (size_t j = 0; j < matrix.n; j++) {
          ASSERT_TRUE(SameBits(y[matrix.InMatrix(j, c)], expected[j])) << j << ", " << c;
        }
      }
    }
  }
}

// Of a column that holds NaN, the maximum may be any number: a kernel does it, or leaves it to the caller.
TEST_P(ShortColumns, NanFillsItsColumnAlone) {
  const Matrix matrix = {40, 70, 70};
  for (size_t step : {0, 1, 20, 39}) {
    for (bool is_log : {false, true}) {
      std::vector<float> x(matrix.Elements()), y(x.size());
      matrix.ForEach([&](size_t j, size_t c) {
        x[matrix.InMatrix(j, c)] = c % 5 == 2 && j == step ? -NAN : Element(matrix, j, c);
      });
      const size_t done = Run(is_log, matrix, x.data(), y.data());
      // Where the maximum is NaN, as it is for any on Arm, the vector is left to the caller.
      EXPECT_TRUE(done == matrix.columns || step == matrix.n - 1 || kernel().isa == std::string("neon"));
      for (size_t c = 0; c < done; c++) {
        const std::vector<float> expected = Expected(is_log, matrix, c);
        for (size_t j = 0; j < matrix.n; j++) {
          const float at = y[matrix.InMatrix(j, c)];
          ASSERT_TRUE(c % 5 == 2 ? Bits(at) == Bits(NAN) : SameBits(at, expected[j])) << j << ", " << c;
        }
      }
    }
  }
}

TEST(ColumnsKernels, EveryOneHasATest) {
  ExpectEveryMicrokernelHasATest(MicrokernelsOf(kShort));
  ExpectEveryMicrokernelHasATest(MicrokernelsOf(kPipeline));
  ExpectEveryMicrokernelHasATest(
      MicrokernelsOf({"f32_vsubextc_columns", "f32_columns_to_rows", "f32_rows_to_columns"}));
}

}  // namespace
}  // namespace smx
