// Runs the kernels of decode.cu on this processor (simt.h) and compares them with plain loops in f64: driver [ROUNDS [SEED]]. What a
// Sequence must not see is NaN: foreign pages, and its own page behind its end. Says nothing if all is well.
#include "../decode.cu"
#include <vector>

typedef void Kernel(const Decode);

static Kernel *kernel_of(bool bf16Pools, int headDim) {
#define CASE(D, BLOCKS) \
  if (headDim == D) return bf16Pools ? decode_bf16_##D : decode_f32_##D;
  DECODE_HEAD_DIMS(CASE)
#undef CASE
  return 0;
}

static uint64_t state;
static uint64_t draw() { // splitmix64
  uint64_t z = state += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}
static int below(int n) { return (int)(draw() % (uint64_t)n); }
static float normal() {
  double u = (draw() >> 11) * 0x1p-53 + 0x1p-54, v = (draw() >> 11) * 0x1p-53;
  return (float)(sqrt(-2 * log(u)) * cos(6.283185307179586 * v));
}

// Values are numbers that bf16 or f32 hold exactly.
struct Values {
  bool bf16;
  std::vector<float> wide;
  std::vector<unsigned short> narrow;
  void *data() { return bf16 ? (void *)narrow.data() : (void *)wide.data(); }
  double at(size_t i) const { return bf16 ? __uint_as_float((unsigned)narrow[i] << 16) : wide[i]; }
  void set(size_t i, float x) {
    if (bf16) narrow[i] = to_bf16(x);
    else wide[i] = x;
  }
  Values(bool b, size_t n) : bf16(b) {
    if (b) narrow.resize(n, 0xffff);
    else wide.resize(n, NAN);
  }
};

struct Case {
  int headDim, group, kvHeads, tokens, pageTokens, maxPages;
  bool bf16Pools, bf16Rows;
  std::vector<int> lengths; // of Sequences; 0 = a row that sees nothing
  int lost = 0;             // numbers of pages in tables that are not in the pool, one in so many; 0 = none
};

struct Batch {
  Decode a;
  Values q, k, v, out;
  std::vector<int> table, positions;
  std::vector<float> sums, marks;
};

static Batch batch_of(const Case &c) {
  int seqs = (int)c.lengths.size(), pages = seqs * c.maxPages + 2, heads = c.kvHeads * c.group;
  size_t pool = (size_t)pages * c.kvHeads * c.pageTokens * c.headDim, rows = (size_t)seqs * c.tokens * heads;
  Batch b = {{}, {c.bf16Rows, rows * c.headDim}, {c.bf16Pools, pool}, {c.bf16Pools, pool}, {c.bf16Rows, rows * c.headDim}, {}, {}, {}, {}};
  std::vector<int> order(pages);
  for (int i = 0; i < pages; i++) order[i] = i;
  for (int i = pages - 1; i > 0; i--) std::swap(order[i], order[below(i + 1)]);
  for (int s = 0, next = 0; s < seqs; s++) {
    for (int i = 0; i < c.maxPages; i++, next++) {
      bool used = i * c.pageTokens < c.lengths[s];
      int wild[] = {-1, pages, 1 << 30, -(1 << 30), order[pages - 1]};
      bool lose = used ? c.lost && below(c.lost) == 0 : below(2) == 0;
      b.table.push_back(lose ? wild[below(used ? 4 : 5)] : order[next]);
      for (int h = 0; h < c.kvHeads && used; h++)
        for (int t = 0; t < c.pageTokens && i * c.pageTokens + t < c.lengths[s]; t++)
          for (int d = 0; d < c.headDim; d++) {
            size_t at = (((size_t)order[next] * c.kvHeads + h) * c.pageTokens + t) * c.headDim + d;
            b.k.set(at, normal());
            b.v.set(at, normal());
          }
    }
    for (int t = 0; t < c.tokens; t++) b.positions.push_back(c.lengths[s] - 1 - (c.lengths[s] > 0 ? (c.tokens - 1 - t) % c.lengths[s] : 0));
  }
  for (size_t i = 0; i < rows * c.headDim; i++) b.q.set(i, normal());
  b.a.seqs = seqs, b.a.tokens = c.tokens, b.a.heads = heads, b.a.kvHeads = c.kvHeads, b.a.headDim = c.headDim;
  b.a.pages = pages, b.a.pageTokens = c.pageTokens, b.a.maxPages = c.maxPages, b.a.bf16Rows = c.bf16Rows;
  return b;
}

static void launch(Batch &b, bool bf16Pools) {
  unsigned grid[3];
  decode_sizes(&b.a, grid);
  size_t parts = (size_t)b.a.seqs * b.a.tokens * b.a.heads * b.a.spans;
  b.sums.assign(b.a.spans > 1 ? parts * b.a.headDim : 0, NAN);
  b.marks.assign(b.a.spans > 1 ? parts * 2 : 0, NAN);
  b.a.q = b.q.data(), b.a.k = b.k.data(), b.a.v = b.v.data(), b.a.out = b.out.data();
  b.a.table = b.table.data(), b.a.positions = b.positions.data(), b.a.sums = b.sums.data(), b.a.marks = b.marks.data();
  simt::run(kernel_of(bf16Pools, b.a.headDim), (const Decode)b.a, grid, DECODE_THREADS);
  unsigned rows[3] = {(unsigned)(b.a.seqs * b.a.tokens * b.a.heads), 1, 1};
  if (b.a.spans > 1) simt::run(decode_join, (const Decode)b.a, rows, DECODE_THREADS);
}

