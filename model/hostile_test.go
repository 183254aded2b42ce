package model_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"astro/model"
	"astro/model/modeltest"
	"astro/model/safetensors"

	"github.com/gomlx/compute/dtypes"
)

// hostileFolder is a way to spoil a good model folder, and a word of the error that must come.
type hostileFolder struct {
	name, want string
	spoil      func(dir string) error
}

// put replaces a file.
func put(name, text string) func(string) error {
	return func(dir string) error {
		return errors.Join(remove(name)(dir), os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
}

func remove(name string) func(string) error {
	return func(dir string) error {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
		return nil
	}
}

// link puts a symbolic link in the place of a file.
func link(name, to string) func(string) error {
	return func(dir string) error {
		return errors.Join(remove(name)(dir), os.Symlink(to, filepath.Join(dir, name)))
	}
}

// setting changes one number of config.json, and keeps the weights that do not fit it.
func setting(key string, value any) func(string) error {
	return func(dir string) error {
		path := filepath.Join(dir, "config.json")
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var c map[string]any
		if err := json.Unmarshal(text, &c); err != nil {
			return err
		}
		c[key] = value
		text, err = json.Marshal(c)
		return errors.Join(err, os.WriteFile(path, text, 0o600))
	}
}

// claims are numbers that config.json may say and that nobody can have.
func claims() (all []hostileFolder) {
	for _, key := range []string{"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim"} {
		for _, value := range []any{0, -1, 1 << 40, json.Number("9223372036854775807"), json.Number("1e30"), 2.5, "8", []int{1}} {
			all = append(all, hostileFolder{fmt.Sprintf("%s is %v", key, value), "config.json", setting(key, value)})
		}
	}
	// These are within the caps, one by one; the weights are not there.
	for key, value := range map[string]int{"vocab_size": 1 << 20, "num_hidden_layers": 500, "intermediate_size": 1 << 16} {
		all = append(all, hostileFolder{fmt.Sprintf("%s is %d", key, value), "model.", setting(key, value)})
	}
	return all
}

// files are folders with something else in the place of a file.
func files() []hostileFolder {
	pipe := func(name string) func(string) error {
		return func(dir string) error {
			return errors.Join(remove(name)(dir), syscall.Mkfifo(filepath.Join(dir, name), 0o600))
		}
	}
	folder := func(name string) func(string) error {
		return func(dir string) error {
			return errors.Join(remove(name)(dir), os.Mkdir(filepath.Join(dir, name), 0o700))
		}
	}
	const config, weights = "config.json", safetensors.SingleName
	return []hostileFolder{
		{"no config", "has no config.json", remove(config)}, {"config is a folder", "not a regular file", folder(config)}, {"config is a pipe", "not a regular file", pipe(config)},
		{"config is a device", "not a regular file", link(config, "/dev/zero")}, {"config is a loop", "symbolic links", link(config, config)}, {"config leads nowhere", "config.json", link(config, "nowhere")},
		{"config is huge", "more than 1048576 bytes", put(config, strings.Repeat(" ", 1<<20+1))}, {"config is empty", "EOF", put(config, "")}, {"config is a list", "config.json", put(config, "[]")},
		{"config is deep", "100 levels", put(config, strings.Repeat(`{"a":`, 100_000))}, {"config is null", "config.json", put(config, "null")}, {"config is not UTF-8", "config.json", put(config, "\xff\xfe{}")},
		{"config says a name twice", `"hidden_size" is there twice`, put(config, `{"architectures":["LlamaForCausalLM"],"hidden_size":32,"hidden_size":33}`)},
		{"config goes on", "more behind", put(config, `{"model_type":"llama"}{}`)},
		{"generation config is a pipe", "not a regular file", pipe("generation_config.json")}, {"generation config says a name twice", "twice", put("generation_config.json", `{"eos_token_id":1,"eos_token_id":2}`)},
		{"no weights", "has neither", remove(weights)}, {"weights are a folder", "not a regular file", folder(weights)}, {"weights are a pipe", "not a regular file", pipe(weights)},
		{"weights are a device", "not a regular file", link(weights, "/dev/zero")}, {"weights are the config", "header length", link(weights, config)}, {"weights are empty", "has 0 bytes", put(weights, "")},
		{"weights claim a long header", "above the limit", put(weights, "\xff\xff\xff\xff\xff\xff\xff\x7f{}")}, {"weights claim 16 MiB of header", "cut short", put(weights, "\x00\x00\x00\x01\x00\x00\x00\x00{}")},
		{"weights claim an exbibyte", "exceed", put(weights, header(`{"a":{"dtype":"F32","shape":[1152921504606846976],"data_offsets":[0,0]}}`))},
		{"weights claim what wraps to nothing", "exceed", put(weights, header(`{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}`))},
		{"weights claim bytes behind the end", "cut short", put(weights, header(`{"a":{"dtype":"U8","shape":[1000000000000],"data_offsets":[0,1000000000000]}}`))},
		{"weights overlap", "starts at byte", put(weights, header(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}`)+"123456")},
		{"weights say a field twice", `"shape" is there twice`, put(weights, header(`{"a":{"dtype":"U8","shape":[4],"shape":[2],"data_offsets":[0,2]}}`)+"12")},
		{"weights say a field in another case", `unknown field "SHAPE"`, put(weights, header(`{"a":{"dtype":"U8","SHAPE":[4],"data_offsets":[0,2]}}`)+"12")},
		{"weights say a name twice", `names "a" twice`, put(weights, header(`{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}`))},
		{"other tensors", "is missing", put(weights, header(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`)+"1234")},
	}
}

// header is a safetensors file up to its data.
func header(text string) string {
	n := len(text)
	return string([]byte{byte(n), byte(n >> 8), byte(n >> 16), 0, 0, 0, 0, 0}) + text
}

// indexes are folders whose index of shards lies.
func indexes() (all []hostileFolder) {
	index := func(text string) func(string) error {
		return func(dir string) error {
			return errors.Join(remove(safetensors.SingleName)(dir), put(safetensors.IndexName, text)(dir))
		}
	}
	for name, c := range map[string][2]string{
		"leads out": {`{"weight_map":{"a":"../x.safetensors"}}`, "not a plain"}, "is absolute": {`{"weight_map":{"a":"/x.safetensors"}}`, "not a plain"}, "has a shard that is not there": {`{"weight_map":{"a":"x.safetensors"}}`, "no such file"},
		"is empty": {`{}`, "0 tensors"}, "is a list": {`[]`, "index.json"}, "says a tensor twice": {`{"weight_map":{"a":"x.safetensors","a":"y.safetensors"}}`, "twice"}, "is deep": {strings.Repeat("[", 1_000_000), "100 levels"},
	} {
		all = append(all, hostileFolder{"the index " + name, c[1], index(c[0])})
	}
	return all
}

// R18: whatever a model's folder holds, loading it ends with an error that names the place, at once, without memory in proportion to
// what the folder claims.
func TestSec_R18HostileFolders(t *testing.T) {
	b := backend(t)
	all := append(append(claims(), files()...), indexes()...)
	if len(all) < 60 {
		t.Errorf("only %d folders", len(all))
	}
	for _, c := range all {
		dir := t.TempDir()
		if err := errors.Join(os.CopyFS(dir, os.DirFS(modeltest.Named(t, "mha").Dir)), c.spoil(dir)); err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		w, err := model.Load(dir, b, dtypes.Float32, nil)
		runtime.ReadMemStats(&after)
		if err == nil {
			w.Free()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "BUG") {
			t.Errorf("%s: got %v; want an error with %q", c.name, err, c.want)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20 {
			t.Errorf("%s: %d bytes were allocated to find it out", c.name, grown)
		}
	}
	t.Logf("%d folders", len(all))
}
