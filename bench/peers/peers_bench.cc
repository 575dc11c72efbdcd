// Softmax operators of other libraries and ours, in one process on the same buffers (README.md says how and what):
//
//     peers_bench [--isa=avx2] [--threads=2] [--rounds=11] [--rotated] [--json=peers.json] [--shape=16x32000]...
//                 [--function=log-softmax] [--type=bf16] [--axis=0]
//     peers_bench --list-shapes
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include <algorithm>
#include <exception>
#include <memory>

#include "bench/algorithms.h"
#include "bench/peers/measure.h"
#include "bench/peers/report.h"

namespace smx_peers {
namespace {

// Each algorithm's home: tiny and small rows, batches, single rows in and out of cache.
const std::vector<Shape> kShapes = {
    {65536, 8}, {4096, 64},  {32768, 128}, {4096, 512}, {1024, 1024}, {256, 4096},   {1, 1000},
    {1, 32768}, {1, 131072}, {16, 32000},  {8, 128256}, {1, 4194304}, {1, 67108864},
};

constexpr const char* kUsage =
    "usage: peers_bench [--isa=ISA] [--threads=N] [--rounds=N] [--rotated] [--json=FILE] "
    "[--list-shapes] [--shape=ROWSxCHANNELS]... [--function=softmax|log-softmax] [--type=f32|f16|bf16] "
    "[--axis=1|0]\n";

// A number from 1 to `most`, or 0.
size_t ParseCount(const char* text, size_t most) {
  char* end;
  const size_t count = strtoull(text, &end, 10);
  return *end == '\0' && count <= most ? count : 0;
}

// Whether the command line was understood.
bool ParseOptions(int argc, char** argv, Options* options) {
  constexpr option kOptions[] = {
      {"isa", required_argument, nullptr, 'i'},
      {"threads", required_argument, nullptr, 't'},
      {"rounds", required_argument, nullptr, 'r'},
      {"rotated", no_argument, nullptr, 'o'},
      {"json", required_argument, nullptr, 'j'},
      {"list-shapes", no_argument, nullptr, 'l'},
      {"shape", required_argument, nullptr, 's'},
      {"function", required_argument, nullptr, 'f'},
      {"type", required_argument, nullptr, 'y'},
      {"axis", required_argument, nullptr, 'a'},
      {nullptr, 0, nullptr, 0},
  };
  constexpr size_t kMostThreads = 1024;
  constexpr size_t kMostRounds = 10000;
  const std::vector<std::string> isas = AvailableIsas();
  options->setting = {isas.front(), 1};
  for (int option; (option = getopt_long(argc, argv, "", kOptions, nullptr)) != -1;) {
    Shape shape;
    switch (option) {
      case 'i':
        options->setting.isa = optarg;
        if (std::find(isas.begin(), isas.end(), options->setting.isa) == isas.end()) return false;
        break;
      case 't':
        options->setting.threads = ParseCount(optarg, kMostThreads);
        if (options->setting.threads == 0) return false;
        break;
      case 'r':
        options->rounds = static_cast<int>(ParseCount(optarg, kMostRounds));
        if (options->rounds == 0) return false;
        break;
      case 'o':
        options->buffering = smx_bench::Buffering::kRotated;
        break;
      case 'j':
        options->json_path = optarg;
        break;
      case 'l':
        options->list_shapes = true;
        break;
      case 's':
        if (!smx_bench::ParseShape(optarg, smx_bench::kLargestRow, &shape)) return false;
        options->shapes.push_back(shape);
        break;
      case 'f':
        if (!ParseFunction(optarg, &options->setting.problem)) return false;
        break;
      case 'y':
        if (!ParseType(optarg, &options->setting.problem)) return false;
        break;
      case 'a':
        if (!ParseAxis(optarg, &options->setting.problem)) return false;
        break;
      default:
        return false;
    }
  }
  if (options->shapes.empty()) options->shapes = kShapes;
  return optind == argc;
}

int ListShapes(const Options& options) {
  for (const Shape& shape : options.shapes) printf("%s\n", ToString(shape).c_str());
  return EXIT_SUCCESS;
}

int Run(const Options& options) {
  printf("%s\n\n", ToString(options.setting.problem).c_str());
  const std::vector<Peer> found = FoundPeers(options.setting);
  const std::vector<Subject> subjects = Subjects(options.setting, found);
  for (const Subject& subject : subjects) {
    printf("%-29s%-9s %s\n", subject.peer.name.c_str(), RoleName(subject.role), subject.peer.version.c_str());
  }
  for (const Peer& peer : found) {
    if (peer.refusal.empty()) continue;
    printf("%-29s%-9s does not offer it: %s\n", peer.name.c_str(), "absent", peer.refusal.c_str());
  }
  for (const AbsentPeer& absent : AbsentPeers()) {
    printf("%-29s%-9s not found when this was built: %s\n", absent.name.c_str(), "absent",
           absent.package.c_str());
  }

  std::unique_ptr<JsonFile> json;
  if (!options.json_path.empty()) json = std::make_unique<JsonFile>(options, subjects);
  const Tables tables(subjects);
  tables.PrintTimesHeader();
  std::mt19937 random(2001);
  std::vector<ShapeResults> all;
  for (const Shape& shape : options.shapes) {
    all.push_back(Measure(subjects, shape, options, &random));
    tables.PrintTimes(all.back());
    if (json != nullptr) json->Write(all.back());
  }
  tables.PrintErrors(all);
  printf("\nsmxpack %s against the best peer of each shape, geometric mean: %.3f\n",
         options.setting.isa.c_str(), GeometricMeanOfRatios(all));

  if (json != nullptr && !json->Close()) {
    fprintf(stderr, "peers_bench: %s could not be written\n", options.json_path.c_str());
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace smx_peers

int main(int argc, char** argv) {
  smx_peers::Options options;
  if (!smx_peers::ParseOptions(argc, argv, &options)) {
    fputs(smx_peers::kUsage, stderr);
    return EXIT_FAILURE;
  }
  try {
    return options.list_shapes ? smx_peers::ListShapes(options) : smx_peers::Run(options);
  } catch (const std::exception& exception) {
    fprintf(stderr, "peers_bench: %s\n", exception.what());
    return EXIT_FAILURE;
  }
}
