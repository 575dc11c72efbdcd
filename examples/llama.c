// A language model in llama's manner: RMSNorm, rotary positions, SwiGLU, grouped-query attention and a cache of keys and
// values. Products of matrices are BLAS's, every softmax is SMXPACK's: that of attention, fused with its scale and the causal
// mask, and that of the vocabulary, with the temperature as its scale.
//
//     llama pytorch/weights/llama.bin "And the LORD said unto" --temperature 0.8
//
// The text goes to stdout, what it took to stderr. examples/pytorch/models.py defines the model and the file of its weights.
#include <cblas.h>
#include <errno.h>
#include <math.h>
#include <smxpack.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char kUsage[] =
    "usage: llama WEIGHTS PROMPT [--pieces N] [--temperature T] [--seed N] [--logits FILE]\n"
    "\n"
    "  --pieces N       writes as many pieces of text behind the prompt; 100 where it is not given\n"
    "  --temperature T  draws each piece by its probability; without it, or at 0, takes the likeliest\n"
    "  --seed N         draws others; 1 where it is not given\n"
    "  --logits FILE    receives the logits behind each piece of the prompt, as float32, and no text is "
    "written\n";

enum { kSizes = 7, kMostPieceBytes = 255 };

struct layer {
  const float* attention_norm;
  const float* hidden_norm;
  const float* query;
  const float* key;
  const float* value;
  const float* output;
  const float* gate;
  const float* up;
  const float* down;
  float* keys;    // [kv_heads][context][head_width], those of all positions so far
  float* values;  // likewise
};

struct model {
  size_t width, layer_count, heads, kv_heads, hidden, context, vocabulary;
  size_t head_width;
  char (*pieces)[kMostPieceBytes + 1];
  float* weights;
  const float* embedding;
  const float* norm;
  struct layer* layers;
  float* turns;  // [context][head_width / 2], the cosine and sine of each
};

// What is computed with, for up to `context` positions at once.
struct state {
  float *x, *normed, *query, *key, *value, *mixed, *gate, *up;  // [positions][...]
  float* attention;                                             // [heads][positions][context]
  float* logits;                                                // [positions][vocabulary]
  smx_operator_t attention_softmax;
  smx_operator_t vocabulary_softmax;
  double softmax_seconds;
};

struct arguments {
  const char* weights;
  const char* prompt;
  const char* logits;
  size_t pieces;
  float temperature;
  uint64_t seed;
};

static void Fail(const char* what, const char* why) {
  fprintf(stderr, "llama: %s: %s\n", what, why);
  exit(EXIT_FAILURE);
}

static void* Allocate(size_t count, size_t bytes) {
  void* memory = calloc(count, bytes);
  if (memory == NULL) Fail("memory", "there is too little");
  return memory;
}

static float* AllocateFloats(size_t rows, size_t columns) {
  return Allocate(rows * columns, sizeof(float));
}

static void Check(enum smx_status status) {
  if (status != smx_status_success) Fail("SMXPACK", smx_status_to_string(status));
}

