// The softmax of attention. See smx_create_attention_softmax in include/smxpack.h.
#include <float.h>
#include <math.h>
#include <string.h>

#include <algorithm>

#include "src/operators/attention_logits.h"
#include "src/operators/operator.h"
#include "src/operators/row.h"
#include "src/operators/rows.h"
#include "src/runtime/fp_environment.h"
#include "src/runtime/log.h"
#include "src/runtime/parallelize.h"

namespace {

struct AttentionSoftmax {
  smx_rows rows;  // flags, the output's type, and the scale that the exponential applies
  smx_attention_options options;
  smx_attention_maker maker;  // and the scale that is applied before
  float scale;                // the product of both
  smx_attention attention;
  smx_softmax_plan serial_plan;

  bool has_sinks() const { return attention.sinks != nullptr; }
  // Whether logits are other numbers than the elements.
  bool makes_logits() const { return adds() || maker.scale != 1.0f || maker.input_type != rows.types->input; }
  // Whether a product with the scale, or a sum of it and a mask, is all that becomes of them.
  bool adds_mask_at_most() const {
    return (options.mask_type == 0 || maker.mask_key_stride == 1) && options.softcap == 0.0f &&
           attention.slopes == nullptr;
  }
  // Whether more becomes of them than a product with the scale.
  bool adds() const {
    return options.softcap != 0.0f || options.mask_type != 0 || attention.slopes != nullptr || has_sinks();
  }
  // Whether a query sees other keys than the one before.
  bool restricts() const { return (rows.flags & SMX_FLAG_CAUSAL) != 0 || options.window != 0; }
  size_t queries() const { return attention.batch_size * attention.heads * attention.queries; }
};

AttentionSoftmax* Attention(smx_operator* op) {
  return reinterpret_cast<AttentionSoftmax*>(op);
}
const AttentionSoftmax* Attention(const smx_operator* op) {
  return reinterpret_cast<const AttentionSoftmax*>(op);
}

// ---- One query

// What a query sees.
struct Keys {
  size_t begin;
  size_t end;

  size_t count() const { return end - begin; }
};

// With the `length` that its batch entry has.
struct Query {
  smx_attention_logits logits;
  Keys keys;
  size_t length;
  size_t following;  // elements of the queries that follow
  char* y;           // of key 0
  float* logsumexp;

  size_t channels() const { return keys.count() + (logits.sink != nullptr ? 1 : 0); }
};

// Positions beyond see as these do; sums of them do not overflow.
constexpr int64_t kFarthest = int64_t{1} << 60;

Keys KeysAt(const AttentionSoftmax& op, int64_t position, size_t length) {
  int64_t begin = 0;
  int64_t end = static_cast<int64_t>(length);
  if ((op.rows.flags & SMX_FLAG_CAUSAL) != 0) end = std::min(end, position + 1);
  if (op.options.window != 0) {
    const int64_t window = static_cast<int64_t>(std::min<uint64_t>(op.options.window, kFarthest));
    begin = std::max(begin, position - window + 1);
    end = std::min(end, position + window);
  }
  begin = std::clamp<int64_t>(begin, 0, static_cast<int64_t>(length));
  return {static_cast<size_t>(begin), static_cast<size_t>(std::max(end, begin))};
}

// The queries in the order of memory, from one on.
class Queries {
 public:
  Queries(const AttentionSoftmax& op, size_t index) : op_(op) { MoveTo(index); }

  size_t index() const { return index_; }

  void MoveTo(size_t index) {
    const smx_attention& attention = op_.attention;
    index_ = index;
    query_ = index % attention.queries;
    head_ = index / attention.queries % attention.heads;
    batch_ = index / attention.queries / attention.heads;
    if (batch_ < attention.batch_size) BeginHead();
  }

  void Next() {
    index_++;
    if (++query_ < op_.attention.queries) return;
    query_ = 0;
    if (++head_ == op_.attention.heads) {
      head_ = 0;
      batch_++;
    }
    if (batch_ < op_.attention.batch_size) BeginHead();
  }

  // How many follow one another, this one included, each a stride behind the one before: those of a head; of heads that follow one
  // another; and of batch entries likewise, if their keys are alike. Slopes and sinks follow where heads have a query each.
  size_t Following(const smx_attention_strides& strides, size_t* stride) const {
    const smx_attention& attention = op_.attention;
    const bool has_heads = attention.slopes != nullptr || op_.has_sinks();
    const bool begins_anew = attention.queries > 1 && has_heads;
    const bool has_batches =
        attention.key_lengths != nullptr || attention.first_positions != nullptr || has_heads;
    const struct {
      size_t size, index, stride;
      bool begins_anew;
    } dimensions[] = {{attention.queries, query_, strides.query, false},
                      {attention.heads, head_, strides.head, begins_anew},
                      {attention.batch_size, batch_, strides.batch, begins_anew || has_batches}};
    size_t following = 1, rows = 1;
    *stride = 0;
    for (const auto& dimension : dimensions) {
      if (dimension.size == 1) continue;
      if (rows == 1) *stride = dimension.stride;
      if (dimension.begins_anew || dimension.stride != rows * *stride) break;
      following += (dimension.size - 1 - dimension.index) * rows;
      rows *= dimension.size;
    }
    return following;
  }

  // How many follow as heads do whose masks are one, this query being the first of its head; 0 where they do not.
  size_t FollowingUnderOneMask() const {
    const smx_attention& attention = op_.attention;
    if (query_ != 0 || (attention.heads > 1 && attention.mask_strides.head != 0)) return 0;
    const bool is_of_all = attention.batch_size == 1 || attention.mask_strides.batch == 0;
    const size_t batches = is_of_all ? attention.batch_size - 1 - batch_ : 0;
    return (attention.heads - head_ + batches * attention.heads) * attention.queries;
  }

