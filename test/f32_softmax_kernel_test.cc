// The microkernels of softmax and log-softmax of several short rows at a time: the bits of the kernels of one row, nothing touched outside the
// rows, and rows from one out of range on left as they are.
#include <float.h>
#include <math.h>

#include <algorithm>
#include <map>
#include <string>
#include <tuple>

#include "src/operators/row_sum.h"
#include "src/runtime/fp_environment.h"
#include "test/guarded_buffer.h"
#include "test/microkernel_fixture.h"

namespace smx {
namespace {

constexpr float kUntouched = -123.0f;

class SoftmaxKernel : public MicrokernelTest {
 protected:
  bool Is(const char* part) const { return strstr(kernel().kernel, part) != nullptr; }
  bool IsTransposed() const { return Is("transposed"); }
  bool IsLog() const { return Is("log"); }
  // The longest rows that the kernel takes.
  size_t LargestRow() const { return IsTransposed() ? 4 * SMX_LANES : IsLog() ? SMX_BLOCK : SMX_GROUPED; }
  // No variant has more rows under way: four groups of lanes, 16 at most, where rows are lanes. Rows of several blocks go one by one.
  size_t LargestGroup(size_t n = 1) const {
    return IsTransposed() ? 4 * 16 : n > SMX_BLOCK ? 3 : kernel().accumulators;
  }
  // A whole group and a part of one.
  size_t ManyRows(size_t n) const { return LargestGroup(n) + LargestGroup(n) / 2 + 1; }
  // All that are short, and a few others, of one to three blocks.
  std::vector<size_t> RowLengths() const {
    std::vector<size_t> lengths = FewSizes(kernel().tile);
    for (size_t more : {1, 33, 64, 100, 1024, 1100, 2047}) {
      if (!RunsSparseTests() || more == 33 || more == 2047) lengths.push_back(SMX_BLOCK + more);
    }
    for (size_t n = 1; n <= 4 * SMX_LANES + 1; n += n < 2 * SMX_LANES ? 1 : 5) lengths.push_back(n);
    lengths.erase(std::remove_if(lengths.begin(), lengths.end(), [&](size_t n) { return n > LargestRow(); }),
                  lengths.end());
    return lengths;
  }
  // Returns the number of rows that were done.
  size_t Run(size_t rows, size_t n, const float* x, size_t x_stride, float* y, size_t y_stride,
             const RowOptions& options = {}) const {
    const smx_fp_environment environment;
    return RunRows(kernel(), rows, n, x, x_stride, y, y_stride, options);
  }
  void ExpectBitsOfALoneRow(const RowFamily& family, size_t n) const;
};

INSTANTIATE_TEST_SUITE_P(List, SoftmaxKernel, testing::ValuesIn(AvailableMicrokernels("f32_softmax")),
                         TestName);
INSTANTIATE_TEST_SUITE_P(TransposedList, SoftmaxKernel,
                         testing::ValuesIn(AvailableMicrokernels("f32_softmax_transposed")), TestName);
INSTANTIATE_TEST_SUITE_P(LogList, SoftmaxKernel, testing::ValuesIn(AvailableMicrokernels("f32_log_softmax")),
                         TestName);
INSTANTIATE_TEST_SUITE_P(TransposedLogList, SoftmaxKernel,
                         testing::ValuesIn(AvailableMicrokernels("f32_log_softmax_transposed")), TestName);

// By the scalar kernels of one row.
std::vector<float> OneLogRow(const std::vector<float>& x) {
  const smx_fp_environment environment;
  std::vector<float> y(x.size());
  smx_f32_extended sum, largest;
  const auto sum_row = ScalarMicrokernel("f32_raddextexp").As<smx_f32_raddextexp_ukernel_fn>();
  sum_row(x.size(), x.data(), 0, &sum, &kExp);
  sum_row(1, &sum.max, 0, &largest, &kExp);
  const smx_f32_logarithm logarithm =
      smx_f32_logarithm_of(1.0f, static_cast<double>(sum.max), smx_log_above_max(&sum, &largest));
  ScalarMicrokernel("f32_vsubextc")
      .As<smx_f32_vsubextc_ukernel_fn>()(y.size(), x.data(), y.data(), &logarithm);
  return y;
}

std::vector<float> OneRow(bool is_log, const std::vector<float>& x) {
  if (is_log) return OneLogRow(x);
  const smx_fp_environment environment;
  std::vector<float> y =
      x;  // in place, the reference is that of the maximum, and one multiplication is enough
  smx_f32_extended sum;
  SumAndStore(ScalarMicrokernel("f32_raddstoreextexp"), y.size(), y.data(), y.data(), &sum);
  smx_f32_reciprocal reciprocal = smx_f32_reciprocal_of(&sum);
  reciprocal.exponent -= sum.reference - SMX_BIAS;
  ScalarMicrokernel("f32_vmulextc")
      .As<smx_f32_vmulextc_ukernel_fn>()(y.size(), y.data(), y.data(), &reciprocal);
  return y;
}

// The same for a row of a family. Kept, since every kernel is held against the same.
const std::vector<float>& OneRow(bool is_log, const RowFamily& family, size_t n, uint64_t seed) {
  static std::map<std::tuple<bool, std::string, size_t, uint64_t>, std::vector<float>> rows;
  std::vector<float>& y = rows[{is_log, family.name, n, seed}];
  if (y.empty()) y = OneRow(is_log, family.make(n, seed));
  return y;
}

bool IsInRange(const std::vector<float>& row) {
  float max = -INFINITY;
  for (float x : row) max = std::max(max, x);
  return smx_is_in_range(max, &kExp);
}

void SoftmaxKernel::ExpectBitsOfALoneRow(const RowFamily& family, size_t n) const {
  const std::vector<float> row = family.make(n, 0);
  if (!IsInRange(row)) return;
  GuardedBuffer<float> x(row), y(n);
  for (float* output : {y.data(), x.data()}) {
    EXPECT_EQ(Run(1, n, x.data(), n, output, n), 1u);
    EXPECT_TRUE(SameBits(output, OneRow(IsLog(), family, n, 0).data(), n)) << family.name << ", n = " << n;
  }
}

TEST_P(SoftmaxKernel, HasTheBitsOfOneRowAtATime) {
  for (const RowFamily& family : FiniteRows()) {
    for (const size_t n : RowLengths()) {
      const size_t rows = ManyRows(n);
      ExpectBitsOfALoneRow(family, n);
      std::vector<std::vector<float>> x, expected;
      for (uint64_t seed = 0; x.size() < rows && seed < 4 * rows; seed++) {
        const std::vector<float> row = family.make(n, seed);
        if (!IsInRange(row)) continue;
        x.push_back(row);
        expected.push_back(OneRow(IsLog(), family, n, seed));
      }
      GuardedBuffer<float> input(x.size() * n), output(x.size() * n);
      for (size_t r = 0; r < x.size(); r++) std::copy(x[r].begin(), x[r].end(), input.data() + r * n);
      EXPECT_EQ(Run(x.size(), n, input.data(), n, output.data(), n), x.size());
      EXPECT_EQ(Run(x.size(), n, input.data(), n, input.data(), n), x.size());
      for (size_t r = 0; r < x.size(); r++) {
        EXPECT_TRUE(SameBits(output.data() + r * n, expected[r].data(), n)) << family.name << ", n = " << n;
        EXPECT_TRUE(SameBits(input.data() + r * n, expected[r].data(), n))
            << family.name << ", in place, n = " << n;
      }
    }
  }
}

TEST_P(SoftmaxKernel, TouchesRowsOnly) {
  std::vector<size_t> lengths = SmallSizes(kernel().tile);
  for (size_t more : {1, 31, 40, 1024, 1027, 2047}) lengths.push_back(SMX_BLOCK + more);
  for (const size_t n : lengths) {
    if (n > LargestRow()) continue;
    const float one_nth = OneRow(IsLog(), std::vector<float>(n, 1.0f))[0];
    for (size_t rows : {size_t{1}, LargestGroup(n) - 1, LargestGroup(n) + 1}) {
      const size_t x_stride = n + 3, y_stride = n + 5;
      GuardedBuffer<float> x((rows - 1) * x_stride + n), y((rows - 1) * y_stride + n);
      std::fill_n(x.data(), x.size(), NAN);
      std::fill_n(y.data(), y.size(), kUntouched);
      for (size_t r = 0; r < rows; r++) std::fill_n(x.data() + r * x_stride, n, 1.0f);
      EXPECT_EQ(Run(rows, n, x.data(), x_stride, y.data(), y_stride), rows);
      for (size_t i = 0; i < y.size(); i++) {
        const float expected = i % y_stride < n ? one_nth : kUntouched;
        ASSERT_EQ(y.data()[i], expected) << "n = " << n << ", " << rows << " rows, at " << i;
      }
    }
  }
}

TEST_P(SoftmaxKernel, StopsBeforeARowOutOfRange) {
  for (size_t n : {size_t{30}, SMX_BLOCK + size_t{50}}) {
    if (n > LargestRow()) continue;
    const float one_nth = OneRow(IsLog(), std::vector<float>(n, 1.0f))[0];
    for (float max : {nextafterf(smx_range, INFINITY), INFINITY, nextafterf(-smx_range, -INFINITY), -FLT_MAX,
                      -INFINITY}) {
      for (size_t rows : {size_t{1}, LargestGroup(n) + 20}) {
        for (size_t bad = 0; bad < rows; bad++) {
          std::vector<float> x(rows * n, 1.0f), y(rows * n, kUntouched);
          std::fill_n(x.begin() + bad * n, n, max);
          if (bad + 3 < rows) std::fill_n(x.begin() + (bad + 3) * n, n, max);
          const size_t done = Run(rows, n, x.data(), n, y.data(), n);
          EXPECT_EQ(done, bad);
          for (size_t i = 0; i < y.size(); i++) ASSERT_EQ(y[i], i < done * n ? one_nth : kUntouched);
        }
      }
    }
  }
}

TEST_P(SoftmaxKernel, NanMakesItsRowNan) {
  const size_t n = 30;
  const float one_nth = OneRow(IsLog(), std::vector<float>(n, 1.0f))[0];
  // Arithmetic would hand on signs and payloads.
  for (uint32_t nan : {0x7FC00000u, 0xFFC00000u, 0x7FC12345u, 0xFF800001u}) {
    for (size_t at = 0; at < 2 * n; at++) {
      const size_t rows = at < n ? 1 : LargestGroup();
      std::vector<float> x(rows * n, 1.0f), y(rows * n, kUntouched);
      x[(rows - 1) * n + at % n] = FromBits(nan);
      // A kernel may leave the row to the caller, or do it.
      const size_t done = Run(rows, n, x.data(), n, y.data(), n);
      for (size_t i = 0; i < done * n; i++) {
        const bool in_nan_row = i / n == rows - 1;
        ASSERT_EQ(Bits(y[i]), in_nan_row ? 0x7FC00000 : Bits(one_nth)) << i << " of NaN at " << at;
      }
    }
  }
}

using StreamingSoftmaxKernel = SoftmaxKernel;
INSTANTIATE_TEST_SUITE_P(List, StreamingSoftmaxKernel,
                         testing::ValuesIn(AvailableMicrokernels("f32_softmax")), TestName);
INSTANTIATE_TEST_SUITE_P(LogList, StreamingSoftmaxKernel,
                         testing::ValuesIn(AvailableMicrokernels("f32_log_softmax")), TestName);

TEST_P(StreamingSoftmaxKernel, HasTheBitsOfWhatIsStored) {
  for (const size_t n : RowLengths()) {
    const size_t rows = 2 * LargestGroup(n) + 1;
    const size_t y_stride = (n + SMX_LANES - 1) / SMX_LANES * SMX_LANES;
    const std::vector<float> x = NormalRow(rows * n, 4.0f, n);
    std::vector<float> mask(n);
    for (size_t i = 0; i < n; i++) mask[i] = static_cast<float>(i % 7);
    std::vector<float> stored(rows * y_stride, kUntouched);
    GuardedBuffer<float> streamed(stored);
    for (const float* row_mask :
         {static_cast<const float*>(nullptr), static_cast<const float*>(mask.data())}) {
      RowOptions options = {IsLog() ? nullptr : row_mask, 0, 0.5f, false};
      ASSERT_EQ(Run(rows, n, x.data(), n, stored.data(), y_stride, options), rows);
      options.streams = true;
      ASSERT_EQ(Run(rows, n, x.data(), n, streamed.data(), y_stride, options), rows);
      EXPECT_TRUE(SameBits(streamed.data(), stored.data(), stored.size())) << "n = " << n;
      EXPECT_TRUE(streamed.SurroundingsAreIntact());
    }
  }
}

using MaskedSoftmaxKernel = SoftmaxKernel;
INSTANTIATE_TEST_SUITE_P(MaskedList, MaskedSoftmaxKernel,
                         testing::ValuesIn(AvailableMicrokernels("f32_softmax")), TestName);
INSTANTIATE_TEST_SUITE_P(MaskedTransposedList, MaskedSoftmaxKernel,
                         testing::ValuesIn(AvailableMicrokernels("f32_softmax_transposed")), TestName);

// Beyond every row lies a page that cannot be touched, or what is not to be.
TEST_P(MaskedSoftmaxKernel, HasTheBitsOfLogitsThatAreMadeFirst) {
  const Microkernel& add_mask = ScalarMicrokernel("f32_vaddmask");
  for (const size_t n : RowLengths()) {
    for (const size_t mask_stride : {size_t{0}, n, n + 3}) {
      for (const size_t rows : {size_t{1}, ManyRows(n)}) {
        const size_t x_stride = n + 1, y_stride = n + 5;
        GuardedBuffer<float> x((rows - 1) * x_stride + n), y((rows - 1) * y_stride + n);
        GuardedBuffer<float> mask((rows - 1) * mask_stride + n);
        for (size_t i = 0; i < x.size(); i++) x.data()[i] = static_cast<float>(i % 97) - 20.0f;
        for (size_t i = 0; i < mask.size(); i++) {
          mask.data()[i] = i % 5 == 3 && n > 5 ? -INFINITY : static_cast<float>(i % 13);
          const bool hides = mask_stride == n && n <= SMX_BLOCK;
          if (mask.data()[i] == -INFINITY && hides) x.data()[i / n * x_stride + i % n] = NAN;
        }
        std::vector<float> logits((rows - 1) * n + n), expected(logits.size());
        for (size_t r = 0; r < rows; r++) {
          const smx_fp_environment environment;
          add_mask.As<smx_f32_vaddmask_ukernel_fn>()(
              n, x.data() + r * x_stride, mask.data() + r * mask_stride, logits.data() + r * n, 0.37f);
        }
        ASSERT_EQ(Run(rows, n, logits.data(), n, expected.data(), n), rows);
        std::fill_n(y.data(), y.size(), kUntouched);
        const RowOptions options = {mask.data(), mask_stride, 0.37f};
        ASSERT_EQ(Run(rows, n, x.data(), x_stride, y.data(), y_stride, options), rows);
        for (size_t i = 0; i < y.size(); i++) {
          const size_t r = i / y_stride, column = i % y_stride;
          const float result = column < n ? expected[r * n + column] : kUntouched;
          ASSERT_EQ(y.data()[i], result) << "n = " << n << ", row " << r << ", " << column;
        }
        ASSERT_EQ(Run(rows, n, x.data(), x_stride, x.data(), x_stride, options), rows);
        for (size_t r = 0; r < rows; r++) {
          ASSERT_TRUE(SameBits(x.data() + r * x_stride, expected.data() + r * n, n)) << "in place, n = " << n;
        }
      }
    }
  }
}

TEST_P(MaskedSoftmaxKernel, StopsBeforeARowWhoseLogitsAreOutOfRange) {
  for (size_t n : {size_t{30}, size_t{SMX_BLOCK}, size_t{SMX_BLOCK + 77}}) {
    if (n > LargestRow()) continue;
    const size_t rows = LargestGroup(n) + 20;
    const std::vector<float> x(rows * n, 1.0f);
    const float one_nth = OneRow(false, std::vector<float>(n, 1.0f))[0];
    for (size_t bad = 0; bad < rows; bad++) {
      std::vector<float> mask(rows * n, 0.0f), y(rows * n, kUntouched);
      std::fill_n(mask.begin() + bad * n, n, -INFINITY);
      ASSERT_EQ(Run(rows, n, x.data(), n, y.data(), n, {mask.data(), n, 1.0f}), bad);
      for (size_t i = 0; i < y.size(); i++) ASSERT_EQ(y[i], i < bad * n ? one_nth : kUntouched);
    }
  }
}

using RowsAsLanesKernel = SoftmaxKernel;
INSTANTIATE_TEST_SUITE_P(TransposedList, RowsAsLanesKernel,
                         testing::ValuesIn(AvailableMicrokernels("f32_softmax_transposed")), TestName);

// Behind the mask's last row lies a page that cannot be touched.
TEST_P(RowsAsLanesKernel, BeginsAMaskAnew) {
  for (const size_t n : {1, 3, 8, 17, 40}) {
    for (const size_t mask_rows : {SMX_LANES, 3 * SMX_LANES}) {
      const size_t rows = ManyRows(n) + SMX_LANES;
      const std::vector<float> x = NormalRow(rows * n, 4.0f, n);
      GuardedBuffer<float> mask(NormalRow(mask_rows * n, 4.0f, n + 1));
      std::vector<float> repeated(rows * n), y(rows * n), expected(rows * n);
      for (size_t i = 0; i < repeated.size(); i++) repeated[i] = mask.data()[i % mask.size()];
      ASSERT_EQ(Run(rows, n, x.data(), n, expected.data(), n, {repeated.data(), n, 0.37f}), rows);
      RowOptions options = {mask.data(), n, 0.37f};
      options.mask_rows = mask_rows;
      ASSERT_EQ(Run(rows, n, x.data(), n, y.data(), n, options), rows);
      EXPECT_TRUE(SameBits(y.data(), expected.data(), y.size()))
          << "n = " << n << ", " << mask_rows << " rows";
    }
  }
}

// Rows of a triangle's elements, and of the next one's, up to `rows`; beyond them there is what is not to be touched.
struct Triangles {
  size_t shortest;
  size_t growth;
  size_t growing_rows;
  size_t rows;

