#include "src/operators/row.h"

#include <math.h>
#include <string.h>

#include <algorithm>

#include "src/operators/row_sum.h"
#include "src/operators/two_phases.h"

namespace {

// A part of a row, and its terms where they have been stored. Stored spans are single tiles, so that the terms have one
// reference.
struct Span {
  size_t start;
  size_t end;
  smx_f32_extended tile;  // the last
  float* terms;           // or NULL
};

// What the second pass takes: the row's sum in one form or the other.
struct Normalizer {
  smx_f32_reciprocal reciprocal;  // softmax
  smx_f32_logarithm logarithm;    // log-softmax, logsumexp
};

// The elements of a tile, or the logits that are made of them, as floats.
void Load(const smx_row& row, size_t start, size_t n, float* tile) {
  if (row.logits != nullptr) {
    row.logits->make(row.logits, start, n, tile);
  } else {
    row.types().to_f32(row.kernels(), n, row.x_at(start), tile);
  }
}

// What kernels take of a tile in place of its elements.
void Stage(const smx_row& row, size_t start, size_t n, float* tile) {
  Load(row, start, n, tile);
  if (!row.is_shifted && smx_scale_is_direct(&row.scale())) return;
  const smx_staging staging = smx_staging_of(&row.scale(), row.is_shifted, row.shift);
  smx_stage(row.kernels(), staging, n, tile);
}

// Whether the output may hold the terms of staged elements up to `end`: not in place, where they are yet to be read again.
bool MayStore(const smx_row& row, size_t end) {
  return row.algorithm == smx_algorithm_store_and_rescale && end <= row.results && row.x != row.y &&
         row.types().output == smx_datatype_f32;
}

// The sum of staged elements, which are put where their terms go: their maximum is known before the first term is.
void StoreTermsInPlace(const smx_row& row, size_t start, size_t n, float* terms, smx_f32_extended* sum) {
  Stage(row, start, n, terms);
  row.kernels().f32_raddstoreextexp(n, terms, 0, nullptr, 1.0f, terms, sum, &row.exponential());
}

// The same with elements in `tile`, which may be where the terms go, or those of a mask where they are.
void StoreTermsApart(const smx_row& row, size_t start, size_t n, float* tile, float* terms,
                     smx_f32_extended* sum) {
  const float* x = tile;
  const float* mask = nullptr;
  size_t following = 0;
  if (row.logits != nullptr && row.logits->mask != nullptr && !row.is_shifted) {
    x = static_cast<const float*>(row.x) + start;
    mask = row.logits->mask + start;
    following = row.following_from(start + n);
  } else {
    Stage(row, start, n, tile);
  }
  const float scale = mask != nullptr ? row.logits->scale : 1.0f;
  row.kernels().f32_raddstoreextexp(n, x, following, mask, scale, terms, sum, &row.exponential());
}

// The sum of staged elements, their terms stored, if they can be. Apart there is no maximum to wait for; but blocks may have no reference in
// common as they come, and a mask may hide NaN.
void StoreStagedTerms(const smx_row& row, size_t start, size_t n, float* tile, float* terms,
                      smx_f32_extended* sum) {
  if (row.logits == nullptr || !row.logits->climbs) {
    StoreTermsApart(row, start, n, tile, terms, sum);
    if (sum->hi == sum->hi) return;
  }
  StoreTermsInPlace(row, start, n, terms, sum);
}

// Apart, for their frames are large. Returns whether the terms are stored.
[[gnu::noinline]] bool SumStagedTile(const smx_row& row, size_t start, size_t n, smx_f32_extended* sum) {
  alignas(64) float tile[SMX_TILE];
  if (MayStore(row, start + n)) {
    StoreStagedTerms(row, start, n, tile, row.stored_terms() + start, sum);
    if (sum->hi == sum->hi) return true;
  }
  Stage(row, start, n, tile);
  row.kernels().f32_raddextexp(n, tile, 0, sum, &row.exponential());
  return false;
}

[[gnu::noinline]] void ScaleStagedTile(const smx_row& row, size_t start, size_t n,
                                       const smx_f32_reciprocal& reciprocal) {
  alignas(64) float tile[SMX_TILE];
  Stage(row, start, n, tile);
  row.types().scale_f32(row.kernels(), n, tile, row.y_at(start), reciprocal, row.exponential(),
                        row.op->quantizer);
}

// The largest element times `direction`, the sign of the scale; NaN where one is NaN.
[[gnu::noinline]] float LargestLoaded(const smx_row& row, float direction) {
  alignas(64) float tile[SMX_TILE];
  float max = -INFINITY;
  for (size_t start = 0; start < row.channels; start += SMX_TILE) {
    const size_t n = std::min<size_t>(SMX_TILE, row.channels - start);
    Load(row, start, n, tile);
    for (size_t i = 0; i < n; i++) {
      if (tile[i] != tile[i]) return NAN;
      max = std::max(max, direction * tile[i]);
    }
  }
  return max;
}

float DirectedMax(const smx_row& row) {
  const float direction = row.scale().direction;
  if (row.logits != nullptr || direction < 0.0f) return LargestLoaded(row, direction);
  // Under a scale of 0, the row is here for an infinite element.
  if (direction == 0.0f || row.types().has_nan(row.channels, row.x)) return NAN;
  float max;
  row.types().max(row.kernels(), row.channels, row.x, &max);
  return max;
}

// The sum of a tile. Returns whether its terms are stored: not where the tile is out of range, or its terms have no reference
// in common.
bool SumTile(const smx_row& row, size_t start, size_t n, smx_f32_extended* sum) {
  const bool is_f32 = row.types().is_f32();
  if (row.is_staged() || (!is_f32 && MayStore(row, start + n))) return SumStagedTile(row, start, n, sum);
  const size_t following = row.following_from(start + n);
  if (is_f32 && row.algorithm == smx_algorithm_store_and_rescale) {
    row.kernels().f32_raddstoreextexp(n, static_cast<const float*>(row.x) + start, following, nullptr, 1.0f,
                                      row.stored_terms() + start, sum, &row.exponential());
    if (sum->hi == sum->hi) return true;
  }
  row.types().sum(row.kernels(), n, row.x_at(start), following, sum, row.exponential());
  return false;
}

smx_partial_sum SumSpan(const smx_row& row, Span* span) {
  smx_partial_sum sum = smx_empty_sum;
  bool is_stored = false;
  for (size_t i = span->start; i < span->end; i += SMX_TILE) {
    is_stored = SumTile(row, i, std::min<size_t>(SMX_TILE, span->end - i), &span->tile);
    smx_partial_sum_add_tile(&sum, &span->tile);
  }
  span->terms = is_stored ? row.stored_terms() + span->start : nullptr;
  return sum;
}

// The same of a single tile, whose terms are stored in a buffer if they can be. There is room for its elements in `tile`, which may be
// where the terms go.
smx_partial_sum SumSpanIntoBuffer(const smx_row& row, float* tile, float* terms, Span* span) {
  StoreStagedTerms(row, span->start, span->end - span->start, tile, terms, &span->tile);
  if (span->tile.hi != span->tile.hi) return SumSpan(row, span);
  span->terms = terms;
  smx_partial_sum sum = smx_empty_sum;
  smx_partial_sum_add_tile(&sum, &span->tile);
  return sum;
}

// y[i] = terms[i] * reciprocal, in steps that a float's exponent can hold. The terms have the reference of their tile.
void ScaleTerms(size_t n, float* terms, float* y, const smx_microkernels& kernels,
                const smx_f32_extended& tile, smx_f32_reciprocal reciprocal) {
  if (tile.hi == 0.0f) {  // zeros, which have no reference
    if (y != terms) memcpy(y, terms, n * sizeof(float));
    return;
  }
  constexpr int32_t kNothingIsLeft = 5 * SMX_LARGEST_STEP;
  reciprocal.exponent = std::min(reciprocal.exponent - (tile.reference - SMX_BIAS), kNothingIsLeft);
  constexpr smx_f32_reciprocal kStep = {1.0f, 0.0f, SMX_LARGEST_STEP};
  for (; reciprocal.exponent > SMX_LARGEST_STEP; reciprocal.exponent -= SMX_LARGEST_STEP) {
    kernels.f32_vmulextc(n, terms, terms, &kStep);
  }
  kernels.f32_vmulextc(n, terms, y, &reciprocal);
}

// Results of terms of which the first is that of element `start`. Those of other types than f32 are floats a block at a time.
void ScaleStoredTerms(const smx_row& row, size_t start, size_t n, float* terms, const smx_f32_extended& tile,
                      const smx_f32_reciprocal& reciprocal) {
  if (row.types().output == smx_datatype_f32) {
    return ScaleTerms(n, terms, row.stored_terms() + start, row.kernels(), tile, reciprocal);
  }
  alignas(64) float block[SMX_BLOCK];
  for (size_t i = 0; i < n; i += SMX_BLOCK) {
    const size_t count = std::min<size_t>(SMX_BLOCK, n - i);
    ScaleTerms(count, terms + i, block, row.kernels(), tile, reciprocal);
    row.types().from_f32(row.kernels(), count, block, row.y_at(start + i), row.op->quantizer);
  }
}

void ScaleSpan(const smx_row& row, const Span& span, const smx_f32_reciprocal& reciprocal) {
  const size_t end = std::min(span.end, row.results);
  if (end <= span.start) return;
  if (span.terms != nullptr) {
    ScaleStoredTerms(row, span.start, end - span.start, span.terms, span.tile, reciprocal);
  } else if (row.is_staged()) {
    for (size_t i = span.start; i < end; i += SMX_TILE) {
      ScaleStagedTile(row, i, std::min<size_t>(SMX_TILE, end - i), reciprocal);
    }
  } else {
    row.types().scale(row.kernels(), row.streams_output, end - span.start, row.x_at(span.start),
                      row.y_at(span.start), reciprocal, row.exponential(), row.op->quantizer);
  }
}

// The second pass.
void NormalizeSpan(const smx_row& row, const Span& span, const Normalizer& normalizer) {
  switch (row.op->function) {
    case smx_rows_softmax:
      return ScaleSpan(row, span, normalizer.reciprocal);
    case smx_rows_log_softmax:
      return row.types().subtract(row.kernels(), span.end - span.start, row.x_at(span.start),
                                  row.y_at(span.start), normalizer.logarithm);
    default:
      return;
  }
}

void StorePartialSum(const smx_row& row, smx_partial_sum sum) {
  sum.scale = row.scale().value;
  sum.max = row.is_shifted ? row.scale().direction * row.shift : sum.max / row.scale().power;
  *static_cast<smx_partial_sum*>(row.y) = sum;
}

// Of a row that is shifted: the shift may be so large that it swallows the rest.
smx_f32_logarithm LogarithmAboveShift(float scale, float shift, double logarithm) {
  const float factor = fabsf(scale) < 1.0f ? 0.5f : 1.0f;
  return {factor, shift * factor, scale / factor, static_cast<float>(logarithm), 0.0f};
}

// log(sum) = max + above_max, without the shift.
struct SumLogarithm {
  double max;
  double above_max;
};

SumLogarithm SumLogarithmOf(const smx_rows& op, const smx_f32_extended& sum) {
  smx_f32_extended largest;
  op.base.microkernels.f32_raddextexp(1, &sum.max, 0, &largest, &op.scale.exponential);
  return {static_cast<double>(op.scale.exponential.scale) * sum.max, smx_log_above_max(&sum, &largest)};
}

float LogSumExp(const smx_row& row, const smx_f32_extended& sum) {
  const SumLogarithm logarithm = SumLogarithmOf(*row.op, sum);
  return static_cast<float>(static_cast<double>(row.scale().value) * row.shift + logarithm.max +
                            logarithm.above_max);
}

// What a valid sum makes of a row before its second pass. logsumexp has its result.
Normalizer NormalizerOf(const smx_row& row, const smx_f32_extended& sum) {
  if (row.logsumexp != nullptr) *row.logsumexp = LogSumExp(row, sum);
  switch (row.op->function) {
    case smx_rows_softmax:
      return {smx_f32_reciprocal_of(&sum), {}};
    case smx_rows_log_softmax:
      return {{}, smx_rows_logarithm(row.op, &sum, row.is_shifted, row.shift)};
    default:
      return {};
  }
}

void Fill(const smx_row& row, float value) {
  row.types().fill(row.results, row.y, value);
}

// The result of a row that holds NaN, which is its maximum then, or whose maximum is infinite.
void FillSpecial(const smx_row& row, float max) {
  if (row.logsumexp != nullptr) *row.logsumexp = max;
  const float probability = smx_special_probability(row.op, max);
  switch (row.op->function) {
    case smx_rows_log_softmax:
      return Fill(row, probability == 0.0f ? -INFINITY : NAN);
    case smx_rows_logsumexp:
      return;
    case smx_rows_partial_sum:
      return StorePartialSum(row, smx_partial_sum_without_terms(max));
    default:
      return Fill(row, probability);
  }
}

// A row without a valid sum: it holds NaN or +inf, or -inf only, or its maximum is out of the kernels' range.
void RunOutOfRange(const smx_row& row) {
  const float max = DirectedMax(row);
  if (!isfinite(max)) return FillSpecial(row, max);
  smx_row shifted = row;
  shifted.algorithm = smx_algorithm_two_pass;
  shifted.streams_output = false;
  shifted.shift = row.scale().direction * max;
  shifted.is_shifted = true;
  smx_run_row(&shifted);
}

// Of a row of a single tile: whether it is within the kernels' range.
bool IsValid(const smx_row& row, const smx_f32_extended& sum) {
  return smx_is_in_range(sum.max, &row.exponential()) && sum.hi > 0.0f;
}

// A row of a single tile needs no bins.
class SingleTile {
 public:
  void Sum(const smx_row& row) {
    span_.start = 0;
    span_.end = row.channels;
    span_.terms = SumTile(row, 0, row.channels, &span_.tile) ? row.stored_terms() : nullptr;
  }

