// Rows in pieces: partial sums, merged, and the results of the pieces.
#include <float.h>
#include <gtest/gtest.h>
#include <math.h>

#include <algorithm>
#include <iterator>
#include <numeric>
#include <string>
#include <vector>

#include "src/gen/microkernels.h"
#include "test/isas.h"
#include "test/rows.h"
#include "test/rows_operator.h"
#include "test/softmax_tester.h"
#include "test/ulp.h"

namespace smx {
namespace {

using Row = std::vector<float>;
using Sums = std::vector<smx_partial_sum>;

// One row in pieces; `ends` says where they end.
class PartialSumNc : public testing::TestWithParam<std::string> {
 protected:
  static RowsRun Run(uint32_t flags, size_t threads) {
    RowsRun run;
    run.isa = GetParam();
    run.flags = flags;
    run.threads = threads;
    return run;
  }

  static smx_partial_sum SumOf(const float* x, size_t n, size_t threads = 0) {
    return RunPartialSums(Run(0, threads), {Row(x, x + n)})[0];
  }

  static Sums SumsOf(const Row& x, const std::vector<size_t>& ends) {
    Sums sums;
    size_t start = 0;
    for (size_t end : ends) {
      sums.push_back(SumOf(x.data() + start, end - start));
      start = end;
    }
    return sums;
  }

  static Row Scale(const Row& x, const smx_partial_sum& sum, uint32_t flags = 0, size_t threads = 0) {
    return RunScaleBySums(Run(flags, threads), {x}, {sum})[0];
  }

  // Each piece of the row by itself, given the sum.
  static Row ScalePieces(const Row& x, const std::vector<size_t>& ends, const smx_partial_sum& sum,
                         uint32_t flags = 0) {
    Row y;
    size_t start = 0;
    for (size_t end : ends) {
      const Row piece =
          Scale(Row(x.begin() + static_cast<ptrdiff_t>(start), x.begin() + static_cast<ptrdiff_t>(end)), sum,
                flags);
      y.insert(y.end(), piece.begin(), piece.end());
      start = end;
    }
    return y;
  }

