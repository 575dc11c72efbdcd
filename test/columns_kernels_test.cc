// The microkernels whose lanes are columns: together they have the bits of the kernels of one row, whichever of them is of
// which instruction set; each touches its columns only.
#include <float.h>
#include <math.h>

#include <algorithm>
#include <string>

#include "src/operators/row_sum.h"
#include "src/runtime/fp_environment.h"
#include "test/elements.h"
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

const std::vector<std::string> kPacks = {"f32_pack_columns", "f16_pack_columns", "bf16_pack_columns"};
const std::vector<std::string> kScales = {"f32_vmulextc_columns", "f32_f16_vmulextc_columns",
                                          "f32_bf16_vmulextc_columns"};
const std::vector<std::string> kSubtracts = {"f32_vsubextc_columns", "f32_f16_vsubextc_columns",
                                             "f32_bf16_vsubextc_columns"};
const std::vector<std::string> kPipeline = {"f32_pack_columns", "f32_rmax_columns",
                                            "f32_raddstoreextexp_columns", "f32_raddlanes_columns",
                                            "f32_vmulextc_columns"};

// ---- All of them, one after the other

// The kernel that is tested, and the scalar ones for the rest.
class Pipeline {
 public:
  explicit Pipeline(const Microkernel& tested) : tested_(tested) {}

  // Softmax of columns whose maxima are within range.
  Columns Run(const Columns& x) const {
    const smx_fp_environment environment;
    const size_t columns = x.size(), n = x[0].size(), groups = (columns - 1) / SMX_PANEL + 1;
    std::vector<float> matrix(n * columns), panel(groups * n * SMX_PANEL + SMX_PANEL, 0.0f),
        hi(groups * SMX_PANEL), lo(hi);
    for (size_t j = 0; j < n; j++) {
      for (size_t c = 0; c < columns; c++) matrix[j * columns + c] = x[c][j];
    }
    As<smx_f32_pack_columns_ukernel_fn>("f32_pack_columns")(matrix.data(), columns, panel.data(),
                                                            n * SMX_PANEL, n, 1, columns, 0);
    const size_t blocks = (n - 1) / SMX_BLOCK + 1;
    std::vector<std::vector<float>> max(blocks, std::vector<float>(groups * SMX_PANEL));
    for (size_t b = 0; b < blocks; b++) {
      for (size_t g = 0; g < groups; g++) {
        As<smx_f32_rmax_columns_ukernel_fn>("f32_rmax_columns")(
            BlockLength(n, b), &panel[(g * n + b * SMX_BLOCK) * SMX_PANEL], &max[b][g * SMX_PANEL]);
      }
    }
    for (size_t g = 0; g < groups; g++) {
      const smx_f32_column_totals totals = Sum(n, &panel[g * n * SMX_PANEL], max, g * SMX_PANEL);
      std::copy_n(totals.reciprocal_hi, SMX_PANEL, &hi[g * SMX_PANEL]);
      std::copy_n(totals.reciprocal_lo, SMX_PANEL, &lo[g * SMX_PANEL]);
    }
    As<smx_f32_vmulextc_columns_ukernel_fn>("f32_vmulextc_columns")(
        panel.data(), matrix.data(), columns, n * SMX_PANEL, n, 1, columns, 0, hi.data(), lo.data());
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

  smx_f32_column_totals Sum(size_t n, float* panel, const std::vector<std::vector<float>>& max,
                            size_t c) const {
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
      As<smx_f32_raddstoreextexp_columns_ukernel_fn>("f32_raddstoreextexp_columns")(BlockLength(n, b), at, at,
                                                                                    &max[b][c], &sums, &kExp);
    }
    smx_f32_column_totals totals;
    As<smx_f32_raddlanes_columns_ukernel_fn>("f32_raddlanes_columns")(&sums, &totals);
    return totals;
  }

  const Microkernel& tested_;
};

// By the scalar kernels of one row.
std::vector<float> OneRow(const std::vector<float>& x) {
  const smx_fp_environment environment;
  std::vector<float> y(x.size());
  smx_f32_extended sum;
  ScalarMicrokernel("f32_raddextexp").As<smx_f32_raddextexp_ukernel_fn>()(x.size(), x.data(), &sum, &kExp);
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
    const Columns y = Pipeline(kernel()).Run(x);
    for (size_t c = 0; c < x.size(); c++) {
      EXPECT_TRUE(SameBits(y[c].data(), OneRow(x[c]).data(), x[c].size()))
          << "column " << c << " of " << x.size() << ", n = " << x[c].size();
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
      const Columns y = Pipeline(kernel()).Run(x);
      for (size_t c = 0; c < x.size(); c++) {
        if (c % 7 == 3) continue;
        EXPECT_TRUE(SameBits(y[c].data(), OneRow(good[c]).data(), n)) << "column " << c << ", bad " << bad;
      }
    }
  }
}

// ---- Each by itself

smx_datatype TypeOf(const std::string& kernel) {
  if (kernel.find("bf16") != std::string::npos) return smx_datatype_bf16;
  return kernel.find("f16") != std::string::npos ? smx_datatype_f16 : smx_datatype_f32;
}

