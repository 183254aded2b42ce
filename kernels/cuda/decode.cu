// Attention of few queries for each Sequence over pages that stay where they are: flash-decoding (Dao et al., 2023). A block answers DECODE_ROWS
// queries that read one kv head of one Sequence, over one span of DECODE_SPAN positions; decode_join adds up the spans. Spans begin at fixed
// positions and are added in one order, so that a row's numbers depend on its own Sequence alone, not on the batch, the Bucket or the GPU.
//
// Memory is the bound: with g queries to a kv head, 4g operations for each element that is read, 2g for a byte of bf16. An H200 reads 4.8 TB/s
// and its 132 multiprocessors issue about 30e12 instructions (one lane each) a second, 6 for each byte. In plain FMAs a byte costs g and as
// much again for widening and sums over lanes: too near to that for g = 4 and above it for g = 8. With products on tensor cores 16 positions
// of 128 elements (8 KiB of K and V) cost a warp 370 instructions (counted in sm_90's code), 1.5 for each byte; what comes before and after a
// span makes it about 2.
//
// bf16 pools: m16n8k16 products have 16 rows, and there are 8 queries. The other 8 rows hold what rounding a query, or a weight, to bf16 left
// over, rounded too: both products together are exact to about 2^-17, at no cost. Pages are read straight into the operands of those products,
// 16 bytes a lane: sums over headDim and over positions may take their terms in any order, so each lane takes neighbours.
// f32 pools: plain FMAs, which the doubled bytes leave room for.
//
// A page number outside of the pool is not read: its positions count for nothing. Nor is any position that no query of the block sees.
#include "decode.h"
#include "gpu.h"

enum { WARPS = DECODE_THREADS / 32, TILE = 8 }; // positions that lie in one page: pageTokens is a multiple of it
#define NONE (-1.0f / 0.0f)
#define LOG2E 1.4426950408889634f // weights are powers of 2

GPU float low(unsigned x) { return __uint_as_float(x << 16); }
GPU float high(unsigned x) { return __uint_as_float(x & 0xffff0000u); }

// A block's place in the call.
struct Place {
  int seq, kvHead, tile, first; // position of the span
  int mine, most;               // the last position that the lane's own row sees; the last in the span that a row of the block sees
};

// last is the last position that a row of the block's kv head sees, -1 for none. Rows are tokens, then heads.
GPU int last(const Decode &a, int seq, int row) {
  if (row >= a.tokens * a.group) return -1;
  int p = a.positions[seq * a.tokens + row / a.group];
  return min(p, a.maxPages * a.pageTokens - 1);
}

// line is a row's number in q and out.
GPU long long line(const Decode &a, const Place &at, int row) {
  return ((long long)at.seq * a.tokens + row / a.group) * a.heads + at.kvHead * a.group + row % a.group;
}

// place finds it for a lane that has row r of the block's. All rows have a lane, so each lane reads one position and no more.
GPU Place place(const Decode &a, int r) {
  Place at = {(int)blockIdx.x, (int)blockIdx.y / a.tiles, (int)blockIdx.y % a.tiles, (int)blockIdx.z * DECODE_SPAN, 0, 0};
  at.mine = at.most = last(a, at.seq, at.tile * DECODE_ROWS + r);
  for (int mask = 16; mask > 0; mask /= 2) at.most = max(at.most, shuffle(at.most, mask));
  at.most = min(at.most, at.first + DECODE_SPAN - 1);
  return at;
}

// start is where a tile of positions begins in the pools, in elements; -1 for a page that is not there.
GPU long long start(const Decode &a, const Place &at, int position) {
  if (position >= a.maxPages * a.pageTokens) return -1;
  int page = a.table[(long long)at.seq * a.maxPages + position / a.pageTokens];
  if (page < 0 || page >= a.pages) return -1;
  return (((long long)page * a.kvHeads + at.kvHead) * a.pageTokens + position % a.pageTokens) * a.headDim;
}

// query is an element of q, scaled in f32.
GPU float query(const Decode &a, long long i) {
  return a.scale * (a.bf16Rows ? __uint_as_float((unsigned)((const unsigned short *)a.q)[i] << 16) : ((const float *)a.q)[i]);
}

GPU void answer(const Decode &a, long long i, float sum, float total) {
  float x = total == 0 ? 0 : sum / total; // a row that sees nothing is 0
  if (a.bf16Rows) ((unsigned short *)a.out)[i] = (unsigned short)pack(x, 0);
  else ((float *)a.out)[i] = x;
}

