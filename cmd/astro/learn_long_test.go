//go:build long

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"astro/training/countdown"
	"astro/training/random"
	"astro/training/reward"
)

// Settings of the long test of learning while serving, from the environment.
var (
	learnMinutes = number("LEARN_MINUTES", 10)
	learnStreams = int(number("LEARN_STREAMS", 2))
	learnExam    = int(number("LEARN_EXAM", 250))
)

func number(name string, otherwise float64) float64 {
	if v, err := strconv.ParseFloat(os.Getenv(name), 64); err == nil {
		return v
	}
	return otherwise
}

// live is a server under test and its clients' notes.
type live struct {
	t      *testing.T
	url    string
	client sdk.Client
	server *exec.Cmd
	lines  *bytes.Buffer

	mu     sync.Mutex
	gaps   []float64 // milliseconds between two tokens
	asked  int
	failed []error
}

// startLive serves LEARN_MODEL (an ASTRO-SFT checkpoint) with learning on countdown and paused.
func startLive(t *testing.T, flags ...string) *live {
	t.Helper()
	program, model := os.Getenv("ASTRO"), os.Getenv("LEARN_MODEL")
	if program == "" || model == "" {
		t.Fatal("want ASTRO, the program, and LEARN_MODEL, a folder: make test-learn sets both")
	}
	l := &live{t: t, lines: &bytes.Buffer{}}
	args := append([]string{"serve", model, "--port", "0", "--store", t.TempDir(), "--served-model-name", "m", "--learn-paused"}, flags...)
	l.server = exec.Command(program, args...)
	l.server.Stderr = l.lines
	out, err := l.server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := l.server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.server.Process.Signal(syscall.SIGTERM)
		if err := l.server.Wait(); err != nil {
			t.Errorf("the server ended with %v: %s", err, l.lines)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err, l.lines)
	}
	l.url = strings.TrimSpace(strings.TrimPrefix(line, "listening on "))
	l.client = sdk.NewClient(option.WithBaseURL(l.url+"/v1"), option.WithAPIKey("none"), option.WithMaxRetries(0))
	return l
}

func (l *live) call(method, path string, body any) map[string]any {
	l.t.Helper()
	var in bytes.Buffer
	if body != nil {
		json.NewEncoder(&in).Encode(body)
	}
	request, err := http.NewRequest(method, l.url+path, &in)
	if err != nil {
		l.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		l.t.Fatal(err)
	}
	defer answer.Body.Close()
	all := map[string]any{}
	json.NewDecoder(answer.Body).Decode(&all)
	if answer.StatusCode != 200 {
		l.t.Fatalf("%s %s: %d %v", method, path, answer.StatusCode, all)
	}
	return all
}

// problems are n of a part of the numbers game.
func problems(multisets [][]int, n int, stream uint64) []countdown.Problem {
	return countdown.CD4.Sample(multisets, n, random.New(77, stream))
}

