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

constexpr size_t kGoldenLengths[] = {1,    2,    3,    4,    7,    15,   16,    17,    31,    32,   33,
                                     47,   63,   64,   65,   100,  127,  128,   129,   255,   1000, 1023,
                                     1024, 1025, 2047, 2048, 4097, 5000, 16383, 16384, 16385, 40000};

struct GoldenBits {
  const char* family;
  uint64_t hash;
};

constexpr GoldenBits kGoldenBits[] = {
    {"normal_1", 0xd52b8f783537a10f},
    {"normal_4", 0x24f4c82a9f397318},
    {"normal_30", 0x097089bfa17af691},
    {"uniform_100", 0x05c92fee0835aa20},
    {"uniform_1000", 0x9bffbffa2a3fd07a},
    {"equal", 0xcf9ee8062966aecf},
    {"equal_flt_max", 0xcf9ee8062966aecf},
    {"equal_minus_flt_max", 0xcf9ee8062966aecf},
    {"wide", 0x1d55d5fdf44dfa91},
    {"denormal", 0xcf9ee8062966aecf},
    {"mask_minus_inf", 0xd1f0bf62fc3ca0a7},
    {"mask_minus_1e9", 0xd1f0bf62fc3ca0a7},
    {"mask_minus_1e20", 0xd1f0bf62fc3ca0a7},
    {"mask_minus_flt_max", 0xd1f0bf62fc3ca0a7},
    {"padded", 0x2a4ae2fd54ed075f},
    {"flt_max_both_signs", 0x2787f486af378da4},
    {"million", 0xf767505eb5befafb},
    {"range_ends", 0xe1bab7d49e704755},
    {"far_below", 0x87d2d45a65ab30c7},
    {"below_range", 0xaae9901186fd065c},
    {"low_blocks", 0x36d8a627de3d2d60},
    {"rising", 0xf285d5d4ea0b288c},
    {"falling", 0x476470b2bbab0dfd},
    {"jumps", 0x7333cfbf15f4c88c},
    {"fading", 0x67556fe9ecee00c5},
    {"outlier", 0x3a6767fefefd60b5},
    {"all_minus_inf", 0x379488446b38ddc8},
    {"one_nan", 0x379488446b38ddc8},
    {"one_plus_inf", 0x379488446b38ddc8},
    {"nan_and_minus_inf", 0x379488446b38ddc8},
    {"nan_and_plus_inf", 0x379488446b38ddc8},
    {"all_nan", 0x379488446b38ddc8},
};

}  // namespace smx
