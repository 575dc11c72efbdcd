#include "test/guarded_buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

namespace smx {
namespace {

// As a float 0xA5A5A5A5 is -2.9e-16: a read of it that the pages do not catch spoils a sum.
constexpr unsigned char kPattern = 0xA5;

[[noreturn]] void Fail(const char* call) {
  perror(call);
  abort();
}

bool HoldsPattern(const unsigned char* begin, const unsigned char* end) {
  return std::all_of(begin, end, [](unsigned char byte) { return byte == kPattern; });
}

}  // namespace

GuardedMemory::GuardedMemory(size_t bytes, GuardedEdge edge, size_t distance) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t accessible_bytes = (bytes + distance + page - 1) / page * page;
  mapping_bytes_ = accessible_bytes + 2 * page;
  void* mapping = mmap(nullptr, mapping_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) Fail("mmap");
  mapping_ = static_cast<unsigned char*>(mapping);
  accessible_ = mapping_ + page;
  accessible_end_ = accessible_ + accessible_bytes;
  if (accessible_bytes > 0) {
    if (mprotect(accessible_, accessible_bytes, PROT_READ | PROT_WRITE) != 0) Fail("mprotect");
    memset(accessible_, kPattern, accessible_bytes);
  }
  data_ = edge == GuardedEdge::kEnd ? accessible_end_ - distance - bytes : accessible_ + distance;
  data_end_ = data_ + bytes;
}

GuardedMemory::~GuardedMemory() {
  munmap(mapping_, mapping_bytes_);
}

bool GuardedMemory::SurroundingsAreIntact() const {
  return HoldsPattern(accessible_, data_) && HoldsPattern(data_end_, accessible_end_);
}

}  // namespace smx