// What each warp found in its part of the span.
template <int D> struct Found {
  float sums[WARPS][DECODE_ROWS][D], most[WARPS][DECODE_ROWS], total[WARPS][DECODE_ROWS];
  long long start[DECODE_SPAN / TILE];
};

// weight is 2^(score - most), and 0 where there is nothing.
GPU float weight(float score, float most) { return exp2f(score - (most == NONE ? 0 : most)); }

// join_warps adds up what the warps found, in their order: the answer where there is one span, else a part of it.
template <int D> GPU void join_warps(const Decode &a, const Place &at, const Found<D> &f) {
  __syncthreads();
  for (int i = threadIdx.x; i < DECODE_ROWS * D; i += DECODE_THREADS) {
    int r = i / D, d = i % D, row = at.tile * DECODE_ROWS + r;
    if (row >= a.tokens * a.group) return;
    float most = NONE, sum = 0, total = 0;
    for (int w = 0; w < WARPS; w++) most = fmaxf(most, f.most[w][r]);
    for (int w = 0; w < WARPS; w++) {
      float by = weight(f.most[w][r], most);
      sum += by * f.sums[w][r][d];
      total += by * f.total[w][r];
    }
    long long l = line(a, at, row);
    if (a.spans == 1) {
      answer(a, l * D + d, sum, total);
      continue;
    }
    long long part = l * a.spans + blockIdx.z;
    a.sums[part * D + d] = sum;
    if (d == 0) {
      a.marks[part * 2] = most;
      a.marks[part * 2 + 1] = total;
    }
  }
}

// idle says that no query of the block sees its span, and that nobody waits for its answer.
GPU bool idle(const Decode &a, const Place &at) { return a.spans > 1 && at.most < at.first; }

// starts looks the pages up.
template <int D> GPU void starts(const Decode &a, const Place &at, Found<D> &f) {
  if (threadIdx.x < DECODE_SPAN / TILE) f.start[threadIdx.x] = start(a, at, at.first + threadIdx.x * TILE);
}

// begin is where the tile of a position begins, as start found it. Past the span, where no position is seen, it is any tile's.
template <int D> GPU long long begin(const Place &at, const Found<D> &f, int position) {
  return f.start[min((position - at.first) / TILE, DECODE_SPAN / TILE - 1)];
}

// split packs two numbers, and what that lost.
GPU void split(float x, float y, unsigned &packed, unsigned &lost) {
  packed = pack(x, y);
  lost = pack(x - low(packed), y - high(packed));
}

enum { STEP = 2 * TILE }; // positions that a warp takes at once

