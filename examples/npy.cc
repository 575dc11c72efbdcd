#include "examples/npy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {

static_assert(sizeof(float) == 4, "float is the file's float32");
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "values are read as they are in the file: little-endian"
#endif

constexpr char kMagic[6] = {'\x93', 'N', 'U', 'M', 'P', 'Y'};
constexpr size_t kVersionEnd = sizeof(kMagic) + 2;
constexpr uint64_t kLargestHeader = 65535;  // of two dimensions, it takes about 100 bytes
constexpr size_t kDataAlignment = 64;

struct FileCloser {
  void operator()(FILE* file) const { fclose(file); }
};
using File = std::unique_ptr<FILE, FileCloser>;

bool Fail(std::string* error, const std::string& reason) {
  *error = reason;
  return false;
}

bool ReadExactly(FILE* file, void* data, size_t size, std::string* error) {
  if (fread(data, 1, size, file) == size) return true;
  return Fail(error, ferror(file) ? strerror(errno) : "the file ends too early");
}

uint64_t LittleEndian(const unsigned char* bytes, size_t count) {
  uint64_t value = 0;
  for (size_t i = 0; i < count; i++) value |= uint64_t{bytes[i]} << (8 * i);
  return value;
}

// The header is a Python dictionary: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
class HeaderParser {
 public:
  explicit HeaderParser(const std::string& text) : text_(text) {}

  bool Parse(NpyArray* array, std::string* error) {
    bool has_descr = false;
    bool has_order = false;
    bool has_shape = false;
    if (!Take('{')) return Fail(error, "the header is not a dictionary");
    while (!Take('}')) {
      std::string key;
      if (!TakeString(&key) || !Take(':')) return Fail(error, "the header is not a dictionary of names");
      bool* seen = key == "descr"           ? &has_descr
                   : key == "fortran_order" ? &has_order
                   : key == "shape"         ? &has_shape
                                            : nullptr;
      if (seen == nullptr) return Fail(error, "the header has an unknown entry");
      if (*seen) return Fail(error, "the header has '" + key + "' twice");
      *seen = true;
      const bool fits = seen == &has_descr   ? ParseDescr(error)
                        : seen == &has_order ? ParseOrder(error)
                                             : ParseShape(array, error);
      if (!fits) return false;
      if (!Take(',') && !IsNext('}')) return Fail(error, "the header's entries are not separated by commas");
    }
    SkipSpace();
    if (at_ != text_.size()) return Fail(error, "the header goes on after its dictionary");
    if (!has_descr || !has_order || !has_shape) {
      return Fail(error, "the header lacks 'descr', 'fortran_order' or 'shape'");
    }
    return true;
  }

 private:
  void SkipSpace() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n')) at_++;
  }

  bool IsNext(char c) {
    SkipSpace();
    return at_ < text_.size() && text_[at_] == c;
  }

  bool Take(char c) {
    if (!IsNext(c)) return false;
    at_++;
    return true;
  }

  bool TakeWord(const char* word) {
    SkipSpace();
    if (text_.compare(at_, strlen(word), word) != 0) return false;
    at_ += strlen(word);
    return true;
  }

  // A string without escapes.
  bool TakeString(std::string* value) {
    const char quote = IsNext('"') ? '"' : '\'';
    if (!Take(quote)) return false;
    const size_t end = text_.find(quote, at_);
    if (end == std::string::npos) return false;
    *value = text_.substr(at_, end - at_);
    at_ = end + 1;
    return value->find('\\') == std::string::npos;
  }

  bool TakeSize(size_t* value) {
    SkipSpace();
    const size_t begin = at_;
    *value = 0;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; at_++) {
      const size_t digit = static_cast<size_t>(text_[at_] - '0');
      if (*value > (SIZE_MAX - digit) / 10) return false;
      *value = *value * 10 + digit;
    }
    return at_ > begin;
  }

  bool ParseDescr(std::string* error) {
    std::string type;
    if (!TakeString(&type))
      return Fail(error, "the elements are not of a plain type; float32 ('<f4') is needed");
    if (type == "<f4") return true;
    return Fail(error, "the elements are of type '" + type + "'; little-endian float32 ('<f4') is needed");
  }

  bool ParseOrder(std::string* error) {
    if (TakeWord("False")) return true;
    if (TakeWord("True")) return Fail(error, "the array is in Fortran order; C order is needed");
    return Fail(error, "'fortran_order' is neither True nor False");
  }

  bool ParseShape(NpyArray* array, std::string* error) {
    if (!Take('(')) return Fail(error, "the shape is not a tuple");
    size_t sizes[2];
    size_t dimensions = 0;
    bool ends_with_comma = false;
    while (!Take(')')) {
      if (dimensions > 0 && !ends_with_comma) return Fail(error, "the shape is not a tuple");
      size_t size;
      if (!TakeSize(&size)) return Fail(error, "the shape holds what is not a size");
      if (dimensions == 2) return Fail(error, "the array has more than 2 dimensions");
      sizes[dimensions++] = size;
      ends_with_comma = Take(',');
    }
    if (dimensions == 0) return Fail(error, "the array has no dimension; 1 or 2 are needed");
    if (dimensions == 1 && !ends_with_comma) return Fail(error, "the shape is not a tuple");
    array->dimensions = dimensions;
    array->rows = dimensions == 1 ? 1 : sizes[0];
    array->columns = sizes[dimensions - 1];
    return true;
  }

  const std::string& text_;
  size_t at_ = 0;
};

