"""The parts of the tuner that measure nothing: its choice (scripts/tune.py), and the loops it finds (scripts/mca.py)."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "scripts"))
sys.dont_write_bytecode = True

import generate  # noqa: E402
import mca  # noqa: E402
import tune  # noqa: E402


def times(**medians):
    return {size: tune.Times(median, 0.0) for size, median in medians.items()}


class Choice(unittest.TestCase):
    def test_times_are_relative_to_the_best_at_each_size(self):
        relative = tune.relative_times({"u16": times(L2=1.0, memory=8.0), "u32": times(L2=4.0, memory=2.0)})
        self.assertAlmostEqual(relative["u16"], 2.0)  # sqrt(1 * 4)
        self.assertAlmostEqual(relative["u32"], 2.0)  # sqrt(4 * 1)

    def test_median_and_distance_of_quartiles(self):
        seen = tune.Times.of([1.0, 2.0, 3.0, 4.0, 100.0])
        self.assertEqual(seen.median, 3.0)
        self.assertAlmostEqual(tune.Times.of([2.0] * 5).spread, 0.0)
        self.assertGreater(seen.spread, 1.0)

    def test_fastest_beyond_a_tie(self):
        self.assertEqual(tune.choose({"u16": 1.03, "u64": 1.0}, {"u16": 100, "u64": 400}), "u64")

    def test_smallest_code_within_a_tie(self):
        code_bytes = {"u16": 100, "u32": 200, "u64": 400}
        self.assertEqual(tune.choose({"u16": 1.03, "u32": 1.019, "u64": 1.0}, code_bytes), "u32")

    def test_tie_is_relative_to_the_fastest(self):
        self.assertEqual(tune.choose({"u16": 1.53, "u32": 1.519, "u64": 1.5}, {"u16": 1, "u32": 2, "u64": 3}), "u16")

    def test_faster_of_equal_code(self):
        self.assertEqual(tune.choose({"u64": 1.01, "u64_acc2": 1.0}, {"u64": 400, "u64_acc2": 400}), "u64_acc2")


X86 = """
	.type	_ZL3rowmPKf, @function
_ZL3rowmPKf:
.L2:
	vmaxps	(%rdi), %ymm4, %ymm1
	vfmadd132ps	%ymm3, %ymm2, %ymm1
	vmaxps	32(%rdi), %ymm4, %ymm5
	vfmadd132ps	.LC1(%rip), %ymm2, %ymm5
	addq	$128, %rdi
	vmaxps	-64(%rdi), %ymm4, %ymm6
	vmulps	-32(%rdi), %ymm6, %ymm7
	vbroadcastss	(%rdi), %ymm9
	vaddps	64(%rsp), %ymm9, %ymm9
	vaddps	-64(%rdi), %ymm9, %ymm9
	vmovups	%ymm9, (%rdx,%rdi)
	cmpq	%rdi, %rax
	jne	.L2
	ret
	.size	_ZL3rowmPKf, .-_ZL3rowmPKf
	.type	kernel, @function
kernel:
	.cfi_startproc
	testq	%rdi, %rdi
	je	.L9
.L5:
	vmaxps	(%rsi), %ymm0, %ymm0
	addq	$32, %rsi
	cmpq	%rsi, %rax
	jne	.L5
.L6:
	call	_ZL3rowmPKf
	vfmadd132ps	(%rsi), %ymm2, %ymm1
	addq	$512, %rsi
	cmpq	%rsi, %rax
	jne	.L6
.L7:
	vfmadd132ps	(%rsi), %ymm2, %ymm1
	addq	$32, %rsi
	cmpq	%rsi, %rax
	jne	.L7
.L9:
	ret
	.size	kernel, .-kernel
"""

AARCH64 = """
	.type	kernel, %function
kernel:
	cmp	x0, 31
	bls	.L4
.L3:
	ldp	q26, q25, [x3]
	ldr	q24, [x3, 32]
	ldr	q23, [sp, 16]
	ld1r	{v2.4s}, [x3]
	add	x5, sp, 96
	ld1	{v4.16b - v5.16b}, [x5]
	fmla	v18.4s, v26.4s, v2.4s
	add	x3, x3, 64
	ldr	q24, [x3, -32]
	str	q24, [x6], 64
	cmp	x3, x4
	bhi	.L3
.L4:
	ret
	.size	kernel, .-kernel
