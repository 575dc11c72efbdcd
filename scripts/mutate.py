#!/usr/bin/env python3
"""Breaks the library on purpose, one mutation after the other, and expects a test to fail each time.

    scripts/mutate.py              all mutations but those of NEON
    scripts/mutate.py tail avx2    those with a word in their name
    scripts/mutate.py --neon       those of NEON, under emulation; scripts/test_neon.sh unpacks what that needs
    scripts/mutate.py --list       prints them
    scripts/mutate.py --check      whether all of them still apply, those of NEON too; breaks nothing

Works on a copy in build/mutants, never on the checkout. Fails where a mutation survives, does not apply or does not
compile, and where a test fails without one. Mutations of an instruction set that the processor lacks are named and counted
apart.
"""

import argparse
import dataclasses
import functools
import importlib.util
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
MUTANTS = ROOT / "build" / "mutants"
SOURCE = MUTANTS / "source"
SYSROOT = "build/aarch64-sysroot"
NEON = "neon"
SECONDS_OF_A_TEST = 900


@dataclasses.dataclass
class Mutation:
    name: str
    file: str
    old: str  # occurs once
    new: str
    test: str  # the program that is to fail
    cases: str = "*"  # of it, as --gtest_filter takes them

    @property
    def is_neon(self):
        return NEON in self.name

    def is_within(self, processor_flags):
        """Whether the processor has the instruction set that the mutation breaks; their names are those of its flags."""
        return all(isa in processor_flags for isa in ("avx2", "avx512f") if isa in self.name)


def only(condition, mutated, original):
    """An expression of a template: the mutation under a condition, such as that of one kernel or instruction set."""
    return f"({mutated} if {condition} else {original})"


AXIS = "softmax_axis_test"
BASELINES = "f32_baselines_test"
COLUMNS = "columns_kernels_test"
DISPATCH = "dispatch_test"
ELEMENT = "element_function_test"
ENVIRONMENT = "fp_environment_test"
ATTENTION_TEST = "attention_softmax_test"
LOGITS_TEST = "logit_kernels_test"
KERNELS = "f32_microkernels_test"
GATE = "moe_gate_test"
LOG = "log_softmax_nc_test"
OPERATOR = "operator_test"
PARTIAL = "partial_sum_nc_test"
TYPED = "typed_microkernels_test"
QUANTIZED = "softmax_nc_quantized_test"
TYPES = "softmax_nc_test"
PLAN = "softmax_plan_test"
ROWS = "f32_softmax_kernel_test"
SCALAR = "scalar_test"
SCALE = "scale_test"
SOFTMAX = "softmax_nc_f32_test"

ADD_MASK = "src/kernels/addmask.j2"
MAP = "src/kernels/map.j2"
EXTEXP = "src/kernels/extexp.j2"
EXTENDED = "src/kernels/extended.h"
SUM = "src/kernels/sum.j2"
SEVERAL_ROWS = "src/kernels/several-rows.j2"
TRANSPOSED = "src/kernels/rows-as-lanes.j2"
TRANSPOSE = "src/kernels/transpose.j2"
EACH_COLUMN = "src/kernels/columns.j2"
COLUMN_SUMS = "src/kernels/raddstoreextexp-columns.cc.j2"
FP_ENVIRONMENT = "src/runtime/fp_environment.h"
RECIPROCALS = "src/operators/row_sum.h"
ROW_SUM = "src/operators/row_sum.cc"
NC = "src/operators/softmax_nc.cc"
ALL_AXES = "src/operators/softmax_axis.cc"
AXIS_LAYOUT = "src/operators/axis_layout.cc"
LONG_COLUMNS = "src/operators/long_columns.cc"
FOLDED_COLUMNS = "src/operators/folded_columns.cc"
TRANSPOSED_COLUMNS = "src/operators/transposed_columns.cc"
MOE_GATE = "src/operators/moe_gate.cc"
PASSES = "src/operators/rows.cc"
ROW = "src/operators/row.cc"
ATTENTION = "src/operators/attention_softmax.cc"
LOGITS = "src/operators/attention_logits.cc"
TWO_PHASES = "src/operators/two_phases.h"
PLANNER = "src/plan/softmax_plan.cc"

MAPS = {
    "f32-vscaleextexp": (KERNELS, "List/ExtendedMap.*"),
    "f32-vstreamextexp": (KERNELS, "StreamList/ExtendedMap.*"),
    "f32-vmulextc": (KERNELS, "StoredList/ExtendedMap.*"),
    "f32-vscaleexpminusmax": (BASELINES, "vscaleexpminusmax/*"),
    "f32-vmulc": (BASELINES, "vmulc/*"),
}
CUBE = 'isa.set1("%s->cube" % exponential)'
WRONG_CUBE = 'isa.set1("1.0000002f * %s->cube" % exponential)'
LOGARITHM = 'isa.sub(isa.fma(isa.fma("x%d" % v, "factor", "minus_shift"), "scale", "minus_hi"), "lo")'

