"""Softmax, log-softmax and logsumexp of NumPy arrays, by the shared library of SMXPACK.

Arrays are float32, float16 or bfloat16, those of softmax_quantized uint8 or int8. Softmax and log-softmax are taken over any axis, the others over the last. NumPy has no bfloat16: such arrays hold its
bits, and say so by their dtype, `bits.view(smxpack.bfloat16)` for bits of uint16; `result.view(numpy.uint16)` gives them back.

    >>> import numpy, smxpack
    >>> smxpack.softmax(numpy.float32([[1, 2, 3], [0, 0, 0]]))
    array([[0.09003057, 0.24472848, 0.66524094],
           [0.33333334, 0.33333334, 0.33333334]], dtype=float32)

What the results are, error bounds and special rows included, stands in smxpack.h. The library is the file that the environment
variable SMXPACK_LIBRARY names, or the system's libsmxpack.so.

Functions may be called from any thread, and let other threads of Python run. `threads` is how many compute.
"""

import contextlib
import ctypes
import ctypes.util
import functools
import os
import threading

import numpy as np

__all__ = ["attention_softmax", "bfloat16", "log_softmax", "logsumexp", "merge_partial_sums", "moe_gate", "partial_sum", "scale_by_partial_sum", "softmax", "softmax_quantized"]

bfloat16 = np.dtype([("bfloat16", np.uint16)])

# struct smx_partial_sum, whose members are the library's matter.
_PARTIAL_SUM = np.dtype([("smx_partial_sum", np.int64, 6)], align=True)

_DATATYPES = {np.dtype(np.float32): 1, np.dtype(np.float16): 2, bfloat16: 3}
_QUANTIZED = {np.dtype(np.uint8): 4, np.dtype(np.int8): 5}
_BOOL = 6
_MASKED_ROWS_TO_ZERO = 1
_CAUSAL = 2
_NORMALIZE_WEIGHTS = 8
_GATE_SCORES = {"softmax": 1, "logits": 2, "sigmoid": 3}


class _Quantization(ctypes.Structure):
    """struct smx_quantization"""

    _fields_ = [("scale", ctypes.c_float), ("zero_point", ctypes.c_int32)]


class _AttentionOptions(ctypes.Structure):
    """struct smx_attention_options"""

    _fields_ = [(name, ctypes.c_int) for name in ("input_type", "output_type", "mask_type")]
    _fields_ += [("softcap", ctypes.c_float), ("window", ctypes.c_size_t)]


_AttentionStrides = ctypes.c_size_t * 4


class _Attention(ctypes.Structure):
    """struct smx_attention"""

    _fields_ = [(name, ctypes.c_size_t) for name in ("batch_size", "heads", "queries", "keys")]
    _fields_ += [(name, _AttentionStrides) for name in ("input_strides", "output_strides")]
    _fields_ += [("input", ctypes.c_void_p), ("output", ctypes.c_void_p), ("mask_strides", _AttentionStrides)]
    _fields_ += [(name, ctypes.c_void_p) for name in ("mask", "slopes", "sinks", "key_lengths", "first_positions", "logsumexp")]


def _load():
    path = os.environ.get("SMXPACK_LIBRARY") or ctypes.util.find_library("smxpack")
    if path is None:
        raise ImportError("libsmxpack.so is not installed: let SMXPACK_LIBRARY name the shared library")
    library = ctypes.CDLL(path)
    library.smx_status_to_string.restype = ctypes.c_char_p
    # Of the library that it is linked with.
    library.pthreadpool_create.argtypes = [ctypes.c_size_t]
    library.pthreadpool_create.restype = ctypes.c_void_p
    return library


_library = _load()


def _call(name, *arguments):
    status = getattr(_library, name)(*arguments)
    if status != 0:
        raise RuntimeError(f"{name}: {_library.smx_status_to_string(status).decode()}")


_call("smx_initialize", None)


@functools.lru_cache(maxsize=None)
def _pool(threads):
    """A pool, which is kept, and the lock of those who use it: it serves one run at a time."""
    pool = _library.pthreadpool_create(threads)
    if pool is None:
        raise RuntimeError(f"{threads} threads cannot be created")
    return ctypes.c_void_p(pool), threading.Lock()


# Threads do not survive a fork.
os.register_at_fork(after_in_child=_pool.cache_clear)


