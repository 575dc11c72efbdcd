"""The one list: every microkernel, its variants, and the constants of the arithmetic contract.

A row: name, parameters, variants, archive. In every kernel n counts elements and is at least 1; nothing outside
x[0 .. n) is read, nothing outside y[0 .. n) written; y may be x. Kernels run under smx_fp_environment.

Function names, files, build lists, dispatch, tests and benches follow from it. A kernel exists for every ISA of
src/isa; src/isa/tuned.json says which variant an ISA's dispatch takes, the first of the list where it does not.
"""

# The expression tree of a sum (see src/kernels/extended.h). Part of the contract: a change changes result bits.
LANES = 16
BLOCK = 1024
TILE = 16384

# (tile, accumulators): elements that an iteration of the main loop takes, and how many sums it has under way: blocks
# (extended sums), rows (several at a time) or vectors (baselines).
SUMS = [(32, 1), (64, 1), (128, 1), (64, 2), (128, 2), (128, 4)]
MAPS = [(16, 1), (32, 1), (64, 1), (128, 1)]
COLUMNS = [(64, 2), (128, 4), (256, 4), (256, 8)]
ROWS = [(64, 4), (64, 8), (128, 8), (32, 16), (64, 16)]
REDUCTIONS = [(32, 1), (32, 2), (32, 4), (64, 1), (64, 2), (64, 4), (128, 4)]

BASELINES = "baselines"  # the archive that tests and benches link, and the library does not
RECIPROCAL = "const struct smx_f32_reciprocal* reciprocal"
ROW_PARAMETERS = "size_t rows, size_t n, const float* x, size_t x_stride, float* y, size_t y_stride, size_t* done"

KERNELS = [
    # The paper's two passes: a tile to its sum, and y[i] = exp(x[i]) * reciprocal. A sum takes at most TILE elements.
    Kernel("f32-raddextexp", "size_t n, const float* x, struct smx_f32_extended* sum", SUMS),
    Kernel("f32-vscaleextexp", f"size_t n, const float* x, float* y, {RECIPROCAL}", MAPS),
    # The same, written past the caches.
    Kernel("f32-vstreamextexp", f"size_t n, const float* x, float* y, {RECIPROCAL}", MAPS),
    # One exponential an element: store the terms of the sum, then multiply them by its reciprocal.
    Kernel("f32-raddstoreextexp", "size_t n, const float* x, float* y, struct smx_f32_extended* sum", SUMS),
    Kernel("f32-vmulextc", f"size_t n, const float* x, float* y, {RECIPROCAL}", MAPS),
    # Rows of at most BLOCK elements, `accumulators` of them at a time, from logits to probabilities in one call.
    # *done counts the rows before the first that is out of range; from there on rows are left as they are.
    Kernel("f32-softmax", ROW_PARAMETERS, ROWS),
    # The same of rows of at most 4 * LANES elements, each a lane.
    Kernel("f32-softmax-transposed", ROW_PARAMETERS, COLUMNS),
    # The largest element; where one is NaN, any number. Of rows that are to be known to be within range in advance.
    Kernel("f32-rmax", "size_t n, const float* x, float* max", REDUCTIONS),
    # The paper's three-pass baselines, but for f32-rmax: recomputing and reloading.
    Kernel("f32-raddexpminusmax", "size_t n, const float* x, float max, float* sum", REDUCTIONS, BASELINES),
    Kernel("f32-vscaleexpminusmax", "size_t n, const float* x, float* y, float scale, float max", MAPS, BASELINES),
    Kernel("f32-raddstoreexpminusmax", "size_t n, const float* x, float* y, float max, float* sum", REDUCTIONS, BASELINES),
    Kernel("f32-vmulc", "size_t n, const float* x, float* y, float scale", MAPS, BASELINES),
]