"""


def variant(kernel, name):
    """Of AVX2, as it is in the list or would be."""
    [isa] = [each for each in generate.load_isas() if each.name == "avx2"]
    [row] = [each for each in generate.load_list()["KERNELS"] if each.name == kernel]
    tile, _, accumulators = name.removeprefix("u").partition("_acc")
    return generate.Variant(row, isa, int(tile), int(accumulators or 1))


class MainLoop(unittest.TestCase):
    def loop_of(self, name, text, processor):
        assembly = mca.ASSEMBLIES[processor]
        loop = mca.main_loop(name, mca.functions(text), assembly)
        return loop, mca.strides(loop, assembly)

    def test_most_multiply_adds_are_looked_for_in_the_functions_that_a_kernel_calls(self):
        loop, strides = self.loop_of("kernel", X86, "x86_64")
        self.assertEqual((loop[0], loop[-1], len(loop)), ("vmaxps (%rdi), %ymm4, %ymm1", "jne .L2", 13))
        self.assertEqual(strides, {128})  # neither the load beyond, nor the stack, nor the constant change it

    def test_without_that_function_its_own_loop_is_left(self):
        bodies = {"kernel": mca.functions(X86)["kernel"]}
        loop = mca.main_loop("kernel", bodies, mca.ASSEMBLIES["x86_64"])
        self.assertEqual(loop[-1], "jne .L7")  # .L5 has no multiply-add, and .L6 a call

    def test_of_as_many_multiply_adds_the_longest_is_taken(self):
        ahead = X86.replace(".L7:", ".L8:\n\tvfmadd132ps\t(%rsi), %ymm2, %ymm1\n\tvmaxps\t4096(%rsi), %ymm3, %ymm3\n"
                            "\taddq\t$32, %rsi\n\tcmpq\t%rsi, %rax\n\tjne\t.L8\n.L7:")
        bodies = {"kernel": mca.functions(ahead)["kernel"]}
        self.assertEqual(mca.main_loop("kernel", bodies, mca.ASSEMBLIES["x86_64"])[-1], "jne .L8")

    def test_of_as_many_exponentials_the_fewest_multiply_adds_are_taken(self):
        both = X86.replace(".L7:", ".L8:\n\tvfmadd132ps\t(%rsi), %ymm2, %ymm1\n\tvfmadd132ps\t(%rdx), %ymm2, %ymm1\n"
                           "\tvpslld\t$20, %ymm1, %ymm1\n\taddq\t$32, %rsi\n\tcmpq\t%rsi, %rax\n\tjne\t.L8\n"
                           ".L7:\n\tvpslld\t$20, %ymm1, %ymm1")
        self.assertEqual(mca.main_loop("kernel", mca.functions(both), mca.ASSEMBLIES["x86_64"])[-1], "jne .L7")

    def test_functions_are_found_by_their_addresses_too(self):
        by_address = X86.replace("call\t_ZL3rowmPKf", "leaq\t_ZL3rowmPKf(%rip), %rax")
        self.assertEqual(mca.main_loop("kernel", mca.functions(by_address), mca.ASSEMBLIES["x86_64"])[-1], "jne .L2")

    def test_an_index_counts_elements(self):
        loop = ["vmaxps -64(%rdi,%rax,4), %zmm12, %zmm20", "vmovups %zmm20, (%rsi,%rax,4)", "prefetcht0 (%rcx)", "addq $256, %rcx",
                "leaq 64(%rax), %rax", "jnb .L21"]
        self.assertEqual(mca.strides(loop, mca.ASSEMBLIES["x86_64"]), {256})

    def test_aarch64(self):
        loop, strides = self.loop_of("kernel", AARCH64, "aarch64")
        self.assertEqual((len(loop), strides), (12, {64}))  # by an addition, and by a store; the stack stays

    def test_an_address_that_is_moved_to_where_another_is(self):
        self.assertEqual(mca.strides(["add x2, x2, 64", "ldr q1, [x0]", "mov x0, x2", "bne .L1"], mca.ASSEMBLIES["aarch64"]), {64})

    def test_a_loop_with_a_branch_inside_is_refused(self):
        bodies = mca.functions(AARCH64.replace("	cmp	x3, x4\n", "	cbz	x3, .L4\n"))
        with self.assertRaisesRegex(mca.Unpredictable, "without branches"):
            mca.main_loop("kernel", bodies, mca.ASSEMBLIES["aarch64"])

    def test_an_absent_function_is_said(self):
        with self.assertRaisesRegex(mca.Unpredictable, "does not hold"):
            mca.main_loop("kernel", {}, mca.ASSEMBLIES["x86_64"])


class Elements(unittest.TestCase):
    LOOP = ["vmovups (%rdi), %ymm1", "subq $-128, %rdi"]

    def elements(self, kernel, name):
        return mca.elements_of(self.LOOP, variant(kernel, name), mca.ASSEMBLIES["x86_64"])

    def test_of_a_loop_whose_types_differ(self):
        loop = ["vcvtph2ps (%rdi), %ymm1", "vmovups %ymm1, (%rsi)", "addq $64, %rdi", "subq $-128, %rsi"]
        of_types = lambda kernel: mca.elements_of(loop, variant(kernel, "u32"), mca.ASSEMBLIES["x86_64"])
        self.assertEqual(of_types("f16-f32-vcvt"), 32)
        with self.assertRaisesRegex(mca.Unpredictable, "by .64, 128."):
            of_types("f32-vmulc")

    def test_of_a_loop_that_takes_its_tile(self):
        self.assertEqual(self.elements("f32-rmax", "u32_acc4"), 32)

    def test_of_blocks_walked_together(self):
        self.assertEqual(self.elements("f32-raddextexp", "u128_acc4"), 128)

    def test_of_columns_by_their_exponentials(self):
        of_exponentials = lambda n, name: mca.elements_of(["vpslld $20, %ymm1, %ymm1"] * n, variant("f32-softmax-columns", name),
                                                          mca.ASSEMBLIES["x86_64"])
        self.assertEqual(of_exponentials(4, "u128_acc4"), 32)
        with self.assertRaisesRegex(mca.Unpredictable, "of 24 elements, and in the list it is u128_acc4"):
            of_exponentials(3, "u128_acc4")

    def test_that_contradict_the_list_are_refused(self):
        for kernel, name in (("f32-rmax", "u64_acc2"), ("f32-raddextexp", "u64"), ("f32-softmax-transposed", "u64")):
            with self.assertRaisesRegex(mca.Unpredictable, "128. bytes, and in the list it is " + name):
                self.elements(kernel, name)


if __name__ == "__main__":
    unittest.main()
