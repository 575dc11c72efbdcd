// The arithmetic of the peers benchmark: what samples become, what is compared, what counts as right.
#include <gtest/gtest.h>
#include <math.h>

#include <limits>
#include <vector>

#include "bench/peers/problem.h"
#include "bench/peers/reference.h"
#include "bench/peers/result.h"
#include "bench/peers/statistics.h"
#include "bench/shape.h"

namespace smx_peers {
namespace {

using smx_bench::ParseShape;
using smx_bench::Shape;

TEST(Median, IsTheMiddleInAnyOrder) {
  EXPECT_EQ(Median({7.0}), 7.0);
  EXPECT_EQ(Median({9.0, 1.0, 5.0}), 5.0);
  EXPECT_EQ(Median({4.0, 1.0, 100.0, 2.0}), 3.0);
}

TEST(GeometricMean, OfRatios) {
  EXPECT_DOUBLE_EQ(GeometricMean({3.0}), 3.0);
  EXPECT_DOUBLE_EQ(GeometricMean({0.5, 2.0}), 1.0);
  EXPECT_DOUBLE_EQ(GeometricMean({1.0, 2.0, 4.0}), 2.0);
}

TEST(Shape, IsParsedAsItIsPrinted) {
  for (const Shape& shape : {Shape{1, 1}, Shape{65536, 8}, Shape{1, size_t{1} << 28}}) {
    Shape parsed = {};
    ASSERT_TRUE(ParseShape(ToString(shape), shape.elements(), &parsed)) << ToString(shape);
    EXPECT_EQ(parsed.rows, shape.rows);
    EXPECT_EQ(parsed.channels, shape.channels);
  }
}

TEST(Shape, RejectsWhatIsNone) {
  for (const char* text : {"", "x", "3", "3x", "x3", "3x4x5", "3 x4", "-3x4", "0x4", "3x0", "3X4", "3x4 ",
                           "18446744073709551616x1", "4294967296x4294967296", "1x1001", "1001x1"}) {
    Shape untouched = {5, 6};
    EXPECT_FALSE(ParseShape(text, 1000, &untouched)) << text;
    EXPECT_EQ(untouched.rows, 5u);
    EXPECT_EQ(untouched.channels, 6u);
  }
}

Result Took(const char* name, Role role, std::vector<double> samples) {
  Result result;
  result.name = name;
  result.role = role;
  result.samples = samples;
  return result;
}

TEST(ShapeResults, ComparesWithTheBestPeerByMedians) {
  const ShapeResults results = {{1, 8},
                                {Took("copy", Role::kRoofline, {0.1}), Took("slow", Role::kPeer, {3.0}),
                                 Took("fast", Role::kPeer, {0.5, 2.0, 9.0}),
                                 Took("beside", Role::kAside, {0.2}), Took("ours", Role::kOurs, {0.8})}};
  EXPECT_EQ(results.BestPeer()->name, "fast");
  EXPECT_EQ(results.Ours().name, "ours");
  EXPECT_DOUBLE_EQ(results.Ratio(), 2.5);
}

TEST(ShapeResults, HasNoBestPeerWhereNoneOffersTheProblem) {
  const ShapeResults results = {{1, 8},
                                {Took("copy", Role::kRoofline, {0.1}), Took("ours", Role::kOurs, {0.8})}};
  EXPECT_EQ(results.BestPeer(), nullptr);
  EXPECT_TRUE(isnan(results.Ratio()));
}

TEST(Reference, IsSoftmaxToTheLastBit) {
  const float x[] = {0.0f, 0.0f, 1.0f, -30.0f};
  const float y[] = {0.5f, 0.5f, 1.0f, static_cast<float>(exp(-31.0))};
  const Error halves = Reference({1, 2}, x).ErrorOf(y);
  EXPECT_EQ(halves.ulp, 0.0);
  const Error rows = Reference({2, 2}, x).ErrorOf(y);
  EXPECT_LE(rows.ulp, 0.51);  // y[3] is rounded to nearest
  EXPECT_GT(rows.ulp, 0.0);
}

TEST(Reference, MeasuresInUlpOfTheExactValue) {
  const float x[] = {0.0f, 0.0f};
  const float above[] = {0.5f, nextafterf(0.5f, 1.0f)};
  const Reference reference({1, 2}, x);
  EXPECT_EQ(reference.ErrorOf(above).ulp, 1.0);
  EXPECT_EQ(reference.ErrorOf(above).mean_ulp, 0.5);
  EXPECT_EQ(reference.ErrorOf(above).relative, 0x1p-23);
  const float wrong[] = {0.5f, std::numeric_limits<float>::quiet_NaN()};
  EXPECT_TRUE(isinf(reference.ErrorOf(wrong).ulp));
}

TEST(Reference, MeasuresInUlpOfTheSmallestNormalFloatBelowIt) {
  const float x[] = {0.0f, -100.0f};
  const float y[] = {1.0f, static_cast<float>(exp(-100.0)) + 0x1p-149f};
  EXPECT_NEAR(Reference({1, 2}, x).ErrorOf(y).ulp, 1.0, 0.51);
}

TEST(Reference, IsLogSoftmaxRelativeToOneAtLeast) {
  Problem problem;
  problem.logarithm = true;
  const float x[] = {0.0f, 100.0f, 0.0f, 0.0f};
  const float log2 = static_cast<float>(log(2.0));
  const float y[] = {-100.0f, 0.0f, -log2, -log2 - 0x1p-23f};
  const Error error = Reference({2, 2}, x, problem).ErrorOf(y);
  EXPECT_NEAR(error.ulp, 1.0, 0.51);
  EXPECT_NEAR(error.relative, 0x1p-23, 0x1p-24);
}

TEST(Reference, OfTheFirstAxisTakesElementsRowsApart) {
  Problem problem;
  problem.axis = 0;
  const float x[] = {0.0f, 1.0f, 2.0f, 0.0f, 1.0f, 2.0f};  // 2 x 3: three rows of two equal channels
  const float halves[] = {0.5f, 0.5f, 0.5f, 0.5f, 0.5f, 0.5f};
  EXPECT_EQ(Reference({3, 2}, x, problem).ErrorOf(halves).ulp, 0.0);
  EXPECT_GT(Reference({3, 2}, x).ErrorOf(halves).relative, 0.1);
}

TEST(Reference, ReadsHalves) {
  constexpr uint16_t kOne[] = {0x3C00, 0x3F80}, kMinusTwenty[] = {0xCD00, 0xC1A0}, kHalf[] = {0x3800, 0x3F00};
  constexpr smx_datatype kTypes[] = {smx_datatype_f16, smx_datatype_bf16};
  for (size_t i = 0; i < 2; i++) {
    Problem problem;
    problem.type = kTypes[i];
    const uint16_t equal[] = {kOne[i], kOne[i]};
    const uint16_t y[] = {kHalf[i], static_cast<uint16_t>(kHalf[i] + 1)};
    const Error error = Reference({1, 2}, equal, problem).ErrorOf(y);
    EXPECT_EQ(error.ulp, 1.0);
    EXPECT_GT(error.relative, 0.5 * TolerableRelativeError(2, problem.type));
    EXPECT_LE(error.relative, TolerableRelativeError(2, problem.type));
    // exp(-21) = 7.6e-10 is 0 in f16.
    const uint16_t apart[] = {kOne[i], kMinusTwenty[i]};
    const uint16_t rounded[] = {kOne[i], static_cast<uint16_t>(i == 0 ? 0 : 0x3050)};
    EXPECT_LE(Reference({1, 2}, apart, problem).ErrorOf(rounded).ulp, 0.51);
  }
}

TEST(Problem, IsParsedAsItIsPrinted) {
  Problem problem;
  EXPECT_EQ(ToString(problem), "softmax of f32 over axis 1");
  EXPECT_EQ(NameFields(problem), "");
  EXPECT_TRUE(ParseFunction("log-softmax", &problem) && ParseType("bf16", &problem) &&
              ParseAxis("0", &problem));
  EXPECT_EQ(ToString(problem), "log-softmax of bf16 over axis 0");
  EXPECT_EQ(NameFields(problem), "/function:log-softmax/type:bf16/axis:0");
  EXPECT_EQ(Sizes(problem, {3, 7}), (std::vector<int64_t>{7, 3}));
  EXPECT_TRUE(ParseFunction("softmax", &problem) && ParseType("f32", &problem) && ParseAxis("1", &problem));
  EXPECT_TRUE(problem.IsDefault());
  EXPECT_EQ(Sizes(problem, {3, 7}), (std::vector<int64_t>{3, 7}));
  EXPECT_FALSE(ParseFunction("softmin", &problem));
  EXPECT_FALSE(ParseType("f64", &problem));
  EXPECT_FALSE(ParseAxis("2", &problem));
}

TEST(Reference, SumOfLongRowsIsExact) {
  const std::vector<float> x(3000001, 1.0f);
  const std::vector<float> y(x.size(), 1.0f / static_cast<float>(x.size()));
  EXPECT_LE(Reference({1, x.size()}, x.data()).ErrorOf(y.data()).ulp, 0.51);
}

TEST(Reference, TolerancesGrowWithTheRowUpToALimit) {
  EXPECT_LT(TolerableRelativeError(8), 1e-5);
  EXPECT_LT(TolerableRelativeError(8), TolerableRelativeError(4096));
  EXPECT_EQ(TolerableRelativeError(size_t{1} << 28), 0.05);
}

}  // namespace
}  // namespace smx_peers