  // Returns whether the row is within the kernels' range.
  bool Normalize(const smx_row& row) const {
    const bool is_valid = IsValid(row, span_.tile);
    if (!is_valid) {
      RunOutOfRange(row);
    } else if (row.op->function == smx_rows_partial_sum) {
      smx_partial_sum sum = smx_empty_sum;
      smx_partial_sum_add_tile(&sum, &span_.tile);
      StorePartialSum(row, sum);
    } else {
      NormalizeSpan(row, span_, NormalizerOf(row, span_.tile));
    }
    return is_valid;
  }

 private:
  Span span_;
};

// A row of several tiles.
class Spans {
 public:
  explicit Spans(const smx_row& row)
      : row_(row), length_(smx_span_length(row.channels)), count_((row.channels - 1) / length_ + 1) {}

  size_t count() const { return count_; }

  void Sum(size_t i) { sums_[i] = SumSpan(row_, Place(i)); }

  // Of one tile, whose terms are kept.
  void SumIntoBuffer(size_t i, float* tile, float* terms) {
    sums_[i] = SumSpanIntoBuffer(row_, tile, terms, Place(i));
  }

  // Returns whether the row is within the kernels' range.
  bool Fold() {
    smx_partial_sum sum = smx_empty_sum;
    for (size_t i = 0; i < count_; i++) smx_partial_sum_add(&sum, &sums_[i]);
    is_valid_ = smx_partial_sum_is_valid(&sum, &row_.exponential());
    if (!is_valid_) return false;
    if (row_.op->function == smx_rows_partial_sum) {
      StorePartialSum(row_, sum);
    } else {
      normalizer_ = NormalizerOf(row_, smx_f32_extended_of(&sum));
    }
    return is_valid_;
  }

