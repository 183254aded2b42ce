// The patched function table: a copy of the plugin's own, in which compilation and the three error functions are ours.
#include "abi.h"
#include "_cgo_export.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 3      // plugins per process: an override gets no context, so each plugin has functions of its own
#define TABLE_MAX 512 // entries of our copy: a function that an old plugin lacks reads as NULL, not past its table
static const Table *real[SLOTS];

typedef void *(*Fn)(void *);
static void *call(int slot, int fn, void *args) { return ((Fn)real[slot]->fn[fn])(args); }

// Our errors are told from the plugin's by address: they are on this list, which is nearly always empty.
typedef struct Own {
  struct Own *next;
  size_t size;
  char message[];
} Own;
static Own *live;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static Own *own(const void *error, int unlink) {
  pthread_mutex_lock(&lock);
  Own **at = &live;
  while (*at && *at != error) at = &(*at)->next;
  Own *found = *at;
  if (found && unlink) *at = found->next;
  pthread_mutex_unlock(&lock);
  return found;
}

void *interposer_error(const char *message, size_t size) {
  Own *e = malloc(sizeof *e + size + 1);
  memcpy(e->message, message, size);
  e->message[size] = 0;
  e->size = size;
  pthread_mutex_lock(&lock);
  e->next = live;
  live = e;
  pthread_mutex_unlock(&lock);
  return e;
}

enum { CODE_INTERNAL = 13 };

static void error_destroy(int slot, Error_Destroy_Args *a) {
  Own *e = own(a->error, 1);
  if (e) free(e);
  else call(slot, FN_Error_Destroy, a);
}

static void error_message(int slot, Error_Message_Args *a) {
  Own *e = own(a->error, 0);
  if (!e) {
    call(slot, FN_Error_Message, a);
    return;
  }
  a->message = e->message;
  a->message_size = e->size;
}

static void *error_code(int slot, Error_GetCode_Args *a) {
  if (!own(a->error, 0)) return call(slot, FN_Error_GetCode, a);
  a->code = CODE_INTERNAL;
  return 0;
}

static void *newest[SLOTS]; // client

static void *create(int slot, Client_Create_Args *a) {
  void *error = call(slot, FN_Client_Create, a);
  if (!error) __atomic_store_n(&newest[slot], a->client, __ATOMIC_RELEASE);
  return error;
}

#define OVERRIDES(S)                                                          \
  static void destroy##S(Error_Destroy_Args *a) { error_destroy(S, a); }      \
  static void message##S(Error_Message_Args *a) { error_message(S, a); }      \
  static void *code##S(Error_GetCode_Args *a) { return error_code(S, a); }    \
  static void *compile##S(Client_Compile_Args *a) { return interposerCompile(S, a); } \
  static void *create##S(Client_Create_Args *a) { return create(S, a); }
OVERRIDES(0)
OVERRIDES(1)
OVERRIDES(2)
static void *const overrides[SLOTS][5] = {
    {destroy0, message0, code0, compile0, create0},
    {destroy1, message1, code1, compile1, create1},
    {destroy2, message2, code2, compile2, create2},
};

static char *failure(const char *text) { return strdup(text ? text : "unknown reason"); }

char *interposer_table(const char *path, const Table **table) {
  void *library = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
  if (!library) return failure(dlerror());
  const Table *(*get)(void) = (const Table *(*)(void))dlsym(library, "GetPjrtApi");
  if (!get) return failure(dlerror());
  *table = get();
  if (!*table) return failure("GetPjrtApi returned nothing");
  if ((*table)->struct_size < offsetof(Table, fn) + sizeof(void *) * (FN_Executable_GetCompiledMemoryStats + 1))
    return failure("its PJRT API is too old");
  if ((*table)->struct_size > offsetof(Table, fn) + sizeof(void *) * TABLE_MAX) return failure("its PJRT API is too new");
  return 0;
}

// interposer_open loads the plugin and makes its patched table, which lives as long as the process.
char *interposer_open(const char *path, int slot, Table **patched) {
  if (slot < 0 || slot >= SLOTS) return failure("too many plugins in one process");
  char *error = interposer_table(path, &real[slot]);
  if (error) return error;
  Table *t = calloc(1, offsetof(Table, fn) + sizeof(void *) * TABLE_MAX);
  memcpy(t, real[slot], real[slot]->struct_size);
  t->fn[FN_Error_Destroy] = overrides[slot][0];
  t->fn[FN_Error_Message] = overrides[slot][1];
  t->fn[FN_Error_GetCode] = overrides[slot][2];
  t->fn[FN_Client_Compile] = overrides[slot][3];
  t->fn[FN_Client_Create] = overrides[slot][4];
  *patched = t;
  return 0;
}

