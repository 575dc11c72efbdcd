#include "bench/peers/result.h"

#include <math.h>

#include <algorithm>

#include "bench/peers/statistics.h"

namespace smx_peers {
namespace {

const Result& FastestOf(Role role, const std::vector<Result>& results) {
  return *std::min_element(results.begin(), results.end(), [=](const Result& a, const Result& b) {
    if (a.role != role || b.role != role) return a.role == role && b.role != role;
    return a.ns_per_element() < b.ns_per_element();
  });
}

}  // namespace

const char* RoleName(Role role) {
  switch (role) {
    case Role::kRoofline:
      return "roofline";
    case Role::kPeer:
      return "peer";
    case Role::kOurs:
      return "ours";
    case Role::kAside:
      return "aside";
  }
  return "";
}

double Result::ns_per_element() const {
  return Median(samples);
}

const Result* ShapeResults::BestPeer() const {
  const Result& best = FastestOf(Role::kPeer, results);
  return best.role == Role::kPeer ? &best : nullptr;
}

const Result& ShapeResults::Ours() const {
  return FastestOf(Role::kOurs, results);
}

double ShapeResults::Ratio() const {
  return BestPeer() != nullptr ? BestPeer()->ns_per_element() / Ours().ns_per_element() : NAN;
}

}  // namespace smx_peers