template <int D> struct Bf16 {
  enum { KEYS = (D + 31) / 32, VALUES = (D + 63) / 64, AHEAD = D <= 128 };
  struct Shared {
    Found<D> found;
    uint4 q[2 * KEYS][32]; // a product's operand a, for each lane
  };

  // A lane reads 8 elements of each key, of position lane/4 in a tile: elements 8(lane%4) of 32.
  GPU void keys(const Decode &a, const Place &at, const Shared &s, int from, uint4 (&k)[2][KEYS]) {
    int lane = threadIdx.x % 32, g = lane / 4, n = lane % 4;
    for (int t = 0; t < 2; t++) {
      int p = from + t * TILE;
      long long tile = begin(at, s.found, p);
      bool seen = tile >= 0 && p + g <= at.most;
      const unsigned short *row = (const unsigned short *)a.k + tile + g * D + 8 * n;
      for (int j = 0; j < KEYS; j++) k[t][j] = load(row + 32 * j, seen && 32 * j + 8 * n < D);
    }
  }

  // It reads 8 elements of each of four values: positions 2(lane%4) and the next in both tiles, elements 8(lane/4) of 64.
  GPU void values(const Decode &a, const Place &at, const Shared &s, int from, int j, uint4 (&v)[4]) {
    int lane = threadIdx.x % 32, g = lane / 4, n = lane % 4;
    for (int i = 0; i < 4; i++) {
      int p = from + i / 2 * TILE, offset = 2 * n + i % 2;
      long long tile = begin(at, s.found, p);
      bool seen = tile >= 0 && p + offset <= at.most && 64 * j + 8 * g < D;
      v[i] = load((const unsigned short *)a.v + tile + offset * D + 64 * j + 8 * g, seen);
    }
  }

  // queries lays the rows out as operands: word x and z are a row's elements, y and w what rounding lost.
  GPU void queries(const Decode &a, const Place &at, Shared &s) {
    int lane = threadIdx.x % 32, row = at.tile * DECODE_ROWS + lane / 4, n = lane % 4;
    bool there = row < a.tokens * a.group;
    long long first = there ? line(a, at, row) * D : 0;
    for (int i = threadIdx.x / 32; i < 2 * KEYS; i += WARPS) {
      int d = i / 2 * 32 + 8 * n + i % 2 * 4;
      float x[4];
      for (int e = 0; e < 4; e++) x[e] = there && d < D ? query(a, first + d + e) * LOG2E : 0;
      uint4 packed;
      split(x[0], x[1], packed.x, packed.y);
      split(x[2], x[3], packed.z, packed.w);
      s.q[i][lane] = packed;
    }
  }

  // scores are those of row lane/4 and, in each tile, positions 2(lane%4) and the next.
  GPU void scores(const Shared &s, const uint4 (&k)[2][KEYS], float (&x)[4]) {
    float4 c[2] = {make_float4(0, 0, 0, 0), make_float4(0, 0, 0, 0)};
    for (int j = 0; j < KEYS; j++) {
      uint4 q = s.q[2 * j][threadIdx.x % 32];
      for (int t = 0; t < 2; t++) multiply(c[t], q, k[t][j].x, k[t][j].y);
      q = s.q[2 * j + 1][threadIdx.x % 32];
      for (int t = 0; t < 2; t++) multiply(c[t], q, k[t][j].z, k[t][j].w);
    }
    for (int t = 0; t < 2; t++) {
      x[2 * t] = c[t].x + c[t].z;
      x[2 * t + 1] = c[t].y + c[t].w;
    }
  }

  // mask leaves the scores that the lane's row sees.
  GPU void mask(const Place &at, const Shared &s, int from, float (&x)[4]) {
    for (int i = 0; i < 4; i++) {
      int p = from + i / 2 * TILE;
      if (begin(at, s.found, p) < 0 || p + 2 * ((int)threadIdx.x % 4) + i % 2 > at.mine) x[i] = NONE;
    }
  }

  // mix adds weights times 64 elements of the values: the column g of product t is element 8g+t.
  GPU void mix(const uint4 &w, const uint4 (&v)[4], float4 (&sum)[8]) {
    multiply(sum[0], w, lows(v[0].x, v[1].x), lows(v[2].x, v[3].x));
    multiply(sum[1], w, highs(v[0].x, v[1].x), highs(v[2].x, v[3].x));
    multiply(sum[2], w, lows(v[0].y, v[1].y), lows(v[2].y, v[3].y));
    multiply(sum[3], w, highs(v[0].y, v[1].y), highs(v[2].y, v[3].y));
    multiply(sum[4], w, lows(v[0].z, v[1].z), lows(v[2].z, v[3].z));
    multiply(sum[5], w, highs(v[0].z, v[1].z), highs(v[2].z, v[3].z));
    multiply(sum[6], w, lows(v[0].w, v[1].w), lows(v[2].w, v[3].w));
    multiply(sum[7], w, highs(v[0].w, v[1].w), highs(v[2].w, v[3].w));
  }

  // keep stores what the warp found: a lane has row lane/4, elements 16(lane%4) to +15 of each 64.
  GPU void keep(Shared &s, const float4 (&sum)[VALUES][8], float most, float total) {
    int lane = threadIdx.x % 32, g = lane / 4, n = lane % 4, w = threadIdx.x / 32;
    for (int j = 0; j < VALUES; j++)
      for (int t = 0; t < 8; t++) {
        int d = 64 * j + 16 * n + t;
        if (d >= D) continue;
        s.found.sums[w][g][d] = sum[j][t].x + sum[j][t].z;
        s.found.sums[w][g][d + 8] = sum[j][t].y + sum[j][t].w;
      }
    if (n == 0) {
      s.found.most[w][g] = most;
      s.found.total[w][g] = total;
    }
  }

  GPU void run(const Decode &a, Shared &s) {
    Place at = place(a, threadIdx.x % 32 / 4);
    if (idle(a, at)) return;
    starts(a, at, s.found);
    float most = NONE, total = 0;
    float4 sum[VALUES][8];
    for (int j = 0; j < VALUES; j++)
      for (int t = 0; t < 8; t++) sum[j][t] = make_float4(0, 0, 0, 0);
    __syncthreads();

    uint4 k[2][KEYS], v[VALUES][4];
    int from = at.first + threadIdx.x / 32 * STEP;
    keys(a, at, s, from, k);
    for (int j = 0; j < VALUES && AHEAD; j++) values(a, at, s, from, j, v[j]);
    queries(a, at, s);
    __syncthreads();
    for (; from <= at.most; from += WARPS * STEP) {
      float x[4];
      scores(s, k, x);
      if (AHEAD) keys(a, at, s, from + WARPS * STEP, k); // while the values are used
      mask(at, s, from, x);
      float found = fmaxf(fmaxf(x[0], x[1]), fmaxf(x[2], x[3]));
      found = fmaxf(found, shuffle(found, 1));
      found = fmaxf(most, fmaxf(found, shuffle(found, 2)));
      float by = weight(most, found);
      most = found;
      for (int i = 0; i < 4; i++) x[i] = weight(x[i], most);
      total = total * by + ((x[0] + x[1]) + (x[2] + x[3]));
      uint4 w;
      split(x[0], x[1], w.x, w.y);
      split(x[2], x[3], w.z, w.w);
      for (int j = 0; j < VALUES; j++) {
        for (int t = 0; t < 8; t++) sum[j][t] = make_float4(sum[j][t].x * by, sum[j][t].y * by, sum[j][t].z * by, sum[j][t].w * by);
        if (!AHEAD) values(a, at, s, from, j, v[j]);
        mix(w, v[j], sum[j]);
        if (AHEAD) values(a, at, s, from + WARPS * STEP, j, v[j]); // while the next keys are used
      }
      if (!AHEAD) keys(a, at, s, from + WARPS * STEP, k);
    }
    total += shuffle(total, 1); // of the four lanes that share a row
    total += shuffle(total, 2);
    keep(s, sum, most, total);
    join_warps(a, at, s.found);
  }
};