static double Seconds(void) {
  struct timespec now;
  timespec_get(&now, TIME_UTC);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void Read(FILE* file, const char* path, void* memory, size_t bytes) {
  if (fread(memory, 1, bytes, file) != bytes) Fail(path, "the file ends too early");
}

static float HalfToFloat(uint16_t half) {
  const int exponent = half >> 10 & 31, mantissa = half & 1023;
  const float magnitude = exponent == 0    ? ldexpf((float)mantissa, -24)
                          : exponent == 31 ? (mantissa == 0 ? INFINITY : NAN)
                                           : ldexpf((float)(mantissa + 1024), exponent - 25);
  return half >> 15 ? -magnitude : magnitude;
}

// Advances over a parameter of `size` elements.
static const float* Take(const float** weights, size_t size) {
  const float* parameter = *weights;
  *weights += size;
  return parameter;
}

static void ReadSizes(FILE* file, const char* path, struct model* model) {
  char magic[8];
  uint32_t sizes[kSizes];
  Read(file, path, magic, sizeof magic);
  if (memcmp(magic, "SMXLLAMA", sizeof magic) != 0) Fail(path, "these are not the weights of such a model");
  Read(file, path, sizes, sizeof sizes);
  for (size_t i = 0; i < kSizes; i++) {
    if (sizes[i] == 0 || sizes[i] > 1 << 16) Fail(path, "a size is out of range");
  }
  model->width = sizes[0];
  model->layer_count = sizes[1];
  model->heads = sizes[2];
  model->kv_heads = sizes[3];
  model->hidden = sizes[4];
  model->context = sizes[5];
  model->vocabulary = sizes[6];
  model->head_width = model->width / model->heads;
  if (model->width % model->heads != 0 || model->heads % model->kv_heads != 0 || model->head_width % 2 != 0) {
    Fail(path, "the heads do not share what there is");
  }
}

static void ReadPieces(FILE* file, const char* path, struct model* model) {
  model->pieces = Allocate(model->vocabulary, sizeof *model->pieces);
  for (size_t i = 0; i < model->vocabulary; i++) {
    uint8_t length;
    Read(file, path, &length, 1);
    Read(file, path, model->pieces[i], length);
  }
}

static void ReadWeights(FILE* file, const char* path, struct model* model) {
  const size_t kv_width = model->kv_heads * model->head_width;
  const size_t layer_size = model->width * (2 + 2 * model->width + 2 * kv_width + 3 * model->hidden);
  const size_t count = model->vocabulary * model->width + model->layer_count * layer_size + model->width;
  model->weights = AllocateFloats(count, 1);
  for (size_t i = 0; i < count; i++) {
    uint8_t bytes[2];
    Read(file, path, bytes, sizeof bytes);
    model->weights[i] = HalfToFloat((uint16_t)(bytes[0] | bytes[1] << 8));
  }
  if (fgetc(file) != EOF) Fail(path, "the file goes on behind the weights");

  const float* next = model->weights;
  model->embedding = Take(&next, model->vocabulary * model->width);
  model->layers = Allocate(model->layer_count, sizeof *model->layers);
  for (size_t i = 0; i < model->layer_count; i++) {
    struct layer* layer = &model->layers[i];
    layer->attention_norm = Take(&next, model->width);
    layer->hidden_norm = Take(&next, model->width);
    layer->query = Take(&next, model->width * model->width);
    layer->key = Take(&next, kv_width * model->width);
    layer->value = Take(&next, kv_width * model->width);
    layer->output = Take(&next, model->width * model->width);
    layer->gate = Take(&next, model->hidden * model->width);
    layer->up = Take(&next, model->hidden * model->width);
    layer->down = Take(&next, model->width * model->hidden);
    layer->keys = AllocateFloats(model->context, kv_width);
    layer->values = AllocateFloats(model->context, kv_width);
  }
  model->norm = Take(&next, model->width);
}

static void MakeTurns(struct model* model) {
  const size_t pairs = model->head_width / 2;
  model->turns = AllocateFloats(model->context, model->head_width);
  for (size_t position = 0; position < model->context; position++) {
    for (size_t i = 0; i < pairs; i++) {
      const float frequency = powf(10000.0f, -(float)(2 * i) / (float)model->head_width);
      float* turn = &model->turns[2 * (position * pairs + i)];
      turn[0] = cosf((float)position * frequency);
      turn[1] = sinf((float)position * frequency);
    }
  }
}

static struct model LoadModel(const char* path) {
  struct model model;
  FILE* file = fopen(path, "rb");
  if (file == NULL) Fail(path, strerror(errno));
  ReadSizes(file, path, &model);
  ReadPieces(file, path, &model);
  ReadWeights(file, path, &model);
  fclose(file);
  MakeTurns(&model);
  return model;
}

static void FreeModel(struct model* model) {
  for (size_t i = 0; i < model->layer_count; i++) {
    free(model->layers[i].keys);
    free(model->layers[i].values);
  }
  free(model->layers);
  free(model->weights);
  free(model->pieces);
  free(model->turns);
}

// The longest piece that the text begins with, as models.py cuts it.
static size_t FirstPiece(const struct model* model, const char* text) {
  size_t best = model->vocabulary, best_length = 0;
  for (size_t i = 0; i < model->vocabulary; i++) {
    const size_t length = strlen(model->pieces[i]);
    if (length > best_length && strncmp(text, model->pieces[i], length) == 0) {
      best = i;
      best_length = length;
    }
  }
  if (best == model->vocabulary) Fail(text, "the vocabulary lacks its first character");
  return best;
}

// Returns the number of pieces, up to `context`.
static size_t Encode(const struct model* model, const char* text, size_t* numbers) {
  size_t count = 0;
  for (; *text != '\0'; text += strlen(model->pieces[numbers[count++]])) {
    if (count == model->context) Fail("PROMPT", "it is longer than the context");
    numbers[count] = FirstPiece(model, text);
  }
  if (count == 0) Fail("PROMPT", "it is empty");
  return count;
}

static struct state MakeState(const struct model* model, size_t positions) {
  const size_t kv_width = model->kv_heads * model->head_width;
  struct state state = {
      .x = AllocateFloats(positions, model->width),
      .normed = AllocateFloats(positions, model->width),
      .query = AllocateFloats(positions, model->width),
      .key = AllocateFloats(positions, kv_width),
      .value = AllocateFloats(positions, kv_width),
      .mixed = AllocateFloats(positions, model->width),
      .gate = AllocateFloats(positions, model->hidden),
      .up = AllocateFloats(positions, model->hidden),
      .attention = AllocateFloats(model->heads * positions, model->context),
      .logits = AllocateFloats(positions, model->vocabulary),
  };
  const struct smx_attention_options options = {.input_type = smx_datatype_f32,
                                                .output_type = smx_datatype_f32};
  Check(smx_initialize(NULL));
  Check(smx_create_attention_softmax(&options, SMX_FLAG_CAUSAL, &state.attention_softmax));
  Check(smx_set_scale(state.attention_softmax, 1.0f / sqrtf((float)model->head_width)));
  Check(smx_create_softmax_nc_f32(0, &state.vocabulary_softmax));
  return state;
}

static void FreeState(struct state* state) {
  float* buffers[] = {state->x,     state->normed, state->query, state->key,       state->value,
                      state->mixed, state->gate,   state->up,    state->attention, state->logits};
  for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) free(buffers[i]);
  smx_delete_operator(state->attention_softmax);
  smx_delete_operator(state->vocabulary_softmax);
}

