"""The one list: every microkernel, its variants, and the constants of the arithmetic contract.

A row: name, parameters, variants, archive, types. There is a kernel for each of the types, those of x and of y, {x} and
{y} among the parameters: "f16-raddextexp" of ("f16",), "f32-bf16-vscaleextexp" of ("f32-bf16",). Arithmetic is in f32.
In every kernel n counts elements and is at least 1; nothing outside x[0 .. n) is read, nothing outside y[0 .. n)
written; y may be x where they are of one type. Kernels run under smx_fp_environment.

Function names, files, build lists, dispatch, tests and benches follow from it. A kernel exists for every ISA of
src/isa; src/isa/tuned.json says which variant an ISA's dispatch takes, the first of the list where it does not.
"""

# The expression tree of a sum (see src/kernels/extended.h). Part of the contract: a change changes result bits.
LANES = 16
BLOCK = 1024
TILE = 16384

# Elements of the longest rows that f32-softmax takes: three blocks, the last one not whole.
GROUPED = 3 * BLOCK - 1

# Columns of a group of a panel, which kernels on columns take: a cache line of floats, and whole vectors of every ISA.
PANEL = 16

# (tile, accumulators): elements that an iteration of the main loop takes, and how many sums it has under way: blocks
# (extended sums), rows (several at a time) or vectors (baselines).
SUMS = [(32, 1), (64, 1), (128, 1), (64, 2), (128, 2), (128, 4)]
MAPS = [(16, 1), (32, 1), (64, 1), (128, 1)]
# Of types that take conversions: one, for the arithmetic is the same, and every variant is built for each pair of types.
NARROW_SUMS = [(64, 1)]
NARROW_MAPS = [(32, 1)]
QUANTIZED_SUMS = [(64, 1)]
QUANTIZED_MAPS = [(64, 1), (16, 1)]
SHORT_ROWS = [(16, 1), (32, 1), (64, 1)]
ROWS = [(64, 4), (64, 8), (128, 8), (32, 16), (64, 16)]
LOG_ROWS = [(64, 4), (64, 16)]
SHORT_COLUMNS = [(256, 4), (128, 4), (64, 4)]
COLUMN_SUMS = [(32, 1), (16, 1)]
COLUMN_MAPS = [(64, 1), (128, 1), (32, 1), (16, 1)]
REDUCTIONS = [(32, 1), (32, 2), (32, 4), (64, 1), (64, 2), (64, 4), (128, 4)]

# Types beside f32: of kernels that read, that read and write, and that convert.
READ = ("f16", "bf16")
CONVERTED = ("f16-f32", "bf16-f32", "f32-f16", "f32-bf16")
MAPPED = READ + CONVERTED
# Quantised: elements q stand for scale * (q - zero point). Kernels read q, for softmax does not depend on the zero point.
# One variant each, a smaller one for the fallback, and none that writes past the caches, for the library is to stay small.
QUANTIZED = ("qu8", "qs8")
DEQUANTIZED = ("qu8-f32", "qs8-f32")
FROM_F32 = ("f32-qu8", "f32-qs8")

BASELINES = "baselines"  # the archive that tests and benches link, and the library does not
EXPONENTIAL = "const struct smx_f32_exponential* exponential"
RECIPROCAL = "const struct smx_f32_reciprocal* reciprocal"
SCALING = RECIPROCAL + ", " + EXPONENTIAL
QUANTIZER = "const struct smx_f32_quantizer* quantizer"
QUANTIZING = SCALING + ", " + QUANTIZER
LOGARITHM = "const struct smx_f32_logarithm* logarithm"
MOVED = "const float* x, size_t x_stride, float* y, size_t y_stride"
PLACES = "size_t group_stride, size_t n, size_t columns"
ROWS_READ = "size_t rows, size_t n, const float* x, size_t x_stride, "
GROWING_ROWS_READ = "size_t rows, size_t n, ptrdiff_t growth, const float* x, size_t x_stride, const float* next, size_t next_stride, "
ROWS_WRITTEN = "float* y, size_t y_stride, size_t* done, " + EXPONENTIAL
STREAMED_ROWS = "float* y, size_t y_stride, bool streams, size_t* done, " + EXPONENTIAL
WIDE_ROWS = STREAMED_ROWS.replace("bool streams", "size_t width, bool streams")
MASK = "const float* mask, size_t mask_stride, float scale, "
COLUMN_PARAMETERS = "size_t columns, size_t n, const float* x, size_t x_stride, float* y, size_t y_stride, bool is_log, bool streams, size_t* done, " + EXPONENTIAL