// plain is one row's answer.
static void plain(const Batch &b, int seq, int token, int head, std::vector<double> &out) {
  const Decode &a = b.a;
  size_t q = (((size_t)seq * a.tokens + token) * a.heads + head) * a.headDim;
  double total = 0, most = -INFINITY;
  std::vector<double> weights;
  std::vector<size_t> at;
  for (int p = 0; p <= b.positions[seq * a.tokens + token]; p++) {
    int page = b.table[seq * a.maxPages + p / a.pageTokens];
    if (page < 0 || page >= a.pages) continue;
    at.push_back((((size_t)page * a.kvHeads + head / a.group) * a.pageTokens + p % a.pageTokens) * a.headDim);
    double dot = 0;
    for (int d = 0; d < a.headDim; d++) dot += b.q.at(q + d) * b.k.at(at.back() + d);
    weights.push_back(dot / sqrt(a.headDim));
    most = fmax(most, weights.back());
  }
  out.assign(a.headDim, 0);
  for (double &w : weights) total += w = exp(w - most);
  for (size_t i = 0; i < at.size(); i++)
    for (int d = 0; d < a.headDim; d++) out[d] += weights[i] / total * b.v.at(at[i] + d);
}

static double worst[2][2];

static void check(const Case &c) {
  Batch b = batch_of(c);
  launch(b, c.bf16Pools);
  double allowed = c.bf16Pools ? 2e-5 : 1e-5;
  std::vector<double> want;
  for (int s = 0; s < b.a.seqs; s++)
    for (int t = 0; t < c.tokens; t++)
      for (int h = 0; h < b.a.heads; h++) {
        plain(b, s, t, h, want);
        for (int d = 0; d < c.headDim; d++) {
          double got = b.out.at((((size_t)s * c.tokens + t) * b.a.heads + h) * c.headDim + d), off = fabs(got - want[d]);
          worst[c.bf16Pools][c.bf16Rows] = fmax(worst[c.bf16Pools][c.bf16Rows], off);
          if (!(off <= allowed + (c.bf16Rows ? fabs(want[d]) / 256 : 0))) {
            fprintf(stderr, "headDim %d, group %d, kv heads %d, tokens %d, pages of %d, %s pools, %s rows: length %d, token %d, head %d, element %d: got %.9g; want %.9g\n", c.headDim,
                    c.group, c.kvHeads, c.tokens, c.pageTokens, c.bf16Pools ? "bf16" : "f32", c.bf16Rows ? "bf16" : "f32", c.lengths[s], t, h, d, got, want[d]);
            exit(1);
          }
        }
      }
}

// alone compares a Sequence's bits in a batch with those that it gets by itself, in a table that holds it just so.
static void alone(const Case &c) {
  Batch b = batch_of(c);
  launch(b, c.bf16Pools);
  for (int s = 0; s < b.a.seqs; s++) {
    Batch one = b;
    size_t row = (size_t)c.tokens * b.a.heads * c.headDim;
    one.a.seqs = 1;
    one.a.maxPages = max(1, (c.lengths[s] + c.pageTokens - 1) / c.pageTokens);
    one.table.assign(b.table.begin() + (size_t)s * c.maxPages, b.table.begin() + (size_t)s * c.maxPages + one.a.maxPages);
    one.positions.assign(b.positions.begin() + s * c.tokens, b.positions.begin() + (s + 1) * c.tokens);
    one.q = one.out = Values(c.bf16Rows, row);
    for (size_t i = 0; i < row; i++) one.q.set(i, (float)b.q.at(s * row + i));
    launch(one, c.bf16Pools);
    for (size_t i = 0; i < row; i++) {
      double got = one.out.at(i), want = b.out.at(s * row + i);
      if (got == want) continue;
      fprintf(stderr, "a Sequence of %d positions gets %.9g alone and %.9g in a batch\n", c.lengths[s], got, want);
      exit(1);
    }
  }
}

int main(int argc, char **argv) {
  int rounds = argc > 1 ? atoi(argv[1]) : 20;
  state = argc > 2 ? strtoull(argv[2], 0, 10) : 1;
#define EACH(D, BLOCKS)                                                                           \
  for (int i = 0; i < 4; i++) check({D, 1 + below(8), 1 + below(2), 1, 16, 5, i < 2, i % 2 == 0, {0, 1, 16, 17, 65, 80}});
  DECODE_HEAD_DIMS(EACH)
#undef EACH
  check({128, 4, 1, 1, 16, 200, true, true, {3200, 257, 256, 255, 0}});
  check({64, 3, 1, 1, 32, 40, false, false, {1280, 513, 1, 1024}});
  check({128, 2, 1, 1, 16, 40, true, false, {640, 300}, 3});
  check({64, 2, 1, 1, 16, 40, false, false, {640, 300, 16}, 3});
  int dims[] = {32, 64, 80, 96, 128, 256}, pages[] = {8, 16, 24, 32};
  for (int i = 0; i < rounds; i++) {
    Case c = {dims[below(6)], 1 + below(8), 1 + below(3), below(3) ? 1 : 1 + below(9), pages[below(4)], 1 + below(below(4) ? 20 : 60), below(2) == 0, below(2) == 0, {}};
    if (below(4) == 0) c.group += 8;
    for (int s = 0, n = 1 + below(3); s < n; s++) c.lengths.push_back(below(c.maxPages * c.pageTokens + 1));
    if (below(4) == 0) c.lost = 4;
    if (i % 5 == 4) alone(c);
    else check(c);
  }
  if (argc > 3) printf("worst: f32 pools %g (bf16 rows %g), bf16 pools %g (bf16 rows %g)\n", worst[0][0], worst[0][1], worst[1][0], worst[1][1]);
}
