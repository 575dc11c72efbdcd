// Reads and writes NumPy's .npy files: little-endian float32 in C order, 1 or 2 dimensions, format 1.0 or 2.0.
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#pragma once

#include <stddef.h>
#include <stdlib.h>

#include <memory>
#include <string>

struct FreeDeleter {
  void operator()(void* pointer) const { free(pointer); }
};
using FloatBuffer = std::unique_ptr<float[], FreeDeleter>;

// `count` floats aligned to a cache line, not initialised; NULL where memory does not suffice.
FloatBuffer AllocateFloats(size_t count);

struct NpyArray {
  size_t dimensions = 0;  // 1 or 2
  size_t rows = 0;        // 1 where there is one dimension
  size_t columns = 0;
  FloatBuffer values;  // row after row
};

// Reads a file. Returns false with the reason in *error where it is not such a file, down to the last byte. Allocates
// no more than the file's size, whatever its header says.
bool ReadNpy(const std::string& path, NpyArray* array, std::string* error);

// Writes a file in format 1.0. A regular file appears under its name when it is complete, and not before: what was
// there stays where writing fails.
bool WriteNpy(const std::string& path, const NpyArray& array, std::string* error);
