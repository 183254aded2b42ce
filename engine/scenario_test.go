package engine_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"astro/engine"
	"astro/sampler"
)

var rewrite = flag.Bool("rewrite", false, "write the present output into testdata/*.txt; read the diff before you commit it")

// TestScenarios runs testdata/*.txt. Each is a story: a command, "----", everything that could be observed. The commands are
// methods of story; comments begin with #.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := (&story{numbers: map[string]uint64{}, names: map[uint64]string{}}).tell(string(text))
			if *rewrite {
				err = os.WriteFile(file, []byte(got), 0o644)
			} else if got != string(text) {
				err = fmt.Errorf("the story has changed; got:\n%s\nrun with -rewrite and read the diff", firstDifference(got, string(text)))
			}
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// firstDifference shows the two texts around the first line in which they differ.
func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range g {
		if i >= len(w) || g[i] != w[i] {
			return fmt.Sprintf("line %d: %q; want %q", i+1, g[i], append(w, "<end>")[min(i, len(w))])
		}
	}
	return "an earlier end"
}

// story is the state of one scenario: Requests have names.
type story struct {
	*driver
	numbers map[string]uint64
	names   map[uint64]string
	fault   error // of the next step
}

// tell runs every command of text and returns it with the present output. Blocks are separated by empty lines.
func (s *story) tell(text string) string {
	var out []string
	for _, block := range strings.Split(strings.TrimSpace(text), "\n\n") {
		commands, _, found := strings.Cut(block+"\n", "----\n")
		if !found {
			out = append(out, strings.TrimRight(block, "\n"))
			continue
		}
		var b strings.Builder
		for _, line := range strings.Split(strings.TrimSpace(commands), "\n") {
			if !strings.HasPrefix(line, "#") {
				s.run(&b, strings.Fields(line))
			}
		}
		out = append(out, strings.TrimSpace(commands)+"\n----\n"+strings.TrimRight(b.String(), "\n"))
	}
	return strings.Join(out, "\n\n") + "\n"
}

// run executes one command and writes what it shows.
func (s *story) run(out *strings.Builder, words []string) {
	args := options(words[1:])
	var err error
	switch words[0] {
	case "new":
		err = s.begin(args)
	case "submit":
		err = s.submitRequest(words[1], args)
	case "step":
		for range args.int("times", 1) {
			s.stepOnce(out)
		}
	case "quiet": // steps until idle, finishes only
		err = s.quiet(out)
	case "swap":
		err = s.swap(int64(args.int("version", 0)))
		s.showVersions(out)
	case "fail":
		s.fault = errors.New("device lost power")
		if _, lost := args["lost"]; lost {
			s.fault = errors.Join(s.fault, engine.ErrPoolsLost)
		}
	case "show":
		s.show(out)
	default:
		err = s.control(out, words, args)
	}
	if err != nil {
		fmt.Fprintf(out, "error: %v\n", err)
	}
}

// control runs the commands that concern one Request or sample, named like "a" or "a/1".
func (s *story) control(out *strings.Builder, words []string, args values) error {
	name, sample, _ := strings.Cut(words[1], "/")
	number := s.numbers[name]
	index, _ := strconv.Atoi(sample)
	var events []engine.Event
	var err error
	switch words[0] {
	case "cancel":
		events, err = s.collect(s.scheduler.Cancel(number))
	case "stop":
		events, err = s.collect(s.scheduler.Stop(number, index, args.int("tokens", -1)))
	case "stall", "resume":
		s.scheduler.Stall(number, index, words[0] == "stall")
		err = s.check()
	case "preempt":
		if !s.scheduler.Preempt(number, index) {
			return errors.New("it does not run")
		}
		err = s.check()
	default:
		return fmt.Errorf("unknown command %q", words[0])
	}
	s.showEvents(out, events)
	return err
}

func (s *story) begin(args values) error {
	c := engine.Config{
		Vocab: 32, EOS: []int32{0}, Pages: args.int("pages", 8), PageTokens: args.int("page-tokens", 4),
		MaxSlots: args.int("slots", 4), StepTokens: args.int("step-tokens", 16), ChunkTokens: args.int("chunk", 8),
		MaxContextTokens: args.int("context", 64), MaxSamples: 8, MaxQueuedRequests: args.int("queue", 8),
		MaxQueuedTokens: args.int("queue-tokens", 1000), PrefixCache: args.int("prefix-cache", 1) == 1,
		DecodeSteps: args.int("decode-steps", 1), InteractiveAhead: args.int("interactive-ahead", 0) == 1,
	}
	if err := c.Validate(); err != nil {
		return err
	}
	s.driver = newDriver(c)
	s.fake().OnRun = func(int, *engine.Plan) error {
		fault := s.fault
		s.fault = nil
		return fault
	}
	return nil
}

// submitRequest makes a prompt of the given length that counts up from "from"; equal beginnings are equal Prefixes.
func (s *story) submitRequest(name string, args values) error {
	r := engine.Request{N: args.int("n", 1), MaxTokens: args.int("max", 4), MinTokens: args.int("min", 0),
		Params: sampler.Default(), Salt: args["salt"], Version: int64(args.int("version", 0))}
	for i := range args.int("prompt", 1) {
		r.Prompt = append(r.Prompt, int32(args.int("from", 1)+i)%32)
	}
	_, r.Score = args["score"]
	_, r.IgnoreEOS = args["ignore-eos"]
	r.Priority = int32(args.int("priority", 0))
	if _, batch := args["batch"]; batch {
		r.Class = engine.Batch
	}
	if stop := args.int("stop-token", -1); stop >= 0 {
		r.StopTokens = []int32{int32(stop)}
	}
	number, err := s.submit(r)
	if err == nil {
		s.numbers[name], s.names[number] = number, name
	}
	return err
}

// values are a command's options: "key=value" or "key".
type values map[string]string

func options(words []string) values {
	v := values{}
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		v[key] = value
	}
	return v
}

func (v values) int(key string, otherwise int) int {
	if n, err := strconv.Atoi(v[key]); err == nil {
		return n
	}
	return otherwise
}
