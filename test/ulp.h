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

// The law: no result of the library of FLT_MIN or more is off by more, at any length.
constexpr double kSoftmaxUlps = 3.25;

// p of exp(x) = p * 2^n, in units of u, for x within smx_range: 1.288 is the worst of all floats there
// (test/element_function_test.cc). What it consists of, where |t| is 1/4, the worst place: the last fma and the one
// before it, whose factor is t, round to within (1 + t) / exp(t) < 1 u, and the one before that to within t^2 / 4; t is a
// float of [1/4, 1/2) and rounded to within 1/4 u; the polynomial is off by 2^-28.2 = 0.054 u, and the low part of
// ln(2) by 2^-44, n <= 2^14.6 times: 0.02 u. These sum up to 1.33.
constexpr double kExtExpUnits = 1.29;

// The compensated additions of a tile: a term meets 32 additions of its block, 16 of its tile and 4 of the fold, each
// of which leaves an error term of at most 1 u of the sum; adding up these errors rounds again, u of at most 52 u, 52
// times: 52 * 52 * 2^-24 u = 0.0002 u.
constexpr double kCompensationUnits = 0.01;

// The sum of a tile: each term's exponential, one plain addition to its neighbour, compensated additions from there.
// All terms are positive, so the relative error of the sum is at most the largest of a term.
constexpr double kExtendedSumUnits = kExtExpUnits + 1.0 + kCompensationUnits;

// y = p * (hi + lo) * 2^k: the exponential, at most as many ULP as units, and one rounding. The product p * lo rounds to within
// u * 2^-25.
constexpr double kScaleExtExpUlps = kExtExpUnits + 0.5 + 0.01;

// y = x * (hi + lo) * 2^k: one rounding.
constexpr double kMulExtUlps = 0.5 + 0.01;

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

// A correctly rounded product.
constexpr double kRoundedUlps = 0.5;

}  // namespace smx