template <int D> struct F32 {
  enum { PARTS = (D + 127) / 128, AT_ONCE = 4 }; // 128 elements of a row; positions that a warp takes at once
  typedef Found<D> Shared;

  GPU float4 part(const float *row, int j, bool seen) { // four elements of a lane
    int d = 128 * j + (int)threadIdx.x % 32 * 4;
    uint4 x = load(row + d, seen && d < D);
    return make_float4(__uint_as_float(x.x), __uint_as_float(x.y), __uint_as_float(x.z), __uint_as_float(x.w));
  }

  GPU void rows(const Place &at, const Shared &s, const void *pool, int from, float4 (&x)[AT_ONCE][PARTS]) {
    long long tile = begin(at, s, from);
    for (int p = 0; p < AT_ONCE; p++)
      for (int j = 0; j < PARTS; j++)
        x[p][j] = part((const float *)pool + tile + (from % TILE + p) * D, j, tile >= 0 && from + p <= at.most);
  }

  GPU void queries(const Decode &a, const Place &at, float4 (&q)[DECODE_ROWS][PARTS]) {
    for (int r = 0; r < DECODE_ROWS; r++)
      for (int j = 0; j < PARTS; j++) {
        int row = at.tile * DECODE_ROWS + r, d = 128 * j + threadIdx.x % 32 * 4;
        q[r][j] = make_float4(0, 0, 0, 0);
        if (row >= a.tokens * a.group || d >= D) continue;
        long long i = line(a, at, row) * D + d;
        q[r][j] = make_float4(query(a, i) * LOG2E, query(a, i + 1) * LOG2E, query(a, i + 2) * LOG2E, query(a, i + 3) * LOG2E);
      }
  }

  // score adds up over the lanes: each ends with one of 32 scores, of position lane/8 and row lane%8. 31 shuffles in place of 160.
  GPU float score(const float4 (&q)[DECODE_ROWS][PARTS], const float4 (&k)[AT_ONCE][PARTS]) {
    float x[32];
    for (int i = 0; i < 32; i++) {
      x[i] = 0;
      for (int j = 0; j < PARTS; j++) {
        float4 b = k[i / 8][j], c = q[i % 8][j];
        x[i] += (b.x * c.x + b.y * c.y) + (b.z * c.z + b.w * c.w);
      }
    }
#pragma unroll
    for (int half = 16; half > 0; half /= 2) {
      bool upper = threadIdx.x & half;
#pragma unroll
      for (int i = 0; i < half; i++) {
        float mine = upper ? x[i + half] : x[i], other = upper ? x[i] : x[i + half];
        x[i] = mine + shuffle(other, half);
      }
    }
    return x[0];
  }

  GPU void keep(Shared &s, const float4 (&sum)[DECODE_ROWS][PARTS], float most, float total) {
    int lane = threadIdx.x % 32, w = threadIdx.x / 32;
    for (int r = 0; r < DECODE_ROWS; r++)
      for (int j = 0; j < PARTS; j++)
        if (128 * j + lane * 4 < D) {
          float *to = s.sums[w][r] + 128 * j + lane * 4;
          to[0] = sum[r][j].x, to[1] = sum[r][j].y, to[2] = sum[r][j].z, to[3] = sum[r][j].w;
        }
    if (lane < DECODE_ROWS) {
      s.most[w][lane] = most;
      s.total[w][lane] = total;
    }
  }

  GPU void run(const Decode &a, Shared &s) {
    int lane = threadIdx.x % 32;
    Place at = place(a, lane % DECODE_ROWS);
    if (idle(a, at)) return;
    starts(a, at, s);
    float most = NONE, total = 0;
    float4 q[DECODE_ROWS][PARTS], sum[DECODE_ROWS][PARTS], k[AT_ONCE][PARTS], v[AT_ONCE][PARTS];
    queries(a, at, q);
    for (int r = 0; r < DECODE_ROWS; r++)
      for (int j = 0; j < PARTS; j++) sum[r][j] = make_float4(0, 0, 0, 0);
    __syncthreads();
    for (int from = at.first + threadIdx.x / 32 * AT_ONCE; from <= at.most; from += WARPS * AT_ONCE) {
      rows(at, s, a.k, from, k);
      rows(at, s, a.v, from, v);
      float x = score(q, k);
      if (from + lane / DECODE_ROWS > at.mine || begin(at, s, from) < 0) x = NONE;
      float found = fmaxf(x, shuffle(x, 8));
      found = fmaxf(most, fmaxf(found, shuffle(found, 16)));
      float by = weight(most, found), w = weight(x, found);
      most = found;
      total = total * by + w;
      for (int r = 0; r < DECODE_ROWS; r++) {
        float b = from_lane(by, r);
        for (int j = 0; j < PARTS; j++) sum[r][j] = make_float4(sum[r][j].x * b, sum[r][j].y * b, sum[r][j].z * b, sum[r][j].w * b);
        for (int p = 0; p < AT_ONCE; p++) {
          b = from_lane(w, p * DECODE_ROWS + r);
          for (int j = 0; j < PARTS; j++) {
            float4 y = v[p][j], &to = sum[r][j];
            to.x += b * y.x, to.y += b * y.y, to.z += b * y.z, to.w += b * y.w;
          }
        }
      }
    }
    total += shuffle(total, 8); // of the four lanes that share a row
    total += shuffle(total, 16);
    keep(s, sum, most, total);
    join_warps(a, at, s);
  }
};

