// Sizes beyond 32 bits: elements of a row, of a batch, and offsets of rows in bytes.
#include <gtest/gtest.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "include/smxpack.h"
#include "test/isas.h"
#include "test/rows.h"
#include "test/softmax_tester.h"
#include "test/ulp.h"

namespace smx {
namespace {

constexpr size_t kFourGi = size_t{1} << 32;

// An address range, all of it readable and writable.
class Mapping {
 public:
  // Pages are there once they are written to.
  explicit Mapping(size_t elements) : bytes_(elements * sizeof(float)) {
    constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void* memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, kFlags, -1, 0);
    if (memory == MAP_FAILED) abort();
    data_ = static_cast<float*>(memory);
  }

  // Elements repeat: the same `period` elements of memory, a multiple of a page, again and again. Pages are there from the
  // beginning, for millions of page faults take minutes.
  Mapping(size_t elements, size_t period) : Mapping(elements) {
    const int file = memfd_create("smxpack", 0);
    if (ftruncate(file, static_cast<off_t>(period * sizeof(float))) != 0) abort();
    for (size_t i = 0; i < elements; i += period) {
      const size_t bytes = std::min(period, elements - i) * sizeof(float);
      constexpr int kFlags = MAP_SHARED | MAP_FIXED | MAP_POPULATE;
      if (mmap(data_ + i, bytes, PROT_READ | PROT_WRITE, kFlags, file, 0) == MAP_FAILED) abort();
    }
    close(file);
  }

  ~Mapping() { munmap(data_, bytes_); }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  float* data() { return data_; }

 private:
  size_t bytes_;
  float* data_;
};

class Size : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    UseIsa(GetParam());
    ASSERT_EQ(smx_create_softmax_nc_f32(0, &op_), smx_status_success);
  }
  void TearDown() override { EXPECT_EQ(smx_delete_operator(op_), smx_status_success); }

  void Run(size_t rows, size_t channels, size_t x_stride, size_t y_stride, const float* x, float* y,
           size_t threads) {
    ASSERT_EQ(smx_setup_softmax_nc_f32(op_, rows, channels, x_stride, y_stride, x, y), smx_status_success);
    ASSERT_EQ(smx_run_operator(op_, Pool(threads)), smx_status_success);
  }

  // Rows at these strides have the bits of the same rows close together.
  void TestStrides(size_t rows, size_t channels, float* x, size_t x_stride, float* y, size_t y_stride,
                   size_t threads) {
    for (size_t i = 0; i < rows; i++) std::fill_n(y + i * y_stride, channels, -1.0f);
    for (size_t i = 0; i < rows; i++) {
      const std::vector<float> row = MakeRow("normal_4", channels, i);
      std::copy(row.begin(), row.end(), x + i * x_stride);
    }
    ASSERT_NO_FATAL_FAILURE(Run(rows, channels, x_stride, y_stride, x, y, threads));
    for (size_t i = 0; i < rows; i++) {
      const float* row = y + i * y_stride;
      ASSERT_TRUE(SameBits({row, row + channels}, ScalarBits("normal_4", channels, i))) << "row " << i;
    }
  }

  smx_operator_t op_ = nullptr;
};

INSTANTIATE_TEST_SUITE_P(, Size, testing::ValuesIn(AvailableIsas()),
                         [](const auto& info) { return info.param; });

TEST_P(Size, OffsetsOfRowsPassFourGiB) {
  // ScalarBits initialises the library anew, which no operator may live through.
  for (size_t channels : {3, 40, 1000, 3000}) {
    for (size_t i = 0; i < 19; i++) ScalarBits("normal_4", channels, i);
  }
  ASSERT_EQ(smx_delete_operator(op_), smx_status_success);
  SetUp();
  // In bytes: each stride beyond 2^32, and 19 rows at once beyond it; strides whose product wraps 32 bits.
  constexpr size_t kX = kFourGi / 4 + 13, kY = kFourGi / 4 + 29, kInPlace = kFourGi + 5;
  constexpr size_t kXOf19 = kFourGi / 16 + 1, kYOf19 = kFourGi / 8 + 3;
  constexpr size_t kMostChannels = 3000;
  Mapping x(18 * kXOf19 + kMostChannels), y(18 * kYOf19 + kMostChannels);
  Mapping in_place(4 * kInPlace + kMostChannels);
  for (size_t channels : {size_t{3}, size_t{40}, size_t{1000}, kMostChannels}) {
    for (size_t threads : {0, 2}) {
      SCOPED_TRACE(testing::Message() << channels << " channels, " << threads << " threads");
      ASSERT_NO_FATAL_FAILURE(TestStrides(5, channels, x.data(), kX, y.data(), kY, threads));
      ASSERT_NO_FATAL_FAILURE(
          TestStrides(5, channels, in_place.data(), kInPlace, in_place.data(), kInPlace, threads));
      ASSERT_NO_FATAL_FAILURE(TestStrides(19, channels, x.data(), kXOf19, y.data(), kYOf19, threads));
    }
  }
}

