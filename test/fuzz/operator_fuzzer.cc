// The API of operators: a sequence of calls, right and wrong ones, in any order. What must hold:
// - every status is the one that include/smxpack.h asks for, and a failure is logged;
// - memory comes from the allocator, in create only, and is given back;
// - a row's result is right, and its bits are those of the row alone, in two passes and on one thread;
// - nothing else changes: neither input nor gaps between rows, and guard pages lie at both ends;
// - statuses, plans and results are the same on every ISA.
#include <math.h>
#include <pthreadpool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "include/smxpack.h"
#include "src/gen/microkernels.h"
#include "test/fuzz/fuzz_input.h"
#include "test/fuzz/hostile_rows.h"
#include "test/fuzz/operators.h"
#include "test/guarded_buffer.h"
#include "test/isas.h"
#include "test/softmax_tester.h"

namespace smx {
namespace {

using Bytes = std::vector<unsigned char>;
__extension__ using Wide = unsigned __int128;  // sums and products of sizes do not wrap

// Elements that one input may have computed: three long rows, of which two threads take one each and split the third.
constexpr size_t kMostElements = 3 * (2 * SMX_TILE + 100);
constexpr size_t kMostThreads = 4;

// --- What the library calls ---

struct Allocator {
  size_t live = 0;
  bool may_allocate = false;
  bool fails = false;

  static void* Allocate(void* context, size_t size) {
    Allocator* self = static_cast<Allocator*>(context);
    Require(self->may_allocate, "only create allocates");
    if (self->fails) return nullptr;
    self->live++;
    return malloc(size);
  }
  static void Deallocate(void* context, void* pointer) {
    static_cast<Allocator*>(context)->live--;
    free(pointer);
  }
};

size_t logged_errors = 0;

void CountErrors(void*, enum smx_log_level level, const char* message) {
  Require(message[0] != '\0' && strchr(message, '\n') == nullptr, "a message is a line");
  logged_errors += level == smx_log_level_error;
}

template <class Call>
void Expect(enum smx_status expected, const char* what, const Call& call) {
  const size_t before = logged_errors;
  const enum smx_status status = call();
  if (status != expected) {
    fprintf(stderr, "%s in place of %s\n", smx_status_to_string(status), smx_status_to_string(expected));
  }
  Require(status == expected, what);
  Require((logged_errors > before) == (status != smx_status_success),
          "failures are logged, and nothing else");
}

// --- Shapes ---

// Of the input or the output.
struct Rows {
  size_t element_bytes;
  size_t stride;
  unsigned char* data;
};

struct Arguments {
  size_t rows;
  size_t channels;
  Rows input;
  Rows output;
};

Wide Extent(const Arguments& a, const Rows& side) {
  return a.rows == 0 ? Wide{0} : Wide{a.rows - 1} * side.stride + a.channels;
}

bool IsInPlace(const Arguments& a) {
  return a.input.data == a.output.data && a.input.element_bytes == a.output.element_bytes &&
         (a.rows == 1 || a.input.stride == a.output.stride);
}

// Whether a row of `left` and one of `right`, which does not begin before it, share a byte. Strides are the same in bytes.
bool RowsMeet(const Arguments& a, const Rows& left, const Rows& right) {
  const size_t distance = static_cast<size_t>(right.data - left.data);
  const size_t stride = left.stride * left.element_bytes;
  const size_t row = distance / stride;
  const size_t gap = distance % stride;
  return (row < a.rows && gap < a.channels * left.element_bytes) ||
         (row + 1 < a.rows && stride - gap < a.channels * right.element_bytes);
}

// Overlap that is neither in place nor row by row in the gaps of the other.
bool OverlapIsWrong(const Arguments& a) {
  if (IsInPlace(a)) return false;
  const bool input_is_left = a.input.data <= a.output.data;
  const Rows& left = input_is_left ? a.input : a.output;
  const Rows& right = input_is_left ? a.output : a.input;
  const Wide distance = static_cast<Wide>(right.data - left.data);
  if (Extent(a, left) * left.element_bytes <= distance) return false;
  const bool is_same_grid =
      Wide{left.stride} * left.element_bytes == Wide{right.stride} * right.element_bytes;
  return !is_same_grid || RowsMeet(a, left, right);
}

bool SideIsRight(const Arguments& a, const Rows& side) {
  const uintptr_t begin = reinterpret_cast<uintptr_t>(side.data);
  return begin != 0 && begin % side.element_bytes == 0 &&
         Extent(a, side) <= PTRDIFF_MAX / side.element_bytes &&
         Extent(a, side) * side.element_bytes <= UINTPTR_MAX - begin;
}

// Whether setup must accept them.
bool AreRight(const Arguments& a) {
  if (a.channels == 0 || a.input.stride < a.channels || a.output.stride < a.channels) return false;
  if (a.rows == 0) return true;
  return SideIsRight(a, a.input) && SideIsRight(a, a.output) && !OverlapIsWrong(a);
}

size_t DrawChannels(FuzzInput* input) {
  constexpr size_t kShort[] = {SMX_LANES, 2 * SMX_LANES, 40,        4 * SMX_LANES, 128,
                               256,       512,           SMX_BLOCK, 2 * SMX_BLOCK};
  constexpr size_t kLong[] = {SMX_TILE, 2 * SMX_TILE, 3 * SMX_TILE, 4 * SMX_TILE};
  const size_t kind = input->Below(256);
  if (kind < 160) return 1 + input->Below(70);
  if (kind < 220) return 1 + input->Below(1100);
  if (kind < 250) return input->Around(kShort);
  return kind < 254 ? input->Around(kLong) : 1 + input->Below(70000);
}

size_t DrawRows(FuzzInput* input) {
  const size_t kind = input->Below(16);
  if (kind < 12) return 1 + input->Below(6);
  return 1 + input->Below(kind < 15 ? 40 : 300);
}

// Beyond the channels of a row: none, a few, or room for another row.
size_t DrawGap(size_t channels, FuzzInput* input) {
  const size_t kind = input->Below(4);
  return kind < 2 ? 0 : kind == 2 ? input->Below(20) : channels + input->Below(3);
}

// --- Memory ---

// That of a setup: one buffer for the input and one for the output, or a single one where they may overlap.
class Memory {
 public:
  enum class Layout { kApart, kInPlace, kOverlapping };