#define DECODE(D, BLOCKS)                                                                              \
  extern "C" __global__ void __launch_bounds__(DECODE_THREADS, BLOCKS) decode_bf16_##D(const Decode a) { \
    __shared__ Bf16<D>::Shared s;                                                                      \
    Bf16<D>::run(a, s);                                                                                \
  }                                                                                                    \
  extern "C" __global__ void __launch_bounds__(DECODE_THREADS, BLOCKS) decode_f32_##D(const Decode a) {  \
    __shared__ F32<D>::Shared s;                                                                       \
    F32<D>::run(a, s);                                                                                 \
  }
DECODE_HEAD_DIMS(DECODE)

// decode_join adds up a row's spans: a block for each row. Warp w takes every fourth span from w on, and the warps are added in their order.
extern "C" __global__ void __launch_bounds__(DECODE_THREADS) decode_join(const Decode a) {
  __shared__ float sums[WARPS][256], totals[WARPS];
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  long long l = blockIdx.x;
  int p = min(a.positions[l / a.heads], a.maxPages * a.pageTokens - 1), spans = p < 0 ? 0 : p / DECODE_SPAN + 1;
  const float *marks = a.marks + l * a.spans * 2, *parts = a.sums + l * a.spans * a.headDim;
  float most = NONE, total = 0, sum[8] = {0, 0, 0, 0, 0, 0, 0, 0}; // elements lane + 32i
  for (int i = 0; i < spans; i++) most = fmaxf(most, marks[2 * i]);
  for (int i = warp; i < spans; i += WARPS) {
    float by = weight(marks[2 * i], most);
    total += by * marks[2 * i + 1];
#pragma unroll
    for (int j = 0; j < 8; j++)
      if (lane + 32 * j < a.headDim) sum[j] += by * parts[(long long)i * a.headDim + lane + 32 * j];
  }
#pragma unroll
  for (int j = 0; j < 8; j++) sums[warp][lane + 32 * j] = sum[j];
  if (lane == 0) totals[warp] = total;
  __syncthreads();
  total = 0;
  for (int w = 0; w < WARPS; w++) total += totals[w];
  for (int d = threadIdx.x; d < a.headDim; d += DECODE_THREADS) {
    float x = 0;
    for (int w = 0; w < WARPS; w++) x += sums[w][d];
    answer(a, l * a.headDim + d, x, total);
  }
}
