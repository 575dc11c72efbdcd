// An application in C: rows spread over a pool of threads have the bits that they have on the caller's.
#include <pthreadpool.h>
#include <smxpack.h>
#include <stdio.h>
#include <string.h>

enum { ROWS = 64, CHANNELS = 1000 };

static float logits[ROWS][CHANNELS];
static float probabilities[2][ROWS][CHANNELS];

static enum smx_status Softmax(float* output, pthreadpool_t threadpool) {
  smx_operator_t op = NULL;
  enum smx_status status = smx_create_softmax_nc_f32(0, &op);
  if (status == smx_status_success) {
    status = smx_setup_softmax_nc_f32(op, ROWS, CHANNELS, CHANNELS, CHANNELS, &logits[0][0], output);
  }
  if (status == smx_status_success) status = smx_run_operator(op, threadpool);
  smx_delete_operator(op);
  return status;
}

int main(void) {
  for (int row = 0; row < ROWS; row++) {
    for (int channel = 0; channel < CHANNELS; channel++) {
      logits[row][channel] = (float)((row + 1) * channel % 97);
    }
  }
  enum smx_status status = smx_initialize(NULL);
  if (status == smx_status_success) status = Softmax(&probabilities[0][0][0], NULL);
  pthreadpool_t threadpool = pthreadpool_create(2);
  if (status == smx_status_success) status = Softmax(&probabilities[1][0][0], threadpool);
  pthreadpool_destroy(threadpool);
  if (status != smx_status_success) {
    fprintf(stderr, "%s\n", smx_status_to_string(status));
    return 1;
  }
  double sum = 0;
  for (int channel = 0; channel < CHANNELS; channel++) sum += probabilities[0][ROWS - 1][channel];
  printf("the last row's sum is %.6f\n", sum);
  return sum < 0.99999 || sum > 1.00001 || memcmp(probabilities[0], probabilities[1], sizeof(logits)) != 0;
}
