#include "test/fuzz/hostile_rows.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "src/kernels/extended.h"
#include "test/rows.h"

namespace smx {
namespace {

// As bits, for a signalling NaN may turn quiet on its way through a register.
void Store(uint32_t bits, float* element) {
  memcpy(element, &bits, sizeof(bits));
}

uint32_t BitsOf(float f) {
  uint32_t bits;
  memcpy(&bits, &f, sizeof(bits));
  return bits;
}

// A value and what it is the limit of: both signs of each, and the floats next to it.
const float kLimits[] = {0.0f,
                         FLT_MIN,
                         1.0f,
                         17.3287f,
                         64.0f,
                         87.3365f,
                         88.0f,
                         88.7228f,
                         103.9721f,
                         104.0f,
                         smx_range - 256.0f,
                         smx_range,
                         smx_range + 1.0f,
                         smx_range + 257.0f,
                         65504.0f,
                         1e9f,
                         1e20f,
                         FLT_MAX,
                         INFINITY};
// Quiet and signalling.
constexpr uint32_t kNans[] = {0x7FC00000, 0xFFC00000, 0x7F800001, 0xFFBFFFFF};

std::vector<uint32_t> FindHostileBits() {
  std::vector<uint32_t> all(std::begin(kNans), std::end(kNans));
  for (float limit : kLimits) {
    for (uint32_t sign : {0u, 0x80000000u}) {
      all.push_back(BitsOf(limit) | sign);
      all.push_back((BitsOf(limit) + 1) | sign);  // of infinity a NaN, of 0 a denormal
      if (limit != 0.0f) all.push_back((BitsOf(limit) - 1) | sign);
    }
  }
  return all;
}

const std::vector<uint32_t>& HostileBits() {
  static const std::vector<uint32_t> all = FindHostileBits();
  return all;
}

uint32_t DrawBits(FuzzInput* input) {
  return input->OneIn(4) ? static_cast<uint32_t>(input->Integer(4)) : input->Pick(HostileBits());
}

std::vector<uint32_t> DrawSomeBits(FuzzInput* input) {
  std::vector<uint32_t> bits(1 + input->Below(8));
  for (uint32_t& value : bits) value = DrawBits(input);
  return bits;
}

// The families that the tests draw from.
HostileRows DrawFamily(const std::vector<RowFamily>& families, FuzzInput* input) {
  const RowFamily family = input->Pick(families);
  const uint64_t seed = input->Integer(2);
  return [family, seed](size_t n, size_t index) { return family.make(n, seed + index); };
}

// Few different values in random order; a single one gives equal rows.
HostileRows DrawMixed(FuzzInput* input) {
  const std::vector<uint32_t> bits = DrawSomeBits(input);
  const uint64_t seed = input->Integer(2);
  return [bits, seed](size_t n, size_t index) {
    SplitMix64 generator(seed + index);
    std::vector<float> row(n);
    for (float& x : row) Store(bits[generator.Below(static_cast<uint32_t>(bits.size()))], &x);
    return row;
  };
}

HostileRows DrawRamp(FuzzInput* input) {
  float first;
  float step;
  Store(DrawBits(input), &first);
  Store(DrawBits(input), &step);
  return [first, step](size_t n, size_t index) {
    std::vector<float> row(n);
    for (size_t i = 0; i < n; i++) row[i] = first + static_cast<float>(i + index) * step;
    return row;
  };
}

// Changes a few elements.
HostileRows DrawSpoilt(HostileRows rows, FuzzInput* input) {
  const std::vector<uint32_t> bits = DrawSomeBits(input);
  const uint64_t seed = input->Integer(2);
  return [rows, bits, seed](size_t n, size_t index) {
    SplitMix64 generator(seed + index);
    std::vector<float> row = rows(n, index);
    for (uint32_t value : bits) Store(value, &row[generator.Below(static_cast<uint32_t>(n))]);
    return row;
  };
}

HostileRows DrawOne(FuzzInput* input) {
  switch (input->Below(4)) {
    case 0:
      return DrawFamily(FiniteRows(), input);
    case 1:
      return DrawFamily(SpecialRows(), input);
    case 2:
      return DrawMixed(input);
    default:
      return DrawRamp(input);
  }
}

HostileRows DrawOneOrSpoilt(FuzzInput* input) {
  HostileRows rows = DrawOne(input);
  return input->OneIn(3) ? DrawSpoilt(rows, input) : rows;
}

}  // namespace

HostileRows DrawHostileRows(FuzzInput* input) {
  const HostileRows most = DrawOneOrSpoilt(input);
  if (!input->OneIn(2)) return most;
  // A few of another kind among them.
  const HostileRows others = DrawOneOrSpoilt(input);
  const size_t every = 1 + input->Below(20);
  return [most, others, every](size_t n, size_t index) {
    return index % every == every - 1 ? others(n, index) : most(n, index);
  };
}

}  // namespace smx
