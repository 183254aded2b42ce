package server

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"

	"astro/openai"
)

// What Policies and Learner may answer besides success; the text of an error that wraps ErrPolicyState is passed on to the client.
var (
	ErrNoPolicy    = errors.New("there is no policy of this version")
	ErrPolicyState = errors.New("this cannot be done in the present state")
)

// Policies are the versions of the weights that this server knows. Methods may be called from any goroutine.
type Policies interface {
	List(ctx context.Context) (PolicyList, error)
	Promote(ctx context.Context, version int64, actor string) error  // makes it the served one
	Rollback(ctx context.Context, version int64, actor string) error // goes back to it; what was served until then is bad
	Canary(ctx context.Context, version int64, percent int, actor string) error
	Assign() int64 // version for a request that names none; 0 = the current one. Never blocks
}

// PolicyList is the body of GET /v1/policies.
type PolicyList struct {
	Object  string       `json:"object"` // "list"
	Serving int64        `json:"serving"`
	Canary  *Canary      `json:"canary"` // null = none
	Data    []PolicyInfo `json:"data"`
}

// Canary is a version that gets a part of the requests that name none.
type Canary struct {
	Version int64 `json:"version"`
	Percent int   `json:"percent"`
}

// PolicyInfo is one version.
type PolicyInfo struct {
	ID      string      `json:"id"` // name@vN; the server fills it in where it is empty
	Version int64       `json:"version"`
	Parent  int64       `json:"parent"`  // 0 = none
	State   string      `json:"state"`   // serving, loaded, stored, removed, rejected or bad
	Waiting bool        `json:"waiting"` // a candidate that passed its checks, until somebody promotes it
	Created int64       `json:"created"`
	Eval    *PolicyEval `json:"eval"` // null = none
	Reason  string      `json:"reason"`
}

// PolicyEval is a version's small evaluation.
type PolicyEval struct {
	PassRate float64 `json:"pass_rate"`
	Error    float64 `json:"error"` // standard error of PassRate
}

// States of a PolicyInfo whose version requests may name.
const (
	PolicyServing = "serving"
	PolicyLoaded  = "loaded"
)

// versionName is how a version of the model is called in requests.
func (s *Server) versionName(version int64) string {
	return fmt.Sprintf("%s@v%d", s.ModelNames[0], version)
}

// listPolicies asks for all, and completes what the server knows better.
func (s *Server) listPolicies(ctx context.Context) (PolicyList, error) {
	list, err := s.Policies.List(ctx)
	list.Object = "list"
	if list.Data == nil {
		list.Data = []PolicyInfo{}
	}
	for i := range list.Data {
		if p := &list.Data[i]; p.ID == "" {
			p.ID = s.versionName(p.Version)
		}
	}
	return list, err
}

// policies is GET /v1/policies.
func (s *Server) policies(ctx *fasthttp.RequestCtx, id string) *openai.Error {
	if s.Policies == nil {
		return learningOff()
	}
	deadline, cancel := within(adminTimeout)
	defer cancel()
	list, err := s.listPolicies(deadline)
	if err != nil {
		return s.adminError(id, err)
	}
	writeJSON(ctx, list)
	return nil
}

// policyPromote is POST /v1/policies/{id}/promote; the other two are like it.
func (s *Server) policyPromote(ctx *fasthttp.RequestCtx, id string) *openai.Error {
	return s.changePolicy(ctx, id, "promote", func(ctx context.Context, version int64, actor string) error {
		return s.Policies.Promote(ctx, version, actor)
	})
}

func (s *Server) policyRollback(ctx *fasthttp.RequestCtx, id string) *openai.Error {
	return s.changePolicy(ctx, id, "rollback", func(ctx context.Context, version int64, actor string) error {
		return s.Policies.Rollback(ctx, version, actor)
	})
}

func (s *Server) policyCanary(ctx *fasthttp.RequestCtx, id string) *openai.Error {
	percent, err := openai.DecodeCanaryRequest(ctx.PostBody())
	if err != nil {
		return err
	}
	what := fmt.Sprintf("canary %d %%", percent)
	return s.changePolicy(ctx, id, what, func(ctx context.Context, version int64, actor string) error {
		return s.Policies.Canary(ctx, version, percent, actor)
	})
}

// changePolicy does something to the version in the path and answers with the policy as it is then.
func (s *Server) changePolicy(ctx *fasthttp.RequestCtx, id, what string, do func(ctx context.Context, version int64, actor string) error) *openai.Error {
	if s.Policies == nil {
		return learningOff()
	}
	version, ok := versionNumber(strings.TrimPrefix(pathID(ctx), "v"))
	if !ok {
		return openai.UnknownPolicy()
	}
	err := s.administer(ctx, id, fmt.Sprintf("policy:%d", version), what, nil, func(ctx context.Context, actor string) error { return do(ctx, version, actor) })
	if err != nil {
		return err
	}
	deadline, cancel := within(adminTimeout)
	defer cancel()
	list, bad := s.listPolicies(deadline)
	if bad != nil {
		return s.adminError(id, bad)
	}
	for _, p := range list.Data {
		if p.Version == version {
			writeJSON(ctx, p)
			return nil
		}
	}
	return openai.UnknownPolicy()
}

// versionNumber reads a version as it is written in one way only.
func versionNumber(text string) (int64, bool) {
	v, err := strconv.ParseInt(text, 10, 64)
	return v, err == nil && v > 0 && strconv.FormatInt(v, 10) == text
}

// loadedVersions are those that requests may name, oldest first.
func (s *Server) loadedVersions(ctx context.Context) ([]PolicyInfo, error) {
	current := []PolicyInfo{{Version: s.Engine.Version(), State: PolicyServing, Created: s.created}}
	if s.Policies == nil {
		return current, nil
	}
	list, err := s.listPolicies(ctx)
	if err != nil {
		return current, err
	}
	var loaded []PolicyInfo
	for _, p := range list.Data {
		if p.State == PolicyServing || p.State == PolicyLoaded {
			loaded = append(loaded, p)
		}
	}
	return loaded, nil
}

// pinned takes the version out of a model's name: name@v12. 0 = it has none.
func (s *Server) pinned(model string) (name string, version int64) {
	at := strings.LastIndex(model, "@v")
	if at < 0 || s.isServed(model) {
		return model, 0
	}
	version, ok := versionNumber(model[at+2:])
	if !ok {
		return model, 0
	}
	return model[:at], version
}

// choosePolicy decides on which version a call runs: the one that it names, or the one that it is assigned.
func (c *call) choosePolicy() {
	_, version := c.server.pinned(c.options.Model)
	c.pinned = version != 0
	if !c.pinned && c.server.Policies != nil {
		version = c.server.Policies.Assign()
	}
	c.runOn(version)
}

// runOn sets the version, and has the answer say so; 0 = the current one.
func (c *call) runOn(version int64) {
	c.version, c.head.fingerprint = version, c.server.fingerprint()
	if version != 0 {
		c.head.fingerprint = c.server.fingerprintOf(version)
	}
}