  static Row Whole(const Row& x, uint32_t flags = 0) { return RunRows(Run(flags, 0), {x})[0]; }
};

INSTANTIATE_TEST_SUITE_P(, PartialSumNc, testing::ValuesIn(AvailableIsas()),
                         [](const auto& info) { return info.param; });

smx_partial_sum Merged(Sums sums) {
  for (size_t i = 1; i < sums.size(); i++) {
    EXPECT_EQ(smx_merge_partial_sums(1, &sums[0], &sums[i]), smx_status_success);
  }
  return sums[0];
}

// Pairs of neighbours, then of pairs, and so on.
smx_partial_sum MergedAsATree(Sums sums) {
  while (sums.size() > 1) {
    Sums next;
    for (size_t i = 0; i + 1 < sums.size(); i += 2) next.push_back(Merged({sums[i], sums[i + 1]}));
    if (sums.size() % 2 == 1) next.push_back(sums.back());
    sums = next;
  }
  return sums[0];
}

// Multiples of a tile, and the end.
std::vector<size_t> Cut(size_t channels, size_t pieces, uint64_t seed) {
  SplitMix64 generator(seed);
  const uint32_t tiles = static_cast<uint32_t>(channels / SMX_TILE);
  std::vector<size_t> ends = {channels};
  for (size_t i = 1; i < pieces; i++) ends.push_back((1 + generator.Below(tiles)) * SMX_TILE);
  std::sort(ends.begin(), ends.end());
  ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
  return ends;
}

bool IsWithinRange(const Row& x) {
  const smx_f32_exponential exponential = smx_f32_exponential_of(1.0f);
  return smx_is_in_range(*std::max_element(x.begin(), x.end()), &exponential);
}

TEST_P(PartialSumNc, PiecesOfTilesGiveTheBitsOfTheWholeRow) {
  const size_t channels = 9 * SMX_TILE + 77;
  for (const RowFamily& family : FiniteRows()) {
    const Row x = MakeRow(family.name, channels, 1);
    if (!IsWithinRange(x)) continue;
    const Row whole = Whole(x);
    for (size_t pieces : {1, 2, 3, 7}) {
      SCOPED_TRACE(testing::Message() << family.name << ", " << pieces << " pieces");
      const std::vector<size_t> ends = Cut(channels, pieces, pieces);
      Sums sums = SumsOf(x, ends);
      const smx_partial_sum sum = Merged(sums);
      EXPECT_TRUE(SameBits(ScalePieces(x, ends, sum), whole));
      EXPECT_TRUE(SameBits(Scale(x, MergedAsATree(sums)), whole));
      std::reverse(sums.begin(), sums.end());
      EXPECT_TRUE(SameBits(Scale(x, Merged(sums)), whole));
    }
  }
}

TEST_P(PartialSumNc, AnyPiecesAreExactEnough) {
  for (const RowFamily& family : FiniteRows()) {
    for (size_t channels : {2, 10, 1000, 40000}) {
      const Row x = MakeRow(family.name, channels, 1);
      SCOPED_TRACE(testing::Message() << family.name << ", " << channels);
      std::vector<size_t> ends = {channels / 3, channels / 2, channels};
      ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
      if (ends.front() == 0) ends.erase(ends.begin());
      Sums sums = SumsOf(x, ends);
      EXPECT_TRUE(IsExactEnough(ScalePieces(x, ends, Merged(sums)), ExactSoftmax(x, 0)));
      std::reverse(sums.begin(), sums.end());
      EXPECT_TRUE(IsExactEnough(Scale(x, MergedAsATree(sums)), ExactSoftmax(x, 0)));
    }
  }
}

// What is below half an ulp of a tile's sum is the low part of its pair, and counts as it does in a piece of its own.
TEST_P(PartialSumNc, LowPartsOfTilesCount) {
  const auto bins = [](const smx_partial_sum& sum) {
    return std::vector<int64_t>(std::begin(sum.bins), std::end(sum.bins));
  };
  for (float small : {-17.5f, -20.0f, -45.0f}) {
    SCOPED_TRACE(small);
    const Row x = {0.0f, small};
    const smx_partial_sum tile = SumOf(x.data(), 2);
    const smx_partial_sum pieces = Merged(SumsOf(x, {1, 2}));
    EXPECT_EQ(tile.top, pieces.top);
    EXPECT_EQ(bins(tile), bins(pieces));
    EXPECT_NE(bins(tile), bins(SumOf(x.data(), 1)));
  }
}

TEST_P(PartialSumNc, IsTheSameOnAnyNumberOfThreads) {
  for (const char* family : {"normal_4", "million", "jumps"}) {
    const Row x = MakeRow(family, 5 * SMX_TILE + 1, 1);
    const smx_partial_sum expected = SumOf(x.data(), x.size());
    const Row y = Scale(x, expected);
    for (size_t threads : {2, 3}) {
      EXPECT_TRUE(SameBits(Scale(x, SumOf(x.data(), x.size(), threads), 0, threads), y)) << family;
    }
  }
}

// Pieces that count for nothing leave the bits as they are, wherever they come.
TEST_P(PartialSumNc, MaskedPiecesCountForNothing) {
  const Row x = NormalRow(3000, 4.0f, 1);
  const smx_partial_sum sum = SumOf(x.data(), x.size());
  const Row whole = Scale(x, sum);
  for (float mask : {-INFINITY, -FLT_MAX, -1e20f, -1e9f, -20000.0f}) {
    const Row masked(100, mask);
    const smx_partial_sum nothing = SumOf(masked.data(), masked.size());
    EXPECT_TRUE(SameBits(Scale(x, Merged({sum, nothing})), whole)) << mask;
    EXPECT_TRUE(SameBits(Scale(x, Merged({nothing, sum})), whole)) << mask;
    EXPECT_TRUE(SameBits(Scale(masked, Merged({nothing, sum})), Row(100, 0.0f))) << mask;
  }
}

TEST_P(PartialSumNc, SpecialRows) {
  struct Case {
    Row x;
    size_t first;  // elements of the first piece
    uint32_t flags;
  };
  const float inf = INFINITY;
  const std::vector<Case> cases = {{{-inf, -inf, -inf}, 1, 0},
                                   {{-inf, -inf, -inf}, 2, SMX_FLAG_MASKED_ROWS_TO_ZERO},
                                   {{1.0f, NAN, 2.0f}, 1, SMX_FLAG_MASKED_ROWS_TO_ZERO},
                                   {{1.0f, NAN, 2.0f}, 2, 0},
                                   {{-inf, NAN}, 1, SMX_FLAG_MASKED_ROWS_TO_ZERO},
                                   {{NAN, -inf}, 1, SMX_FLAG_MASKED_ROWS_TO_ZERO},
                                   {{inf, 1.0f}, 1, 0},
                                   {{-inf, inf}, 1, SMX_FLAG_MASKED_ROWS_TO_ZERO},
                                   {{FLT_MAX, -FLT_MAX}, 1, 0},
                                   {{-FLT_MAX, FLT_MAX, 0.0f}, 1, 0},
                                   {{-FLT_MAX, -FLT_MAX}, 1, 0},
                                   {{1e9f, 1e9f, 3.0f, 1e9f}, 2, 0}};
  for (const Case& c : cases) {
    SCOPED_TRACE(testing::PrintToString(c.x));
    const std::vector<size_t> ends = {c.first, c.x.size()};
    Sums sums = SumsOf(c.x, ends);
    EXPECT_TRUE(SameBits(ScalePieces(c.x, ends, Merged(sums), c.flags), Whole(c.x, c.flags)));
    std::reverse(sums.begin(), sums.end());
    EXPECT_TRUE(SameBits(ScalePieces(c.x, ends, Merged(sums), c.flags), Whole(c.x, c.flags)));
  }
}

TEST_P(PartialSumNc, BatchesOfAnyTypes) {
  constexpr size_t kRows = 5, kChannels = 300, kFirst = 120;
  for (const TypePair& types : TypePairs()) {
    SCOPED_TRACE(TypeNames(types));
    SoftmaxTester::Rows inputs;
    for (uint64_t seed = 0; seed < kRows; seed++) {
      inputs.push_back(RoundedTo(types.input, NormalRow(kChannels, 4.0f, seed)));
    }
    RowsRun run = Run(0, 0);
    run.types = types;
    const SoftmaxTester::Rows whole = RunRows(run, inputs);
    SoftmaxTester::Rows first, second;
    for (const Row& x : inputs) {
      first.emplace_back(x.begin(), x.begin() + kFirst);
      second.emplace_back(x.begin() + kFirst, x.end());
    }
    Sums sums = RunPartialSums(run, first);
    const Sums others = RunPartialSums(run, second);
    ASSERT_EQ(smx_merge_partial_sums(kRows, sums.data(), others.data()), smx_status_success);
    const SoftmaxTester::Rows y_first = RunScaleBySums(run, first, sums);
    const SoftmaxTester::Rows y_second = RunScaleBySums(run, second, sums);
    for (size_t r = 0; r < kRows; r++) {
      // Pieces that are no tiles may differ from the whole row in the sum's last bits.
      for (size_t i = 0; i < kChannels; i++) {
        const float y = i < kFirst ? y_first[r][i] : y_second[r][i - kFirst];
        EXPECT_LE(std::abs(OrdinalOf(types.output, y) - OrdinalOf(types.output, whole[r][i])), 1);
      }
    }
  }
}

TEST(PartialSum, BadArgumentsAreRejected) {
  UseIsa("scalar");
  smx_partial_sum sum = {};
  EXPECT_EQ(smx_merge_partial_sums(0, nullptr, nullptr), smx_status_success);
  EXPECT_EQ(smx_merge_partial_sums(1, nullptr, &sum), smx_status_invalid_parameter);
  EXPECT_EQ(smx_merge_partial_sums(1, &sum, nullptr), smx_status_invalid_parameter);
  smx_operator_t op = nullptr;
  float x[4] = {}, y[4];
  ASSERT_EQ(smx_create_scale_by_partial_sum_nc(smx_datatype_f32, smx_datatype_f32, 0, &op),
            smx_status_success);
  EXPECT_EQ(smx_setup_scale_by_partial_sum_nc(op, 1, 4, 4, 4, x, nullptr, y), smx_status_invalid_parameter);
  EXPECT_EQ(smx_setup_scale_by_partial_sum_nc(
                op, 1, 4, 4, 4, x, reinterpret_cast<smx_partial_sum*>(reinterpret_cast<char*>(&sum) + 4), y),
            smx_status_invalid_parameter);
  EXPECT_EQ(smx_run_operator(op, nullptr), smx_status_invalid_state);
  EXPECT_EQ(smx_setup_scale_by_partial_sum_nc(op, 0, 4, 4, 4, nullptr, nullptr, nullptr), smx_status_success);
  EXPECT_EQ(smx_run_operator(op, nullptr), smx_status_success);
  EXPECT_EQ(smx_delete_operator(op), smx_status_success);
  op = reinterpret_cast<smx_operator_t>(1);
  EXPECT_EQ(smx_create_partial_sum_nc(smx_datatype_f32, 1, &op), smx_status_invalid_parameter);
  EXPECT_EQ(op, nullptr);
}

}  // namespace
}  // namespace smx