KERNELS = [
    # The paper's two passes: a tile to its sum, and y[i] = exp(scale * x[i]) * reciprocal. A sum takes at most TILE elements, and asks
    # for those that are `following` them, which are to be read next, before it ends.
    Kernel("raddextexp", "size_t n, const {x}* x, size_t following, struct smx_f32_extended* sum, " + EXPONENTIAL, SUMS),
    Kernel("raddextexp", "size_t n, const {x}* x, size_t following, struct smx_f32_extended* sum, " + EXPONENTIAL, NARROW_SUMS, types=READ),
    Kernel("raddextexp", "size_t n, const {x}* x, size_t following, struct smx_f32_extended* sum, " + EXPONENTIAL, QUANTIZED_SUMS, types=QUANTIZED),
    Kernel("vscaleextexp", "size_t n, const {x}* x, {y}* y, " + SCALING, MAPS),
    Kernel("vscaleextexp", "size_t n, const {x}* x, {y}* y, " + SCALING, NARROW_MAPS, types=MAPPED),
    Kernel("vscaleextexp", "size_t n, const {x}* x, {y}* y, " + SCALING, QUANTIZED_MAPS, types=DEQUANTIZED),
    Kernel("vscaleextexp", "size_t n, const {x}* x, {y}* y, " + QUANTIZING, QUANTIZED_MAPS, types=QUANTIZED),
    # The same, written past the caches.
    Kernel("vstreamextexp", "size_t n, const {x}* x, {y}* y, " + SCALING, MAPS),
    Kernel("vstreamextexp", "size_t n, const {x}* x, {y}* y, " + SCALING, NARROW_MAPS, types=MAPPED),
    # One exponential an element: store the terms of the sum, then multiply them by its reciprocal.
    # Where a mask is not NULL, of scale * x + mask, and then y is not x; if the sum is NaN, so may be an element that the mask hides.
    Kernel("raddstoreextexp", f"size_t n, const float* x, size_t following, const float* mask, float scale, float* y, struct smx_f32_extended* sum, {EXPONENTIAL}", SUMS),
    Kernel("vmulextc", f"size_t n, const float* x, float* y, {RECIPROCAL}", MAPS),
    # Rows of at most BLOCK elements, `accumulators` of them at a time, or longer ones, up to GROUPED, all of as many blocks and none of fewer elements than the one
    # before: from logits to probabilities in one call. Of the latter a mask must not hide NaN: such a row counts as out of range.
    # *done counts the rows before the first that is out of range; from there on rows are left as they are. Where a mask is not
    # NULL, of scale * x + mask; and then, where sinks is not NULL, row r of at most BLOCK - 1 elements has one more, that has no result:
    # the logit sinks[r * sink_stride] behind them. Row r has n + r * growth elements, and its results from there to `width` are 0. While it is computed row
    # r of `next` is asked for, or, where that is NULL, one that follows.
    # Rows whose results stream are written past the caches where vectors are whole: y and its stride are multiples of LANES then.
    Kernel("softmax", GROWING_ROWS_READ + MASK + "const float* sinks, size_t sink_stride, " + WIDE_ROWS, ROWS),
    # The same of rows of at most 4 * LANES elements, each a lane. Where they grow, they do so for growing_rows rows, and then begin anew;
    # the longest has at most 2 * LANES elements, and all have as many results. A mask begins anew after mask_rows rows, a multiple of LANES,
    # unless there are no more.
    Kernel("softmax-transposed", ROWS_READ.replace("size_t n, ", "size_t n, size_t growth, size_t growing_rows, ") + MASK.replace("float scale", "size_t mask_rows, float scale") + ROWS_WRITTEN, SHORT_ROWS),
    # The same two of log-softmax, of at most BLOCK elements.
    Kernel("log-softmax", ROWS_READ + STREAMED_ROWS, LOG_ROWS),
    Kernel("log-softmax-transposed", ROWS_READ + ROWS_WRITTEN, SHORT_ROWS),
    # Columns of at most 4 * LANES steps, each a lane, from logits to probabilities or their logarithms in one call. *done counts the columns
    # before the first vector of them that has one out of range; from there on columns are left as they are. Results that
    # stream, here and below, are written past the caches where vectors are whole: y and its stride are multiples of PANEL.
    Kernel("softmax-columns", COLUMN_PARAMETERS, SHORT_COLUMNS),
    # Longer ones, by way of a panel (see src/kernels/extended.h) or where they are: n steps of columns; whole vectors of the panel are
    # written, and read. Then of a group of PANEL columns the largest elements, its terms and sums, a block at a time, and
    # these sums over their lanes, and of them the reciprocals or, where an exponential is given, the logarithms. Terms that nobody asks for
    # go to one step of y, of stride 0. In the end of terms y = x * (hi + lo), of which each column has its own, or of elements y = scale *
    # (factor * x - shift) - logarithm, or once more their terms, scaled.
    Kernel("pack-columns", "const float* x, size_t x_stride, float* panel, " + PLACES, COLUMN_MAPS),
    Kernel("rmax-columns", "size_t n, const float* x, size_t x_stride, float* max", [(16, 1)]),
    Kernel("raddstoreextexp-columns",
           "size_t n, const float* x, size_t x_stride, float* y, size_t y_stride, const float* max, size_t lanes, struct smx_f32_column_sums* sums, const char* next, size_t next_stride, "
           + EXPONENTIAL, COLUMN_SUMS),
    Kernel("raddlanes-columns", "const struct smx_f32_column_sums* sums, struct smx_f32_column_totals* total, " + EXPONENTIAL, [(16, 1)]),
    Kernel("vmulextc-columns", "const float* panel, float* y, size_t y_stride, " + PLACES + ", const float* hi, const float* lo, bool streams",
           COLUMN_MAPS),
    Kernel("vsubextc-columns",
           "const float* panel, size_t panel_stride, float* y, size_t y_stride, " + PLACES + ", const struct smx_f32_column_logarithms* logarithms, bool streams",
           COLUMN_MAPS),
    Kernel("vscaleextexp-columns",
           "const float* panel, size_t panel_stride, float* y, size_t y_stride, " + PLACES
           + ", const float* reference, const float* hi, const float* lo, bool streams, " + EXPONENTIAL, COLUMN_MAPS),
    # Columns to rows, which do not overlap them, and back.
    Kernel("columns-to-rows", "size_t n, size_t columns, " + MOVED, [(16, 1)]),
    Kernel("rows-to-columns", "size_t n, size_t columns, " + MOVED, [(16, 1)]),
    # The largest element; where one is NaN, any number. Of rows that are to be known to be within range in advance.
    Kernel("rmax", "size_t n, const {x}* x, float* max", REDUCTIONS),
    Kernel("rmax", "size_t n, const {x}* x, float* max", [(64, 4)], types=READ + QUANTIZED),
    # Log-softmax: y[i] = scale * (factor * x[i] - shift) - logarithm.
    Kernel("vsubextc", "size_t n, const {x}* x, {y}* y, " + LOGARITHM, NARROW_MAPS, types=("f32",) + MAPPED),
    # Of each of at least SMX_TOPK_ROWS rows of at most SMX_TOPK_ROW elements the indices of the k largest, k <= SMX_TOPK, the largest
    # first, of equal ones the lower index first, of NaN above all numbers.
    Kernel("topk", "size_t rows, size_t n, size_t k, const float* x, size_t x_stride, int32_t* indices", [(8, 1)]),
    # y[i] = x[i] in another type: short rows of other types are computed in f32.
    Kernel("vcvt", "size_t n, const {x}* x, {y}* y", NARROW_MAPS, types=CONVERTED),
    Kernel("vcvt", "size_t n, const {x}* x, {y}* y", QUANTIZED_MAPS, types=DEQUANTIZED),
    Kernel("vcvt", "size_t n, const {x}* x, {y}* y, " + QUANTIZER, QUANTIZED_MAPS, types=FROM_F32),
    # What attention makes of its logits, before the exponential: scale * x + mask, scale * x where a boolean is true,
    # scale * x - slope * |distance|, cap * tanh(ratio * x).
    Kernel("vaddmask", "size_t n, const float* x, const float* mask, float* y, float scale", [(64, 1)]),
    Kernel("vselect", "size_t n, const {x}* x, const float* logits, {y}* y, float scale", [(64, 1)], types=("qu8-f32",)),
    Kernel("vaddslope", "size_t n, const float* x, float* y, float scale, float slope, float first", [(64, 1)]),
    Kernel("vsoftcap", "size_t n, const float* x, float* y, float ratio, float cap", [(64, 1)]),
    # The paper's three-pass baselines, but for f32-rmax: recomputing and reloading.
    Kernel("raddexpminusmax", "size_t n, const float* x, float max, float* sum", REDUCTIONS, BASELINES),
    Kernel("vscaleexpminusmax", "size_t n, const float* x, float* y, float scale, float max", MAPS, BASELINES),
    Kernel("raddstoreexpminusmax", "size_t n, const float* x, float* y, float max, float* sum", REDUCTIONS, BASELINES),
    Kernel("vmulc", "size_t n, const float* x, float* y, float scale", MAPS, BASELINES),
]
