package device

// #cgo LDFLAGS: -ldl
// #define _GNU_SOURCE
// #include <dlfcn.h>
// #include <link.h>
// #include <stdlib.h>
//
// // load_library gives the library's path, which lives as long as the process, or NULL. Its symbols stay its own, as the plugin's
// // makers do it too: the plugin finds libraries by name, and none gets in another's way.
// static const char *load_library(const char *path) {
//   struct link_map *map;
//   void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
//   return library && !dlinfo(library, RTLD_DI_LINKMAP, &map) ? map->l_name : NULL;
// }
import "C"

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unsafe"
)

// loadedLibrary is a library of NVIDIA that is in the process.
type loadedLibrary struct {
	name string // by which the plugin asks for it
	path string
}

// cudaLibraries are what the plugin loads by name at run time, in the order in which they need each other.
var cudaLibraries = []struct {
	name  string
	wheel string // that has it
	must  bool   // nothing compiles without it
}{
	{"libcudart.so.13", "nvidia-cuda-runtime", true},
	{"libnvrtc.so.13", "nvidia-cuda-nvrtc", false},
	{"libnvJitLink.so.13", "nvidia-nvjitlink", false},
	{"libcublasLt.so.13", "nvidia-cublas", true},
	{"libcublas.so.13", "nvidia-cublas", true},
	{"libnccl.so.2", "nvidia-nccl-cu13", false},
	{"libcupti.so.13", "nvidia-cuda-cupti", false},
	{"libcufft.so.12", "nvidia-cufft", false},
	{"libcudnn.so.9", "nvidia-cudnn-cu13", true},
}

// loadLibraries puts NVIDIA's libraries into the process before the plugin asks for them by name: from the folders, or, where those
// lack one, from where the system's loader looks. The plugin's own search path covers the folders beside it only, and some of the
// libraries do not find each other.
func (c *cudaParts) loadLibraries(folders []string) error {
	var absent, wheels []string
	for _, l := range cudaLibraries {
		path, err := loadLibrary(l.name, folders)
		switch {
		case err == nil:
			c.loaded = append(c.loaded, loadedLibrary{l.name, path})
		case l.must:
			absent, wheels = append(absent, err.Error()), append(wheels, l.wheel)
		default:
			c.missing = append(c.missing, l.name)
		}
	}
	if len(absent) > 0 {
		return fmt.Errorf("CUDA's libraries: %s; looked in %s and where the system's loader looks: install the wheels %s beside the plugin (`%s` has them)",
			strings.Join(absent, "; "), orNowhere(folders), strings.Join(wheels, ", "), pluginFiles[XLACUDA].hint)
	}
	return nil
}

// loadLibrary loads one library for the rest of the process and says which file it is.
func loadLibrary(name string, folders []string) (path string, err error) {
	path = name
	for _, d := range folders {
		if file := filepath.Join(d, name); path == name && isFile(file) {
			path = file
		}
	}
	c := C.CString(path)
	defer C.free(unsafe.Pointer(c))
	found := C.load_library(c)
	if found == nil {
		return "", fmt.Errorf("%s", C.GoString(C.dlerror()))
	}
	return C.GoString(found), nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
