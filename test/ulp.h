// How errors are measured, and the bounds that the tests hold results to. Each bound has its derivation.
//
// u = 2^-24, half the spacing of floats relative to a power of two: a rounding to nearest is off by at most u
// relative, and by half an ULP.
#pragma once

#include <stddef.h>

namespace smx {

// The error of `actual` in ULP, the spacing of floats at the exact value. Infinite where only one of the two is NaN,
// or infinite, and where `actual` is denormal: the library returns 0 below FLT_MIN. A 0 is right where the exact value
// is below FLT_MIN, or so little above it that the value before its last rounding may have been below.
double UlpError(float actual, long double exact);

// The relative error of `actual` in units of u. 0 where both are 0, infinite where only the exact value is.
double UnitError(long double actual, long double exact);
// The same of a result in float, where 0 and denormals count as in UlpError.
double FlushedUnitError(float actual, long double exact);

// The error of a logarithm in ULP of max(|exact|, 1). Infinite where only one of the two is NaN, and where they are not the same
// infinity, that of exact values beyond the largest float among them.
double LogUlpError(float actual, long double exact);

// The law: no result of log-softmax and logsumexp is off by more.
constexpr double kLogUlps = 2.0;

// The law: no result of the library of FLT_MIN or more is off by more, at any length.
constexpr double kSoftmaxUlps = 3.25;

// The bound of include/smxpack.h for every row, whoever draws it.
constexpr double SoftmaxBound(long double exact) {
  return exact < 0x1p-101L ? 5.3 : 4.3;
}

// exp(x), in units of u, for x within smx_range: 1.352 is the worst of all floats there (test/element_function_test.cc).
// What it consists of: the last operation rounds s + s * u, by at most 1 u; the polynomial is off by 0.32 u; u is rounded
// twice where it is below 2^-4, by at most 2^-29 = 0.03 u each time, the polynomial's factor 1 + t/2 + t^2/6 by 1 u, times
// t of at most 0.044, t itself by 0.03 u, and the low part of ln(2) by less than 0.01 u. These sum up to 1.47.
constexpr double kExtExpUnits = 1.36;

// The compensated additions of a tile. The 32 additions to a lane of a block leave errors of at most 1 u of the lane and its
// anchor; adding up these errors rounds again, at most 1 + ... + 32 = 528 times u^2 (lane + anchor). The anchor is at most
// 2^2.5 times the tile's largest term, and a tile has 16 blocks of 16 lanes: 528 * (256 * 2^2.5 + 1) u^2 = 0.05 u of the
// sum. The 16 additions to the tile's lanes and 4 of the fold are exact to within 20 * 20 u^2.
constexpr double kCompensationUnits = 0.05;

// The sum of a tile: each term's exponential, one plain addition to its neighbour, compensated additions from there.
// All terms are positive, so the relative error of the sum is at most the largest of a term.
constexpr double kExtendedSumUnits = kExtExpUnits + 1.0 + kCompensationUnits;

// y = a * (hi + lo): one rounding; the product a * lo rounds to within u * 2^-24. It is at most exact * 2^-24, and so is an
// ULP at least; where it is below FLT_MIN, it is flushed.
constexpr double ScaledUlps(double exact) {
  const double flushed = 0x1p-102 / exact;
  return 0.5 + 0.01 + (flushed < 1.0 ? flushed : 1.0);
}

// e / (1 + e): the error of e counts 1 / (1 + e) times; the sum is rounded, by at most u, and the quotient, by half an ULP.
constexpr double kSigmoidUlps = kExtExpUnits + 1.0 + 0.5;

// Scores of a gate over the sum of some: each off by that, half an ULP being at most 1 u, and one rounding.
constexpr double kNormalizedSigmoidUlps = 2.0 * (kExtExpUnits + 2.0) + 0.5;

// exp(d) of the three-pass baselines with d = x - max, in units of u: the polynomial of degree 5 and its evaluation,
// and the rounding of x - max to a float, which is off by |d| u and enters the exponential as such.
constexpr double kExpMinusMaxUnits = 2.77;
constexpr double ExpMinusMaxUnits(double d) {
  return kExpMinusMaxUnits + (d < 0 ? -d : d);
}

// What the baselines' exponential may be off by beside that, absolutely: t * 2^n in exp(x) = 2^n + (t * 2^n) * q is
// flushed below FLT_MIN, with |q| <= (sqrt(2) - 1) / (ln(2) / 2) < 1.2.
constexpr double kExpMinusMaxFlushed = 1.2 * 0x1p-126;

// Plain additions of n terms in vectors of at least 4 lanes, in units of u: the longest way into the sum passes n / 4
// additions of its lane, 3 of accumulators, and 4 of lanes where they are 16.
constexpr double PlainSumUnits(size_t n) {
  return static_cast<double>(n) / 4 + 8;
}

// tanh of f32-vsoftcap: 4.82 is the worst seen.
constexpr double kTanhUlps = 5.0;

// A correctly rounded product.
constexpr double kRoundedUlps = 0.5;

}  // namespace smx
