#include "bench/peers/peer.h"

#include <benchmark/benchmark.h>

#include "found_peers.h"  // by CMake

namespace smx_peers {

std::vector<Peer> FoundPeers(const Setting& setting) {
#define SMX_PEER(peer) peer(setting),
  return {SMX_FOREACH_FOUND_PEER(SMX_PEER)};
#undef SMX_PEER
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
