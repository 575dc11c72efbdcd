// The tables and the JSON of the peers benchmark.
#pragma once

#include <nlohmann/json.hpp>
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

// What figures need to be judged by: processor, versions, load and the rest.
nlohmann::ordered_json Context(const Options& options, const std::vector<Subject>& subjects);

// Whether the file could be written.
bool WriteJson(const std::string& path, const nlohmann::ordered_json& context,
               const std::vector<ShapeResults>& all);

}  // namespace smx_peers
