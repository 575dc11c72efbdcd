// Softmax over any axis. See smx_create_softmax_axis in include/smxpack.h.
#include <algorithm>

#include "src/operators/axis.h"
#include "src/runtime/log.h"
#include "src/runtime/parallelize.h"

namespace {

smx_axis* Axis(smx_operator* op) {
  return reinterpret_cast<smx_axis*>(op);
}
const smx_axis* Axis(const smx_operator* op) {
  return reinterpret_cast<const smx_axis*>(op);
}

bool ColumnsAreRows(const smx_axis_shape& shape) {
  return shape.inner == 1 && (shape.axis == 1 || (shape.input.axis == 1 && shape.output.axis == 1));
}

// Slices whose steps follow one another are one slice.
smx_axis_shape Merged(const smx_axis_shape& shape) {
  const bool are_one = shape.input.outer == shape.inner && shape.output.outer == shape.inner;
  if (shape.outer == 1 || !are_one || ColumnsAreRows(shape)) return shape;
  return {1, shape.axis, shape.outer * shape.inner, shape.input, shape.output};
}

// Steps of columns that vectors are filled with.
constexpr size_t kShortestFolded = 2 * SMX_BLOCK;

// Scattered columns that are brought side by side at a time: short ones whole.
constexpr size_t kScatteredColumns = kStagedElements / kShortAxis;

// How the columns of a strip are computed.
struct Way {
  const char* name;
  const char* reason;
  void (*run)(const smx_axis* op, const smx_strip* strip, float* panel);
};

constexpr Way kShort = {"columns-as-lanes", "columns are no longer than one kernel takes",
                        smx_run_short_columns};
constexpr Way kTransposed = {"columns-as-rows", "columns take less time as rows", smx_run_transposed_columns};
constexpr Way kFolded = {"columns-by-blocks", "steps of few columns fill vectors", smx_run_folded_columns};
constexpr Way kStored = {"columns-as-lanes", "a panel holds columns as long", smx_run_long_columns};
constexpr Way kByBlocks = {"columns-by-blocks", "a panel holds no columns as long, or few that lie far apart",
                           smx_run_long_columns};

// How columns are cut into strips.
struct Plan {
  const Way* way;
  bool streams;
  size_t strip_slices;   // 1, or more of few columns
  size_t strip_columns;  // of a slice
  size_t lead;           // columns that the first strip of a slice lacks
  size_t strips_of_slice;
  size_t strips;
};

// A fifth of them: then columns that are lanes take longer than transposing them does.
bool LeavesLanesEmpty(size_t columns) {
  const size_t lanes = smx_divide_round_up(columns, SMX_PANEL) * SMX_PANEL;
  return lanes - columns >= lanes / 5;
}

bool AreTransposed(const smx_axis& op) {
  const smx_axis_shape& shape = op.shape;
  if (shape.axis < kShortestTransposed) return false;
  if (shape.inner < SMX_PANEL) return true;
  return LeavesLanesEmpty(shape.inner) && smx_transposed_columns(shape.axis, shape.inner) > 0;
}

// Slices as long as these take less time so than transposed; of fewer than there are threads, columns are shared.
bool AreFolded(const smx_axis& op, size_t threads) {
  const smx_axis_shape& shape = op.shape;
  const bool have_gaps = shape.input.axis > shape.inner || shape.output.axis > shape.inner;
  return op.rows.types->is_f32() && !have_gaps && shape.inner > 1 && shape.inner < SMX_PANEL &&
         SMX_PANEL % shape.inner == 0 && shape.axis >= kShortestFolded && shape.outer >= threads;
}

const Way* WayOf(const smx_axis& op, size_t threads) {
  const size_t steps = op.shape.axis;
  const bool is_direct = smx_scale_is_direct(&op.rows.scale);
  if (steps <= kShortAxis && is_direct) return &kShort;
  if (is_direct && AreFolded(op, threads)) return &kFolded;
  if (AreTransposed(op)) return &kTransposed;
  return smx_columns_are_stored(op) ? &kStored : &kByBlocks;
}

// Of a strip whose columns are lanes.
size_t MostColumns(const smx_axis& op, const Way* way, bool is_scattered) {
  if (way == &kByBlocks) return kColumnsInBlocks;
  const size_t held = kPanelFloats / op.shape.axis / SMX_PANEL * SMX_PANEL;
  if (is_scattered) return std::min(held, kScatteredColumns);
  return way == &kShort && op.rows.types->is_f32() ? held : std::min(held, kMostColumns);
}

// Whether the output has left the caches before anyone can read it from them, and its whole vectors are aligned in every step.
bool Streams(const smx_axis& op, const Way* way) {
  const smx_axis_shape& shape = op.shape;
  const size_t element_bytes = op.rows.types->input_bytes + op.rows.types->output_bytes;
  const bool is_large = shape.outer * shape.axis * shape.inner >=
                        smx_divide_round_up(op.rows.base.thresholds.streamed_bytes, element_bytes);
  const bool is_folded = way == &kFolded;
  const size_t to_boundary = smx_elements_to_boundary(op.rows.output, op.rows.types->output_bytes, SMX_PANEL);
  const bool is_aligned =
      is_folded ? to_boundary == 0 : shape.output.axis % SMX_PANEL == 0 && shape.inner >= SMX_PANEL;
  return is_large && is_aligned && (shape.outer == 1 || shape.output.outer % SMX_PANEL == 0) &&
         way != &kTransposed && op.rows.input != op.rows.output && op.rows.types->output == smx_datatype_f32;
}

// As many columns as a panel holds, fewer where threads would go without: of whole slices, or of one.
void CutIntoRows(const smx_axis& op, size_t threads, Plan* plan) {
  const size_t inner = op.shape.inner;
  const size_t held = smx_transposed_columns(op.shape.axis, inner);
  const size_t most =
      std::min(held > 0 ? held : kTransposedTogether, smx_divide_round_up(op.shape.outer * inner, threads));
  plan->strip_columns = std::min(most, inner);
  plan->strip_slices = held > 0 ? most / plan->strip_columns : 1;
}

void CutIntoSlices(const smx_axis& op, size_t, Plan* plan) {
  plan->strip_columns = op.shape.inner;
  plan->strip_slices = 1;
}

// Groups of columns, fewer where threads would go without.
void CutIntoGroups(const smx_axis& op, size_t threads, Plan* plan) {
  const smx_axis_shape& shape = op.shape;
  const bool is_scattered = shape.inner < SMX_PANEL && shape.outer > 1;
  const size_t all_groups = is_scattered ? smx_divide_round_up(shape.outer * shape.inner, SMX_PANEL)
                                         : shape.outer * smx_divide_round_up(shape.inner, SMX_PANEL);
  const size_t groups =
      std::clamp<size_t>(all_groups / threads, 1, MostColumns(op, plan->way, is_scattered) / SMX_PANEL);
  plan->strip_slices = is_scattered ? groups * SMX_PANEL / shape.inner : 1;
  plan->strip_columns = is_scattered ? shape.inner : groups * SMX_PANEL;
}

Plan PlanStrips(const smx_axis& op, size_t threads) {
  const smx_axis_shape& shape = op.shape;
  Plan plan;
  plan.way = WayOf(op, threads);
  plan.streams = Streams(op, plan.way);
  const auto cut = plan.way == &kFolded       ? CutIntoSlices
                   : plan.way == &kTransposed ? CutIntoRows
                                              : CutIntoGroups;
  cut(op, threads, &plan);
  const size_t to_boundary = smx_elements_to_boundary(op.rows.output, op.rows.types->output_bytes, SMX_PANEL);
  plan.lead = plan.streams && to_boundary > 0 ? plan.strip_columns - to_boundary : 0;
  plan.strips_of_slice = smx_divide_round_up(plan.lead + shape.inner, plan.strip_columns);
  plan.strips = smx_divide_round_up(shape.outer, plan.strip_slices) * plan.strips_of_slice;
  return plan;
}

smx_strip StripAt(const smx_axis_shape& shape, const Plan& plan, size_t index) {
  const size_t slice = index / plan.strips_of_slice * plan.strip_slices;
  const size_t start = index % plan.strips_of_slice * plan.strip_columns;
  const size_t first = std::max(start, plan.lead) - plan.lead;
  const size_t end = std::min(start + plan.strip_columns - plan.lead, shape.inner);
  const bool is_aligned = start >= plan.lead;
  return {slice,
          std::min(plan.strip_slices, shape.outer - slice),
          first,
          end - first,
          plan.streams && is_aligned,
          nullptr};
}

size_t StripsPerTask(const smx_axis& op, const Plan& plan) {
  const size_t columns = plan.strip_columns * plan.strip_slices;
  return std::max<size_t>(1, op.rows.base.thresholds.task_elements / op.shape.axis / columns);
}

void RunStrips(const smx_axis& op, const Plan& plan, size_t start, size_t end) {
  alignas(64) float panel[kPanelRoom];
  for (size_t i = start; i < end; i++) {
    smx_strip strip = StripAt(op.shape, plan, i);
    const smx_strip next = StripAt(op.shape, plan, std::min(i + 1, end - 1));
    if (i + 1 < end) strip.next = &next;
    plan.way->run(&op, &strip, panel);
  }
}

void Run(smx_operator* base, pthreadpool_t threadpool) {
  const smx_axis& op = *Axis(base);
  if (op.shape.outer == 0 || op.shape.inner == 0) return;
  if (ColumnsAreRows(op.shape)) return smx_run_rows(&op.rows, threadpool);
  const size_t threads = pthreadpool_get_threads_count(threadpool);
  const Plan plan = PlanStrips(op, threads);
  const size_t strips_per_task = StripsPerTask(op, plan);
  if (threads == 1 || plan.strips <= strips_per_task) return RunStrips(op, plan, 0, plan.strips);
  smx_parallelize(threadpool, plan.strips, strips_per_task,
                  [&](size_t start, size_t count) { RunStrips(op, plan, start, start + count); });
}

void DescribePlan(const smx_operator* base, size_t threads, smx_plan* plan_out) {
  const smx_axis& op = *Axis(base);
  if (ColumnsAreRows(op.shape)) return smx_describe_rows_plan(&op.rows, threads, plan_out);
  if (op.shape.outer == 0 || op.shape.inner == 0) {
    *plan_out = {kShort.name, "there are no columns", false, 0, 0};
    return;
  }
  const Plan plan = PlanStrips(op, threads);
  const size_t columns = StripsPerTask(op, plan) * plan.strip_columns * plan.strip_slices;
  *plan_out = {plan.way->name, plan.way->reason, plan.streams, 0, columns};
}

const char* SetScale(smx_operator* base, float scale) {
  return smx_set_rows_scale(&Axis(base)->rows, scale);
}

constexpr smx_operator_type kSoftmaxAxis = {"softmax_axis", Run, DescribePlan, SetScale};
constexpr smx_operator_type kLogSoftmaxAxis = {"log_softmax_axis", Run, DescribePlan, SetScale};

smx_status SetUp(smx_axis* op, const smx_axis_shape& shape, const void* input, void* output) {
  const char* reason = shape.axis == 0 ? "axis is 0" : nullptr;
  if (reason == nullptr && shape.outer > 0 && shape.inner > 0) {
    reason = smx_invalid_axis(&shape, op->rows.types, input, output);
  }
  if (reason != nullptr) {
    smx_log_error("setup %s: %s", op->rows.base.type->name, reason);
    return smx_status_invalid_parameter;
  }
  op->shape = Merged(shape);
  op->rows.batch_size = shape.outer;
  op->rows.channels = shape.axis;
  op->rows.input_stride = shape.input.outer;
  op->rows.output_stride = shape.output.outer;
  op->rows.input = input;
  op->rows.output = output;
  op->rows.serial_plan = smx_plan_rows(&op->rows, 1);
  op->rows.base.is_set_up = true;
  return smx_status_success;
}

}  // namespace