  // How many of the next `count`, which follow one another, see keys that begin `shift` behind those of the one before, and are
  // `growth` more than those; this one included. Those of other heads begin anew, where queries see different keys.
  size_t Alike(size_t count, ptrdiff_t* shift, ptrdiff_t* growth) const {
    *shift = *growth = 0;
    if (!op_.restricts() || op_.attention.queries == 1) return count;
    count = std::min(count, op_.attention.queries - query_);
    if (count < 2) return count;
    Keys last = KeysOf(1);
    *shift = static_cast<ptrdiff_t>(last.begin - KeysOf(0).begin);
    *growth = static_cast<ptrdiff_t>(last.count() - KeysOf(0).count());
    size_t alike = 2;
    for (; alike < count; alike++) {
      const Keys keys = KeysOf(alike);
      if (keys.begin != last.begin + *shift || keys.count() != last.count() + *growth) break;
      last = keys;
    }
    return alike;
  }

  void Read(Query* query) const {
    const smx_attention& attention = op_.attention;
    query->length = length_;
    query->keys = KeysOf(0);
    size_t stride;
    query->following = (Following(attention.input_strides, &stride) - 1) * stride;
    query->y = y_ + query_ * attention.output_strides.query * op_.rows.types->output_bytes;
    query->logsumexp = attention.logsumexp != nullptr ? attention.logsumexp + index_ : nullptr;
    smx_attention_logits& logits = query->logits;
    logits.base.make = smx_make_attention_logits;
    logits.maker = &op_.maker;
    logits.x = At(x_, attention.input_strides, op_.maker.input->input_bytes, query->keys.begin);
    logits.mask = mask_ == nullptr
                      ? nullptr
                      : At(mask_, attention.mask_strides, op_.maker.mask_bytes, query->keys.begin);
    logits.keys = query->keys.count();
    logits.slope = attention.slopes != nullptr ? &attention.slopes[head_] : nullptr;
    logits.distance = static_cast<int64_t>(query->keys.begin) - PositionOf(0);
    logits.sink = op_.has_sinks() ? &attention.sinks[head_] : nullptr;
    const bool adds_floats = op_.maker.input_type == smx_datatype_f32 &&
                             op_.options.mask_type == smx_datatype_f32 && op_.adds_mask_at_most() &&
                             !op_.has_sinks();
    logits.base.mask = adds_floats ? reinterpret_cast<const float*>(logits.mask) : nullptr;
    logits.base.scale = op_.maker.scale;
    logits.base.climbs = logits.slope != nullptr;
  }

 private:
  int64_t PositionOf(size_t ahead) const { return first_position_ + static_cast<int64_t>(query_ + ahead); }
  Keys KeysOf(size_t ahead) const { return KeysAt(op_, PositionOf(ahead), length_); }

  template <class Byte>
  Byte* HeadAt(Byte* first, const smx_attention_strides& strides, size_t bytes) const {
    return first + (batch_ * strides.batch + head_ * strides.head) * bytes;
  }
  const char* At(const char* head, const smx_attention_strides& strides, size_t bytes, size_t key) const {
    return head + (query_ * strides.query + key * strides.key) * bytes;
  }

  void BeginHead() {
    const smx_attention& attention = op_.attention;
    length_ = attention.key_lengths != nullptr ? std::min(attention.key_lengths[batch_], attention.keys)
                                               : attention.keys;
    first_position_ = attention.first_positions != nullptr
                          ? std::clamp(attention.first_positions[batch_], -kFarthest, kFarthest)
                          : static_cast<int64_t>(length_) - static_cast<int64_t>(attention.queries);
    x_ = HeadAt(static_cast<const char*>(attention.input), attention.input_strides,
                op_.maker.input->input_bytes);
    y_ = HeadAt(static_cast<char*>(attention.output), attention.output_strides, op_.rows.types->output_bytes);
    mask_ = attention.mask == nullptr ? nullptr
                                      : HeadAt(static_cast<const char*>(attention.mask),
                                               attention.mask_strides, op_.maker.mask_bytes);
  }

