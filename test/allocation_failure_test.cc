// Every single allocation that is made during a call of the library fails once: its own, and those of cpuinfo and
// pthreadpool inside its calls. Each case is a process of its own, for cpuinfo detects once a process.
#include <errno.h>
#include <gtest/gtest.h>
#include <pthreadpool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <string>

#include "include/smxpack.h"

// The C library's own, for the replacements below.
extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* memory, size_t size);
void* __libc_memalign(size_t alignment, size_t size);
}

namespace smx {
namespace {

enum class Failing { kOne, kAllFrom };

// While it is armed, allocations are counted, and the one with this number fails, or all from it on.
std::atomic<bool> is_armed{false};
std::atomic<size_t> allocations{0};
size_t failing_allocation = 0;
Failing failing = Failing::kOne;

bool Fails() {
  if (!is_armed) return false;
  const size_t number = allocations++;
  return failing == Failing::kOne ? number == failing_allocation : number >= failing_allocation;
}

}  // namespace
}  // namespace smx

extern "C" void* malloc(size_t size) {
  return smx::Fails() ? nullptr : __libc_malloc(size);
}
extern "C" void* calloc(size_t count, size_t size) {
  return smx::Fails() ? nullptr : __libc_calloc(count, size);
}
extern "C" void* realloc(void* memory, size_t size) {
  return smx::Fails() ? nullptr : __libc_realloc(memory, size);
}
extern "C" void* memalign(size_t alignment, size_t size) {
  return smx::Fails() ? nullptr : __libc_memalign(alignment, size);
}
extern "C" void* aligned_alloc(size_t alignment, size_t size) {
  return memalign(alignment, size);
}
extern "C" int posix_memalign(void** memory, size_t alignment, size_t size) {
  *memory = memalign(alignment, size);
  return *memory == nullptr ? ENOMEM : 0;
}

namespace smx {
namespace {

// What a child process reports.
struct Outcome {
  size_t allocations;  // while armed
  bool is_right;
};

// A row of equal elements, whose number is a power of two.
bool Computes(smx_operator_t op, size_t channels, pthreadpool_t pool) {
  static float x[1 << 17], y[1 << 17];
  return smx_setup_softmax_nc_f32(op, 1, channels, channels, channels, x, y) == smx_status_success &&
         smx_run_operator(op, pool) == smx_status_success && y[0] == 1.0f / static_cast<float>(channels) &&
         y[channels - 1] == y[0];
}

// Without memory, there is no gate.
bool GateIsRight() {
  const float x[3] = {1.0f, 3.0f, 2.0f};
  float weights[2];
  int32_t indices[2] = {-1, -1};
  smx_operator_t op = reinterpret_cast<smx_operator_t>(weights);
  const smx_status status =
      smx_create_moe_gate_nc(smx_datatype_f32, smx_datatype_f32, smx_gate_scores_sigmoid, 0, &op);
  if (status != smx_status_success) return status == smx_status_out_of_memory && op == nullptr;
  return smx_setup_moe_gate_nc(op, 1, 3, 2, 3, x, nullptr, weights, indices) == smx_status_success &&
         smx_run_operator(op, nullptr) == smx_status_success && indices[0] == 1 && indices[1] == 2 &&
         smx_delete_operator(op) == smx_status_success;
}

// All functions once while allocations fail: each gives success, or out_of_memory where the header says so.
bool CallsAreRight(pthreadpool_t pool) {
  const char* name = nullptr;
  smx_thresholds thresholds;
  smx_plan plan;
  smx_operator_t op = reinterpret_cast<smx_operator_t>(&name);
  bool is_right = smx_initialize(nullptr) == smx_status_success;
  is_right &= smx_get_isa(&name) == smx_status_success && name != nullptr;
  is_right &= smx_get_microkernel(0, &name) == smx_status_success && name != nullptr;
  is_right &= smx_get_thresholds(&thresholds) == smx_status_success;
  is_right &= smx_set_thresholds(&thresholds) == smx_status_success;
  is_right &= GateIsRight();
  const smx_status status = smx_create_softmax_nc_f32(0, &op);
  if (status != smx_status_success) return is_right && status == smx_status_out_of_memory && op == nullptr;
  is_right &= Computes(op, 512, nullptr) && Computes(op, 1 << 17, pool);
  is_right &= smx_get_plan(op, 2, &plan) == smx_status_success;
  is_right &= smx_delete_operator(op) == smx_status_success;
  return is_right && smx_run_operator(nullptr, nullptr) == smx_status_invalid_parameter;
}

// And all works once memory is there again.
bool Recovers(pthreadpool_t pool) {
  smx_operator_t op = nullptr;
  const bool is_right = smx_create_softmax_nc_f32(0, &op) == smx_status_success &&
                        Computes(op, 512, nullptr) && Computes(op, 1 << 17, pool) &&
                        smx_delete_operator(op) == smx_status_success;
  return is_right && smx_deinitialize() == smx_status_success;
}

[[noreturn]] void RunChild(int report, Failing how, size_t allocation) {
  const pthreadpool_t pool = pthreadpool_create(2);
  failing = how;
  failing_allocation = allocation;
  is_armed = true;
  Outcome outcome = {0, CallsAreRight(pool)};
  is_armed = false;
  outcome.allocations = allocations;
  outcome.is_right &= Recovers(pool);
  const bool is_written = write(report, &outcome, sizeof(outcome)) == sizeof(outcome);
  _exit(is_written ? 0 : 1);
}

Outcome InChild(Failing how, size_t allocation) {
  int report[2];
  EXPECT_EQ(pipe(report), 0);
  const pid_t child = fork();
  if (child == 0) RunChild(report[1], how, allocation);
  close(report[1]);
  Outcome outcome = {0, false};
  EXPECT_EQ(read(report[0], &outcome, sizeof(outcome)), static_cast<ssize_t>(sizeof(outcome)));
  close(report[0]);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  return outcome;
}

class AllocationFailure : public testing::TestWithParam<Failing> {};

INSTANTIATE_TEST_SUITE_P(, AllocationFailure, testing::Values(Failing::kOne, Failing::kAllFrom),
                         [](const auto& info) { return info.param == Failing::kOne ? "One" : "AllFrom"; });

TEST_P(AllocationFailure, AtEveryAllocationOfEveryCall) {
  const Outcome undisturbed = InChild(Failing::kOne, SIZE_MAX);
  ASSERT_TRUE(undisturbed.is_right);
  ASSERT_GE(undisturbed.allocations, 2u) << "the operator's, and cpuinfo's";
  size_t failed = 0;
  for (; failed < undisturbed.allocations; failed++) {
    SCOPED_TRACE(testing::Message() << "allocation " << failed);
    const Outcome outcome = InChild(GetParam(), failed);
    EXPECT_TRUE(outcome.is_right);
    EXPECT_GT(outcome.allocations, failed);
  }
  printf("%zu allocations failed, each in a process of its own\n", failed);
  RecordProperty("allocations_failed", std::to_string(failed));
}

}  // namespace
}  // namespace smx
