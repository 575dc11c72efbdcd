// Softmax over rows of floats: what include/smxpack.h says of its results, on every ISA that can run here.
#include <float.h>
#include <gtest/gtest.h>
#include <inttypes.h>
#include <math.h>
#include <pthreadpool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "include/smxpack.h"
#include "src/gen/microkernels.h"
#include "src/kernels/extended.h"
#include "src/plan/softmax_plan.h"
#include "test/golden_bits.h"
#include "test/isas.h"
#include "test/rows.h"
#include "test/softmax_tester.h"
#include "test/ulp.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace smx {
namespace {

using Row = std::vector<float>;

constexpr uint32_t kAllFlags[] = {0, SMX_FLAG_MASKED_ROWS_TO_ZERO};

std::vector<std::string> NamesOf(const std::vector<RowFamily>& families) {
  std::vector<std::string> names;
  for (const RowFamily& family : families) names.push_back(family.name);
  return names;
}

float FromBits(uint32_t bits) {
  float f;
  memcpy(&f, &bits, sizeof(f));
  return f;
}

class SoftmaxNcF32 : public testing::TestWithParam<std::string> {
 protected:
  SoftmaxTester Tester() const { return SoftmaxTester().isa(GetParam()); }
};

INSTANTIATE_TEST_SUITE_P(, SoftmaxNcF32, testing::ValuesIn(AvailableIsas()),
                         [](const auto& info) { return info.param; });

// --- The cases of XNNPACK's own tests of softmax_nc_f32 ---

TEST_P(SoftmaxNcF32, SingleClass) {
  Tester().channels(1).iterations(100).TestF32();
}

TEST_P(SoftmaxNcF32, TwoClasses) {
  Tester().channels(2).iterations(100).TestF32();
}

TEST_P(SoftmaxNcF32, ManyClasses) {
  for (size_t channels = 3; channels <= 100; channels++) Tester().channels(channels).TestF32();
}

TEST_P(SoftmaxNcF32, CifarClasses) {
  Tester().channels(10).iterations(15).TestF32();
  Tester().channels(100).iterations(15).TestF32();
}

TEST_P(SoftmaxNcF32, ImagenetClasses) {
  for (size_t channels : {1000, 1001, 21841}) Tester().channels(channels).iterations(10).TestF32();
}

// A small batch, and one of several tasks.
class SoftmaxNcF32Batch : public testing::TestWithParam<std::tuple<std::string, size_t>> {
 protected:
  SoftmaxTester Tester(size_t channels) const {
    const auto& [isa, rows] = GetParam();
    return SoftmaxTester().isa(isa).channels(channels).rows(rows).iterations(rows == 3 ? 3 : 1);
  }
};

INSTANTIATE_TEST_SUITE_P(, SoftmaxNcF32Batch,
                         testing::Combine(testing::ValuesIn(AvailableIsas()), testing::Values(3, 500)),
                         [](const auto& info) {
                           return std::get<0>(info.param) + "_" + std::to_string(std::get<1>(info.param)) +
                                  "_rows";
                         });

TEST_P(SoftmaxNcF32Batch, Contiguous) {
  for (size_t channels = 1; channels < 100; channels += 5) Tester(channels).TestF32();
}

TEST_P(SoftmaxNcF32Batch, WithInputStride) {
  for (size_t channels = 1; channels < 100; channels += 5) Tester(channels).input_stride(129).TestF32();
}

TEST_P(SoftmaxNcF32Batch, WithOutputStride) {
  for (size_t channels = 1; channels < 100; channels += 5) Tester(channels).output_stride(117).TestF32();
}

TEST_P(SoftmaxNcF32Batch, WithInputAndOutputStride) {
  for (size_t channels = 1; channels < 100; channels += 5) {
    Tester(channels).input_stride(129).output_stride(117).TestF32();
  }
}

TEST_P(SoftmaxNcF32Batch, InPlaceWithStride) {
  for (size_t channels = 1; channels < 100; channels += 5)
    Tester(channels).input_stride(129).in_place(true).TestF32();
}

TEST_P(SoftmaxNcF32Batch, Multithreaded) {
  for (size_t channels = 1; channels < 100; channels += 5) {
    Tester(channels).input_stride(129).output_stride(117).threads(3).TestF32();
  }
}

// --- Accuracy ---

class SoftmaxNcF32Accuracy : public testing::TestWithParam<std::string> {
 protected:
  // The bits are the same on every ISA; the error is measured once.
  void TestRow(size_t channels, uint64_t seed) {
    const Row row = MakeRow(GetParam(), Capped(channels), seed);
    Row first;
    for (const std::string& isa : AvailableIsas()) {
      const Row y = SoftmaxTester().isa(isa).Run({row})[0];
      if (first.empty()) {
        first = y;
        ASSERT_TRUE(IsExactEnough(y, ReferenceSoftmax(row), &worst_)) << isa << ", seed " << seed;
      }
      ASSERT_TRUE(SameBits(y, first)) << isa << ", seed " << seed;
    }
  }

