#include "src/plan/softmax_plan.h"

#include "src/gen/microkernels.h"

namespace {

// Fewer elements than this take less time than it takes to wake another thread.
constexpr size_t kElementsPerTask = 16384;

// Fewer rows than this do not pay for what f32-softmax does once a group.
constexpr size_t kRowsWorthAGroup = 4;

// A row and its output of this size have left the last-level cache before anyone can read them from it. What cpuinfo
// reports of that cache is not used: in a virtual machine it is the whole host's.
constexpr size_t kStreamedRowBytes = size_t{32} << 20;

size_t DivideRoundUp(size_t n, size_t q) {
  return n / q + (n % q != 0);
}

// Storing the terms pays while they are still in the cache of the core when they are scaled. In place, a row must be
// known to be within range before any of it is overwritten: a single tile is.
bool StoresTerms(const smx_softmax_shape& shape, size_t l2_bytes) {
  if (shape.in_place) return shape.channels <= SMX_TILE;
  const size_t row_pair_bytes = 2 * sizeof(float);
  return shape.channels <= l2_bytes / row_pair_bytes && shape.channels <= size_t{SMX_MAX_SPANS} * SMX_TILE;
}

smx_algorithm Algorithm(const smx_softmax_shape& shape, size_t l2_bytes) {
  if (shape.channels <= SMX_BLOCK && shape.rows >= kRowsWorthAGroup) return smx_algorithm_several_rows;
  return StoresTerms(shape, l2_bytes) ? smx_algorithm_store_and_rescale : smx_algorithm_two_pass;
}

}  // namespace

size_t smx_span_length(size_t channels) {
  const size_t tiles = DivideRoundUp(channels, SMX_TILE);
  return DivideRoundUp(tiles, SMX_MAX_SPANS) * SMX_TILE;
}

struct smx_softmax_plan smx_plan_softmax(const struct smx_softmax_shape* shape, size_t l2_bytes,
                                         size_t threads) {
  smx_softmax_plan plan;
  plan.splits_rows = threads > 1 && shape->rows < threads && shape->channels >= 2 * SMX_TILE;
  plan.algorithm = Algorithm(*shape, plan.splits_rows ? l2_bytes * threads : l2_bytes);
  plan.streams_output = plan.algorithm == smx_algorithm_two_pass && !shape->in_place &&
                        shape->channels >= kStreamedRowBytes / (2 * sizeof(float));
  plan.rows_per_task = DivideRoundUp(kElementsPerTask, shape->channels);
  return plan;
}
