# AVX512F: 32 registers of 16 floats, masked loads and stores.
ISA = Isa(
    name="avx512f",
    processors=["x86_64"],
    flags=["-mavx512f"],
    available="cpuinfo_has_x86_avx512f()",
    priority=30,
    vector="__m512",
    width=16,
    side_by_side=4,
    table="__m512",
    table_index="__m512i",
    keys="__m512d",
    include="src/isa/avx512f.h",
    ops={
        "set1": "_mm512_set1_ps({a})",
        "zero": "_mm512_setzero_ps()",
        "load": "_mm512_loadu_ps({p})",
        "load_tail": "avx512f_load_tail({p}, {n}, {a})",  # absent elements are a
        "store": "_mm512_storeu_ps({p}, {a})",
        "store_tail": "avx512f_store_tail({p}, {n}, {a})",
        "stream": "_mm512_stream_ps({p}, {a})",  # p aligned to the vector; past the caches where the ISA can
        "fence": "_mm_sfence()",  # after the last stream
        # the same of f16 and bf16 in memory, rounded to nearest even; those of bf16 give the quiet NaN 0x7FC0 for any
        "load_f16": "_mm512_cvtph_ps(avx512f_load_halves({p}))",
        "load_tail_f16": "avx512f_present({n}, _mm512_cvtph_ps(avx512f_load_halves_tail({p}, {n})), {a})",
        "store_f16": "avx512f_store_halves({p}, avx512f_to_f16({a}))",
        "store_tail_f16": "avx512f_store_halves_tail({p}, {n}, avx512f_to_f16({a}))",
        "stream_f16": "_mm256_stream_si256((__m256i*)({p}), avx512f_to_f16({a}))",
        "load_bf16": "avx512f_from_bf16(avx512f_load_halves({p}))",
        "load_tail_bf16": "avx512f_present({n}, avx512f_from_bf16(avx512f_load_halves_tail({p}, {n})), {a})",
        "store_bf16": "avx512f_store_halves({p}, avx512f_to_bf16({a}))",
        "store_tail_bf16": "avx512f_store_halves_tail({p}, {n}, avx512f_to_bf16({a}))",
        "stream_bf16": "_mm256_stream_si256((__m256i*)({p}), avx512f_to_bf16({a}))",
        # the same of bytes, as numbers; the nearest integer that a byte has, and its least for NaN
        "load_qu8": "avx512f_from_qu8(avx512f_load_bytes({p}))",
        "load_tail_qu8": "avx512f_present({n}, avx512f_from_qu8(avx512f_load_bytes_tail({p}, {n})), {a})",
        "store_qu8": "avx512f_store_bytes({p}, avx512f_to_bytes({a}, 0.0f, 255.0f))",
        "store_tail_qu8": "avx512f_store_bytes_tail({p}, {n}, avx512f_to_bytes({a}, 0.0f, 255.0f))",
        "stream_qu8": "_mm_stream_si128((__m128i*)({p}), avx512f_to_bytes({a}, 0.0f, 255.0f))",
        "load_qs8": "avx512f_from_qs8(avx512f_load_bytes({p}))",
        "load_tail_qs8": "avx512f_present({n}, avx512f_from_qs8(avx512f_load_bytes_tail({p}, {n})), {a})",
        "store_qs8": "avx512f_store_bytes({p}, avx512f_to_bytes({a}, -128.0f, 127.0f))",
        "store_tail_qs8": "avx512f_store_bytes_tail({p}, {n}, avx512f_to_bytes({a}, -128.0f, 127.0f))",
        "stream_qs8": "_mm_stream_si128((__m128i*)({p}), avx512f_to_bytes({a}, -128.0f, 127.0f))",
        # four columns from p on, or eight, those below n, of rows a stride s apart, one a lane; what is loaded is f(load), of vectors
        # load(p, s): elements, or what becomes of several; what is stored is f(c), column c. Both give how many columns they have taken
        "load_columns": "avx512f_load_columns({n}, {f}, {a})",
        "store_columns": "avx512f_store_columns({p}, {s}, {n}, {f})",
        "add": "_mm512_add_ps({a}, {b})",
        "sub": "_mm512_sub_ps({a}, {b})",
        "mul": "_mm512_mul_ps({a}, {b})",
        "fma": "_mm512_fmadd_ps({a}, {b}, {c})",  # a * b + c, one rounding
        "fnma": "_mm512_fnmadd_ps({a}, {b}, {c})",  # c - a * b, likewise
        # a * b + c, or c where that is -inf
        "masked_fma": "_mm512_mask3_fmadd_ps({a}, {b}, {c}, _mm512_cmp_ps_mask({c}, _mm512_set1_ps(-INFINITY), _CMP_NEQ_UQ))",
        "max": "_mm512_max_ps({a}, {b})",  # b where a or b is NaN
        "max_number": "_mm512_max_ps({a}, {b})",  # b where a is NaN and b is not
        # of numbers that are not negative, by their bits: units for integers have room where those for floats have none
        "max_positive": "_mm512_castsi512_ps(_mm512_max_epi32(_mm512_castps_si512({a}), _mm512_castps_si512({b})))",
        "min_positive": "_mm512_castsi512_ps(_mm512_min_epi32(_mm512_castps_si512({a}), _mm512_castps_si512({b})))",
        "shift_to_exponent": "_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512({a}), 23))",
        "zero_below": "_mm512_maskz_mov_ps(_mm512_cmp_ps_mask({a}, {b}, _CMP_NLT_UQ), {c})",  # a < b ? 0 : c
        "load_table": "avx512f_load_table({p})",  # eight words
        "to_table_index": "_mm512_castps_si512({a})",  # for look_up, by the low three bits of the lanes of a
        "look_up": "_mm512_permutexvar_ps({b}, {a})",  # those of table a at index b
        # bits of a, shifted by 20, plus those of b
        "shift_to_exponent_and_add": "_mm512_castsi512_ps(_mm512_add_epi32(_mm512_slli_epi32(_mm512_castps_si512({a}), 20), _mm512_castps_si512({b})))",
        # a * b + a * c, each product flushed below FLT_MIN after rounding
        "scaled": "_mm512_fmadd_ps({a}, {b}, _mm512_mul_ps({a}, {c}))",
        "div": "_mm512_div_ps({a}, {b})",
        "inverse_power": "avx512f_inverse_power({a})",  # 2^-floor(log2(a)), a > 0
        "all_within": "_mm512_cmp_ps_mask(_mm512_abs_ps({a}), {b}, _CMP_LE_OQ) == 0xFFFF",  # |a| <= b throughout
        "reduce_max": "_mm512_reduce_max_ps({a})",
        "reduce_add": "_mm512_reduce_add_ps({a})",
        "first": "_mm512_cvtss_f32({a})",
        # lane i + distance comes to lane i
        "upper_8": "_mm512_shuffle_f32x4({a}, {a}, 0x4E)",
        "upper_4": "_mm512_shuffle_f32x4({a}, {a}, 0xB1)",
        "upper_2": "_mm512_permute_ps({a}, 0x4E)",
        "upper_1": "_mm512_permute_ps({a}, 0xB1)",
        # halves of groups of 2 * distance lanes, those of a and then of b; after the last, row r is in lane_of_row
        "lower_8": "_mm512_shuffle_f32x4({a}, {b}, 0x44)",
        "higher_8": "_mm512_shuffle_f32x4({a}, {b}, 0xEE)",
        "lower_4": "_mm512_shuffle_f32x4({a}, {b}, 0x88)",
        "higher_4": "_mm512_shuffle_f32x4({a}, {b}, 0xDD)",
        "lower_2": "_mm512_shuffle_ps({a}, {b}, 0x44)",
        "higher_2": "_mm512_shuffle_ps({a}, {b}, 0xEE)",
        "lower_1": "_mm512_shuffle_ps({a}, {b}, 0x88)",
        "higher_1": "_mm512_shuffle_ps({a}, {b}, 0xDD)",
        "lane_of_row": "{a} % 4 * 4 + {a} / 4",
        # keys are doubles: 512 * (the number of an element in the order of elements, NaN above all) + b, those of the lower
        # half of the lanes in c[0], of the upper half in c[1]
        "to_keys": "avx512f_to_keys({a}, {b}, {c})",
        "set1_keys": "_mm512_set1_pd({a})",
        "store_keys": "_mm512_storeu_pd({p}, {a})",
        "max_keys": "_mm512_max_pd({a}, {b})",
        "min_keys": "_mm512_min_pd({a}, {b})",
    },
)
