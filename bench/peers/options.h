// What a run was asked for.
#pragma once

#include <string>
#include <vector>

#include "bench/buffers.h"
#include "bench/peers/peer.h"

namespace smx_peers {

struct Options {
  Setting setting;
  smx_bench::Buffering buffering = smx_bench::Buffering::kWarm;
  int rounds = 11;
  std::vector<Shape> shapes;
  std::string json_path;     // none where empty
  bool list_shapes = false;  // and measure nothing
};

}  // namespace smx_peers