def _run(op, threads):
    pool, lock = _pool(threads) if threads > 1 else (None, contextlib.nullcontext())
    with lock:
        _call("smx_run_operator", op, pool)


def _compute(name, create, setup, scale, threads, kind=""):
    """The life of operator `name`, created as a `kind` of it; `create` and `setup` are the arguments of these functions."""
    op = ctypes.c_void_p()
    _call(f"smx_create_{name}{kind}", *create, ctypes.byref(op))
    try:
        _call("smx_set_scale", op, ctypes.c_float(scale))
        _call(f"smx_setup_{name}", op, *setup)
        _run(op, threads)
    finally:
        _call("smx_delete_operator", op)


def _datatype(dtype):
    if dtype not in _DATATYPES:
        hint = "; of bfloat16's bits, use .view(smxpack.bfloat16)" if dtype == np.uint16 else ""
        raise TypeError(f"dtype {dtype} is neither float32 nor float16 nor smxpack.bfloat16{hint}")
    return _DATATYPES[dtype]


def _quantized_datatype(dtype):
    if dtype not in _QUANTIZED:
        raise TypeError(f"dtype {dtype} is neither uint8 nor int8")
    return _QUANTIZED[dtype]


def _check(x, axis, threads, datatype=_datatype):
    """x as an array that has rows, of one of the types that `datatype` knows."""
    x = np.asarray(x)
    datatype(x.dtype)
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ValueError(f"an array of shape {x.shape} has no rows of at least one element")
    if axis not in (-1, x.ndim - 1):
        raise ValueError(f"axis {axis} is not the last one")
    if threads < 1:
        raise ValueError(f"{threads} threads")
    return x


def _stride(rows):
    """Elements from one row to the next."""
    return rows.strides[0] // rows.itemsize if len(rows) > 1 else rows.shape[1]


def _rows(x):
    """A matrix of the array's rows as the library takes it: x itself where its strides allow it, otherwise a copy."""
    rows = x.reshape(-1, x.shape[-1])
    is_dense = rows.shape[1] == 1 or rows.strides[1] == rows.itemsize
    is_spaced = len(rows) < 2 or (rows.strides[0] % rows.itemsize == 0 and _stride(rows) >= rows.shape[1])
    is_aligned = rows.ctypes.data % rows.itemsize == 0
    return rows if is_dense and is_spaced and is_aligned else rows.copy()


def _pointer(array):
    return ctypes.c_void_p(array.ctypes.data)


def _size(value):
    return ctypes.c_size_t(value)


def _output(out, shape, dtype):
    """The array to return: `out`, or a new one."""
    if out is None:
        return np.empty(shape, dtype)
    if not isinstance(out, np.ndarray) or out.shape != shape or out.dtype != dtype or not out.flags.writeable:
        raise ValueError(f"out is not a writable array of {dtype} of shape {shape}")
    return out


def _are_same(rows, others):
    return (rows.ctypes.data, _stride(rows), rows.dtype) == (others.ctypes.data, _stride(others), others.dtype)


def _destination(output, source, sums):
    """Rows to write: the output's own where its strides allow it and nothing else is read there."""
    rows = _rows(output)
    read = ([] if _are_same(rows, source) else [source]) + ([] if sums is None else [sums])
    is_free = np.may_share_memory(rows, output) and not any(np.may_share_memory(rows, array) for array in read)
    return rows if is_free else np.empty(rows.shape, rows.dtype)


def _output_dtype(x, out, dtype):
    return np.dtype(dtype if dtype is not None else x.dtype if out is None else out.dtype)


def _map(name, x, axis, out, dtype, masked_rows_to_zero, scale, threads, sums=None):
    x = _check(x, axis, threads)
    dtype = _output_dtype(x, out, dtype)
    create = (_datatype(x.dtype), _datatype(dtype), _MASKED_ROWS_TO_ZERO if masked_rows_to_zero else 0)
    return _compute_rows(name, create, x, out, dtype, scale, threads, sums=sums)


def _compute_rows(name, create, x, out, dtype, scale, threads, sums=None, kind=""):
    output = _output(out, x.shape, dtype)
    source = _rows(x)
    rows = _destination(output, source, sums)
    setup = [_size(len(source)), _size(source.shape[1]), _size(_stride(source)), _size(_stride(rows))]
    setup += [_pointer(array) for array in (source, sums, rows) if array is not None]
    _compute(name, create, setup, scale, threads, kind)
    if not np.may_share_memory(rows, output):
        output[...] = rows.reshape(output.shape)
    return output


