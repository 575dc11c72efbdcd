# NEON of AArch64, with FMA: 32 registers of 4 floats.
ISA = Isa(
    name="neon",
    processors=["aarch64"],
    flags=[],
    available="cpuinfo_has_arm_neon() && cpuinfo_has_arm_neon_fma()",
    priority=20,
    vector="float32x4_t",
    width=4,
    side_by_side=8,
    table="uint8x16x2_t",
    table_index="uint8x16_t",
    keys="float64x2_t",
    include="src/isa/neon.h",
    ops={
        "set1": "vdupq_n_f32({a})",
        "zero": "vdupq_n_f32(0.0f)",
        "load": "vld1q_f32({p})",
        "load_tail": "neon_load_tail({p}, {n}, {a})",  # absent elements are a
        "store": "vst1q_f32({p}, {a})",
        "store_tail": "neon_store_tail({p}, {n}, {a})",
        "stream": "vst1q_f32({p}, {a})",  # p aligned to the vector; past the caches where the ISA can
        "fence": "(void)0",  # after the last stream
        # the same of f16 and bf16 in memory, rounded to nearest even; those of bf16 give the quiet NaN 0x7FC0 for any
        "load_f16": "neon_from_f16(vld1_u16({p}))",
        "load_tail_f16": "neon_present({n}, neon_from_f16(neon_load_halves_tail({p}, {n})), {a})",
        "store_f16": "vst1_u16({p}, neon_to_f16({a}))",
        "store_tail_f16": "neon_store_halves_tail({p}, {n}, neon_to_f16({a}))",
        "stream_f16": "vst1_u16({p}, neon_to_f16({a}))",
        "load_bf16": "neon_from_bf16(vld1_u16({p}))",
        "load_tail_bf16": "neon_present({n}, neon_from_bf16(neon_load_halves_tail({p}, {n})), {a})",
        "store_bf16": "vst1_u16({p}, neon_to_bf16({a}))",
        "store_tail_bf16": "neon_store_halves_tail({p}, {n}, neon_to_bf16({a}))",
        "stream_bf16": "vst1_u16({p}, neon_to_bf16({a}))",
        # the same of bytes, as numbers; the nearest integer that a byte has, and its least for NaN
        "load_qu8": "neon_from_qu8(neon_load_bytes({p}))",
        "load_tail_qu8": "neon_present({n}, neon_from_qu8(neon_load_bytes_tail({p}, {n})), {a})",
        "store_qu8": "neon_store_bytes({p}, neon_to_bytes({a}, 0.0f, 255.0f))",
        "store_tail_qu8": "neon_store_bytes_tail({p}, {n}, neon_to_bytes({a}, 0.0f, 255.0f))",
        "stream_qu8": "neon_store_bytes({p}, neon_to_bytes({a}, 0.0f, 255.0f))",
        "load_qs8": "neon_from_qs8(neon_load_bytes({p}))",
        "load_tail_qs8": "neon_present({n}, neon_from_qs8(neon_load_bytes_tail({p}, {n})), {a})",
        "store_qs8": "neon_store_bytes({p}, neon_to_bytes({a}, -128.0f, 127.0f))",
        "store_tail_qs8": "neon_store_bytes_tail({p}, {n}, neon_to_bytes({a}, -128.0f, 127.0f))",
        "stream_qs8": "neon_store_bytes({p}, neon_to_bytes({a}, -128.0f, 127.0f))",
        # four columns from p on, or eight, those below n, of rows a stride s apart, one a lane; what is loaded is f(load), of vectors
        # load(p, s): elements, or what becomes of several; what is stored is f(c), column c. Both give how many columns they have taken
        "load_columns": "neon_load_columns({n}, {f}, {a})",
        "store_columns": "neon_store_columns({p}, {s}, {n}, {f})",
        "add": "vaddq_f32({a}, {b})",
        "sub": "vsubq_f32({a}, {b})",
        "mul": "vmulq_f32({a}, {b})",
        "fma": "vfmaq_f32({c}, {a}, {b})",  # a * b + c, one rounding
        "fnma": "vfmsq_f32({c}, {a}, {b})",  # c - a * b, likewise
        # a * b + c, or c where that is -inf
        "masked_fma": "vfmaq_f32({c}, {a}, vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32({b}), vceqq_f32({c}, vdupq_n_f32(-INFINITY)))))",
        "max": "vmaxq_f32({a}, {b})",  # NaN where a or b is NaN
        "max_number": "vmaxnmq_f32({a}, {b})",  # b where a is NaN and b is not
        # of numbers that are not negative
        "max_positive": "vmaxq_f32({a}, {b})",
        "min_positive": "vminq_f32({a}, {b})",
        "shift_to_exponent": "vreinterpretq_f32_s32(vshlq_n_s32(vreinterpretq_s32_f32({a}), 23))",
        # a < b ? 0 : c
        "zero_below": "vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32({c}), vcltq_f32({a}, {b})))",
        "load_table": "vld1q_u8_x2((const uint8_t*){p})",  # eight words
        "to_table_index": "neon_table_index({a})",  # for look_up, by the low three bits of the lanes of a
        "look_up": "vreinterpretq_f32_u8(vqtbl2q_u8({a}, {b}))",  # those of table a at index b
        # bits of a, shifted by 20, plus those of b
        "shift_to_exponent_and_add": "vreinterpretq_f32_u32(vaddq_u32(vshlq_n_u32(vreinterpretq_u32_f32({a}), 20), vreinterpretq_u32_f32({b})))",
        "scaled": "neon_scaled({a}, {b}, {c})",  # a * b + a * c, each product flushed below FLT_MIN after rounding
        "div": "vdivq_f32({a}, {b})",
        "inverse_power": "neon_inverse_power({a})",  # 2^-floor(log2(a)), a > 0
        "all_within": "vminvq_u32(vcaleq_f32({a}, {b})) != 0",  # |a| <= b throughout
        "reduce_max": "vmaxvq_f32({a})",
        "reduce_add": "vaddvq_f32({a})",
        "first": "vgetq_lane_f32({a}, 0)",
        # lane i + distance comes to lane i
        "upper_2": "vextq_f32({a}, {a}, 2)",
        "upper_1": "vrev64q_f32({a})",
        # halves of groups of 2 * distance lanes, those of a and then of b; after the last, row r is in lane_of_row
        "lower_2": "vcombine_f32(vget_low_f32({a}), vget_low_f32({b}))",
        "higher_2": "vcombine_f32(vget_high_f32({a}), vget_high_f32({b}))",
        "lower_1": "vuzp1q_f32({a}, {b})",
        "higher_1": "vuzp2q_f32({a}, {b})",
        "lane_of_row": "{a}",
        # keys are doubles: 512 * (the number of an element in the order of elements, NaN above all) + b, those of the lower
        # half of the lanes in c[0], of the upper half in c[1]
        "to_keys": "neon_to_keys({a}, {b}, {c})",
        "set1_keys": "vdupq_n_f64({a})",
        "store_keys": "vst1q_f64({p}, {a})",
        "max_keys": "vmaxq_f64({a}, {b})",
        "min_keys": "vminq_f64({a}, {b})",
    },
)
