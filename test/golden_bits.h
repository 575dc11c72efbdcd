// Hashes of softmax's result bits, the same for every ISA, processor and compiler.
//
// A hash is FNV-1a (64 bits) over the bytes, lowest first, of the results of a family's rows (test/rows.h) of all
// lengths below, in this order, with the length as their seed. After an intended change of the arithmetic contract:
//
//     softmax_nc_f32_test --gtest_filter='*GoldenBits*'
//
// prints the lines of the new table.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <vector>

namespace smx {

constexpr size_t kGoldenLengths[] = {1,   2,    3,    4,    7,    15,   16,   17,    31,    32,
                                     33,  47,   63,   64,   65,   95,   100,  127,   128,   129,
                                     255, 1000, 1023, 1024, 1025, 2048, 4097, 16384, 16385, 40000};

struct GoldenBits {
  const char* family;
  uint64_t hash;
};

constexpr GoldenBits kGoldenBits[] = {
    {"normal_1", 0x0398be0460f632b2},
    {"normal_4", 0x2b6a0146b8b57f33},
    {"normal_30", 0xc267f2568efa6219},
    {"uniform_100", 0x42f793328a4a598f},
    {"uniform_1000", 0xe773cfe095c3fc46},
    {"equal", 0x63da1adfe64c907d},
    {"equal_flt_max", 0x63da1adfe64c907d},
    {"equal_minus_flt_max", 0x63da1adfe64c907d},
    {"wide", 0x0fe6e1b6118d5cab},
    {"denormal", 0x63da1adfe64c907d},
    {"mask_minus_inf", 0x720bae9ae8b6107b},
    {"mask_minus_1e9", 0x720bae9ae8b6107b},
    {"mask_minus_1e20", 0x720bae9ae8b6107b},
    {"mask_minus_flt_max", 0x720bae9ae8b6107b},
    {"padded", 0xe0d876a569a397a3},
    {"flt_max_both_signs", 0x9d7aab0179431113},
    {"million", 0xcfc4a5aaa32b182b},
    {"range_ends", 0xc8f5e9ab7264c3d9},
    {"far_below", 0x4a524b818e3028f1},
    {"below_range", 0x19ea9dd512586476},
    {"low_blocks", 0xf948559865ac99fc},
    {"rising", 0x5c80bbba0f39e1e7},
    {"falling", 0x6f0f76ce91a76d50},
    {"jumps", 0x0e4fc050f30b2dbc},
    {"fading", 0x489a151a6ea03e07},
    {"outlier", 0xee4359f5130413bc},
    {"all_minus_inf", 0x140ebcee32022385},
    {"one_nan", 0x140ebcee32022385},
    {"one_plus_inf", 0x140ebcee32022385},
    {"nan_and_minus_inf", 0x140ebcee32022385},
    {"nan_and_plus_inf", 0x140ebcee32022385},
    {"all_nan", 0x140ebcee32022385},
};

constexpr uint64_t kGoldenStart = 0xCBF29CE484222325;

// The hash after one more row.
inline uint64_t GoldenHash(uint64_t hash, const std::vector<float>& row) {
  for (float x : row) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    for (int shift = 0; shift < 32; shift += 8) hash = (hash ^ (bits >> shift & 0xFF)) * 0x100000001B3;
  }
  return hash;
}

}  // namespace smx
