// The planner's choices, which are pure functions: no processor, no memory.
#include "src/plan/softmax_plan.h"

#include <gtest/gtest.h>
#include <stdint.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "src/gen/microkernels.h"

namespace {

constexpr size_t kMiB = size_t{1} << 20;
constexpr size_t kTile = SMX_TILE;
// Longer rows are never stored: their spans are of several tiles.
constexpr size_t kLongestStored = size_t{SMX_MAX_SPANS} * SMX_TILE;
// Of an element of the input and one of the output.
constexpr size_t kElementBytes = 2 * sizeof(float);

// Each different from the defaults.
smx_thresholds Thresholds() {
  return {/*lane_channels=*/10,
          /*grouped_channels=*/100,
          /*stored_bytes=*/1000 * kElementBytes,
          /*streamed_bytes=*/8 * kMiB,
          /*split_channels=*/3 * kTile,
          /*task_elements=*/5000};
}

smx_softmax_plan Plan(size_t rows, size_t channels, const smx_thresholds& thresholds, bool in_place = false,
                      size_t threads = 1) {
  const smx_softmax_shape shape = {rows, channels, kElementBytes, in_place, SMX_GROUPED, false, true, true};
  return smx_plan_softmax(&shape, &thresholds, threads);
}

smx_algorithm Algorithm(size_t rows, size_t channels, const smx_thresholds& thresholds,
                        bool in_place = false) {
  return Plan(rows, channels, thresholds, in_place).algorithm;
}

// Around every length at which a choice may change.
std::vector<size_t> Lengths() {
  std::vector<size_t> lengths;
  for (size_t edge :
       {size_t{2}, size_t{10}, size_t{100}, size_t{1000}, kTile, 2 * kTile, 3 * kTile, kMiB, kLongestStored,
        2 * kLongestStored, size_t{1} << 31, size_t{1} << 40, SIZE_MAX / kElementBytes, SIZE_MAX - 1}) {
    for (size_t length : {edge - 1, edge, edge + 1}) lengths.push_back(length);
  }
  return lengths;
}

TEST(SoftmaxPlan, RowsThatLeaveLanesEmptyAreNoLanes) {
  smx_thresholds thresholds = Thresholds();
  thresholds.lane_channels = 4 * SMX_LANES;
  for (bool in_place : {false, true}) {
    for (size_t channels : {1, 10, 16}) {
      for (size_t rows : {1, 2, 7}) {
        EXPECT_EQ(Algorithm(rows, channels, thresholds, in_place), smx_algorithm_several_rows);
      }
      EXPECT_EQ(Algorithm(8, channels, thresholds, in_place), smx_algorithm_rows_as_lanes);
    }
    EXPECT_EQ(Algorithm(15, 32, thresholds, in_place), smx_algorithm_several_rows);
    EXPECT_EQ(Algorithm(16, 32, thresholds, in_place), smx_algorithm_rows_as_lanes);
  }
}

TEST(SoftmaxPlan, RowsOfLaneChannelsAreLanes) {
  for (bool in_place : {false, true}) {
    for (size_t rows : {size_t{8}, size_t{1000}, SIZE_MAX}) {
      EXPECT_EQ(Algorithm(rows, 1, Thresholds(), in_place), smx_algorithm_rows_as_lanes);
      EXPECT_EQ(Algorithm(rows, 10, Thresholds(), in_place), smx_algorithm_rows_as_lanes);
      EXPECT_EQ(Algorithm(rows, 11, Thresholds(), in_place), smx_algorithm_several_rows);
    }
  }
}

TEST(SoftmaxPlan, RowsOfGroupedChannelsGoTogether) {
  for (bool in_place : {false, true}) {
    for (size_t rows : {size_t{1}, size_t{4}, size_t{1000}, SIZE_MAX}) {
      EXPECT_EQ(Algorithm(rows, 100, Thresholds(), in_place), smx_algorithm_several_rows);
      EXPECT_EQ(Algorithm(rows, 101, Thresholds(), in_place), smx_algorithm_store_and_rescale);
    }
  }
}

TEST(SoftmaxPlan, KernelsOnSeveralRowsGetNoLongerRowsThanTheyTake) {
  smx_thresholds thresholds = Thresholds();
  thresholds.lane_channels = SIZE_MAX;
  thresholds.grouped_channels = SIZE_MAX;
  thresholds.stored_bytes = SIZE_MAX;
  EXPECT_EQ(Algorithm(100, 4 * SMX_LANES, thresholds), smx_algorithm_rows_as_lanes);
  EXPECT_EQ(Algorithm(100, 4 * SMX_LANES + 1, thresholds), smx_algorithm_several_rows);
  EXPECT_EQ(Algorithm(4, SMX_GROUPED, thresholds), smx_algorithm_several_rows);
  EXPECT_EQ(Algorithm(4, SMX_GROUPED + 1, thresholds), smx_algorithm_store_and_rescale);
  const smx_softmax_shape blocks = {4, SMX_BLOCK, kElementBytes, false, SMX_BLOCK, false, true, true};
  EXPECT_EQ(smx_plan_softmax(&blocks, &thresholds, 1).algorithm, smx_algorithm_several_rows);
  const smx_softmax_shape longer = {4, SMX_BLOCK + 1, kElementBytes, false, SMX_BLOCK, false, true, true};
  EXPECT_EQ(smx_plan_softmax(&longer, &thresholds, 1).algorithm, smx_algorithm_store_and_rescale);
}

TEST(SoftmaxPlan, RowsOfMoreThanABlockGoTogetherWhereALevel2CacheHoldsThem) {
  smx_thresholds thresholds = Thresholds();
  thresholds.grouped_channels = thresholds.stored_bytes = SIZE_MAX;
  constexpr size_t kRows = kMiB / kElementBytes / 1500;
  EXPECT_EQ(Algorithm(kRows, 1500, thresholds), smx_algorithm_several_rows);
  EXPECT_EQ(Algorithm(kRows + 1, 1500, thresholds), smx_algorithm_store_and_rescale);
  EXPECT_EQ(Algorithm(SIZE_MAX, 1500, thresholds), smx_algorithm_store_and_rescale);
  EXPECT_EQ(Algorithm(SIZE_MAX, SMX_BLOCK, thresholds), smx_algorithm_several_rows);
  EXPECT_EQ(Algorithm(2, 1500, thresholds), smx_algorithm_several_rows);
  EXPECT_EQ(Algorithm(1, 1500, thresholds), smx_algorithm_store_and_rescale) << "has no next one";
  const smx_softmax_shape vary = {SIZE_MAX, 1500, kElementBytes, false, SMX_GROUPED, true, true, true};
  EXPECT_EQ(smx_plan_softmax(&vary, &thresholds, 1).algorithm, smx_algorithm_several_rows);
}

TEST(SoftmaxPlan, ThresholdOfZeroIsNever) {
  smx_thresholds no_lanes = Thresholds();
  no_lanes.lane_channels = 0;
  smx_thresholds no_groups = Thresholds();
  no_groups.grouped_channels = 0;
  smx_thresholds neither = no_lanes;
  neither.grouped_channels = 0;
  smx_thresholds nothing_stored = neither;
  nothing_stored.stored_bytes = 0;
  for (size_t channels : {1, 10}) {
    EXPECT_EQ(Algorithm(1000, channels, no_lanes), smx_algorithm_several_rows);
    EXPECT_EQ(Algorithm(1000, channels, no_groups), smx_algorithm_rows_as_lanes);
    EXPECT_EQ(Algorithm(1000, channels, neither), smx_algorithm_store_and_rescale);
    EXPECT_EQ(Algorithm(1000, channels, nothing_stored), smx_algorithm_two_pass);
  }
  EXPECT_EQ(Algorithm(1000, 11, no_groups), smx_algorithm_store_and_rescale);
}

TEST(SoftmaxPlan, RowThatFitsIntoStoredBytesIsStored) {
  for (size_t rows : {1, 1000}) {
    EXPECT_EQ(Algorithm(rows, 1000, Thresholds()), smx_algorithm_store_and_rescale);
    EXPECT_EQ(Algorithm(rows, 1001, Thresholds()), smx_algorithm_two_pass);
  }
  // An element of a narrower type takes fewer bytes.
  const smx_softmax_shape narrow = {1, 2000, kElementBytes / 2, false, SMX_GROUPED, false, true, true};
  const smx_thresholds thresholds = Thresholds();
  EXPECT_EQ(smx_plan_softmax(&narrow, &thresholds, 1).algorithm, smx_algorithm_store_and_rescale);
}

TEST(SoftmaxPlan, RowWhoseOutputDoesNotHoldTermsTakesTwoPasses) {
  const smx_thresholds thresholds = Thresholds();
  for (size_t channels : {101, 1000}) {
    const smx_softmax_shape one_row = {1, channels, kElementBytes, false, SMX_GROUPED, false, false, true};
    EXPECT_EQ(smx_plan_softmax(&one_row, &thresholds, 1).algorithm, smx_algorithm_two_pass);
  }
  const smx_softmax_shape short_rows = {1000, 4, kElementBytes, false, SMX_GROUPED, false, false, true};
  EXPECT_EQ(smx_plan_softmax(&short_rows, &thresholds, 1).algorithm, smx_algorithm_rows_as_lanes);
}

TEST(SoftmaxPlan, FunctionWithoutKernelsOnSeveralRowsTakesThemOneByOne) {
  const smx_thresholds thresholds = Thresholds();
  for (size_t channels : {4, 100, 1000}) {
    const smx_softmax_shape shape = {1000, channels, kElementBytes, false, 0, false, false, true};
    EXPECT_EQ(smx_plan_softmax(&shape, &thresholds, 1).algorithm, smx_algorithm_two_pass);
  }
}

TEST(SoftmaxPlan, RowOfSeveralTilesIsStoredInPlaceToo) {
  smx_thresholds thresholds = Thresholds();
  thresholds.stored_bytes = SIZE_MAX;
  for (size_t rows : {1, 10}) {
    for (size_t channels : {kTile, kTile + 1, kLongestStored}) {
      for (bool in_place : {false, true}) {
        EXPECT_EQ(Algorithm(rows, channels, thresholds, in_place), smx_algorithm_store_and_rescale);
      }
    }
  }
}

// A stored span has one reference for its terms, so it has to be one tile.
TEST(SoftmaxPlan, StoredSpansAreSingleTiles) {
  smx_thresholds thresholds = Thresholds();
  thresholds.stored_bytes = SIZE_MAX;
  for (size_t channels : Lengths()) {
    for (bool in_place : {false, true}) {
      if (Algorithm(1, channels, thresholds, in_place) != smx_algorithm_store_and_rescale) continue;
      EXPECT_EQ(smx_span_length(channels), kTile) << channels << " channels";
    }
  }
  EXPECT_EQ(Algorithm(1, kLongestStored, thresholds), smx_algorithm_store_and_rescale);
  EXPECT_EQ(Algorithm(1, kLongestStored + 1, thresholds), smx_algorithm_two_pass);
}

TEST(SoftmaxPlan, RowsOfStreamedBytesAreWrittenPastTheCaches) {
  const size_t fills = 8 * kMiB / kElementBytes;
  EXPECT_TRUE(Plan(1, fills, Thresholds()).streams_output);
  EXPECT_FALSE(Plan(1, fills - 1, Thresholds()).streams_output);
  EXPECT_FALSE(Plan(1, fills, Thresholds(), true).streams_output) << "in place";
  EXPECT_TRUE(Plan(1, SIZE_MAX, Thresholds()).streams_output);
  smx_thresholds thresholds = Thresholds();
  thresholds.streamed_bytes++;
  EXPECT_FALSE(Plan(1, fills, thresholds).streams_output);
  EXPECT_TRUE(Plan(1, fills + 1, thresholds).streams_output);
  thresholds.streamed_bytes = 1;
  EXPECT_TRUE(Plan(1, 1001, thresholds).streams_output);
  for (size_t channels : {1, 1000}) {
    EXPECT_FALSE(Plan(10, channels, thresholds).streams_output) << "of one pass: " << channels << " channels";
  }
  thresholds.streamed_bytes = SIZE_MAX;
  EXPECT_FALSE(Plan(1, SIZE_MAX / kElementBytes - 1, thresholds).streams_output);
}

TEST(SoftmaxPlan, ManyRowsOfStreamedBytesTogetherAreWrittenPastTheCaches) {
  const size_t fill = 8 * kMiB / kElementBytes / 100 + 1;
  EXPECT_TRUE(Plan(fill, 100, Thresholds()).streams_output);
  EXPECT_TRUE(Plan(SIZE_MAX, 100, Thresholds()).streams_output);
  EXPECT_FALSE(Plan(fill - 1, 100, Thresholds()).streams_output);
  EXPECT_FALSE(Plan(fill, 100, Thresholds(), true).streams_output) << "in place";
  EXPECT_FALSE(Plan(10 * fill, 10, Thresholds()).streams_output) << "rows as lanes";
  const smx_softmax_shape unaligned = {fill, 100, kElementBytes, false, SMX_GROUPED, false, true, false};
  const smx_thresholds thresholds = Thresholds();
  EXPECT_FALSE(smx_plan_softmax(&unaligned, &thresholds, 1).streams_output);
}

TEST(SoftmaxPlan, RowsThatAreLeftAreSplitIfLong) {
  smx_thresholds thresholds = Thresholds();
  for (size_t split_channels : {size_t{0}, 2 * kTile, 3 * kTile, SIZE_MAX}) {
    thresholds.split_channels = split_channels;
    const size_t shortest = std::max(split_channels, 2 * kTile);
    for (size_t channels : Lengths()) {
      for (size_t threads : {size_t{0}, size_t{1}, size_t{2}, size_t{3}, size_t{8}, SIZE_MAX}) {
        for (size_t rows : {size_t{0}, size_t{1}, size_t{2}, size_t{3}, size_t{7}, size_t{8}, size_t{9},
                            size_t{1000}, SIZE_MAX}) {
          const size_t expected = threads > 1 && channels >= shortest ? rows % threads : 0;
          const size_t split = Plan(rows, channels, thresholds, false, threads).split_rows;
          EXPECT_EQ(split, expected) << rows << " rows, " << channels << " channels, " << threads
                                     << " threads";
        }
      }
    }
  }
}

TEST(SoftmaxPlan, TaskIsAsManyRowsAsAreWorthOne) {
  smx_thresholds thresholds = Thresholds();
  thresholds.lane_channels = 0;
  for (size_t task_elements : {size_t{1}, size_t{5000}, SIZE_MAX}) {
    thresholds.task_elements = task_elements;
    for (size_t channels : Lengths()) {
      const size_t rows = Plan(1000, channels, thresholds, false, 4).rows_per_task;
      ASSERT_GE(rows, 1u) << channels << " channels";
      EXPECT_LE(rows - 1, (task_elements - 1) / channels) << channels << " channels: fewer would do";
      EXPECT_GT(rows, (task_elements - 1) / channels) << channels << " channels: too few";
    }
  }
}

TEST(SoftmaxPlan, TasksOfRowsAsLanesAreWholeGroups) {
  smx_thresholds thresholds = Thresholds();
  for (size_t rows : {1, 127, 128, 129, 255, 256, 257, 10000}) {
    thresholds.task_elements = 10 * rows;
    const smx_softmax_plan plan = Plan(100000, 10, thresholds);
    ASSERT_EQ(plan.algorithm, smx_algorithm_rows_as_lanes);
    EXPECT_EQ(plan.rows_per_task, rows < 128 ? rows : rows / 128 * 128);
  }
}

// No two choices of an algorithm for different reasons give the same one.
TEST(SoftmaxPlan, EveryChoiceHasItsReason) {
  smx_thresholds all_stored = Thresholds();
  all_stored.stored_bytes = SIZE_MAX;
  const smx_softmax_plan plans[] = {
      Plan(8, 10, Thresholds()),
      Plan(4, 100, Thresholds()),
      Plan(4, 1000, Thresholds()),
      Plan(4, 1001, Thresholds()),
      Plan(1, kLongestStored + 1, all_stored),
  };
  std::set<std::string> reasons;
  for (const smx_softmax_plan& plan : plans) {
    ASSERT_NE(plan.reason, nullptr);
    EXPECT_STRNE(plan.reason, "");
    EXPECT_TRUE(reasons.insert(plan.reason).second) << plan.reason;
  }
}

TEST(SoftmaxPlan, AlgorithmsHaveNames) {
  EXPECT_STREQ(smx_algorithm_name(smx_algorithm_rows_as_lanes), "rows-as-lanes");
  EXPECT_STREQ(smx_algorithm_name(smx_algorithm_several_rows), "several-rows");
  EXPECT_STREQ(smx_algorithm_name(smx_algorithm_store_and_rescale), "store-and-rescale");
  EXPECT_STREQ(smx_algorithm_name(smx_algorithm_two_pass), "two-pass");
}

// --- Default thresholds ---

TEST(SoftmaxThresholds, StoredBytesFollowFromTheCachesThatCanBeTrusted) {
  EXPECT_EQ(smx_default_thresholds(0, 0).stored_bytes, kMiB / 4) << "unknown caches";
  EXPECT_EQ(smx_default_thresholds(2 * kMiB, 0).stored_bytes, 2 * kMiB) << "no last level is known";
  EXPECT_EQ(smx_default_thresholds(0, 480 * kMiB).stored_bytes, 16 * kMiB) << "a host's whole cache";
  EXPECT_EQ(smx_default_thresholds(2 * kMiB, 480 * kMiB).stored_bytes, 16 * kMiB);
  EXPECT_EQ(smx_default_thresholds(kMiB, SIZE_MAX).stored_bytes, 16 * kMiB);
  EXPECT_EQ(smx_default_thresholds(kMiB, 8 * kMiB).stored_bytes, 8 * kMiB) << "a small last level";
  EXPECT_EQ(smx_default_thresholds(kMiB, 16 * kMiB).stored_bytes, 16 * kMiB);
  EXPECT_EQ(smx_default_thresholds(4 * kMiB, 2 * kMiB).stored_bytes, 4 * kMiB) << "the larger of the two";
  EXPECT_EQ(smx_default_thresholds(24 * kMiB, 480 * kMiB).stored_bytes, 24 * kMiB);
}

TEST(SoftmaxThresholds, OutputsThatLeaveTheLastLevelStream) {
  EXPECT_EQ(smx_default_thresholds(kMiB, 0).streamed_bytes, 64 * kMiB) << "no last level is known";
  EXPECT_EQ(smx_default_thresholds(kMiB, 480 * kMiB).streamed_bytes, 64 * kMiB) << "a host's whole cache";
  EXPECT_EQ(smx_default_thresholds(kMiB, 32 * kMiB).streamed_bytes, 32 * kMiB);
  EXPECT_EQ(smx_default_thresholds(kMiB, 8 * kMiB).streamed_bytes, 16 * kMiB)
      << "no less than terms are stored in";
}

TEST(SoftmaxThresholds, TheOthersDoNotDependOnCaches) {
  for (size_t l2_bytes : {size_t{0}, kMiB, 64 * kMiB}) {
    for (size_t last_level_bytes : {size_t{0}, kMiB, 480 * kMiB}) {
      const smx_thresholds thresholds = smx_default_thresholds(l2_bytes, last_level_bytes);
      EXPECT_EQ(thresholds.lane_channels, 40u);
      EXPECT_EQ(thresholds.grouped_channels, 3071u);
      EXPECT_EQ(thresholds.split_channels, 32768u);
      EXPECT_EQ(thresholds.task_elements, 16384u);
    }
  }
}

// --- Spans ---

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