def _as_slices(array, axis):
    """The array's shape as the library takes it over an axis, (outer, axis, inner), and the strides of the former two; None
    where it does not."""
    item = array.itemsize
    dimensions = [(size, stride // item) for size, stride in zip(array.shape, array.strides) if stride % item == 0]
    if len(dimensions) < array.ndim or array.ctypes.data % array.itemsize != 0:
        return None

    def merge(part):
        """The dimensions as one."""
        part = [(size, stride) for size, stride in part if size > 1]
        if any(outer[1] != inner[0] * inner[1] for outer, inner in zip(part, part[1:])):
            return None
        return (int(np.prod([size for size, _ in part])), part[-1][1]) if part else (1, 1)

    outer, along, inner = merge(dimensions[:axis]), dimensions[axis], merge(dimensions[axis + 1:])
    if outer is None or inner is None or inner[1] != 1:
        return None
    extent = inner[0]
    for size, stride in sorted((each for each in (outer, along) if each[0] > 1), key=lambda each: each[1]):
        if stride < extent:  # elements overlap, or are in reverse
            return None
        extent += (size - 1) * stride
    return (outer[0], along[0], inner[0]), (outer[1] if outer[0] > 1 else 0, along[1] if along[0] > 1 else 0)


def _map_axis(name, x, axis, out, dtype, masked_rows_to_zero, scale, threads):
    """Over the last axis by rows; over others by columns, of copies where the library does not take arrays as they are."""
    ndim = np.ndim(x)
    if ndim == 0 or not -ndim <= axis < ndim or axis in (-1, ndim - 1):
        return _map(f"{name}_nc", x, axis, out, dtype, masked_rows_to_zero, scale, threads)
    x = np.asarray(x)
    axis %= ndim
    if x.shape[axis] == 0:
        raise ValueError(f"an array of shape {x.shape} has no columns of at least one element")
    if threads < 1:
        raise ValueError(f"{threads} threads")
    dtype = np.dtype(dtype if dtype is not None else x.dtype if out is None else out.dtype)
    create = (_datatype(x.dtype), _datatype(dtype), _MASKED_ROWS_TO_ZERO if masked_rows_to_zero else 0)
    output = _output(out, x.shape, dtype)
    if x.size == 0:
        return output
    source = x if _as_slices(x, axis) else x.copy("C")
    shape, strides = _as_slices(source, axis)
    slices = _as_slices(output, axis)
    is_same = (source.ctypes.data, source.strides, source.dtype) == (output.ctypes.data, output.strides, output.dtype)
    is_free = slices and slices[0] == shape and (is_same or not np.may_share_memory(source, output))
    destination = output if is_free else np.empty(x.shape, dtype)
    output_strides = _as_slices(destination, axis)[1]
    setup = [*map(_size, (*shape, *strides, *output_strides)), _pointer(source), _pointer(destination)]
    _compute(f"{name}_axis", create, setup, scale, threads)
    if destination is not output:
        output[...] = destination
    return output


def _reduce(name, x, axis, output_dtype, scale, threads):
    x = _check(x, axis, threads)
    rows = _rows(x)
    output = np.empty(x.shape[:-1], output_dtype)
    setup = (_size(len(rows)), _size(rows.shape[1]), _size(_stride(rows)), _pointer(rows), _pointer(output))
    _compute(name, (_datatype(x.dtype), 0), setup, scale, threads)
    return output


def softmax(x, axis=-1, out=None, dtype=None, masked_rows_to_zero=False, scale=1.0, threads=1):
    """exp(scale * x) / sum(exp(scale * x)) of each row.

    axis                 along which rows lie.
    out                  receives the result, and is returned; may be x.
    dtype                of the result, that of `out` or x where it is not given. One of the two dtypes must be float32 where
                         they differ.
    masked_rows_to_zero  whether a row of -inf only gives zeros, and not NaN.
    scale                finite; the product is not rounded.
    """
    return _map_axis("softmax", x, axis, out, dtype, masked_rows_to_zero, scale, threads)


def softmax_quantized(
    x, input_scale, axis=-1, out=None, dtype=None, output_scale=1 / 256, output_zero_point=None, scale=1.0, threads=1
):
    """Softmax of bytes: rint(p / output_scale) + output_zero_point, within the type, where p = exp(a * x) / sum(exp(a * x)), a =
    scale * input_scale. x is uint8 or int8; its zero point does not matter.

    dtype              of the result, that of `out` or x where it is not given: that of x, or float32 for p itself.
    output_zero_point  the dtype's least number where it is not given.

    Other arguments as of softmax. Scales are positive, but for `scale`.
    """
    x = _check(x, axis, threads, _quantized_datatype)
    dtype = _output_dtype(x, out, dtype)
    if dtype == np.float32:
        create = (_QUANTIZED[x.dtype], ctypes.c_float(input_scale), _DATATYPES[dtype], None, 0)
    else:
        datatype = _quantized_datatype(dtype)
        zero_point = np.iinfo(dtype).min if output_zero_point is None else output_zero_point
        quantization = _Quantization(output_scale, zero_point)
        create = (_QUANTIZED[x.dtype], ctypes.c_float(input_scale), datatype, ctypes.byref(quantization), 0)
    return _compute_rows("softmax_nc", create, x, out, dtype, scale, threads, kind="_quantized")


def log_softmax(x, axis=-1, out=None, dtype=None, masked_rows_to_zero=False, scale=1.0, threads=1):
    """log(softmax(scale * x)) of each row. Arguments as of softmax; a row of -inf gives -inf under masked_rows_to_zero."""
    return _map_axis("log_softmax", x, axis, out, dtype, masked_rows_to_zero, scale, threads)


def logsumexp(x, axis=-1, scale=1.0, threads=1):
    """log(sum(exp(scale * x))) of each row, float32, of shape x.shape[:-1]."""
    return _reduce("logsumexp_nc", x, axis, np.float32, scale, threads)[()]


def partial_sum(x, axis=-1, scale=1.0, threads=1):
    """The sum of exp(scale * x) over each row, of shape x.shape[:-1], where x is a piece of longer rows.

    It may be pickled and sent: merge_partial_sums makes the sums of the whole rows of it, and scale_by_partial_sum the softmax
    of each piece.
    """
    return _reduce("partial_sum_nc", x, axis, _PARTIAL_SUM, scale, threads)


def _sums(sums, shape):
    """Partial sums of rows, as the library takes them."""
    sums = np.asarray(sums)
    if (sums.dtype, sums.shape) != (_PARTIAL_SUM, shape):
        raise ValueError(f"{sums.dtype} of shape {sums.shape} are not partial sums of shape {shape}")
    return np.require(sums, requirements="CA")


def merge_partial_sums(sums, *others):
    """The sums of rows, of those of their pieces, which were taken under one scale."""
    shape = np.shape(sums)
    total = _sums(sums, shape).copy()
    for other in others:
        _call("smx_merge_partial_sums", _size(total.size), _pointer(total), _pointer(_sums(other, shape)))
    return total


def scale_by_partial_sum(x, sums, axis=-1, out=None, dtype=None, masked_rows_to_zero=False, scale=1.0, threads=1):
    """exp(scale * x) / sums: softmax of a piece of each row, given the sum of the whole row under that scale. Other arguments as of softmax."""
    sums = _sums(sums, np.shape(x)[:-1])
    return _map("scale_by_partial_sum_nc", x, axis, out, dtype, masked_rows_to_zero, scale, threads, sums)


def _strides(array):
    """Elements from one to the next of each dimension; of dimensions that do not matter 0, and of the last 1."""
    strides = [stride // array.itemsize if size > 1 else 0 for size, stride in zip(array.shape[:-1], array.strides)]
    return _AttentionStrides(*strides, 1)


def _vector(values, dtype, length, name):
    """Numbers that the library reads, one a head or a batch entry; or None."""
    if values is None:
        return None
    values = np.ascontiguousarray(values, dtype)
    if values.shape != (length,):
        raise ValueError(f"{name} of shape {values.shape} are not {length}")
    return values


def _attention_mask(mask, shape):
    """The mask's type and the mask, broadcast to the shape without a copy where the library takes it so."""
    if mask is None:
        return 0, None
    mask = np.asarray(mask)
    datatype = _BOOL if mask.dtype == np.bool_ else _datatype(mask.dtype)
    mask = np.broadcast_to(mask, shape)
    is_taken = mask.strides[-1] == mask.itemsize and all(stride >= 0 and stride % mask.itemsize == 0 for stride in mask.strides)
    return datatype, mask if is_taken and mask.ctypes.data % mask.itemsize == 0 else mask.copy()


def attention_softmax(
    x,
    mask=None,
    scale=1.0,
    softcap=0.0,
    causal=False,
    window=0,
    slopes=None,
    sinks=None,
    key_lengths=None,
    first_positions=None,
    dtype=None,
    masked_rows_to_zero=False,
    return_logsumexp=False,
    threads=1,
):
    """The probabilities of attention from logits x of shape (batch, heads, queries, keys), padding as zeros.

    mask             added where it is of floats; where it is of bools, True lets a key be seen. Of any shape that broadcasts to
                     that of x.
    softcap          c of c * tanh(scale * x / c), or 0.
    causal           whether queries see no keys behind their positions.
    window           keys at distances below this are seen; 0: all.
    slopes           of ALiBi, one a head.
    sinks            logits that count in the sums alone, one a head.
    key_lengths      keys of each batch entry that are no padding.
    first_positions  of each batch entry's first query among the keys; by default its last query is at its last key.

    Other arguments as of softmax. With return_logsumexp, a pair: the logarithms of the sums, (batch, heads, queries), are the second.
    """
    x = _check(x, -1, threads)
    if x.ndim != 4:
        raise ValueError(f"x of shape {x.shape} is not (batch, heads, queries, keys)")
    batch, heads, queries, keys = x.shape
    dtype = _output_dtype(x, None, dtype)
    x = np.ascontiguousarray(x)
    mask_type, mask = _attention_mask(mask, x.shape)
    output = np.zeros(x.shape, dtype)
    logsumexp = np.empty((batch, heads, queries), np.float32) if return_logsumexp else None
    slopes, sinks = _vector(slopes, np.float32, heads, "slopes"), _vector(sinks, np.float32, heads, "sinks")
    key_lengths = _vector(key_lengths, np.uintp, batch, "key_lengths")
    first_positions = _vector(first_positions, np.int64, batch, "first_positions")
    pointers = [None if array is None else array.ctypes.data for array in (mask, slopes, sinks, key_lengths, first_positions, logsumexp)]
    attention = _Attention(
        batch, heads, queries, keys, _strides(x), _strides(output), x.ctypes.data, output.ctypes.data,
        _AttentionStrides() if mask is None else _strides(mask), *pointers
    )  # fmt: skip
    options = _AttentionOptions(_datatype(x.dtype), _datatype(dtype), mask_type, softcap, window)
    flags = (_MASKED_ROWS_TO_ZERO if masked_rows_to_zero else 0) | (_CAUSAL if causal else 0)
    _compute("attention_softmax", (ctypes.byref(options), flags), (ctypes.byref(attention),), scale, threads)
    return (output, logsumexp) if return_logsumexp else output
def moe_gate(
    x, k, scores="softmax", bias=None, normalize=False, dtype=None, masked_rows_to_zero=False, scale=1.0, threads=1
):
    """The k experts of each row of logits, and their weights: (weights, indices), each of shape x.shape[:-1] + (k,).

    scores     what experts are chosen by: "softmax" of the row, "logits", whose weights are softmax of those chosen, or "sigmoid".
    bias       float32, one an expert: added to the scores for the choice, and to no weight.
    normalize  whether weights of a row sum up to 1.
    dtype      of the weights, that of x where it is not given.

    Other arguments as of softmax.
    """
    x = _check(x, -1, threads)
    rows = _rows(x)
    experts = rows.shape[1]
    if scores not in _GATE_SCORES:
        raise ValueError(f"scores {scores!r} are none of {', '.join(_GATE_SCORES)}")
    if bias is not None:
        bias = np.require(bias, np.float32, "CA")
        if bias.shape != (experts,):
            raise ValueError(f"a bias of shape {bias.shape} is not one of {experts} experts")
    shape = x.shape[:-1] + (k,)
    weights = np.empty(shape, _output_dtype(x, None, dtype))
    indices = np.empty(shape, np.int32)
    flags = (_NORMALIZE_WEIGHTS if normalize else 0) | (_MASKED_ROWS_TO_ZERO if masked_rows_to_zero else 0)
    create = (_datatype(x.dtype), _datatype(weights.dtype), _GATE_SCORES[scores], flags)
    setup = [_size(len(rows)), _size(experts), _size(k), _size(_stride(rows)), _pointer(rows)]
    setup += [None if bias is None else _pointer(bias), _pointer(weights), _pointer(indices)]
    _compute("moe_gate_nc", create, setup, scale, threads)
    return weights, indices