  const AttentionSoftmax& op_;
  size_t index_, query_, head_, batch_;
  size_t length_;
  int64_t first_position_;
  const char* x_;
  char* y_;
  const char* mask_;
};

char* ResultAt(const AttentionSoftmax& op, const Query& query, size_t key) {
  return query.y + key * op.rows.types->output_bytes;
}

void Fill(const AttentionSoftmax& op, const Query& query, size_t begin, size_t end, float value) {
  if (begin < end) op.rows.types->fill(end - begin, ResultAt(op, query, begin), value);
}

// Where a query's results end, padding that is to be 0 included.
size_t EndOfResults(const AttentionSoftmax& op, const Query& query) {
  return (op.rows.flags & SMX_FLAG_PADDING_TO_ZERO) != 0 ? op.attention.keys : query.length;
}

// Results of keys that the query does not see.
void FillUnseen(const AttentionSoftmax& op, const Query& query) {
  Fill(op, query, 0, query.keys.begin, 0.0f);
  Fill(op, query, query.keys.end, EndOfResults(op, query), 0.0f);
}

smx_row RowOf(const AttentionSoftmax& op, const smx_softmax_plan& plan, const Query& query) {
  smx_row row = {};
  row.op = &op.rows;
  row.x = query.logits.x;
  row.y = ResultAt(op, query, query.keys.begin);
  row.channels = query.channels();
  row.following = query.following;
  row.results = query.keys.count();
  row.logits = op.makes_logits() ? &query.logits.base : nullptr;
  row.logsumexp = query.logsumexp;
  const bool fits =
      row.channels <= SMX_TILE && row.channels * 2 * sizeof(float) <= op.rows.base.thresholds.stored_bytes;
  row.algorithm = fits ? smx_algorithm_store_and_rescale : plan.algorithm;
  row.streams_output = plan.streams_output && row.algorithm == smx_algorithm_two_pass;
  return row;
}

// A query that sees no key, and has no sink.
void FillMasked(const AttentionSoftmax& op, const Query& query) {
  Fill(op, query, 0, query.length, smx_special_probability(&op.rows, -INFINITY));
  if (query.logsumexp != nullptr) *query.logsumexp = -INFINITY;
}

// Whether the query's logits are within the kernels' range.
bool RunQuery(const AttentionSoftmax& op, const smx_softmax_plan& plan, const Query& query) {
  FillUnseen(op, query);
  if (query.channels() == 0) {
    FillMasked(op, query);
    return false;
  }
  const smx_row row = RowOf(op, plan, query);
  return smx_run_row(&row);
}

// ---- Several queries of few keys at a time

// Whether kernels need logits in place of elements, made floats, and of a mask: they apply the scale with a mask, and one of zeros is there
// with a sink.
bool NeedsLogits(const AttentionSoftmax& op) {
  const bool has_mask = op.options.mask_type != 0 || op.has_sinks();
  return !op.adds_mask_at_most() || (!has_mask && op.maker.scale != 1.0f);
}

// Queries that a kernel takes at once, where they are or in a buffer: rows of n logits, each of `growth` more than the one before, followed
// by zeros up to `width`; and what is to be read next, as f32-softmax takes it.
struct Block {
  size_t rows;
  size_t n;
  ptrdiff_t growth;
  size_t growing_rows;  // after so many lengths begin anew
  const float* x;
  size_t x_stride;
  const float* next;
  size_t next_stride;
  const float* mask;
  size_t mask_stride;
  size_t mask_rows;  // after so many it begins anew
  float scale;       // of x under a mask
  const float* sinks;
  size_t sink_stride;
  float* y;
  size_t y_stride;
  size_t width;