  // Reads the layout, and sets the pointers, and for in place the stride, of the arguments.
  Memory(Arguments* a, FuzzInput* input) {
    constexpr Layout kLayouts[] = {Layout::kApart, Layout::kApart, Layout::kInPlace, Layout::kOverlapping};
    const Layout layout = input->Pick(kLayouts);
    if (layout == Layout::kApart) {
      a->input.data = Add(BytesOf(*a, a->input), input);
      a->output.data = Add(BytesOf(*a, a->output), input);
      return;
    }
    if (!input->OneIn(4)) a->output.stride = a->input.stride;
    const size_t distance = layout == Layout::kInPlace ? 0 : DrawDistance(*a, input);
    const bool input_is_left = layout == Layout::kInPlace || input->OneIn(2);
    Rows* left = input_is_left ? &a->input : &a->output;
    Rows* right = input_is_left ? &a->output : &a->input;
    left->data = Add(std::max(BytesOf(*a, *left), distance + BytesOf(*a, *right)), input);
    right->data = left->data + distance;
  }

  // As floats, NaNs that spoil what depends on them.
  void Clear() {
    for (const Buffer& buffer : buffers_) memset(buffer.guarded->data(), 0xFF, buffer.bytes);
  }

  Bytes Image() const {
    Bytes image;
    for (const Buffer& buffer : buffers_) {
      const unsigned char* data = static_cast<const unsigned char*>(buffer.guarded->data());
      image.insert(image.end(), data, data + buffer.bytes);
    }
    return image;
  }

  // Where in the image this place of the memory is.
  size_t OffsetOf(const unsigned char* place) const {
    size_t offset = 0;
    for (const Buffer& buffer : buffers_) {
      const unsigned char* data = static_cast<const unsigned char*>(buffer.guarded->data());
      if (data <= place && place < data + buffer.bytes) return offset + static_cast<size_t>(place - data);
      offset += buffer.bytes;
    }
    Require(false, "the fuzzer's rows lie in its memory");
    return 0;
  }

  bool SurroundingsAreIntact() const {
    return std::all_of(buffers_.begin(), buffers_.end(),
                       [](const Buffer& buffer) { return buffer.guarded->SurroundingsAreIntact(); });
  }

 private:
  struct Buffer {
    std::unique_ptr<GuardedMemory> guarded;
    size_t bytes;
  };

  static size_t BytesOf(const Arguments& a, const Rows& side) {
    return static_cast<size_t>(Extent(a, side)) * side.element_bytes;
  }

