// Softmax over the rows of a NumPy file, by smxpack.hpp: what was computed, how, how fast, and what it says.
#include <errno.h>
#include <math.h>
#include <pthreadpool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <smxpack.hpp>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <string>
#include <vector>

#include "examples/npy.h"

namespace {

constexpr char kUsage[] =
    "usage: softmax_npy LOGITS.npy PROBABILITIES.npy [--classes FILE] [--contexts FILE] [--threads N]\n"
    "\n"
    "Reads float32 logits in 1 or 2 dimensions, and writes the softmax of each row in the same shape.\n"
    "\n"
    "  --classes FILE   the name of each column, one a line\n"
    "  --contexts FILE  the name of each row, one a line\n"
    "  --threads N      1 to 1024; 1 where it is not given\n";

constexpr size_t kMaxThreads = 1024;
constexpr size_t kRowsShown = 6;
constexpr size_t kClassesShown = 3;
constexpr size_t kMaxRuns = 25;
constexpr size_t kMinRuns = 3;
constexpr double kSecondsToMeasure = 2.0;

struct Arguments {
  std::string logits;
  std::string probabilities;
  std::string classes;
  std::string contexts;
  size_t threads = 1;
};

bool Fail(const std::string& reason) {
  fprintf(stderr, "softmax_npy: %s\n", reason.c_str());
  return false;
}

bool ParseThreads(const char* text, size_t* threads) {
  char* end;
  errno = 0;
  const long value = strtol(text, &end, 10);
  if (errno != 0 || end == text || *end != '\0' || value < 1 || value > static_cast<long>(kMaxThreads)) {
    return Fail("--threads " + std::string(text) + ": a number from 1 to 1024 is needed");
  }
  *threads = static_cast<size_t>(value);
  return true;
}

bool ParseArguments(int argc, char** argv, Arguments* arguments) {
  std::vector<std::string> files;
  for (int i = 1; i < argc; i++) {
    const std::string argument = argv[i];
    if (argument.compare(0, 2, "--") != 0) {
      files.push_back(argument);
      continue;
    }
    const bool is_known = argument == "--classes" || argument == "--contexts" || argument == "--threads";
    if (!is_known) return Fail("unknown option " + argument);
    if (++i == argc) return Fail(argument + " lacks its value");
    if (argument == "--classes") {
      arguments->classes = argv[i];
    } else if (argument == "--contexts") {
      arguments->contexts = argv[i];
    } else if (!ParseThreads(argv[i], &arguments->threads)) {
      return false;
    }
  }
  if (files.size() != 2) return Fail("an input and an output file are needed");
  arguments->logits = files[0];
  arguments->probabilities = files[1];
  return true;
}

// Lines of a file; none where no file is named.
bool ReadNames(const std::string& path, size_t count, const char* what, std::vector<std::string>* names) {
  if (path.empty()) return true;
  std::ifstream file(path);
  if (!file) return Fail(path + ": " + strerror(errno));
  std::string line;
  while (std::getline(file, line)) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    names->push_back(line);
  }
  if (names->size() == count) return true;
  return Fail(path + ": " + std::to_string(names->size()) + " lines, but the logits have " +
              std::to_string(count) + " " + what);
}

void PrintMessage(void*, smx_log_level level, const char* message) {
  fprintf(stderr, "softmax_npy: %s: %s\n", level == smx_log_level_error ? "error" : "warning", message);
}

bool Check(smx_status status) {
  return status == smx_status_success || Fail(smx_status_to_string(status));
}

using Softmax = smxpack::Softmax<smx_datatype_f32>;

struct PoolDeleter {
  void operator()(pthreadpool_t pool) const { pthreadpool_destroy(pool); }
};
using Pool = std::unique_ptr<pthreadpool, PoolDeleter>;

struct Copy {
  const float* from;
  float* to;
};

void CopyPart(void* context, size_t begin, size_t count) {
  const Copy* copy = static_cast<const Copy*>(context);
  memcpy(copy->to + begin, copy->from + begin, count * sizeof(float));
}

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

struct Times {
  double softmax;
  double copy;
  size_t runs;
};

// Runs a copy to the output and the operator in turn, on the same threads. The operator's result is what stays.
bool Measure(Softmax& softmax, pthreadpool_t pool, size_t threads, const NpyArray& logits, float* output,
             Times* times) {
  const size_t elements = logits.rows * logits.columns;
  const size_t part = elements / threads + (elements % threads != 0);
  Copy copy = {logits.values.get(), output};
  std::vector<double> softmax_seconds;
  std::vector<double> copy_seconds;
  const double deadline = Seconds() + kSecondsToMeasure;
  do {
    const double start = Seconds();
    pthreadpool_parallelize_1d_tile_1d(pool, CopyPart, &copy, elements, part, 0);
    const double between = Seconds();
    if (!Check(softmax.Run(pool))) return false;
    copy_seconds.push_back(between - start);
    softmax_seconds.push_back(Seconds() - between);
  } while (softmax_seconds.size() < kMinRuns || (softmax_seconds.size() < kMaxRuns && Seconds() < deadline));
  *times = {Median(softmax_seconds), Median(copy_seconds), softmax_seconds.size()};
  return true;
}

bool PrintHow(smx_operator_t op, size_t threads) {
  const char* isa;
  smx_plan plan;
  if (!Check(smx_get_isa(&isa)) || !Check(smx_get_plan(op, threads, &plan))) return false;
  printf("ISA         %s\n", isa);
  const char* microkernel;
  for (size_t i = 0; smx_get_microkernel(i, &microkernel) == smx_status_success; i++) {
    printf("%-12s%s\n", i == 0 ? "Kernels" : "", microkernel);
  }
  printf("Algorithm   %s: %s\n", plan.algorithm, plan.reason);
  printf("Threads     %zu", threads);
  if (threads > 1) printf(", %zu rows a task, the last %zu rows split", plan.rows_per_task, plan.split_rows);
  printf("\n");
  return true;
}

