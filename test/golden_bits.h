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

namespace smx {

constexpr size_t kGoldenLengths[] = {1,   2,    3,    4,    7,    15,   16,   17,    31,    32,
                                     33,  47,   63,   64,   65,   95,   100,  127,   128,   129,
                                     255, 1000, 1023, 1024, 1025, 2048, 4097, 16384, 16385, 40000};

struct GoldenBits {
  const char* family;
  uint64_t hash;
};

constexpr GoldenBits kGoldenBits[] = {
    {"normal_1", 0xb37351e22ef451e0},
    {"normal_4", 0xf7588c87b411ee6e},
    {"normal_30", 0xe6e89d34d9996b65},
    {"uniform_100", 0xc86bff8a8df53e4d},
    {"uniform_1000", 0x0f453b220cb36610},
    {"equal", 0x63da1adfe64c907d},
    {"equal_flt_max", 0x63da1adfe64c907d},
    {"equal_minus_flt_max", 0x63da1adfe64c907d},
    {"wide", 0x5e959c71e56aea14},
    {"denormal", 0x63da1adfe64c907d},
    {"mask_minus_inf", 0xb4877d44ab5db169},
    {"mask_minus_1e9", 0xb4877d44ab5db169},
    {"mask_minus_1e20", 0xb4877d44ab5db169},
    {"mask_minus_flt_max", 0xb4877d44ab5db169},
    {"padded", 0x6c0daa5ce664df62},
    {"flt_max_both_signs", 0x9d7aab0179431113},
    {"million", 0xcfc4a5aaa32b182b},
    {"range_ends", 0x0578cd0eb978d22b},
    {"far_below", 0x0169832f6b25c039},
    {"below_range", 0x40e22b1189041ba3},
    {"low_blocks", 0x79ff0ea0653c77d8},
    {"rising", 0xf89f5641cbc9fa82},
    {"falling", 0xca097d2490dd5962},
    {"jumps", 0x28a8ad0a90937737},
    {"fading", 0x1ab4ee4ccae94f0b},
    {"outlier", 0x956414fd4c195e42},
    {"all_minus_inf", 0x140ebcee32022385},
    {"one_nan", 0x140ebcee32022385},
    {"one_plus_inf", 0x140ebcee32022385},
    {"nan_and_minus_inf", 0x140ebcee32022385},
    {"nan_and_plus_inf", 0x140ebcee32022385},
    {"all_nan", 0x140ebcee32022385},
};

}  // namespace smx
