// Drawing a token from a row of logits, in vectors: the operations of sampler/graph.go in the same order, up to the last bits of exp and log and
// the order of sums. Included by body.h.

// ALLOWED_FROM: logits that are not above it are forbidden, as in sampler/edit.go.
#define ALLOWED_FROM -1e29f

INLINE vu mixed(vu x) {
  x = (x ^ (x >> 16)) * 0x7feb352du;
  x = (x ^ (x >> 15)) * 0x846ca68bu;
  return x ^ (x >> 16);
}

// uniform is the number in (0, 1) of LANES tokens from id on.
INLINE vf uniform(uint32_t id, uint32_t a, uint32_t b) {
  vu ids;
  for (int i = 0; i < LANES; i++) ids[i] = id + (uint32_t)i;
  vu h = mixed(mixed(ids * 0x9e3779b1u + a) ^ b);
  vf u = (__builtin_convertvector(h, vf) + .5f) * 0x1p-32f;
  vf most = all(1 - 0x1p-24f);
  return choose(u > most, most, u);
}

INLINE int any(vi x) {
  int32_t bits = 0;
  for (int i = 0; i < LANES; i++) bits |= x[i];
  return bits != 0;
}

// norm_of gives the largest logit and the sum of e^(logit - largest), which is NaN if a logit is.
static void norm_of(const float *x, int64_t n, float *best, float *sum) {
  vf most = all(-INFINITY), total = {};
  vi bad = {};
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    vf v = load(x + i);
    most = larger(v, most);
    bad |= v != v;
  }
  *best = largest_of(most);
  int nan = any(bad);
  for (; i < n; i++) {
    *best = x[i] > *best ? x[i] : *best;
    nan |= x[i] != x[i];
  }
  for (i = 0; i + LANES <= n; i += LANES) total += exponential(load(x + i) - *best);
  *sum = sum_of(total);
  for (; i < n; i++) *sum += expf(x[i] - *best);
  if (nan) *sum = NAN;
}

typedef struct {
  float best, scale, speed, total;
  int32_t limit; // distances, as bits, up to which tokens are kept
  uint32_t a, b; // of the noise
  int64_t token;
} Race;

// run lets LANES tokens, or the first n of them, race; x are their logits.
INLINE void run(Race *r, vf x, uint32_t id, int n) {
  vf d = (vf)((vi)((r->best - x) * r->scale) & 0x7fffffff);
  vi lanes;
  for (int i = 0; i < LANES; i++) lanes[i] = i < n ? -1 : 0;
  vi kept = (x > all(ALLOWED_FROM)) & ((vi)d <= (vi){} + r->limit) & lanes;
  vf mass = choose(kept, exponential(-d), (vf){}), u = uniform(id, r->a, r->b);
  r->total += sum_of(mass);
  vi may = kept & (mass >= .999f * r->speed * u); // mass / noise is not more than mass / u: the others cannot win
  if (!any(may)) return;
  for (int i = 0; i < LANES; i++) {
    if (!may[i]) continue;
    float v = mass[i] / (float)-log1p(-(double)u[i]);
    if (v > r->speed) r->speed = v, r->token = (int64_t)id + i;
  }
}

enum { NOT_ALLOWED = 0x7fffffff };

// nearer is how much the tokens weigh whose distance is below d: their number, or with masses those. n is a multiple of LANES.
INLINE float nearer(const int32_t *distances, const float *masses, int64_t n, int32_t d) {
  vf sum = {};
  vi count = {};
  for (int64_t i = 0; i < n; i += LANES) {
    vi where = *(const vi_any *)(distances + i) < (vi){} + d;
    if (masses) sum += (vf)((vi)load(masses + i) & where);
    else count -= where;
  }
  if (masses) return sum_of(sum);
  int32_t all_lanes = 0;
  for (int i = 0; i < LANES; i++) all_lanes += count[i];
  return (float)all_lanes; // exact up to 2^24, which check_model's largest vocabulary is
}

