#include "bench/shape.h"

#include <charconv>

namespace smx_bench {

std::string ToString(const Shape& shape) {
  return std::to_string(shape.rows) + "x" + std::to_string(shape.channels);
}

bool ParseShape(const std::string& text, size_t most, Shape* shape) {
  const char* const end = text.data() + text.size();
  Shape parsed;
  const std::from_chars_result rows = std::from_chars(text.data(), end, parsed.rows);
  if (rows.ec != std::errc() || rows.ptr == end || *rows.ptr != 'x') return false;
  const std::from_chars_result channels = std::from_chars(rows.ptr + 1, end, parsed.channels);
  if (channels.ec != std::errc() || channels.ptr != end) return false;
  if (parsed.rows == 0 || parsed.channels == 0 || parsed.rows > most / parsed.channels) return false;
  *shape = parsed;
  return true;
}

}  // namespace smx_bench