  void TearDown() override {
    printf("%s: at most %.3f ULP\n", GetParam().c_str(), worst_);
    RecordProperty("worst_ulp", std::to_string(worst_));
  }

  double worst_ = 0.0;
};

INSTANTIATE_TEST_SUITE_P(, SoftmaxNcF32Accuracy,
                         testing::Values("normal_1", "normal_4", "normal_30", "uniform_100", "uniform_1000"),
                         [](const auto& info) { return info.param; });

TEST_P(SoftmaxNcF32Accuracy, ShortRows) {
  for (size_t channels = 1; channels <= 140; channels++) {
    for (uint64_t seed = 1; seed <= 20; seed++) ASSERT_NO_FATAL_FAILURE(TestRow(channels, seed));
  }
}

TEST_P(SoftmaxNcF32Accuracy, LongRows) {
  for (size_t power = 8; power <= 17; power++) {
    for (size_t channels : {(size_t{1} << power) - 1, size_t{1} << power, (size_t{1} << power) + 1}) {
      ASSERT_NO_FATAL_FAILURE(TestRow(channels, power));
    }
  }
  ASSERT_NO_FATAL_FAILURE(TestRow(size_t{1} << 20, 20));
}

class SoftmaxNcF32LongestRow : public SoftmaxNcF32Accuracy {};

INSTANTIATE_TEST_SUITE_P(, SoftmaxNcF32LongestRow, testing::Values("normal_4"));

TEST_P(SoftmaxNcF32LongestRow, IsAsExact) {
  TestRow(size_t{1} << 24, 24);
}

// --- Edge cases ---

// Lengths of a part of a vector, of a block, of a tile, and of rows that take two passes in place and are split.
const size_t kEdgeLengths[] = {2, 31, 100, SMX_BLOCK + 1, SMX_TILE, 2 * SMX_TILE + 100};

// Around the limits of what the kernels compute without subtracting the row's maximum first, and 256 below, where
// elements stop to count beside a maximum at the limit.
const float kLimits[] = {smx_range - 100.0f,  smx_range - 1.0f,    smx_range,           smx_range + 1.0f,
                         smx_range + 300.0f,  -smx_range + 10.0f,  -smx_range,          -smx_range - 1.0f,
                         -smx_range - 100.0f, -smx_range - 255.0f, -smx_range - 256.0f, -smx_range - 257.0f};

class SoftmaxNcF32Edge : public SoftmaxNcF32 {
 protected:
  // The result of a row, after checking that it is the same in place, and split over threads.
  Row Softmax(const Row& row, uint32_t flags) const {
    const Row y = Tester().flags(flags).Run({row})[0];
    EXPECT_TRUE(SameBits(Tester().flags(flags).in_place(true).Run({row})[0], y)) << "in place";
    if (row.size() < 2 * SMX_TILE || flags != 0) return y;
    EXPECT_TRUE(SameBits(Tester().threads(2).Run({row})[0], y)) << "split";
    EXPECT_TRUE(SameBits(Tester().threads(2).in_place(true).Run({row})[0], y)) << "split, in place";
    return y;
  }

