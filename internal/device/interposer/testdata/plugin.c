// A plugin that registers native functions in the way of version FORM of the FFI extension. FORM 0 has no such extension; REFUSES makes
// it refuse each function; PLATFORM is the one that it wants, Host unless it is said. It has one device of the model MODEL, which without
// LIMIT bytes of memory tells none.
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#ifndef PLATFORM
#define PLATFORM Host
#endif
#define TEXT_OF(name) #name
#define TEXT(name) TEXT_OF(name)

static char text[256];

static void *error_destroy(void *args) { return 0; }

static void *error_message(void *args) {
  struct { size_t size; void *extensions; const void *error; const char *message; size_t message_size; } *a = args;
  a->message = a->error;
  a->message_size = strlen(a->message);
  return 0;
}

static void *failure(const char *message) { return strcpy(text, message); }

static void *register_handler(void *args) {
#if FORM == 2
  struct { size_t size; const char *target; size_t target_size; int api_version; const int *handler; const char *platform; size_t platform_size; int traits; } *a = args;
#else
  struct { size_t size; const char *target; size_t target_size; const int *handler; const char *platform; size_t platform_size; int traits; } *a = args;
#endif
  size_t want = offsetof(__typeof__(*a), traits) + sizeof(int);
  if (a->size < want) {
    snprintf(text, sizeof text, "Unexpected PJRT_FFI_Register_Handler_Args size: expected %zu, got %zu. Check installed software versions.", want, a->size);
    return text;
  }
  if (a->target_size != 4 || memcmp(a->target, "f_v1", 4)) return failure("wrong target");
  if (a->platform_size != 4 || memcmp(a->platform, TEXT(PLATFORM), 4)) return failure("wrong platform");
  if (*a->handler != 42 || a->traits) return failure("wrong handler or traits");
#if FORM == 2
  if (a->api_version != 1) return failure("wrong API version");
#endif
#ifdef REFUSES
  return failure("registered already");
#endif
  return 0;
}

static struct { size_t size; int type; void *next; void *fn[3]; } ffi = {48, 5, 0, {0, 0, register_handler}};
static struct { size_t size; int type; void *next; } other = {24, 3, FORM ? &ffi : 0};
#ifndef MODEL
#define MODEL "Fake 1"
#endif
static int device, description;
static void *const devices[] = {&device};

static void *list_devices(void *args) {
  struct { size_t size; void *extensions, *client; void *const *devices; size_t n; } *a = args;
  a->devices = devices;
  a->n = 1;
  return 0;
}

static void *describe(void *args) {
  struct { size_t size; void *extensions; const void *device; void *description; } *a = args;
  if (a->device != &device) return failure("not my device");
  a->description = &description;
  return 0;
}

static void *kind(void *args) {
  struct { size_t size; void *extensions; const void *description; const char *kind; size_t kind_size; } *a = args;
  if (a->description != &description) return failure("not my description");
  a->kind = MODEL " and more";
  a->kind_size = sizeof MODEL - 1;
  return 0;
}

static const struct { size_t size; void *extensions; const char *name; size_t name_size; int type; union { const char *text; long long number; } value; size_t value_size; }
    named[] = {{56, 0, "compute_capability", 18, 0, {.text = "9.0"}, 3}, {56, 0, "core_count", 10, 1, {.number = 132}, 1}};

static void *attributes(void *args) {
  struct { size_t size; void *extensions; const void *description; size_t n; const void *attributes; } *a = args;
  a->n = 2;
  a->attributes = named;
  return 0;
}

static void *memory(void *args) {
#ifdef LIMIT
  struct { size_t size; void *extensions; const void *device; long long used, peak; char peak_set; long long n; char n_set; long long largest; char largest_set; long long limit; char limit_set; } *a = args;
  a->used = 5;
  a->limit = LIMIT;
  a->limit_set = 1;
  return 0;
#else
  return failure("not told");
#endif
}

static struct {
  size_t size;
  void *extensions;
  struct { size_t size; void *extensions; int major, minor; } version;
  void *fn[128];
} table = {sizeof table, &other, {24, 0, 0, 81}, {[0] = error_destroy, [1] = error_message, [16] = list_devices, [25] = attributes, [26] = kind, [29] = describe, [34] = memory}};

void *GetPjrtApi(void) { return &table; }
