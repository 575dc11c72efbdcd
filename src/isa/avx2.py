# AVX2 with FMA and F16C: 16 registers of 8 floats, masked loads and stores.
ISA = Isa(
    name="avx2",
    processors=["x86_64"],
    flags=["-mavx2", "-mfma", "-mf16c"],
    available="cpuinfo_has_x86_avx2() && cpuinfo_has_x86_fma3() && cpuinfo_has_x86_f16c()",
    priority=20,
    vector="__m256",
    width=8,
    side_by_side=4,
    table="__m256",
    table_index="__m256i",
    keys="__m256d",
    include="src/isa/avx2.h",
    ops={
        "set1": "_mm256_set1_ps({a})",
        "zero": "_mm256_setzero_ps()",
        "load": "_mm256_loadu_ps({p})",
        "load_tail": "avx2_load_tail({p}, {n}, {a})",  # absent elements are a
        "store": "_mm256_storeu_ps({p}, {a})",
        "store_tail": "avx2_store_tail({p}, {n}, {a})",
        "stream": "_mm256_stream_ps({p}, {a})",  # p aligned to the vector; past the caches where the ISA can
        "fence": "_mm_sfence()",  # after the last stream
        # the same of f16 and bf16 in memory, rounded to nearest even; those of bf16 give the quiet NaN 0x7FC0 for any
        "load_f16": "_mm256_cvtph_ps(avx2_load_halves({p}))",
        "load_tail_f16": "avx2_present({n}, _mm256_cvtph_ps(avx2_load_halves_tail({p}, {n})), {a})",
        "store_f16": "avx2_store_halves({p}, avx2_to_f16({a}))",
        "store_tail_f16": "avx2_store_halves_tail({p}, {n}, avx2_to_f16({a}))",
        "stream_f16": "_mm_stream_si128((__m128i*)({p}), avx2_to_f16({a}))",
        "load_bf16": "avx2_from_bf16(avx2_load_halves({p}))",
        "load_tail_bf16": "avx2_present({n}, avx2_from_bf16(avx2_load_halves_tail({p}, {n})), {a})",
        "store_bf16": "avx2_store_halves({p}, avx2_to_bf16({a}))",
        "store_tail_bf16": "avx2_store_halves_tail({p}, {n}, avx2_to_bf16({a}))",
        "stream_bf16": "_mm_stream_si128((__m128i*)({p}), avx2_to_bf16({a}))",
        # the same of bytes, as numbers; the nearest integer that a byte has, and its least for NaN
        "load_qu8": "avx2_from_qu8(avx2_load_bytes({p}))",
        "load_tail_qu8": "avx2_present({n}, avx2_from_qu8(avx2_load_bytes_tail({p}, {n})), {a})",
        "store_qu8": "avx2_store_bytes({p}, avx2_to_qu8({a}))",
        "store_tail_qu8": "avx2_store_bytes_tail({p}, {n}, avx2_to_qu8({a}))",
        "stream_qu8": "_mm_stream_si64((long long*)({p}), _mm_cvtsi128_si64(avx2_to_qu8({a})))",
        "load_qs8": "avx2_from_qs8(avx2_load_bytes({p}))",
        "load_tail_qs8": "avx2_present({n}, avx2_from_qs8(avx2_load_bytes_tail({p}, {n})), {a})",
        "store_qs8": "avx2_store_bytes({p}, avx2_to_qs8({a}))",
        "store_tail_qs8": "avx2_store_bytes_tail({p}, {n}, avx2_to_qs8({a}))",
        "stream_qs8": "_mm_stream_si64((long long*)({p}), _mm_cvtsi128_si64(avx2_to_qs8({a})))",
        # four columns from p on, or eight, those below n, of rows a stride s apart, one a lane; what is loaded is f(load), of vectors
        # load(p, s): elements, or what becomes of several; what is stored is f(c), column c. Both give how many columns they have taken
        "load_columns": "avx2_load_columns({n}, {f}, {a})",
        "store_columns": "avx2_store_columns({p}, {s}, {n}, {f})",
        "add": "_mm256_add_ps({a}, {b})",
        "sub": "_mm256_sub_ps({a}, {b})",
        "mul": "_mm256_mul_ps({a}, {b})",
        "fma": "_mm256_fmadd_ps({a}, {b}, {c})",  # a * b + c, one rounding
        "fnma": "_mm256_fnmadd_ps({a}, {b}, {c})",  # c - a * b, likewise
        # a * b + c, or c where that is -inf
        "masked_fma": "_mm256_fmadd_ps({a}, _mm256_andnot_ps(_mm256_cmp_ps({c}, _mm256_set1_ps(-INFINITY), _CMP_EQ_OQ), {b}), {c})",
        "max": "_mm256_max_ps({a}, {b})",  # b where a or b is NaN
        "max_number": "_mm256_max_ps({a}, {b})",  # b where a is NaN and b is not
        # of numbers that are not negative, by their bits: units for integers have room where those for floats have none
        "max_positive": "_mm256_castsi256_ps(_mm256_max_epi32(_mm256_castps_si256({a}), _mm256_castps_si256({b})))",
        "min_positive": "_mm256_castsi256_ps(_mm256_min_epi32(_mm256_castps_si256({a}), _mm256_castps_si256({b})))",
        "shift_to_exponent": "_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256({a}), 23))",
        "zero_below": "_mm256_andnot_ps(_mm256_cmp_ps({a}, {b}, _CMP_LT_OQ), {c})",  # a < b ? 0 : c
        "load_table": "_mm256_loadu_ps((const float*){p})",  # eight words
        "to_table_index": "_mm256_castps_si256({a})",  # for look_up, by the low three bits of the lanes of a
        "look_up": "_mm256_permutevar8x32_ps({a}, {b})",  # those of table a at index b
        # bits of a, shifted by 20, plus those of b
        "shift_to_exponent_and_add": "_mm256_castsi256_ps(_mm256_add_epi32(_mm256_slli_epi32(_mm256_castps_si256({a}), 20), _mm256_castps_si256({b})))",
        # a * b + a * c, each product flushed below FLT_MIN after rounding
        "scaled": "_mm256_fmadd_ps({a}, {b}, _mm256_mul_ps({a}, {c}))",
        "div": "_mm256_div_ps({a}, {b})",
        "inverse_power": "avx2_inverse_power({a})",  # 2^-floor(log2(a)), a > 0
        "all_within": "avx2_all_within({a}, {b})",  # |a| <= b throughout
        "reduce_max": "avx2_reduce_max({a})",
        "reduce_add": "avx2_reduce_add({a})",
        "first": "_mm256_cvtss_f32({a})",
        # lane i + distance comes to lane i
        "upper_4": "_mm256_permute2f128_ps({a}, {a}, 0x01)",
        "upper_2": "_mm256_permute_ps({a}, 0x4E)",
        "upper_1": "_mm256_permute_ps({a}, 0xB1)",
        # halves of groups of 2 * distance lanes, those of a and then of b; after the last, row r is in lane_of_row
        "lower_4": "_mm256_permute2f128_ps({a}, {b}, 0x20)",
        "higher_4": "_mm256_permute2f128_ps({a}, {b}, 0x31)",
        "lower_2": "_mm256_shuffle_ps({a}, {b}, 0x44)",
        "higher_2": "_mm256_shuffle_ps({a}, {b}, 0xEE)",
        "lower_1": "_mm256_shuffle_ps({a}, {b}, 0x88)",
        "higher_1": "_mm256_shuffle_ps({a}, {b}, 0xDD)",
        "lane_of_row": "{a} % 2 * 4 + {a} / 2",
        # keys are doubles: 512 * (the number of an element in the order of elements, NaN above all) + b, those of the lower
        # half of the lanes in c[0], of the upper half in c[1]
        "to_keys": "avx2_to_keys({a}, {b}, {c})",
        "set1_keys": "_mm256_set1_pd({a})",
        "store_keys": "_mm256_storeu_pd({p}, {a})",
        "max_keys": "_mm256_max_pd({a}, {b})",
        "min_keys": "_mm256_min_pd({a}, {b})",
    },
)