MUTATIONS = [
    # Tails: of each kernel, of each instruction set.
    *(
        Mutation(
            f"tail of {kernel} one short",
            MAP,
            'output.store_tail("y", "n", result ~ 0)',
            f'output.store_tail("y", {only(f"kernel.name == {kernel!r}", repr("n - 1"), repr("n"))}, result ~ 0)',
            test,
            cases,
        )
        for kernel, (test, cases) in MAPS.items()
    ),
    Mutation("tail of maps reads a whole vector", MAP, 'input.load_tail("x", "n", isa.zero())', 'input.load("x")', KERNELS, "*ExtendedMap.StaysInsideItsRow*"),
    Mutation("head of f32-vstreamextexp one long", MAP, "head = head < n ? head : n;", "head = head < n ? head + 1 : n;", KERNELS, "StreamList/*"),
    Mutation("tail of sums one long", SUM, '"(ptrdiff_t)(n - i) - %d" % offset, "absent"', '"(ptrdiff_t)(n - i) + 1 - %d" % offset, "absent"', KERNELS, "*ExtendedSum.StaysInsideItsRow*"),
    Mutation("tail of stored terms one short", SUM, '"(ptrdiff_t)(n - i) - %d" % offset, value', '"(ptrdiff_t)(n - i) - 1 - %d" % offset, value', KERNELS, "StoringList/ExtendedSum.*"),
    Mutation("tail of f32-rmax one short", "src/kernels/rmax.cc.j2", 'input.load_tail("x", "n", "m0")', 'input.load_tail("x", "n - 1", "m0")', BASELINES, "rmax/*"),
    Mutation("tail of a block's maximum not looked at", EXTEXP, 'isa.max("m1", input.load("x + n - %d" % W))', 'isa.max("m1", input.load("x + i - %d" % W))', KERNELS, "*ExtendedSum.*"),
    Mutation("tail of f32-softmax one short", SEVERAL_ROWS, 'isa.store_tail("y + whole", "(ptrdiff_t)(n - whole)", isa.scaled(', 'isa.store_tail("y + whole", "(ptrdiff_t)(n - whole) - 1", isa.scaled(', ROWS, "List/*"),
    Mutation("tail of f32-softmax, maximum one short", SEVERAL_ROWS, 'isa.load_tail("x + whole", "(ptrdiff_t)(n - whole)", "m1")', 'isa.load_tail("x + whole", "(ptrdiff_t)(n - whole) - 1", "m1")', ROWS, "List/*"),
    Mutation("tail of f32-log-softmax one short", SEVERAL_ROWS, 'isa.store_tail("y + whole", "(ptrdiff_t)(n - whole)", subtracted(', 'isa.store_tail("y + whole", "(ptrdiff_t)(n - whole) - 1", subtracted(', ROWS, "LogList/*"),
    Mutation("tail of columns that are packed one long", "src/kernels/pack-columns.cc.j2", "input.load_tail(row, rest, ", "input.load_tail(row, rest ~ ' + 1', ", COLUMNS, "*PackColumns*"),
    Mutation("tail of columns that are scaled or of log-softmax one long", EACH_COLUMN, "output.store_tail(row, rest, y)", "output.store_tail(row, rest ~ ' + 1', y)", COLUMNS, "*Vmulextc*:*Vsubextc*:*VscaleextexpColumns*"),
    Mutation("tail on avx2 one lane long", "src/isa/avx2.h", "_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)", "_mm256_setr_epi32(-1, 0, 1, 2, 3, 4, 5, 6)", KERNELS, "*StaysInsideItsRow*avx2*"),
    Mutation("tail on avx512f one lane short", "src/isa/avx512f.h", "(1u << n) - 1", "(1u << (n - 1)) - 1", KERNELS, "*StaysInsideItsRow*avx512f*"),
    Mutation("tail on scalar one lane short", "src/isa/scalar.h", "i < n ? p[i] : absent.lane[i]", "i < n - 1 ? p[i] : absent.lane[i]", KERNELS, "*StaysInsideItsRow*scalar*"),
    Mutation("tail on neon takes an element twice", "src/isa/neon.h", "if (n >= 3) absent = vld1q_lane_f32(p + 2,", "if (n >= 3) absent = vld1q_lane_f32(p + 1,", KERNELS, "List/ExtendedMap.GivesTheBitsOfScalar*neon*"),
    Mutation("tail on neon stores one lane more", "src/isa/neon.h", "if (n >= 3) vst1q_lane_f32(p + 2, a, 2);", "if (n >= 2) vst1q_lane_f32(p + 2, a, 2);", KERNELS, "List/ExtendedMap.StaysInsideItsRow*neon*"),
    Mutation("columns on avx512f one more", "src/isa/avx512f.h", "_mm_setr_epi32(0, 1, 2, 3)", "_mm_setr_epi32(-1, 0, 1, 2)", ROWS, "TransposedList/*avx512f*"),
    Mutation("columns on avx2 read whole", "src/isa/avx2.h", "if (n < 4) {\n    avx2_load_few", "if (n < 3) {\n    avx2_load_few", COLUMNS, "*ColumnsToRows*avx2*"),
    *(
        mutation
        for isa in ("avx2", "avx512f")
        for mutation in (
            Mutation(f"columns on {isa} stored whole", f"src/isa/{isa}.h", f"if (n < 4) {{\n    {isa}_store_few", f"if (n < 3) {{\n    {isa}_store_few", ROWS, f"TransposedList/*{isa}*"),
            Mutation(f"third column of three on {isa} not stored", f"src/isa/{isa}.h", "if (n == 3) _mm_store_ss(p + 2", "if (n == 4) _mm_store_ss(p + 2", ROWS, f"TransposedList/*{isa}*"),
        )
    ),
    Mutation("eight columns on avx2 stored from the wrong rows", "src/isa/avx2.h", "v[c + 4] = _mm256_permute2f128_ps(a, b, 0x31);", "v[c + 4] = _mm256_permute2f128_ps(a, b, 0x30);", COLUMNS, "*RowsToColumns*avx2*"),
    Mutation("eight columns on avx512f stored from the wrong rows", "src/isa/avx512f.h", "(4, 5, 12, 13, 6, 7, 14, 15)", "(4, 5, 12, 13, 6, 7, 15, 14)", ROWS, "TransposedList/*avx512f*"),
    # Elements of f16 and bf16.
    Mutation("halves on avx2 read whole", "src/isa/avx2.h", "smx_copy_tail<8>(halves, p, n);", "smx_copy_tail<16>(halves, p, 8);", TYPED, "*StaysInsideItsRow*avx2*"),
    Mutation("halves on avx512f stored whole", "src/isa/avx512f.h", "smx_copy_tail<16>(p, halves, n);", "smx_copy_tail<16>(p, halves, 15);", TYPED, "*StaysInsideItsRow*avx512f*"),
    Mutation("halves of eight not copied", "src/isa/narrow.h", "size_t step = kLanes / 2", "size_t step = kLanes / 4", TYPED, "*GivesTheBitsOfF32*"),
    Mutation("halves that are absent count as 0 on avx2", "src/isa/avx2.h", "_mm256_blendv_ps(absent, a, _mm256_castsi256_ps(avx2_tail_mask(n)))", "_mm256_blendv_ps(_mm256_sub_ps(absent, absent), a, _mm256_castsi256_ps(avx2_tail_mask(n)))", TYPED, "*GivesTheBitsOfF32*rmax*avx2*"),
    Mutation("f16 rounded towards zero on avx512f", "src/isa/avx512f.h", "_mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT)", "_mm512_cvtps_ph(a, _MM_FROUND_TO_ZERO)", TYPED, "*RoundsToNearestEven*"),
    *(
        Mutation(f"bf16 rounded up in between on {isa}", f"src/isa/{isa}.h", bias, bias.replace("7FFF", "8000"), TYPED, "*RoundsToNearestEven*")
        for isa, bias in (("avx2", "_mm256_set1_epi32(0x7FFF)"), ("avx512f", "_mm512_set1_epi32(0x7FFF)"), ("scalar", "bits + 0x7FFF"), (NEON, "vdupq_n_u32(0x7FFF)"))
    ),
    Mutation("bf16 of NaN rounded on scalar", "src/isa/scalar.h", "  if (a != a) return 0x7FC0;\n", "", TYPED, "*Nan*:*RoundsFloatsOfAllBits*"),
    Mutation("streams of halves aligned as floats", MAP, "smx_elements_to_boundary(y, sizeof(*y),", "smx_elements_to_boundary(y, sizeof(float),", TYPED, "*TakesAnyAlignment*vstream*"),
    Mutation("logarithm subtracted low part first", "src/kernels/vsubextc.cc.j2", LOGARITHM, 'isa.fma(isa.sub(isa.fma("x%d" % v, "factor", "minus_shift"), "lo"), "scale", "minus_hi")', TYPED, "*GivesTheBitsOfF32*vsubextc*"),
    # Bytes.
    Mutation("bytes on avx512f read whole", "src/isa/avx512f.h", "smx_copy_tail<16>(bytes, (const uint8_t*)p, n);", "smx_copy_tail<32>(bytes, (const uint8_t*)p, 16);", TYPED, "*StaysInsideItsRow*avx512f*"),
    Mutation("bytes on avx2 stored whole", "src/isa/avx2.h", "smx_copy_tail<8>((uint8_t*)p, bytes, n);", "smx_copy_tail<8>((uint8_t*)p, bytes, 7);", TYPED, "*StaysInsideItsRow*avx2*"),
    Mutation("bytes without a sign on avx2", "src/isa/avx2.h", "_mm256_cvtepi8_epi32(a)", "_mm256_cvtepu8_epi32(a)", TYPED, "*qs8*avx2*"),
    Mutation("bytes rounded towards zero on avx512f", "src/isa/avx512f.h", "_mm512_cvtps_epi32(clamped)", "_mm512_cvttps_epi32(_mm512_sub_ps(clamped, _mm512_set1_ps(0x1p-10f)))", TYPED, "*qu8*avx512f*"),
    Mutation("quantised results beyond the type not clamped on scalar", "src/isa/scalar.h", "raised < most ? raised : most", "raised < 2.0f * most ? raised : most", QUANTIZED, "*scalar_qu8*"),
    Mutation("zero point added before rounding", MAP, 'isa.sub(isa.fma("y%d" % v, "inverse_scale", "rounding"), "rounding_less_zero_point")', 'isa.sub(isa.add(isa.fma("y%d" % v, "inverse_scale", isa.sub("rounding", "rounding_less_zero_point")), "rounding"), "rounding")', TYPED, "Types/Quantization.RoundsToNearestEven*"),
    Mutation("short quantised rows on another scale", "src/operators/rows.cc", "y + to * types.output_bytes, op.quantizer)", "y + to * types.output_bytes, {256.0f, op.quantizer.zero_point})", QUANTIZED, "*HasTheBitsOfF32*"),
    Mutation("scale of the input forgotten as the scale is set", PASSES, "rows->input_scale * scale", "scale", QUANTIZED, "*EveryScaleOfTheInput*"),
    Mutation("zero point of qs8 taken for that of qu8", PASSES, "types.output == smx_datatype_qu8 ? 0 : INT8_MIN", "0", QUANTIZED, "*ZeroPointsAreNumbers*"),
    # Lanes, pairs and blocks that are left out.
    Mutation("lanes dropped by the maximum on avx2", "src/isa/avx2.h", "__m128 m = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));", "__m128 m = _mm256_castps256_ps128(a);", BASELINES, "rmax/*avx2*"),
    Mutation("lane dropped by the maximum on avx512f", "src/isa/avx512f.py", "_mm512_reduce_max_ps({a})", "_mm512_mask_reduce_max_ps(0x7FFF, {a})", BASELINES, "rmax/*avx512f*"),
    Mutation("lanes of rows exchanged on avx512f", "src/isa/avx512f.py", '"lower_2": "_mm512_shuffle_ps({a}, {b}, 0x44)"', '"lower_2": "_mm512_shuffle_ps({b}, {a}, 0x44)"', ROWS, "List/*avx512f*"),
    Mutation("lanes dropped by the fold of a sum", EXTEXP, "{%- for distance in halvings(W) %}\n  add_pair(hi", "{%- for distance in halvings(W) | list | reject('eq', 1) %}\n  add_pair(hi", KERNELS, "List/ExtendedSum.*"),
    Mutation("the smaller one first where two sums are added", EXTEXP, 'isa.sub(isa.min_positive("a", "b"), isa.sub("sum", isa.max_positive("a", "b")))', 'isa.sub("b", isa.sub("sum", "a"))', SOFTMAX, "*GoldenBits*"),
    Mutation("low parts of lanes dropped by the fold of a sum", EXTEXP, 'isa.across("upper", distance, "lo[0]")', "isa.zero()", KERNELS, "List/ExtendedSum.*"),
    Mutation("pair dropped at the end of each block", SUM, "i < {{ B }}; i +=", "i + {{ PAIR }} < {{ B }}; i +=", KERNELS, "List/ExtendedSum.*"),
    Mutation("block of one element dropped", SUM, "for (size_t b = 0; n > 0; b++)\"", "for (size_t b = 0; n > 1; b++)\"", KERNELS, "List/ExtendedSum.*"),
    Mutation("lanes dropped from a sum of short rows", "src/kernels/rows.j2", "if ({{ l + half }} < lanes)", "if ({{ l + half + 1 }} < lanes)", ROWS, "TransposedList/*"),
    Mutation("last step dropped from columns' maxima", "src/kernels/rmax-columns.cc.j2", "rest >= {{ A }}; rest -=", "rest > {{ A }}; rest -=", COLUMNS, "*ColumnsPipeline*"),
    Mutation("last step without a neighbour dropped from columns", COLUMN_SUMS, "l < used && l + pairs < rest; l++)", "l < used && l + pairs + 1 < rest; l++)", COLUMNS, "*ColumnsPipeline*"),
    Mutation("blocks of columns so far dropped", COLUMN_SUMS, "if (sums->lanes > 0) {", "if (sums->lanes > lanes) {", COLUMNS, "*ColumnsPipeline*"),
    Mutation("lane dropped from columns' sums", "src/kernels/raddlanes-columns.cc.j2", "l + {{ half }} < lanes; l++", "l + {{ half }} + 1 < lanes; l++", COLUMNS, "*ColumnsPipeline*"),
    Mutation("last steps of columns not transposed", TRANSPOSE, "for (size_t i = 0; i < n; i += {{ W }})", "for (size_t i = 0; i + {{ W }} <= n; i += {{ W }})", COLUMNS, "*ColumnsToRows*"),
    Mutation("rows behind the last read", "src/kernels/rows-to-columns.cc.j2", "rest = columns - c - 1;", "rest = columns - c;", COLUMNS, "*RowsToColumns*"),
    Mutation("transposed slices in one place", TRANSPOSED_COLUMNS, "panel + slice * strip.slice_columns * stride", "panel + slice * stride", AXIS, "*Scattered*"),
    Mutation("transposed steps that are staged last left out", TRANSPOSED_COLUMNS, "j < n; j += most", "j + most <= n || j == 0; j += most", AXIS, "*EveryLength*"),
    Mutation("tiles of transposed columns without a valid sum", TRANSPOSED_COLUMNS, "if (!smx_partial_sum_is_valid(&partial[c], &exponential)) return false;", "", AXIS, "*LongColumns*"),
    Mutation("tiles of transposed columns in one place", TRANSPOSED_COLUMNS, "columns.Store(first, n);", "columns.Store(0, n);", AXIS, "*LongColumns*"),
    Mutation("column of a slice left out", EACH_COLUMN, "for (; c < columns; c += {{ W }})", "for (; c + 1 < columns; c += {{ W }})", COLUMNS, "*PackColumns*"),
    Mutation("sums of columns read as those of a panel", COLUMN_SUMS, "at_x += {{ times }}x_stride;", "at_x += {{ times }}SMX_PANEL;", COLUMNS, "*SumsInPlace*"),
    Mutation("maxima of columns read as those of a panel", "src/kernels/rmax-columns.cc.j2", 'at += {{ "%d * " % A if A > 1 }}x_stride', "at += x_stride / 2 * 2", COLUMNS, "*MaximaInPlace*"),
    Mutation("exponentials of columns under the references of others", "src/kernels/vscaleextexp-columns.cc.j2", 'isa.load("reference + " ~ column)', 'isa.load("reference + c")', COLUMNS, "*VscaleextexpColumns*"),
    Mutation("last step of columns left out", EACH_COLUMN, "j < n; j++", "j + 1 < n || j == 0; j++", COLUMNS, "*PackColumns*"),
    Mutation("row of a group left over", SEVERAL_ROWS, "const size_t left = rows - *done - count;", "const size_t left = (rows - *done - count) / 2 * 2;", ROWS, "List/*"),
    Mutation("row that does not fill the lanes left over", TRANSPOSED, "copy_rows(rest, {{ length }}, padded,", "copy_rows(rest - 1, {{ length }}, padded,", ROWS, "TransposedList/*"),
    Mutation("span dropped from a fold", ROW, "for (size_t i = 0; i < count_; i++) smx_partial_sum_add(", "for (size_t i = 1; i < count_; i++) smx_partial_sum_add(", SOFTMAX, "*Accuracy*"),
    # The arithmetic.
    Mutation("anchor too low", EXTENDED, "#define SMX_ANCHOR_SHIFT 2", "#define SMX_ANCHOR_SHIFT -8", KERNELS, "List/ExtendedSum.OfTwoLevels*"),
    Mutation("anchor not taken off", SUM, 'take_off(&block_hi{{ block }}[{{ v }}], &block_lo{{ block }}[{{ v }}], {{ anchor }});', 'take_off(&block_hi{{ block }}[{{ v }}], &block_lo{{ block }}[{{ v }}], {{ isa.mul(anchor, isa.set1("0.5f")) }});', KERNELS, "List/ExtendedSum.*"),
    Mutation("sums so far not rescaled", EXTENDED, "reference->rescale = smx_pow2(half);", "reference->rescale = 1.0f;", KERNELS, "List/ExtendedSum.*"),
    Mutation("rounding error of an addition forgotten", EXTEXP, '*lo = {{ isa.add("*lo", "error") }};\n}\n{%- if takes_off %}', '*lo = {{ isa.add("*lo", isa.sub("error", "error")) }};\n}\n{%- if takes_off %}', KERNELS, "List/ExtendedSum.*"),
    *(
        Mutation(f"wrong constant on {isa}", EXTEXP, CUBE, only(f"isa.name == {isa!r}", WRONG_CUBE, CUBE), ELEMENT)
        for isa in ("avx2", "avx512f", "scalar", NEON)
    ),
    Mutation("wrong constant in f32-softmax", EXTEXP, CUBE, only("kernel.name == 'f32-softmax'", WRONG_CUBE, CUBE), ELEMENT),
    Mutation("wrong constant in f32-log-softmax", EXTEXP, CUBE, only("kernel.name == 'f32-log-softmax'", WRONG_CUBE.replace("1.0000002f", "1.01f"), CUBE), ROWS, "LogList/*"),
    Mutation("wrong constant for columns", EXTEXP, CUBE, only("kernel.name == 'f32-raddstoreextexp-columns'", WRONG_CUBE.replace("1.0000002f", "1.0001f"), CUBE), COLUMNS, "*ColumnsPipeline*"),
    Mutation("coefficients swapped", EXTEXP, 'isa.fma("t%d" % v, "cube", "square")', 'isa.fma("t%d" % v, "square", "cube")', ELEMENT),
    Mutation("table entry one off", EXTENDED, "0xFFF837F0", "0xFFF837F1", ELEMENT),
    Mutation("residual of the wrong sign", EXTENDED, "-0x1.08841Cp-25f", "0x1.08841Cp-25f", ELEMENT),
    Mutation("low part of ln(2) dropped", EXTEXP, 'isa.set1("%s->minus_eighth_lo" % exponential)', "isa.zero()", ELEMENT),
    Mutation("clamp leaves something of very negative elements", EXTENDED, "(float)(-127 - k) * exponential->ln2", "(float)(-50 - k) * exponential->ln2", KERNELS, "*ExtendedMap.*"),
    Mutation("reciprocal without its low part", RECIPROCALS, "reciprocal.lo = (reciprocal.hi * residual + to_multiple_of_2_to_minus_45) -", "reciprocal.lo = 0.0f * (residual + to_multiple_of_2_to_minus_45) + 0.0f *", SOFTMAX, "*GoldenBits*"),
    Mutation("reciprocals of rows without their low part", "src/kernels/rows.j2", '*reciprocal_lo = {{ isa.mul("low", "power") }}', '*reciprocal_lo = {{ isa.mul("low", isa.zero()) }}', ROWS),
    Mutation("low part of a sum of the wrong sign", RECIPROCALS, "scalar_fma1(-lo,", "scalar_fma1(lo,", SOFTMAX, "*GoldenBits*"),
    Mutation("tiles added without their scale", ROW_SUM, "smx_partial_sum_add_to_bin(sum, term->top - k, term->bins[k])", "smx_partial_sum_add_to_bin(sum, sum->top - k, term->bins[k])", PARTIAL, "*AnyPiecesAreExactEnough*"),
    Mutation("spans scaled by too little", ROW, "kNothingIsLeft = 5 * SMX_LARGEST_STEP", "kNothingIsLeft = 2 * SMX_LARGEST_STEP", SOFTMAX, "*Edge*"),
    Mutation("flush before rounding on neon", "src/isa/neon.py", '"neon_scaled({a}, {b}, {c})"', '"vfmaq_f32(vmulq_f32({a}, {c}), {a}, {b})"', KERNELS, "StoredList/ExtendedMap.GivesTheBitsOfScalar*neon*"),
    Mutation("product with the low part dropped on avx2", "src/isa/avx2.py", "_mm256_fmadd_ps({a}, {b}, _mm256_mul_ps({a}, {c}))", "_mm256_mul_ps({a}, _mm256_add_ps({b}, {c}))", KERNELS, "*ExtendedMap.GivesTheBitsOfScalar*avx2*"),
    Mutation("multiply and add rounded twice on scalar", "src/isa/scalar.h", "uint64_t to_odd = inexact & ~sum_bits", "uint64_t to_odd = inexact & 0", SCALAR),
    Mutation("multiply and add rounded to odd away from zero on scalar", "src/isa/scalar.h", "- 2 * (to_odd & towards_zero)", "+ 0 * towards_zero", SCALAR),
    # The range, and rows that are out of it.
    Mutation("range without its lower end", EXTENDED, "return -exponential->range <= max && max <= exponential->range;", "return max <= exponential->range;", SOFTMAX, "*Edge*"),
    Mutation("range without its upper end", EXTENDED, "if (block_max > reference->exponential->range) return false;", "", ELEMENT, "*OfWhatIsAboveTheRange*"),
    Mutation("range excludes its end", EXTENDED, "if (block_max > reference->exponential->range) return false;", "if (block_max >= reference->exponential->range) return false;", KERNELS, "*ExtendedSum.RangeEndsAreExact*"),
    Mutation("rows out of range computed by f32-softmax", SEVERAL_ROWS, "while (smx_is_in_range(maxima[{{ lane_of(\"r\") }}], exponential)) r++;", "r = next_count;", ROWS, "List/*"),
    Mutation("rows out of range computed by f32-softmax-transposed", TRANSPOSED, 'isa.all_within("max", isa.set1("exponential->range"))', 'isa.all_within("max", isa.set1("INFINITY"))', ROWS, "Transposed*"),
    Mutation("range not looked at in the last lane on avx512f", "src/isa/avx512f.py", '_CMP_LE_OQ) == 0xFFFF"', '_CMP_LE_OQ) >= 0x7FFF"', ROWS, "*avx512f*"),
    Mutation("range of a tile in place not looked at", SUM, "    if (!smx_is_in_range(sum->max, exponential)) return smx_f32_extended_refuse(sum);\n", "", KERNELS, "*RaddStoreExtExp.*:*ExtendedSum.*"),
    Mutation("row in place overwritten before its range is known", ROW, "  return smx_is_in_range(max, &row.exponential());", "  return max == max;", SOFTMAX, "*Edge*:*LongRowPlan*"),
    Mutation("split row in place overwritten before its range is known", ROW, "  if (!MayOverwrite(*row)) return RunOutOfRange(*row);\n  Spans", "  Spans", SOFTMAX, "*Edge*:*Split*:*LongRowPlan*"),
    Mutation("masked row is zero without the flag", PASSES, "max == -INFINITY && (rows->flags & SMX_FLAG_MASKED_ROWS_TO_ZERO) != 0 ?", "max == -INFINITY && rows != nullptr ?", SOFTMAX, "*Edge*"),
    Mutation("plus infinity taken for finite", ROW, "if (!isfinite(max)) return", "if (!(max > -INFINITY)) return", SOFTMAX, "*Edge*"),
    Mutation("NaN seen in the last element only", "src/operators/types.cc", "has_nan |= X::IsNan(", "has_nan = X::IsNan(", SOFTMAX, "*Edge*"),
    Mutation("NaN not spread over its row by f32-softmax", SEVERAL_ROWS, "if (row == row) continue;", 'if (row == row{{ " || true" if not log }}) continue;', ROWS, "List/*"),
    Mutation("NaN not spread over its row by f32-softmax-transposed", TRANSPOSED, "if (row_hi[r] == row_hi[r]) continue;", "if (row_hi[r] <= 2.0f || n > 0) continue;", ROWS, "TransposedList/*"),
    Mutation("NaN not spread over its row by f32-log-softmax", SEVERAL_ROWS, "if (row == row) continue;", 'if (row == row{{ " || true" if log }}) continue;', ROWS, "LogList/*"),
    Mutation("maxima of few columns of their first steps alone", FOLDED_COLUMNS, "for (size_t i = columns_; i < SMX_PANEL; i++) {\n      max[ColumnOf(i)]", "for (size_t i = SMX_PANEL; i < SMX_PANEL; i++) {\n      max[ColumnOf(i)]", AXIS, "*LongFew*"),
    Mutation("lanes of few columns out of order", FOLDED_COLUMNS, "const size_t element = l * columns_ + c;", "const size_t element = c * sums.lanes + l;", AXIS, "*LongFew*"),
    Mutation("behind few columns elements that count", FOLDED_COLUMNS, "SMX_PANEL - count % SMX_PANEL, -INFINITY);", "SMX_PANEL - count % SMX_PANEL, 0.0f);", AXIS, "*LongFew*"),
    Mutation("few columns without a valid sum", FOLDED_COLUMNS, "if (!smx_partial_sum_is_valid(&partial[c], &exponential())) return false;", "", AXIS, "*LongFew*"),
    Mutation("few columns streamed to where vectors are not aligned", ALL_AXES, "is_folded ? to_boundary == 0 :", "is_folded ? to_boundary <= 15 :", AXIS, "*LargeOutputs*"),
    Mutation("columns of NaN and infinities not replaced", LONG_COLUMNS, "if (replacements_[c].is_special) SetResult(c, replacements_[c].result);", "", AXIS, "*Hostile*"),
    Mutation("logarithms of shifted columns without the shift", LONG_COLUMNS, "for (size_t i = 0; has_replacements_ && i < SMX_PANEL; i++) {", "for (size_t i = SMX_PANEL; i < SMX_PANEL; i++) {", AXIS, "*LogSoftmax*"),
    Mutation("maxima of columns without their sign", LONG_COLUMNS, "std::max(*directed_max, scale().direction * x)", "std::max(*directed_max, x)", AXIS, "*Scale*"),
    # The floating-point environment.
    Mutation("MXCSR not restored", FP_ENVIRONMENT, "    _mm_setcsr(saved_);\n", "", SOFTMAX, "*FpEnvironment*"),
    Mutation("MXCSR not set", FP_ENVIRONMENT, "    _mm_setcsr(0x9FC0 | (saved_ & 0x3F));\n", "", SOFTMAX, "*FpEnvironment*"),
    Mutation("denormal inputs not flushed", FP_ENVIRONMENT, "_mm_setcsr(0x9FC0", "_mm_setcsr(0x9F80", SCALE, "*Denormal*"),
    Mutation("exception flags kept from kernels", FP_ENVIRONMENT, "_mm_setcsr(saved_)", "_mm_setcsr(saved_ | (_mm_getcsr() & 0x3F))", SOFTMAX, "*FpEnvironment*"),
    Mutation("environment of a pool's threads not set", "src/runtime/parallelize.h", "        const smx_fp_environment environment;\n", "", SOFTMAX, "*FpEnvironment*"),
    Mutation("environment of a merge not set", NC, "  const smx_fp_environment environment;\n", "", ENVIRONMENT, "*OfMerges*"),
    Mutation("environment of a new scale not set", "src/operators/operator.cc", "  const smx_fp_environment environment;  // comparisons raise exceptions, too\n", "", ENVIRONMENT, "*OfScales*"),
    Mutation("environment of a quantization not set", PASSES, "  const smx_fp_environment environment;  // comparisons raise exceptions, too\n", "", ENVIRONMENT, "*OfScales*"),
    # Other types, and other functions of a row's sum.
    Mutation("f16 rounded towards zero on avx2", "src/isa/avx2.h", "_mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT)", "_mm256_cvtps_ph(a, _MM_FROUND_TO_ZERO)", TYPED, "*avx2*"),
    Mutation("tail of halves one short", "src/isa/narrow.h", "if (n <= 0) return;", "if (n-- <= 0) return;", TYPED),
    Mutation("bf16 taken for f16", "src/operators/types.cc", "(x & 0x7FFF) > 0x7F80", "(x & 0x7FFF) > 0x7C00", TYPES),
    Mutation("staged rows written contiguously", PASSES, "ConvertRows(done, op.channels, op.output_stride,", "ConvertRows(done, op.channels, op.channels,", TYPES),
    Mutation("differences of a shifted row too small", "src/operators/scale.h", "(x - staging->shift)", "(x - 1.0001f * staging->shift)", TYPES),
    Mutation("logarithm without its low part", "src/kernels/vsubextc.cc.j2", LOGARITHM, LOGARITHM.replace('"lo"', 'isa.sub("lo", "lo")'), LOG),
    Mutation("logarithm's series a term short", "src/kernels/logarithm.h", " + 0x1.ED89A25C4F997p-4 * t;", ";", LOG, "Log.IsExact"),
    Mutation("low parts of tiles left out of bins", ROW_SUM, "smx_partial_sum_add_float(sum, lo, exponent);", "smx_partial_sum_add_float(sum, lo - lo, exponent);", PARTIAL),
    Mutation("bins not moved when a larger tile comes", ROW_SUM, "sum->bins[k] = k >= distance ? sum->bins[k - distance] : 0;", "sum->bins[k] = k >= distance ? sum->bins[k] : 0;", PARTIAL),
    Mutation("shift forgotten when pieces are merged", ROW_SUM, "if (sum_shift != shift) smx_partial_sum_shift(", "if (sum_shift == shift) smx_partial_sum_shift(", PARTIAL),
    Mutation("logarithms of rows without their low part", SEVERAL_ROWS, 'isa.sub(isa.fma(x, "scale", "minus_hi"), "lo")', 'isa.fma(x, "scale", isa.add("minus_hi", isa.sub("lo", "lo")))', ROWS, "LogList/*"),
    Mutation("logarithms of rows as lanes without their low part", TRANSPOSED, 'isa.sub(isa.zero(), "hi")), "lo")', 'isa.sub(isa.zero(), "hi")), isa.sub("lo", "lo"))', ROWS, "TransposedLogList/*"),
    Mutation("shift of columns not scaled", "src/kernels/vsubextc-columns.cc.j2", 'isa.load("logarithms->shift + " ~ column)', 'isa.mul(isa.load("logarithms->shift + " ~ column), isa.load("logarithms->factor + " ~ column))', COLUMNS, "*VsubextcColumns*"),
    Mutation("sums of columns so far rescaled once", "src/operators/column_sums.cc", "sums->hi[l][i] = sums->hi[l][i] * half * rest;", "sums->hi[l][i] = sums->hi[l][i] * half;", AXIS, "*LongColumns*"),
    # The factor of the elements.
    Mutation("range not divided by the scale", EXTENDED, "exponential.range = smx_range / scale;", "exponential.range = smx_range;", SCALE),
    Mutation("remainder of ln(2) without what the scale's rounding left", EXTENDED, "(float)(-(residual + ln2_rest / 8.0) / a)", "(float)(-(0.0 * residual + ln2_rest / 8.0) / a)", SCALE),
    Mutation("sign of the scale dropped", "src/operators/scale.h", "scale->direction * scale->power", "scale->power", SCALE),
    Mutation("last staged element not scaled", PASSES, "0.0f), n, staged + to", "0.0f), n - (n > 1), staged + to", SCALE),
    Mutation("shift of a piece not scaled", ROW_SUM, "(shift - term_shift) * magnitude", "(shift - term_shift)", SCALE, "*OfPieces*"),
    Mutation("scale forgotten by logarithms", ROW, "return smx_f32_logarithm_of(scale, logarithm.max", "return smx_f32_logarithm_of(1.0f, logarithm.max", SCALE, "*OfAPowerOfTwo*"),
    # The gate of a mixture of experts.
    Mutation("exchange dropped from a sorting network", "src/kernels/topk.cc.j2", "(2, 4), (3, 5), (1, 2), (3, 4), (5, 6)", "(2, 4), (3, 5), (1, 2), (5, 6)", KERNELS, "*Topk*"),
    Mutation("exchange dropped from a merging network", "src/kernels/topk.cc.j2", "(0, 1), (2, 3), (4, 5), (6, 7)]) }}\n}\n\n// The same", "(0, 1), (2, 3), (6, 7)]) }}\n}\n\n// The same", KERNELS, "*Topk*"),
    Mutation("chunk merged in the wrong order", "src/kernels/topk.cc.j2", "next[half][count - 1 - j]", "next[half][j]", KERNELS, "*Topk*"),
    Mutation("absent elements chosen", "src/kernels/topk.cc.j2", 'isa.set1_keys("-INFINITY")', 'isa.set1_keys("INFINITY")', KERNELS, "*Topk*"),
    *(
        Mutation(f"NaN ordered by its bits on {isa}", f"src/isa/{isa}.h", old, new, KERNELS, f"*Topk*{isa}*")
        for isa, old, new in (
            ("avx2", "_mm256_blendv_epi8(order, _mm256_set1_epi32(INT32_MAX), is_nan)", "_mm256_blendv_epi8(order, order, is_nan)"),
            ("avx512f", "_mm512_cmp_ps_mask(a, a, _CMP_ORD_Q)", "_mm512_cmp_ps_mask(a, a, _CMP_TRUE_UQ)"),
            ("scalar", "a != a ? INT32_MAX : bits < 0", "bits < 0"),
            (NEON, "vbslq_s32(vceqq_f32(a, a), order,", "vbslq_s32(vceqq_s32(order, order), order,"),
        )
    ),
    Mutation("zeros of two signs told apart on avx2", "src/isa/avx2.h", "_mm256_castps_si256(_mm256_add_ps(a, _mm256_setzero_ps()))", "_mm256_castps_si256(a)", KERNELS, "*Topk*avx2*"),
    Mutation("sigmoid overflows", MOE_GATE, "staged > most ? most : staged", "staged > 8.0f * most ? most : staged", GATE),
    Mutation("bias has a part in weights", MOE_GATE, "gate.gathers_scores() ? scores : logits, indices", "gate.gathers_scores() ? keys : logits, indices", GATE),
    Mutation("sigmoids not normalised", MOE_GATE, "  if (!gate.normalizes()) return;\n", "  return;\n", GATE),
    Mutation("scale has no part in the choice", MOE_GATE, "Multiply(direction, tokens * experts, buffer)", "Multiply(1.0f, tokens * experts, buffer)", GATE),
    Mutation("last token of a group left over", MOE_GATE, "std::min(together, count - t)", "std::min(together - 1, count - t)", GATE),
    Mutation("masked token normalised to zero without the flag", MOE_GATE, "sum == 0.0 ? of_zeros : NAN", "sum == 0.0 ? fminf(of_zeros, 0.0f) : NAN", GATE),
    Mutation("overlapping indices accepted", MOE_GATE, "&layouts[i], &layouts[j], false", "&layouts[i], &layouts[j], j == 3", GATE),
    # How work is cut up.
    Mutation("more transposed slices than a panel holds", ALL_AXES, "plan->strip_slices = held > 0 ? most / plan->strip_columns : 1;", "plan->strip_slices = held > 0 ? most / plan->strip_columns + 1 : 1;", AXIS, "*"),
    Mutation("last strip of columns left out", ALL_AXES, "  return plan;\n}\n\nsmx_strip", "  plan.strips -= plan.strips > 1;\n  return plan;\n}\n\nsmx_strip", AXIS, "*AnyNumberOfColumns*"),
    Mutation("column left out between strips", ALL_AXES, "          end - first,\n", "          end - first - (end < shape.inner),\n", AXIS, "*AnyNumberOfColumns*"),
    Mutation("stride of the output's steps not used", LONG_COLUMNS, "op_.shape.output.axis);", "op_.shape.input.axis);", AXIS, "*LeavesGaps*"),
    Mutation("groups of a matrix taken for a panel's", LONG_COLUMNS, "op_.shape.input.axis, SMX_PANEL};", "op_.shape.input.axis, group_stride_};", AXIS, "*Long*"),
    Mutation("logarithms of columns of another maximum", "src/kernels/raddlanes-columns.cc.j2", 'isa.load("sums->max + c")', 'isa.load("sums->reference + c")', AXIS, "*LogSoftmaxOfMany*"),
    Mutation("split rows one too few", PASSES, "for (size_t i = spread_rows; i < op.batch_size; i++)", "for (size_t i = spread_rows; i + 1 < op.batch_size; i++)", SOFTMAX, "*BitsOfSplitRows*"),
    Mutation("split rows counted from the row before", PLANNER, "shape.rows % threads : 0", "(shape.rows - 1) % threads : 0", PLAN),
    Mutation("task of rows ends one early", PASSES, "RunRows(op, plan, start, start + count);", "RunRows(op, plan, start, start + count - 1);", SOFTMAX, "*BitsOfBatches*"),
    Mutation("last span ends one early", ROW, "spans_[i].end = std::min(row_.channels, (i + 1) * length_);", "spans_[i].end = std::min(row_.channels - 1, (i + 1) * length_);", SOFTMAX, "*BitsOfVeryLongRows*"),
    Mutation("second phase begun before the first is over", TWO_PHASES, "+ 1 < items_) return;", "+ 1 != items_ / 2) return;", SOFTMAX, "*LongRowPlan*"),
    Mutation("result depends on the number of threads", TWO_PHASES, "if (state == kSecond) TakeItems(1, worker, second_);", "if (state == kSecond && worker == 0) TakeItems(1, worker + 1, [this](size_t i) { if (workers_ < 3 || i > 0) second_(i); });", SOFTMAX, "*BitsOfSplitRows*"),
    Mutation("stride of the output not used", PASSES, "row * op.output_stride * op.result_bytes()", "row * op.results() * op.result_bytes()", SOFTMAX, "SoftmaxNcF32Batch*"),
    Mutation("stride of the input in bytes", PASSES, "row * op.input_stride * op.types->input_bytes", "row * op.input_stride", SOFTMAX, "SoftmaxNcF32Batch*"),
    Mutation("stride of the kernels on several rows not used", PASSES, "op.output_stride, &done);", "op.channels, &done);", SOFTMAX, "SoftmaxNcF32Batch*"),
    Mutation("streaming stores without a fence", MAP, "  {{ isa.fence() }};\n", "", KERNELS, "*Stream*"),
    # The plan.
    Mutation("threshold of rows as lanes exclusive", PLANNER, "shape.channels <= std::min<size_t>(thresholds.lane_channels,", "shape.channels < std::min<size_t>(thresholds.lane_channels,", PLAN),
    Mutation("threshold of stored rows exclusive", PLANNER, "return elements <= bytes / shape.element_bytes;", "return elements < bytes / shape.element_bytes;", PLAN),
    Mutation("threshold of streaming ignores in place", PLANNER, "  if (shape.in_place) return false;\n", "", PLAN),
    Mutation("rows streamed wherever they begin", PLANNER, "smx_algorithm_several_rows && shape.aligned_rows &&", "smx_algorithm_several_rows &&", PLAN),
    Mutation("threshold taken from a host's whole cache", PLANNER, "std::min(last_level_bytes, kLargestLastLevelShare)", "last_level_bytes", PLAN),
    Mutation("spans more than there is room for", PLANNER, "return smx_divide_round_up(tiles, SMX_MAX_SPANS) * SMX_TILE;", "return std::max<size_t>(1, tiles / SMX_MAX_SPANS) * SMX_TILE;", PLAN),
    # The operator's manners.
    Mutation("null input accepted", NC, '  if (input.first == nullptr) return "input is NULL";\n', "", OPERATOR),
    Mutation("zero channels accepted", NC, '  if (input.channels == 0) return "channels is 0";\n', "", OPERATOR),
    Mutation("overlapping output accepted", NC, "return x_to_y < x.channels * x.element_bytes || x_stride - x_to_y < y.channels * y.element_bytes;", "return x_to_y < x.channels * x.element_bytes;", OPERATOR),
    Mutation("output in gaps of the input that overlaps the next step accepted", AXIS_LAYOUT, "for (ptrdiff_t steps : {before, before + 1}) {", "for (ptrdiff_t steps : {before}) {", AXIS, "*Overlap*"),
    Mutation("axis of no elements accepted", ALL_AXES, 'axis == 0 ? "axis is 0" : nullptr', "axis == 0 ? nullptr : nullptr", AXIS, "*BadArguments*"),
    # What attention adds to rows.
    Mutation("a key behind the query seen", ATTENTION, "end = std::min(end, position + 1);", "end = std::min(end, position + 2);", ATTENTION_TEST),
    Mutation("window one too wide", ATTENTION, "position - window + 1", "position - window", ATTENTION_TEST),
    Mutation("unseen keys left as they were", ATTENTION, "  Fill(op, query, 0, query.keys.begin, 0.0f);\n  Fill(op, query, query.keys.end,", "  Fill(op, query, query.keys.end,", ATTENTION_TEST),
    Mutation("causal queries all see what the second does", ATTENTION, "*growth = static_cast<ptrdiff_t>(last.count() - KeysOf(0).count());", "*growth = 0;", ATTENTION_TEST),
    Mutation("a mask's rows not moved with the window", ATTENTION, "{&block.x_stride, &block.mask_stride, &block.y_stride}", "{&block.x_stride, &block.y_stride}", ATTENTION_TEST),
    Mutation("rows of f32-softmax that grow no more after the first group", SEVERAL_ROWS, "n += count * (size_t)growth;", "n += 0 * count * (size_t)growth;", ROWS, "*SeveralRows*"),
    Mutation("heads after the first share its sink", ATTENTION, "&attention.sinks[head_]", "&attention.sinks[0]", ATTENTION_TEST),
    Mutation("results in place of terms where the output is the input", ROW, "end <= row.results && row.x != row.y &&", "end <= row.results &&", ATTENTION_TEST),
    Mutation("refused terms taken for a row out of range", ROW, "if (sum.hi != sum.hi) return Stored::kRefused;", "if (sum.hi != sum.hi) return Stored::kOutOfRange;", ATTENTION_TEST),
    Mutation("sink not behind the keys", LOGITS, "if (start + n > row.keys) tile[row.keys - start] = *row.sink;", "if (start + n > row.keys) tile[row.keys - start] = 0.0f;", ATTENTION_TEST),
    Mutation("scale applied twice", LOGITS, "    x = logits;\n    scale = 1.0f;\n  }\n  if (row.slope != nullptr)", "    x = logits;\n  }\n  if (row.slope != nullptr)", ATTENTION_TEST),
    Mutation("distances from the row's first key", LOGITS, "row.distance + static_cast<int64_t>(start)", "row.distance", ATTENTION_TEST),
    Mutation("tail of logits under a mask one short", ADD_MASK, 'isa.store_tail("y", "(ptrdiff_t)n", "y0")', 'isa.store_tail("y", "(ptrdiff_t)n - 1", "y0")', KERNELS, "*TakesLogits*"),
    Mutation("groups of f32-softmax all under the mask of the first", SEVERAL_ROWS, "mask + count * mask_stride, mask_stride, scale, made_logits", "mask, mask_stride, scale, made_logits", ROWS, "Masked*"),
    Mutation("logits of f32-softmax's next group made beside those that are taken", SEVERAL_ROWS, "float* const made_logits = {{ next_terms() }};", "float* const made_logits = room;", ROWS, "Masked*"),
    Mutation("maxima of f32-softmax's next group without those of tails", SEVERAL_ROWS, 'max[r] = {{ isa.max("row_max[0]", "row_max[1]") }};', 'max[r] = row_max[0];', ROWS, "Masked*"),
    Mutation("blocks of f32-raddstoreextexp all under the mask of the first", SUM, "mask += {{ A * B }};", "mask += 0 * {{ A * B }};", KERNELS, "*TakesLogits*"),
    Mutation("lone row of f32-softmax out of range computed", SEVERAL_ROWS, 'isa.set1("exponential->range")) }})) return false;', 'isa.set1("exponential->range")) }})) {}', ROWS),
    Mutation("lone row of f32-softmax without its mask", SEVERAL_ROWS, "const float* const x = mask != nullptr ? terms : input;", "const float* const x = input;", ROWS, "Masked*"),
    Mutation("lone row of f32-softmax that holds NaN not filled", SEVERAL_ROWS, 'isa.set1("1.0f")) }})) fill_nan(n, y);', 'isa.set1("1.0f")) }})) fill_nan(0, y);', ROWS),
    Mutation("NaN not spread over its row by a fallback's f32-log-softmax", SEVERAL_ROWS, "if (hi == hi) {", "if (hi == hi || n > 0) {", ROWS, "LogList/*"),
    Mutation("all blocks anchored as the last", SEVERAL_ROWS, "block_end < n ? anchors[begin / %d] : last_anchor", "block_end < n ? last_anchor : last_anchor + 0 * anchors[begin / %d]", ROWS, "*AnchorsOfTheirOwn*"),
    Mutation("blocks of the next row not looked at by themselves", SEVERAL_ROWS, "    block_max[begin / {{ B }}] = {{ isa.reduce_max(isa.max(", "    block_max[0] = {{ isa.reduce_max(isa.max(", ROWS, "*HasTheBitsOfOneRow*"),
    Mutation("rows of several blocks all under the mask of the first", SEVERAL_ROWS, "has_mask && !is_last ? mask + mask_stride", "has_mask && !is_last ? mask + 0 * mask_stride", ROWS, "Masked*"),
    Mutation("tail of the next row of several blocks not looked at", SEVERAL_ROWS, "  if (made < n_ahead) row_max[1]", "  if (made + 32 < n_ahead) row_max[1]", ROWS),
    Mutation("rows of several blocks do not grow", SEVERAL_ROWS, "    n += growth;\n", "    n += 0 * growth;\n", ROWS, "*SeveralRows*"),
    Mutation("row of several blocks left NaN by what a mask hides", SEVERAL_ROWS, 'if (has_mask) is_within_range = {{ isa.all_within("hi",', 'if (has_mask && n == 0) is_within_range = {{ isa.all_within("hi",', ROWS, "*SeveralRows*"),
    Mutation("row of several blocks looked at beyond the last", SEVERAL_ROWS, "const float* const ahead = is_last ? own : x + x_stride;", "const float* const ahead = x + x_stride;", ROWS),
    Mutation("rows of more than a block together wherever they are", PLANNER, "shape.varies || AllFit(shape, kLongGroupBytes)", "shape.varies || true", PLAN),
    Mutation("queries of several blocks that see ever fewer keys taken at once", ATTENTION, "const size_t shortest = n > SMX_BLOCK ? n : 1;", "const size_t shortest = 1;", ATTENTION_TEST),
    Mutation("logits that f32-raddstoreextexp makes ahead not taken", SUM, "    logits = next_logits;\n", "", KERNELS, "*TakesLogits*"),
    Mutation("mask of -inf does not leave NaN out", ADD_MASK, "isa.masked_fma(", "isa.fma(", LOGITS_TEST),
    Mutation("row of f32-softmax left NaN by what a mask hides", SEVERAL_ROWS, "has_nan && mask != nullptr && r < count", "has_nan && mask == nullptr && r < count", ROWS, "Masked*"),
    Mutation("zeros behind f32-softmax's rows not up to the width", SEVERAL_ROWS, "end - r, width - scaled, y", "end - r, width - scaled - 1, y", ROWS, "*SeveralRows*"),
    Mutation("vector of f32-softmax's results beyond the width", SEVERAL_ROWS, "lanes <= width ? lanes : length", "length < width ? lanes : length", ROWS, "*SeveralRows*"),
    Mutation("rows of NaN not followed by zeros", SEVERAL_ROWS, "fill_zero<false>(1, width - (%s), y", "fill_zero<false>(0, width - (%s), y", ROWS, "*SeveralRows*"),
    Mutation("groups of f32-softmax all with the sinks of the first", SEVERAL_ROWS, "    if (sinks != nullptr) sinks += count * sink_stride;\n", "", ROWS, "*Sink*"),
    Mutation("next rows of f32-softmax with the sinks of these", SEVERAL_ROWS, "sinks[(count + r) * sink_stride]", "sinks[r * sink_stride]", ROWS, "*Sink*"),
    Mutation("sinks of f32-softmax not among what is the largest", SEVERAL_ROWS, 'max[r] = {{ isa.max(isa.set1("sink"), "max[r]") }};', "", ROWS, "*Sink*"),
    Mutation("sinks of f32-softmax behind the first row's elements", SEVERAL_ROWS, '{{ length("count + r") }}] = sink;', "n] = sink;", ROWS, "*Sink*"),
    Mutation("results of f32-softmax for sinks", SEVERAL_ROWS, "sinks_summed = sink_count * count;", "sinks_summed = 0 * sink_count * count;", ROWS, "*Sink*"),
    Mutation("logits of f32-softmax's next group beyond its rows", SEVERAL_ROWS, 'end="(n - sink_count)" if makes', 'end="(n - 0 * sink_count)" if makes', ROWS, "*Sink*"),
    Mutation("lone row of f32-softmax without its sink", SEVERAL_ROWS, "const size_t n = elements + (sink != nullptr);", "const size_t n = elements;", ROWS, "*Sink*"),
    Mutation("sink of a lone row not among what is the largest", SEVERAL_ROWS, 'max = {{ isa.max(isa.set1("*sink"), "max") }};', "", ROWS, "*Sink*"),
    Mutation("row of f32-softmax that holds NaN computed anew without its sink", SEVERAL_ROWS, "sinks == nullptr ? sinks : sinks + r * sink_stride, y + r * y_stride, exponential)) continue;", "nullptr, y + r * y_stride, exponential)) continue;", ROWS, "*Sink*"),
    Mutation("rows of a fallback all with the first sink", SEVERAL_ROWS, "terms[n] = sinks[r * sink_stride];", "terms[n] = sinks[0 * r * sink_stride];", ROWS, "*Sink*"),
    Mutation("logits that are made scaled again", ATTENTION, "  block->x_stride = made->stride;\n  block->scale = 1.0f;\n", "  block->x_stride = made->stride;\n", ATTENTION_TEST),
    Mutation("logits under booleans scaled again", ATTENTION, "    block->x_stride = made->stride;\n    block->scale = 1.0f;\n", "    block->x_stride = made->stride;\n", ATTENTION_TEST),
    Mutation("sinks under a mask for rows that have one of their own", ATTENTION, "if (block.sinks != nullptr && block.mask == nullptr) {", "if (block.sinks != nullptr) {", ATTENTION_TEST),
    Mutation("padding of several causal queries left as it was", ATTENTION, "!makes_results ? EndOfResults(op, query) - query.keys.begin : 0;", "!makes_results ? query.length - query.keys.begin : 0;", ATTENTION_TEST),
    Mutation("keys before a window that stands still left as they were", ATTENTION, "      Fill(op, query, 0, query.keys.begin, 0.0f);\n    }\n    query.y", "    }\n    query.y", ATTENTION_TEST),
    Mutation("queries that see nothing run with others", ATTENTION, "if (query->channels() == 0) {", "if (query->channels() > op.attention.keys + 1) {", ATTENTION_TEST),
    Mutation("results of other types as long as those of the first query", ATTENTION, "store(block.RowLength(r), r);", "store(block.n, r);", ATTENTION_TEST),
    Mutation("unseen keys behind results of other types left as they were", ATTENTION, "(of->shift != 0 || query.keys.end < EndOfResults(op, query))", "of->shift != 0", ATTENTION_TEST),
    Mutation("heads of one query all under the slope of the first", ATTENTION, "if (are_heads && row.slope != nullptr) row.slope++;", "", ATTENTION_TEST),
    Mutation("heads of one query all with the sink of the first", ATTENTION, "op.attention.queries == 1 ? 1 : 0", "op.attention.queries == 1 ? 0 : 0", ATTENTION_TEST),
    Mutation("queries all at the distance of the first", ATTENTION, "row.distance += of.shift - !are_heads;", "row.distance += of.shift - of.shift;", ATTENTION_TEST),
    Mutation("heads of one query at distances of queries", ATTENTION, "row.distance += of.shift - !are_heads;", "row.distance += of.shift - 1;", ATTENTION_TEST),
    Mutation("mask of one element a query moved with the keys", ATTENTION, "? op.maker.mask_key_stride : 1;", "? 1 : 1;", ATTENTION_TEST),
    Mutation("rows as lanes all under the mask of the first", TRANSPOSED, "mask == nullptr ? nullptr : mask + mask_row * mask_stride;", "mask == nullptr ? nullptr : mask;", ROWS, "MaskedTransposedList/*"),
    Mutation("mask of rows as lanes from its first column on", TRANSPOSED, "load(mask + j, mask_stride)", "load(mask, mask_stride)", ROWS, "MaskedTransposedList/*"),
    Mutation("rows that do not fill the lanes under the mask of the first", TRANSPOSED, "mask + r * mask_stride, padded", "mask, padded", ROWS, "MaskedTransposedList/*"),
    Mutation("rows that do not fill the lanes under the mask of those that do", TRANSPOSED, "if (mask != nullptr) mask += *done % mask_rows * mask_stride;", "", ROWS, "MaskedTransposedList/*"),
    Mutation("rows of a length of their own without a mask", TRANSPOSED, "if (n == {{ length }} && mask == nullptr && growth == 0)", "if (n == {{ length }} && growth == 0)", ROWS, "MaskedTransposedList/*"),
    Mutation("NaN that a mask hides seen by rows as lanes", TRANSPOSED, "addmask.logit(0)", "addmask.unseen_logit(0)", ROWS, "MaskedTransposedList/*"),
    Mutation("mask of rows as lanes that does not begin anew", TRANSPOSED, "mask_row + %d < mask_rows", "mask_row + %d <= mask_rows", ROWS, "*BeginsAMaskAnew*"),
    Mutation("rows that do not fill the lanes beyond a mask's end", TRANSPOSED, "*done % mask_rows * mask_stride", "*done * mask_stride", ROWS, "*BeginsAMaskAnew*"),
    Mutation("rows that grow, of a length of their own, as if they did not", TRANSPOSED, "mask == nullptr && growth == 0)", "mask == nullptr)", ROWS, "*GrowAndBegin*"),
    Mutation("rows as lanes that grow on", TRANSPOSED, "grown = grown + 1 < lengths->period ? grown + 1 : 0;", "grown++;", ROWS, "*GrowAndBegin*"),
    Mutation("groups of rows as lanes that all grow from the first length on", TRANSPOSED, "size_t grown = row % lengths->period;", "size_t grown = 0 * row;", ROWS, "*GrowAndBegin*"),
    Mutation("masks of rows that grow seen beyond their lengths", TRANSPOSED, "mask_stride, -INFINITY, level[1]", "mask_stride, 0.0f, level[1]", ROWS, "*GrowAndBegin*"),
    Mutation("rows that grow, and do not fill the lanes, from the first length on", TRANSPOSED, "lengths, *done, ", "lengths, 0, ", ROWS, "*GrowAndBegin*"),
    Mutation("rows that grow, and do not fill the lanes, copied with the first length", TRANSPOSED, "smx_length_of(&lengths, *done + r)", "smx_length_of(&lengths, r)", ROWS, "*GrowAndBegin*"),
    Mutation("growing rows of NaN not followed by zeros", TRANSPOSED, "(n - length) * sizeof(float));", "0 * (n - length) * sizeof(float));", ROWS, "*Growing*"),
    Mutation("growing rows of NaN as long as the first", TRANSPOSED, "smx_length_of(lengths, row + r)", "smx_length_of(lengths, 0 * (row + r))", ROWS, "*Growing*"),
    Mutation("heads that see other keys as one block", ATTENTION, "count = std::min(count, op_.attention.queries - query_);", "", ATTENTION_TEST, "*FollowOneAnother*"),
    Mutation("heads that grow on", ATTENTION, "block.growing_rows = block.rows;", "", ATTENTION_TEST, "*GrowAnew*"),
    Mutation("heads as one block from a query on that is not the first", ATTENTION, "if (block.rows == op.attention.queries && block.growth > 0", "if (block.growth > 0", ATTENTION_TEST, "*GrowAnew*"),
    Mutation("rows that grow as lanes wherever kernels take them", ATTENTION, "block.LongestRow() <= 2 * SMX_LANES", "block.LongestRow() <= 4 * SMX_LANES", ATTENTION_TEST),
    Mutation("logits of heads that grow on", ATTENTION, "row.keys = block->RowLength(r + 1);", "row.keys += static_cast<size_t>(block->growth);", ATTENTION_TEST, "*GrowAnew*"),
    Mutation("unseen keys of heads that grow on", ATTENTION, "query.keys.begin + of->block.RowLength(r + 1);", "query.keys.end + static_cast<size_t>(of->shift + of->block.growth);", ATTENTION_TEST),
    Mutation("keys behind the longest of growing rows as lanes left as they were", ATTENTION, "longest < block.width && r < done", "longest + 1 < block.width && r < done", ATTENTION_TEST),
    Mutation("heads of other slopes and sinks as one block", ATTENTION, "attention.queries > 1 && has_heads;", "attention.queries > 1 && has_heads && has_heads == op_.restricts();", ATTENTION_TEST, "*FollowOneAnother*"),
    Mutation("batch entries of other lengths as one block", ATTENTION, "attention.key_lengths != nullptr || attention.first_positions", "attention.first_positions", ATTENTION_TEST, "*FollowOneAnother*"),
    Mutation("batch entries at other positions as one block", ATTENTION, "attention.first_positions != nullptr || has_heads;", "has_heads;", ATTENTION_TEST, "*FollowOneAnother*"),
    Mutation("heads with a gap as one block", ATTENTION, "dimension.begins_anew || dimension.stride != rows * *stride", "dimension.begins_anew", ATTENTION_TEST),
    Mutation("one mask for heads that have masks of their own", ATTENTION, "query_ != 0 || (attention.heads > 1 && attention.mask_strides.head != 0)", "query_ != 0", ATTENTION_TEST, "*MasksThatAreShared*"),
    Mutation("one mask for batch entries that have masks of their own", ATTENTION, "attention.batch_size == 1 || attention.mask_strides.batch == 0", "true", ATTENTION_TEST, "*MasksThatAreShared*"),
    Mutation("one mask from a query on that is not the first", ATTENTION, "if (query_ != 0 || (attention.heads", "if ((attention.heads", ATTENTION_TEST, "*MasksThatAreShared*"),
    Mutation("one mask of a length that groups of lanes do not divide", ATTENTION, "op.attention.queries % SMX_LANES == 0 &&", "true &&", ATTENTION_TEST, "*MasksThatAreShared*"),
    Mutation("one mask made that a buffer has no room for", ATTENTION, "op.attention.keys <= kMadeElements / op.attention.queries", "op.attention.keys <= kMadeElements", ATTENTION_TEST, "*MasksThatAreShared*"),
    Mutation("one mask made for fewer queries than it has", ATTENTION, "masks.rows = std::min(block->rows, block->mask_rows);", "masks.rows = 1;", ATTENTION_TEST, "*MasksThatAreShared*"),
    Mutation("booleans of one mask taken for those of all queries", ATTENTION, "smx_datatype_bool && !block->SharesMask()", "smx_datatype_bool", ATTENTION_TEST, "*MasksThatAreShared*"),
    Mutation("queries as lanes without a mask", ATTENTION, "block.x, block.x_stride, block.mask,", "block.x, block.x_stride, nullptr,", ATTENTION_TEST),
    Mutation("elements of other types all those of the first query", ATTENTION, "x + r * block->x_stride * op.maker.input->input_bytes, floats);", "x + 0 * r * block->x_stride * op.maker.input->input_bytes, floats);", ATTENTION_TEST),
    Mutation("wrong coefficient of tanh", "src/kernels/softcap.h", "0x1.182C60p-3f", "0x1.182CC0p-3f", LOGITS_TEST),
    Mutation("positions restart with each vector", "src/kernels/vaddslope.cc.j2", 'position = {{ isa.add("position", "width") }};', 'position = {{ isa.add("position", isa.sub("width", "width")) }};', LOGITS_TEST),
    Mutation("overflowing size accepted", "src/operators/layout.h", "(rows - 1) > (largest - channels) / stride", "rows > largest", OPERATOR),
    Mutation("rejected setup changes the operator", NC, "  const char* reason = smx_invalid_layouts(", "  op->base.is_set_up = false;\n  const char* reason = smx_invalid_layouts(", OPERATOR),
    Mutation("unknown flags accepted", PASSES, "(flags & ~known_flags) != 0", "(flags & ~known_flags) == ~0u", OPERATOR),
    Mutation("failed allocation reported as something else", "src/operators/operator.cc", "return smx_status_out_of_memory;", "return smx_status_invalid_state;", OPERATOR),
    Mutation("failed allocation not logged", "src/operators/operator.cc", '    smx_log_error("create %s: the allocator has no %zu bytes", type->name, size);\n', "", OPERATOR),
    Mutation("operator of another allocator given back", "src/operators/operator.cc", "op->allocator.deallocate(op->allocator.context, op)", "op->allocator.deallocate(nullptr, op)", OPERATOR),
    Mutation("log takes the level above", "src/runtime/log.cc", "level > current.level", "level >= current.level", OPERATOR),
    Mutation("processor asked though cpuinfo failed", "src/runtime/dispatch.cc", "return cpuinfo_ready && row.available();", "return cpuinfo_ready ? row.available() : row.available();", DISPATCH),
]