// y = x W^T + beta y, of rows of `columns` and a weight [outputs][columns].
static void Multiply(size_t rows, size_t outputs, size_t columns, const float* x, const float* weight,
                     float beta, float* y) {
  if (rows == 1) {
    cblas_sgemv(CblasRowMajor, CblasNoTrans, (int)outputs, (int)columns, 1.0f, weight, (int)columns, x, 1,
                beta, y, 1);
  } else {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)rows, (int)outputs, (int)columns, 1.0f, x,
                (int)columns, weight, (int)columns, beta, y, (int)outputs);
  }
}

static void Normalize(size_t rows, size_t width, const float* x, const float* weight, float* y) {
  for (size_t i = 0; i < rows; i++, x += width, y += width) {
    float squares = 0.0f;
    for (size_t j = 0; j < width; j++) squares += x[j] * x[j];
    const float factor = 1.0f / sqrtf(squares / (float)width + 1e-5f);
    for (size_t j = 0; j < width; j++) y[j] = factor * x[j] * weight[j];
  }
}

// Turns the pairs of elements of each head by the row's position.
static void Rotate(const struct model* model, size_t rows, size_t heads, size_t start, float* x) {
  const size_t pairs = model->head_width / 2;
  for (size_t i = 0; i < rows * heads * pairs; i++, x += 2) {
    const float* turn = &model->turns[2 * ((start + i / (heads * pairs)) * pairs + i % pairs)];
    const float re = x[0], im = x[1];
    x[0] = re * turn[0] - im * turn[1];
    x[1] = re * turn[1] + im * turn[0];
  }
}

// From [rows][kv_heads][head_width] to [kv_heads][context][head_width].
static void Remember(const struct model* model, size_t rows, size_t start, const float* x, float* cache) {
  const size_t bytes = model->head_width * sizeof(float);
  for (size_t i = 0; i < rows; i++) {
    for (size_t head = 0; head < model->kv_heads; head++, x += model->head_width) {
      memcpy(&cache[(head * model->context + start + i) * model->head_width], x, bytes);
    }
  }
}

// The probabilities of state->attention in its place, each row over the keys up to its own position.
static void AttentionSoftmax(const struct model* model, size_t rows, size_t keys, struct state* state) {
  const double start = Seconds();
  const struct smx_attention_strides strides = {
      .head = rows * model->context, .query = model->context, .key = 1};
  const struct smx_attention attention = {
      .batch_size = 1,
      .heads = model->heads,
      .queries = rows,
      .keys = keys,
      .input_strides = strides,
      .output_strides = strides,
      .input = state->attention,
      .output = state->attention,
  };
  Check(smx_setup_attention_softmax(state->attention_softmax, &attention));
  Check(smx_run_operator(state->attention_softmax, NULL));
  state->softmax_seconds += Seconds() - start;
}