void PrintTimes(const Times& times, size_t elements) {
  printf("Time        softmax %.1f us (%.3f ns an element), copy %.1f us", 1e6 * times.softmax,
         1e9 * times.softmax / static_cast<double>(elements), 1e6 * times.copy);
  if (times.copy > 0) printf(": as long as %.1f copies", times.softmax / times.copy);
  printf(" (medians of %zu runs, buffers warm)\n", times.runs);
}

// Rows that hold NaN have no sum; they are told, not compared.
void PrintSums(const NpyArray& probabilities) {
  size_t nan_rows = 0;
  double largest = 0.0;
  for (size_t r = 0; r < probabilities.rows; r++) {
    const float* row = &probabilities.values[r * probabilities.columns];
    double sum = 0.0;
    for (size_t c = 0; c < probabilities.columns; c++) sum += static_cast<double>(row[c]);
    if (isnan(sum)) {
      nan_rows++;
    } else {
      largest = fmax(largest, fabs(sum - 1.0));
    }
  }
  if (nan_rows < probabilities.rows) printf("Row sums    1 within %.1e\n", largest);
  if (nan_rows > 0)
    printf("NaN         %zu rows: their logits hold NaN or +inf, or are all -inf\n", nan_rows);
}

void PrintRow(const float* row, size_t columns, const std::vector<std::string>& classes) {
  if (isnan(row[0])) {
    printf("NaN\n");
    return;
  }
  std::vector<size_t> order(columns);
  for (size_t c = 0; c < columns; c++) order[c] = c;
  const size_t shown = std::min(columns, kClassesShown);
  std::partial_sort(order.begin(), order.begin() + shown, order.end(),
                    [row](size_t a, size_t b) { return row[a] > row[b] || (row[a] == row[b] && a < b); });
  for (size_t i = 0; i < shown; i++) {
    const std::string name = classes.empty() ? std::to_string(order[i]) : classes[order[i]];
    printf("%s%s %.4f", i == 0 ? "" : ", ", name.c_str(), static_cast<double>(row[order[i]]));
  }
  printf("\n");
}

void PrintRows(const NpyArray& probabilities, const std::vector<std::string>& classes,
               const std::vector<std::string>& contexts) {
  const size_t shown = std::min(probabilities.rows, kRowsShown);
  if (shown > 0) printf("\n%-12slikeliest classes\n", contexts.empty() ? "row" : "after");
  for (size_t r = 0; r < shown; r++) {
    const std::string name = contexts.empty() ? std::to_string(r) : contexts[r];
    printf("%-12s", name.c_str());
    PrintRow(&probabilities.values[r * probabilities.columns], probabilities.columns, classes);
  }
  if (probabilities.rows > shown) printf("... and %zu rows more\n", probabilities.rows - shown);
}

bool Run(const Arguments& arguments) {
  NpyArray logits;
  std::string error;
  if (!ReadNpy(arguments.logits, &logits, &error)) return Fail(arguments.logits + ": " + error);
  if (logits.columns == 0) return Fail(arguments.logits + ": rows without elements have no softmax");
  std::vector<std::string> classes;
  std::vector<std::string> contexts;
  if (!ReadNames(arguments.classes, logits.columns, "columns", &classes) ||
      !ReadNames(arguments.contexts, logits.rows, "rows", &contexts)) {
    return false;
  }

  const size_t elements = logits.rows * logits.columns;
  NpyArray probabilities;
  probabilities.dimensions = logits.dimensions;
  probabilities.rows = logits.rows;
  probabilities.columns = logits.columns;
  probabilities.values = AllocateFloats(elements);
  if (probabilities.values == nullptr) return Fail("not enough memory");

  smx_set_log_callback(PrintMessage, nullptr, smx_log_level_warning);
  if (!Check(smx_initialize(nullptr))) return false;
  Softmax softmax;
  if (!Check(softmax.Create())) return false;
  if (!Check(softmax.Setup(logits.rows, logits.columns, logits.columns, logits.columns, logits.values.get(),
                           probabilities.values.get()))) {
    return false;
  }
  const Pool pool(arguments.threads > 1 ? pthreadpool_create(arguments.threads) : nullptr);
  if (arguments.threads > 1 && pool == nullptr) return Fail("the threads cannot be created");

  printf("Logits      %s, float32, %zu rows of %zu\n", arguments.logits.c_str(), logits.rows, logits.columns);
  const size_t masked =
      static_cast<size_t>(std::count(&logits.values[0], &logits.values[0] + elements, -INFINITY));
  if (masked > 0) printf("Masked      %zu logits are -inf\n", masked);
  if (!PrintHow(softmax.get(), arguments.threads)) return false;
  if (elements > 0) {
    Times times;
    if (!Measure(softmax, pool.get(), arguments.threads, logits, probabilities.values.get(), &times)) {
      return false;
    }
    PrintTimes(times, elements);
  }
  if (!WriteNpy(arguments.probabilities, probabilities, &error)) {
    return Fail(arguments.probabilities + ": " + error);
  }
  printf("Written     %s\n", arguments.probabilities.c_str());
  PrintSums(probabilities);
  PrintRows(probabilities, classes, contexts);
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && strcmp(argv[1], "--help") == 0) {
    fputs(kUsage, stdout);
    return 0;
  }
  Arguments arguments;
  if (!ParseArguments(argc, argv, &arguments)) {
    fputs(kUsage, stderr);
    return 1;
  }
  return Run(arguments) ? 0 : 1;
}
