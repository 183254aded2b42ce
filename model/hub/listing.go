package hub

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"regexp"
	"slices"
	"strings"

	hf "github.com/gomlx/go-huggingface/hub"
)

// The names of weights, and limits of what a hub may list.
const (
	singleName   = "model.safetensors"
	indexName    = "model.safetensors.index.json"
	maxShards    = 4096
	maxTextBytes = 256 << 20 // of a file that is not weights
)

// What a Llama model needs, besides weights. All lie in the top folder; nothing here is code or a pickle.
var (
	textForm  = regexp.MustCompile(`^(config|generation_config|special_tokens_map|tokenizer[A-Za-z0-9_.-]*)\.json$|^chat_template\.(jinja|json)$`)
	shardForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*\.safetensors$`)
)

// file is one file of a model.
type file struct {
	name string
	size int64  // bytes; -1 = not known, in a cache that another program made
	hash string // 64 digits: SHA-256; 40 digits: git's SHA-1 of a blob. The name of the blob in the cache
}

// newHash starts the checksum that f.hash is of.
func (f file) newHash() hash.Hash {
	if len(f.hash) == 2*sha256.Size {
		return sha256.New()
	}
	h := sha1.New()
	fmt.Fprintf(h, "blob %d\x00", f.size)
	return h
}

// listing is what a commit holds, of interest to us.
type listing struct {
	commit string
	files  map[string]file
	raw    []byte // the hub's answer; nil if another program filled the cache
}

// parseListing reads the hub's answer about a revision. Only the files that a model needs are looked at; their checksums become
// names of files here, so their form is checked.
func parseListing(raw []byte) (*listing, error) {
	var answer struct {
		SHA      string        `json:"sha"`
		Siblings []hf.FileInfo `json:"siblings"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return nil, fmt.Errorf("the hub's answer about the model is not understood: %w", err)
	}
	if !commitForm.MatchString(answer.SHA) {
		return nil, fmt.Errorf("the hub says that the commit is %q: want 40 hexadecimal digits", clip(answer.SHA))
	}
	l := &listing{commit: answer.SHA, files: map[string]file{}, raw: raw}
	for _, s := range answer.Siblings {
		if !wanted(s.Name) {
			continue
		}
		f, err := newFile(s)
		if err != nil {
			return nil, err
		}
		if _, twice := l.files[f.name]; twice {
			return nil, fmt.Errorf("the hub lists %s twice", f.name)
		}
		l.files[f.name] = f
	}
	return l, nil
}

func wanted(name string) bool {
	return textForm.MatchString(name) || shardForm.MatchString(name) || name == indexName
}

func newFile(s hf.FileInfo) (file, error) {
	f := file{s.Name, s.Size, s.BlobID}
	if s.LFS != nil {
		f.size, f.hash = s.LFS.Size, s.LFS.SHA256
	}
	switch {
	case !commitForm.MatchString(f.hash) && !sha256Form.MatchString(f.hash) || s.LFS != nil && len(f.hash) != 2*sha256.Size:
		return f, fmt.Errorf("the hub lists %s without a checksum: nothing is downloaded that cannot be checked", f.name)
	case f.size < 0 || !strings.HasSuffix(f.name, ".safetensors") && f.size > maxTextBytes:
		return f, fmt.Errorf("the hub says that %s has %d bytes: want 0 to %d", f.name, f.size, int64(maxTextBytes))
	}
	return f, nil
}

// texts are the files besides weights, the index of shards among them if it is needed.
func (l *listing) texts() ([]file, error) {
	var files []file
	for name, f := range l.files {
		if textForm.MatchString(name) {
			files = append(files, f)
		}
	}
	for _, name := range []string{"config.json", "tokenizer.json"} {
		if _, ok := l.files[name]; !ok {
			return nil, fmt.Errorf("it has no %s, which a model here needs", name)
		}
	}
	if _, single := l.files[singleName]; single {
		return files, nil
	}
	index, ok := l.files[indexName]
	if !ok {
		return nil, fmt.Errorf("it has neither %s nor %s: other forms of weights are not read", singleName, indexName)
	}
	return append(files, index), nil
}

// weights are the one file, or the shards that the index names. read gives the index's content.
func (l *listing) weights(read func(index file) ([]byte, error)) ([]file, error) {
	if f, ok := l.files[singleName]; ok {
		return []file{f}, nil
	}
	text, err := read(l.files[indexName])
	if err != nil {
		return nil, err
	}
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(text, &index); err != nil {
		return nil, fmt.Errorf("%s is not understood: %w", indexName, err)
	}
	shards := map[string]bool{}
	for _, name := range index.WeightMap {
		shards[name] = true
	}
	if len(shards) == 0 || len(shards) > maxShards {
		return nil, fmt.Errorf("%s names %d shards: want 1 to %d", indexName, len(shards), maxShards)
	}
	return l.shards(shards)
}

func (l *listing) shards(names map[string]bool) ([]file, error) {
	var files []file
	for name := range names {
		if !shardForm.MatchString(name) {
			return nil, fmt.Errorf("%s names a shard %q, which is no plain file name", indexName, clip(name))
		}
		f, ok := l.files[name]
		if !ok {
			return nil, fmt.Errorf("%s names a shard %s, which is not there", indexName, name)
		}
		files = append(files, f)
	}
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	return files, nil
}

// errAbsent says that a file is not in the cache.
var errAbsent = errors.New("is not there")
