"""The one list: every microkernel, its variants, and the constants of the arithmetic contract.

Names, files, build lists, dispatch, tests and benches follow from it. A kernel exists for every ISA of src/isa;
an ISA's record says which variant its dispatch takes (`tuned`), the first of the list where it does not say.
"""

# The expression tree of a sum (see src/kernels/extended.h). Part of the contract: a change changes result bits.
LANES = 16
BLOCK = 1024
TILE = 16384

# (tile, accumulators): elements an iteration of the main loop takes, and how many blocks (extended sums) or
# vectors (baselines) it sums at once. Variants with fewer vectors than accumulators are left out for an ISA.
SUMS = [(32, 1), (64, 1), (128, 1), (64, 2), (128, 2), (128, 4)]
MAPS = [(16, 1), (32, 1), (64, 1), (128, 1)]
REDUCTIONS = [(32, 1), (32, 2), (32, 4), (64, 1), (64, 2), (64, 4), (128, 4)]

KERNELS = [
    # The paper's two passes.
    Kernel("f32-raddextexp", variants=SUMS),
    Kernel("f32-vscaleextexp", variants=MAPS),
    # One exponential an element: store the terms of the sum, then multiply them by its reciprocal.
    Kernel("f32-raddstoreextexp", variants=SUMS),
    Kernel("f32-vmulextc", variants=MAPS),
    # The paper's three-pass baselines: recomputing and reloading.
    Kernel("f32-rmax", variants=REDUCTIONS, archive="baselines"),
    Kernel("f32-raddexpminusmax", variants=REDUCTIONS, archive="baselines"),
    Kernel("f32-vscaleexpminusmax", variants=MAPS, archive="baselines"),
    Kernel("f32-raddstoreexpminusmax", variants=REDUCTIONS, archive="baselines"),
    Kernel("f32-vmulc", variants=MAPS, archive="baselines"),
]
