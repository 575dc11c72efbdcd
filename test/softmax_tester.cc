#include "test/softmax_tester.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <map>
#include <memory>
#include <tuple>

#include "src/gen/microkernels.h"
#include "src/plan/softmax_plan.h"
#include "test/rows.h"
#include "test/ulp.h"

namespace smx {
namespace {

uint32_t Bits(float f) {
  uint32_t bits;
  memcpy(&bits, &f, sizeof(bits));
  return bits;
}

// Between rows: a NaN that spoils a result that depends on it.
constexpr uint32_t kGapBits = 0xFFFFDEAD;

void FillGaps(GuardedBuffer<float>* buffer) {
  for (float& element : *buffer) memcpy(&element, &kGapBits, sizeof(element));
}

void CopyIn(const SoftmaxTester::Rows& rows, size_t stride, GuardedBuffer<float>* buffer) {
  for (size_t i = 0; i < rows.size(); i++)
    std::copy(rows[i].begin(), rows[i].end(), buffer->data() + i * stride);
}

SoftmaxTester::Rows CopyOut(const GuardedBuffer<float>& buffer, size_t rows, size_t channels, size_t stride) {
  SoftmaxTester::Rows out;
  for (size_t i = 0; i < rows; i++) {
    const float* row = buffer.data() + i * stride;
    out.emplace_back(row, row + channels);
  }
  return out;
}

bool GapsAreIntact(const GuardedBuffer<float>& buffer, size_t channels, size_t stride) {
  for (size_t row = 0; row < buffer.size(); row += stride) {
    for (size_t i = row + channels; i < std::min(row + stride, buffer.size()); i++) {
      if (Bits(buffer[i]) != kGapBits) return false;
    }
  }
  return true;
}

// Creates an operator, runs it once, deletes it. `check` looks at it in between.
template <class Check>
void RunOperator(uint32_t flags, size_t rows, size_t channels, size_t input_stride, size_t output_stride,
                 const float* x, float* y, pthreadpool_t pool, Check check) {
  smx_operator_t op = nullptr;
  ASSERT_EQ(smx_create_softmax_nc_f32(flags, &op), smx_status_success);
  EXPECT_EQ(smx_setup_softmax_nc_f32(op, rows, channels, input_stride, output_stride, x, y),
            smx_status_success);
  check(op);
  EXPECT_EQ(smx_run_operator(op, pool), smx_status_success);
  EXPECT_EQ(smx_delete_operator(op), smx_status_success);
}

}  // namespace

const std::vector<ForcedPlan>& ForcedPlans() {
  constexpr size_t kAll = SIZE_MAX;
  constexpr size_t kLongestStored = size_t{SMX_MAX_SPANS} * SMX_TILE;
  constexpr size_t kTask = 16384;
  static const std::vector<ForcedPlan> plans = {
      {"rows_as_lanes",
       "rows-as-lanes",
       false,
       {kAll, 0, 0, kAll, 0, kTask},
       SMX_LANES,
       2 * SMX_LANES,
       2 * SMX_LANES},
      {"several_rows", "several-rows", false, {0, kAll, 0, kAll, 0, kTask}, 2, SMX_GROUPED, SMX_GROUPED},
      {"stored", "store-and-rescale", false, {0, 0, kAll, kAll, 0, kTask}, 1, kLongestStored, SMX_TILE},
      {"two_pass", "two-pass", false, {0, 0, 0, kAll, 0, kTask}, 1, kAll, kAll},
      {"two_pass_streamed", "two-pass", true, {0, 0, 0, 1, 0, kTask}, 1, kAll, 0},
  };
  return plans;
}

std::ostream& operator<<(std::ostream& out, const ForcedPlan& plan) {
  return out << plan.name;
}

void UseIsa(const std::string& isa) {
  setenv("SMXPACK_ISA", isa.c_str(), 1);
  ASSERT_EQ(smx_deinitialize(), smx_status_success);
  ASSERT_EQ(smx_initialize(nullptr), smx_status_success);
  const char* picked = nullptr;
  ASSERT_EQ(smx_get_isa(&picked), smx_status_success);
  ASSERT_EQ(picked, isa);
}

pthreadpool_t Pool(size_t threads) {
  if (threads == 0) return nullptr;
  using Owner = std::unique_ptr<pthreadpool, decltype(&pthreadpool_destroy)>;
  static std::map<size_t, Owner> pools;
  auto pool = pools.find(threads);
  if (pool == pools.end())
    pool = pools.emplace(threads, Owner(pthreadpool_create(threads), pthreadpool_destroy)).first;
  return pool->second.get();
}

testing::AssertionResult SameBits(const std::vector<float>& actual, const std::vector<float>& expected) {
  if (actual.size() != expected.size()) return testing::AssertionFailure() << "lengths differ";
  if (memcmp(actual.data(), expected.data(), actual.size() * sizeof(float)) == 0)
    return testing::AssertionSuccess();
  size_t different = 0;
  size_t first = actual.size();
  for (size_t i = 0; i < actual.size(); i++) {
    if (Bits(actual[i]) == Bits(expected[i])) continue;
    different++;
    first = std::min(first, i);
  }
  return testing::AssertionFailure() << different << " of " << actual.size()
                                     << " elements differ, the first is " << first << ": " << std::hexfloat
                                     << actual[first] << " in place of " << expected[first];
}

testing::AssertionResult IsExactEnough(const std::vector<float>& actual,
                                       const std::vector<long double>& exact, double* worst) {
  if (actual.size() != exact.size()) return testing::AssertionFailure() << "lengths differ";
  for (size_t i = 0; i < actual.size(); i++) {
    if (isnan(exact[i])) {
      if (Bits(actual[i]) == kNanBits) continue;
      return testing::AssertionFailure()
             << "element " << i << " is " << std::hex << Bits(actual[i]) << ", not NaN " << kNanBits;
    }
    if (signbit(actual[i])) return testing::AssertionFailure() << "element " << i << " is " << actual[i];
    const double error = UlpError(actual[i], exact[i]);
    if (worst != nullptr) *worst = std::max(*worst, error);
    if (!(error <= kSoftmaxUlps)) {
      return testing::AssertionFailure() << "element " << i << " of " << actual.size() << " is " << actual[i]
                                         << " in place of " << exact[i] << ": " << error << " ULP";
    }
  }
  return testing::AssertionSuccess();
}

std::vector<long double> Products(float scale, const std::vector<float>& x) {
  const auto flushed = [](float f) { return fabsf(f) < FLT_MIN ? 0.0L : static_cast<long double>(f); };
  std::vector<long double> products;
  for (float element : x) products.push_back(flushed(scale) * flushed(element));
  return products;
}

std::vector<long double> ExactSoftmax(const std::vector<float>& row, uint32_t flags, float scale) {
  const std::vector<long double> products = Products(scale, row);
  const bool is_masked =
      std::all_of(products.begin(), products.end(), [](long double p) { return p == -INFINITY; });
  if (is_masked && (flags & SMX_FLAG_MASKED_ROWS_TO_ZERO) != 0)
    return std::vector<long double>(row.size(), 0.0L);
  return ReferenceSoftmax(products);
}

const std::vector<float>& ScalarBits(const std::string& family, size_t channels, uint64_t seed) {
  static std::map<std::tuple<std::string, size_t, uint64_t>, std::vector<float>> known;
  std::vector<float>& bits = known[{family, channels, seed}];
  if (bits.empty()) {
    const std::vector<float> x = MakeRow(family, channels, seed);
    bits.resize(channels);
    UseIsa("scalar");
    RunOperator(0, 1, channels, channels, channels, x.data(), bits.data(), nullptr, [](smx_operator_t) {});
  }
  return bits;
}

SoftmaxTester::Rows SoftmaxTester::Draw(uint64_t seed) const {
  Rows inputs;
  for (size_t i = 0; i < rows_; i++) inputs.push_back(MakeRow(family_, channels_, seed + i));
  return inputs;
}

void SoftmaxTester::SetThresholds() const {
  smx_thresholds thresholds;
  ASSERT_EQ(smx_get_thresholds(&thresholds), smx_status_success);
  if (plan_ != nullptr) thresholds = plan_->thresholds;
  if (task_elements_ != 0) thresholds.task_elements = task_elements_;
  ASSERT_EQ(smx_set_thresholds(&thresholds), smx_status_success);
}

void SoftmaxTester::CheckPlan(smx_operator_t op) const {
  smx_plan plan = {};
  EXPECT_EQ(smx_get_plan(op, std::max<size_t>(threads_, 1), &plan), smx_status_success);
  if (plan_ == nullptr) return;
  EXPECT_STREQ(plan.algorithm, plan_->algorithm) << *this;
  EXPECT_EQ(plan.streams_output, plan_->streams_output) << *this;
}

SoftmaxTester::Rows SoftmaxTester::Run(const Rows& inputs) const {
  const size_t channels = inputs.front().size();
  const size_t x_stride = input_stride_ != 0 ? input_stride_ : channels;
  const size_t y_stride = in_place_ ? x_stride : output_stride_ != 0 ? output_stride_ : channels;
  GuardedBuffer<float> x((inputs.size() - 1) * x_stride + channels, edge_, offset_);
  GuardedBuffer<float> other(in_place_ ? 0 : (inputs.size() - 1) * y_stride + channels, edge_, offset_ + 1);
  GuardedBuffer<float>& y = in_place_ ? x : other;
  FillGaps(&x);
  FillGaps(&other);
  CopyIn(inputs, x_stride, &x);

  UseIsa(isa_);
  SetThresholds();
  RunOperator(flags_, inputs.size(), channels, x_stride, y_stride, x.data(), y.data(), Pool(threads_),
              [this](smx_operator_t op) { CheckPlan(op); });

  if (!in_place_) {
    const Rows after = CopyOut(x, inputs.size(), channels, x_stride);
    for (size_t i = 0; i < inputs.size(); i++)
      EXPECT_TRUE(SameBits(after[i], inputs[i])) << *this << ": input";
  }
  for (const GuardedBuffer<float>* buffer : {&x, &y}) {
    EXPECT_TRUE(GapsAreIntact(*buffer, channels, buffer == &x ? x_stride : y_stride)) << *this << ": gaps";
    EXPECT_TRUE(buffer->SurroundingsAreIntact()) << *this;
  }
  return CopyOut(y, inputs.size(), channels, y_stride);
}

void SoftmaxTester::TestF32() const {
  for (size_t run = 0; run < iterations_; run++) {
    const Rows inputs = Draw(seed_ + run * rows_);
    const Rows outputs = Run(inputs);
    for (size_t i = 0; i < rows_; i++) {
      EXPECT_TRUE(IsExactEnough(outputs[i], ExactSoftmax(inputs[i], flags_))) << *this << ": row " << i;
    }
  }
}

void SoftmaxTester::TestBits() const {
  for (size_t run = 0; run < iterations_; run++) {
    const uint64_t seed = seed_ + run * rows_;
    const Rows outputs = Run(Draw(seed));
    for (size_t i = 0; i < rows_; i++) {
      EXPECT_TRUE(SameBits(outputs[i], ScalarBits(family_, channels_, seed + i))) << *this << ": row " << i;
    }
  }
}

std::ostream& operator<<(std::ostream& out, const SoftmaxTester& tester) {
  return out << tester.isa_ << ", " << (tester.plan_ != nullptr ? tester.plan_->name : "default plan") << ", "
             << tester.family_ << ", " << tester.rows_ << " x " << tester.channels_ << ", strides "
             << tester.input_stride_ << " and " << tester.output_stride_
             << (tester.in_place_ ? ", in place" : "") << ", " << tester.threads_ << " threads, flags "
             << tester.flags_ << ", offset " << tester.offset_ << ", seed " << tester.seed_;
}

}  // namespace smx
