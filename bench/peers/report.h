// The tables and the JSON of the peers benchmark.
#pragma once

#include <benchmark/benchmark.h>

#include <fstream>
#include <string>
#include <vector>

#include "bench/peers/options.h"
#include "bench/peers/result.h"
#include "bench/peers/subjects.h"

namespace smx_peers {

// Text tables of a column a subject, and one for each peer that is absent.
class Tables {
 public:
  explicit Tables(const std::vector<Subject>& subjects);

  void PrintTimesHeader() const;
  void PrintTimes(const ShapeResults& results) const;
  void PrintErrors(const std::vector<ShapeResults>& all) const;

 private:
  void PrintHeader(const std::string& last_columns) const;

  std::vector<std::string> columns_;
  std::vector<Role> roles_;
};

// The mean over the shapes of how many times faster the operator is than the best peer of each.
double GeometricMeanOfRatios(const std::vector<ShapeResults>& all);

// Every sample, in Google Benchmark's format, in the file of options.json_path. What was written is there even if the
// run is cut.
class JsonFile {
 public:
  JsonFile(const Options& options, const std::vector<Subject>& subjects);

  void Write(const ShapeResults& results);
  bool Close();  // Whether all could be written.

 private:
  const Options& options_;
  const std::vector<Subject>& subjects_;
  std::ofstream file_;
  benchmark::JSONReporter reporter_;
};

}  // namespace smx_peers
