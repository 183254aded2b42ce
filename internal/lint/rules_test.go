package lint

import (
	"strings"
	"testing"
)

// example is a small repository and what a rule must say about it.
type example struct {
	rule, path, text string
	want             string // part of the one finding; "" = none
}

// The sources are spelled so that the text rules do not find them in this file.
var examples = []example{
	// Layers: the table, its few exceptions, and the order inside model and training.
	{"layers", "kernels/a.go", `package kernels; import _ "astro/internal/device"`, ""},
	{"layers", "kernels/a.go", `package kernels; import _ "astro/model"`, "imports point down"},
	{"layers", "model/a.go", `package model; import _ "astro/sampler"`, "do not know each other"},
	{"layers", "sampler/a.go", `package sampler; import _ "astro/model"`, "do not know each other"},
	{"layers", "sampler/grammar/a.go", `package grammar; import _ "astro/model/tokenizer"`, ""},
	{"layers", "sampler/grammar/a.go", `package grammar; import _ "astro/model"`, "do not know each other"},
	{"layers", "server/a.go", `package server; import _ "astro/training"`, "do not know each other"},
	{"layers", "server/a_test.go", `package server; import _ "astro/training"`, "do not know each other"},
	{"layers", "server/a.go", `package server; import _ "astro/training/reward"`, ""},
	{"layers", "server/a.go", `package server; import _ "astro/engine/kvcache"`, ""},
	{"layers", "training/reward/a.go", `package reward; import _ "astro/engine"`, "nothing above layer 1"},
	{"layers", "training/reward/a.go", `package reward; import _ "astro/internal/invariant"`, ""},
	{"layers", "training/sft/a.go", `package sft; import _ "astro/training/trainer"`, ""},
	{"layers", "training/sft/a.go", `package sft; import _ "astro/training/grpo"`, "inside training"},
	{"layers", "training/trainer/a.go", `package trainer; import _ "astro/training"`, "inside training"},
	{"layers", "training/trainer/a.go", `package trainer; import _ "astro/training/search"`, "inside training"},
	{"layers", "training/recipe/a.go", `package recipe; import _ "astro/training"`, ""},
	{"layers", "training/other/a.go", `package other`, "no place"},
	{"layers", "model/llama/a.go", `package llama; import _ "astro/model"`, ""},
	{"layers", "model/a.go", `package model; import _ "astro/model/llama"`, "inside model"},
	{"layers", "model/tokenizer/a.go", `package tokenizer; import _ "astro/model/chat"`, ""},
	{"layers", "model/chat/a.go", `package chat; import _ "astro/model/tokenizer"`, "inside model"},
	{"layers", "model/a_test.go", `package model; import _ "astro/model/modeltest"`, ""},
	{"layers", "model/a.go", `package model; import _ "astro/model/modeltest"`, "for tests only"},
	{"layers", "server/a_test.go", `package server; import _ "astro/engine/enginetest"`, ""},
	{"layers", "server/a.go", `package server; import _ "astro/engine/enginetest"`, "for tests only"},
	{"layers", "model/modeltest/a.go", `package modeltest; import _ "astro/model/tokenizer"`, ""},
	{"layers", "model/modeltest/a.go", `package modeltest; import _ "astro/engine"`, "imports point down"},
	{"layers", "engine/a.go", `package engine; import _ "astro/cmd/astro"`, "imports point down"},
	{"layers", "engine/a.go", `package engine; import _ "astro/elsewhere"`, "no place"},
	{"layers", "engine/a.go", `package engine; import _ "astro/internal/lint"`, "outside the layers"},
	{"layers", "elsewhere/a.go", `package elsewhere`, "no place"},
	{"layers", "internal/device/a.go", `package device; import _ "astro/internal/telemetry"`, "do not know each other"},

	{"layers", "internal/device/a.go", `package device; import _ "astro/internal/invariant"`, ""},

	{"imports", "engine/a.go", `package engine; import "C"`, "cgo"},
	{"imports", "kernels/a.go", `package kernels; import "C"`, ""},
	{"imports", "engine/a.go", `package engine; import _ "flag"`, "only in the command"},
	{"imports", "engine/a_test.go", `package engine; import _ "flag"`, ""},
	{"imports", "engine/a.go", `package engine; import _ "github.com/valyala/fasthttp"`, "server's"},
	{"imports", "server/web/a.go", `package web; import _ "github.com/valyala/fasthttp/fasthttputil"`, ""},
	{"imports", "openai/a.go", `package openai; import _ "golang.org/x/exp/maps"`, "standard library"},
	{"imports", "openai/a.go", `package openai; import _ "astro/internal/invariant"`, "standard library"},
	{"imports", "openai/a.go", `package openai; import _ "encoding/json"`, ""},
	{"imports", "server/a.go", `package server; import _ "github.com/gomlx/gomlx/core/graph"`, "graphs stay"},
	{"imports", "benchmarks/load/a.go", `package load; import _ "astro/engine"`, "HTTP only"},
	{"imports", "benchmarks/step/a.go", `package step; import _ "astro/engine"`, ""},
	{"imports", "benchmarks/quality/a.go", `package quality; import _ "astro/engine"`, ""},

	{"core", "engine/kvcache/a.go", `package kvcache; import _ "time"`, "decides"},
	{"core", "engine/scheduler.go", "package engine\nfunc f() { go f() }", "no goroutine"},
	{"core", "engine/scheduler_test.go", `package engine; import _ "time"`, ""},
	{"core", "engine/engine.go", `package engine; import _ "time"`, ""},

	{"names", "server/utils/a.go", `package utils`, "says nothing"},
	{"names", "server/web/a.go", `package web`, ""},

	{"glossary", "training/a.go", "package training\ntype trajectoryStore struct{}", "say Rollout"},
	{"glossary", "openai/a.go", "package openai\ntype Delta struct{}", ""},
	{"glossary", "engine/a.go", "package engine\ntype Delta struct{}", "say Event"},
	{"glossary", "engine/a.go", "package engine\ntype Ticket struct{}", ""},

	{"functions", "engine/a.go", "package engine\nfunc (s *S[T]) f() {" + strings.Repeat("\n", maxFunctionLines) + "}", "engine.S.f has 71 lines"},
	{"functions", "engine/a.go", "package engine\nfunc f() {" + strings.Repeat("\n", maxFunctionLines-1) + "}", ""},
	{"files", "engine/a_test.go", "package engine" + strings.Repeat("\n", maxFileLines+1), "801 lines"},
	{"files", "engine/a_test.go", "package engine" + strings.Repeat("\n", maxFileLines), ""},

	{"docs", "engine/a.go", "package engine\nfunc F() {}", "exported F has no doc"},
	{"docs", "engine/a.go", "package engine\n// F is.\nfunc F() {}", ""},
	{"docs", "engine/a.go", "package engine\ntype t int\nfunc (t) F() {}", ""},
	{"docs", "engine/a.go", "package engine\n// T is.\ntype T int\nfunc (*T) F() {}", "exported T.F has no doc"},
	{"docs", "engine/a.go", "package engine\n// Both are.\ntype (\n\tT int\n)", "exported T has no doc"},
	{"docs", "engine/a.go", "package engine\nconst (\n\tA = 1 // what it is\n)", ""},
	{"docs", "engine/a.go", "package engine\nvar a, B int", "exported B has no doc"},
	{"docs", "engine/a_test.go", "package engine\nfunc TestF() {}", ""},
	{"packages", "engine/a.go", "package engine", "no file of the package"},
	{"packages", "engine/a.go", "// Some words.\npackage engine", "no file of the package"},
	{"packages", "engine/a.go", "// Package engine is.\npackage engine", ""},

	{"panics", "engine/a.go", `package engine; func f() { panic("no pages") }`, "BUG: got X"},
	{"panics", "engine/a.go", `package engine; import "fmt"; func f() { panic(fmt.Sprintf("got %d", 1)) }`, "BUG: got X"},
	{"panics", "engine/a.go", `package engine; func f(s string) { panic("got " + s + "!") }`, "BUG: got X"},
	{"panics", "engine/a.go", `package engine; func f(err error) { panic("BUG: got " + err.Error()); panic(err) }`, ""},
	{"panics", "kernels/a.go", `package kernels; import _ "github.com/gomlx/gomlx/core/graph"; func f() { panic("rank 2") }`, ""},
	{"data", "server/a.go", `package server; import _ "os/exec"`, "starts programs"},
	{"data", "server/a_test.go", `package server; import _ "os/exec"`, ""},
	{"data", "internal/device/cuda_find.go", `package main; import _ "os/exec"`, ""},
	{"data", "openai/a.go", `package openai; import _ "encoding/gob"`, "gob makes types"},
	{"data", "model/chat/a.go", `package chat; import _ "text/template"`, "one template language"},
	{"data", "training/tree/a.go", `package tree; import _ "plugin"`, "no code is loaded"},
	{"clock", "engine/a.go", "package engine\nimport \"time\"\nvar x = time.Now()", "a time is an argument"},
	{"clock", "engine/a.go", "package engine\nimport t \"time\"\nvar x = t.Since(y)", "a time is an argument"},
	{"clock", "engine/a.go", "package engine\nimport \"time\"\nvar x = time.Second", ""},
	{"clock", "engine/engine.go", "package engine\nimport \"time\"\nvar x = time.Now", ""},
	{"clock", "server/web/a.go", "package web\nimport \"time\"\nvar x = time.Now()", ""},
	{"chance", "engine/a.go", "package engine\nimport \"math/rand/v2\"\nvar x = rand.IntN(3)", "with a seed"},
	{"chance", "engine/a.go", "package engine\nimport \"math/rand/v2\"\nvar x = rand.New(rand.NewPCG(1, 2)).IntN(3)", ""},
	{"chance", "model/hub/a.go", "package hub\nimport \"math/rand/v2\"\nvar x = rand.Float64()", ""},
	{"chance", "engine/a_test.go", `package engine; import _ "math/rand"`, "v2 instead"},
	{"chance", "training/a.go", `package training; import _ "crypto/rand"`, "draw secrets"},
	{"chance", "server/auth/a.go", `package auth; import _ "crypto/rand"`, ""},
	{"skips", "engine/a_test.go", `package engine; func f(t T) { t.Skip() }`, "says what is missing"},
	{"skips", "engine/a_test.go", `package engine; func f(t T) { t.SkipNow() }`, "says what is missing"},
	{"skips", "engine/a_test.go", `package engine; func f(t T) { t.Skip("no python3") }`, ""},

	{"marks", "Makefile", "all: # TO" + "DO later\n", "unfinished work"},
	{"marks", "engine/a.go", "package engine // FIX" + "ME\n", "unfinished work"},
	{"places", "docs/a.md", "see /wo" + "rk/main/README.md\n", "no path of one machine"},
	{"places", "docs/a.md", "write to /tmp/astro or ./work/x, listen on 127.0.0.1:8080\n", ""},
	{"places", "Dockerfile", "FROM gh" + "cr.io/someone/image\n", "no registry's host"},
	{"places", "scripts/a.sh", "pip download https://files.pythonhosted.o" + "rg/x\n", "no registry's host"},
}