  // Under all flags.
  void ExpectSoftmax(const Row& row, const Row& expected) const {
    for (uint32_t flags : kAllFlags) {
      EXPECT_TRUE(SameBits(Softmax(row, flags), expected)) << "flags " << flags;
    }
  }
  void ExpectAll(const Row& row, float expected) const { ExpectSoftmax(row, Row(row.size(), expected)); }
  void ExpectNan(const Row& row) const { ExpectAll(row, FromBits(kNanBits)); }
  Row ExpectExact(const Row& row) const {
    const Row y = Softmax(row, 0);
    EXPECT_TRUE(IsExact(y, row, 0));
    EXPECT_TRUE(SameBits(Softmax(row, SMX_FLAG_MASKED_ROWS_TO_ZERO), y)) << "with the flag";
    return y;
  }
  // The scalar kernels' error is measured; the others have their bits.
  testing::AssertionResult IsExact(const Row& y, const Row& row, uint32_t flags) const {
    if (GetParam() == "scalar") return IsExactEnough(y, ExactSoftmax(row, flags));
    return SameBits(y, SoftmaxTester().flags(flags).Run({row})[0]);
  }
};

INSTANTIATE_TEST_SUITE_P(, SoftmaxNcF32Edge, testing::ValuesIn(AvailableIsas()),
                         [](const auto& info) { return info.param; });

// The places in a row that differ most.
std::vector<size_t> Places(size_t channels) {
  return {0, channels / 2, channels - 1};
}

TEST_P(SoftmaxNcF32Edge, SomeMinusInfinity) {
  for (size_t channels : kEdgeLengths) {
    for (size_t every : {2, 3, 50}) {
      Row row = NormalRow(channels, 4.0f, channels);
      for (size_t i = 0; i < channels; i++) row[i] = i % every == 0 ? -INFINITY : row[i];
      SCOPED_TRACE(testing::Message() << channels << " channels, every " << every);
      const Row y = ExpectExact(row);
      for (size_t i = 0; i < channels; i += every) ASSERT_EQ(y[i], 0.0f) << i;
    }
    for (size_t place : Places(channels)) {
      Row row(channels, -INFINITY);
      row[place] = -5.0f;
      Row expected(channels, 0.0f);
      expected[place] = 1.0f;
      SCOPED_TRACE(testing::Message() << channels << " channels, all but " << place);
      ExpectSoftmax(row, expected);
    }
  }
}

TEST_P(SoftmaxNcF32Edge, AllMinusInfinity) {
  for (size_t channels = 1; channels <= 100; channels++) {
    const Row row(channels, -INFINITY);
    EXPECT_TRUE(SameBits(Softmax(row, 0), Row(channels, FromBits(kNanBits))));
    EXPECT_TRUE(SameBits(Softmax(row, SMX_FLAG_MASKED_ROWS_TO_ZERO), Row(channels, 0.0f)));
  }
  for (size_t channels : kEdgeLengths) {
    const Row row(channels, -INFINITY);
    EXPECT_TRUE(SameBits(Softmax(row, 0), Row(channels, FromBits(kNanBits))));
    EXPECT_TRUE(SameBits(Softmax(row, SMX_FLAG_MASKED_ROWS_TO_ZERO), Row(channels, 0.0f)));
  }
}

TEST_P(SoftmaxNcF32Edge, MaskedRowsAmongOthers) {
  const Row finite = NormalRow(100, 4.0f, 1);
  const Row masked(100, -INFINITY);
  const Row expected = Softmax(finite, 0);
  for (uint32_t flags : kAllFlags) {
    const Row of_masked(100, flags == 0 ? FromBits(kNanBits) : 0.0f);
    const SoftmaxTester::Rows y = Tester().flags(flags).Run({finite, masked, finite, masked, masked, finite});
    for (size_t i : {0, 2, 5}) EXPECT_TRUE(SameBits(y[i], expected)) << "row " << i;
    for (size_t i : {1, 3, 4}) EXPECT_TRUE(SameBits(y[i], of_masked)) << "row " << i;
  }
}

TEST_P(SoftmaxNcF32Edge, AnyNan) {
  // Quiet, signalling, of both signs, with and without a payload.
  const uint32_t nans[] = {0x7FC00000, 0xFFC00000, 0x7F800001, 0xFF800001,
                           0x7FFFFFFF, 0xFFFFFFFF, 0x7FC12345};
  for (size_t channels : kEdgeLengths) {
    for (size_t place : Places(channels)) {
      for (uint32_t nan : nans) {
        Row row = NormalRow(channels, 4.0f, channels);
        row[place] = FromBits(nan);
        SCOPED_TRACE(testing::Message() << channels << " channels, " << std::hex << nan << " at " << place);
        ExpectNan(row);
      }
      for (float others :
           {0.0f, -INFINITY, INFINITY, -1e9f, -FLT_MAX, FLT_MAX, 1000.0f, -1000.0f, 2e5f, -2e5f, 1e-40f}) {
        Row row(channels, others);
        row[place] = NAN;
        SCOPED_TRACE(testing::Message() << channels << " channels of " << others << ", NaN at " << place);
        ExpectNan(row);
      }
    }
  }
  ExpectNan({NAN});
  ExpectNan({FromBits(0xFF800001)});
}

// A tile that holds NaN or +inf beside tiles with another reference exponent.
TEST_P(SoftmaxNcF32Edge, NanAndInfinityBesideTilesOfAnyLevel) {
  std::vector<float> levels(std::begin(kLimits), std::end(kLimits));
  for (float level : {-1e9f, -1000.0f, -40.0f, 0.0f, 40.0f, 700.0f, 1000.0f, 1e9f}) levels.push_back(level);
  for (float level : levels) {
    for (float special : {NAN, INFINITY}) {
      for (size_t place : {size_t{0}, size_t{SMX_TILE} + 5, size_t{2 * SMX_TILE + 99}}) {
        Row row(2 * SMX_TILE + 100, level);
        const size_t tile = place / SMX_TILE * SMX_TILE;
        std::fill(row.begin() + tile, row.begin() + std::min(tile + SMX_TILE, row.size()), 0.0f);
        row[place] = special;
        SCOPED_TRACE(testing::Message() << special << " at " << place << " beside " << level);
        ExpectNan(row);
      }
    }
  }
}

TEST_P(SoftmaxNcF32Edge, PlusInfinity) {
  for (size_t channels : kEdgeLengths) {
    for (size_t place : Places(channels)) {
      for (float others : {0.0f, -INFINITY, INFINITY, -1e9f, FLT_MAX, -FLT_MAX, 2e5f}) {
        Row row(channels, others);
        row[place] = INFINITY;
        SCOPED_TRACE(testing::Message() << channels << " channels of " << others << ", +inf at " << place);
        ExpectNan(row);
      }
    }
  }
  ExpectNan({INFINITY});
}

// From denormals to FLT_MAX.
std::vector<float> Magnitudes() {
  std::vector<float> magnitudes(std::begin(kLimits), std::end(kLimits));
  for (float x :
       {0.0f, 1e-45f, 1e-40f,    FLT_MIN,   1.0f,      11.1f, 30.5f, 87.4f, 88.8f, 104.0f,  709.9f,
        1e4f, 2e5f,   262143.0f, 262144.0f, 262145.0f, 1e6f,  1e9f,  1e20f, 3e38f, 3.4e38f, FLT_MAX}) {
    magnitudes.push_back(x);
    magnitudes.push_back(-x);
  }
  return magnitudes;
}

TEST_P(SoftmaxNcF32Edge, OneElement) {
  for (float x : Magnitudes()) {
    SCOPED_TRACE(x);
    ExpectSoftmax({x}, {1.0f});
  }
}

TEST_P(SoftmaxNcF32Edge, EqualElements) {
  for (size_t channels : {2, 3, 10, 31, 100, 1000, 3 * SMX_BLOCK + 1, 2 * SMX_TILE + 101}) {
    for (float x : Magnitudes()) {
      SCOPED_TRACE(testing::Message() << channels << " channels of " << x);
      for (uint32_t flags : kAllFlags) {
        const Row y = Softmax(Row(channels, x), flags);
        ASSERT_TRUE(SameBits(y, Row(channels, y[0])));
        ASSERT_LE(UlpError(y[0], 1.0L / static_cast<long double>(channels)), 1.0);
      }
    }
  }
}

TEST_P(SoftmaxNcF32Edge, LargestOfBothSigns) {
  for (float large : {3.4e38f, FLT_MAX, 3e38f, 1e30f, 1e9f}) {
    for (size_t channels : kEdgeLengths) {
      for (size_t place : Places(channels)) {
        Row row(channels, -large);
        row[place] = large;
        Row expected(channels, 0.0f);
        expected[place] = 1.0f;
        SCOPED_TRACE(testing::Message() << channels << " channels, " << large << " at " << place);
        ExpectSoftmax(row, expected);
      }
      Row row(channels, large);
      for (size_t i = 1; i < channels; i += 2) row[i] = -large;
      SCOPED_TRACE(testing::Message() << channels << " channels, alternating");
      ExpectExact(row);
    }
  }
}

TEST_P(SoftmaxNcF32Edge, DenormalsCountAsZero) {
  for (size_t channels : kEdgeLengths) {
    const Row zeros(channels, 0.0f);
    ExpectSoftmax(MakeRow("denormal", channels, 7), Softmax(zeros, 0));
    Row with_denormals = NormalRow(channels, 4.0f, channels);
    Row with_zeros = with_denormals;
    for (size_t i = 0; i < channels; i += 3) {
      with_denormals[i] = i % 2 == 0 ? 1e-40f : -1e-45f;
      with_zeros[i] = 0.0f;
    }
    ExpectSoftmax(with_denormals, Softmax(with_zeros, 0));
  }
}

TEST_P(SoftmaxNcF32Edge, ResultsBelowFltMinAreZero) {
  for (size_t channels : kEdgeLengths) {
    for (float below : {86.0f, 87.2f, 87.33f, 87.34f, 87.4f, 88.0f, 95.0f, 103.0f, 104.0f, 120.0f}) {
      for (float largest : {0.0f, 50.0f, -300.0f, 1e5f}) {
        Row row(channels, largest - below);
        row[channels / 2] = largest;
        SCOPED_TRACE(testing::Message() << channels << " channels, " << below << " below " << largest);
        ExpectExact(row);
      }
    }
    ExpectExact(MakeRow("fading", channels, channels));
  }
}

// A finite mask on [start, end) of ordinary logits.
struct Mask {
  const char* name;
  size_t start, end;
};

std::vector<Mask> Masks(size_t channels) {
  return {{"the first element", 0, 1},
          {"the last element", channels - 1, channels},
          {"the first half", 0, channels / 2},
          {"the second half", channels / 2, channels},
          {"the first block", 0, SMX_BLOCK},
          {"the second block", SMX_BLOCK, 2 * SMX_BLOCK},
          {"the first tile", 0, SMX_TILE},
          {"the second tile", SMX_TILE, 2 * SMX_TILE},
          {"all but the first block", SMX_BLOCK, channels},
          {"all but the first tile", SMX_TILE, channels},
          {"all but the last tile", 0, 2 * SMX_TILE},
          {"all but the first element", 1, channels},
          {"all but the last element", 0, channels - 1}};
}

TEST_P(SoftmaxNcF32Edge, FiniteMasks) {
  for (float value :
       {-smx_range + 4.0f, -smx_range - 50.0f, -smx_range - 270.0f, -1e9f, -1e20f, -FLT_MAX, -INFINITY}) {
    for (size_t channels : {size_t{100}, size_t{3000}, size_t{2 * SMX_TILE + 100}}) {
      const Row logits = NormalRow(channels, 30.0f, channels);
      for (const Mask& mask : Masks(channels)) {
        if (mask.start >= mask.end || mask.end > channels || mask.end - mask.start == channels) continue;
        Row row = logits;
        for (size_t i = mask.start; i < mask.end; i++) row[i] = value;
        SCOPED_TRACE(testing::Message() << value << " on " << mask.name << " of " << channels);
        const Row y = ExpectExact(row);
        for (size_t i = mask.start; i < mask.end; i++) ASSERT_EQ(y[i], 0.0f) << i;
      }
    }
  }
}

// Pairs of values on both sides of the kernels' range, in one block, in different blocks and in different tiles.
TEST_P(SoftmaxNcF32Edge, LimitsOfTheRange) {
  std::vector<float> values(std::begin(kLimits), std::end(kLimits));
  for (float x : {0.0f, 1000.0f, 262145.0f, -262200.0f, -1e9f}) values.push_back(x);
  for (float first : values) {
    for (float rest : values) {
      for (size_t start : {size_t{7}, size_t{SMX_BLOCK}, size_t{SMX_TILE}}) {
        Row row = NormalRow(SMX_TILE + 50, 2.0f, 1);
        if (start == 7) row.resize(50);
        for (size_t i = 0; i < row.size(); i++) row[i] += i < start ? first : rest;
        SCOPED_TRACE(testing::Message() << first << " up to " << start << ", then " << rest);
        ExpectExact(row);
      }
    }
  }
}

// Blocks at levels drawn at random, half of the tiles at a single one. Three levels a row: of all the largest would
// always win.
Row LevelsRow(size_t channels, uint64_t seed) {
  std::vector<float> levels(std::begin(kLimits), std::end(kLimits));
  for (float x :
       {0.0f, 40.0f, -40.0f, 300.0f, -300.0f, 1e5f, -1e5f, 1e6f, -1e6f, -1e9f, -1e20f, -FLT_MAX, -INFINITY}) {
    levels.push_back(x);
  }
  SplitMix64 generator(seed);
  const auto draw = [&] { return levels[generator.Below(static_cast<uint32_t>(levels.size()))]; };
  const float allowed[] = {draw(), draw(), draw()};
  float of_tile = 0.0f, of_block = 0.0f;
  bool is_single = false;
  Row row(channels);
  for (size_t i = 0; i < channels; i++) {
    if (i % SMX_TILE == 0) {
      is_single = generator.Below(2) == 0;
      of_tile = allowed[generator.Below(3)];
    }
    if (i % SMX_BLOCK == 0) of_block = is_single ? of_tile : allowed[generator.Below(3)];
    row[i] = of_block + 3.0f * generator.Normal();
  }
  row[0] = std::max(row[0], -FLT_MAX);  // something is finite
  return row;
}

TEST_P(SoftmaxNcF32Edge, BlocksOfAnyLevel) {
  for (uint64_t seed = 1; seed <= 100; seed++) {
    const Row row = LevelsRow(seed % 2 == 0 ? 3 * SMX_BLOCK + 5 : 2 * SMX_TILE + 2500, seed);
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    ExpectExact(row);
  }
}

TEST_P(SoftmaxNcF32Edge, EveryFamily) {
  for (size_t channels : kEdgeLengths) {
    for (const std::vector<RowFamily>* families : {&FiniteRows(), &SpecialRows()}) {
      for (const RowFamily& family : *families) {
        const Row row = family.make(channels, channels);
        for (uint32_t flags : kAllFlags) {
          EXPECT_TRUE(IsExact(Softmax(row, flags), row, flags))
              << family.name << ", " << channels << " channels, flags " << flags;
        }
      }
    }
  }
}

// --- Identical bits ---

// The row's place in a batch, alignment, strides, in place and not; guard pages at either end.
TEST_P(SoftmaxNcF32, BitsAndBoundsInEveryLayout) {
  for (size_t channels = 1; channels <= 100; channels++) {
    for (GuardedEdge edge : {GuardedEdge::kEnd, GuardedEdge::kBeginning}) {
      for (size_t gap : {0, 1, 29}) {
        for (bool in_place : {false, true}) {
          for (size_t offset : {0, 1, 2, 4, 7, 8, 15}) {
            Tester()
                .rows(3)
                .channels(channels)
                .input_stride(channels + gap)
                .output_stride(channels + (gap == 1 ? 0 : gap))
                .in_place(in_place)
                .edge(edge)
                .offset(offset)
                .TestBits();
          }
        }
      }
    }
  }
}

TEST_P(SoftmaxNcF32, BitsAndBoundsOfLargeRows) {
  for (size_t channels :
       {1000, SMX_BLOCK - 1, SMX_BLOCK, SMX_BLOCK + 1, SMX_TILE - 1, SMX_TILE, SMX_TILE + 1, 40001}) {
    for (GuardedEdge edge : {GuardedEdge::kEnd, GuardedEdge::kBeginning}) {
      for (size_t gap : {0, 7}) {
        for (bool in_place : {false, true}) {
          Tester()
              .rows(2)
              .channels(channels)
              .input_stride(channels + gap)
              .in_place(in_place)
              .edge(edge)
              .TestBits();
        }
      }
    }
  }
}

TEST_P(SoftmaxNcF32, BitsOfEveryFamily) {
  for (const std::string& family : NamesOf(FiniteRows())) {
    for (size_t channels = 1; channels <= 70; channels++) {
      Tester().rows(2).channels(channels).family(family).TestBits();
      Tester().rows(2).channels(channels).family(family).in_place(true).TestBits();
    }
    for (size_t channels : {1000, 1023, 1024, 1025, 16383, 16384, 16385, 50000}) {
      for (size_t threads : {0, 2}) {
        Tester().channels(channels).family(family).threads(threads).TestBits();
        Tester().channels(channels).family(family).threads(threads).in_place(true).TestBits();
      }
    }
  }
}

constexpr size_t kThreads[] = {0, 1, 2, 3, 4, 8};

// Rows are spread over the threads.
TEST_P(SoftmaxNcF32, BitsOfBatchesOnAnyNumberOfThreads) {
  for (size_t channels : {5, 70, 1000, SMX_TILE + 1}) {
    for (size_t threads : kThreads) {
      for (bool in_place : {false, true}) {
        Tester()
            .rows(5 * SMX_TILE / channels + 5)
            .channels(channels)
            .input_stride(channels + 3)
            .threads(threads)
            .in_place(in_place)
            .TestBits();
      }
    }
  }
}

// Rows are split over the threads where there are fewer of them.
TEST_P(SoftmaxNcF32, BitsOfSplitRowsOnAnyNumberOfThreads) {
  for (const char* family : {"normal_4", "uniform_1000", "jumps", "mask_minus_1e9", "padded", "million"}) {
    for (size_t threads : kThreads) {
      Tester().channels(50000).family(family).threads(threads).TestBits();
      Tester().rows(2).channels(50000).family(family).threads(threads).in_place(true).TestBits();
    }
  }
}

TEST_P(SoftmaxNcF32, BitsOfVeryLongRows) {
  for (size_t threads : {0, 2, 8}) {
    for (bool in_place : {false, true}) {
      for (const char* family : {"normal_4", "jumps", "mask_minus_1e9"}) {
        Tester().channels(262144 + 3).family(family).threads(threads).in_place(in_place).TestBits();
      }
    }
  }
  // The second is longer than SMX_MAX_SPANS tiles.
  for (size_t channels : {(size_t{1} << 21) + 5, size_t{SMX_MAX_SPANS} * SMX_TILE + 5}) {
    Tester().channels(channels).family("jumps").TestBits();
    Tester().channels(channels).family("jumps").threads(3).in_place(true).TestBits();
  }
}

// No page between two rows may be touched.
TEST_P(SoftmaxNcF32, GapsBetweenRowsAreNotRead) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t page_floats = page / sizeof(float);
  constexpr size_t kRows = 3;
  void* memory = mmap(nullptr, 2 * kRows * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  float* pages = static_cast<float*>(memory);
  for (size_t i = 0; i < kRows; i++) {
    ASSERT_EQ(mprotect(pages + (2 * i + 1) * page_floats, page, PROT_NONE), 0);
  }
  UseIsa(GetParam());
  smx_operator_t op = nullptr;
  ASSERT_EQ(smx_create_softmax_nc_f32(0, &op), smx_status_success);
  for (size_t channels = 1; channels <= 200; channels++) {
    for (bool at_end : {false, true}) {
      float* first = pages + (at_end ? page_floats - channels : 0);
      for (size_t i = 0; i < kRows; i++) {
        const Row row = MakeRow("normal_4", channels, i + 1);
        memcpy(first + 2 * i * page_floats, row.data(), channels * sizeof(float));
      }
      const size_t stride = 2 * page_floats;
      ASSERT_EQ(smx_setup_softmax_nc_f32(op, kRows, channels, stride, stride, first, first),
                smx_status_success);
      ASSERT_EQ(smx_run_operator(op, nullptr), smx_status_success);
    }
  }
  EXPECT_EQ(smx_delete_operator(op), smx_status_success);
  munmap(memory, 2 * kRows * page);
}

uint64_t Fnv1a(uint64_t hash, const Row& row) {
  for (float x : row) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    for (int shift = 0; shift < 32; shift += 8) hash = (hash ^ (bits >> shift & 0xFF)) * 0x100000001B3;
  }
  return hash;
}

