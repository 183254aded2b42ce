#include "ffi.h"

ffi_error *ffitest_accumulate(ffi_frame *f) {
  ffi_error *answer;
  if (ffi_query(f, &answer)) return answer;
  if (ffi_operands(f) != 2 || ffi_results(f) != 2) return ffi_fail(f, "accumulate: got %ld operands; want 2, and 2 results", (long)ffi_operands(f));
  const ffi_buffer *step = ffi_operand(f, 0), *total = ffi_operand(f, 1), *told = ffi_result(f, 0), *sum = ffi_result(f, 1);
  if (!ffi_is(step, FFI_F32, 1) || !ffi_is(total, FFI_F32, 1) || !ffi_is(sum, FFI_F32, 1) || !ffi_is(told, FFI_S32, 1))
    return ffi_fail(f, "accumulate: wrong types");
  int64_t n = ffi_elements(step), factor, fail;
  if (ffi_elements(total) != n || ffi_elements(sum) != n || told->dims[0] != 2) return ffi_fail(f, "accumulate: wrong shapes");
  float bias;
  if (!ffi_int(f, "factor", &factor) || !ffi_float(f, "bias", &bias) || !ffi_int(f, "fail", &fail)) return ffi_fail(f, "accumulate: an attribute is missing");
  if (ffi_int(f, "bias", &factor) || ffi_float(f, "factor", &bias) || ffi_int(f, "fac", &factor)) return ffi_fail(f, "accumulate: an attribute of another type or name was read");
  if (fail) return ffi_fail(f, "accumulate: told to fail by %lld", (long long)fail);
  const float *s = step->data, *t = total->data;
  float *out = sum->data;
  for (int64_t i = 0; i < n; i++) out[i] = t[i] + (float)factor * s[i] + bias;
  int32_t *say = told->data;
  say[0] = total->data == sum->data;
  say[1] = ((uintptr_t)s | (uintptr_t)t | (uintptr_t)out | (uintptr_t)say) & 63;
  return 0;
}
