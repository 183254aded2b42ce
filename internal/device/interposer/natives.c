// Native functions: handlers in this process that programs call by name, made known to the plugin through the FFI extension of its
// PJRT table. What is registered is registered for the whole process and must be before a program is compiled or loaded.
#include "abi.h"
#include "../ffi/ffi.h"
#include <stdlib.h>
#include <string.h>

typedef struct Extension {
  size_t struct_size;
  int type;
  struct Extension *next;
} Extension;

enum { EXTENSION_FFI = 5 };

// Arguments of the registration are the same for all versions up to target_size; then version 3 of the extension dropped a field.
typedef struct {
  size_t struct_size;
  const char *target;
  size_t target_size;
  ffi_handler *handler;
  const char *platform;
  size_t platform_size;
  int traits;
} Register_Args;
typedef struct {
  size_t struct_size;
  const char *target;
  size_t target_size;
  int api_version; // 1 = typed
  ffi_handler *handler;
  const char *platform;
  size_t platform_size;
  int traits;
} Register_Args_v2;

// The plugin wants the size up to and with the last field, not that of the padded struct.
enum {
  REGISTER_SIZE = offsetof(Register_Args, traits) + sizeof(int),
  REGISTER_SIZE_v2 = offsetof(Register_Args_v2, traits) + sizeof(int),
};

typedef struct {
  Extension head;
  void *type_register, *user_data_add;
  void *(*register_handler)(void *args); // gives a PJRT_Error or NULL
} FFI_Extension;

_Static_assert(offsetof(Extension, next) == 16, "PJRT_Extension_Base");
_Static_assert(offsetof(FFI_Extension, register_handler) == 40, "PJRT_FFI_Extension");
_Static_assert(REGISTER_SIZE == 52, "PJRT_FFI_Register_Handler_Args, version 3");
_Static_assert(REGISTER_SIZE_v2 == 60, "PJRT_FFI_Register_Handler_Args, version 2");

static const FFI_Extension *ffi_of(const Table *table) {
  for (const Extension *e = table->extensions; e; e = e->next)
    if (e->type == EXTENSION_FFI && e->struct_size >= sizeof(FFI_Extension)) return (const FFI_Extension *)e;
  return 0;
}

int interposer_has_natives(const Table *table) { return ffi_of(table) != 0; }

// interposer_native registers a handler for a platform, "Host" or "CUDA". Version 3 is tried first, whose arguments are the shorter ones: an older plugin
// refuses them by their size alone. The other way round a newer plugin would take the longer ones and misread them, so that the
// older form is sent only to a plugin that said so.
char *interposer_native(const Table *table, const char *platform, const char *target, void *handler) {
  const FFI_Extension *ffi = ffi_of(table);
  if (!ffi) return strdup("it has no FFI extension");
  Register_Args a = {REGISTER_SIZE, target, strlen(target), (ffi_handler *)handler, platform, strlen(platform), 0};
  char *error = interposer_taken_by(table, ffi->register_handler(&a));
  if (!error || !strstr(error, "size: expected")) return error;
  free(error);
  Register_Args_v2 b = {REGISTER_SIZE_v2, target, strlen(target), 1, (ffi_handler *)handler, platform, strlen(platform), 0};
  return interposer_taken_by(table, ffi->register_handler(&b));
}