TEST_P(SoftmaxNcF32, GoldenBits) {
  for (const GoldenBits& golden : kGoldenBits) {
    uint64_t hash = 0xCBF29CE484222325;
    for (size_t channels : kGoldenLengths) {
      hash = Fnv1a(hash, Tester().Run({MakeRow(golden.family, channels, channels)})[0]);
    }
    char line[64];
    snprintf(line, sizeof(line), "{\"%s\", 0x%016" PRIx64 "},", golden.family, hash);
    EXPECT_EQ(hash, golden.hash) << "    " << line;
  }
}

// --- The floating-point environment ---

// A thread's control register and exception flags.
struct FpEnvironment {
  uint64_t control;
  uint64_t flags;

  friend bool operator==(const FpEnvironment& a, const FpEnvironment& b) {
    return a.control == b.control && a.flags == b.flags;
  }
};

#if defined(__x86_64__)
FpEnvironment GetFpEnvironment() {
  const uint32_t csr = _mm_getcsr();
  return {csr & ~0x3Fu, csr & 0x3Fu};
}
void SetFpEnvironment(const FpEnvironment& environment) {
  _mm_setcsr(static_cast<uint32_t>(environment.control | environment.flags));
}
constexpr int kRoundingShift = 13;
constexpr uint64_t kFlushes[] = {0, 0x8000, 0x0040, 0x8040};  // FZ, DAZ
constexpr uint64_t kTraps[] = {0x1F80, 0, 0x1F00,
                               0x0F80};  // masked: all, none, all but invalid, all but inexact
