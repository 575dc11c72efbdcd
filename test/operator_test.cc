// Life cycle of operators: every status with its logged reason, memory, overlap, and use from several threads.
#include <gtest/gtest.h>
#include <math.h>
#include <pthreadpool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <atomic>
#include <functional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "include/smxpack.h"
#include "src/gen/microkernels.h"
#include "src/operators/operator.h"
#include "src/plan/softmax_plan.h"
#include "test/log_recorder.h"

namespace smx {
namespace {

constexpr size_t kRows = 2;
constexpr size_t kChannels = 5;

// Counts what it hands out; fails from a chosen allocation on.
class CountingAllocator {
 public:
  smx_allocator get() { return {this, Allocate, Deallocate}; }

  size_t allocations() const { return allocations_; }
  size_t outstanding() const { return outstanding_.size(); }
  void fail_from(size_t allocation) { fail_from_ = allocation; }

 private:
  static void* Allocate(void* context, size_t size) {
    CountingAllocator* self = static_cast<CountingAllocator*>(context);
    if (self->allocations_++ >= self->fail_from_) return nullptr;
    void* memory = malloc(size);
    memset(memory, 0xA5, size);
    self->outstanding_.insert(memory);
    return memory;
  }

  static void Deallocate(void* context, void* memory) {
    CountingAllocator* self = static_cast<CountingAllocator*>(context);
    EXPECT_EQ(self->outstanding_.erase(memory), 1u) << "deallocates what was not allocated";
    free(memory);
  }

  size_t allocations_ = 0;
  size_t fail_from_ = SIZE_MAX;
  std::set<void*> outstanding_;
};

// The call gives this status, and logs one error that holds the reason.
void ExpectRejected(smx_status expected, const std::string& reason, const std::function<smx_status()>& call) {
  LogRecorder log(smx_log_level_error);
  EXPECT_STREQ(smx_status_to_string(call()), smx_status_to_string(expected)) << "reason: " << reason;
  EXPECT_EQ(log.messages().size(), 1u) << "reason: " << reason << "\n" << log;
  EXPECT_TRUE(log.Holds(smx_log_level_error, reason)) << "reason: " << reason << "\n" << log;
}

#define ASSERT_SUCCESS(call) ASSERT_STREQ(smx_status_to_string(call), "smx_status_success")

smx_operator_t Create(uint32_t flags = 0) {
  smx_operator_t op = nullptr;
  EXPECT_EQ(smx_create_softmax_nc_f32(flags, &op), smx_status_success);
  return op;
}

bool Same(const smx_thresholds& a, const smx_thresholds& b) {
  return a.lane_channels == b.lane_channels && a.grouped_channels == b.grouped_channels &&
         a.stored_bytes == b.stored_bytes && a.streamed_bytes == b.streamed_bytes &&
         a.split_channels == b.split_channels && a.task_elements == b.task_elements;
}

smx_thresholds GetThresholds() {
  smx_thresholds thresholds = {};
  EXPECT_EQ(smx_get_thresholds(&thresholds), smx_status_success);
  return thresholds;
}

class Uninitialized : public testing::Test {
 protected:
  void SetUp() override { smx_deinitialize(); }
  void TearDown() override { smx_deinitialize(); }
};

class Operator : public Uninitialized {
 protected:
  void SetUp() override {
    Uninitialized::SetUp();
    ASSERT_SUCCESS(smx_initialize(nullptr));
    op_ = Create();
    for (size_t i = 0; i < x_.size(); i++) x_[i] = static_cast<float>(i % 7);
  }
  void TearDown() override {
    ASSERT_SUCCESS(smx_delete_operator(op_));
    Uninitialized::TearDown();
  }

  smx_status SetupSoftmax(size_t rows, size_t channels, size_t input_stride, size_t output_stride,
                          const float* x, float* y) {
    return smx_setup_softmax_nc_f32(op_, rows, channels, input_stride, output_stride, x, y);
  }
  smx_status SetupSoftmax() {
    return SetupSoftmax(kRows, kChannels, kChannels, kChannels, x_.data(), y_.data());
  }