def copy_source():
    """The tracked and new files of the checkout; what has not changed keeps its time, so that a build goes on."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    names = [name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]
    for name in names:
        target = SOURCE / name
        content = (ROOT / name).read_bytes()
        if target.exists() and target.read_bytes() == content:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        shutil.copymode(ROOT / name, target)
    if (ROOT / SYSROOT).exists() and not (SOURCE / SYSROOT).exists():
        (SOURCE / SYSROOT).parent.mkdir(exist_ok=True)
        (SOURCE / SYSROOT).symlink_to(ROOT / SYSROOT)


class Build:
    def __init__(self, preset):
        self.directory = SOURCE / "build" / preset
        self.emulator = ["qemu-aarch64-static", "-L", str(SOURCE / SYSROOT)] if preset == "aarch64" else []
        options = ["-DSMXPACK_BUILD_BENCHMARKS=OFF", "-DSMXPACK_BUILD_EXAMPLES=OFF", "-DPython3_EXECUTABLE=/usr/bin/python3"]
        if shutil.which("ccache"):
            options += [f"-DCMAKE_{language}_COMPILER_LAUNCHER=ccache" for language in ("C", "CXX")]
        command = ["cmake", "--preset", preset, *options]
        subprocess.run(command, cwd=SOURCE, stdout=subprocess.DEVNULL, check=True)

    def compile(self, targets):
        """What the compiler says where it fails."""
        command = ["cmake", "--build", str(self.directory), "--target", *targets]
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return result.stdout if result.returncode else None

    def failing_case(self, test, cases):
        """The first case that fails, and how; None where all of them pass."""
        command = [*self.emulator, str(self.directory / "test" / test), f"--gtest_filter={cases}", "--gtest_fail_fast"]
        try:
            result = subprocess.run(
                command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS_OF_A_TEST, errors="replace", text=True
            )
        except subprocess.TimeoutExpired:
            return "does not end"
        started = re.findall(r"^\[ RUN +\] (\S+)", result.stdout, re.MULTILINE)
        if not started:
            sys.exit(f"{test} has no case {cases}:\n{result.stdout}")
        if result.returncode == 0:
            return None
        failed = re.findall(r"^\[ +FAILED +\] (\S+)", result.stdout, re.MULTILINE)
        if failed:
            return failed[0].rstrip(",")
        how = signal.Signals(-result.returncode).name if result.returncode < 0 else f"exit {result.returncode}"
        return f"{started[-1]} ({how})"


def is_read_by_generator(file):
    return file.endswith((".j2", ".py", ".json")) and not file.startswith("scripts/")


@functools.lru_cache(maxsize=None)
def generator():
    """scripts/generate.py of the copy. Most of its time is clang-format's: a mutation changes few of the files."""
    spec = importlib.util.spec_from_file_location("generate", SOURCE / "scripts" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look themselves up
    spec.loader.exec_module(module)
    module.clang_format = functools.lru_cache(maxsize=None)(module.clang_format)
    return module


def apply(mutation):
    """The files that it changed, with what they held before; None where it does not apply."""
    path = SOURCE / mutation.file
    text = path.read_text()
    if text.count(mutation.old) != 1:
        return None
    before = {path: text}
    path.write_text(text.replace(mutation.old, mutation.new))
    if is_read_by_generator(mutation.file):
        for generated, new in generator().render_all().items():
            old = generated.read_text()
            if new != old:
                before[generated] = old
                generated.write_text(new)
    return before


def check_that_all_apply():
    stale = [m.name for m in MUTATIONS if (ROOT / m.file).read_text().count(m.old) != 1]
    repeated = {m.name for m in MUTATIONS if [other.name for other in MUTATIONS].count(m.name) > 1}
    if stale or repeated:
        sys.exit("\n".join([f"does not apply: {name}" for name in stale] + [f"twice: {name}" for name in sorted(repeated)]))


def judge(mutation, build):
    """(whether a test fails as it should, what happened)"""
    before = apply(mutation)
    if before is None:
        return False, "DOES NOT APPLY"
    try:
        messages = build.compile([mutation.test])
        if messages:
            return False, f"DOES NOT COMPILE\n{messages[-2000:]}"
        case = build.failing_case(mutation.test, mutation.cases)
        return (True, f"killed by {mutation.test}: {case}") if case else (False, "SURVIVES")
    finally:
        for path, text in before.items():
            path.write_text(text)


def check_unbroken(mutations, build):
    """Without a mutation, the tests that are to fail must pass."""
    messages = build.compile(sorted({m.test for m in mutations}))
    if messages:
        sys.exit(messages)
    for test, cases in sorted({(m.test, m.cases) for m in mutations}):
        case = build.failing_case(test, cases)
        if case:
            sys.exit(f"{test} fails without a mutation: {case}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="take mutations with one of these in their name")
    parser.add_argument("--neon", action="store_true", help="take those of NEON")
    parser.add_argument("--list", action="store_true", help="print them")
    parser.add_argument("--check", action="store_true", help="tell which do not apply any more")
    options = parser.parse_args()
    if options.check:
        check_that_all_apply()
        return
    mutations = [m for m in MUTATIONS if m.is_neon == options.neon]
    if options.words:
        mutations = [m for m in mutations if any(word in m.name for word in options.words)]
    if not mutations:
        sys.exit("no such mutation")
    if options.list:
        for mutation in mutations:
            print(f"{mutation.name}: {mutation.file}, {mutation.test}")
        return
    if options.neon and not (ROOT / SYSROOT).exists():
        sys.exit("run scripts/test_neon.sh first")

    copy_source()
    os.environ.setdefault("CCACHE_BASEDIR", str(SOURCE))
    build = Build("aarch64" if options.neon else "release")
    flags = pathlib.Path("/proc/cpuinfo").read_text().split()
    absent = [m for m in mutations if not m.is_within(flags)]
    mutations = [m for m in mutations if m not in absent]
    check_unbroken(mutations, build)
    failures = 0
    for mutation in mutations:
        is_killed, what = judge(mutation, build)
        failures += not is_killed
        print(f"{mutation.name}: {what}", flush=True)
    for mutation in absent:
        print(f"{mutation.name}: NOT RUN, the processor has no such instructions")
    print(f"{len(mutations) - failures} of {len(mutations)} mutations killed, {len(absent)} not run")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