constexpr uint64_t kExceptionFlags[] = {0, 0x3F, 0x04};
#else
FpEnvironment GetFpEnvironment() {
  FpEnvironment environment;
  __asm__ volatile("mrs %0, fpcr" : "=r"(environment.control));
  __asm__ volatile("mrs %0, fpsr" : "=r"(environment.flags));
  return environment;
}
void SetFpEnvironment(const FpEnvironment& environment) {
  __asm__ volatile("msr fpcr, %0" : : "r"(environment.control));
  __asm__ volatile("msr fpsr, %0" : : "r"(environment.flags));
}
constexpr int kRoundingShift = 22;
constexpr uint64_t kFlushes[] = {0, 1 << 24, 1 << 25, 3 << 24};  // FZ, DN
constexpr uint64_t kTraps[] = {0, 0x9F00, 0x0100, 0x1000};       // trapped: none, all, invalid, inexact
constexpr uint64_t kExceptionFlags[] = {0, 0x9F, 0x04};
#endif

std::vector<FpEnvironment> FpEnvironments() {
  std::vector<FpEnvironment> environments;
  for (uint64_t rounding = 0; rounding < 4; rounding++) {
    for (uint64_t flush : kFlushes) {
      for (uint64_t traps : kTraps) {
        for (uint64_t flags : kExceptionFlags) {
          environments.push_back({rounding << kRoundingShift | flush | traps, flags});
        }
      }
    }
  }
  return environments;
}