  size_t Length(size_t r) const { return shortest + r % growing_rows * growth; }
  size_t Longest() const { return Length(std::min(rows, growing_rows) - 1); }
};

std::vector<Triangles> TrianglesOfLanes(size_t many_rows) {
  std::vector<Triangles> triangles;
  for (const size_t shortest : {1, 4, 8, 29}) {
    for (const size_t growth : {1, 3}) {
      const size_t most = (2 * SMX_LANES - shortest) / growth + 1;
      for (const size_t growing_rows : {size_t{1}, most / 2 + 1, most}) {
        triangles.push_back({shortest, growth, growing_rows, many_rows});
      }
      triangles.push_back({shortest, growth, SIZE_MAX, most});
    }
  }
  return triangles;
}

TEST_P(RowsAsLanesKernel, TakesRowsThatGrowAndBeginAnew) {
  for (const Triangles& of : TrianglesOfLanes(ManyRows(1))) {
    const size_t longest = of.Longest(), stride = longest + 2, y_stride = longest + 3;
    // None, one for all, one for every row, and one that begins anew with the lengths or without them.
    const struct {
      size_t stride, rows;
    } masks[] = {{0, 0}, {0, SIZE_MAX}, {stride, SIZE_MAX}, {stride, SMX_LANES}};
    for (const auto& mask : masks) {
      const std::vector<float> every = NormalRow(of.rows * stride, 2.0f, longest);
      GuardedBuffer<float> x((of.rows - 1) * stride + of.Length(of.rows - 1)), biases(every);
      GuardedBuffer<float> y((of.rows - 1) * y_stride + longest);
      std::fill_n(x.data(), x.size(), NAN);
      if (mask.stride > 0 && mask.rows == SIZE_MAX) std::fill_n(biases.data(), biases.size(), NAN);
      std::fill_n(y.data(), y.size(), kUntouched);
      std::vector<float> expected(y.begin(), y.end());
      for (size_t r = 0; r < of.rows; r++) {
        const size_t length = of.Length(r);
        std::vector<float> row = NormalRow(length, 4.0f, r);
        std::copy(row.begin(), row.end(), x.data() + r * stride);
        for (size_t i = 0; mask.rows > 0 && i < length; i++) {
          const size_t at = r % mask.rows * mask.stride + i;
          biases[at] = every[at];
          row[i] = std::fma(0.37f, row[i], every[at]);
        }
        row = OneRow(false, row);
        std::copy(row.begin(), row.end(), expected.data() + r * y_stride);
        std::fill_n(expected.data() + r * y_stride + length, longest - length, 0.0f);
      }
      RowOptions options = {mask.rows > 0 ? biases.data() : nullptr, mask.stride, 0.37f};
      options.growth = static_cast<ptrdiff_t>(of.growth);
      options.growing_rows = of.growing_rows;
      if (mask.rows > 0) options.mask_rows = mask.rows;
      ASSERT_EQ(Run(of.rows, of.shortest, x.data(), stride, y.data(), y_stride, options), of.rows);
      EXPECT_TRUE(SameBits(y.data(), expected.data(), y.size()))
          << "n = " << of.shortest << ", growth " << of.growth << " for " << of.growing_rows
          << " rows, masks " << mask.stride << " apart";
    }
  }
}

TEST_P(RowsAsLanesKernel, StopsBeforeAGrowingRowOutOfRangeAndFillsOneThatHoldsNan) {
  constexpr size_t kShortest = 3, kGrowingRows = 9, kLongest = 11;
  const size_t rows = ManyRows(1) + SMX_LANES;
  for (const float wrong : {INFINITY, static_cast<float>(NAN)}) {
    for (size_t bad = 0; bad < rows; bad++) {
      std::vector<float> x(rows * kLongest, 1.0f), y(x.size(), kUntouched);
      x[bad * kLongest] = wrong;
      RowOptions options;
      options.growth = 1;
      options.growing_rows = kGrowingRows;
      const size_t done = Run(rows, kShortest, x.data(), kLongest, y.data(), kLongest, options);
      // A kernel may leave the row that holds NaN to the caller, or do it.
      ASSERT_TRUE(done == bad || (done == rows && std::isnan(wrong))) << done;
      for (size_t i = 0; i < y.size(); i++) {
        const size_t r = i / kLongest, length = kShortest + r % kGrowingRows;
        const float seen = r == bad ? wrong : 1.0f / static_cast<float>(length);
        const float result = i % kLongest < length ? seen : 0.0f;
        ASSERT_TRUE(SameBits(&y[i], r < done ? &result : &kUntouched, 1)) << "row " << r << " of " << bad;
      }
    }
  }
}

using SeveralRowsKernel = SoftmaxKernel;
INSTANTIATE_TEST_SUITE_P(List, SeveralRowsKernel, testing::ValuesIn(AvailableMicrokernels("f32_softmax")),
                         TestName);

// Of elements in a triangle, beyond which there is what is not to be touched.
TEST_P(SeveralRowsKernel, TakesRowsThatGrowOrShrink) {
  for (const ptrdiff_t growth : {ptrdiff_t{1}, ptrdiff_t{-1}, ptrdiff_t{7}}) {
    for (const size_t shortest : {1, 3, 17, 30, 60, 250, SMX_BLOCK + 1, SMX_BLOCK + 60, 2 * SMX_BLOCK + 9}) {
      if (growth < 0 && shortest > SMX_BLOCK) continue;
      const size_t rows = ManyRows(shortest);
      const size_t change = (rows - 1) * static_cast<size_t>(std::abs(growth));
      const size_t n = growth > 0 ? shortest : shortest + change, stride = shortest + change;
      for (const bool masks : {false, true}) {
        std::vector<float> x(rows * stride, NAN), y(x.size(), kUntouched), expected = y;
        const std::vector<float> mask = NormalRow(x.size(), 2.0f, n);
        for (size_t r = 0; r < rows; r++) {
          const size_t length = n + r * static_cast<size_t>(growth), at = r * stride;
          std::vector<float> row = NormalRow(length, 4.0f, r);
          std::copy(row.begin(), row.end(), x.data() + at);
          for (size_t i = 0; masks && i < length; i++) row[i] = std::fma(0.37f, row[i], mask[at + i]);
          row = OneRow(false, row);
          std::copy(row.begin(), row.end(), expected.data() + at);
        }
        const RowOptions options = {masks ? mask.data() : nullptr, stride, 0.37f, false, growth};
        ASSERT_EQ(Run(rows, n, x.data(), stride, y.data(), stride, options), rows);
        EXPECT_TRUE(SameBits(y.data(), expected.data(), y.size()))
            << "n = " << n << ", growth " << growth << (masks ? ", masked" : "");
      }
    }
  }
}

// A triangle of elements and zeros behind it, in cache and past it, and a row that holds NaN, where that does not count as out of range.
TEST_P(SeveralRowsKernel, FollowsRowsByZeros) {
  constexpr size_t kNanRow = 5;
  for (const size_t n : {1, 3, 16, 17, 60, 250, SMX_BLOCK + 1, SMX_BLOCK + 100}) {
    for (const ptrdiff_t growth : {ptrdiff_t{0}, ptrdiff_t{1}, ptrdiff_t{7}}) {
      for (const size_t rows : {size_t{1}, std::max(ManyRows(n), kNanRow + 1)}) {
        const size_t longest = n + (rows - 1) * static_cast<size_t>(growth);
        for (const size_t width :
             {longest, longest + 1, longest + 13, longest / 16 * 16 + 16, longest + 200}) {
          const size_t stride = (width + 15) / 16 * 16;
          for (const bool streams : {false, true}) {
            GuardedBuffer<float> y((rows - 1) * stride + width,
                                   streams ? GuardedEdge::kBeginning : GuardedEdge::kEnd);
            std::vector<float> x(rows * stride, NAN), expected(rows * stride, kUntouched);
            for (size_t r = 0; r < rows; r++) {
              const size_t length = n + r * static_cast<size_t>(growth), at = r * stride;
              std::vector<float> row = NormalRow(length, 4.0f, r);
              if (r == kNanRow) row[0] = NAN;
              std::copy(row.begin(), row.end(), x.data() + at);
              row = r == kNanRow ? std::vector<float>(length, NAN) : OneRow(false, row);
              std::copy(row.begin(), row.end(), expected.data() + at);
              std::fill(expected.data() + at + length, expected.data() + at + width, 0.0f);
            }
            std::fill_n(y.data(), y.size(), kUntouched);
            const RowOptions options = {nullptr, 0, 1.0f, streams, growth, width};
            const size_t done = Run(rows, n, x.data(), stride, y.data(), stride, options);
            if (done == kNanRow) continue;
            ASSERT_EQ(done, rows);
            EXPECT_TRUE(SameBits(y.data(), expected.data(), y.size()))
                << "n = " << n << ", growth " << growth << ", width " << width
                << (streams ? ", streams" : "");
            EXPECT_TRUE(y.SurroundingsAreIntact());
          }
        }
      }
    }
  }
}

// Behind every row's last element, which may be the last of a page, there is another's logit.
TEST_P(SeveralRowsKernel, TakesSinks) {
  for (const size_t n : {1, 2, 15, 16, 17, 31, 32, 33, 63, 100, 127, 250, SMX_BLOCK - 33, SMX_BLOCK - 1}) {
    for (const size_t growth : {0, 1}) {
      for (const size_t sink_stride : {0, 1}) {
        for (const bool streams : {false, true}) {
          const size_t rows = n + growth * ManyRows(n) < SMX_BLOCK && n % 2 == 1 ? ManyRows(n) : 1;
          const size_t longest = n + growth * (rows - 1), width = longest + 3, x_stride = longest + 5;
          const size_t y_stride = (width + SMX_LANES - 1) / SMX_LANES * SMX_LANES;
          GuardedBuffer<float> x((rows - 1) * x_stride + longest);
          GuardedBuffer<float> y((rows - 1) * y_stride + width,
                                 streams ? GuardedEdge::kBeginning : GuardedEdge::kEnd);
          GuardedBuffer<float> mask(NormalRow(longest, 2.0f, n));
          const GuardedBuffer<float> sinks(NormalRow(sink_stride * (rows - 1) + 1, 4.0f, n));
          std::fill_n(x.data(), x.size(), NAN);
          std::fill_n(y.data(), y.size(), kUntouched);
          std::vector<float> expected(y.begin(), y.end());
          if (n > 16) mask[0] = -INFINITY;
          for (size_t r = 0; r < rows; r++) {
            const size_t length = n + growth * r;
            std::vector<float> row = NormalRow(length, 4.0f, r);
            if (n > 16 && r == rows / 2) row[0] = NAN;  // hidden
            std::copy(row.begin(), row.end(), x.data() + r * x_stride);
            for (size_t i = 0; i < length; i++) {
              row[i] = mask[i] == -INFINITY ? -INFINITY : std::fma(0.37f, row[i], mask[i]);
            }
            row.push_back(sinks[sink_stride * r]);
            row = OneRow(false, row);
            row.back() = 0.0f;
            row.resize(width, 0.0f);
            std::copy(row.begin(), row.end(), expected.data() + r * y_stride);
          }
          RowOptions options = {mask.data(), 0, 0.37f, streams, static_cast<ptrdiff_t>(growth), width};
          options.sinks = sinks.data();
          options.sink_stride = sink_stride;
          ASSERT_EQ(Run(rows, n, x.data(), x_stride, y.data(), y_stride, options), rows);
          EXPECT_TRUE(SameBits(y.data(), expected.data(), y.size())) << "n = " << n << ", growth " << growth;
          EXPECT_TRUE(y.SurroundingsAreIntact());
        }
      }
    }
  }
}

TEST_P(SeveralRowsKernel, StopsBeforeASinkOutOfRange) {
  const size_t n = 30, rows = LargestGroup(n) + 5;
  const std::vector<float> x(rows * n, 1.0f), mask(n, 0.0f);
  const std::vector<float> one_nth = OneRow(false, std::vector<float>(n + 1, 1.0f));
  for (size_t bad = 0; bad < rows; bad++) {
    std::vector<float> sinks(rows, 1.0f), y(rows * n, kUntouched);
    sinks[bad] = INFINITY;
    RowOptions options = {mask.data(), 0, 1.0f};
    options.sinks = sinks.data();
    options.sink_stride = 1;
    ASSERT_EQ(Run(rows, n, x.data(), n, y.data(), n, options), bad);
    for (size_t i = 0; i < y.size(); i++) ASSERT_EQ(y[i], i < bad * n ? one_nth[0] : kUntouched);
  }
}

// The largest element may be anywhere, and below what is within the range.
TEST_P(SeveralRowsKernel, FindsTheLargestElementOfSeveralBlocks) {
  const size_t rows = 3;
  for (const size_t n :
       {size_t{SMX_BLOCK + 1}, size_t{SMX_BLOCK + 45}, size_t{2 * SMX_BLOCK}, size_t{SMX_GROUPED}}) {
    for (const size_t at : {size_t{0}, size_t{SMX_BLOCK - 1}, size_t{SMX_BLOCK}, n - 1}) {
      std::vector<float> x(rows * n, -2.0f * smx_range), y(rows * n);
      for (size_t r = 0; r < rows; r++) x[r * n + at] = 100.0f * static_cast<float>(r);
      ASSERT_EQ(Run(rows, n, x.data(), n, y.data(), n), rows);
      for (size_t i = 0; i < y.size(); i++) ASSERT_EQ(y[i], i % n == at ? 1.0f : 0.0f) << n << " " << at;
    }
  }
}

// Rows found by a search among millions: were the sum of their first block to begin at the last one's anchor, a result would be another.
TEST_P(SeveralRowsKernel, BeginsBlocksAtAnchorsOfTheirOwn) {
  constexpr size_t kSeveralRows = 2, n = 1100;
  for (const uint32_t seed : {35438u, 69455u, 180718u, 257789u, 301038u, 304109u}) {
    uint32_t state = seed * 2654435761u + 1;
    std::vector<float> row(n);
    for (size_t i = 0; i < n; i++) {
      state = state * 1664525u + 1013904223u;
      const float below = i < SMX_BLOCK ? static_cast<float>(seed % 16) * 0.7f : 0.0f;
      row[i] = static_cast<float>(state >> 8) * 0x1p-24f * static_cast<float>((seed >> 4) % 8) - below;
    }
    std::vector<float> x = row, y(kSeveralRows * n);
    x.insert(x.end(), row.begin(), row.end());
    ASSERT_EQ(Run(kSeveralRows, n, x.data(), n, y.data(), n), kSeveralRows);
    const std::vector<float> expected = OneRow(false, row);
    for (size_t r = 0; r < kSeveralRows; r++) {
      EXPECT_TRUE(SameBits(y.data() + r * n, expected.data(), n)) << "seed " << seed << ", row " << r;
    }
  }
}

// Whether it computes the row or leaves it to the caller.
TEST_P(SeveralRowsKernel, NanThatAMaskOfSeveralBlocksHidesMakesNothingNan) {
  const size_t rows = 5, n = SMX_BLOCK + 90;
  const float one_nth = OneRow(false, std::vector<float>(n - 1, 1.0f))[0];
  for (size_t bad = 0; bad < rows; bad++) {
    for (size_t at : {size_t{3}, size_t{SMX_BLOCK}, n - 1}) {
      std::vector<float> x(rows * n, 1.0f), mask(rows * n, 0.0f), y(rows * n, kUntouched);
      for (size_t r = 0; r < rows; r++) mask[r * n + at] = -INFINITY;
      x[bad * n + at] = NAN;
      const size_t done = Run(rows, n, x.data(), n, y.data(), n, {mask.data(), n, 1.0f});
      ASSERT_TRUE(done == bad || done == rows) << done;
      for (size_t i = 0; i < y.size(); i++) {
        const float result = i % n == at ? 0.0f : one_nth;
        ASSERT_EQ(y[i], i < done * n ? result : kUntouched) << "row " << bad << ", at " << at;
      }
    }
  }
}

TEST(SoftmaxKernels, EveryOneHasATest) {
  ExpectEveryMicrokernelHasATest(AvailableMicrokernels("f32_softmax"));
  ExpectEveryMicrokernelHasATest(AvailableMicrokernels("f32_softmax_transposed"));
  ExpectEveryMicrokernelHasATest(AvailableMicrokernels("f32_log_softmax"));
  ExpectEveryMicrokernelHasATest(AvailableMicrokernels("f32_log_softmax_transposed"));
}

}  // namespace
}  // namespace smx