  // In bytes, mostly a multiple of an element, and of a row's gap where the rows may interleave.
  static size_t DrawDistance(const Arguments& a, FuzzInput* input) {
    if (!input->OneIn(3)) return a.channels * a.input.element_bytes;
    return input->Below(2 * a.input.stride) * a.input.element_bytes;
  }

  unsigned char* Add(size_t bytes, FuzzInput* input) {
    const GuardedEdge edge = input->OneIn(2) ? GuardedEdge::kBeginning : GuardedEdge::kEnd;
    const size_t distance = input->Below(16) * sizeof(float);
    buffers_.push_back({std::make_unique<GuardedMemory>(bytes, edge, distance), bytes});
    return static_cast<unsigned char*>(buffers_.back().guarded->data());
  }

  std::vector<Buffer> buffers_;
};

// Arguments that setup must refuse, most of them.
void Spoil(Arguments* a, FuzzInput* input) {
  switch (input->Below(8)) {
    case 0:
      a->rows = 0;
      if (input->OneIn(2)) a->input.data = a->output.data = nullptr;
      break;
    case 1:
      a->rows = input->Size();
      break;
    case 2:
      a->channels = input->OneIn(2) ? input->Size() : 0;
      break;
    case 3:
      a->input.stride = input->Size();
      break;
    case 4:
      a->output.stride = input->Size();
      break;
    case 5:
      a->rows = input->Size();
      a->channels = input->Size();
      a->input.stride = a->channels + input->Below(3);
      a->output.stride = a->channels + input->Below(3);
      break;
    case 6:
      (input->OneIn(2) ? a->input : a->output).data = nullptr;
      break;
    default:
      (input->OneIn(2) ? a->input : a->output).data += 1 + input->Below(3);
  }
}

// --- The sequence of calls ---

// What one call gave, to be compared between ISAs.
using Trace = std::vector<Bytes>;

struct SetUp {
  Arguments arguments;
  std::unique_ptr<Memory> memory;
  bool has_memory;  // for all of the rows
};

struct Slot {
  smx_operator_t op = nullptr;
  const FuzzedOperator* type = nullptr;
  uint32_t flags = 0;
  float scale = 1.0f;
  std::optional<SetUp> set_up;
};

constexpr smx_thresholds kTwoPasses = {0, 0, 0, SIZE_MAX, SIZE_MAX, SIZE_MAX};

class Sequence {
 public:
  Sequence(const std::string& isa, FuzzInput input, bool is_first)
      : isa_(isa), input_(input), compares_with_reference_(is_first) {}

  Trace Run() {
    Initialize();
    while (!input_.IsUsedUp()) Act();
    DeleteAll();
    return trace_;
  }

 private:
  void Act() {
    using Action = void (Sequence::*)();
    // More often what leads somewhere.
    constexpr Action kActions[] = {
        &Sequence::Create,   &Sequence::Create,        &Sequence::Setup,           &Sequence::Setup,
        &Sequence::SetScale, &Sequence::RunSlot,       &Sequence::RunSlot,         &Sequence::RunSlot,
        &Sequence::GetPlan,  &Sequence::SetThresholds, &Sequence::CheckThresholds, &Sequence::Delete,
        &Sequence::GetNames, &Sequence::Reinitialize,  &Sequence::MisuseNull,
    };
    (this->*input_.Pick(kActions))();
  }

  void Initialize() {
    setenv("SMXPACK_ISA", isa_.c_str(), 1);
    smx_deinitialize();
    const smx_allocator allocator = {&allocator_, Allocator::Allocate, Allocator::Deallocate};
    smx_allocator half = allocator;
    (input_.OneIn(2) ? half.allocate = nullptr, 0 : (half.deallocate = nullptr, 0));
    Expect(smx_status_invalid_parameter, "initialize with half an allocator",
           [&] { return smx_initialize(&half); });
    Expect(smx_status_success, "initialize", [&] { return smx_initialize(&allocator); });
    Require(smx_get_thresholds(&thresholds_) == smx_status_success, "there are thresholds");
  }

  void Create() {
    Slot& slot = input_.Pick(slots_);
    DeleteSlot(&slot);
    slot.type = &input_.Pick(FuzzedOperators());
    slot.flags = static_cast<uint32_t>(input_.Integer(1)) & slot.type->flags;
    const uint32_t unknown_flags =
        input_.OneIn(8) ? static_cast<uint32_t>(input_.Integer(4)) & ~slot.type->flags : 0;
    allocator_.fails = input_.OneIn(8);
    const enum smx_status expected = unknown_flags != 0 ? smx_status_invalid_parameter
                                     : allocator_.fails ? smx_status_out_of_memory
                                                        : smx_status_success;
    Create(*slot.type, slot.flags | unknown_flags, expected, &slot.op);
    allocator_.fails = false;
  }

