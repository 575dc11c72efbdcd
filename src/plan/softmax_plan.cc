#include "src/plan/softmax_plan.h"

#include <algorithm>

#include "src/gen/microkernels.h"

namespace {

// Fewer rows than this, or than half their elements, leave too many lanes empty.
constexpr size_t kRowsWorthLanes = 8;

// Of f32-softmax-transposed.
constexpr size_t kLongestLaneRow = 4 * SMX_LANES;

// Where rows as lanes are no faster than several rows at a time.
constexpr size_t kLaneChannels = 40;

// Tasks of rows as lanes are a multiple of this: whole vectors of rows, and more of them than a kernel has under way.
constexpr size_t kRowsOfLaneTask = 128;

// A level 2 cache of today. Rows of more than a block, of which three are under way, gain in it, and lose beyond it.
constexpr size_t kLongGroupBytes = size_t{1} << 20;

// A small core's, where cpuinfo does not know.
constexpr size_t kDefaultL2Bytes = 256 * 1024;

// What a process can expect to find again in a last-level cache that it shares.
constexpr size_t kLargestLastLevelShare = size_t{16} << 20;

// Data of this size have left the last-level cache before anyone can read them from it, or those of its own size where it is smaller:
// what is reported of it may be too much, but not too little.
constexpr size_t kStreamedBytes = size_t{64} << 20;

// Fewer elements than this take less time than it takes to wake another thread.
constexpr size_t kElementsPerTask = 16384;

// Whether `elements` of this shape take at most `bytes`.
bool Fits(const smx_softmax_shape& shape, size_t elements, size_t bytes) {
  return elements <= bytes / shape.element_bytes;
}

// Whether all rows of this shape do.
bool AllFit(const smx_softmax_shape& shape, size_t bytes) {
  return shape.rows <= bytes / shape.element_bytes / shape.channels;
}

// Rows of more than a block each look ahead at the next one.
bool PaysToGroupLong(const smx_softmax_shape& shape) {
  return shape.rows > 1 && (shape.varies || AllFit(shape, kLongGroupBytes));
}

struct Choice {
  smx_algorithm algorithm;
  const char* reason;
};

Choice Choose(const smx_softmax_shape& shape, size_t stored_bytes, const smx_thresholds& thresholds) {
  if (shape.grouped_channels > 0) {
    const bool fills_lanes = shape.rows >= std::max(kRowsWorthLanes, shape.channels / 2);
    if (fills_lanes && shape.channels <= std::min<size_t>(thresholds.lane_channels, kLongestLaneRow)) {
      return {smx_algorithm_rows_as_lanes, "rows are no longer than lane_channels"};
    }
    if (shape.channels <= std::min(thresholds.grouped_channels, shape.grouped_channels) &&
        (shape.channels <= SMX_BLOCK || PaysToGroupLong(shape))) {
      return {smx_algorithm_several_rows, "rows are no longer than grouped_channels"};
    }
  }
  if (!shape.stores_terms) return {smx_algorithm_two_pass, "neither the output nor a buffer holds the terms"};
  if (!Fits(shape, shape.channels, stored_bytes)) {
    return {smx_algorithm_two_pass, "a row and its output are larger than stored_bytes"};
  }
  if (shape.channels > size_t{SMX_MAX_SPANS} * SMX_TILE) {
    return {smx_algorithm_two_pass, "a row has more tiles than references are kept for"};
  }
  return {smx_algorithm_store_and_rescale, "a row and its output fit into stored_bytes"};
}

// Whether an output has left the caches before anyone can read it from them: a row's, or that of all rows that go together.
bool Streams(const smx_softmax_shape& shape, smx_algorithm algorithm, const smx_thresholds& thresholds) {
  const size_t stays = thresholds.streamed_bytes - 1;
  if (shape.in_place) return false;
  if (algorithm == smx_algorithm_two_pass) return !Fits(shape, shape.channels, stays);
  return algorithm == smx_algorithm_several_rows && shape.aligned_rows && !AllFit(shape, stays);
}

// Rows that are left when each thread has had as many as every other, if they are long enough to be split.
size_t SplitRows(const smx_softmax_shape& shape, const smx_thresholds& thresholds, size_t threads) {
  const bool is_long = shape.channels >= std::max<size_t>(thresholds.split_channels, 2 * SMX_TILE);
  return threads > 1 && is_long ? shape.rows % threads : 0;
}

size_t RowsPerTask(const smx_softmax_shape& shape, smx_algorithm algorithm,
                   const smx_thresholds& thresholds) {
  const size_t rows = std::max<size_t>(1, smx_divide_round_up(thresholds.task_elements, shape.channels));
  if (algorithm != smx_algorithm_rows_as_lanes || rows < kRowsOfLaneTask) return rows;
  return rows / kRowsOfLaneTask * kRowsOfLaneTask;
}

}  // namespace

struct smx_thresholds smx_default_thresholds(size_t l2_bytes, size_t last_level_bytes) {
  const size_t l2 = l2_bytes != 0 ? l2_bytes : kDefaultL2Bytes;
  smx_thresholds thresholds;
  thresholds.lane_channels = kLaneChannels;
  thresholds.grouped_channels = SMX_GROUPED;
  thresholds.stored_bytes = std::max(l2, std::min(last_level_bytes, kLargestLastLevelShare));
  thresholds.streamed_bytes = last_level_bytes == 0
                                  ? kStreamedBytes
                                  : std::clamp(last_level_bytes, kLargestLastLevelShare, kStreamedBytes);
  thresholds.split_channels = 2 * SMX_TILE;
  thresholds.task_elements = kElementsPerTask;
  return thresholds;
}

size_t smx_span_length(size_t channels) {
  const size_t tiles = smx_divide_round_up(channels, SMX_TILE);
  return smx_divide_round_up(tiles, SMX_MAX_SPANS) * SMX_TILE;
}

struct smx_softmax_plan smx_plan_softmax(const struct smx_softmax_shape* shape,
                                         const struct smx_thresholds* thresholds, size_t threads) {
  const Choice choice = Choose(*shape, thresholds->stored_bytes, *thresholds);
  smx_softmax_plan plan;
  plan.algorithm = choice.algorithm;
  plan.reason = choice.reason;
  plan.split_rows = SplitRows(*shape, *thresholds, threads);
  plan.rows_per_task = RowsPerTask(*shape, choice.algorithm, *thresholds);
  plan.streams_output = Streams(*shape, choice.algorithm, *thresholds);
  return plan;
}

const char* smx_algorithm_name(enum smx_algorithm algorithm) {
  constexpr const char* kNames[] = {"rows-as-lanes", "several-rows", "store-and-rescale", "two-pass"};
  return kNames[algorithm];
}
