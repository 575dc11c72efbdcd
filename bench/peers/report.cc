#include "bench/peers/report.h"

#include <stdio.h>

#include <algorithm>

#include "bench/measure.h"
#include "bench/peers/statistics.h"

namespace smx_peers {
namespace {

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

using Run = benchmark::BenchmarkReporter::Run;

// A sample, as Google Benchmark would have it. The processor's time is not measured, and 0.
Run ToRun(const Options& options, const Subject& subject, const Shape& shape, const Result& result,
          size_t round) {
  const double seconds_per_element = result.samples[round] * 1e-9;
  Run run;
  run.family_index = run.per_family_instance_index = 0;
  run.statistics = nullptr;
  run.run_name.function_name =
      "peers" + NameFields(options.setting.problem) + "/isa:" + options.setting.isa +
      "/role:" + RoleName(result.role) + "/subject:" + result.name +
      "/threads:" + std::to_string(options.setting.threads) + "/rows:" + std::to_string(shape.rows) +
      "/channels:" + std::to_string(shape.channels) + "/" + smx_bench::BufferingName(options.buffering);
  run.report_label = subject.peer.version;
  run.repetitions = options.rounds;
  run.repetition_index = static_cast<int64_t>(round);
  run.threads = static_cast<int64_t>(options.setting.threads);
  run.iterations = static_cast<benchmark::IterationCount>(result.runs_per_sample);
  run.real_accumulated_time =
      seconds_per_element * static_cast<double>(shape.elements() * result.runs_per_sample);
  run.counters["time_per_element"] = seconds_per_element;
  if (result.role != Role::kRoofline) run.counters["max_ulp"] = result.error.ulp;
  return run;
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
  const char* best = shape.BestPeer() != nullptr ? shape.BestPeer()->name.c_str() : "none";
  printf("  %-*s%*.2f\n", kBestPeerWidth, best, kRatioWidth, shape.Ratio());
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

JsonFile::JsonFile(const Options& options, const std::vector<Subject>& subjects)
    : options_(options), subjects_(subjects), file_(options.json_path) {
  reporter_.SetOutputStream(&file_);
  smx_bench::AddContext();
  AddAbsentPeersToContext();
  reporter_.ReportContext(benchmark::BenchmarkReporter::Context());
}

void JsonFile::Write(const ShapeResults& shape) {
  for (size_t i = 0; i < subjects_.size(); i++) {
    std::vector<Run> runs;
    for (size_t round = 0; round < shape.results[i].samples.size(); round++) {
      runs.push_back(ToRun(options_, subjects_[i], shape.shape, shape.results[i], round));
    }
    reporter_.ReportRuns(runs);
  }
}

bool JsonFile::Close() {
  reporter_.Finalize();
  file_.close();
  return file_.good();
}

}  // namespace smx_peers