  size_t RowLength(size_t r) const { return n + r % growing_rows * static_cast<size_t>(growth); }
  size_t LongestOf(size_t some) const { return std::max(n, RowLength(std::min(some, growing_rows) - 1)); }
  size_t LongestRow() const { return LongestOf(rows); }
  bool SharesMask() const { return mask_stride == 0 || mask_rows < rows; }
};

// What is made of a block's elements, or of its mask: so many as stay in a level 1 cache.
constexpr size_t kMadeElements = 4096;

// Of a block's rows as many as a buffer has room for, as far apart as the longest; whole heads where there are several.
size_t RowsThatFit(const Block& block) {
  size_t rows = std::min(block.rows, kMadeElements / block.LongestRow());
  while (rows < block.rows && (rows + 1) * block.LongestOf(rows + 1) <= kMadeElements) rows++;
  const size_t head = std::min(block.mask_rows, block.growing_rows);
  return rows > head ? rows / head * head : rows;
}

// n of a mask's elements as floats that are added: of booleans 0 and -inf.
void MakeMask(const AttentionSoftmax& op, size_t n, const char* mask, float* floats) {
  const smx_microkernels& kernels = op.rows.base.microkernels;
  if (op.options.mask_type != smx_datatype_bool) return op.maker.mask->to_f32(kernels, n, mask, floats);
  std::fill_n(floats, n, 0.0f);
  kernels.qu8_f32_vselect(n, reinterpret_cast<const uint8_t*>(mask), floats, floats, 0.0f);
}

// A block's rows in a buffer, and how far apart they are there.
struct MadeRows {
  alignas(64) float elements[kMadeElements];
  size_t stride = 0;
};

// Calls make(n, r, first) for each row, of which there is room for as many as there are, or once for all that follow one another, there and
// in the buffer: n elements from the row's first on.
template <class Make>
void MakeRows(const Block& block, bool are_one, MadeRows* made, const Make& make) {
  if (are_one && block.growth == 0 && made->stride == block.n)
    return make(block.rows * block.n, 0, made->elements);
  for (size_t r = 0; r < block.rows; r++) make(block.RowLength(r), r, made->elements + r * made->stride);
}

// Elements of other types than f32 are made floats.
void TakeElements(const AttentionSoftmax& op, const char* x, MadeRows* made, Block* block) {
  MakeRows(*block, block->x_stride == block->n, made, [&](size_t n, size_t r, float* floats) {
    op.maker.input->to_f32(op.rows.base.microkernels, n,
                           x + r * block->x_stride * op.maker.input->input_bytes, floats);
  });
  block->x = made->elements;
  block->x_stride = made->stride;
}

// Masks of other types than f32 are made floats, or, where they are booleans of each row, the elements are made logits.
void TakeMask(const AttentionSoftmax& op, const char* mask, MadeRows* made, Block* block) {
  const bool are_one = block->mask_stride == block->n;
  const auto mask_of = [&](size_t r) { return mask + r * block->mask_stride * op.maker.mask_bytes; };
  if (block->mask_stride == 0) {
    MakeMask(op, block->LongestRow(), mask, made->elements);
    block->mask = made->elements;
  } else if (op.options.mask_type == smx_datatype_bool && !block->SharesMask()) {
    MakeRows(*block, are_one && block->x_stride == block->n, made, [&](size_t n, size_t r, float* logits) {
      op.rows.base.microkernels.qu8_f32_vselect(n, reinterpret_cast<const uint8_t*>(mask_of(r)),
                                                block->x + r * block->x_stride, logits, block->scale);
    });
    block->x = made->elements;
    block->x_stride = made->stride;
    block->scale = 1.0f;
  } else {
    Block masks = *block;
    masks.rows = std::min(block->rows, block->mask_rows);
    MakeRows(masks, are_one, made,
             [&](size_t n, size_t r, float* floats) { MakeMask(op, n, mask_of(r), floats); });
    block->mask = made->elements;
    block->mask_stride = made->stride;
  }
}

// That of rows as lanes takes rows that do not shrink, and short ones that grow.
bool AreLanes(const smx_softmax_plan& plan, const Block& block) {
  return plan.algorithm == smx_algorithm_rows_as_lanes &&
         (block.growth == 0 || (block.growth > 0 && block.LongestRow() <= 2 * SMX_LANES));
}

// By the kernel on several rows that the plan asks for. Returns how many rows there are before one that is out of range.
size_t RunKernel(const AttentionSoftmax& op, const smx_softmax_plan& plan, const Block& block, bool streams) {
  const smx_microkernels& kernels = op.rows.base.microkernels;
  const smx_f32_exponential* exponential = &op.rows.scale.exponential;
  size_t done = 0;
  if (AreLanes(plan, block)) {
    kernels.f32_softmax_transposed(block.rows, block.n, static_cast<size_t>(block.growth), block.growing_rows,
                                   block.x, block.x_stride, block.mask, block.mask_stride, block.mask_rows,
                                   block.scale, block.y, block.y_stride, &done, exponential);
    const size_t longest = block.LongestRow();
    for (size_t r = 0; longest < block.width && r < done; r++) {
      memset(block.y + r * block.y_stride + longest, 0, (block.width - longest) * sizeof(float));
    }
  } else {
    kernels.f32_softmax(block.rows, block.n, block.growth, block.x, block.x_stride, block.next,
                        block.next_stride, block.mask, block.mask_stride, block.scale, block.sinks,
                        block.sink_stride, block.y, block.y_stride, block.width, streams, &done, exponential);
  }
  return done;
}

// Whether the kernel takes a mask of each head's queries again for the next head's: it may where rows are lanes, and a buffer holds what is
// made of it.
bool TakesRepeatingMask(const AttentionSoftmax& op, const smx_softmax_plan& plan) {
  return plan.algorithm == smx_algorithm_rows_as_lanes && op.adds_mask_at_most() &&
         op.attention.queries % SMX_LANES == 0 &&
         (op.options.mask_type == smx_datatype_f32 ||
          op.attention.keys <= kMadeElements / op.attention.queries);
}

// What a kernel has tried to compute of queries that follow one another, and how many there are before one that is out of range.
struct Progress {
  size_t tried;
  size_t done;
};

// Of `count` rows, of which the first one has n logits, as many as kernels take at once: of at most SMX_BLOCK, or of as many blocks and not shrinking.
size_t RowsWithinABlock(size_t count, size_t n, ptrdiff_t growth) {
  if (growth == 0) return count;
  const size_t longest = std::min<size_t>(smx_divide_round_up(n, SMX_BLOCK) * SMX_BLOCK, SMX_GROUPED);
  const size_t shortest = n > SMX_BLOCK ? n : 1;
  const size_t most = growth > 0 ? (longest - n) / static_cast<size_t>(growth)
                                 : (n - shortest) / static_cast<size_t>(-growth);
  return std::min(count, most + 1);
}

// Queries that follow one another as a block, up to `end`, and the first of them.
struct BlockOfQueries {
  Query query;
  Block block = {};
  size_t following;     // queries, the block's included
  size_t y_stride;      // of queries
  ptrdiff_t shift;      // of a query's keys from those of the one before
  bool makes_logits;    // of more than elements and a mask
  bool makes_elements;  // for they are not floats
  bool makes_mask;      // likewise, or logits
  bool makes_results;   // likewise

  bool begins_alike() const { return shift == 0; }

