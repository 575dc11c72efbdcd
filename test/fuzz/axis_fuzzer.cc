// Softmax and log-softmax over any axis of a tensor. What must hold:
// - setup takes the layouts that include/smxpack.h names, and no others;
// - each column has the bits of the same elements as a contiguous row, on any number of threads and on every ISA;
// - nothing else changes: neither input nor gaps, and guard pages lie at both ends.
#include <pthreadpool.h>
#include <string.h>

#include <algorithm>
#include <string>
#include <vector>

#include "include/smxpack.h"
#include "src/gen/microkernels.h"
#include "test/elements.h"
#include "test/fuzz/fuzz_input.h"
#include "test/fuzz/hostile_rows.h"
#include "test/guarded_buffer.h"
#include "test/isas.h"
#include "test/rows_operator.h"
#include "test/softmax_tester.h"

namespace smx {
namespace {

using Bytes = std::vector<unsigned char>;

constexpr size_t kMostElements = 2 * SMX_TILE + 5000;
constexpr size_t kMostThreads = 4;

struct Shape {
  size_t outer;
  size_t axis;
  size_t inner;

  size_t columns() const { return outer * inner; }

  template <class Function>
  void ForEach(const Function& function) const {
    for (size_t o = 0; o < outer; o++) {
      for (size_t a = 0; a < axis; a++) {
        for (size_t i = 0; i < inner; i++) function(o, a, i);
      }
    }
  }
};

// Of the input or the output.
struct Side {
  smx_datatype type;
  size_t outer_stride;
  size_t axis_stride;
  size_t place;  // bytes from the beginning of the memory

