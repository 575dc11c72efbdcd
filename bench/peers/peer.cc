#include "bench/peers/peer.h"

#include <benchmark/benchmark.h>

#include <stdexcept>

#include "found_peers.h"  // by CMake

namespace smx_peers {
namespace {

// The first line of what the library says to a small matrix, if it is an error.
std::string Refusal(const Peer& peer) {
  constexpr Shape kShape = {2, 4};
  alignas(64) const float x[kShape.rows * kShape.channels] = {};  // zeros of any type
  alignas(64) float y[kShape.rows * kShape.channels];
  try {
    const std::unique_ptr<Softmax> softmax = peer.create(kShape);
    softmax->SetUp(x, y);
    softmax->Run();
  } catch (const std::exception& exception) {
    const std::string what = exception.what();
    return what.substr(0, what.find('\n'));
  }
  return "";
}

}  // namespace

Create OfFloatRows(const Problem& problem, Create create) {
  if (problem.IsDefault()) return create;
  return [](const Shape&) -> std::unique_ptr<Softmax> {
    throw std::runtime_error("softmax of f32 over axis 1 alone");
  };
}

std::vector<Peer> FoundPeers(const Setting& setting) {
#define SMX_PEER(peer) peer(setting),
  std::vector<Peer> peers = {SMX_FOREACH_FOUND_PEER(SMX_PEER)};
#undef SMX_PEER
  for (Peer& peer : peers) peer.refusal = Refusal(peer);
  return peers;
}

std::vector<AbsentPeer> AbsentPeers() {
#define SMX_PEER(name, package) {name, package},
  return {SMX_FOREACH_ABSENT_PEER(SMX_PEER)};
#undef SMX_PEER
}

void AddAbsentPeersToContext() {
  std::string names;
  for (const AbsentPeer& absent : AbsentPeers()) {
    names += (names.empty() ? "" : ", ") + absent.name + " (" + absent.package + ")";
  }
  benchmark::AddCustomContext("absent_peers", names);
}

}  // namespace smx_peers