// Slices of columns in a matrix with gaps, or one slice of many columns.
struct Slices {
  size_t n;
  size_t slices;
  size_t columns;
  size_t stride;  // from step to step
  size_t slice_stride;

  size_t group_stride() const { return n * SMX_PANEL; }
  // Kernels take whole vectors of the panel.
  size_t PanelFloats() const { return ((slices * columns - 1) / SMX_PANEL + 1) * group_stride() + SMX_PANEL; }
  size_t Elements() const { return (n - 1) * stride + (slices - 1) * slice_stride + columns; }
  size_t InMatrix(size_t j, size_t s, size_t c) const { return j * stride + s * slice_stride + c; }
  size_t InPanel(size_t j, size_t s, size_t c) const {
    const size_t column = s * columns + c;
    return column / SMX_PANEL * group_stride() + j * SMX_PANEL + column % SMX_PANEL;
  }

  template <class Function>
  void ForEach(const Function& function) const {
    for (size_t j = 0; j < n; j++) {
      for (size_t s = 0; s < slices; s++) {
        for (size_t c = 0; c < columns; c++) function(j, s, c);
      }
    }
  }
};

std::ostream& operator<<(std::ostream& out, const Slices& slices) {
  return out << slices.slices << " slices, " << slices.n << " x " << slices.columns;
}

std::vector<Slices> SlicesFor(size_t tile) {
  std::vector<Slices> shapes;
  for (size_t n : {1, 3, 18}) {
    for (size_t columns = 1; columns <= 2 * tile + SMX_PANEL + 1; columns += columns < tile ? 1 : 5) {
      shapes.push_back({n, 1, columns, columns + n % 2 * 3, 0});
      for (size_t slices = 2; slices * columns <= SMX_PANEL; slices += 3) {
        shapes.push_back(
            {n, slices, columns, columns + 1, n * (columns + 1) + 2});  // steps of a slice follow each other
        shapes.push_back({n, slices, columns, slices * (columns + 2), columns + 2});
      }
    }
  }
  return shapes;
}

class PackColumns : public MicrokernelTest {};
INSTANTIATE_TEST_SUITE_P(List, PackColumns, testing::ValuesIn(MicrokernelsOf(kPacks)), TestName);

TEST_P(PackColumns, PacksAndReadsColumnsOnly) {
  const smx_datatype type = TypeOf(kernel().kernel);
  for (const Slices& slices : SlicesFor(kernel().tile)) {
    for (GuardedEdge edge : {GuardedEdge::kEnd, GuardedEdge::kBeginning}) {
      SCOPED_TRACE(slices);
      const std::vector<float> values = RoundedTo(type, NormalRow(slices.Elements(), 10.0f, slices.columns));
      const GuardedBuffer<unsigned char> x(Encode(type, values.data(), values.size()), edge);
      GuardedBuffer<float> panel(slices.PanelFloats(), edge);
      {
        const smx_fp_environment environment;
        if (type == smx_datatype_f32) {
          kernel().As<smx_f32_pack_columns_ukernel_fn>()(
              reinterpret_cast<const float*>(x.data()), slices.stride, panel.data(), slices.group_stride(),
              slices.n, slices.slices, slices.columns, slices.slice_stride);
        } else {
          kernel().As<smx_f16_pack_columns_ukernel_fn>()(
              reinterpret_cast<const uint16_t*>(x.data()), slices.stride, panel.data(), slices.group_stride(),
              slices.n, slices.slices, slices.columns, slices.slice_stride);
        }
      }
      slices.ForEach([&](size_t j, size_t s, size_t c) {
        ASSERT_EQ(panel[slices.InPanel(j, s, c)], values[slices.InMatrix(j, s, c)])
            << j << ", " << s << ", " << c;
      });
      EXPECT_TRUE(panel.SurroundingsAreIntact());
    }
  }
}

class VmulextcColumns : public MicrokernelTest {};
INSTANTIATE_TEST_SUITE_P(List, VmulextcColumns, testing::ValuesIn(MicrokernelsOf(kScales)), TestName);

// A product with the low part that is flushed below FLT_MIN, and results that are.
float Flushed(float x) {
  return fabsf(x) < FLT_MIN ? 0.0f : x;
}

