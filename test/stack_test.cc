// What a run takes of its thread's stack, which SECURITY.md and docs/integration.md state.
#include <gtest/gtest.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <vector>

#include "include/smxpack.h"
#include "test/isas.h"

namespace smx {
namespace {

constexpr size_t kRowsBytes = 100 << 10;
constexpr size_t kNarrowRowsBytes = 300 << 10;  // softmax of rows whose results are smaller than floats
constexpr size_t kAxisBytes = 350 << 10;

constexpr size_t kStackBytes = 1 << 20;
constexpr size_t kStackAlignment = 4096;

// Bytes of a stack that a thread has written, from its end down.
size_t StackOf(const std::function<void()>& function) {
  constexpr unsigned char kUntouched = 0xA5;
  const std::unique_ptr<unsigned char, void (*)(void*)> stack(
      static_cast<unsigned char*>(aligned_alloc(kStackAlignment, kStackBytes)), free);
  unsigned char* const end = stack.get() + kStackBytes;
  std::fill(stack.get(), end, kUntouched);
  pthread_attr_t attributes;
  pthread_t thread;
  EXPECT_EQ(pthread_attr_init(&attributes), 0);
  EXPECT_EQ(pthread_attr_setstack(&attributes, stack.get(), kStackBytes), 0);
  const auto call = [](void* context) -> void* {
    (*static_cast<const std::function<void()>*>(context))();
    return nullptr;
  };
  EXPECT_EQ(pthread_create(&thread, &attributes, call, const_cast<std::function<void()>*>(&function)), 0);
  EXPECT_EQ(pthread_join(thread, nullptr), 0);
  EXPECT_EQ(pthread_attr_destroy(&attributes), 0);
  return static_cast<size_t>(
      end - std::find_if(stack.get(), end, [](unsigned char byte) { return byte != kUntouched; }));
}

struct Shape {
  size_t rows;
  size_t channels;
};

// A regime each, of rows and, with as many columns, of an axis.
constexpr Shape kShapes[] = {{1, 10},    {64, 8},     {64, 1000},  {3, 5000},
                             {2, 20000}, {1, 300000}, {512, 2000}, {513, 300}};
constexpr size_t kMostElements = 512 * 2000;

class Stack : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    ASSERT_EQ(smx_deinitialize(), smx_status_success);
    setenv("SMXPACK_ISA", GetParam().c_str(), 1);
    ASSERT_EQ(smx_initialize(nullptr), smx_status_success);
    for (size_t i = 0; i < x_.size(); i++) x_[i] = static_cast<float>(i % 97);
  }
  void TearDown() override { unsetenv("SMXPACK_ISA"); }

  // The most that the operator takes over shapes, under scales that kernels take, and that they do not.
  size_t Most(const std::function<smx_status(smx_operator_t*)>& create,
              const std::function<smx_status(smx_operator_t, const Shape&)>& set_up) {
    const size_t thread = StackOf([] {});
    size_t most = 0;
    for (const Shape& shape : kShapes) {
      for (const float scale : {1.0f, -1.0f}) {
        smx_operator_t op = nullptr;
        EXPECT_EQ(create(&op), smx_status_success);
        EXPECT_EQ(set_up(op, shape), smx_status_success);
        EXPECT_EQ(smx_set_scale(op, scale), smx_status_success);
        most = std::max(most, StackOf([op] { smx_run_operator(op, nullptr); }) - thread);
        EXPECT_EQ(smx_delete_operator(op), smx_status_success);
      }
    }
    printf("%zu bytes\n", most);
    return most;
  }

  std::vector<float> x_ = std::vector<float>(kMostElements);
  std::vector<float> y_ = std::vector<float>(kMostElements);
};

TEST_P(Stack, OfRows) {
  for (const smx_datatype type : {smx_datatype_f32, smx_datatype_f16}) {
    const auto set_up = [&](auto function) {
      return [&, function](smx_operator_t op, const Shape& shape) {
        const size_t n = shape.channels;
        return function(op, shape.rows, n, n, n, x_.data(), y_.data());
      };
    };
    EXPECT_LE(Most([=](smx_operator_t* op) { return smx_create_softmax_nc(type, type, 0, op); },
                   set_up(smx_setup_softmax_nc)),
              type == smx_datatype_f32 ? kRowsBytes : kNarrowRowsBytes);
    EXPECT_LE(Most([=](smx_operator_t* op) { return smx_create_log_softmax_nc(type, type, 0, op); },
                   set_up(smx_setup_log_softmax_nc)),
              kRowsBytes);
  }
}

TEST_P(Stack, OfAnotherAxis) {
  for (const smx_datatype type : {smx_datatype_f32, smx_datatype_f16}) {
    const auto set_up = [&](auto function) {
      return [&, function](smx_operator_t op, const Shape& shape) {
        const size_t n = shape.rows * shape.channels;
        return function(op, 1, shape.channels, shape.rows, n, shape.rows, n, shape.rows, x_.data(),
                        y_.data());
      };
    };
    EXPECT_LE(Most([=](smx_operator_t* op) { return smx_create_softmax_axis(type, type, 0, op); },
                   set_up(smx_setup_softmax_axis)),
              kAxisBytes);
    EXPECT_LE(Most([=](smx_operator_t* op) { return smx_create_log_softmax_axis(type, type, 0, op); },
                   set_up(smx_setup_log_softmax_axis)),
              kAxisBytes);
  }
}

// With a mask, a sink and a logarithm, the rows as queries of one head.
TEST_P(Stack, OfAttention) {
  for (const smx_datatype type : {smx_datatype_f32, smx_datatype_f16}) {
    const smx_attention_options options = {type, type, smx_datatype_bool, 50.0f, 0};
    const float sink = 1.0f;
    const uint8_t mask = 1;
    const auto set_up = [&](smx_operator_t op, const Shape& shape) {
      smx_attention attention = {};
      attention.batch_size = attention.heads = 1;
      attention.queries = shape.rows;
      attention.keys = shape.channels;
      attention.input_strides = attention.output_strides = {0, 0, shape.channels, 1};
      attention.input = x_.data();
      attention.output = y_.data();
      attention.mask = &mask;
      attention.sinks = &sink;
      return smx_setup_attention_softmax(op, &attention);
    };
    EXPECT_LE(Most([=](smx_operator_t* op) { return smx_create_attention_softmax(&options, 0, op); }, set_up),
              kRowsBytes);
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, Stack, testing::ValuesIn(AvailableIsas()),
                         [](const auto& instance) { return instance.param; });

}  // namespace
}  // namespace smx