  void Normalize(size_t i) const { NormalizeSpan(row_, spans_[i], normalizer_); }

  // Returns whether the row is within the kernels' range.
  bool Finish() {
    if (Fold()) {
      for (size_t i = 0; i < count_; i++) Normalize(i);
    } else {
      RunOutOfRange(row_);
    }
    return is_valid_;
  }

  bool is_valid() const { return is_valid_; }

 private:
  Span* Place(size_t i) {
    spans_[i].start = i * length_;
    spans_[i].end = std::min(row_.channels, (i + 1) * length_);
    return &spans_[i];
  }

  const smx_row& row_;
  const size_t length_;
  const size_t count_;
  Span spans_[SMX_MAX_SPANS];
  smx_partial_sum sums_[SMX_MAX_SPANS];
  Normalizer normalizer_;
  bool is_valid_ = false;
};

// In place, what was overwritten with terms cannot be read again: before anything is, the whole row has to be known to be
// within range. Of a single tile, its kernel sees to that.
bool MayOverwrite(const smx_row& row) {
  if (row.x != row.y || row.algorithm != smx_algorithm_store_and_rescale || row.is_staged()) return true;
  float max;
  row.types().max(row.kernels(), row.channels, row.x, &max);
  return smx_is_in_range(max, &row.exponential());
}

// Whether a row of a single tile has a buffer, for its elements or its terms.
bool StoresTile(const smx_row& row) {
  const bool makes_as_it_goes =
      row.logits != nullptr && row.logits->mask != nullptr && MayStore(row, row.channels);
  return row.channels <= SMX_TILE && row.algorithm == smx_algorithm_store_and_rescale && !makes_as_it_goes &&
         (row.is_staged() || !row.types().is_f32());
}

// Whether those of the last tiles alone are, in a buffer, for the output's elements are smaller than terms.
bool StoresLastTiles(const smx_row& row) {
  return row.channels > SMX_TILE && row.algorithm == smx_algorithm_store_and_rescale && !row.is_staged() &&
         row.types().output != smx_datatype_f32;
}

enum class Stored {
  kDone,
  kRefused,     // the terms have no reference in common, or the row is out of range
  kOutOfRange,  // it is
};

// What it does not do is left to who has called it, whose frame is small.
[[gnu::noinline]] Stored RunStoredTile(const smx_row& row) {
  alignas(64) float tile[SMX_TILE];
  float* terms = MayStore(row, row.channels) ? row.stored_terms() : tile;
  smx_f32_extended sum;
  StoreStagedTerms(row, 0, row.channels, tile, terms, &sum);
  if (sum.hi != sum.hi) return Stored::kRefused;
  if (!IsValid(row, sum)) return Stored::kOutOfRange;
  ScaleStoredTerms(row, 0, row.results, terms, sum, NormalizerOf(row, sum).reciprocal);
  return Stored::kDone;
}

bool RunSingleTile(const smx_row& row) {
  SingleTile tile;
  tile.Sum(row);
  return tile.Normalize(row);
}

bool RunTile(const smx_row& row) {
  if (!StoresTile(row)) return RunSingleTile(row);
  const Stored stored = RunStoredTile(row);
  if (stored == Stored::kRefused) {
    smx_row two_pass = row;
    two_pass.algorithm = smx_algorithm_two_pass;
    return RunSingleTile(two_pass);
  }
  if (stored == Stored::kOutOfRange) RunOutOfRange(row);
  return stored == Stored::kDone;
}

// Two passes, but for the last tiles: those of a vocabulary of 64k stay in a level 2 cache.
[[gnu::noinline]] bool RunStoringLastTiles(const smx_row& row) {
  constexpr size_t kMost = 4;
  alignas(64) float terms[kMost][SMX_TILE];
  Spans spans(row);
  const size_t first = spans.count() - std::min(spans.count(), kMost);
  for (size_t i = 0; i < first; i++) spans.Sum(i);
  // Elements have a buffer to themselves as long as there is one: in place, they are read once more, for their maximum.
  for (size_t i = first; i < spans.count(); i++) spans.SumIntoBuffer(i, terms[kMost - 1], terms[i - first]);
  return spans.Finish();
}

}  // namespace

