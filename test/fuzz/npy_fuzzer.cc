// The example's reader of .npy files: any file is read or rejected with a reason; what is read is what the file holds, and what
// is written of it reads the same.
#include "examples/npy.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "test/fuzz/fuzz_input.h"

namespace smx {
namespace {

// A regular file that no file system has to write, by its name.
class MemoryFile {
 public:
  MemoryFile(const uint8_t* data, size_t size) : descriptor_(memfd_create("npy_fuzzer", MFD_CLOEXEC)) {
    Require(descriptor_ >= 0 && write(descriptor_, data, size) == static_cast<ssize_t>(size),
            "the fuzzer has memory for its file");
  }
  ~MemoryFile() { close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  const int descriptor_;
};

// Removes the file that it names.
class TemporaryFile {
 public:
  TemporaryFile() {
    const char* folder = getenv("TMPDIR");
    path_ = std::string(folder != nullptr ? folder : "/tmp") + "/npy_fuzzer.XXXXXX";
    const int descriptor = mkstemp(&path_[0]);
    Require(descriptor >= 0, "the fuzzer has a file");
    close(descriptor);
  }
  ~TemporaryFile() { unlink(path_.c_str()); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

bool Read(const std::string& path, NpyArray* array) {
  array->rows = 12345;
  std::string error;
  const bool is_read = ReadNpy(path, array, &error);
  Require(is_read == error.empty(), "a file is read, or there is a reason");
  if (!is_read) {
    Require(array->rows == 12345 && array->values == nullptr, "where a file is rejected, nothing is changed");
  }
  return is_read;
}

size_t Count(const NpyArray& array) {
  return array.rows * array.columns;
}

void CheckArray(const NpyArray& array, const uint8_t* data, size_t size) {
  Require(array.dimensions == 2 || (array.dimensions == 1 && array.rows == 1),
          "an array has 1 or 2 dimensions");
  Require(array.columns == 0 || array.rows <= size / sizeof(float) / array.columns, "sizes do not wrap");
  const size_t bytes = Count(array) * sizeof(float);
  Require(bytes < size && memcmp(array.values.get(), data + size - bytes, bytes) == 0,
          "values are the file's last bytes");
}

void CheckWriting(const NpyArray& array) {
  static const TemporaryFile file;
  std::string error;
  Require(WriteNpy(file.path(), array, &error), "what was read can be written");
  NpyArray again;
  Require(Read(file.path(), &again), "what was written can be read");
  Require(again.dimensions == array.dimensions && again.rows == array.rows &&
              again.columns == array.columns &&
              memcmp(again.values.get(), array.values.get(), Count(array) * sizeof(float)) == 0,
          "what was written reads the same");
}

}  // namespace
}  // namespace smx

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const smx::MemoryFile file(data, size);
  NpyArray array;
  if (smx::Read(file.path(), &array)) {
    smx::CheckArray(array, data, size);
    smx::CheckWriting(array);
  }
  return 0;
}