// ask has one problem answered as a stream and notes the time between tokens.
func (l *live) ask(ctx context.Context, p countdown.Problem, note bool) (id, text string, err error) {
	stream := l.client.Chat.Completions.NewStreaming(ctx, sdk.ChatCompletionNewParams{Model: "m", Messages: []sdk.ChatCompletionMessageParamUnion{sdk.UserMessage(p.String())},
		MaxTokens: sdk.Int(200)})
	defer stream.Close()
	var last time.Time
	var gaps []float64
	for stream.Next() {
		c := stream.Current()
		id = c.ID
		if len(c.Choices) == 0 || c.Choices[0].Delta.Content == "" {
			continue
		}
		now := time.Now()
		if !last.IsZero() {
			gaps = append(gaps, now.Sub(last).Seconds()*1000)
		}
		last, text = now, text+c.Choices[0].Delta.Content
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asked++; note {
		l.gaps = append(l.gaps, gaps...)
	}
	return id, text, stream.Err()
}

func correct(p countdown.Problem, text string) bool {
	g, err := reward.CountdownGrader{Rules: reward.Countdown{MaxValue: countdown.CD4.MaxValue}}.Grade(reward.Item{Problem: p.String(), Response: text})
	return err == nil && g.Score == 1
}

// exam is the pass rate on problems whose numbers nobody learns from, and its standard error.
func (l *live) exam(name string) (rate, se float64) {
	l.t.Helper()
	test := problems(countdown.CD4.Split().Test, learnExam, 1)
	right := make([]float64, len(test))
	const each, workers = 4, 8
	next := make(chan int)
	var work sync.WaitGroup
	for range workers {
		work.Go(func() {
			for i := range next {
				for range each {
					_, text, err := l.ask(context.Background(), test[i], false)
					if err != nil {
						l.t.Error(err)
					}
					if correct(test[i], text) {
						right[i] += 1. / each
					}
				}
			}
		})
	}
	for i := range test {
		next <- i
	}
	close(next)
	work.Wait()
	sum, squares := 0., 0.
	for _, r := range right {
		sum, squares = sum+r, squares+r*r
	}
	n := float64(len(test))
	rate = sum / n
	se = math.Sqrt((squares/n - rate*rate) / (n - 1))
	l.t.Logf("%-28s pass rate %.1f %% +- %.1f (%d problems x %d)", name, 100*rate, 100*se, len(test), each)
	return rate, se
}

// load answers training problems on so many streams and says for each whether it was right, until the time is over.
func (l *live) load(name string, during time.Duration) (p50, p99 float64) {
	l.t.Helper()
	l.mu.Lock()
	l.gaps, l.asked = nil, 0
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), during)
	defer cancel()
	all := problems(countdown.CD4.Split().Train, 2000, 2)
	var work sync.WaitGroup
	for s := range learnStreams {
		work.Go(func() {
			for i := s; ctx.Err() == nil; i += learnStreams {
				l.askAndRate(all[i%len(all)])
			}
		})
	}
	work.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.Sort(l.gaps)
	q := func(p float64) float64 { return l.gaps[int(p*float64(len(l.gaps)-1))] }
	l.t.Logf("%-28s %5d requests, %6.0f tok/s, between tokens p50 %.2f  p90 %.2f  p99 %.2f  p99.9 %.2f ms", name, l.asked, float64(len(l.gaps))/during.Seconds(), q(.5), q(.9), q(.99), q(.999))
	return q(.5), q(.99)
}

func (l *live) askAndRate(p countdown.Problem) {
	id, text, err := l.ask(context.Background(), p, true)
	if err == nil {
		verdict := "incorrect"
		if correct(p, text) {
			verdict = "correct"
		}
		err = l.client.Post(context.Background(), "feedback", map[string]any{"completion_id": id, "verdict": verdict}, nil)
	}
	if err != nil {
		l.mu.Lock()
		l.failed = append(l.failed, err)
		l.mu.Unlock()
	}
}

// Learning while serving: the pass rate on held-out problems rises, no request fails, tokens come nearly as fast.
func TestLearnWhileServing(t *testing.T) {
	l := startLive(t, append([]string{"--learn", "countdown"}, strings.Fields(os.Getenv("LEARN_FLAGS"))...)...)
	before, beforeSE := l.exam("before")
	l.load("warm, learning off", 20*time.Second)
	_, off := l.load("learning off", time.Minute)
	l.call("POST", "/learning/resume", nil)
	_, on := l.load("learning on", time.Duration(learnMinutes*float64(time.Minute)))
	l.call("POST", "/learning/pause", nil)
	l.settle()
	_, after1 := l.load("learning off again", time.Minute)
	after, afterSE := l.exam("after")
	l.tell()
	off = (off + after1) / 2
	t.Logf("p99 between tokens %.2f ms with learning, %.2f without: %.2fx", on, off, on/off)
	if se := math.Hypot(beforeSE, afterSE); after-before < 2*se {
		t.Errorf("the pass rate went from %.3f to %.3f; want more than two standard errors (%.3f) more", before, after, 2*se)
	}
	if on > 2*off {
		t.Errorf("p99 between tokens is %.2f ms with learning and %.2f without; want at most twice", on, off)
	}
	for _, err := range l.failed {
		t.Error("a request failed:", err)
	}
}