// Calls the function once on each of the pool's threads.
void OnEachThread(pthreadpool_t pool, const std::function<void()>& function) {
  struct Task {
    const std::function<void()>& function;
    const size_t threads;
    std::atomic<size_t> arrived{0};
  } task = {function, pthreadpool_get_threads_count(pool)};
  pthreadpool_parallelize_1d(
      pool,
      [](void* context, size_t) {
        Task& task = *static_cast<Task*>(context);
        task.function();
        task.arrived++;
        while (task.arrived < task.threads) std::this_thread::yield();  // holds this thread
      },
      &task, task.threads, 0);
}

// One operator whose runs raise all exceptions: on denormals, NaN, overflow, and everywhere inexact.
class SoftmaxNcF32FpEnvironment : public SoftmaxNcF32 {
 protected:
  void SetUp() override {
    UseIsa(GetParam());
    ASSERT_EQ(smx_create_softmax_nc_f32(0, &op_), smx_status_success);
  }
  void TearDown() override { EXPECT_EQ(smx_delete_operator(op_), smx_status_success); }

  // Runs under every `step`-th environment, which the run must leave as it was on all threads, and compares the bits.
  void TestRow(const Row& row, size_t threads, size_t step) {
    const pthreadpool_t pool = Pool(threads);
    Row y(row.size()), expected(row.size());
    RunOnce(row, &expected, nullptr);
    const std::vector<FpEnvironment> environments = FpEnvironments();
    for (size_t i = 0; i < environments.size(); i += step) {
      const FpEnvironment& environment = environments[i];
      std::fill(y.begin(), y.end(), -1.0f);
      const FpEnvironment mine = GetFpEnvironment();
      std::atomic<size_t> changed{0};
      OnEachThread(pool, [&] { SetFpEnvironment(environment); });
      const FpEnvironment before = GetFpEnvironment();  // processors may lack traps
      RunOnce(row, &y, pool);
      OnEachThread(pool, [&] {
        changed += !(GetFpEnvironment() == before);
        SetFpEnvironment(mine);
      });
      ASSERT_EQ(changed, 0u) << std::hex << environment.control << " " << environment.flags;
      ASSERT_TRUE(SameBits(y, expected)) << std::hex << environment.control << " " << environment.flags;
    }
  }