  void Create(const FuzzedOperator& type, uint32_t flags, enum smx_status expected, smx_operator_t* op) {
    *op = reinterpret_cast<smx_operator_t>(this);  // to be overwritten
    allocator_.may_allocate = true;
    Expect(expected, "create", [&] { return type.create(flags, op); });
    allocator_.may_allocate = false;
    Require((*op != nullptr) == (expected == smx_status_success), "create gives an operator or NULL");
  }

  void Delete() { DeleteSlot(&input_.Pick(slots_)); }

  void DeleteSlot(Slot* slot) {
    Expect(smx_status_success, "delete", [slot] { return smx_delete_operator(slot->op); });
    *slot = Slot();
  }

  void DeleteAll() {
    for (Slot& slot : slots_) DeleteSlot(&slot);
    Require(allocator_.live == 0, "operators give their memory back");
  }

  void Setup() {
    Slot& slot = input_.Pick(slots_);
    const FuzzedOperator& drawn = input_.Pick(FuzzedOperators());
    const bool is_its_own = slot.op != nullptr && drawn.setup == slot.type->setup;
    const FuzzedOperator& type = is_its_own ? *slot.type : drawn;
    Arguments a = DrawArguments(type);
    auto memory = std::make_unique<Memory>(&a, &input_);
    const Arguments of_memory = a;
    if (input_.OneIn(4)) Spoil(&a, &input_);

    const enum smx_status expected = slot.op == nullptr   ? smx_status_invalid_parameter
                                     : slot.type != &type ? smx_status_invalid_state
                                     : AreRight(a)        ? smx_status_success
                                                          : smx_status_invalid_parameter;
    const std::optional<Bytes> before = PlanOf(slot, 1);
    Expect(expected, "setup", [&] {
      return type.setup(slot.op, a.rows, a.channels, a.input.stride, a.output.stride, a.input.data,
                        a.output.data);
    });
    if (expected != smx_status_success) {
      Require(PlanOf(slot, 1) == before, "a setup that fails leaves the operator as it was");
      return;
    }
    const bool is_there = a.input.data == of_memory.input.data && a.output.data == of_memory.output.data;
    const bool has_memory =
        a.rows == 0 || (is_there && Extent(a, a.input) <= Extent(of_memory, of_memory.input) &&
                        Extent(a, a.output) <= Extent(of_memory, of_memory.output));
    slot.set_up = SetUp{a, std::move(memory), has_memory};
  }

  void SetScale() {
    Slot& slot = input_.Pick(slots_);
    const float scale = DrawScale();
    const bool is_right = slot.op != nullptr && isfinite(scale);
    Expect(is_right ? smx_status_success : smx_status_invalid_parameter, "set_scale",
           [&] { return smx_set_scale(slot.op, scale); });
    if (is_right) slot.scale = scale;
  }

  // One that may be chosen, or any float.
  float DrawScale() {
    constexpr float kScales[] = {1.0f, 0.125f, 1.0f / 3.0f, -1.0f, -0.7f, 0.0f, 100.0f, 0x1p-41f, 0x1p+41f};
    if (!input_.OneIn(4)) return input_.Pick(kScales);
    const uint32_t bits = static_cast<uint32_t>(input_.Integer(4));
    float scale;
    memcpy(&scale, &bits, sizeof(scale));
    return scale;
  }

  Arguments DrawArguments(const FuzzedOperator& type) {
    const size_t channels = DrawChannels(&input_);
    const size_t rows =
        std::clamp<size_t>(DrawRows(&input_), 1, std::max<size_t>(1, kMostElements / channels));
    return {rows,
            channels,
            {type.input_bytes, channels + DrawGap(channels, &input_), nullptr},
            {type.output_bytes, channels + DrawGap(channels, &input_), nullptr}};
  }