enum smx_status smx_create_softmax_axis(enum smx_datatype input_type, enum smx_datatype output_type,
                                        uint32_t flags, smx_operator_t* op_out) {
  return smx_create_rows(&kSoftmaxAxis, sizeof(smx_axis), "softmax_op_out", smx_rows_softmax, input_type,
                         output_type, nullptr, SMX_FLAG_MASKED_ROWS_TO_ZERO, flags, op_out);
}

enum smx_status smx_create_log_softmax_axis(enum smx_datatype input_type, enum smx_datatype output_type,
                                            uint32_t flags, smx_operator_t* op_out) {
  return smx_create_rows(&kLogSoftmaxAxis, sizeof(smx_axis), "log_softmax_op_out", smx_rows_log_softmax,
                         input_type, output_type, nullptr, SMX_FLAG_MASKED_ROWS_TO_ZERO, flags, op_out);
}

enum smx_status smx_setup_softmax_axis(smx_operator_t softmax_op, size_t outer, size_t axis, size_t inner,
                                       size_t input_outer_stride, size_t input_axis_stride,
                                       size_t output_outer_stride, size_t output_axis_stride,
                                       const void* input, void* output) {
  const enum smx_status status = smx_check_operator(softmax_op, &kSoftmaxAxis);
  if (status != smx_status_success) return status;
  const smx_axis_shape shape = {
      outer, axis, inner, {input_outer_stride, input_axis_stride}, {output_outer_stride, output_axis_stride}};
  return SetUp(Axis(softmax_op), shape, input, output);
}

enum smx_status smx_setup_log_softmax_axis(smx_operator_t log_softmax_op, size_t outer, size_t axis,
                                           size_t inner, size_t input_outer_stride, size_t input_axis_stride,
                                           size_t output_outer_stride, size_t output_axis_stride,
                                           const void* input, void* output) {
  const enum smx_status status = smx_check_operator(log_softmax_op, &kLogSoftmaxAxis);
  if (status != smx_status_success) return status;
  const smx_axis_shape shape = {
      outer, axis, inner, {input_outer_stride, input_axis_stride}, {output_outer_stride, output_axis_stride}};
  return SetUp(Axis(log_softmax_op), shape, input, output);
}