  BlockOfQueries(const AttentionSoftmax& op, const smx_softmax_plan& plan, const Queries& queries,
                 size_t end) {
    queries.Read(&query);
    block.n = query.keys.count();
    if (block.n == 0 || block.n > SMX_GROUPED) return;
    following = queries.Following(op.attention.input_strides, &block.x_stride);
    following = std::min(following, queries.Following(op.attention.output_strides, &block.y_stride));
    block.mask_rows = SIZE_MAX;
    if (op.options.mask_type != 0) {
      size_t under_masks = queries.Following(op.attention.mask_strides, &block.mask_stride);
      const size_t under_one = TakesRepeatingMask(op, plan) ? queries.FollowingUnderOneMask() : 0;
      if (under_one > under_masks) {
        under_masks = under_one;
        block.mask_rows = op.attention.queries;
      }
      following = std::min(following, under_masks);
    }
    y_stride = block.y_stride;
    const size_t count = std::min(following, end - queries.index());
    block.rows = queries.Alike(count, &shift, &block.growth);
    block.rows = RowsWithinABlock(block.rows, block.n, block.growth);
    block.growing_rows = SIZE_MAX;
    if (block.rows == op.attention.queries && block.growth > 0 && AreLanes(plan, block)) {
      block.growing_rows = block.rows;
      block.rows = count;
    }
    // A lone row's strides may be any numbers, and kernels ask for what follows.
    for (size_t* stride : {&block.x_stride, &block.mask_stride, &block.y_stride}) {
      const size_t keys = stride == &block.mask_stride ? op.maker.mask_key_stride : 1;
      *stride = block.rows == 1 ? block.n : *stride + static_cast<size_t>(shift) * keys;
    }
    makes_logits = NeedsLogits(op);
    makes_elements = !makes_logits && op.maker.input_type != smx_datatype_f32;
    makes_mask = !makes_logits && op.options.mask_type != 0 && op.options.mask_type != smx_datatype_f32;
    makes_results = op.rows.types->output != smx_datatype_f32;
    block.scale = op.maker.scale;
    block.sinks = query.logits.sink;
    block.sink_stride = op.attention.queries == 1 ? 1 : 0;
    block.width = begins_alike() && !makes_results ? EndOfResults(op, query) - query.keys.begin : 0;
    if (makes_logits) return;
    if (!makes_elements) block.x = reinterpret_cast<const float*>(query.logits.x);
    if (!makes_mask) block.mask = reinterpret_cast<const float*>(query.logits.mask);
  }
};

// Results of keys that a block's queries do not see, but for those that the kernel has written.
void FillUnseen(const AttentionSoftmax& op, BlockOfQueries* of, size_t done) {
  Query& query = of->query;
  const bool are_behind =
      of->block.width == 0 && (of->shift != 0 || query.keys.end < EndOfResults(op, query));
  if (query.keys.begin == 0 && !are_behind) return;
  for (size_t r = 0; r < done; r++) {
    if (are_behind) {
      FillUnseen(op, query);
    } else {
      Fill(op, query, 0, query.keys.begin, 0.0f);
    }
    query.y += of->y_stride * op.rows.types->output_bytes;
    query.keys.begin += static_cast<size_t>(of->shift);
    query.keys.end = query.keys.begin + of->block.RowLength(r + 1);
  }
}

// The logits of a block's queries, but for those of sinks.
void MakeLogits(const AttentionSoftmax& op, const BlockOfQueries& of, MadeRows* made, Block* block) {
  smx_attention_logits row = of.query.logits;
  const bool are_one =
      block->growth == 0 && block->x_stride == row.keys && row.slope == nullptr &&
      (row.mask == nullptr || (block->mask_stride == row.keys && op.maker.mask_key_stride == 1));
  const size_t rows = are_one ? 1 : block->rows;
  if (are_one) row.keys *= block->rows;
  const bool are_heads = op.attention.queries == 1;
  for (size_t r = 0; r < rows; r++) {
    smx_make_attention_logits(&row.base, 0, row.keys, made->elements + r * made->stride);
    row.x += block->x_stride * op.maker.input->input_bytes;
    if (row.mask != nullptr) row.mask += block->mask_stride * op.maker.mask_bytes;
    row.keys = block->RowLength(r + 1);
    row.distance += of.shift - !are_heads;
    if (are_heads && row.slope != nullptr) row.slope++;
  }
  block->x = made->elements;
  block->x_stride = made->stride;
  block->scale = 1.0f;
}

// Rows of floats, `stride` apart, to results of another type.
void StoreResults(const AttentionSoftmax& op, const Block& block, size_t done, const float* floats,
                  size_t stride, char* y) {
  const smx_types& types = *op.rows.types;
  const auto store = [&](size_t n, size_t r) {
    types.from_f32(op.rows.base.microkernels, n, floats + r * stride,
                   y + r * block.y_stride * types.output_bytes, op.rows.quantizer);
  };
  if (block.growth == 0 && block.n == stride && block.y_stride == stride) return store(done * stride, 0);
  for (size_t r = 0; r < done; r++) store(block.RowLength(r), r);
}

Progress RunBlock(const AttentionSoftmax& op, const smx_softmax_plan& plan, const Queries& queries,
                  size_t end) {
  BlockOfQueries of(op, plan, queries, end);
  Block& block = of.block;
  if (block.n == 0 || block.n > SMX_GROUPED) return {0, 0};
  MadeRows elements, made;
  const bool makes =
      of.makes_logits || of.makes_elements || (of.makes_mask && !block.SharesMask()) || of.makes_results;
  if (makes) block.rows = RowsThatFit(block);
  elements.stride = made.stride = block.LongestRow();
  // Where blocks are smaller than what is there of rows, a kernel does not see which are next. Of halves a row of floats asks for two.
  const size_t bytes = op.maker.input->input_bytes;
  if (makes && block.growth >= 0 && of.following >= (1 + sizeof(float) / bytes) * block.rows) {
    block.next = reinterpret_cast<const float*>(of.query.logits.x + block.rows * block.x_stride * bytes);
    block.next_stride = block.x_stride;
  }
  if (of.makes_logits) MakeLogits(op, of, &elements, &block);
  if (of.makes_elements) TakeElements(op, of.query.logits.x, &elements, &block);
  if (of.makes_mask) TakeMask(op, of.query.logits.mask, &made, &block);
  float zeros[SMX_BLOCK];
  if (block.sinks != nullptr && block.mask == nullptr) {
    std::fill_n(zeros, block.LongestRow(), 0.0f);
    block.mask = zeros;
    block.mask_stride = 0;
  }
  char* const y = ResultAt(op, of.query, of.query.keys.begin);
  Block run = block;
  run.y = reinterpret_cast<float*>(y);
  if (of.makes_results) {
    run.y = block.x == made.elements ? made.elements : elements.elements;
    run.y_stride = elements.stride;
  }
  const bool streams = plan.streams_output && of.begins_alike() && of.query.keys.begin % SMX_LANES == 0;
  const size_t done = RunKernel(op, plan, run, streams);
  if (of.makes_results) StoreResults(op, block, done, run.y, run.y_stride, y);
  FillUnseen(op, &of, done);
  return {block.rows, done};
}

// Runs some of the queries before `end`.
void RunTogether(const AttentionSoftmax& op, const smx_softmax_plan& plan, Queries* queries, size_t end) {
  const Progress progress = RunBlock(op, plan, *queries, end);
  queries->MoveTo(queries->index() + progress.done);
  if (progress.done > 0 && progress.done == progress.tried) return;
  // The next one is out of range, or none that goes with others; so may be those behind it.
  for (bool is_within_range = false; queries->index() < end && !is_within_range; queries->Next()) {
    Query query;
    queries->Read(&query);
    is_within_range = RunQuery(op, plan, query);
  }
}

// ---- Longer ones

// Runs the next queries, as many together as a level 1 cache holds.
void RunInTurn(const AttentionSoftmax& op, const smx_softmax_plan& plan, Queries* queries, size_t end) {
  Query together[SMX_MOST_ROWS_TOGETHER];
  smx_row rows[SMX_MOST_ROWS_TOGETHER];
  size_t count = 0;
  const size_t most = smx_rows_together(op.attention.keys);
  for (size_t left = std::min(most, end - queries->index()); left > 0; left--, queries->Next()) {
    Query* query = &together[count];
    queries->Read(query);
    FillUnseen(op, *query);
    if (query->channels() == 0) {
      FillMasked(op, *query);
    } else {
      rows[count++] = RowOf(op, plan, *query);
    }
  }
  if (count > 0) smx_run_rows_together(rows, count);
}

// ---- The operator

void RunQueries(const AttentionSoftmax& op, const smx_softmax_plan& plan, size_t start, size_t end) {
  const bool groups =
      plan.algorithm == smx_algorithm_rows_as_lanes || plan.algorithm == smx_algorithm_several_rows;
  Queries queries(op, start);
  while (queries.index() < end) {
    if (groups) {
      RunTogether(op, plan, &queries, end);
    } else {
      RunInTurn(op, plan, &queries, end);
    }
  }
}

smx_softmax_plan PlanQueries(const AttentionSoftmax& op, size_t threads) {
  const bool is_in_place = op.attention.input == op.attention.output;
  const bool has_sinks = op.has_sinks();
  smx_thresholds thresholds = op.rows.base.thresholds;
  if (has_sinks) thresholds.lane_channels = 0;  // of the kernels on several rows one takes sinks
  smx_softmax_shape shape;
  shape.rows = op.queries();
  shape.channels = std::max<size_t>(op.attention.keys + has_sinks, 1);
  shape.element_bytes = op.maker.input->input_bytes + op.rows.types->output_bytes;
  shape.in_place = is_in_place;
  shape.grouped_channels = op.attention.logsumexp != nullptr ? 0 : has_sinks ? SMX_BLOCK : SMX_GROUPED;
  shape.varies = op.restricts();
  shape.stores_terms = shape.channels <= SMX_TILE || !op.makes_logits() ||
                       (op.rows.types->output == smx_datatype_f32 && !is_in_place);
  const smx_attention_strides& y = op.attention.output_strides;
  shape.aligned_rows = op.rows.types->output == smx_datatype_f32 &&
                       smx_are_aligned_rows(op.attention.output, y.query | y.head | y.batch);
  smx_softmax_plan plan = smx_plan_softmax(&shape, &thresholds, threads);
  plan.streams_output &= plan.algorithm == smx_algorithm_several_rows || !op.makes_logits();
  return plan;
}

void RunSplit(const AttentionSoftmax& op, const smx_softmax_plan& plan, size_t index,
              pthreadpool_t threadpool) {
  Query query;
  Queries(op, index).Read(&query);
  if (query.channels() <= 2 * SMX_TILE) {
    RunQuery(op, plan, query);
    return;
  }
  FillUnseen(op, query);
  const smx_row row = RowOf(op, plan, query);
  smx_run_row_split(&row, threadpool);
}

void Run(smx_operator* base, pthreadpool_t threadpool) {
  const AttentionSoftmax& op = *Attention(base);
  if (op.queries() == 0 || op.attention.keys == 0) return;
  const size_t threads = pthreadpool_get_threads_count(threadpool);
  if (threads == 1) return RunQueries(op, op.serial_plan, 0, op.queries());
  const smx_softmax_plan plan = PlanQueries(op, threads);
  const size_t spread = op.queries() - plan.split_rows;
  if (spread <= plan.rows_per_task) {
    RunQueries(op, plan, 0, spread);
  } else {
    smx_parallelize(threadpool, spread, plan.rows_per_task,
                    [&](size_t start, size_t count) { RunQueries(op, plan, start, start + count); });
  }
  for (size_t i = spread; i < op.queries(); i++) RunSplit(op, plan, i, threadpool);
}

void DescribePlan(const smx_operator* base, size_t threads, smx_plan* plan_out) {
  const smx_softmax_plan plan = PlanQueries(*Attention(base), threads);
  *plan_out = {smx_algorithm_name(plan.algorithm), plan.reason, plan.streams_output, plan.split_rows,
               plan.rows_per_task};
}

// The scale goes into the exponential, and is not rounded, where nothing is added to its product.
void ShareScale(AttentionSoftmax* op) {
  const smx_scale scale = smx_scale_of(op->scale);
  const bool is_exponentials = !op->adds() && smx_scale_is_direct(&scale);
  op->rows.scale = is_exponentials ? scale : smx_scale_of(1.0f);
  op->maker.scale = is_exponentials ? 1.0f : op->scale;
}

const char* SetScale(smx_operator* base, float scale) {
  AttentionSoftmax* op = Attention(base);
  if (op->options.softcap != 0.0f && !isfinite(scale / op->options.softcap)) {
    return "the quotient by the softcap is not finite";
  }
  op->scale = scale;
  ShareScale(op);
  return nullptr;
}

constexpr smx_operator_type kAttentionSoftmax = {"attention_softmax", Run, DescribePlan, SetScale};

// Memory that a run reads or writes.
struct Region {
  const char* name;
  const void* first;
  size_t alignment;
  size_t bytes;  // 0 where they overflow

