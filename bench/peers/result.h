// What a run of the peers benchmark found out.
#pragma once

#include <string>
#include <vector>

#include "bench/peers/reference.h"
#include "bench/shape.h"

namespace smx_peers {

enum class Role {
  kRoofline,  // what the memory can do
  kPeer,      // what the operator is compared with
  kOurs,      // the operator
  kAside,  // measured, but not compared with: ours on a lesser ISA than the run's, a peer that goes beyond it
};

const char* RoleName(Role role);

struct Result {
  std::string name;
  Role role;
  Error error = {};             // 0 of a roofline
  size_t runs_per_sample = 1;   // so many runs follow each other under one reading of the clock
  std::vector<double> samples;  // nanoseconds an element, one a round

  double ns_per_element() const;  // their median
};

// All results for a shape, with one of Role::kOurs.
struct ShapeResults {
  smx_bench::Shape shape;
  std::vector<Result> results;

  const Result* BestPeer() const;  // NULL where none offers the problem
  const Result& Ours() const;
  // How many times faster the operator is than the best peer; NaN without one.
  double Ratio() const;
};

}  // namespace smx_peers