  size_t At(size_t o, size_t a, size_t i) const {
    return place + (o * outer_stride + a * axis_stride + i) * BytesOf(type);
  }
  size_t End(const Shape& shape) const {
    return At(shape.outer - 1, shape.axis - 1, shape.inner - 1) + BytesOf(type);
  }
};

// As include/smxpack.h asks for it.
bool IsNested(const Shape& shape, const Side& side) {
  if (shape.outer == 1) return shape.axis == 1 || side.axis_stride >= shape.inner;
  if (shape.axis == 1) return side.outer_stride >= shape.inner;
  const bool axis_is_outermost = side.axis_stride > side.outer_stride;
  const size_t small = std::min(side.axis_stride, side.outer_stride);
  const size_t small_size = axis_is_outermost ? shape.outer : shape.axis;
  return small >= shape.inner &&
         std::max(side.axis_stride, side.outer_stride) >= (small_size - 1) * small + shape.inner;
}

bool HaveTheSameStrides(const Shape& shape, const Side& x, const Side& y) {
  return BytesOf(x.type) == BytesOf(y.type) && (shape.outer == 1 || x.outer_stride == y.outer_stride) &&
         (shape.axis == 1 || x.axis_stride == y.axis_stride);
}

bool ShareAByte(const Shape& shape, const Side& x, const Side& y) {
  std::vector<bool> is_input(std::max(x.End(shape), y.End(shape)));
  shape.ForEach([&](size_t o, size_t a, size_t i) {
    for (size_t byte = 0; byte < BytesOf(x.type); byte++) is_input[x.At(o, a, i) + byte] = true;
  });
  bool shares = false;
  shape.ForEach([&](size_t o, size_t a, size_t i) {
    for (size_t byte = 0; byte < BytesOf(y.type); byte++) shares |= is_input[y.At(o, a, i) + byte];
  });
  return shares;
}

bool AreRight(const Shape& shape, const Side& x, const Side& y) {
  if (!IsNested(shape, x) || !IsNested(shape, y)) return false;
  if (x.End(shape) <= y.place || y.End(shape) <= x.place) return true;
  if (!HaveTheSameStrides(shape, x, y)) return false;
  return x.place == y.place || !ShareAByte(shape, x, y);
}

Shape DrawShape(FuzzInput* input) {
  constexpr size_t kLong[] = {SMX_BLOCK, 2 * SMX_BLOCK, 4 * SMX_BLOCK, SMX_TILE};
  constexpr size_t kWide[] = {SMX_PANEL, 2 * SMX_PANEL, 512};
  const size_t kind = input->Below(16);
  const size_t axis = kind < 12   ? 1 + input->Below(70)
                      : kind < 15 ? input->Around(kLong)
                                  : 1 + input->Below(kMostElements);
  const size_t most_columns = kMostElements / axis;
  const size_t drawn = input->OneIn(4) ? input->Around(kWide) : 1 + input->Below(40);
  const size_t inner = std::clamp<size_t>(drawn, 1, most_columns);
  return {std::clamp<size_t>(1 + input->Below(9), 1, most_columns / inner), axis, inner};
}

Side DrawSide(const Shape& shape, smx_datatype type, FuzzInput* input) {
  const size_t gap = input->OneIn(3) ? input->Below(20) : 0;
  const size_t larger_gap = input->OneIn(3) ? input->Below(20) : 0;
  const bool axis_is_outermost = input->OneIn(3);
  const size_t small = shape.inner + gap;
  const size_t large = (axis_is_outermost ? shape.outer : shape.axis) * small + larger_gap;
  Side side = {type, axis_is_outermost ? small : large, axis_is_outermost ? large : small, 0};
  if (input->OneIn(8)) (input->OneIn(2) ? side.outer_stride : side.axis_stride) = input->Below(2 * small);
  return side;
}

// The output may be anywhere: behind the input, on it, or in its gaps.
void DrawPlaces(const Shape& shape, Side* x, Side* y, FuzzInput* input) {
  if (!input->OneIn(3)) {
    y->place = (x->End(shape) + 63) / 64 * 64;
    return;
  }
  if (!input->OneIn(4)) {
    y->outer_stride = x->outer_stride;
    y->axis_stride = x->axis_stride;
  }
  const size_t distance = input->OneIn(2) ? input->Below(2 * x->axis_stride + 1) * sizeof(float) : 0;
  (input->OneIn(4) ? x : y)->place = distance;
}

struct Run {
  bool is_log;
  uint32_t flags;
  float scale;
  Shape shape;
  Side x;
  Side y;
};

smx_operator_t CreateAndSetScale(const Run& run, bool over_axis) {
  smx_operator_t op = nullptr;
  const auto create = over_axis ? (run.is_log ? smx_create_log_softmax_axis : smx_create_softmax_axis)
                                : (run.is_log ? smx_create_log_softmax_nc : smx_create_softmax_nc);
  Require(create(run.x.type, run.y.type, run.flags, &op) == smx_status_success, "create");
  Require(smx_set_scale(op, run.scale) == smx_status_success, "set_scale");
  return op;
}

// Columns as contiguous rows.
Bytes ResultsOfRows(const Run& run, const Bytes& columns) {
  const Shape& shape = run.shape;
  Bytes results(shape.columns() * shape.axis * BytesOf(run.y.type));
  smx_operator_t op = CreateAndSetScale(run, false);
  Require((run.is_log ? smx_setup_log_softmax_nc : smx_setup_softmax_nc)(
              op, shape.columns(), shape.axis, shape.axis, shape.axis, columns.data(), results.data()) ==
              smx_status_success,
          "setup of rows");
  Require(smx_run_operator(op, nullptr) == smx_status_success, "run of rows");
  smx_delete_operator(op);
  return results;
}

// What the columns of one side hold, which lie one after the other in `columns`, goes to their places in the memory.
void Scatter(const Shape& shape, const Side& side, const Bytes& columns, unsigned char* memory) {
  const size_t bytes = BytesOf(side.type);
  shape.ForEach([&](size_t o, size_t a, size_t i) {
    memcpy(memory + side.At(o, a, i), &columns[((o * shape.inner + i) * shape.axis + a) * bytes], bytes);
  });
}

void SetTaskElements(size_t task_elements) {
  smx_thresholds thresholds;
  Require(smx_get_thresholds(&thresholds) == smx_status_success, "get_thresholds");
  thresholds.task_elements = task_elements;
  Require(smx_set_thresholds(&thresholds) == smx_status_success, "set_thresholds");
}

void Check(const Run& run, const HostileRows& draw, size_t threads, GuardedEdge edge) {
  const Shape& shape = run.shape;
  // Whole elements of both sides, so that they are aligned where the memory ends at a guard page.
  const size_t largest = std::max(BytesOf(run.x.type), BytesOf(run.y.type));
  const size_t size = (std::max(run.x.End(shape), run.y.End(shape)) + largest - 1) / largest * largest;
  Bytes columns;
  for (size_t c = 0; c < shape.columns(); c++) {
    const std::vector<float> column = draw(shape.axis, c);
    const Bytes encoded = Encode(run.x.type, column.data(), column.size());
    columns.insert(columns.end(), encoded.begin(), encoded.end());
  }
  GuardedMemory memory(size, edge, 0);
  unsigned char* data = static_cast<unsigned char*>(memory.data());
  const bool is_right = AreRight(shape, run.x, run.y);
  Bytes of_rows;
  for (const std::string& isa : AvailableIsas()) {
    UseIsa(isa);
    SetTaskElements(1 + threads * 100);
    smx_operator_t op = CreateAndSetScale(run, true);
    const smx_status status = (run.is_log ? smx_setup_log_softmax_axis : smx_setup_softmax_axis)(
        op, shape.outer, shape.axis, shape.inner, run.x.outer_stride, run.x.axis_stride, run.y.outer_stride,
        run.y.axis_stride, data + run.x.place, data + run.y.place);
    Require(status == (is_right ? smx_status_success : smx_status_invalid_parameter), "setup");
    if (is_right) {
      if (of_rows.empty()) of_rows = ResultsOfRows(run, columns);
      memset(data, 0xFF, size);
      Scatter(shape, run.x, columns, data);
      Bytes expected(data, data + size);
      Scatter(shape, run.y, of_rows, expected.data());
      Require(smx_run_operator(op, Pool(threads)) == smx_status_success, "run");
      Require(memcmp(data, expected.data(), size) == 0,
              "columns have the bits of rows, and nothing else is written");
      Require(memory.SurroundingsAreIntact(), "nothing is written outside");
    }
    smx_delete_operator(op);
  }
}

}  // namespace
}  // namespace smx

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace smx;
  constexpr float kScales[] = {1.0f, 1.0f, 0.125f, -0.7f, 0.0f, 100.0f, 0x1p+41f};
  FuzzInput input(data, size);
  const TypePair& types = input.Pick(TypePairs());
  Run run;
  run.is_log = input.OneIn(3);
  run.flags = input.OneIn(2) ? SMX_FLAG_MASKED_ROWS_TO_ZERO : 0;
  run.scale = input.Pick(kScales);
  run.shape = DrawShape(&input);
  run.x = DrawSide(run.shape, types.input, &input);
  run.y = DrawSide(run.shape, types.output, &input);
  DrawPlaces(run.shape, &run.x, &run.y, &input);
  const size_t threads = input.Below(kMostThreads + 1);
  const GuardedEdge edge = input.OneIn(2) ? GuardedEdge::kBeginning : GuardedEdge::kEnd;
  Check(run, DrawHostileRows(&input), threads, edge);
  return 0;
}