func TestRulesFindWhatTheyShould(t *testing.T) {
	rules, bad := map[string]Rule{}, map[string]bool{}
	for _, r := range Rules() {
		rules[r.Name] = r
	}
	for _, e := range examples {
		tree, err := Parse(map[string]string{e.path: e.text})
		if err != nil {
			t.Fatal(err)
		}
		bad[e.rule] = bad[e.rule] || e.want != ""
		found := rules[e.rule].Check(tree)
		switch {
		case e.want == "" && len(found) > 0:
			t.Errorf("%s on %s %q: found %v; want nothing", e.rule, e.path, e.text, found)
		case e.want != "" && (len(found) != 1 || !strings.Contains(found[0].String(), e.want)):
			t.Errorf("%s on %s %q: found %v; want one finding with %q", e.rule, e.path, e.text, found, e.want)
		}
	}
	for name := range rules {
		if !bad[name] {
			t.Errorf("rule %s has no bad example: nobody knows that it can fail", name)
		}
	}
}

func TestAllowListOfLongFunctions(t *testing.T) {
	long := "package engine\nfunc f() {" + strings.Repeat("\n", maxFunctionLines) + "}"
	tree, err := Parse(map[string]string{"engine/a.go": long})
	if err != nil {
		t.Fatal(err)
	}
	if found := functionFindings(tree, map[string]string{"engine.f": "a flat switch"}); len(found) > 0 {
		t.Errorf("found %v; want nothing: the function is on the list", found)
	}
	found := functionFindings(tree, map[string]string{"engine.f": "a flat switch", "engine.g": "gone"})
	if len(found) != 1 || !strings.Contains(found[0].What, "engine.g") {
		t.Errorf("found %v; want the stale entry engine.g", found)
	}
	if names := LongFunctions(tree); len(names) != 1 || !strings.Contains(names[0], "71 lines: engine.f") {
		t.Errorf("LongFunctions = %v; want engine.f with 71 lines", names)
	}
}

// TestTablesAgree: every package named in an exception or an order has a place in the layer table.
func TestTablesAgree(t *testing.T) {
	var names []string
	for edge := range sideways {
		names = append(names, edge[0], edge[1])
	}
	for _, rows := range inside {
		for _, r := range rows {
			names = append(names, r...)
		}
	}
	for name := range low {
		names = append(names, name)
	}
	for _, r := range reserved {
		names = append(names, r.in...)
	}
	for _, name := range names {
		if !placed(name) {
			t.Errorf("%s is named in a rule of internal/lint but has no place in the layer table", name)
		}
	}
}
