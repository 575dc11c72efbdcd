// The planner's choices, which are pure functions: no processor, no memory.
#include "src/plan/softmax_plan.h"

#include <gtest/gtest.h>
#include <stdint.h>

#include <vector>

#include "src/gen/microkernels.h"

namespace {

constexpr size_t kL2 = 1024 * 1024;
constexpr size_t kTile = SMX_TILE;
// Longer rows are never stored: their spans are of several tiles.
constexpr size_t kLongestStored = size_t{SMX_MAX_SPANS} * SMX_TILE;

smx_softmax_plan Plan(size_t rows, size_t channels, bool in_place, size_t l2_bytes, size_t threads) {
  const smx_softmax_shape shape = {rows, channels, in_place};
  return smx_plan_softmax(&shape, l2_bytes, threads);
}

// Around every length at which a choice may change.
std::vector<size_t> Lengths() {
  std::vector<size_t> lengths;
  for (size_t edge : {size_t{2}, size_t{100}, kL2 / 8, kTile, 2 * kTile, 3 * kTile, 4 * kL2 / 8,
                      kLongestStored, 2 * kLongestStored, size_t{1} << 31, size_t{1} << 40, SIZE_MAX / 8}) {
    for (size_t length : {edge - 1, edge, edge + 1}) lengths.push_back(length);
  }
  return lengths;
}

TEST(SoftmaxPlan, RowsOfABlockGoTogether) {
  for (bool in_place : {false, true}) {
    EXPECT_EQ(Plan(3, 1, in_place, kL2, 1).algorithm, smx_algorithm_store_and_rescale);
    for (size_t rows : {4, 1000}) {
      EXPECT_EQ(Plan(rows, 1, in_place, kL2, 1).algorithm, smx_algorithm_several_rows);
      EXPECT_EQ(Plan(rows, SMX_BLOCK, in_place, kL2, 4).algorithm, smx_algorithm_several_rows);
      EXPECT_EQ(Plan(rows, SMX_BLOCK + 1, in_place, kL2, 4).algorithm, smx_algorithm_store_and_rescale);
    }
  }
}

TEST(SoftmaxPlan, RowThatFitsIntoTheCacheIsStored) {
  const size_t fits = kL2 / (2 * sizeof(float));  // with its output
  EXPECT_EQ(Plan(1, fits, false, kL2, 1).algorithm, smx_algorithm_store_and_rescale);
  EXPECT_EQ(Plan(1, fits + 1, false, kL2, 1).algorithm, smx_algorithm_two_pass);
  EXPECT_EQ(Plan(1000, fits, false, kL2, 4).algorithm, smx_algorithm_store_and_rescale);
  EXPECT_EQ(Plan(1000, fits + 1, false, kL2, 4).algorithm, smx_algorithm_two_pass);
}

TEST(SoftmaxPlan, SplitRowHasTheCachesOfAllThreads) {
  const size_t fits = 4 * kL2 / (2 * sizeof(float));
  ASSERT_TRUE(Plan(1, fits, false, kL2, 4).splits_rows);
  EXPECT_EQ(Plan(1, fits, false, kL2, 4).algorithm, smx_algorithm_store_and_rescale);
  EXPECT_EQ(Plan(1, fits + 1, false, kL2, 4).algorithm, smx_algorithm_two_pass);
}

TEST(SoftmaxPlan, RowOfSeveralTilesInPlaceTakesTwoPasses) {
  for (size_t l2_bytes : {size_t{0}, kL2, SIZE_MAX / 64}) {
    for (size_t threads : {1, 4}) {
      for (size_t rows : {1, 10}) {
        EXPECT_EQ(Plan(rows, kTile, true, l2_bytes, threads).algorithm, smx_algorithm_store_and_rescale);
        EXPECT_EQ(Plan(rows, kTile + 1, true, l2_bytes, threads).algorithm, smx_algorithm_two_pass);
        EXPECT_EQ(Plan(rows, kLongestStored, true, l2_bytes, threads).algorithm, smx_algorithm_two_pass);
      }
    }
  }
}

TEST(SoftmaxPlan, LongRowsAreWrittenPastTheCaches) {
  constexpr size_t kStreamed = size_t{4} << 20;
  EXPECT_TRUE(Plan(1, kStreamed, false, kL2, 1).streams_output);
  EXPECT_FALSE(Plan(1, kStreamed - 1, false, kL2, 1).streams_output);
  EXPECT_FALSE(Plan(1, kStreamed, true, kL2, 1).streams_output);
  EXPECT_FALSE(Plan(1, kStreamed, false, SIZE_MAX / 64, 1).streams_output);
}

// A stored span has one reference for its terms, so it has to be one tile.
TEST(SoftmaxPlan, StoredSpansAreSingleTiles) {
  for (size_t channels : Lengths()) {
    for (bool in_place : {false, true}) {
      for (size_t threads : {1, 3, 64}) {
        if (Plan(1, channels, in_place, SIZE_MAX / 64, threads).algorithm ==
            smx_algorithm_store_and_rescale) {
          EXPECT_EQ(smx_span_length(channels), kTile) << channels << " channels";
        }
      }
    }
  }
  EXPECT_EQ(Plan(1, kLongestStored, false, SIZE_MAX / 64, 1).algorithm, smx_algorithm_store_and_rescale);
  EXPECT_EQ(Plan(1, kLongestStored + 1, false, SIZE_MAX / 64, 1).algorithm, smx_algorithm_two_pass);
}

TEST(SoftmaxPlan, SplitsOnlyLongRowsThatAreFewerThanThreads) {
  for (size_t channels : Lengths()) {
    for (size_t threads : {0, 1, 2, 3, 8, 64}) {
      for (size_t rows : {1, 2, 3, 7, 8, 9, 1000}) {
        const bool splits = Plan(rows, channels, false, kL2, threads).splits_rows;
        EXPECT_EQ(splits, threads > 1 && rows < threads && channels >= 2 * kTile)
            << rows << " rows, " << channels << " channels, " << threads << " threads";
      }
    }
  }
}

TEST(SoftmaxPlan, TaskIsAsManyRowsAsAreWorthOne) {
  const size_t worth_a_task = Plan(1000, 1, false, kL2, 4).rows_per_task;
  EXPECT_GT(worth_a_task, 1u);
  for (size_t channels : Lengths()) {
    const size_t rows = Plan(1000, channels, false, kL2, 4).rows_per_task;
    ASSERT_GE(rows, 1u) << channels << " channels";
    EXPECT_GE(rows * channels, worth_a_task) << channels << " channels";
    EXPECT_LT((rows - 1) * channels, worth_a_task) << channels << " channels";
  }
}

TEST(SoftmaxPlan, SpansAreWholeTilesAndAtMostTheirMaximum) {
  for (size_t channels : Lengths()) {
    const size_t span = smx_span_length(channels);
    ASSERT_GT(span, 0u);
    EXPECT_EQ(span % kTile, 0u) << channels << " channels";
    EXPECT_LE((channels - 1) / span + 1, size_t{SMX_MAX_SPANS}) << channels << " channels";
    if (span == kTile) continue;
    EXPECT_GT((channels - 1) / (span - kTile) + 1, size_t{SMX_MAX_SPANS}) << "a shorter span would do";
  }
}

}  // namespace
