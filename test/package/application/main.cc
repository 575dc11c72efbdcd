// An application in C++: a row of equal logits.
#include <algorithm>
#include <iostream>
#include <smxpack.hpp>
#include <vector>

int main() {
  const std::vector<float> logits(64, 2.0f);
  std::vector<float> probabilities(64);
  smxpack::Softmax<smx_datatype_f32> softmax;
  smx_status status = smx_initialize(nullptr);
  if (status == smx_status_success) status = softmax.Create();
  if (status == smx_status_success) {
    status = softmax.Setup(1, 64, 64, 64, logits.data(), probabilities.data());
  }
  if (status == smx_status_success) status = softmax.Run();
  std::cout << smx_status_to_string(status) << ", " << probabilities[0] << "\n";
  return std::count(probabilities.begin(), probabilities.end(), 1.0f / 64) != 64;
}
