// Package hub finds models by name on a Hugging Face hub and keeps them in the cache folder that other programs of that world
// share. A name is pinned to a commit, every file is checked against the hub's own checksum before it gets its name, and a download
// that was cut off goes on where it was. Why only parts of go-huggingface are used: docs/decisions/0008.
package hub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"reflect"
	"strings"
	"time"

	hf "github.com/gomlx/go-huggingface/hub"
)

// DefaultMaxDownloadBytes holds a model of 70B parameters in bf16 with room to spare.
const DefaultMaxDownloadBytes = 256 << 30

// Options say where the hub and the cache are, and what a download may cost. The zero value is the public hub (HF_ENDPOINT
// names another) without a token, and the usual cache folder; FromEnvironment makes what a user expects.
type Options struct {
	Endpoint         string // URL of the hub; "" = HF_ENDPOINT, or the hub of go-huggingface
	Token            Token  // sent to the endpoint's own host only
	CacheDir         string // "" = the folder that other programs share
	Offline          bool   // use only what is in the cache
	MaxDownloadBytes int64  // that one Resolve may download; 0 = DefaultMaxDownloadBytes
	Retry            Retry  // zero = DefaultRetry

	Check    func(dir string) error                     // sees the folder when all but the weights is there; its error ends the download
	Progress func(doneBytes, totalBytes int64)          // one call at a time, by any goroutine; the total grows once the index is read
	Notify   func(text string)                          // one sentence for a person; by any goroutine
	free     func(dir string) (int64, error)            // bytes that may be written; nil = ask the file system
	stall    time.Duration                              // longest silence of a connection; 0 = a minute
	sleep    func(context.Context, time.Duration) error // nil = by the clock
}

// Token is a hub's access token. It cannot be printed by accident.
type Token struct{ secret string }

// NewToken refuses what cannot stand in a header; the error does not repeat it.
func NewToken(text string) (Token, error) {
	text = strings.TrimSpace(text)
	for _, r := range text {
		if r <= ' ' || r > '~' {
			return Token{}, errors.New("the hub's token holds spaces or characters that no token has: check HF_TOKEN or the file of HF_TOKEN_PATH")
		}
	}
	return Token{text}, nil
}

// String hides the token.
func (t Token) String() string {
	if t.secret == "" {
		return ""
	}
	return "(hidden)"
}

// GoString hides the token.
func (t Token) GoString() string { return "hub.Token{" + t.String() + "}" }

// Resolve gives the folder of a model and the commit that it is at. The name is OWNER/NAME or OWNER/NAME@REVISION with a branch, tag
// or commit. A commit that is whole in the cache is used without a question to the hub; so is the last known commit of a branch
// when the hub does not answer, or Offline is set. The folder must not be written to.
func Resolve(ctx context.Context, name string, o Options) (dir, revision string, err error) {
	n, err := ParseName(name)
	if err != nil {
		return "", "", err
	}
	r, err := newResolver(n, o)
	if err != nil {
		return "", "", fmt.Errorf("%s: %w", n, err)
	}
	defer r.cache.close()
	if revision, err = r.resolve(ctx); err != nil {
		return "", "", fmt.Errorf("%s: %w", n, err)
	}
	return r.cache.snapshotDir(revision), revision, nil
}

// resolver is one call of Resolve.
type resolver struct {
	Options
	name         Name
	client       *client
	cache        *cache
	plannedBytes int64 // of the downloads so far
	meter        meter
}

func newResolver(n Name, o Options) (*resolver, error) {
	o.complete()
	client, err := newClient(o)
	if err != nil {
		return nil, err
	}
	cache, err := openCache(o.CacheDir, n, !o.Offline)
	if o.Offline && errors.Is(err, fs.ErrNotExist) {
		return nil, notWhole(o.CacheDir, err)
	}
	if err != nil {
		return nil, err
	}
	return &resolver{Options: o, name: n, client: client, cache: cache, meter: meter{tell: o.Progress}}, nil
}

// complete fills in what was left out.
func (o *Options) complete() {
	if o.Endpoint == "" {
		o.Endpoint = defaultEndpoint()
	}
	if o.CacheDir == "" {
		o.CacheDir = hf.DefaultCacheDir()
	}
	if o.MaxDownloadBytes == 0 {
		o.MaxDownloadBytes = DefaultMaxDownloadBytes
	}
	if o.Retry == (Retry{}) {
		o.Retry = DefaultRetry()
	}
	if o.Progress == nil {
		o.Progress = func(int64, int64) {}
	}
	if o.Notify == nil {
		o.Notify = func(string) {}
	}
	if o.free == nil {
		o.free = freeBytes
	}
	if o.stall == 0 {
		o.stall = time.Minute
	}
	if o.sleep == nil {
		o.sleep = sleep
	}
}

// defaultEndpoint is the hub that go-huggingface talks to: HF_ENDPOINT or its own default, which it keeps in a private field and
// nowhere else. A test fails if a new version moves it; then the answer here is "" and newClient says what to do.
func defaultEndpoint() string {
	field := reflect.ValueOf(hf.New("")).Elem().FieldByName("hfEndpoint")
	if !field.IsValid() || field.Kind() != reflect.String {
		return ""
	}
	return field.String()
}

// parseEndpoint checks the hub's address. A token may not travel in the clear, except to this machine itself.
func parseEndpoint(text string, token Token) (*url.URL, error) {
	if text == "" {
		return nil, errors.New("the hub's address is not known: set HF_ENDPOINT")
	}
	u, err := url.Parse(strings.TrimSuffix(text, "/"))
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("HF_ENDPOINT is not the address of a hub: want https://HOST")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("HF_ENDPOINT holds more than https://HOST/PATH: a token belongs into HF_TOKEN")
	case u.Scheme == "http" && token.secret != "" && !loopback(u.Hostname()):
		return nil, fmt.Errorf("HF_ENDPOINT is http, where others can read the token on its way to %s: use https, or unset HF_TOKEN and HF_TOKEN_PATH", u.Host)
	}
	return u, nil
}

// resolve gives the commit, whole in the cache.
func (r *resolver) resolve(ctx context.Context) (string, error) {
	cached, absent := r.cached()
	if absent == nil && (r.Offline || r.name.Pinned()) {
		return cached, nil
	}
	if r.Offline {
		return "", notWhole(r.CacheDir, absent)
	}
	l, err := r.client.listing(ctx, r.name)
	if err != nil {
		if absent == nil && transient(err) {
			r.Notify(fmt.Sprintf("the hub does not answer (%v): using commit %s of %s from the cache", err, cached, r.name))
			return cached, nil
		}
		return "", err
	}
	return l.commit, r.download(ctx, l)
}

func notWhole(dir string, err error) error {
	return fmt.Errorf("it is not whole in the cache %s (%w): give the same command once without --offline and HF_HUB_OFFLINE", dir, err)
}

// cached is the commit of the name if the cache holds it whole, or what is missing.
func (r *resolver) cached() (string, error) {
	commit := r.name.Revision
	if !r.name.Pinned() {
		var err error
		if commit, err = r.cache.ref(r.name.Revision); err != nil {
			return "", err
		}
	}
	l, err := r.cache.listing(commit)
	if err != nil {
		return "", err
	}
	files, err := l.texts()
	if err != nil {
		return "", err
	}
	weights, err := l.weights(func(index file) ([]byte, error) { return r.cache.readLinked(commit, index) })
	if err != nil {
		return "", err
	}
	for _, f := range append(files, weights...) {
		if err := r.cache.linked(commit, f); err != nil {
			return "", err
		}
	}
	return commit, nil
}