  uintptr_t address() const { return reinterpret_cast<uintptr_t>(first); }
  bool Overlaps(const Region& other) const {
    return address() < other.address() + other.bytes && other.address() < address() + bytes;
  }
};

struct Dimension {
  size_t size;
  size_t stride;
};

// Of batch entries, heads and queries, from the largest stride to the smallest; of a dimension of 1 it is 0.
struct Dimensions {
  Dimension of[3];

  Dimensions(const smx_attention& attention, const smx_attention_strides& strides)
      : of{{attention.batch_size, strides.batch},
           {attention.heads, strides.head},
           {attention.queries, strides.query}} {
    for (Dimension& dimension : of) dimension.stride = dimension.size == 1 ? 0 : dimension.stride;
    std::sort(of, of + 3, [](const Dimension& a, const Dimension& b) { return a.stride > b.stride; });
  }
  // Bytes from the first element to the end of the last row of n elements; 0 where they overflow.
  size_t Bytes(size_t n, size_t element_bytes) const {
    const size_t largest = PTRDIFF_MAX / element_bytes;
    size_t extent = n;
    for (const Dimension& dimension : of) {
      if (extent > largest) return 0;
      if (dimension.stride == 0) continue;
      if (dimension.size - 1 > (largest - extent) / dimension.stride) return 0;
      extent += (dimension.size - 1) * dimension.stride;
    }
    return extent * element_bytes;
  }
  // Whether rows of n elements do not share any. They do not overflow.
  bool AreApart(size_t n) const {
    size_t extent = n;
    for (int i = 2; i >= 0; i--) {
      if (of[i].size == 1) continue;
      if (of[i].stride < extent) return false;
      extent += (of[i].size - 1) * of[i].stride;
    }
    return true;
  }
  bool operator==(const Dimensions& other) const {
    return std::equal(of, of + 3, other.of, [](const Dimension& a, const Dimension& b) {
      return a.size == b.size && a.stride == b.stride;
    });
  }
};

// The largest product is not known to fit before.
size_t ProductOrZero(size_t a, size_t b) {
  return b != 0 && a > PTRDIFF_MAX / b ? 0 : a * b;
}

const char* InvalidRegion(const Region& region) {
  if (region.first == nullptr) return "is NULL";
  if (region.address() % region.alignment != 0) return "is not aligned to its elements";
  if (region.bytes == 0) return "has a size in bytes that overflows";
  if (region.bytes > UINTPTR_MAX - region.address()) return "has an end beyond the last address";
  return nullptr;
}

const char* InvalidStrides(const AttentionSoftmax& op, const smx_attention& attention) {
  if (attention.input_strides.key != 1) return "the key's stride of the input is not 1";
  if (attention.output_strides.key != 1) return "the key's stride of the output is not 1";
  if (op.options.mask_type != 0 && attention.mask_strides.key > 1)
    return "the key's stride of the mask is not 0 or 1";
  return nullptr;
}

// Logs why the operator cannot be set up so.
bool IsValid(const AttentionSoftmax& op, const smx_attention& attention) {
  const char* name = op.rows.base.type->name;
  const char* reason = InvalidStrides(op, attention);
  if (reason == nullptr && (op.options.mask_type == 0) != (attention.mask == nullptr)) {
    reason = op.options.mask_type == 0 ? "mask is not NULL, but mask_type is 0" : "mask is NULL";
  }
  if (reason != nullptr) {
    smx_log_error("setup %s: %s", name, reason);
    return false;
  }
  const Dimensions input(attention, attention.input_strides);
  const Dimensions output(attention, attention.output_strides);
  const Dimensions mask(attention, attention.mask_strides);
  const size_t input_bytes = op.maker.input->input_bytes;
  const size_t output_bytes = op.rows.types->output_bytes;
  const size_t rows = ProductOrZero(ProductOrZero(attention.batch_size, attention.heads), attention.queries);
  const size_t mask_keys = attention.mask_strides.key == 0 ? 1 : attention.keys;
  const Region regions[] = {
      {"output", attention.output, output_bytes, output.Bytes(attention.keys, output_bytes)},
      {"logsumexp", attention.logsumexp, sizeof(float), ProductOrZero(rows, sizeof(float))},
      {"input", attention.input, input_bytes, input.Bytes(attention.keys, input_bytes)},
      {"mask", attention.mask, op.maker.mask_bytes,
       mask.Bytes(mask_keys, std::max<size_t>(op.maker.mask_bytes, 1))},
      {"slopes", attention.slopes, sizeof(float), ProductOrZero(attention.heads, sizeof(float))},
      {"sinks", attention.sinks, sizeof(float), ProductOrZero(attention.heads, sizeof(float))},
      {"key_lengths", attention.key_lengths, sizeof(size_t),
       ProductOrZero(attention.batch_size, sizeof(size_t))},
      {"first_positions", attention.first_positions, sizeof(int64_t),
       ProductOrZero(attention.batch_size, sizeof(int64_t))},
  };
  const Region& written = regions[0];
  const Region& also_written = regions[1];
  for (const Region& region : regions) {
    const bool is_required = &region == &written || region.first == attention.input;
    if (region.first == nullptr && !is_required) continue;
    reason = InvalidRegion(region);
    if (reason != nullptr) {
      smx_log_error("setup %s: %s %s", name, region.name, reason);
      return false;
    }
  }
  if (rows == 0 || !output.AreApart(attention.keys)) {
    smx_log_error("setup %s: %s", name,
                  rows == 0 ? "the number of rows overflows" : "output strides let rows overlap");
    return false;
  }
  const bool is_in_place =
      attention.input == attention.output && input == output && op.maker.input_type == op.rows.types->output;
  for (const Region& region : regions) {
    if (region.first == nullptr) continue;
    const bool is_same = &region == &written || (is_in_place && region.first == attention.input);
    const bool meets =
        (!is_same && region.Overlaps(written)) ||
        (&region != &also_written && also_written.first != nullptr && region.Overlaps(also_written));
    if (!meets) continue;
    smx_log_error("setup %s: %s overlaps what is written", name, region.name);
    return false;
  }
  return true;
}

const char* InvalidOptions(const smx_attention_options& options) {
  const bool is_softcap = options.softcap >= 0.0f && options.softcap <= FLT_MAX;
  return is_softcap ? nullptr : "softcap is neither 0 nor positive and finite";
}

// From f16, bf16 or f32 to f32; NULL of other types.
const smx_types* FloatsOf(enum smx_datatype type) {
  const smx_types* types = smx_find_types(type, smx_datatype_f32);
  return types != nullptr && !types->is_quantized() ? types : nullptr;
}

bool AreTypes(const smx_attention_options& options) {
  const smx_types* output = smx_find_types(smx_datatype_f32, options.output_type);
  return FloatsOf(options.input_type) != nullptr && output != nullptr && !output->has_quantized_output() &&
         (options.mask_type == 0 || options.mask_type == smx_datatype_bool ||
          FloatsOf(options.mask_type) != nullptr);
}

smx_status CheckOptions(const smx_attention_options* options) {
  const smx_fp_environment environment;  // comparisons raise exceptions, too
  const char* reason = options == nullptr ? "options is NULL" : InvalidOptions(*options);
  if (reason != nullptr) {
    smx_log_error("create %s: %s", kAttentionSoftmax.name, reason);
    return smx_status_invalid_parameter;
  }
  if (AreTypes(*options)) return smx_status_success;
  smx_log_error("create %s: no kernels for types %d and %d and a mask of %d", kAttentionSoftmax.name,
                options->input_type, options->output_type, options->mask_type);
  return smx_status_unsupported_parameter;
}

}  // namespace

