// The part of the PJRT C API that the interposer touches. The API is append-only: a table of function pointers behind a fixed
// head, and argument structs that only grow. abi_test.go compares the indices and field orders with go-xla's own header.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
  size_t struct_size;
  void *extensions;
  struct {
    size_t struct_size;
    void *extensions;
    int major, minor;
  } version;
  void *fn[];
} Table;

// Indices in Table.fn.
enum {
  FN_Error_Destroy = 0,
  FN_Error_Message = 1,
  FN_Error_GetCode = 2,
  FN_Plugin_Initialize = 3,
  FN_Client_PlatformVersion = 14,
  FN_Client_Compile = 20,
  FN_Executable_Destroy = 40,
  FN_Executable_OptimizedProgram = 48,
  FN_Executable_Serialize = 49,
  FN_LoadedExecutable_GetExecutable = 51,
  FN_Executable_DeserializeAndLoad = 56,
  FN_TopologyDescription_Create = 82,
  FN_Compile = 89,
  FN_Executable_GetCompiledMemoryStats = 96,
  FN_Client_Create = 10,
  FN_Client_AddressableDevices = 16,
  FN_DeviceDescription_Attributes = 25,
  FN_DeviceDescription_Kind = 26,
  FN_Device_GetDescription = 29,
  FN_Device_MemoryStats = 34,
};

// HEAD starts every argument struct.
#define HEAD size_t struct_size; void *extension_start;

typedef struct { HEAD const void *error; } Error_Destroy_Args;
typedef struct { HEAD const void *error; const char *message; size_t message_size; } Error_Message_Args;
typedef struct { HEAD const void *error; int code; } Error_GetCode_Args;
typedef struct { HEAD void *client; const char *platform_version; size_t platform_version_size; } Client_PlatformVersion_Args;
typedef struct { HEAD char *code; size_t code_size; const char *format; size_t format_size; } Program;
typedef struct { HEAD void *client; const Program *program; const char *compile_options; size_t compile_options_size; void *executable; } Client_Compile_Args;
typedef struct { HEAD void *executable; } Executable_Destroy_Args;
typedef struct { HEAD void *loaded_executable; void *executable; } LoadedExecutable_GetExecutable_Args;
typedef struct {
  HEAD const void *executable;
  const char *serialized_bytes;
  size_t serialized_bytes_size;
  void *serialized_executable;
  void (*serialized_executable_deleter)(void *);
} Executable_Serialize_Args;
typedef struct {
  HEAD void *client;
  const char *serialized_executable;
  size_t serialized_executable_size;
  void *loaded_executable;
  const char *overridden_serialized_compile_options;
  size_t overridden_serialized_compile_options_size;
} Executable_DeserializeAndLoad_Args;
typedef struct {
  HEAD void *executable;
  int64_t generated_code_size_in_bytes, argument_size_in_bytes, output_size_in_bytes, alias_size_in_bytes, temp_size_in_bytes;
  int64_t host_generated_code_size_in_bytes, host_argument_size_in_bytes, host_output_size_in_bytes, host_alias_size_in_bytes,
      host_temp_size_in_bytes;
  int64_t later[16]; // fields of newer plugins, which refuse a struct that lacks them; older ones leave them alone
} Executable_GetCompiledMemoryStats_Args;
enum { NAMED_STRING = 0, NAMED_INT64 = 1 };
typedef struct {
  HEAD const char *name;
  size_t name_size;
  int type;
  union { const char *string_value; int64_t int64_value; };
  size_t value_size;
} NamedValue;
typedef struct { HEAD const char *name; size_t name_size; const NamedValue *options; size_t num_options; void *topology; } TopologyDescription_Create_Args;
typedef struct { HEAD } Plugin_Initialize_Args;
typedef struct { HEAD void *executable; Program *program; } Executable_OptimizedProgram_Args;
typedef struct {
  HEAD const void *topology;
  const Program *program;
  const char *compile_options;
  size_t compile_options_size;
  void *client, *executable;
} Compile_Args;
typedef struct {
  HEAD const void *create_options;
  size_t num_options;
  void *kv_get_callback, *kv_get_user_arg, *kv_put_callback, *kv_put_user_arg;
  void *client;
} Client_Create_Args; // of ours it is only read: what the caller's has behind it is the plugin's business
typedef struct { HEAD void *client; void *const *addressable_devices; size_t num_addressable_devices; } Client_AddressableDevices_Args;
typedef struct { HEAD void *device; void *device_description; } Device_GetDescription_Args;
typedef struct { HEAD void *device_description; const char *device_kind; size_t device_kind_size; } DeviceDescription_Kind_Args;
typedef struct { HEAD void *device_description; size_t num_attributes; const NamedValue *attributes; } DeviceDescription_Attributes_Args;
typedef struct {
  HEAD void *device;
  int64_t bytes_in_use;
  int64_t peak_bytes_in_use; bool peak_bytes_in_use_is_set;
  int64_t num_allocs; bool num_allocs_is_set;
  int64_t largest_alloc_size; bool largest_alloc_size_is_set;
  int64_t bytes_limit; bool bytes_limit_is_set;
  int64_t bytes_reserved; bool bytes_reserved_is_set;
  int64_t peak_bytes_reserved; bool peak_bytes_reserved_is_set;
  int64_t bytes_reservable_limit; bool bytes_reservable_limit_is_set;
  int64_t largest_free_block_bytes; bool largest_free_block_bytes_is_set;
  int64_t pool_bytes; bool pool_bytes_is_set;
  int64_t peak_pool_bytes; bool peak_pool_bytes_is_set;
} Device_MemoryStats_Args;

// What Go calls. Every function that can fail returns NULL for success or a malloc'ed message, which the caller frees.
char *interposer_table(const char *path, const Table **table); // the plugin's own
char *interposer_open(const char *path, int slot, Table **patched);
void *interposer_error(const char *message, size_t size);
void *interposer_compile(int slot, Client_Compile_Args *args);
char *interposer_serialize(int slot, void *loaded, char **bytes, size_t *size);
char *interposer_load(int slot, void *client, const char *bytes, size_t size, void **loaded);
char *interposer_platform_version(int slot, void *client, char **version);
int interposer_has_natives(const Table *table);
char *interposer_native(const Table *table, const char *platform, const char *target, void *handler);
char *interposer_memory(int slot, void *loaded, Executable_GetCompiledMemoryStats_Args *out);

// The devices of a client. interposer_client is the newest client of a plugin, or NULL; the list of devices, and the description of one, live as long as it.
void *interposer_client(int slot);
char *interposer_devices(int slot, void *client, Client_AddressableDevices_Args *out);
char *interposer_description(int slot, void *device, DeviceDescription_Kind_Args *kind, DeviceDescription_Attributes_Args *attributes);
char *interposer_device_memory(int slot, void *device, Device_MemoryStats_Args *out);

// interposer_taken turns a plugin's error into its message and frees the error; no error gives NULL.
char *interposer_taken(int slot, void *error);
char *interposer_taken_by(const Table *table, void *error);

// Compiling for a device that is not here (target.c). A target's plugin has no client, and no other plugin its slot.
char *interposer_target(const char *path, const char *config, const char *shape, void **target);
const Table *interposer_target_table(void *target);
char *interposer_target_compile(void *target, const char *text, size_t size, const char *options, size_t options_size,
                                Executable_GetCompiledMemoryStats_Args *memory, char **optimized, size_t *optimized_size);
