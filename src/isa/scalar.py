# Portable C++: a row of lanes is an array of 16 floats, and an operation a loop over it. Always available.
ISA = Isa(
    name="scalar",
    processors=[],
    flags=["-Os"],  # it is a fallback, and at -O3 half of the library
    available="true",
    priority=0,
    vector="f32x16",
    width=16,
    side_by_side=1,
    table="scalar_table",
    table_index="f32x16",
    keys="f64x8",
    include="src/isa/scalar.h",
    ops={
        "set1": "scalar_set1({a})",
        "zero": "scalar_set1(0.0f)",
        "load": "scalar_load({p})",
        "load_tail": "scalar_load_tail({p}, {n}, {a})",  # absent elements are a
        "store": "scalar_store({p}, {a})",
        "store_tail": "scalar_store_tail({p}, {n}, {a})",
        "stream": "scalar_store({p}, {a})",  # p aligned to the vector; past the caches where the ISA can
        "fence": "(void)0",  # after the last stream
        # the same of f16 and bf16 in memory, rounded to nearest even; those of bf16 give the quiet NaN 0x7FC0 for any
        "load_f16": "scalar_load_f16({p})",
        "load_tail_f16": "scalar_load_tail_f16({p}, {n}, {a})",
        "store_f16": "scalar_store_tail_f16({p}, 16, {a})",
        "store_tail_f16": "scalar_store_tail_f16({p}, {n}, {a})",
        "stream_f16": "scalar_store_tail_f16({p}, 16, {a})",
        "load_bf16": "scalar_load_bf16({p})",
        "load_tail_bf16": "scalar_load_tail_bf16({p}, {n}, {a})",
        "store_bf16": "scalar_store_tail_bf16({p}, 16, {a})",
        "store_tail_bf16": "scalar_store_tail_bf16({p}, {n}, {a})",
        "stream_bf16": "scalar_store_tail_bf16({p}, 16, {a})",
        # the same of bytes, as numbers; the nearest integer that a byte has, and its least for NaN
        "load_qu8": "scalar_load_bytes({p})",
        "load_tail_qu8": "scalar_load_tail_bytes({p}, {n}, {a})",
        "store_qu8": "scalar_store_tail_bytes({p}, 16, {a}, 0.0f, 255.0f)",
        "store_tail_qu8": "scalar_store_tail_bytes({p}, {n}, {a}, 0.0f, 255.0f)",
        "stream_qu8": "scalar_store_tail_bytes({p}, 16, {a}, 0.0f, 255.0f)",
        "load_qs8": "scalar_load_bytes({p})",
        "load_tail_qs8": "scalar_load_tail_bytes({p}, {n}, {a})",
        "store_qs8": "scalar_store_tail_bytes({p}, 16, {a}, -128.0f, 127.0f)",
        "store_tail_qs8": "scalar_store_tail_bytes({p}, {n}, {a}, -128.0f, 127.0f)",
        "stream_qs8": "scalar_store_tail_bytes({p}, 16, {a}, -128.0f, 127.0f)",
        # four columns from p on, or eight, those below n, of rows a stride s apart, one a lane; what is loaded is f(load), of vectors
        # load(p, s): elements, or what becomes of several; what is stored is f(c), column c. Both give how many columns they have taken
        "load_columns": "scalar_load_columns({n}, {f}, {a})",
        "store_columns": "scalar_store_columns({p}, {s}, {n}, {f})",
        "add": "scalar_add({a}, {b})",
        "sub": "scalar_sub({a}, {b})",
        "mul": "scalar_mul({a}, {b})",
        "fma": "scalar_fma({a}, {b}, {c})",  # a * b + c, one rounding
        "fnma": "scalar_fma(scalar_sub(scalar_set1(0.0f), {a}), {b}, {c})",  # c - a * b, likewise
        "masked_fma": "scalar_masked_fma({a}, {b}, {c})",  # a * b + c, or c where that is -inf
        "max": "scalar_max({a}, {b})",  # b where a or b is NaN
        "max_number": "scalar_max({a}, {b})",  # b where a is NaN and b is not
        # of numbers that are not negative
        "max_positive": "scalar_max({a}, {b})",
        "min_positive": "scalar_min({a}, {b})",
        "shift_to_exponent": "scalar_shift_to_exponent({a})",
        "zero_below": "scalar_zero_below({a}, {b}, {c})",  # a < b ? 0 : c
        "load_table": "scalar_load_table({p})",  # eight words
        "to_table_index": "({a})",  # for look_up, by the low three bits of the lanes of a
        "look_up": "scalar_look_up({a}, {b})",  # those of table a at index b
        "shift_to_exponent_and_add": "scalar_shift_to_exponent_and_add({a}, {b})",  # bits of a, shifted by 20, plus those of b
        "scaled": "scalar_scaled({a}, {b}, {c})",  # a * b + a * c, each product flushed below FLT_MIN after rounding
        "div": "scalar_div({a}, {b})",
        "inverse_power": "scalar_inverse_power({a})",  # 2^-floor(log2(a)), a > 0
        "all_within": "scalar_all_within({a}, {b})",  # |a| <= b throughout
        "reduce_max": "scalar_reduce_max({a})",
        "reduce_add": "scalar_reduce_add({a})",
        "first": "({a}).lane[0]",
        # lane i + distance comes to lane i
        "upper_8": "scalar_upper({a}, 8)",
        "upper_4": "scalar_upper({a}, 4)",
        "upper_2": "scalar_upper({a}, 2)",
        "upper_1": "scalar_upper({a}, 1)",
        # halves of groups of 2 * distance lanes, those of a and then of b; after the last, row r is in lane_of_row
        "lower_8": "scalar_half({a}, {b}, 8, 0)",
        "higher_8": "scalar_half({a}, {b}, 8, 8)",
        "lower_4": "scalar_half({a}, {b}, 4, 0)",
        "higher_4": "scalar_half({a}, {b}, 4, 4)",
        "lower_2": "scalar_half({a}, {b}, 2, 0)",
        "higher_2": "scalar_half({a}, {b}, 2, 2)",
        "lower_1": "scalar_half({a}, {b}, 1, 0)",
        "higher_1": "scalar_half({a}, {b}, 1, 1)",
        "lane_of_row": "{a}",
        # keys are doubles: 512 * (the number of an element in the order of elements, NaN above all) + b, those of the lower
        # half of the lanes in c[0], of the upper half in c[1]
        "to_keys": "scalar_to_keys({a}, {b}, {c})",
        "set1_keys": "scalar_set1_keys({a})",
        "store_keys": "scalar_store_keys({p}, {a})",
        "max_keys": "scalar_max_keys({a}, {b})",
        "min_keys": "scalar_min_keys({a}, {b})",
    },
)