char *interposer_taken_by(const Table *table, void *error) {
  if (!error) return 0;
  Error_Message_Args m = {sizeof m, 0, error, 0, 0};
  ((Fn)table->fn[FN_Error_Message])(&m);
  char *text = strndup(m.message, m.message_size);
  Error_Destroy_Args d = {sizeof d, 0, error};
  ((Fn)table->fn[FN_Error_Destroy])(&d);
  return text;
}

char *interposer_taken(int slot, void *error) { return interposer_taken_by(real[slot], error); }

void *interposer_compile(int slot, Client_Compile_Args *args) { return call(slot, FN_Client_Compile, args); }

// executable_of gives the description of a loaded executable; executable_free returns it.
static char *executable_of(int slot, void *loaded, void **executable) {
  LoadedExecutable_GetExecutable_Args a = {sizeof a, 0, loaded, 0};
  char *error = interposer_taken(slot, call(slot, FN_LoadedExecutable_GetExecutable, &a));
  *executable = a.executable;
  return error;
}

static void executable_free(int slot, void *executable) {
  Executable_Destroy_Args a = {sizeof a, 0, executable};
  free(interposer_taken(slot, call(slot, FN_Executable_Destroy, &a)));
}

char *interposer_serialize(int slot, void *loaded, char **bytes, size_t *size) {
  void *executable;
  char *error = executable_of(slot, loaded, &executable);
  if (error) return error;
  Executable_Serialize_Args a = {sizeof a, 0, executable, 0, 0, 0, 0};
  error = interposer_taken(slot, call(slot, FN_Executable_Serialize, &a));
  if (!error) {
    *size = a.serialized_bytes_size;
    *bytes = malloc(*size + 1);
    memcpy(*bytes, a.serialized_bytes, *size);
    a.serialized_executable_deleter(a.serialized_executable);
  }
  executable_free(slot, executable);
  return error;
}

char *interposer_load(int slot, void *client, const char *bytes, size_t size, void **loaded) {
  Executable_DeserializeAndLoad_Args a = {sizeof a, 0, client, bytes, size, 0, 0, 0};
  char *error = interposer_taken(slot, call(slot, FN_Executable_DeserializeAndLoad, &a));
  *loaded = a.loaded_executable;
  return error;
}

char *interposer_platform_version(int slot, void *client, char **version) {
  Client_PlatformVersion_Args a = {sizeof a, 0, client, 0, 0};
  char *error = interposer_taken(slot, call(slot, FN_Client_PlatformVersion, &a));
  if (!error) *version = strndup(a.platform_version, a.platform_version_size);
  return error;
}

char *interposer_memory(int slot, void *loaded, Executable_GetCompiledMemoryStats_Args *out) {
  char *error = executable_of(slot, loaded, &out->executable);
  if (error) return error;
  out->struct_size = sizeof *out;
  error = interposer_taken(slot, call(slot, FN_Executable_GetCompiledMemoryStats, out));
  executable_free(slot, out->executable);
  return error;
}

void *interposer_client(int slot) { return __atomic_load_n(&newest[slot], __ATOMIC_ACQUIRE); }

char *interposer_devices(int slot, void *client, Client_AddressableDevices_Args *out) {
  *out = (Client_AddressableDevices_Args){sizeof *out, 0, client, 0, 0};
  return interposer_taken(slot, call(slot, FN_Client_AddressableDevices, out));
}

char *interposer_description(int slot, void *device, DeviceDescription_Kind_Args *kind, DeviceDescription_Attributes_Args *attributes) {
  Device_GetDescription_Args d = {sizeof d, 0, device, 0};
  char *error = interposer_taken(slot, call(slot, FN_Device_GetDescription, &d));
  if (error) return error;
  *kind = (DeviceDescription_Kind_Args){sizeof *kind, 0, d.device_description, 0, 0};
  error = interposer_taken(slot, call(slot, FN_DeviceDescription_Kind, kind));
  if (error) return error;
  *attributes = (DeviceDescription_Attributes_Args){sizeof *attributes, 0, d.device_description, 0, 0};
  return interposer_taken(slot, call(slot, FN_DeviceDescription_Attributes, attributes));
}

char *interposer_device_memory(int slot, void *device, Device_MemoryStats_Args *out) {
  *out = (Device_MemoryStats_Args){.struct_size = sizeof *out, .device = device};
  return interposer_taken(slot, call(slot, FN_Device_MemoryStats, out));
}
