// A plugin that registers native functions in the way of version FORM of the FFI extension and does nothing else. FORM 0 has no such
// extension; REFUSES makes it refuse each function; PLATFORM is the one that it wants, Host unless it is said.
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
static struct {
  size_t size;
  void *extensions;
  struct { size_t size; void *extensions; int major, minor; } version;
  void *fn[128];
} table = {sizeof table, &other, {24, 0, 0, 81}, {error_destroy, error_message}};

void *GetPjrtApi(void) { return &table; }
