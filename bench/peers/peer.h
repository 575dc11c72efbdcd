// The softmax operators that are compared, each as its users would use it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/peers/problem.h"
#include "bench/shape.h"

namespace smx_peers {

using smx_bench::Shape;

// An operator that was created for a shape. Like its library, it throws std::exception where it fails.
class Softmax {
 public:
  virtual ~Softmax() = default;
  // Says which matrices the next runs read and write, as often as they change.
  virtual void SetUp(const void* x, void* y) = 0;
  virtual void Run() = 0;
};

// What a run asks of every library: a problem, no instructions beyond an ISA of ours, and a number of threads. At most one
// Softmax exists at a time.
struct Setting {
  std::string isa;
  size_t threads;
  Problem problem = {};
};

// Throws where the library does not offer the setting's problem.
using Create = std::function<std::unique_ptr<Softmax>(const Shape&)>;

struct Peer {
  std::string name;
  std::string version;  // with what is known about the instructions that it uses
  bool keeps_to_isa;    // of the setting; what does not is no match for what does
  Create create;
  std::string refusal = {};  // what the library says where it does not offer the problem
};

// For those that compute softmax of rows of floats, and nothing else.
Create OfFloatRows(const Problem& problem, Create create);

// Those that the build found, made ready in this setting.
std::vector<Peer> FoundPeers(const Setting& setting);

// Those that it did not find: their names, and the packages that they are in.
struct AbsentPeer {
  std::string name;
  std::string package;
};
std::vector<AbsentPeer> AbsentPeers();

// Adds them to the context of results.
void AddAbsentPeersToContext();

// A file each.
Peer ExpfLoop(const Setting& setting);
Peer OneDnn(const Setting& setting);
Peer OnnxRuntime(const Setting& setting);
Peer PyTorch(const Setting& setting);
Peer Xnnpack(const Setting& setting);

}  // namespace smx_peers
