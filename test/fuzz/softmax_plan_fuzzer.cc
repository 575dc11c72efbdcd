// The planner: whatever the shape, the thresholds and the number of threads, every row and every element of a split row is
// computed exactly once, kernels get what they can take, and no size wraps.
#include "src/plan/softmax_plan.h"

#include <string.h>

#include <atomic>
#include <vector>

#include "src/gen/microkernels.h"
#include "src/operators/two_phases.h"
#include "test/fuzz/fuzz_input.h"
#include "test/softmax_tester.h"

namespace smx {
namespace {

__extension__ using Wide = unsigned __int128;  // sums and products of sizes do not wrap

smx_softmax_shape DrawShape(FuzzInput* input) {
  smx_softmax_shape shape;
  shape.rows = input->Size();
  shape.element_bytes = 2 + input->Below(15);
  // What setup lets through.
  shape.channels = input->Size() % (PTRDIFF_MAX / sizeof(float)) + 1;
  shape.in_place = input->OneIn(2);
  constexpr size_t kLongest[] = {0, SMX_BLOCK, SMX_GROUPED};
  shape.grouped_channels = kLongest[input->Below(3)];
  shape.varies = input->OneIn(2);
  shape.stores_terms = !input->OneIn(8);
  shape.aligned_rows = !input->OneIn(8);
  return shape;
}

smx_thresholds DrawThresholds(FuzzInput* input) {
  if (input->OneIn(4)) return smx_default_thresholds(input->Size(), input->Size());
  smx_thresholds thresholds = {input->Size(), input->Size(), input->Size(),
                               input->Size(), input->Size(), input->Size()};
  // What smx_set_thresholds lets through.
  thresholds.streamed_bytes = std::max<size_t>(thresholds.streamed_bytes, 1);
  thresholds.task_elements = std::max<size_t>(thresholds.task_elements, 1);
  return thresholds;
}

Wide RowBytes(const smx_softmax_shape& shape) {
  return Wide{shape.channels} * shape.element_bytes;
}

void CheckAlgorithm(const smx_softmax_shape& shape, const smx_thresholds& thresholds,
                    const smx_softmax_plan& plan) {
  Require(plan.reason != nullptr && plan.reason[0] != '\0', "a choice has a reason");
  Require(smx_algorithm_name(plan.algorithm)[0] != '\0', "an algorithm has a name");
  switch (plan.algorithm) {
    case smx_algorithm_rows_as_lanes:
      Require(shape.grouped_channels > 0 && shape.channels <= 4 * SMX_LANES &&
                  shape.channels <= thresholds.lane_channels,
              "rows fit lanes");
      break;
    case smx_algorithm_several_rows:
      Require(shape.channels <= shape.grouped_channels && shape.channels <= thresholds.grouped_channels,
              "rows fit a kernel");
      Require(shape.channels <= SMX_BLOCK || shape.varies || RowBytes(shape) * shape.rows <= size_t{1} << 20,
              "long rows fit a cache");
      break;
    case smx_algorithm_store_and_rescale:
      Require(shape.stores_terms && RowBytes(shape) <= thresholds.stored_bytes, "rows that are stored fit");
      Require(smx_span_length(shape.channels) == SMX_TILE, "stored spans are single tiles");
      break;
    case smx_algorithm_two_pass:
      Require(!shape.stores_terms || RowBytes(shape) > thresholds.stored_bytes ||
                  smx_span_length(shape.channels) > SMX_TILE,
              "two passes are for rows that are not stored");
  }
  const bool row_fills = RowBytes(shape) >= thresholds.streamed_bytes;
  const bool rows_fill = RowBytes(shape) * shape.rows >= thresholds.streamed_bytes;
  const bool is_large = plan.algorithm == smx_algorithm_two_pass
                            ? row_fills
                            : plan.algorithm == smx_algorithm_several_rows && shape.aligned_rows && rows_fill;
  Require(plan.streams_output == (is_large && !shape.in_place), "large outputs are streamed, and no other");
}

// As pthreadpool_parallelize_1d_tile_1d cuts them, where there are few enough tasks to follow.
void CheckTasks(size_t rows, size_t rows_per_task) {
  constexpr size_t kMostTasks = 1000;
  Require(rows_per_task > 0, "a task has rows");
  if (rows / rows_per_task > kMostTasks) return;
  size_t covered = 0;
  while (covered < rows) covered += std::min(rows - covered, rows_per_task);
  Require(covered == rows, "tasks cover the rows");
}

void CheckTaskSize(const smx_softmax_shape& shape, const smx_thresholds& thresholds,
                   const smx_softmax_plan& plan) {
  constexpr size_t kGroup = 128;
  Require(Wide{plan.rows_per_task - 1} * shape.channels < thresholds.task_elements,
          "fewer rows are worth no task");
  if (plan.algorithm == smx_algorithm_rows_as_lanes && plan.rows_per_task >= kGroup) {
    Require(plan.rows_per_task % kGroup == 0, "tasks are whole groups");
  } else {
    Require(Wide{plan.rows_per_task} * shape.channels >= thresholds.task_elements, "a task is worth it");
  }
}

void CheckSplit(const smx_softmax_shape& shape, const smx_thresholds& thresholds, size_t threads,
                const smx_softmax_plan& plan) {
  Require(plan.split_rows <= shape.rows, "rows that are split are rows");
  const bool is_long = shape.channels >= thresholds.split_channels && shape.channels >= 2 * SMX_TILE;
  if (threads <= 1 || !is_long) {
    Require(plan.split_rows == 0, "short rows are not split, and nothing for one thread");
  } else {
    Require(plan.split_rows < threads, "as few rows as possible are split");
    Require((shape.rows - plan.split_rows) % threads == 0, "threads have the same number of whole rows");
  }
}

// As operators cut a row.
void CheckSpans(size_t channels) {
  const size_t length = smx_span_length(channels);
  Require(length > 0 && length % SMX_TILE == 0, "spans are whole tiles");
  const size_t count = (channels - 1) / length + 1;
  Require(count <= SMX_MAX_SPANS, "spans are not too many");
  size_t covered = 0;
  for (size_t i = 0; i < count; i++) {
    const size_t end = std::min(channels, (i + 1) * length);
    Require(i * length == covered && end > covered, "a span begins where the one before it ends");
    covered = end;
  }
  Require(covered == channels, "spans cover the row");
}

// That the threads of a pool take each item once in each phase, the second after all of the first.
void CheckTwoPhases(size_t items, size_t threads, bool has_second) {
  std::vector<std::atomic<size_t>> first(items), second(items);
  std::atomic<size_t> done{0}, between{0};
  smx_run_two_phases(
      Pool(threads), items,
      [&](size_t i) {
        first[i]++;
        done++;
      },
      [&] {
        between++;
        return has_second;
      },
      [&](size_t i) {
        second[i]++;
        Require(done == items, "phases follow each other");
      });
  Require(between == 1, "between the phases is one call");
  for (size_t i = 0; i < items; i++) {
    Require(first[i] == 1 && second[i] == (has_second ? 1u : 0u), "each item is taken once");
  }
}

void CheckPlan(FuzzInput* input) {
  const smx_softmax_shape shape = DrawShape(input);
  const smx_thresholds thresholds = DrawThresholds(input);
  const size_t threads = input->Size();
  const smx_softmax_plan plan = smx_plan_softmax(&shape, &thresholds, threads);
  CheckAlgorithm(shape, thresholds, plan);
  CheckSplit(shape, thresholds, threads, plan);
  CheckTasks(shape.rows - plan.split_rows, plan.rows_per_task);
  CheckTaskSize(shape, thresholds, plan);
  CheckSpans(shape.channels);

  const smx_softmax_plan serial = smx_plan_softmax(&shape, &thresholds, 1);
  Require(serial.algorithm == plan.algorithm && serial.reason == plan.reason &&
              serial.streams_output == plan.streams_output && serial.rows_per_task == plan.rows_per_task,
          "threads decide what is split, and nothing else");
}

}  // namespace
}  // namespace smx

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  smx::FuzzInput input(data, size);
  while (!input.IsUsedUp()) {
    smx::CheckPlan(&input);
    if (input.OneIn(16)) {
      smx::CheckTwoPhases(1 + input.Below(SMX_MAX_SPANS), 1 + input.Below(4), !input.OneIn(4));
    }
  }
  return 0;
}