// state->mixed = softmax(query keys^T / sqrt(head_width)) values, head by head; several heads share their keys and values.
static void Attend(const struct model* model, const struct layer* layer, size_t rows, size_t start,
                   struct state* state) {
  const int width = (int)model->width, head_width = (int)model->head_width, context = (int)model->context;
  const size_t keys = start + rows, shared = model->heads / model->kv_heads;
  for (size_t head = 0; head < model->heads; head++) {
    const size_t cached = head / shared * model->context * model->head_width;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)rows, (int)keys, head_width, 1.0f,
                state->query + head * model->head_width, width, layer->keys + cached, head_width, 0.0f,
                state->attention + head * rows * model->context, context);
  }
  AttentionSoftmax(model, rows, keys, state);
  for (size_t head = 0; head < model->heads; head++) {
    const size_t cached = head / shared * model->context * model->head_width;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)rows, head_width, (int)keys, 1.0f,
                state->attention + head * rows * model->context, context, layer->values + cached, head_width,
                0.0f, state->mixed + head * model->head_width, width);
  }
}

static void RunLayer(const struct model* model, const struct layer* layer, size_t rows, size_t start,
                     struct state* state) {
  const size_t width = model->width, kv_width = model->kv_heads * model->head_width;
  Normalize(rows, width, state->x, layer->attention_norm, state->normed);
  Multiply(rows, width, width, state->normed, layer->query, 0.0f, state->query);
  Multiply(rows, kv_width, width, state->normed, layer->key, 0.0f, state->key);
  Multiply(rows, kv_width, width, state->normed, layer->value, 0.0f, state->value);
  Rotate(model, rows, model->heads, start, state->query);
  Rotate(model, rows, model->kv_heads, start, state->key);
  Remember(model, rows, start, state->key, layer->keys);
  Remember(model, rows, start, state->value, layer->values);
  Attend(model, layer, rows, start, state);
  Multiply(rows, width, width, state->mixed, layer->output, 1.0f, state->x);

  Normalize(rows, width, state->x, layer->hidden_norm, state->normed);
  Multiply(rows, model->hidden, width, state->normed, layer->gate, 0.0f, state->gate);
  Multiply(rows, model->hidden, width, state->normed, layer->up, 0.0f, state->up);
  for (size_t i = 0; i < rows * model->hidden; i++) {
    const float gate = state->gate[i];
    state->gate[i] = gate / (1.0f + expf(-gate)) * state->up[i];
  }
  Multiply(rows, width, model->hidden, state->gate, layer->down, 1.0f, state->x);
}

// Makes state->logits of the pieces at positions start to start + rows - 1.
static void Run(const struct model* model, size_t rows, size_t start, const size_t* numbers,
                struct state* state) {
  const size_t bytes = model->width * sizeof(float);
  for (size_t i = 0; i < rows; i++) {
    memcpy(state->x + i * model->width, model->embedding + numbers[i] * model->width, bytes);
  }
  for (size_t i = 0; i < model->layer_count; i++) RunLayer(model, &model->layers[i], rows, start, state);
  Normalize(rows, model->width, state->x, model->norm, state->normed);
  Multiply(rows, model->vocabulary, model->width, state->normed, model->embedding, 0.0f, state->logits);
}

// xorshift64* (S. Vigna): a number from 0 to 1, 1 not included.
static double Random(uint64_t* seed) {
  *seed ^= *seed >> 12;
  *seed ^= *seed << 25;
  *seed ^= *seed >> 27;
  return (double)((*seed * UINT64_C(2685821657736338717)) >> 11) * 0x1p-53;
}

static size_t Likeliest(const struct model* model, const float* logits) {
  size_t best = 0;
  for (size_t i = 1; i < model->vocabulary; i++) best = logits[i] > logits[best] ? i : best;
  return best;
}

// The next piece by the probabilities softmax(logits / temperature), which take the place of the logits.
static size_t Draw(const struct model* model, float temperature, uint64_t* seed, float* logits,
                   struct state* state) {
  const double start = Seconds();
  const size_t n = model->vocabulary;
  Check(smx_set_scale(state->vocabulary_softmax, 1.0f / temperature));
  Check(smx_setup_softmax_nc_f32(state->vocabulary_softmax, 1, n, n, n, logits, logits));
  Check(smx_run_operator(state->vocabulary_softmax, NULL));
  state->softmax_seconds += Seconds() - start;

  double left = Random(seed);
  for (size_t i = 0; i < n; i++) {
    left -= logits[i];
    if (left < 0) return i;
  }
  return Likeliest(model, logits);  // where the sum of the probabilities is below 1 by rounding
}