TEST_P(VmulextcColumns, ScalesAndWritesColumnsOnly) {
  constexpr unsigned char kGap = 0xAB;
  const smx_datatype type = TypeOf(kernel().kernel);
  const size_t bytes = BytesOf(type);
  for (const Slices& slices : SlicesFor(kernel().tile)) {
    for (GuardedEdge edge : {GuardedEdge::kEnd, GuardedEdge::kBeginning}) {
      SCOPED_TRACE(slices);
      SplitMix64 generator(slices.columns);
      const auto draw = [&](int exponent) { return ldexpf(1.0f + fabsf(generator.Uniform()), exponent); };
      GuardedBuffer<float> panel(slices.PanelFloats(), edge);
      for (float& x : panel) x = draw(60 - static_cast<int>(generator.Below(170)));
      const size_t columns = slices.slices * slices.columns;
      GuardedBuffer<float> hi(columns + SMX_PANEL, edge), lo(columns + SMX_PANEL, edge);
      for (float& x : hi) x = draw(-70);
      for (float& x : lo) x = ldexpf(generator.Uniform(), -96);
      hi[columns / 2] = lo[columns / 2] = NAN;
      GuardedBuffer<unsigned char> y(slices.Elements() * bytes, edge);
      std::fill(y.begin(), y.end(), kGap);
      {
        const smx_fp_environment environment;
        if (type == smx_datatype_f32) {
          kernel().As<smx_f32_vmulextc_columns_ukernel_fn>()(
              panel.data(), reinterpret_cast<float*>(y.data()), slices.stride, slices.group_stride(),
              slices.n, slices.slices, slices.columns, slices.slice_stride, hi.data(), lo.data());
        } else {
          kernel().As<smx_f32_f16_vmulextc_columns_ukernel_fn>()(
              panel.data(), reinterpret_cast<uint16_t*>(y.data()), slices.stride, slices.group_stride(),
              slices.n, slices.slices, slices.columns, slices.slice_stride, hi.data(), lo.data());
        }
      }
      slices.ForEach([&](size_t j, size_t s, size_t c) {
        const float x = panel[slices.InPanel(j, s, c)];
        const size_t column = s * slices.columns + c;
        const float result = Flushed(fmaf(x, hi[column], Flushed(x * lo[column])));
        unsigned char* at = &y[slices.InMatrix(j, s, c) * bytes];
        ASSERT_TRUE(SameBits(ReadElement(type, at), RoundedTo(type, result))) << j << ", " << s << ", " << c;
        std::fill_n(at, bytes, kGap);
      });
      EXPECT_TRUE(std::all_of(y.begin(), y.end(), [](unsigned char byte) { return byte == kGap; }))
          << "in a gap";
      EXPECT_TRUE(y.SurroundingsAreIntact());
    }
  }
}

class VsubextcColumns : public MicrokernelTest {};
INSTANTIATE_TEST_SUITE_P(List, VsubextcColumns, testing::ValuesIn(MicrokernelsOf(kSubtracts)), TestName);

TEST_P(VsubextcColumns, SubtractsAndWritesColumnsOnly) {
  constexpr unsigned char kGap = 0xAB;
  const smx_datatype type = TypeOf(kernel().kernel);
  const size_t bytes = BytesOf(type);
  for (const Slices& slices : SlicesFor(kernel().tile)) {
    SCOPED_TRACE(slices);
    const size_t columns = slices.slices * slices.columns + SMX_PANEL;
    const GuardedBuffer<float> panel(NormalRow(slices.PanelFloats(), 10.0f, 1)),
        factor(NormalRow(columns, 1.0f, 2)), shift(NormalRow(columns, 9.0f, 3)),
        scale(NormalRow(columns, 1.0f, 4)), hi(NormalRow(columns, 9.0f, 5)), lo(NormalRow(columns, 1e-6f, 6));
    GuardedBuffer<unsigned char> y(slices.Elements() * bytes);
    std::fill(y.begin(), y.end(), kGap);
    {
      const smx_fp_environment environment;
      const smx_f32_column_logarithms logarithms = {factor.data(), shift.data(), scale.data(), hi.data(),
                                                    lo.data()};
      if (type == smx_datatype_f32) {
        kernel().As<smx_f32_vsubextc_columns_ukernel_fn>()(
            panel.data(), reinterpret_cast<float*>(y.data()), slices.stride, slices.group_stride(), slices.n,
            slices.slices, slices.columns, slices.slice_stride, &logarithms);
      } else {
        kernel().As<smx_f32_f16_vsubextc_columns_ukernel_fn>()(
            panel.data(), reinterpret_cast<uint16_t*>(y.data()), slices.stride, slices.group_stride(),
            slices.n, slices.slices, slices.columns, slices.slice_stride, &logarithms);
      }
    }
    slices.ForEach([&](size_t j, size_t s, size_t c) {
      const size_t column = s * slices.columns + c;
      const float shifted = fmaf(panel[slices.InPanel(j, s, c)], factor[column], -shift[column]);
      const float result = fmaf(shifted, scale[column], -hi[column]) - lo[column];
      unsigned char* at = &y[slices.InMatrix(j, s, c) * bytes];
      ASSERT_TRUE(SameBits(ReadElement(type, at), RoundedTo(type, result))) << j << ", " << s << ", " << c;
      std::fill_n(at, bytes, kGap);
    });
    EXPECT_TRUE(std::all_of(y.begin(), y.end(), [](unsigned char byte) { return byte == kGap; }))
        << "in a gap";
    EXPECT_TRUE(y.SurroundingsAreIntact());
  }
}

TEST(ColumnsKernels, EveryOneHasATest) {
  ExpectEveryMicrokernelHasATest(MicrokernelsOf(kPacks));
  ExpectEveryMicrokernelHasATest(MicrokernelsOf(kScales));
  ExpectEveryMicrokernelHasATest(MicrokernelsOf(kSubtracts));
  ExpectEveryMicrokernelHasATest(MicrokernelsOf(kPipeline));
}

}  // namespace
}  // namespace smx
