// Memory for a kernel's rows that tells when something outside them is touched.
#pragma once

#include <stddef.h>

#include <algorithm>
#include <type_traits>
#include <vector>

namespace smx {

// The edge of a buffer that lies at a page which may not be touched: a read or write beyond it crashes the test.
enum class GuardedEdge { kEnd, kBeginning };

// `bytes` bytes between two pages that may not be touched, `distance` bytes away from the one at `edge`. The bytes
// around them, up to those pages, hold a pattern.
class GuardedMemory {
 public:
  GuardedMemory(size_t bytes, GuardedEdge edge, size_t distance);
  ~GuardedMemory();
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;

  void* data() const { return data_; }
  // Whether the bytes around still hold the pattern: the writes that the pages cannot catch.
  bool SurroundingsAreIntact() const;

 private:
  unsigned char* mapping_;
  size_t mapping_bytes_;
  unsigned char* accessible_;
  unsigned char* accessible_end_;
  unsigned char* data_;
  unsigned char* data_end_;
};

// n elements in guarded memory. With `offset` they lie that many elements away from the guarded edge, so that offsets
// from 0 to 15 give every alignment of floats within 64 bytes.
template <class T>
class GuardedBuffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  explicit GuardedBuffer(size_t n, GuardedEdge edge = GuardedEdge::kEnd, size_t offset = 0)
      : size_(n), memory_(n * sizeof(T), edge, offset * sizeof(T)) {
    std::fill_n(data(), n, T());
  }
  explicit GuardedBuffer(const std::vector<T>& values, GuardedEdge edge = GuardedEdge::kEnd,
                         size_t offset = 0)
      : GuardedBuffer(values.data(), values.size(), edge, offset) {}
  GuardedBuffer(const T* values, size_t n, GuardedEdge edge = GuardedEdge::kEnd, size_t offset = 0)
      : size_(n), memory_(n * sizeof(T), edge, offset * sizeof(T)) {
    std::copy_n(values, n, data());
  }

  T* data() { return static_cast<T*>(memory_.data()); }
  const T* data() const { return static_cast<const T*>(memory_.data()); }
  size_t size() const { return size_; }
  T* begin() { return data(); }
  T* end() { return data() + size_; }
  const T* begin() const { return data(); }
  const T* end() const { return data() + size_; }
  T& operator[](size_t i) { return data()[i]; }
  const T& operator[](size_t i) const { return data()[i]; }

  bool SurroundingsAreIntact() const { return memory_.SurroundingsAreIntact(); }

 private:
  size_t size_;
  GuardedMemory memory_;
};

}  // namespace smx
