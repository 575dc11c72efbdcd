// The arithmetic of the peers benchmark: what samples become, what is compared, what counts as right.
#include <gtest/gtest.h>
#include <math.h>

#include <limits>
#include <vector>

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
  EXPECT_EQ(results.BestPeer().name, "fast");
  EXPECT_EQ(results.Ours().name, "ours");
  EXPECT_DOUBLE_EQ(results.Ratio(), 2.5);
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
