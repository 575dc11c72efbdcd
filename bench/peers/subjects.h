// All that a run measures: peers, rooflines, and what is ours, each in the form of a peer.
#pragma once

#include <vector>

#include "bench/peers/peer.h"
#include "bench/peers/result.h"

namespace smx_peers {

struct Subject {
  Peer peer;
  Role role;
};

// In the order of the table, with those of the peers that offer the problem.
std::vector<Subject> Subjects(const Setting& setting, const std::vector<Peer>& found);

// The ISAs of ours that this processor has, the best first.
std::vector<std::string> AvailableIsas();

}  // namespace smx_peers