// threshold is the smallest distance up to which tokens weigh at least target, found bit by bit; NOT_ALLOWED if all weigh less.
INLINE int32_t threshold(const int32_t *distances, const float *masses, int64_t n, float target) {
  int32_t found = 0;
  for (int bit = 30; bit >= 0; bit--)
    if (nearer(distances, masses, n, found + (1 << bit)) < target) found += 1 << bit;
  return found;
}

// limit_of cuts the race's limit to the top_k nearest tokens and to the share top_p of the mass that these leave.
static int32_t limit_of(const Race *r, const float *x, int64_t vocab, int32_t top_k, float top_p) {
  int64_t n = (vocab + LANES - 1) / LANES * LANES;
  int32_t *distances = scratch(SCRATCH_TASK, (size_t)n * 2 * sizeof(float)), limit = r->limit;
  float *masses = (float *)(distances + n);
  for (int64_t i = 0; i < n; i += LANES) {
    float rest[LANES] = {0};
    if (i + LANES > vocab) memcpy(rest, x + i, (size_t)(vocab - i) * sizeof *x);
    vf v = load(i + LANES > vocab ? rest : x + i), d = (vf)((vi)((r->best - v) * r->scale) & 0x7fffffff);
    vi kept = (v > all(ALLOWED_FROM)) & ((vi)d <= (vi){} + limit);
    for (int j = 0; j < LANES && i + LANES > vocab; j++) kept[j] = i + j < vocab ? kept[j] : 0;
    *(vi_any *)(distances + i) = ((vi)d & kept) | (NOT_ALLOWED & ~kept);
    store(masses + i, choose(kept, exponential(-d), (vf){}));
  }
  if (top_k < vocab) {
    int32_t t = threshold(distances, 0, n, (float)top_k);
    limit = t < limit ? t : limit;
    for (int64_t i = 0; i < n; i += LANES) {
      vi d = *(vi_any *)(distances + i), kept = d <= (vi){} + limit;
      *(vi_any *)(distances + i) = (d & kept) | (NOT_ALLOWED & ~kept);
      store(masses + i, (vf)((vi)load(masses + i) & kept));
    }
  }
  if (top_p <= 1) {
    int32_t t = threshold(distances, masses, n, top_p * nearer(distances, masses, n, NOT_ALLOWED));
    limit = t < limit ? t : limit;
  }
  return limit;
}

// draw fills a line of results from one of parameters; sampler/graph.go says what their columns are.
static void draw(const float *x, int64_t vocab, const int32_t *parameters, int32_t *result) {
  enum { OK, NOT_FINITE, NOTHING_ALLOWED };
  union { int32_t i; float f; } scale = {parameters[2]}, logprob = {0}, sampled = {0};
  float best, sum;
  norm_of(x, vocab, &best, &sum);
  Race r = {best, scale.f, -1, 0, parameters[3], (uint32_t)parameters[0], (uint32_t)parameters[1], 0};
  result[1] = !(best - best == 0 && sum - sum == 0) ? NOT_FINITE : best > ALLOWED_FROM ? OK : NOTHING_ALLOWED;
  if (scale.f == 0) {
    while (r.token < vocab - 1 && x[r.token] != best) r.token++;
  } else {
    union { int32_t i; float f; } top_p = {parameters[5]};
    if (parameters[4] < vocab || top_p.f <= 1) r.limit = limit_of(&r, x, vocab, parameters[4], top_p.f);
    int64_t i = 0;
    for (; i + LANES <= vocab; i += LANES) run(&r, load(x + i), (uint32_t)i, LANES);
    if (i < vocab) {
      float rest[LANES] = {0};
      memcpy(rest, x + i, (size_t)(vocab - i) * sizeof *x);
      run(&r, load(rest), (uint32_t)i, (int)(vocab - i));
    }
    sampled.f = -(fabsf((best - x[r.token]) * scale.f) + logf(r.total));
  }
  result[0] = (int32_t)r.token;
  logprob.f = result[1] == NOT_FINITE ? best : (float)((double)x[r.token] - (double)best - log((double)sum));
  result[2] = logprob.i;
  result[3] = sampled.i;
}
