// XLA's FFI call frame, as much of it as native functions need: version 0.2 of its C API, whose structs only grow. A
// native function is a handler
//
//   ffi_error *scale(ffi_frame *f) {
//     ffi_error *answer;
//     if (ffi_query(f, &answer)) return answer; // XLA asks about the handler; nothing is to be computed
//     const ffi_buffer *x = ffi_operand(f, 0), *y = ffi_result(f, 0);
//     ...                                       // check shapes and attributes: a wild write ends the process
//     return 0;
//   }
//
// Its buffers are dense, row-major, and aligned to 64 bytes on the CPU. It runs on any thread, many at once, and must not call Go. The
// names and values of attributes are those of device.CustomCall. On CUDA buffers are the GPU's memory, which the handler must not touch
// itself: it puts work on the call's stream and returns.
#pragma once
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { FFI_MAJOR = 0, FFI_METADATA = 1, FFI_BUFFER = 1, FFI_SCALAR = 3, FFI_EXECUTE = 3, FFI_INVALID_ARGUMENT = 3 };

// Types of elements.
enum {
  FFI_BOOL = 1,
  FFI_S8 = 2,
  FFI_S16 = 3,
  FFI_S32 = 4,
  FFI_S64 = 5,
  FFI_U8 = 6,
  FFI_U16 = 7,
  FFI_U32 = 8,
  FFI_U64 = 9,
  FFI_F16 = 10,
  FFI_F32 = 11,
  FFI_F64 = 12,
  FFI_BF16 = 16,
};

typedef struct ffi_error ffi_error; // XLA's

typedef struct ffi_extension {
  size_t struct_size;
  int type;
  struct ffi_extension *next;
} ffi_extension;

typedef struct {
  size_t struct_size;
  ffi_extension *extensions;
  int major, minor;
} ffi_version;

typedef struct {
  size_t struct_size;
  ffi_extension *extensions;
  const char *message;
  int code;
} ffi_error_args;

typedef struct {
  size_t struct_size;
  ffi_extension *extensions;
  void *context, *stream;
} ffi_stream_args;

typedef struct {
  size_t struct_size;
  ffi_extension *extensions;
  ffi_version version;
  void *internal;
  ffi_error *(*error_create)(ffi_error_args *); // copies the message
  void *error_message, *error_destroy, *handler_register;
  ffi_error *(*stream_get)(ffi_stream_args *);
} ffi_api;

// An operand or a result. A result that is an operand's alias has the operand's data.
typedef struct {
  size_t struct_size;
  ffi_extension *extensions;
  int dtype; // FFI_F32 and so on
  void *data;
  int64_t rank;
  const int64_t *dims; // [rank]
} ffi_buffer;

typedef struct {
  size_t struct_size;
  ffi_extension *extensions;
  int64_t size;
  const int *types;    // [size] FFI_BUFFER
  void *const *values; // [size]
} ffi_list;

typedef struct {
  const char *text; // without a final 0
  size_t size;
} ffi_span;

typedef struct {
  int dtype;
  const void *value;
} ffi_scalar;

typedef struct {
  size_t struct_size;
  ffi_extension *extensions;
  int64_t size;
  const int *types;             // [size] FFI_SCALAR and others
  const ffi_span *const *names; // [size], sorted
  void *const *values;          // [size]
} ffi_attributes;

typedef struct {
  size_t struct_size;
  ffi_extension *extensions;
  const ffi_api *api;
  void *context;
  int stage;
  ffi_list operands, results;
  ffi_attributes attributes;
} ffi_frame;

typedef struct {
  size_t struct_size;
  ffi_version version;
  uint32_t traits;
} ffi_metadata;

typedef struct {
  ffi_extension head;
  ffi_metadata *metadata;
} ffi_metadata_extension;

// The ABI is that of 64-bit machines.
#define FFI_AT(type, field, offset) _Static_assert(offsetof(type, field) == offset, #type "." #field " is elsewhere in XLA's ABI")
FFI_AT(ffi_extension, next, 16);
FFI_AT(ffi_version, minor, 20);
FFI_AT(ffi_error_args, code, 24);
FFI_AT(ffi_api, internal, 40);
FFI_AT(ffi_api, error_create, 48);
FFI_AT(ffi_api, stream_get, 80);
FFI_AT(ffi_stream_args, stream, 24);
FFI_AT(ffi_buffer, data, 24);
FFI_AT(ffi_buffer, dims, 40);
FFI_AT(ffi_list, values, 32);
FFI_AT(ffi_span, size, 8);
FFI_AT(ffi_scalar, value, 8);
FFI_AT(ffi_attributes, values, 40);
FFI_AT(ffi_frame, stage, 32);
FFI_AT(ffi_frame, operands, 40);
FFI_AT(ffi_frame, results, 80);
FFI_AT(ffi_frame, attributes, 120);
FFI_AT(ffi_metadata, version, 8);
FFI_AT(ffi_metadata, traits, 32);
FFI_AT(ffi_metadata_extension, metadata, 24);
#undef FFI_AT

