// Two copies of the library in one process do not disturb each other: neither two shared libraries, nor two plugins with
// the static one inside; whether their symbols are local or global.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <stdlib.h>

#include <filesystem>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "test/two_copies/functions.h"

namespace {

using Row = std::vector<float>;

// A copy of a shared object, loaded: the loader takes the same file but once.
class Copy {
 public:
  Copy(const std::string& original, const std::string& path, int flags) : path_(path) {
    std::filesystem::copy_file(original, path, std::filesystem::copy_options::overwrite_existing);
    handle_ = dlopen(path.c_str(), RTLD_NOW | flags);
    if (handle_ == nullptr) throw std::runtime_error(dlerror());
    const auto plugin_functions = reinterpret_cast<void (*)(Functions*)>(dlsym(handle_, "plugin_functions"));
    if (plugin_functions != nullptr) {
      plugin_functions(&functions_);
    } else {
#define FIND(function) \
  functions_.function = reinterpret_cast<decltype(functions_.function)>(dlsym(handle_, #function));
      FOREACH_FUNCTION(FIND)
#undef FIND
    }
    functions_.smx_set_log_callback(
        [](void* count, smx_log_level, const char*) { ++*static_cast<int*>(count); }, &errors_,
        smx_log_level_error);
  }
  ~Copy() {
    Close();
    std::filesystem::remove(path_);
  }
  Copy(const Copy&) = delete;
  Copy& operator=(const Copy&) = delete;

  void Close() {
    if (handle_ != nullptr) dlclose(handle_);
    handle_ = nullptr;
  }

  const Functions* operator->() const {
    return &functions_;
  }
  int errors() const {
    return errors_;
  }

 private:
  const std::string path_;
  void* handle_ = nullptr;
  Functions functions_ = {};
  int errors_ = 0;
};

constexpr size_t kChannels = 8;
const Row kX = {1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f, 7.0f, 8.0f};

smx_status Create(const Copy& copy, smx_operator_t* op) {
  return copy->smx_create_softmax_nc_f32(0, op);
}

// How a new operator would compute a row, and the row.
std::tuple<std::string, Row> Compute(const Copy& copy) {
  smx_operator_t op = nullptr;
  Row y(kChannels);
  smx_plan plan = {};
  EXPECT_EQ(Create(copy, &op), smx_status_success);
  EXPECT_EQ(copy->smx_setup_softmax_nc_f32(op, 1, kChannels, kChannels, kChannels, kX.data(), y.data()),
            smx_status_success);
  EXPECT_EQ(copy->smx_get_plan(op, 1, &plan), smx_status_success);
  EXPECT_EQ(copy->smx_run_operator(op, nullptr), smx_status_success);
  EXPECT_EQ(copy->smx_delete_operator(op), smx_status_success);
  return {plan.algorithm, y};
}

class TwoCopies : public testing::TestWithParam<std::tuple<const char*, int>> {
 protected:
  Copy first_{Original(), PathOf("first"), std::get<1>(GetParam())};
  Copy second_{Original(), PathOf("second"), std::get<1>(GetParam())};

 private:
  static std::string Original() { return std::get<0>(GetParam()); }
  static std::string PathOf(const std::string& name) { return Original() + "." + name; }
};

INSTANTIATE_TEST_SUITE_P(, TwoCopies,
                         testing::Combine(testing::Values(SHARED_LIBRARY, PLUGIN),
                                          testing::Values(RTLD_LOCAL, RTLD_GLOBAL)),
                         [](const auto& info) {
                           const bool is_plugin = std::get<0>(info.param) == std::string(PLUGIN);
                           return std::string(is_plugin ? "plugin" : "shared_library") +
                                  (std::get<1>(info.param) == RTLD_GLOBAL ? "_global" : "_local");
                         });

TEST_P(TwoCopies, AreInitialisedApart) {
  smx_operator_t op = nullptr;
  ASSERT_EQ(first_->smx_initialize(nullptr), smx_status_success);
  EXPECT_EQ(Create(second_, &op), smx_status_uninitialized);
  ASSERT_EQ(second_->smx_initialize(nullptr), smx_status_success);
  const auto expected = Compute(second_);
  EXPECT_EQ(Compute(first_), expected);
  ASSERT_EQ(first_->smx_deinitialize(), smx_status_success);
  EXPECT_EQ(Create(first_, &op), smx_status_uninitialized);
  EXPECT_EQ(Compute(second_), expected);
  first_.Close();
  EXPECT_EQ(Compute(second_), expected);
}

TEST_P(TwoCopies, HaveTheirOwnThresholds) {
  ASSERT_EQ(first_->smx_initialize(nullptr), smx_status_success);
  ASSERT_EQ(second_->smx_initialize(nullptr), smx_status_success);
  smx_thresholds thresholds;
  ASSERT_EQ(first_->smx_get_thresholds(&thresholds), smx_status_success);
  const auto [usual, y] = Compute(first_);
  ASSERT_EQ(usual, "several-rows");
  thresholds.grouped_channels = 0;
  ASSERT_EQ(second_->smx_set_thresholds(&thresholds), smx_status_success);
  EXPECT_EQ(Compute(first_), std::make_tuple(usual, y));
  EXPECT_EQ(Compute(second_), std::make_tuple(std::string("store-and-rescale"), y));
}

TEST_P(TwoCopies, HaveTheirOwnLog) {
  smx_operator_t op = nullptr;
  EXPECT_EQ(Create(first_, &op), smx_status_uninitialized);
  EXPECT_EQ(first_.errors(), 1);
  EXPECT_EQ(second_.errors(), 0);
  EXPECT_EQ(Create(second_, &op), smx_status_uninitialized);
  EXPECT_EQ(first_.errors(), 1);
  EXPECT_EQ(second_.errors(), 1);
}

struct Counters {
  int allocated = 0;
  int freed = 0;
};

TEST_P(TwoCopies, HaveTheirOwnAllocator) {
  Counters counters[2];
  for (int i = 0; i < 2; i++) {
    const smx_allocator allocator = {&counters[i],
                                     [](void* context, size_t size) {
                                       static_cast<Counters*>(context)->allocated++;
                                       return malloc(size);
                                     },
                                     [](void* context, void* memory) {
                                       static_cast<Counters*>(context)->freed++;
                                       free(memory);
                                     }};
    ASSERT_EQ((i == 0 ? first_ : second_)->smx_initialize(&allocator), smx_status_success);
  }
  Compute(second_);
  EXPECT_EQ(counters[0].allocated, 0);
  EXPECT_EQ(counters[1].allocated, 1);
  EXPECT_EQ(counters[1].freed, 1);
}

}  // namespace