TEST_P(Size, ThatWrapsIsRejected) {
  float x[4] = {1.0f, 2.0f, 3.0f, 4.0f};
  float y[4] = {-1.0f, -1.0f, -1.0f, -1.0f};
  size_t tried = 0;
  // Sizes about each power of two from 2^30 to the largest.
  std::vector<size_t> sizes = {1, 2, 3};
  for (int power = 30; power < 64; power++) {
    for (int offset : {-1, 0, 1}) sizes.push_back((size_t{1} << power) + static_cast<size_t>(offset));
  }
  sizes.push_back(SIZE_MAX);
  sizes.push_back(SIZE_MAX - 1);
  for (size_t rows : sizes) {
    for (size_t channels : sizes) {
      for (size_t stride : sizes) {
        const unsigned __int128 elements = static_cast<unsigned __int128>(rows - 1) * stride + channels;
        const bool fits = elements * sizeof(float) <= PTRDIFF_MAX;
        const bool reaches = elements * sizeof(float) <= UINTPTR_MAX - reinterpret_cast<uintptr_t>(x);
        if (stride >= channels && fits && reaches) continue;
        ASSERT_EQ(smx_setup_softmax_nc_f32(op_, rows, channels, stride, stride, x, x),
                  smx_status_invalid_parameter)
            << rows << " x " << channels << ", stride " << stride;
        tried++;
      }
    }
  }
  // Rows whose end is beyond the last address.
  float* last = reinterpret_cast<float*>(UINTPTR_MAX - 15);
  EXPECT_EQ(smx_setup_softmax_nc_f32(op_, 1, 5, 5, 5, last, y), smx_status_invalid_parameter);
  EXPECT_EQ(smx_setup_softmax_nc_f32(op_, 1, 5, 5, 5, x, last), smx_status_invalid_parameter);
  EXPECT_EQ(smx_setup_softmax_nc_f32(op_, 2, 2, kFourGi, kFourGi, last, y), smx_status_invalid_parameter);
  EXPECT_EQ(smx_run_operator(op_, nullptr), smx_status_invalid_state);
  for (size_t i = 0; i < 4; i++) EXPECT_EQ(y[i], -1.0f);
  EXPECT_EQ(x[3], 4.0f);
  printf("%zu shapes rejected\n", tried + 3);
  RecordProperty("shapes_rejected", std::to_string(tried + 3));
}

// --- SMXPACK_FULL_TESTS=1: gigabytes and minutes ---

class FullSize : public Size {};

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(FullSize);
INSTANTIATE_TEST_SUITE_P(, FullSize,
                         testing::ValuesIn(getenv("SMXPACK_FULL_TESTS") != nullptr
                                               ? AvailableIsas()
                                               : std::vector<std::string>()),
                         [](const auto& info) { return info.param; });

// Zeros, and at either end of the row, at 2^30 and at 2^31 elements 20: the exact result has two values.
TEST_P(FullSize, RowOfMoreThanTwoGiElementsInPlace) {
  constexpr size_t kChannels = (size_t{1} << 31) + 7;
  const std::vector<size_t> places = {
      0, 1, size_t{1} << 30, (size_t{1} << 31) - 1, size_t{1} << 31, kChannels - 1};
  const long double large = expl(20.0L);
  const long double sum = static_cast<long double>(kChannels - places.size()) + large * places.size();
  Mapping row(kChannels);
  for (size_t threads : {0, 2}) {
    std::fill_n(row.data(), kChannels, 0.0f);
    for (size_t place : places) row.data()[place] = 20.0f;
    ASSERT_NO_FATAL_FAILURE(Run(1, kChannels, kChannels, kChannels, row.data(), row.data(), threads));
    const float small_result = row.data()[2];
    const float large_result = row.data()[0];
    EXPECT_LE(UlpError(small_result, 1.0L / sum), kSoftmaxUlps);
    EXPECT_LE(UlpError(large_result, large / sum), kSoftmaxUlps);
    size_t larges = 0, others = 0;
    for (size_t i = 0; i < kChannels; i++) {
      larges += row.data()[i] == large_result;
      others += row.data()[i] != large_result && row.data()[i] != small_result;
    }
    EXPECT_EQ(others, 0u);
    EXPECT_EQ(larges, places.size());
    for (size_t place : places) EXPECT_EQ(row.data()[place], large_result) << place;
  }
}

// Rows repeat in memory, and so must their results: all of them are in the last period. Longer rows store terms in the
// output, where a second thread's would be in the way.
TEST_P(FullSize, BatchOfMoreThanFourGiElements) {
  constexpr size_t kPeriod = size_t{1} << 20;
  struct Shape {
    size_t rows, channels, threads;
  };
  for (const Shape& shape : {Shape{(size_t{1} << 16) + 1, 65536, 0}, Shape{(size_t{1} << 22) + 1, 1024, 0},
                             Shape{(size_t{1} << 28) + 3, 16, 2}, Shape{kFourGi + 5, 1, 2}}) {
    SCOPED_TRACE(testing::Message() << shape.rows << " x " << shape.channels);
    const size_t elements = shape.rows * shape.channels;
    const std::vector<float> values = MakeRow("normal_4", kPeriod, 1);
    Mapping x(elements, kPeriod), y(elements, kPeriod);
    std::copy(values.begin(), values.end(), x.data());
    ASSERT_NO_FATAL_FAILURE(
        Run(shape.rows, shape.channels, shape.channels, shape.channels, x.data(), y.data(), shape.threads));
    const std::vector<float> results(y.data(), y.data() + kPeriod);
    std::vector<float> expected(kPeriod);
    ASSERT_NO_FATAL_FAILURE(Run(kPeriod / shape.channels, shape.channels, shape.channels, shape.channels,
                                values.data(), expected.data(), 0));
    EXPECT_TRUE(SameBits(results, expected));
    const size_t last = elements - shape.channels;
    const float* expected_last = expected.data() + last % kPeriod;
    EXPECT_TRUE(
        SameBits({y.data() + last, y.data() + elements}, {expected_last, expected_last + shape.channels}));
  }
}

}  // namespace
}  // namespace smx