  smx_operator_t op_ = nullptr;

 private:
  void RunOnce(const Row& row, Row* y, pthreadpool_t pool) {
    const size_t n = row.size();
    EXPECT_EQ(smx_setup_softmax_nc_f32(op_, 1, n, n, n, row.data(), y->data()), smx_status_success);
    EXPECT_EQ(smx_run_operator(op_, pool), smx_status_success);
  }
};

INSTANTIATE_TEST_SUITE_P(, SoftmaxNcF32FpEnvironment, testing::ValuesIn(AvailableIsas()),
                         [](const auto& info) { return info.param; });

TEST_P(SoftmaxNcF32FpEnvironment, NeitherMattersNorChanges) {
  for (const char* family : {"normal_30", "denormal", "fading", "million", "mask_minus_flt_max",
                             "flt_max_both_signs", "all_minus_inf", "one_nan", "one_plus_inf"}) {
    SCOPED_TRACE(family);
    ASSERT_NO_FATAL_FAILURE(TestRow(MakeRow(family, 100, 1), 0, 1));
  }
  Row row = NormalRow(50, 4.0f, 1);
  row[20] = FromBits(0x7F800001);  // signalling
  ASSERT_NO_FATAL_FAILURE(TestRow(row, 0, 1));
}

TEST_P(SoftmaxNcF32FpEnvironment, NeitherMattersNorChangesOnThePoolsThreads) {
  for (const char* family : {"uniform_100", "million"}) {
    SCOPED_TRACE(family);
    ASSERT_NO_FATAL_FAILURE(TestRow(MakeRow(family, 2 * SMX_TILE + 1, 1), 2, 7));
  }
}

}  // namespace
}  // namespace smx
