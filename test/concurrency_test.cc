// Many operators, threads and pools at once. The thread sanitizer's preset makes this a test of races.
#include <gtest/gtest.h>
#include <pthreadpool.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "include/smxpack.h"
#include "src/gen/microkernels.h"
#include "src/runtime/parallelize.h"
#include "test/isas.h"
#include "test/rows.h"
#include "test/softmax_tester.h"

namespace smx {
namespace {

using Row = std::vector<float>;

// Calls function(t) on each of `threads` threads at the same time.
void Race(size_t threads, const std::function<void(size_t)>& function) {
  std::atomic<size_t> ready{0};
  std::vector<std::thread> racing;
  for (size_t t = 0; t < threads; t++) {
    racing.emplace_back([&, t] {
      ready++;
      while (ready < threads) std::this_thread::yield();
      function(t);
    });
  }
  for (std::thread& thread : racing) thread.join();
}

using PoolOwner = std::unique_ptr<pthreadpool, decltype(&pthreadpool_destroy)>;
PoolOwner NewPool(size_t threads) {
  return PoolOwner(pthreadpool_create(threads), pthreadpool_destroy);
}

// An operator on rows of a family, of its own length and thresholds.
class Job {
 public:
  explicit Job(size_t index) {
    const size_t lengths[] = {1, 7, 33, 100, 700, SMX_TILE, 2 * SMX_TILE + 5};
    const size_t channels = lengths[index % std::size(lengths)];
    const size_t rows = channels > SMX_BLOCK ? 1 : 40;
    smx_thresholds thresholds = ForcedPlans()[index % ForcedPlans().size()].thresholds;
    thresholds.task_elements = channels;
    EXPECT_EQ(smx_set_thresholds(&thresholds), smx_status_success);
    EXPECT_EQ(smx_create_softmax_nc_f32(0, &op_), smx_status_success);
    x_ = MakeRow(index % 5 == 0 ? "mask_minus_1e9" : "normal_4", rows * channels, index);
    y_.resize(x_.size());
    EXPECT_EQ(smx_setup_softmax_nc_f32(op_, rows, channels, channels, channels, x_.data(), y_.data()),
              smx_status_success);
  }
  ~Job() { EXPECT_EQ(smx_delete_operator(op_), smx_status_success); }
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  Row Run(pthreadpool_t pool) {
    std::fill(y_.begin(), y_.end(), -1.0f);
    EXPECT_EQ(smx_run_operator(op_, pool), smx_status_success);
    return y_;
  }

 private:
  smx_operator_t op_ = nullptr;
  Row x_, y_;
};

class Concurrency : public testing::Test {
 protected:
  void SetUp() override { UseIsa(AvailableIsas().front()); }
  void TearDown() override { EXPECT_EQ(smx_deinitialize(), smx_status_success); }
};

TEST_F(Concurrency, HundredsOfOperatorsOverManyThreadsAndPools) {
  constexpr size_t kThreads = 8;
  constexpr size_t kJobsPerThread = 30;
  std::atomic<size_t> runs{0};
  Race(kThreads, [&](size_t t) {
    const PoolOwner pool = NewPool(1 + t % 4);
    std::vector<std::unique_ptr<Job>> jobs;
    for (size_t i = 0; i < kJobsPerThread; i++) {
      jobs.push_back(std::make_unique<Job>(t * kJobsPerThread + i));
      const Row serial = jobs.back()->Run(nullptr);
      // An older one too: operators are created while others, here and on other threads, run.
      jobs[i / 2]->Run(pool.get());
      EXPECT_TRUE(SameBits(jobs.back()->Run(pool.get()), serial)) << "job " << i << " of thread " << t;
      runs += 3;
    }
  });
  printf("%zu operators, %zu runs, %zu threads with a pool each\n", kThreads * kJobsPerThread, runs.load(),
         kThreads);
}

// A call finds the library initialised or not, and nothing in between.
TEST_F(Concurrency, InitializeAndDeinitializeAreRaced) {
  constexpr int kRounds = 1000;
  std::atomic<size_t> succeeded{0};
  const auto expect_either = [&](smx_status status) {
    EXPECT_TRUE(status == smx_status_success || status == smx_status_uninitialized)
        << smx_status_to_string(status);
    succeeded += status == smx_status_success;
    return status == smx_status_success;
  };
  Race(8, [&](size_t t) {
    for (int round = 0; round < kRounds; round++, std::this_thread::yield()) {
      smx_thresholds thresholds;
      smx_operator_t op = nullptr;
      const char* name = nullptr;
      bool is_success;
      switch (t) {
        case 0:
        case 1:
          EXPECT_EQ(smx_initialize(nullptr), smx_status_success);
          break;
        case 2:
          EXPECT_EQ(smx_deinitialize(), smx_status_success);
          break;
        case 3:
          is_success = expect_either(smx_get_isa(&name));
          EXPECT_EQ(name != nullptr, is_success);
          break;
        case 4:
          is_success = expect_either(smx_get_microkernel(0, &name));
          EXPECT_EQ(name != nullptr, is_success);
          break;
        case 5:
          expect_either(smx_get_thresholds(&thresholds));
          break;
        case 6:
          expect_either(smx_set_thresholds(nullptr));
          break;
        default:
          is_success = expect_either(smx_create_softmax_nc_f32(0, &op));
          EXPECT_EQ(op != nullptr, is_success);
          smx_delete_operator(op);
      }
    }
  });
  printf("%zu of %d calls found the library initialised\n", succeeded.load(), 5 * kRounds);
  EXPECT_GT(succeeded, 0u);
}

TEST_F(Concurrency, ForkAfterInitialize) {
  Job job(2);
  const PoolOwner pool = NewPool(3);
  const Row expected = job.Run(pool.get());
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    // The parent's pool has no threads here; a new one has.
    bool is_right = SameBits(job.Run(nullptr), expected) && SameBits(Job(2).Run(nullptr), expected);
#if !defined(SMX_THREAD_SANITIZER)  // which takes no new threads then
    is_right = is_right && SameBits(job.Run(NewPool(3).get()), expected);
#endif
    _exit(is_right && !testing::Test::HasFailure() ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_TRUE(SameBits(job.Run(pool.get()), expected));
}

}  // namespace
}  // namespace smx