  void RunSlot() {
    Slot& slot = input_.Pick(slots_);
    const pthreadpool_t pool = Pool(input_.Below(kMostThreads + 1));
    if (!slot.set_up) {
      Expect(slot.op == nullptr ? smx_status_invalid_parameter : smx_status_invalid_state, "run before setup",
             [&] { return smx_run_operator(slot.op, pool); });
      return;
    }
    const Arguments& a = slot.set_up->arguments;
    const size_t elements = a.rows * a.channels;
    if (!slot.set_up->has_memory || (a.rows != 0 && elements > elements_left_)) return;
    if (a.rows != 0) elements_left_ -= elements;

    Memory& memory = *slot.set_up->memory;
    memory.Clear();
    const HostileRows draw = DrawHostileRows(&input_);
    for (size_t row = 0; row < a.rows; row++) slot.type->encode(draw(a.channels, row), RowOf(a.input, row));
    const Bytes expected = ExpectedImage(slot);
    Expect(smx_status_success, "run", [&] { return smx_run_operator(slot.op, pool); });
    Require(memory.Image() == expected, "rows have their bits, and nothing else is written");
    Require(memory.SurroundingsAreIntact(), "nothing is written outside");
    trace_.push_back(expected);
  }

  static unsigned char* RowOf(const Rows& side, size_t row) {
    return side.data + row * side.stride * side.element_bytes;
  }

  // The memory as a run must leave it.
  Bytes ExpectedImage(const Slot& slot) {
    const SetUp& set_up = *slot.set_up;
    const Arguments& a = set_up.arguments;
    Bytes image = set_up.memory->Image();
    Require(smx_set_thresholds(&kTwoPasses) == smx_status_success, "thresholds are set");
    smx_operator_t op;
    Create(*slot.type, slot.flags, smx_status_success, &op);
    Require(smx_set_scale(op, slot.scale) == smx_status_success, "the scale is set");
    for (size_t row = 0; row < a.rows; row++) {
      const unsigned char* x = RowOf(a.input, row);
      const Bytes alone(x, x + a.channels * a.input.element_bytes);
      const Bytes result = RunAlone(slot, op, alone);
      std::copy(result.begin(), result.end(), image.begin() + set_up.memory->OffsetOf(RowOf(a.output, row)));
    }
    smx_delete_operator(op);
    Require(smx_set_thresholds(&thresholds_) == smx_status_success, "thresholds are set");
    return image;
  }

  Bytes RunAlone(const Slot& slot, smx_operator_t op, const Bytes& row) {
    const size_t channels = slot.set_up->arguments.channels;
    Bytes result(channels * slot.type->output_bytes);
    Expect(smx_status_success, "setup of a row",
           [&] { return slot.type->setup(op, 1, channels, channels, channels, row.data(), result.data()); });
    Expect(smx_status_success, "run of a row", [&] { return smx_run_operator(op, nullptr); });
    if (compares_with_reference_) {
      Require(slot.type->is_right(row.data(), result.data(), channels, slot.flags, slot.scale),
              "results are right");
    }
    return result;
  }

  void GetPlan() {
    const Slot& slot = input_.Pick(slots_);
    const size_t threads = input_.OneIn(4) ? input_.Size() : input_.Below(5);
    const std::optional<Bytes> plan = PlanOf(slot, threads);
    if (plan) trace_.push_back(*plan);
  }

  static std::string TextOf(const smx_plan& plan) {
    return std::string(plan.algorithm) + ": " + plan.reason + ", " + std::to_string(plan.streams_output) +
           " " + std::to_string(plan.split_rows) + " " + std::to_string(plan.rows_per_task);
  }

  // Nothing where the operator has no plan.
  static std::optional<Bytes> PlanOf(const Slot& slot, size_t threads) {
    const smx_plan unwritten = {"unwritten", "no reason", true, 12345, 67890};
    smx_plan plan = unwritten;
    const enum smx_status expected = slot.op == nullptr ? smx_status_invalid_parameter
                                     : !slot.set_up     ? smx_status_invalid_state
                                                        : smx_status_success;
    Expect(expected, "get_plan", [&] { return smx_get_plan(slot.op, threads, &plan); });
    if (expected != smx_status_success) {
      Require(TextOf(plan) == TextOf(unwritten), "nothing is written where there is no plan");
      return std::nullopt;
    }
    Require(plan.split_rows <= slot.set_up->arguments.rows && plan.rows_per_task >= 1,
            "the plan covers the rows");
    const std::string text = TextOf(plan);
    return Bytes(text.begin(), text.end());
  }