  smx_operator_t op_ = nullptr;
  std::vector<float> x_ = std::vector<float>(kRows * kChannels);
  std::vector<float> y_ = std::vector<float>(kRows * kChannels);
};

// The plan of a shape, whose memory is never looked at.
smx_plan PlanOf(smx_operator_t op, size_t rows, size_t channels, bool in_place, size_t threads) {
  float* x = reinterpret_cast<float*>(4096);
  float* y = in_place ? x : x + rows * channels;
  EXPECT_EQ(smx_setup_softmax_nc_f32(op, rows, channels, channels, channels, x, y), smx_status_success);
  smx_plan plan = {};
  EXPECT_EQ(smx_get_plan(op, threads, &plan), smx_status_success);
  return plan;
}

// --- smx_status_to_string ---

TEST(Status, HasItsName) {
#define EXPECT_NAME(status) EXPECT_STREQ(smx_status_to_string(status), #status)
  EXPECT_NAME(smx_status_success);
  EXPECT_NAME(smx_status_uninitialized);
  EXPECT_NAME(smx_status_invalid_parameter);
  EXPECT_NAME(smx_status_invalid_state);
  EXPECT_NAME(smx_status_unsupported_parameter);
  EXPECT_NAME(smx_status_unsupported_hardware);
  EXPECT_NAME(smx_status_out_of_memory);
#undef EXPECT_NAME
  EXPECT_STREQ(smx_status_to_string(static_cast<smx_status>(7)), "smx_status_unknown");
}

// --- Initialisation ---

TEST_F(Uninitialized, NothingWorks) {
  const char* name = "unchanged";
  smx_operator_t op = reinterpret_cast<smx_operator_t>(&name);
  float x[1] = {0.0f};
  const std::string reason = "not initialised";
  ExpectRejected(smx_status_uninitialized, reason, [&] { return smx_create_softmax_nc_f32(0, &op); });
  EXPECT_EQ(op, nullptr);
  ExpectRejected(smx_status_uninitialized, reason,
                 [&] { return smx_create_attention_softmax(nullptr, 0, &op); });
  ExpectRejected(smx_status_uninitialized, reason, [&] { return smx_get_isa(&name); });
  EXPECT_EQ(name, nullptr);
  name = "unchanged";
  ExpectRejected(smx_status_uninitialized, reason, [&] { return smx_get_microkernel(0, &name); });
  EXPECT_EQ(name, nullptr);
  ExpectRejected(smx_status_uninitialized, reason,
                 [&] { return smx_setup_softmax_nc_f32(op, 1, 1, 1, 1, x, x); });
  ExpectRejected(smx_status_uninitialized, reason, [&] { return smx_run_operator(op, nullptr); });
  smx_plan plan;
  ExpectRejected(smx_status_uninitialized, reason, [&] { return smx_get_plan(op, 1, &plan); });
  smx_thresholds thresholds = {1, 2, 3, 4, 5, 6};
  ExpectRejected(smx_status_uninitialized, reason, [&] { return smx_get_thresholds(&thresholds); });
  EXPECT_TRUE(Same(thresholds, {1, 2, 3, 4, 5, 6}));
  ExpectRejected(smx_status_uninitialized, reason, [&] { return smx_set_thresholds(&thresholds); });
  ExpectRejected(smx_status_uninitialized, reason, [&] { return smx_set_thresholds(nullptr); });
}

TEST_F(Uninitialized, DeinitializeSucceeds) {
  ASSERT_SUCCESS(smx_deinitialize());
}

TEST_F(Operator, NothingWorksAfterDeinitialize) {
  ASSERT_SUCCESS(SetupSoftmax());
  ASSERT_SUCCESS(smx_deinitialize());
  smx_operator_t other = op_;
  const char* name = "unchanged";
  const std::string reason = "not initialised";
  ExpectRejected(smx_status_uninitialized, reason, [&] { return SetupSoftmax(); });
  ExpectRejected(smx_status_uninitialized, reason, [&] { return smx_run_operator(op_, nullptr); });
  ExpectRejected(smx_status_uninitialized, reason, [&] { return smx_create_softmax_nc_f32(0, &other); });
  EXPECT_EQ(other, nullptr);
  ExpectRejected(smx_status_uninitialized, reason, [&] { return smx_get_isa(&name); });
  EXPECT_EQ(name, nullptr);
  for (float y : y_) EXPECT_EQ(y, 0.0f);
}

TEST_F(Uninitialized, AllocatorWithoutAFunctionIsRejected) {
  CountingAllocator counting;
  smx_allocator without_allocate = counting.get();
  smx_allocator without_deallocate = counting.get();
  without_allocate.allocate = nullptr;
  without_deallocate.deallocate = nullptr;
  for (const smx_allocator* allocator : {&without_allocate, &without_deallocate}) {
    ExpectRejected(smx_status_invalid_parameter, "allocator", [&] { return smx_initialize(allocator); });
    const char* name;
    EXPECT_EQ(smx_get_isa(&name), smx_status_uninitialized);
  }
}

TEST_F(Uninitialized, AllocatorIsCopiedAndTheFirstOneStays) {
  CountingAllocator first, second;
  {
    smx_allocator temporary = first.get();
    ASSERT_SUCCESS(smx_initialize(&temporary));
    temporary = {nullptr, nullptr, nullptr};
  }
  const smx_allocator ignored = second.get();
  ASSERT_SUCCESS(smx_initialize(&ignored));
  ASSERT_SUCCESS(smx_initialize(nullptr));
  ASSERT_SUCCESS(smx_delete_operator(Create()));
  EXPECT_GE(first.allocations(), 1u);
  EXPECT_EQ(second.allocations(), 0u);

  ASSERT_SUCCESS(smx_deinitialize());
  ASSERT_SUCCESS(smx_initialize(&ignored));
  ASSERT_SUCCESS(smx_delete_operator(Create()));
  EXPECT_GE(second.allocations(), 1u);
  EXPECT_EQ(first.outstanding(), 0u);
  EXPECT_EQ(second.outstanding(), 0u);
}

TEST_F(Uninitialized, InitializeIsRacedSafely) {
  constexpr size_t kThreads = 8;
  for (int round = 0; round < 50; round++) {
    CountingAllocator allocators[kThreads];
    std::atomic<size_t> ready{0};
    std::vector<std::thread> threads;
    for (size_t t = 0; t < kThreads; t++) {
      threads.emplace_back([&, t] {
        const smx_allocator allocator = allocators[t].get();
        ready++;
        while (ready < kThreads) std::this_thread::yield();
        EXPECT_EQ(smx_initialize(&allocator), smx_status_success);
        const char* name = nullptr;
        EXPECT_EQ(smx_get_isa(&name), smx_status_success);
        EXPECT_NE(name, nullptr);
      });
    }
    for (std::thread& thread : threads) thread.join();
    ASSERT_SUCCESS(smx_delete_operator(Create()));
    size_t winners = 0;
    for (const CountingAllocator& allocator : allocators) winners += allocator.allocations() > 0;
    EXPECT_EQ(winners, 1u);
    ASSERT_SUCCESS(smx_deinitialize());
  }
}

// --- Names of what was picked ---

TEST_F(Operator, GetIsaNamesTheIsa) {
  const char* name = nullptr;
  ASSERT_SUCCESS(smx_get_isa(&name));
  const std::set<std::string> isas = {
#define SMX_NAME(isa, condition) #isa,
      SMX_FOREACH_ISA(SMX_NAME)
#undef SMX_NAME
  };
  EXPECT_EQ(isas.count(name), 1u) << name;
  ExpectRejected(smx_status_invalid_parameter, "NULL", [] { return smx_get_isa(nullptr); });
}

TEST_F(Operator, GetMicrokernelNamesOneAKernel) {
  std::set<std::string> names;
  const char* name = nullptr;
  size_t index = 0;
  for (; smx_get_microkernel(index, &name) == smx_status_success; index++) names.insert(name);
  EXPECT_EQ(name, nullptr);
  size_t kernels = 0;
#define SMX_COUNT(kernel) kernels++;
  SMX_FOREACH_KERNEL(SMX_COUNT)
#undef SMX_COUNT
  EXPECT_EQ(index, kernels);
  EXPECT_EQ(names.size(), kernels);

  for (size_t beyond : {kernels, SIZE_MAX}) {
    LogRecorder log(smx_log_level_info);
    name = "unchanged";
    EXPECT_EQ(smx_get_microkernel(beyond, &name), smx_status_invalid_parameter);
    EXPECT_EQ(name, nullptr);
    EXPECT_TRUE(log.messages().empty()) << log;
  }
  ExpectRejected(smx_status_invalid_parameter, "NULL", [] { return smx_get_microkernel(0, nullptr); });
}

// --- The log ---

TEST_F(Operator, LogTakesTheLevelAndMoreSeriousOnes) {
  setenv("SMXPACK_ISA", "unknown", 1);
  const auto levels_at = [](smx_log_level level) {
    LogRecorder log(level);
    smx_deinitialize();
    smx_initialize(nullptr);             // a warning, and what was picked
    smx_run_operator(nullptr, nullptr);  // an error
    std::set<smx_log_level> levels;
    for (const LogRecorder::Message& message : log.messages()) levels.insert(message.level);
    return levels;
  };
  using Levels = std::set<smx_log_level>;
  EXPECT_EQ(levels_at(smx_log_level_none), Levels());
  EXPECT_EQ(levels_at(smx_log_level_error), Levels({smx_log_level_error}));
  EXPECT_EQ(levels_at(smx_log_level_warning), Levels({smx_log_level_error, smx_log_level_warning}));
  EXPECT_EQ(levels_at(smx_log_level_info),
            Levels({smx_log_level_error, smx_log_level_warning, smx_log_level_info}));
  unsetenv("SMXPACK_ISA");
}

TEST_F(Operator, NothingIsPrinted) {
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  smx_run_operator(nullptr, nullptr);  // no callback, which is the default
  smx_set_log_callback(nullptr, nullptr, smx_log_level_info);
  smx_run_operator(nullptr, nullptr);
  {
    LogRecorder log(smx_log_level_info);
    smx_run_operator(nullptr, nullptr);
    EXPECT_EQ(log.messages().size(), 1u);
  }
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST_F(Operator, LogIsUsedFromSeveralThreads) {
  constexpr int kThreads = 4;
  constexpr int kMessages = 100;
  LogRecorder log(smx_log_level_error);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; t++) {
    threads.emplace_back([] {
      for (int i = 0; i < kMessages; i++) smx_run_operator(nullptr, nullptr);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(log.messages().size(), size_t{kThreads * kMessages});
}

TEST_F(Operator, LogCallbackIsReplacedWhileOthersLog) {
  constexpr int kMessages = 2000;
  std::atomic<int> counts[2] = {{0}, {0}};
  const smx_log_callback count = [](void* context, smx_log_level, const char*) {
    ++*static_cast<std::atomic<int>*>(context);
  };
  smx_set_log_callback(count, &counts[0], smx_log_level_error);
  std::thread logging([] {
    for (int i = 0; i < kMessages; i++) smx_run_operator(nullptr, nullptr);
  });
  for (int i = 0; i < kMessages; i++) smx_set_log_callback(count, &counts[i % 2], smx_log_level_error);
  logging.join();
  smx_set_log_callback(nullptr, nullptr, smx_log_level_none);
  EXPECT_EQ(counts[0] + counts[1], kMessages);
}

// --- Create ---

TEST_F(Operator, CreateRejectsNull) {
  ExpectRejected(smx_status_invalid_parameter, "softmax_op_out is NULL",
                 [] { return smx_create_softmax_nc_f32(0, nullptr); });
}

TEST_F(Operator, CreateRejectsUnknownFlags) {
  for (int bit = 0; bit < 32; bit++) {
    const uint32_t flag = UINT32_C(1) << bit;
    if (flag == SMX_FLAG_MASKED_ROWS_TO_ZERO) continue;
    for (uint32_t flags : {flag, flag | SMX_FLAG_MASKED_ROWS_TO_ZERO, UINT32_MAX}) {
      smx_operator_t op = op_;
      ExpectRejected(smx_status_invalid_parameter, "flags",
                     [&] { return smx_create_softmax_nc_f32(flags, &op); });
      EXPECT_EQ(op, nullptr);
    }
  }
}

TEST_F(Operator, DeleteTakesNull) {
  LogRecorder log(smx_log_level_error);
  ASSERT_SUCCESS(smx_delete_operator(nullptr));
  EXPECT_TRUE(log.messages().empty()) << log;
}

// --- Memory ---

TEST_F(Uninitialized, OnlyCreateAllocatesAndDeleteGivesAllBack) {
  CountingAllocator counting;
  const smx_allocator allocator = counting.get();
  ASSERT_SUCCESS(smx_initialize(&allocator));
  const pthreadpool_t pool = pthreadpool_create(3);
  const std::vector<size_t> sizes = {1, 100, SMX_TILE, 3 * SMX_TILE + 1};
  std::vector<float> x(2 * sizes.back()), y(2 * sizes.back());
  const smx_operator_t op = Create();
  const size_t by_create = counting.allocations();
  EXPECT_GE(by_create, 1u);
  for (size_t channels : sizes) {
    for (float special : {0.0f, -1e20f, NAN}) {
      x[channels / 2] = special;
      for (float* output : {y.data(), x.data()}) {
        for (pthreadpool_t threads : {pthreadpool_t{nullptr}, pool}) {
          ASSERT_SUCCESS(smx_setup_softmax_nc_f32(op, 2, channels, channels, channels, x.data(), output));
          ASSERT_SUCCESS(smx_run_operator(op, threads));
        }
      }
    }
  }
  EXPECT_EQ(counting.allocations(), by_create);
  ASSERT_SUCCESS(smx_delete_operator(op));
  ASSERT_SUCCESS(smx_delete_operator(nullptr));
  EXPECT_EQ(counting.outstanding(), 0u);
  pthreadpool_destroy(pool);
}

TEST_F(Uninitialized, AnyFailingAllocationIsReported) {
  CountingAllocator counting;
  const smx_allocator allocator = counting.get();
  ASSERT_SUCCESS(smx_initialize(&allocator));
  counting.fail_from(SIZE_MAX);
  ASSERT_SUCCESS(smx_delete_operator(Create()));
  const size_t needed = counting.allocations();
  ASSERT_GE(needed, 1u);
  for (size_t i = 0; i < needed; i++) {
    counting.fail_from(counting.allocations() + i);
    smx_operator_t op = reinterpret_cast<smx_operator_t>(&counting);
    ExpectRejected(smx_status_out_of_memory, "allocator", [&] { return smx_create_softmax_nc_f32(0, &op); });
    EXPECT_EQ(op, nullptr);
    EXPECT_EQ(counting.outstanding(), 0u);
  }
}

// --- Setup ---

TEST_F(Operator, SetupOfNullIsRejected) {
  ExpectRejected(smx_status_invalid_parameter, "operator is NULL", [&] {
    return smx_setup_softmax_nc_f32(nullptr, kRows, kChannels, kChannels, kChannels, x_.data(), y_.data());
  });
}

TEST_F(Operator, SetupOfAnotherTypeIsRejected) {
  const smx_operator_type other = {"other", nullptr, nullptr, nullptr};
  ExpectRejected(smx_status_invalid_state, "other: the operator is of type softmax_nc",
                 [&] { return smx_check_operator(op_, &other); });
}

struct InvalidSetup {
  const char* reason;
  size_t rows, channels, input_stride, output_stride;
  const float* x;
  float* y;
};

std::vector<InvalidSetup> InvalidSetups(std::vector<float>* input, std::vector<float>* output) {
  constexpr size_t kHuge = PTRDIFF_MAX / sizeof(float) + 1;  // elements that no object has
  float* x = input->data();
  float* y = output->data();
  const auto misaligned = [](float* p, size_t bytes) {
    return reinterpret_cast<float*>(reinterpret_cast<uintptr_t>(p) + bytes);
  };
  return {
      {"channels is 0", kRows, 0, 0, 0, x, y},
      {"channels is 0", kRows, 0, 1, 1, x, y},
      {"channels is 0", 0, 0, 0, 0, nullptr, nullptr},
      {"input_stride is below channels", kRows, kChannels, kChannels - 1, kChannels, x, y},
      {"input_stride is below channels", 1, kChannels, 0, kChannels, x, y},
      {"input_stride is below channels", 0, kChannels, 0, kChannels, nullptr, nullptr},
      {"output_stride is below channels", kRows, kChannels, kChannels, kChannels - 1, x, y},
      {"output_stride is below channels", 1, kChannels, kChannels, 0, x, y},
      {"output_stride is below channels", 0, kChannels, kChannels, 0, nullptr, nullptr},
      {"input is NULL", kRows, kChannels, kChannels, kChannels, nullptr, y},
      {"output is NULL", kRows, kChannels, kChannels, kChannels, x, nullptr},
      {"input is not aligned", kRows, kChannels, kChannels, kChannels, misaligned(x, 1), y},
      {"input is not aligned", kRows, kChannels, kChannels, kChannels, misaligned(x, 2), y},
      {"output is not aligned", kRows, kChannels, kChannels, kChannels, x, misaligned(y, 3)},
      {"input's size in bytes overflows", SIZE_MAX, kChannels, kChannels, kChannels, x, y},
      {"input's size in bytes overflows", SIZE_MAX / kChannels + 2, kChannels, kChannels, kChannels, x, y},
      {"input's size in bytes overflows", kHuge / kChannels + 1, kChannels, kChannels, kChannels, x, y},
      {"input's size in bytes overflows", 2, kChannels, kHuge, kChannels, x, y},
      {"input's size in bytes overflows", 2, kChannels, SIZE_MAX, kChannels, x, y},
      {"input's size in bytes overflows", 3, kChannels, SIZE_MAX / 2 + 1, kChannels, x, y},
      {"input's size in bytes overflows", SIZE_MAX, 1, SIZE_MAX, 1, x, y},
      {"input's size in bytes overflows", 1, kHuge, kHuge, kHuge, x, y},
      {"input's size in bytes overflows", 1, SIZE_MAX, SIZE_MAX, SIZE_MAX, x, y},
      {"output's size in bytes overflows", 2, kChannels, kChannels, kHuge, x, y},
      {"output's size in bytes overflows", 3, kChannels, kChannels, SIZE_MAX / 2 + 1, x, y},
      {"overlap", kRows, kChannels, kChannels, kChannels + 1, x, x},
      {"overlap", kRows, kChannels - 1, kChannels, kChannels, x, x + 1},
      {"overlap", 1, kChannels, kChannels, kChannels, x, x + kChannels - 1},
      {"overlap", 1, kChannels, kChannels, kChannels, x + kChannels - 1, x},
      {"overlap", 1, kChannels, 10 * kChannels, 20 * kChannels, x, x + 1},
  };
}

TEST_F(Operator, InvalidSetupIsRejectedAndTheEarlierOneStays) {
  std::vector<float> other_x(2 * kRows * kChannels + 1), other_y(2 * kRows * kChannels + 1);
  ASSERT_SUCCESS(SetupSoftmax());
  ASSERT_SUCCESS(smx_run_operator(op_, nullptr));
  const std::vector<float> expected = y_;
  ASSERT_GT(expected[0], 0.0f);
  for (const InvalidSetup& s : InvalidSetups(&other_x, &other_y)) {
    ExpectRejected(smx_status_invalid_parameter, s.reason, [&] {
      return SetupSoftmax(s.rows, s.channels, s.input_stride, s.output_stride, s.x, s.y);
    });
    y_.assign(y_.size(), -1.0f);
    ASSERT_SUCCESS(smx_run_operator(op_, nullptr));
    ASSERT_EQ(y_, expected) << s.reason;
  }
  EXPECT_EQ(other_x, std::vector<float>(other_x.size()));
  EXPECT_EQ(other_y, std::vector<float>(other_y.size()));
}

TEST_F(Operator, InvalidSetupDoesNotMakeAnOperatorReady) {
  std::vector<float> other_x(2 * kRows * kChannels + 1), other_y(2 * kRows * kChannels + 1);
  for (const InvalidSetup& s : InvalidSetups(&other_x, &other_y)) {
    EXPECT_EQ(SetupSoftmax(s.rows, s.channels, s.input_stride, s.output_stride, s.x, s.y),
              smx_status_invalid_parameter);
    ExpectRejected(smx_status_invalid_state, "set up", [&] { return smx_run_operator(op_, nullptr); });
  }
}

TEST_F(Operator, StrideOfASingleRowMayBeAnything) {
  ASSERT_SUCCESS(SetupSoftmax(1, kChannels, SIZE_MAX, SIZE_MAX - 1, x_.data(), y_.data()));
  ASSERT_SUCCESS(smx_run_operator(op_, nullptr));
  EXPECT_GT(y_[0], 0.0f);
}

TEST_F(Operator, BatchOfZeroTouchesNothing) {
  const pthreadpool_t pool = pthreadpool_create(2);
  for (pthreadpool_t threads : {pthreadpool_t{nullptr}, pool}) {
    ASSERT_SUCCESS(SetupSoftmax(0, kChannels, kChannels, kChannels, nullptr, nullptr));
    ASSERT_SUCCESS(smx_run_operator(op_, threads));
    ASSERT_SUCCESS(SetupSoftmax(0, SIZE_MAX, SIZE_MAX, SIZE_MAX, nullptr, nullptr));
    ASSERT_SUCCESS(smx_run_operator(op_, threads));
    y_.assign(y_.size(), -1.0f);
    ASSERT_SUCCESS(SetupSoftmax(0, kChannels, kChannels, kChannels, x_.data(), y_.data()));
    ASSERT_SUCCESS(smx_run_operator(op_, threads));
    EXPECT_EQ(y_, std::vector<float>(y_.size(), -1.0f));
  }
  pthreadpool_destroy(pool);
}

TEST_F(Operator, SetupDoesNotLookAtTheMemory) {
  // No page is there.
  ASSERT_SUCCESS(SetupSoftmax(kRows, kChannels, kChannels, kChannels, reinterpret_cast<float*>(4096),
                              reinterpret_cast<float*>(8192)));
  ASSERT_SUCCESS(SetupSoftmax(1, kChannels, kChannels, kChannels, reinterpret_cast<float*>(4096),
                              reinterpret_cast<float*>(4096)));
}

TEST_F(Operator, ShapesChangeFromRunToRun) {
  std::vector<float> x(1024), y(1024);
  for (size_t channels : {1024, 4, 512, 1, 256}) {  // whose reciprocals are exact
    const size_t rows = x.size() / channels;
    ASSERT_SUCCESS(SetupSoftmax(rows, channels, channels, channels, x.data(), y.data()));
    for (int run = 0; run < 2; run++) {
      y.assign(y.size(), -1.0f);
      ASSERT_SUCCESS(smx_run_operator(op_, nullptr));
      for (size_t i = 0; i < y.size(); i++) {
        ASSERT_EQ(y[i], i < rows * channels ? 1.0f / static_cast<float>(channels) : -1.0f)
            << channels << " at " << i;
      }
    }
  }
}

// --- Overlap ---

// Whether a row of the input and one of the output have an element in common.
bool ShareAnElement(size_t rows, size_t channels, size_t input_stride, size_t output_stride,
                    ptrdiff_t distance) {
  for (size_t i = 0; i < rows; i++) {
    for (size_t j = 0; j < rows; j++) {
      const ptrdiff_t x = static_cast<ptrdiff_t>(i * input_stride);
      const ptrdiff_t y = distance + static_cast<ptrdiff_t>(j * output_stride);
      const ptrdiff_t n = static_cast<ptrdiff_t>(channels);
      if (x < y + n && y < x + n) return true;
    }
  }
  return false;
}

// Every small shape at every distance, against the definition.
TEST_F(Operator, OverlapIsRejectedAndAllElseAccepted) {
  constexpr ptrdiff_t kReach = 40;
  std::vector<float> buffer(3 * kReach);
  float* x = buffer.data() + kReach;
  size_t interleaved = 0;
  for (size_t rows = 1; rows <= 3; rows++) {
    for (size_t channels = 1; channels <= 4; channels++) {
      for (size_t input_stride = channels; input_stride <= 2 * channels + 2; input_stride++) {
        for (size_t output_stride = channels; output_stride <= 2 * channels + 2; output_stride++) {
          const bool same_stride = input_stride == output_stride || rows == 1;
          for (ptrdiff_t distance = -kReach; distance <= kReach; distance++) {
            const bool in_place = distance == 0 && same_stride;
            const bool shares = ShareAnElement(rows, channels, input_stride, output_stride, distance);
            const ptrdiff_t x_extent = static_cast<ptrdiff_t>((rows - 1) * input_stride + channels);
            const ptrdiff_t y_extent = static_cast<ptrdiff_t>((rows - 1) * output_stride + channels);
            const bool apart = distance >= x_extent || -distance >= y_extent;
            const bool accepted = SetupSoftmax(rows, channels, input_stride, output_stride, x,
                                               x + distance) == smx_status_success;
            SCOPED_TRACE(testing::Message()
                         << rows << " rows, " << channels << " channels, strides " << input_stride << " and "
                         << output_stride << ", distance " << distance);
            if (shares) {
              ASSERT_EQ(accepted, in_place);
            } else if (apart || same_stride) {
              ASSERT_TRUE(accepted);
            }
            interleaved += accepted && !apart && !in_place;
          }
        }
      }
    }
  }
  EXPECT_GT(interleaved, 0u);
}

TEST_F(Operator, InterleavedRowsAreComputed) {
  constexpr size_t kStride = 2 * kChannels;
  for (bool output_first : {false, true}) {
    std::vector<float> buffer(3 * kStride);
    float* x = buffer.data() + (output_first ? kChannels : 0);
    float* y = buffer.data() + (output_first ? 0 : kChannels);
    for (size_t row = 0; row < 3; row++) {
      for (size_t i = 0; i < kChannels; i++) x[row * kStride + i] = static_cast<float>(row + i);
    }
    const std::vector<float> before = buffer;
    ASSERT_SUCCESS(SetupSoftmax(3, kChannels, kStride, kStride, x, y));
    ASSERT_SUCCESS(smx_run_operator(op_, nullptr));
    for (size_t row = 0; row < 3; row++) {
      float expected[kChannels];
      ASSERT_SUCCESS(SetupSoftmax(1, kChannels, kChannels, kChannels, x + row * kStride, expected));
      ASSERT_SUCCESS(smx_run_operator(op_, nullptr));
      EXPECT_EQ(memcmp(y + row * kStride, expected, sizeof(expected)), 0) << "row " << row;
      const size_t offset = static_cast<size_t>(x - buffer.data()) + row * kStride;
      EXPECT_EQ(memcmp(x + row * kStride, before.data() + offset, sizeof(expected)), 0) << "row " << row;
    }
  }
}

// --- Run ---

TEST_F(Operator, RunOfNullIsRejected) {
  ExpectRejected(smx_status_invalid_parameter, "operator is NULL",
                 [] { return smx_run_operator(nullptr, nullptr); });
}

TEST_F(Operator, RunBeforeSetupIsRejected) {
  ExpectRejected(smx_status_invalid_state, "has not been set up",
                 [&] { return smx_run_operator(op_, nullptr); });
}

// --- smx_get_plan ---

TEST_F(Operator, GetPlanIsRejectedWithItsReason) {
  const smx_plan unchanged = {"unchanged", "no reason", true, 12345, 67890};
  smx_plan plan = unchanged;
  ExpectRejected(smx_status_invalid_state, "has not been set up",
                 [&] { return smx_get_plan(op_, 1, &plan); });
  ExpectRejected(smx_status_invalid_parameter, "operator is NULL",
                 [&] { return smx_get_plan(nullptr, 1, &plan); });
  ASSERT_SUCCESS(SetupSoftmax());
  ExpectRejected(smx_status_invalid_parameter, "plan_out is NULL",
                 [&] { return smx_get_plan(op_, 1, nullptr); });
  EXPECT_EQ(plan.algorithm, unchanged.algorithm);
  EXPECT_EQ(plan.reason, unchanged.reason);
  EXPECT_EQ(plan.streams_output, unchanged.streams_output);
  EXPECT_EQ(plan.split_rows, unchanged.split_rows);
  EXPECT_EQ(plan.rows_per_task, unchanged.rows_per_task);
}

TEST_F(Operator, GetPlanTellsWhatRunWouldDo) {
  constexpr size_t kBeyondAnyCache = size_t{SMX_MAX_SPANS} * SMX_TILE + 1;
  EXPECT_STREQ(PlanOf(op_, 1, 1, false, 1).algorithm, "several-rows");
  EXPECT_STREQ(PlanOf(op_, SMX_LANES, 2 * SMX_LANES, true, 1).algorithm, "rows-as-lanes");
  EXPECT_STREQ(PlanOf(op_, 4, SMX_BLOCK, true, 1).algorithm, "several-rows");
  EXPECT_STREQ(PlanOf(op_, 1, SMX_TILE, true, 1).algorithm, "store-and-rescale");
  EXPECT_STREQ(PlanOf(op_, 1, kBeyondAnyCache, false, 1).algorithm, "two-pass");

  EXPECT_FALSE(PlanOf(op_, 1, kBeyondAnyCache / 4, false, 1).streams_output);
  EXPECT_TRUE(PlanOf(op_, 1, 4 * kBeyondAnyCache, false, 1).streams_output);
  EXPECT_FALSE(PlanOf(op_, 1, 4 * kBeyondAnyCache, true, 1).streams_output);

  EXPECT_EQ(PlanOf(op_, 1, kBeyondAnyCache, false, 1).split_rows, 0u);
  EXPECT_EQ(PlanOf(op_, 1, kBeyondAnyCache, false, 2).split_rows, 1u);
  EXPECT_EQ(PlanOf(op_, 3, kBeyondAnyCache, false, 4).split_rows, 3u);
  EXPECT_EQ(PlanOf(op_, 4, kBeyondAnyCache, false, 4).split_rows, 0u);
  EXPECT_EQ(PlanOf(op_, 5, kBeyondAnyCache, false, 4).split_rows, 1u);
  EXPECT_EQ(PlanOf(op_, 1, 100, false, 4).split_rows, 0u);

  EXPECT_EQ(PlanOf(op_, 8, kBeyondAnyCache, false, 4).rows_per_task, 1u);
  EXPECT_GT(PlanOf(op_, 1000, 10, false, 4).rows_per_task, 1u);
}

// --- Thresholds ---

TEST_F(Operator, ThresholdsOfNothingAreRejected) {
  ExpectRejected(smx_status_invalid_parameter, "thresholds_out is NULL",
                 [] { return smx_get_thresholds(nullptr); });
  const smx_thresholds defaults = GetThresholds();
  smx_thresholds thresholds = {1, 2, 3, 0, 5, 6};
  ExpectRejected(smx_status_invalid_parameter, "streamed_bytes or task_elements is 0",
                 [&] { return smx_set_thresholds(&thresholds); });
  EXPECT_TRUE(Same(GetThresholds(), defaults));
  thresholds = {1, 2, 3, 4, 5, 0};
  ExpectRejected(smx_status_invalid_parameter, "streamed_bytes or task_elements is 0",
                 [&] { return smx_set_thresholds(&thresholds); });
  EXPECT_TRUE(Same(GetThresholds(), defaults));
}

TEST_F(Operator, ThresholdsAreCopiedAndNullRestoresTheDefaults) {
  const smx_thresholds defaults = GetThresholds();
  for (const smx_thresholds& set :
       {smx_thresholds{0, 0, 0, 1, 0, 1}, smx_thresholds{1, 2, 3, 4, 5, 6},
        smx_thresholds{SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX}}) {
    smx_thresholds temporary = set;
    ASSERT_SUCCESS(smx_set_thresholds(&temporary));
    temporary = {};
    EXPECT_TRUE(Same(GetThresholds(), set));
  }
  ASSERT_SUCCESS(smx_set_thresholds(nullptr));
  EXPECT_TRUE(Same(GetThresholds(), defaults));
}

TEST_F(Operator, OnlyOperatorsCreatedAfterwardsHaveTheThresholds) {
  smx_thresholds thresholds = GetThresholds();
  thresholds.lane_channels = 0;
  thresholds.grouped_channels = 0;
  thresholds.stored_bytes = 0;
  ASSERT_SUCCESS(smx_set_thresholds(&thresholds));
  const smx_operator_t with = Create();
  EXPECT_STREQ(PlanOf(op_, 100, 10, false, 1).algorithm, "rows-as-lanes");
  EXPECT_STREQ(PlanOf(with, 100, 10, false, 1).algorithm, "two-pass");
  ASSERT_SUCCESS(smx_set_thresholds(nullptr));
  const smx_operator_t without = Create();
  EXPECT_STREQ(PlanOf(with, 100, 10, false, 1).algorithm, "two-pass");
  EXPECT_STREQ(PlanOf(without, 100, 10, false, 1).algorithm, "rows-as-lanes");
  ASSERT_SUCCESS(smx_delete_operator(with));
  ASSERT_SUCCESS(smx_delete_operator(without));
}

TEST_F(Uninitialized, DeinitializeForgetsThresholds) {
  ASSERT_SUCCESS(smx_initialize(nullptr));
  const smx_thresholds defaults = GetThresholds();
  const smx_thresholds set = {1, 2, 3, 4, 5, 6};
  ASSERT_SUCCESS(smx_set_thresholds(&set));
  ASSERT_SUCCESS(smx_initialize(nullptr));
  EXPECT_TRUE(Same(GetThresholds(), set)) << "initialised already";
  ASSERT_SUCCESS(smx_deinitialize());
  ASSERT_SUCCESS(smx_initialize(nullptr));
  EXPECT_TRUE(Same(GetThresholds(), defaults));
}

TEST_F(Operator, ThresholdsAreSetWhileOthersCreate) {
  constexpr int kRounds = 1000;
  std::thread setting([] {
    for (size_t i = 1; i <= kRounds; i++) {
      const smx_thresholds all_equal = {i, i, i, i, i, i};
      EXPECT_EQ(smx_set_thresholds(&all_equal), smx_status_success);
    }
  });
  const smx_thresholds defaults = op_->thresholds;
  for (int i = 0; i < kRounds; i++) {
    const smx_operator_t op = Create();
    const size_t n = op->thresholds.lane_channels;
    EXPECT_TRUE(Same(op->thresholds, {n, n, n, n, n, n}) || Same(op->thresholds, defaults)) << "torn";
    ASSERT_SUCCESS(smx_delete_operator(op));
  }
  setting.join();
}

// --- Threads ---

TEST_F(Operator, DifferentOperatorsRunOnDifferentThreadsAtOnce) {
  constexpr size_t kThreads = 6;
  constexpr int kRuns = 20;
  std::atomic<size_t> ready{0};
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; t++) {
    threads.emplace_back([&, t] {
      const size_t channels = t % 3 == 0 ? 2 * SMX_TILE + t : 100 * t + 1;
      std::vector<float> x(2 * channels), y(2 * channels), expected(2 * channels);
      for (size_t i = 0; i < x.size(); i++) x[i] = static_cast<float>((i * (t + 3)) % 11) - 5.0f;
      const pthreadpool_t pool = t % 2 == 0 ? pthreadpool_create(2) : nullptr;
      ready++;
      while (ready < kThreads) std::this_thread::yield();
      for (int run = 0; run < kRuns; run++) {
        const smx_operator_t op = Create();
        float* output = run == 0 ? expected.data() : y.data();
        EXPECT_EQ(smx_setup_softmax_nc_f32(op, 2, channels, channels, channels, x.data(), output),
                  smx_status_success);
        EXPECT_EQ(smx_run_operator(op, run == 0 ? nullptr : pool), smx_status_success);
        EXPECT_EQ(memcmp(output, expected.data(), y.size() * sizeof(float)), 0) << "thread " << t;
        EXPECT_EQ(smx_delete_operator(op), smx_status_success);
      }
      pthreadpool_destroy(pool);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace smx