bool smx_run_row(const struct smx_row* row) {
  if (row->channels <= SMX_TILE) return RunTile(*row);
  if (!MayOverwrite(*row)) {
    RunOutOfRange(*row);
    return false;
  }
  if (StoresLastTiles(*row)) return RunStoringLastTiles(*row);
  Spans spans(*row);
  for (size_t i = 0; i < spans.count(); i++) spans.Sum(i);
  return spans.Finish();
}

void smx_run_rows_together(const struct smx_row* rows, size_t count) {
  if (count == 1 || StoresTile(rows[0])) {
    for (size_t i = 0; i < count; i++) smx_run_row(&rows[i]);
    return;
  }
  SingleTile tiles[SMX_MOST_ROWS_TOGETHER];
  for (size_t i = 0; i < count; i++) tiles[i].Sum(rows[i]);
  for (size_t i = 0; i < count; i++) tiles[i].Normalize(rows[i]);
}

void smx_run_row_split(const struct smx_row* row, pthreadpool_t threadpool) {
  if (!MayOverwrite(*row)) return RunOutOfRange(*row);
  Spans spans(*row);
  smx_run_two_phases(
      threadpool, spans.count(), [&spans](size_t i) { spans.Sum(i); }, [&spans] { return spans.Fold(); },
      [&spans](size_t i) { spans.Normalize(i); });
  if (!spans.is_valid()) RunOutOfRange(*row);
}

void smx_scale_row_part(const struct smx_row* row, size_t start, size_t end,
                        const struct smx_partial_sum* sum) {
  if (sum->has_nan || isinf(sum->max)) {
    const float probability = smx_special_probability(row->op, sum->has_nan ? NAN : sum->max);
    return row->types().fill(end - start, row->y_at(start), probability);
  }
  const smx_f32_extended extended = smx_f32_extended_of(sum);
  ScaleSpan(*row, {start, end, {}, nullptr}, smx_f32_reciprocal_of(&extended));
}

struct smx_f32_logarithm smx_rows_logarithm(const smx_rows* rows, const struct smx_f32_extended* sum,
                                            bool is_shifted, float shift) {
  const SumLogarithm logarithm = SumLogarithmOf(*rows, *sum);
  const float scale = rows->scale.value;
  if (is_shifted) return LogarithmAboveShift(scale, shift, logarithm.max + logarithm.above_max);
  return smx_f32_logarithm_of(scale, logarithm.max, logarithm.above_max);
}