  void SetThresholds() {
    if (input_.OneIn(8)) {
      Expect(smx_status_success, "default thresholds", [] { return smx_set_thresholds(nullptr); });
      Require(smx_get_thresholds(&thresholds_) == smx_status_success, "there are thresholds");
      return;
    }
    const smx_thresholds drawn = DrawThresholds();
    const bool are_right = drawn.streamed_bytes != 0 && drawn.task_elements != 0;
    Expect(are_right ? smx_status_success : smx_status_invalid_parameter, "set_thresholds",
           [&] { return smx_set_thresholds(&drawn); });
    if (are_right) thresholds_ = drawn;
    CheckThresholds();
  }

  smx_thresholds DrawThresholds() {
    smx_thresholds drawn = input_.Pick(ForcedPlans()).thresholds;
    if (input_.OneIn(2)) drawn.task_elements = 1 + input_.Below(1000);
    if (input_.OneIn(4)) {
      size_t* const fields[] = {&drawn.lane_channels,  &drawn.grouped_channels, &drawn.stored_bytes,
                                &drawn.streamed_bytes, &drawn.split_channels,   &drawn.task_elements};
      *input_.Pick(fields) = input_.Size();
    }
    return drawn;
  }

  void CheckThresholds() {
    smx_thresholds got;
    Expect(smx_status_success, "get_thresholds", [&] { return smx_get_thresholds(&got); });
    Require(memcmp(&got, &thresholds_, sizeof(got)) == 0, "thresholds are those that were set");
  }

  void GetNames() {
    const char* isa;
    Expect(smx_status_success, "get_isa", [&] { return smx_get_isa(&isa); });
    Require(isa_ == isa, "the ISA is the one that was asked for");
    const char* name;
    const size_t errors = logged_errors;
    const bool is_found = smx_get_microkernel(input_.Size(), &name) == smx_status_success;
    Require(is_found == (name != nullptr), "a microkernel has a name, and nothing else has");
    Require(logged_errors == errors, "the end of the microkernels is not logged");
    Require(smx_status_to_string(static_cast<enum smx_status>(input_.Integer(1) & 7)) != nullptr,
            "statuses have names");
  }

  void MisuseNull() {
    const FuzzedOperator& type = input_.Pick(FuzzedOperators());
    const enum smx_status expected = smx_status_invalid_parameter;
    Expect(expected, "create into NULL", [&] { return type.create(0, nullptr); });
    Expect(expected, "setup of NULL", [&] { return type.setup(nullptr, 1, 1, 1, 1, this, this); });
    Expect(expected, "set_scale of NULL", [] { return smx_set_scale(nullptr, 1.0f); });
    Expect(expected, "run of NULL", [] { return smx_run_operator(nullptr, nullptr); });
    Expect(expected, "get_plan into NULL", [this] { return smx_get_plan(slots_[0].op, 1, nullptr); });
    Expect(expected, "get_thresholds into NULL", [] { return smx_get_thresholds(nullptr); });
    Expect(expected, "get_isa into NULL", [] { return smx_get_isa(nullptr); });
    Expect(expected, "get_microkernel into NULL", [] { return smx_get_microkernel(0, nullptr); });
  }

  void Reinitialize() {
    DeleteAll();
    Expect(smx_status_success, "deinitialize", [] { return smx_deinitialize(); });
    const FuzzedOperator& type = input_.Pick(FuzzedOperators());
    const enum smx_status expected = smx_status_uninitialized;
    Create(type, type.flags, expected, &slots_[0].op);
    Expect(expected, "setup", [&] { return type.setup(nullptr, 1, 1, 1, 1, this, this); });
    Expect(expected, "set_scale", [] { return smx_set_scale(nullptr, 1.0f); });
    Expect(expected, "run", [] { return smx_run_operator(nullptr, nullptr); });
    Expect(expected, "set_thresholds", [] { return smx_set_thresholds(nullptr); });
    Initialize();
  }

  const std::string isa_;
  FuzzInput input_;
  const bool compares_with_reference_;
  size_t elements_left_ = kMostElements;
  Allocator allocator_;
  smx_thresholds thresholds_;
  Slot slots_[3];
  Trace trace_;
};

}  // namespace
}  // namespace smx

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  smx_set_log_callback(smx::CountErrors, nullptr, smx_log_level_error);
  smx::Trace first;
  for (const std::string& isa : smx::AvailableIsas()) {
    const bool is_first = isa == smx::AvailableIsas().front();
    smx::Trace trace = smx::Sequence(isa, smx::FuzzInput(data, size), is_first).Run();
    if (is_first)
      first = std::move(trace);
    else
      smx::Require(trace == first, "every ISA gives the same");
  }
  return 0;
}