// settle waits for the update under way.
func (l *live) settle() {
	for l.call("GET", "/learning", nil)["phase"] != "wait" {
		time.Sleep(200 * time.Millisecond)
	}
}

// tell prints what the updates say.
func (l *live) tell() {
	l.t.Helper()
	list, _ := l.call("GET", "/learning/updates", nil)["data"].([]any)
	applied, learn, total, gap, mean, swap, served := 0, 0., 0., 0., 0., 0., 0.
	at := func(u map[string]any, name string) float64 { v, _ := u[name].(float64); return v }
	for _, one := range list {
		u, _ := one.(map[string]any)
		if u["state"] == "applied" {
			applied++
		} else {
			l.t.Logf("update %v was not made: %v", u["id"], u["reason"])
		}
		learn, total, served = learn+at(u, "learn_seconds"), total+at(u, "seconds"), served+at(u, "served")
		gap, mean, swap = max(gap, at(u, "gap")), max(mean, at(u, "mean_gap")), max(swap, at(u, "swap_ms"))
		l.t.Logf("update %3.0f  v%-3.0f reward %.3f  pass %.3f  length %.0f  returns %.2f  served %.0f  stale %.2f  gather %.1f s  learn %.1f s", at(u, "id"), at(u, "version"), at(u, "reward"),
			at(u, "pass_rate"), at(u, "length"), at(u, "backtracks"), at(u, "served"), at(u, "staleness"), at(u, "gather_seconds"), at(u, "learn_seconds"))
	}
	l.t.Logf("%d updates published, %.0f rated completions learned from; learning itself took %.0f %% of the updates' time; log-probabilities differ by at most %.2g, in the mean %.2g; longest stop for a swap %.2f ms",
		applied, served, 100*learn/max(1e-9, total), gap, mean, swap)
}

// A fine-tuning job from a file of prompts does the same, through the official client.
func TestFineTuningJobLong(t *testing.T) {
	l := startLive(t, "--learn", "jobs")
	before, beforeSE := l.exam("before")
	var file strings.Builder
	for _, p := range problems(countdown.CD4.Split().Train, 640, 3) {
		fmt.Fprintf(&file, "{\"messages\":[{\"role\":\"user\",\"content\":%q}],\"problem\":%q}\n", p, p)
	}
	path := filepath.Join(t.TempDir(), "problems.jsonl")
	if err := os.WriteFile(path, []byte(file.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ctx := context.Background()
	uploaded, err := l.client.Files.New(ctx, sdk.FileNewParams{File: f, Purpose: sdk.FilePurposeFineTune})
	if err != nil {
		t.Fatal(err)
	}
	job := l.tune(uploaded.ID)
	for job["status"] != "succeeded" && job["status"] != "failed" {
		time.Sleep(time.Second)
		job = l.call("GET", "/v1/fine_tuning/jobs/"+job["id"].(string), nil)
	}
	if job["status"] != "succeeded" {
		t.Fatal(job)
	}
	after, afterSE := l.exam(fmt.Sprint("after the job, ", job["fine_tuned_model"]))
	if se := math.Hypot(beforeSE, afterSE); after-before < 2*se {
		t.Errorf("the pass rate went from %.3f to %.3f; want more than two standard errors (%.3f) more", before, after, 2*se)
	}
	l.tell()
}

func (l *live) tune(file string) map[string]any {
	l.t.Helper()
	return l.call("POST", "/v1/fine_tuning/jobs", map[string]any{"model": "m", "training_file": file, "seed": 1,
		"method": map[string]any{"type": "reinforcement", "reinforcement": map[string]any{"grader": map[string]any{"type": "countdown"},
			"hyperparameters": map[string]any{"n_epochs": 1, "batch_size": 32}}}})
}
