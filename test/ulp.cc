#include "test/ulp.h"

#include <float.h>
#include <math.h>

#include <algorithm>

namespace smx {
namespace {

// The spacing of floats at x, denormals included.
long double Spacing(long double x) {
  int exponent;
  frexpl(x, &exponent);  // |x| in [2^(exponent - 1), 2^exponent)
  return ldexpl(1.0L, (exponent < FLT_MIN_EXP ? FLT_MIN_EXP : exponent) - FLT_MANT_DIG);
}

// Comparisons are those of long doubles: those of floats take denormals for 0 where flush-to-zero is set.
bool IsFlushed(long double actual, long double exact) {
  return actual == 0.0L && fabsl(exact) < FLT_MIN + 4 * Spacing(exact);
}

bool IsDenormal(long double actual) {
  return actual != 0.0L && fabsl(actual) < FLT_MIN;
}

}  // namespace

double UlpError(float actual, long double exact) {
  const long double a = actual;
  if (isnan(a) || isnan(exact)) return isnan(a) && isnan(exact) ? 0.0 : INFINITY;
  if (isinf(a) || isinf(exact)) return a == exact ? 0.0 : INFINITY;
  if (IsFlushed(a, exact)) return 0.0;
  if (IsDenormal(a)) return INFINITY;
  return static_cast<double>(fabsl(a - exact) / Spacing(exact));
}

double UnitError(long double actual, long double exact) {
  if (isnan(actual) || isnan(exact)) return isnan(actual) && isnan(exact) ? 0.0 : INFINITY;
  if (actual == exact) return 0.0;
  if (exact == 0.0L || isinf(actual) || isinf(exact)) return INFINITY;
  return static_cast<double>(fabsl((actual - exact) / exact) * 0x1p24L);
}

double FlushedUnitError(float actual, long double exact) {
  const long double a = actual;
  if (IsFlushed(a, exact)) return 0.0;
  return IsDenormal(a) ? INFINITY : UnitError(a, exact);
}

double LogUlpError(float actual, long double exact) {
  if (isnan(exact) || isnan(actual)) return isnan(exact) && isnan(actual) ? 0.0 : INFINITY;
  const float nearest = static_cast<float>(exact);
  if (isinf(nearest) || isinf(actual)) return actual == nearest ? 0.0 : INFINITY;
  const int exponent = std::max(ilogbl(fabsl(exact)), 0);
  return static_cast<double>(fabsl(static_cast<long double>(actual) - exact) / ldexpl(1.0L, exponent - 23));
}

}  // namespace smx
