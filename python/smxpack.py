"""Softmax, log-softmax and logsumexp of NumPy arrays, by the shared library of SMXPACK.

Arrays are float32, float16 or bfloat16, and results are taken over the last axis. NumPy has no bfloat16: such arrays hold its
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

__all__ = ["bfloat16", "log_softmax", "logsumexp", "merge_partial_sums", "partial_sum", "scale_by_partial_sum", "softmax"]

bfloat16 = np.dtype([("bfloat16", np.uint16)])

# struct smx_partial_sum, whose members are the library's matter.
_PARTIAL_SUM = np.dtype([("smx_partial_sum", np.int64, 6)], align=True)

_DATATYPES = {np.dtype(np.float32): 1, np.dtype(np.float16): 2, bfloat16: 3}
_MASKED_ROWS_TO_ZERO = 1


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


def _compute(name, create, setup, scale, threads):
    """The life of operator `name`; `create` and `setup` are the arguments of these functions."""
    op = ctypes.c_void_p()
    _call(f"smx_create_{name}", *create, ctypes.byref(op))
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


def _check(x, axis, threads):
    """x as an array that has rows."""
    x = np.asarray(x)
    _datatype(x.dtype)
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


def _map(name, x, axis, out, dtype, masked_rows_to_zero, scale, threads, sums=None):
    x = _check(x, axis, threads)
    dtype = np.dtype(dtype if dtype is not None else x.dtype if out is None else out.dtype)
    create = (_datatype(x.dtype), _datatype(dtype), _MASKED_ROWS_TO_ZERO if masked_rows_to_zero else 0)
    output = _output(out, x.shape, dtype)
    source = _rows(x)
    rows = _destination(output, source, sums)
    setup = [_size(len(source)), _size(source.shape[1]), _size(_stride(source)), _size(_stride(rows))]
    setup += [_pointer(array) for array in (source, sums, rows) if array is not None]
    _compute(name, create, setup, scale, threads)
    if not np.may_share_memory(rows, output):
        output[...] = rows.reshape(output.shape)
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

    axis                 -1, or the number of the last axis.
    out                  receives the result, and is returned; may be x.
    dtype                of the result, that of `out` or x where it is not given. One of the two dtypes must be float32 where
                         they differ.
    masked_rows_to_zero  whether a row of -inf only gives zeros, and not NaN.
    scale                finite; the product is not rounded.
    """
    return _map("softmax_nc", x, axis, out, dtype, masked_rows_to_zero, scale, threads)


def log_softmax(x, axis=-1, out=None, dtype=None, masked_rows_to_zero=False, scale=1.0, threads=1):
    """log(softmax(scale * x)) of each row. Arguments as of softmax; a row of -inf gives -inf under masked_rows_to_zero."""
    return _map("log_softmax_nc", x, axis, out, dtype, masked_rows_to_zero, scale, threads)


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