enum smx_status smx_create_attention_softmax(const struct smx_attention_options* options, uint32_t flags,
                                             smx_operator_t* op_out) {
  if (op_out == nullptr) {
    smx_log_error("create %s: attention_softmax_op_out is NULL", kAttentionSoftmax.name);
    return smx_status_invalid_parameter;
  }
  *op_out = nullptr;
  if (smx_is_initialized()) {
    const smx_status status = CheckOptions(options);
    if (status != smx_status_success) return status;
  }
  constexpr smx_attention_options kUnchecked = {smx_datatype_f32, smx_datatype_f32, smx_datatype{}, 0.0f, 0};
  if (options == nullptr)
    options = &kUnchecked;  // of an operator that is not created, for nothing is initialised
  constexpr uint32_t kFlags = SMX_FLAG_MASKED_ROWS_TO_ZERO | SMX_FLAG_CAUSAL | SMX_FLAG_PADDING_TO_ZERO;
  // Elements are taken as they are where kernels take their type, and else made floats.
  const bool takes_input = smx_find_types(options->input_type, options->output_type) != nullptr;
  const smx_status status =
      smx_create_rows(&kAttentionSoftmax, sizeof(AttentionSoftmax), "attention_softmax_op_out",
                      smx_rows_softmax, takes_input ? options->input_type : smx_datatype_f32,
                      options->output_type, nullptr, kFlags, flags, op_out);
  if (status != smx_status_success) return status;
  AttentionSoftmax* op = Attention(*op_out);
  op->options = *options;
  op->scale = 1.0f;
  smx_attention_maker& maker = op->maker;
  maker.microkernels = &op->rows.base.microkernels;
  maker.input = FloatsOf(options->input_type);
  maker.input_type = options->input_type;
  maker.mask_type = options->mask_type;
  maker.mask = options->mask_type == 0 ? nullptr : FloatsOf(options->mask_type);
  maker.mask_bytes = maker.mask != nullptr ? maker.mask->input_bytes : sizeof(uint8_t);
  const smx_fp_environment environment;
  if (op->options.softcap == 0.0f)
    op->options.softcap = 0.0f;  // so that a denormal is 0 in the caller's environment, too
  maker.softcap = op->options.softcap;
  ShareScale(op);
  return smx_status_success;
}

enum smx_status smx_setup_attention_softmax(smx_operator_t op, const struct smx_attention* attention) {
  const enum smx_status status = smx_check_operator(op, &kAttentionSoftmax);
  if (status != smx_status_success) return status;
  AttentionSoftmax* softmax = Attention(op);
  if (attention == nullptr) {
    smx_log_error("setup %s: attention is NULL", kAttentionSoftmax.name);
    return smx_status_invalid_parameter;
  }
  const bool is_empty =
      attention->batch_size == 0 || attention->heads == 0 || attention->queries == 0 || attention->keys == 0;
  if (!is_empty && !IsValid(*softmax, *attention)) return smx_status_invalid_parameter;
  softmax->attention = *attention;
  softmax->maker.mask_key_stride = attention->mask_strides.key;
  const smx_fp_environment environment;
  ShareScale(softmax);
  if (!is_empty) softmax->serial_plan = PlanQueries(*softmax, 1);
  softmax->rows.base.is_set_up = true;
  return smx_status_success;
}
