// The scalar vocabulary's a * b + c, which kernels and operators build on: rounded once, as the processor's instruction is.
#include <gtest/gtest.h>
#include <math.h>
#include <string.h>

#include <vector>

#include "src/isa/scalar.h"
#include "test/rows.h"

namespace smx {
namespace {

uint32_t Bits(float f) {
  uint32_t bits;
  memcpy(&bits, &f, sizeof(bits));
  return bits;
}

void ExpectFma(float a, float b, float c) {
  const float expected = fmaf(a, b, c);
  const float actual = scalar_fma1(a, b, c);
  const bool is_same = isnan(expected) ? isnan(actual) : Bits(actual) == Bits(expected);
  EXPECT_TRUE(is_same) << std::hexfloat << a << " * " << b << " + " << c << " is " << actual << ", not "
                       << expected;
}

// With both signs of the product and of the addend.
void ExpectFmaOfBothSigns(float a, float b, float c) {
  for (float product_sign : {1.0f, -1.0f}) {
    for (float addend_sign : {1.0f, -1.0f}) ExpectFma(product_sign * a, b, addend_sign * c);
  }
}

// Products half way between two floats, and addends that decide which of them is the nearer one, but are lost where the sum is
// rounded to double first.
TEST(ScalarFma, RoundsOnce) {
  for (int last = 12; last <= 23; last++) {
    const float a = 1.0f + ldexpf(1.0f, -last), b = 1.0f + ldexpf(1.0f, last - 24);  // a * b ends in 2^-24
    for (float c : {0.0f, 0x1p-24f, 0x1p-29f, 0x1p-30f, 0x1p-52f, 0x1p-53f, 0x1p-80f, 0x1p-126f}) {
      for (float power : {1.0f, 0x1p-20f, 0x1p+60f}) ExpectFmaOfBothSigns(power * a, b, power * c);
    }
  }
}

TEST(ScalarFma, IsThatOfTheLibraryOfC) {
  SplitMix64 generator(1);
  const auto draw = [&](int spread) {
    // Few bits that are set make sums that are close to half way.
    const uint32_t bits = generator.Below(2) == 0 ? 0x7FFFFF : 0x700007;
    const float mantissa = static_cast<float>(0x800000 | (generator.Below(1u << 23) & bits)) * 0x1p-23f;
    return ldexpf(mantissa,
                  static_cast<int>(generator.Below(2 * static_cast<uint32_t>(spread) + 1)) - spread);
  };
  for (int i = 0; i < 200000; i++) {
    const float a = draw(8), b = draw(8);
    ExpectFmaOfBothSigns(a, b, draw(60));
    ExpectFma(a, b, -(a * b));  // what the product is off by
  }
}

TEST(ScalarFma, OfExtremes) {
  const std::vector<float> extremes = {
      0.0f,     -0.0f,     1.0f, -1.0f, 0x1p-149f, 0x1p-126f, 0x1.FFFFFEp+127f, -0x1.FFFFFEp+127f,
      INFINITY, -INFINITY, NAN};
  for (float a : extremes) {
    for (float b : extremes) {
      for (float c : extremes) ExpectFma(a, b, c);
    }
  }
}

}  // namespace
}  // namespace smx