typedef ffi_error *ffi_handler(ffi_frame *);

// ffi_fail makes the error that a handler returns. Its text, at most 500 bytes, becomes part of the error of Program.Run.
__attribute__((format(printf, 2, 3))) static inline ffi_error *ffi_fail(const ffi_frame *f, const char *format, ...) {
  char text[512];
  va_list values;
  va_start(values, format);
  vsnprintf(text, sizeof text, format, values);
  va_end(values);
  ffi_error_args a = {sizeof a, 0, text, FFI_INVALID_ARGUMENT};
  return f->api->error_create(&a);
}

// What a handler promises, as bits: on CUDA, that it does nothing but put work on its stream, the same work for the same buffers, so that
// XLA may record it once and replay it (a command buffer).
enum { FFI_RECORDABLE = 1 };

// ffi_query_traits is ffi_query for a handler with traits.
static inline bool ffi_query_traits(const ffi_frame *f, uint32_t traits, ffi_error **answer) {
  *answer = 0;
  if (f->api->version.major != FFI_MAJOR) {
    *answer = ffi_fail(f, "XLA's FFI has the major version %d; this handler is made for %d", f->api->version.major, FFI_MAJOR);
    return true;
  }
  for (const ffi_extension *e = f->extensions; e; e = e->next) {
    if (e->type != FFI_METADATA) continue;
    ffi_metadata *m = ((const ffi_metadata_extension *)e)->metadata;
    m->version.major = FFI_MAJOR;
    m->version.minor = f->api->version.minor; // minor versions only add fields behind those that are read here
    m->traits = traits;
    return true;
  }
  if (f->struct_size < sizeof *f) {
    *answer = ffi_fail(f, "XLA's FFI call frame has %zu bytes; want at least %zu", f->struct_size, sizeof *f);
    return true;
  }
  return f->stage != FFI_EXECUTE;
}

// ffi_query says that this is no execution: the handler returns *answer at once.
static inline bool ffi_query(const ffi_frame *f, ffi_error **answer) { return ffi_query_traits(f, 0, answer); }

// ffi_stream gives the call's stream (on CUDA a CUstream), or the error that the handler returns.
static inline ffi_error *ffi_stream(const ffi_frame *f, void **stream) {
  ffi_stream_args a = {sizeof a, 0, f->context, 0};
  ffi_error *error = f->api->stream_get(&a);
  *stream = a.stream;
  return error;
}

static inline int64_t ffi_operands(const ffi_frame *f) { return f->operands.size; }
static inline int64_t ffi_results(const ffi_frame *f) { return f->results.size; }

static inline const ffi_buffer *ffi_buffer_of(const ffi_list *l, int64_t i) {
  return i >= 0 && i < l->size && l->types[i] == FFI_BUFFER ? l->values[i] : 0;
}

// ffi_operand and ffi_result give NULL for what is not there.
static inline const ffi_buffer *ffi_operand(const ffi_frame *f, int64_t i) { return ffi_buffer_of(&f->operands, i); }
static inline const ffi_buffer *ffi_result(const ffi_frame *f, int64_t i) { return ffi_buffer_of(&f->results, i); }

// ffi_is says that a buffer is there and has this dtype and rank.
static inline bool ffi_is(const ffi_buffer *b, int dtype, int64_t rank) { return b && b->dtype == dtype && b->rank == rank; }

// ffi_elements is the product of the dimensions.
static inline int64_t ffi_elements(const ffi_buffer *b) {
  int64_t n = 1;
  for (int64_t i = 0; i < b->rank; i++) n *= b->dims[i];
  return n;
}

static inline const ffi_scalar *ffi_scalar_of(const ffi_frame *f, const char *name) {
  size_t size = strlen(name);
  for (int64_t i = 0; i < f->attributes.size; i++) {
    const ffi_span *s = f->attributes.names[i];
    if (s->size == size && !memcmp(s->text, name, size)) return f->attributes.types[i] == FFI_SCALAR ? f->attributes.values[i] : 0;
  }
  return 0;
}

// ffi_int reads an attribute of type i32 or i64; false = there is none, and *value is as it was.
static inline bool ffi_int(const ffi_frame *f, const char *name, int64_t *value) {
  const ffi_scalar *s = ffi_scalar_of(f, name);
  if (s && s->dtype == FFI_S32) *value = *(const int32_t *)s->value;
  else if (s && s->dtype == FFI_S64) *value = *(const int64_t *)s->value;
  else return false;
  return true;
}

// ffi_float reads an attribute of type f32 likewise.
static inline bool ffi_float(const ffi_frame *f, const char *name, float *value) {
  const ffi_scalar *s = ffi_scalar_of(f, name);
  if (!s || s->dtype != FFI_F32) return false;
  *value = *(const float *)s->value;
  return true;
}