bool ReadHeader(FILE* file, uint64_t file_size, NpyArray* array, uint64_t* data_offset, std::string* error) {
  unsigned char start[kVersionEnd];
  if (file_size < sizeof(start)) return Fail(error, "too short for a .npy file");
  if (!ReadExactly(file, start, sizeof(start), error)) return false;
  if (memcmp(start, kMagic, sizeof(kMagic)) != 0) return Fail(error, "not a .npy file");
  const int major = start[sizeof(kMagic)];
  const int minor = start[sizeof(kMagic) + 1];
  if ((major != 1 && major != 2) || minor != 0) {
    return Fail(error, "format " + std::to_string(major) + "." + std::to_string(minor) +
                           " is not supported; 1.0 or 2.0 is needed");
  }
  unsigned char length_bytes[4];
  const size_t length_size = major == 1 ? 2 : 4;
  if (!ReadExactly(file, length_bytes, length_size, error)) return false;
  const uint64_t length = LittleEndian(length_bytes, length_size);
  *data_offset = kVersionEnd + length_size + length;
  if (*data_offset > file_size) return Fail(error, "the header is longer than the file");
  if (length > kLargestHeader) return Fail(error, "the header is longer than 65535 bytes");
  std::string text(static_cast<size_t>(length), '\0');
  if (!ReadExactly(file, &text[0], text.size(), error)) return false;
  return HeaderParser(text).Parse(array, error);
}

std::string Header(const NpyArray& array) {
  std::string shape = std::to_string(array.columns);
  shape = array.dimensions == 1 ? shape + "," : std::to_string(array.rows) + ", " + shape;
  std::string text = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + shape + "), }";
  const size_t before_text = kVersionEnd + 2;
  while ((before_text + text.size() + 1) % kDataAlignment != 0) text += ' ';
  text += '\n';
  std::string header(kMagic, sizeof(kMagic));
  header += '\1';
  header += '\0';
  header += static_cast<char>(text.size() & 0xFF);
  header += static_cast<char>(text.size() >> 8);
  return header + text;
}

bool WriteTo(const std::string& path, const NpyArray& array, std::string* error) {
  FILE* file = fopen(path.c_str(), "wb");
  if (file == nullptr) return Fail(error, strerror(errno));
  const std::string header = Header(array);
  const size_t count = array.rows * array.columns;
  bool written = fwrite(header.data(), 1, header.size(), file) == header.size() &&
                 (count == 0 || fwrite(array.values.get(), sizeof(float), count, file) == count);
  int reason = errno;
  if (fclose(file) != 0 && written) {
    written = false;
    reason = errno;
  }
  return written || Fail(error, strerror(reason));
}

}  // namespace

FloatBuffer AllocateFloats(size_t count) {
  constexpr size_t kCacheLine = 64;
  if (count > (SIZE_MAX - kCacheLine) / sizeof(float)) return nullptr;
  const size_t size = (count * sizeof(float) / kCacheLine + 1) * kCacheLine;
  return FloatBuffer(static_cast<float*>(aligned_alloc(kCacheLine, size)));
}

bool ReadNpy(const std::string& path, NpyArray* array, std::string* error) {
  // Non-blocking, so that opening a pipe does not wait for its writer.
  const int descriptor = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (descriptor < 0) return Fail(error, strerror(errno));
  const File file(fdopen(descriptor, "rb"));
  if (file == nullptr) {
    close(descriptor);
    return Fail(error, strerror(errno));
  }
  struct stat status;
  if (fstat(descriptor, &status) != 0) return Fail(error, strerror(errno));
  if (!S_ISREG(status.st_mode)) return Fail(error, "not a regular file");
  const uint64_t file_size = static_cast<uint64_t>(status.st_size);

  NpyArray read;
  uint64_t data_offset;
  if (!ReadHeader(file.get(), file_size, &read, &data_offset, error)) return false;
  const uint64_t data_size = file_size - data_offset;
  const bool size_overflows = read.columns != 0 && read.rows > SIZE_MAX / sizeof(float) / read.columns;
  if (size_overflows || read.rows * read.columns * sizeof(float) != data_size) {
    return Fail(error, "the header says " + std::to_string(read.rows) + " x " + std::to_string(read.columns) +
                           " elements of 4 bytes, but " + std::to_string(data_size) + " bytes follow it");
  }
  const size_t count = read.rows * read.columns;
  read.values = AllocateFloats(count);
  if (read.values == nullptr) return Fail(error, "not enough memory");
  if (!ReadExactly(file.get(), read.values.get(), count * sizeof(float), error)) return false;
  *array = std::move(read);
  return true;
}

bool WriteNpy(const std::string& path, const NpyArray& array, std::string* error) {
  struct stat status;
  const bool is_special = stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode);
  if (is_special) return WriteTo(path, array, error);  // a device or pipe must not be replaced by a file
  const std::string unfinished = path + "." + std::to_string(getpid()) + ".unfinished";
  if (!WriteTo(unfinished, array, error)) {
    unlink(unfinished.c_str());
    return false;
  }
  if (rename(unfinished.c_str(), path.c_str()) == 0) return true;
  *error = strerror(errno);
  unlink(unfinished.c_str());
  return false;
}