static void Report(const char* what, size_t pieces, double seconds, double softmax_seconds) {
  fprintf(stderr, "%-7s %4zu pieces  %7.1f pieces/s  softmax %4.1f %%\n", what, pieces,
          (double)pieces / seconds, 100 * softmax_seconds / seconds);
}

static void WriteLogits(const struct model* model, const char* path, size_t rows, const struct state* state) {
  FILE* file = fopen(path, "wb");
  if (file == NULL) Fail(path, strerror(errno));
  const size_t count = rows * model->vocabulary;
  const bool is_written = fwrite(state->logits, sizeof(float), count, file) == count;
  if (fclose(file) != 0 || !is_written) Fail(path, "it could not be written");
}

static void WriteText(const struct model* model, const struct arguments* arguments, size_t prompt,
                      struct state* state) {
  const size_t room = model->context - prompt;
  const size_t count = arguments->pieces < room ? arguments->pieces : room;
  uint64_t seed = arguments->seed * UINT64_C(0x9E3779B97F4A7C15) | 1;
  float* logits = state->logits + (prompt - 1) * model->vocabulary;
  state->softmax_seconds = 0;
  const double start = Seconds();
  fputs(arguments->prompt, stdout);
  for (size_t i = 0; i < count; i++) {
    const size_t next = arguments->temperature > 0 ? Draw(model, arguments->temperature, &seed, logits, state)
                                                   : Likeliest(model, logits);
    fputs(model->pieces[next], stdout);
    Run(model, 1, prompt + i, &next, state);
    logits = state->logits;
  }
  putchar('\n');
  if (fflush(stdout) != 0) Fail("stdout", strerror(errno));
  if (count > 0) Report("text", count, Seconds() - start, state->softmax_seconds);
}

static double ParseNumber(const char* option, const char* text, double least, double largest) {
  char* end;
  const double value = strtod(text, &end);
  if (end == text || *end != '\0' || !(value >= least && value <= largest))
    Fail(option, "its number is none, or out of range");
  return value;
}

static struct arguments ParseArguments(int argc, char** argv) {
  struct arguments arguments = {.pieces = 100, .seed = 1};
  if (argc < 3 || argc % 2 == 0) {
    fputs(kUsage, stderr);
    exit(EXIT_FAILURE);
  }
  arguments.weights = argv[1];
  arguments.prompt = argv[2];
  for (int i = 3; i < argc; i += 2) {
    if (strcmp(argv[i], "--pieces") == 0) {
      arguments.pieces = (size_t)ParseNumber(argv[i], argv[i + 1], 0, 1e6);
    } else if (strcmp(argv[i], "--temperature") == 0) {
      arguments.temperature = (float)ParseNumber(argv[i], argv[i + 1], 0, 1e6);
    } else if (strcmp(argv[i], "--seed") == 0) {
      arguments.seed = (uint64_t)ParseNumber(argv[i], argv[i + 1], 0, 9e15);
    } else if (strcmp(argv[i], "--logits") == 0) {
      arguments.logits = argv[i + 1];
    } else {
      Fail(argv[i], "there is no such option");
    }
  }
  return arguments;
}

int main(int argc, char** argv) {
  const struct arguments arguments = ParseArguments(argc, argv);
  struct model model = LoadModel(arguments.weights);
  size_t* numbers = Allocate(model.context, sizeof *numbers);
  const size_t prompt = Encode(&model, arguments.prompt, numbers);
  struct state state = MakeState(&model, prompt);
  openblas_set_num_threads(1);  // matrices as small are not worth the wait for a second one

  const double start = Seconds();
  Run(&model, prompt, 0, numbers, &state);
  Report("prompt", prompt, Seconds() - start, state.softmax_seconds);
  if (arguments.logits != NULL) {
    WriteLogits(&model, arguments.logits, prompt, &state);
  } else {
    WriteText(&model, &arguments, prompt, &state);
  }

  FreeState(&state);
  FreeModel(&model);
  free(numbers);
  return EXIT_SUCCESS;
}
