// Native bodies of the Llama forward pass on processors: what the custom calls of xla:cpu run. Nothing here knows XLA or Go.
//
// Matrices are packed in panels of 32 columns: panel p holds columns 32p to 32p+31 of w [in, out], all rows of `in` one after the other, so
// that a product needs no horizontal sums and reads memory in order. What is computed for a row of x does not depend on the other rows, nor
// on the number of threads: each sum runs over its terms in one order.
#pragma once
#include <stddef.h>
#include <stdint.h>

enum { PANEL = 32, BLOCK = 32 }; // columns of a panel; rows of `in` that share a scale

// How weights are stored. I8 and I4 are blocks of 32 rows of `in` by 32 columns with an f16 scale for each column; activations are rounded to
// 8 bits with one f32 scale for each 32 of them. The others multiply f32 activations.
enum { WEIGHTS_F32, WEIGHTS_BF16, WEIGHTS_I8, WEIGHTS_I4, WEIGHTS_KINDS };

// How pages hold keys and values. I8 has an f32 scale for each position behind a page's bytes.
enum { PAGES_F32, PAGES_BF16, PAGES_F16, PAGES_I8, PAGES_KINDS };

// What the processor can do: each level with the ones before it, but that AVX-512 may lack AVX-VNNI.
enum { LEVEL_PLAIN, LEVEL_AVX2, LEVEL_AVXVNNI, LEVEL_AVX512, LEVEL_VNNI, LEVELS };

typedef struct {
  int64_t weights; // WEIGHTS_...
  int64_t hidden, heads, kv_heads, head_dim, ffn, layers, vocab, tied;
  float eps; // of the norms
} Model;

// Where a packed model's parts are in its blob, in bytes. All are multiples of 64.
typedef struct {
  size_t layer;                                        // of a layer's parts
  size_t attn_norm, qkv, out, mlp_norm, gate_up, down; // in a layer; gate_up's panels hold 16 columns of each
  size_t final_norm, head, embed, size;                // from the start; embed = 0: the head's columns are the embedding
} Blob;

void blob_of(const Model *m, Blob *b);

// packed_size is what a matrix [in, out] takes, in bytes.
size_t packed_size(int weights, int64_t in, int64_t out);

// pack writes w [in, out] f32, row by row, as panels. With gate_up, out is 2 ffn: columns j and j + ffn meet in a panel.
void pack(int weights, const float *w, int64_t in, int64_t out, int gate_up, void *packed);

// pack_front packs what is outside of the layers: embedding [vocab, hidden], final norm, and the head [hidden, vocab] of a model that is not
// tied; pack_layer a layer's six tensors in the order of model.Layout. All are f32.
void pack_front(const Model *m, const float *const *tensors, char *blob);
void pack_layer(const Model *m, int64_t layer, const float *const *tensors, char *blob);

// A run of the model over rows. Sequence s of `seqs` feeds `tokens` rows; its line of the batch is tokens, positions, slots, pages, last.
typedef struct {
  const int32_t *batch;
  int64_t seqs, tokens, pages; // pages of a line's table
  const float *cos, *sin;      // [positions, head_dim/2]
  int64_t positions;
  void *pool;                  // [2 layers, pool_pages, kv_heads] pages
  int64_t pool_pages, page_tokens;
  int page_kind;
} Run;

// page_bytes is the size of one head's keys, or values, of a page. Keys are [head_dim, page_tokens], values [page_tokens, head_dim].
size_t page_bytes(int kind, int64_t page_tokens, int64_t head_dim);

// check_model and check_run say what is wrong with shapes and indices, or NULL. Nothing below checks again.
const char *check_model(const Model *m);
const char *check_run(const Model *m, const Run *r);
const char *check_tokens(const Model *m, const Run *r); // a part of check_run

// embed looks tokens up: y [seqs*tokens, hidden].
void embed(const Model *m, const char *blob, const Run *r, float *y);
// attention is y = x + attention(norm(x)) of a layer, for x [seqs*tokens, hidden]; keys and values are stored in the pool first.
void attention(const Model *m, const char *blob, int64_t layer, const Run *r, const float *x, float *y);
// mlp is y = x + mlp(norm(x)) of a layer.
void mlp(const Model *m, const char *blob, int64_t layer, int64_t rows, const float *x, float *y);
// norm is the final norm alone; head the logits [rows, vocab] of the final norm.
void final_norm(const Model *m, const char *blob, int64_t rows, const float *x, float *y);
void head(const Model *m, const char *blob, int64_t rows, const float *x, float *logits);
// multiply is y [rows, out] = x [rows, in] w for a packed w.
void multiply(int weights, const void *w, int64_t in, int64_t out, int64_t rows, const float *x, float *y);
// copy_pages copies page from[i] to page to[i] in all layers; to[i] = -1: not.
void copy_pages(const Model *m, const Run *r, int64_t n, const int32_t *from, const int32_t *to);

// draws draws a token from each row of logits [rows, vocab], without edits or masks: parameters [rows, 6] and results [rows, 4] are
// as in sampler/graph.go.
void draws(const float *logits, int64_t rows, int64_t vocab, const int32_t *parameters, int32_t *results);

// The pool of threads: tasks 0 to n-1 run on the caller and on those that are idle. One caller at a time has the threads, others work alone.
typedef void (*Task)(void *arg, int64_t from, int64_t to);
void parallel(Task task, void *arg, int64_t n, int64_t grain);
// choose_threads has the calling thread work with others that run when nothing else does, if it is such a thread, until it calls it again.
void choose_threads(void);
void set_threads(int n);
int threads(void);

// The level in use: the best that the processor can do, or what set_level was told.
int has_level(int level);
int best_level(void);
int level(void);
int set_level(int level); // 0 if the processor cannot

// scratch is memory of the calling thread, kept for its next call; slot says for which use.
enum { SCRATCH_X, SCRATCH_Y, SCRATCH_Z, SCRATCH_TASK, SCRATCHES };
void *scratch(int slot, size_t bytes);
