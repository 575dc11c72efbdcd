# Portable C++: a row of lanes is an array of 16 floats, and an operation a loop over it. Always available.
ISA = Isa(
    name="scalar",
    processors=[],
    flags=[],
    available="true",
    priority=0,
    vector="f32x16",
    width=16,
    include="src/isa/scalar.h",
    ops={
        "set1": "scalar_set1({a})",
        "zero": "scalar_set1(0.0f)",
        "load": "scalar_load({p})",
        "load_tail": "scalar_load_tail({p}, {n}, {a})",  # absent elements are a
        "store": "scalar_store({p}, {a})",
        "store_tail": "scalar_store_tail({p}, {n}, {a})",
        "add": "scalar_add({a}, {b})",
        "sub": "scalar_sub({a}, {b})",
        "mul": "scalar_mul({a}, {b})",
        "fma": "scalar_fma({a}, {b}, {c})",  # a * b + c, one rounding
        "max": "scalar_max({a}, {b})",  # b where a or b is NaN
        "shift_to_exponent": "scalar_shift_to_exponent({a})",
        "zero_below": "scalar_zero_below({a}, {b}, {c})",  # a < b ? 0 : c
        "reduce_max": "scalar_reduce_max({a})",
        "reduce_add": "scalar_reduce_add({a})",
        "first": "({a}).lane[0]",
        # lane i + distance comes to lane i
        "upper_8": "scalar_upper({a}, 8)",
        "upper_4": "scalar_upper({a}, 4)",
        "upper_2": "scalar_upper({a}, 2)",
        "upper_1": "scalar_upper({a}, 1)",
    },
    tuned={},
)
