#include "bench/peers/report.h"

#include <cpuinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <algorithm>
#include <fstream>

#include "bench/caches.h"
#include "bench/measure.h"
#include "bench/peers/statistics.h"

namespace smx_peers {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kShapeWidth = 13;  // "65536x8", "1x268435456"
constexpr int kBestPeerWidth = 28;
constexpr int kRatioWidth = 6;

// Names are broken at spaces and hyphens, a line each.
std::vector<std::string> Lines(const std::string& name) {
  std::vector<std::string> lines(1);
  for (const char c : name) {
    if (c != ' ') lines.back() += c;
    if (c == ' ' || c == '-') lines.emplace_back();
  }
  return lines;
}

constexpr size_t kNarrowestColumn = 6;

int Width(const std::string& name) {
  size_t width = kNarrowestColumn;
  for (const std::string& line : Lines(name)) width = std::max(width, line.size());
  return static_cast<int>(width) + 2;
}

std::string UtcNow() {
  const time_t now = time(nullptr);
  char text[sizeof("2026-01-01T00:00:00Z")];
  strftime(text, sizeof(text), "%FT%TZ", gmtime(&now));
  return text;
}

// Of the last minute, and how many processors share it.
Json Load() {
  double load = 0.0;
  const bool known = getloadavg(&load, 1) == 1;
  return {{"average_of_a_minute", known ? Json(load) : Json()},
          {"processors", cpuinfo_get_processors_count()}};
}

Json ToJson(const Result& result) {
  Json json = {{"name", result.name},
               {"role", RoleName(result.role)},
               {"ns_per_element", result.ns_per_element()},
               {"samples", result.samples},
               {"runs_per_sample", result.runs_per_sample}};
  if (result.role != Role::kRoofline) json["largest_ulp_error"] = result.error.ulp;
  return json;
}

Json ToJson(const ShapeResults& shape) {
  Json results = Json::array();
  for (const Result& result : shape.results) results.push_back(ToJson(result));
  return {{"rows", shape.shape.rows},
          {"channels", shape.shape.channels},
          {"best_peer", shape.BestPeer().name},
          {"ratio", shape.Ratio()},
          {"results", results}};
}

}  // namespace

Tables::Tables(const std::vector<Subject>& subjects) {
  for (const Subject& subject : subjects) {
    columns_.push_back(subject.peer.name);
    roles_.push_back(subject.role);
  }
  for (const AbsentPeer& absent : AbsentPeers()) columns_.push_back(absent.name);
}

void Tables::PrintHeader(const std::string& last_columns) const {
  size_t lines = 1;
  for (const std::string& column : columns_) lines = std::max(lines, Lines(column).size());
  for (size_t i = 0; i < lines; i++) {
    printf("%-*s", kShapeWidth, i == 0 ? "shape" : "");
    for (const std::string& column : columns_) {
      const std::vector<std::string> text = Lines(column);
      printf("%*s", Width(column), i < text.size() ? text[i].c_str() : "");
    }
    printf("%s\n", i == 0 ? last_columns.c_str() : "");
  }
}

void Tables::PrintTimesHeader() const {
  char last_columns[2 + kBestPeerWidth + kRatioWidth + 1];
  snprintf(last_columns, sizeof(last_columns), "  %-*s%*s", kBestPeerWidth, "best peer", kRatioWidth,
           "ratio");
  printf("\nNanoseconds an element, medians\n\n");
  PrintHeader(last_columns);
}

void Tables::PrintTimes(const ShapeResults& shape) const {
  printf("%-*s", kShapeWidth, ToString(shape.shape).c_str());
  for (size_t i = 0; i < columns_.size(); i++) {
    const int width = Width(columns_[i]);
    if (i < shape.results.size()) {
      printf("%*.*f", width, shape.results[i].ns_per_element() < 10.0 ? 3 : 1,
             shape.results[i].ns_per_element());
    } else {
      printf("%*s", width, "absent");
    }
  }
  printf("  %-*s%*.2f\n", kBestPeerWidth, shape.BestPeer().name.c_str(), kRatioWidth, shape.Ratio());
  fflush(stdout);
}

void Tables::PrintErrors(const std::vector<ShapeResults>& all) const {
  printf("\nLargest error in ULP\n\n");
  PrintHeader("");
  for (const ShapeResults& shape : all) {
    printf("%-*s", kShapeWidth, ToString(shape.shape).c_str());
    for (size_t i = 0; i < columns_.size(); i++) {
      const int width = Width(columns_[i]);
      if (i >= shape.results.size()) {
        printf("%*s", width, "absent");
      } else if (roles_[i] == Role::kRoofline) {
        printf("%*s", width, "-");
      } else {
        const double ulp = shape.results[i].error.ulp;
        printf("%*.*f", width, ulp < 100.0 ? 2 : 0, ulp);
      }
    }
    printf("\n");
  }
}

double GeometricMeanOfRatios(const std::vector<ShapeResults>& all) {
  std::vector<double> ratios;
  for (const ShapeResults& shape : all) ratios.push_back(shape.Ratio());
  return GeometricMean(ratios);
}

nlohmann::ordered_json Context(const Options& options, const std::vector<Subject>& subjects) {
  const smx_bench::Caches& caches = smx_bench::GetCaches();
  Json described = Json::array();
  for (const Subject& subject : subjects) {
    described.push_back(
        {{"name", subject.peer.name}, {"role", RoleName(subject.role)}, {"version", subject.peer.version}});
  }
  Json absent = Json::array();
  for (const AbsentPeer& peer : AbsentPeers())
    absent.push_back({{"name", peer.name}, {"package", peer.package}});
  return {
      {"date", UtcNow()},
      {"processor", smx_bench::ProcessorName()},
      {"caches",
       {{"l1_bytes", caches.l1.bytes},
        {"l2_bytes", caches.l2.bytes},
        {"last_level_bytes", caches.last_level.bytes}}},
      {"compiler", SMXPACK_COMPILER},
      {"load", Load()},
      {"isa", options.setting.isa},
      {"threads", options.setting.threads},
      {"buffers", smx_bench::BufferingName(options.buffering)},
      {"rounds", options.rounds},
      {"subjects", described},
      {"absent", absent},
  };
}

bool WriteJson(const std::string& path, const nlohmann::ordered_json& context,
               const std::vector<ShapeResults>& all) {
  Json shapes = Json::array();
  for (const ShapeResults& shape : all) shapes.push_back(ToJson(shape));
  const Json json = {
      {"context", context}, {"shapes", shapes}, {"geometric_mean", GeometricMeanOfRatios(all)}};
  std::ofstream file(path);
  file << json.dump(2) << "\n";
  file.close();
  return file.good();
}

}  // namespace smx_peers
