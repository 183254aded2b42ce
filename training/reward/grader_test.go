package reward

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func grade(t *testing.T, g Grader, item Item, score float64, reason Reason) {
	t.Helper()
	got, err := g.Grade(item)
	if err != nil || got.Score != score || got.Reason != reason {
		t.Errorf("%+v: got %+v, %v; want %v %q", item, got, err, score, reason)
	}
}

func TestGraders(t *testing.T) {
	grade(t, Math{}, Item{Gold: "1/2", Response: `so \boxed{0.5}`}, 1, ReasonCorrect)
	grade(t, Math{}, Item{Gold: "1/2", Response: `so 0.5`}, 0, ReasonNoAnswer)
	grade(t, Exact{}, Item{Gold: "Paris", Response: " Paris\n"}, 1, ReasonCorrect)
	grade(t, Exact{}, Item{Gold: "Paris", Response: "paris"}, 0, ReasonWrong)
	grade(t, Exact{FoldCase: true}, Item{Gold: "Paris", Response: "paris"}, 1, ReasonCorrect)
	grade(t, Exact{}, Item{Gold: "Paris", Response: " "}, 0, ReasonNoAnswer)
	format, err := NewPattern(`(?s)^<think>.*</think>`)
	if err != nil {
		t.Fatal(err)
	}
	grade(t, format, Item{Response: "<think>\n</think> 5"}, 1, ReasonCorrect)
	grade(t, format, Item{Response: "5"}, 0, ReasonWrong)
	letter, err := NewPattern(`ANSWER: (?P<answer>[A-E])`)
	if err != nil {
		t.Fatal(err)
	}
	grade(t, letter, Item{Gold: "C", Response: "ANSWER: B, no, ANSWER: C"}, 1, ReasonCorrect)
	grade(t, letter, Item{Gold: "B", Response: "ANSWER: B, no, ANSWER: C"}, 0, ReasonWrong)
	grade(t, letter, Item{Gold: "B", Response: "B"}, 0, ReasonNoAnswer)
	near, err := NewNumeric("0.01")
	if err != nil {
		t.Fatal(err)
	}
	grade(t, near, Item{Gold: "200", Response: "about 201.9 in all"}, 1, ReasonCorrect)
	grade(t, near, Item{Gold: "200", Response: "about 202.1 in all"}, 0, ReasonWrong)
	grade(t, near, Item{Gold: "1,200", Response: "it is 1,200"}, 1, ReasonCorrect)
	grade(t, near, Item{Gold: "200", Response: "many"}, 0, ReasonNoAnswer)
	countdown := CountdownGrader{Countdown{MaxValue: 50}}
	grade(t, countdown, Item{Problem: "3 7 2 9 -> 7", Response: short.Replace(good + "BUTWAIT LOOKSOK ANS 7")}, 1, ReasonCorrect)
	grade(t, countdown, Item{Problem: "3 7 2 9 -> 7", Response: "7"}, 0, ReasonNoAnswer)
}

// TestGraderErrors: a grader that is set up wrongly says so; it gives no score.
func TestGraderErrors(t *testing.T) {
	for _, expression := range []string{"", "(", strings.Repeat("a", MaxPatternBytes+1), "(a{1000}){1000}"} {
		if _, err := NewPattern(expression); err == nil {
			t.Errorf("NewPattern(%.20q): want an error", expression)
		}
	}
	for _, tolerance := range []string{"", "x", "-0.1", "1"} {
		if _, err := NewNumeric(tolerance); err == nil {
			t.Errorf("NewNumeric(%q): want an error", tolerance)
		}
	}
	near, _ := NewNumeric("0")
	for _, g := range []Grader{Exact{}, Pattern{}, Numeric{}, near, CountdownGrader{}} {
		if got, err := g.Grade(Item{Response: "5"}); err == nil {
			t.Errorf("%T without what it needs: got %+v; want an error", g, got)
		}
	}
}

// constant is a grader with a fixed score.
type constant float64

func (c constant) Grade(Item) (Grade, error) {
	if c < 0 {
		return Grade{}, errors.New("broken")
	}
	g := right(c == 1, "")
	g.Score = float64(c)
	return g, nil
}

func TestMulti(t *testing.T) {
	graders := map[string]Grader{"one": constant(1), "half": constant(0.5), "zero": constant(0), "broken": constant(-1)}
	for formula, want := range map[string]float64{
		"one": 1, "0.75*one + 0.25*zero": 0.75, "one and half": 0.5, "zero or half": 0.5, "not half": 0.5, "not zero and one": 1,
		"min(one, half, 0.25)": 0.25, "max(zero, half)": 0.5, "half >= 0.5": 1, "(half > 0.5) or zero": 0, "one - half * half": 0.75,
		"one * (one - 0.5*(half == 0.5))": 0.5, "0.5*half+0.5*(zero<one)": 0.75,
	} {
		m, err := NewMulti(formula, graders)
		if err != nil {
			t.Errorf("%s: %v", formula, err)
			continue
		}
		if got, err := m.Grade(Item{}); err != nil || got.Score != want {
			t.Errorf("%s: got %+v, %v; want %v", formula, got, err, want)
		}
	}
	for _, formula := range []string{"", "one +", "two", "(one", "one)", "min one", "one one", strings.Repeat("(", 40) + "one", strings.Repeat("not ", 40) + "one",
		strings.Repeat("one + ", 300) + "one"} {
		if _, err := NewMulti(formula, graders); err == nil {
			t.Errorf("%.40q: want an error", formula)
		}
	}
	for _, formula := range []string{"one + half", "zero - half", "0.5*broken + 0.5*one"} {
		m, err := NewMulti(formula, graders)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := m.Grade(Item{}); err == nil {
			t.Errorf("%s: got %+v; want an error", formula, got)
		}
	}
}

// httpPoster is the client that a caller brings.
type httpPoster struct{}

func (httpPoster) Post(url string, body []byte, deadlineMillis int) ([]byte, error) {
	client := http.Client{Timeout: time.Duration(deadlineMillis) * time.Millisecond}
	reply, err := client.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", reply.StatusCode)
	}
	return io.ReadAll(io.LimitReader(reply.Body, MaxRemoteReplyBytes+1))
}

// TestRemote: a service's score is taken; whatever goes wrong on the way is ErrRemote and no score.
func TestRemote(t *testing.T) {
	replies := map[string]string{"/good": `{"score": 0.25, "reason": "partly"}`, "/high": `{"score": 2}`, "/none": `{}`, "/bad": `oops`,
		"/long": strings.Repeat(" ", MaxRemoteReplyBytes+1)}
	hang := make(chan struct{})
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if want := `{"problem":"p","gold":"g","response":"r"}`; string(body) != want {
			t.Errorf("got request %s; want %s", body, want)
		}
		if r.URL.Path == "/hang" {
			<-hang
		}
		if reply, ok := replies[r.URL.Path]; ok {
			io.WriteString(w, reply)
			return
		}
		http.Error(w, "no", http.StatusInternalServerError)
	}))
	defer service.Close()
	defer close(hang)
	item := Item{Problem: "p", Gold: "g", Response: "r"}
	remote := func(path string) Remote {
		return Remote{URL: service.URL + path, DeadlineMillis: 200, Client: httpPoster{}}
	}
	grade(t, remote("/good"), item, 0.25, "partly")
	for _, path := range []string{"/high", "/none", "/bad", "/long", "/fails", "/hang"} {
		if got, err := remote(path).Grade(item); !errors.Is(err, ErrRemote) {
			t.Errorf("%s: got %+v, %v; want ErrRemote", path, got, err)
		}
	}
	if _, err := (Remote{}).Grade(item); !errors.Is(err, ErrRemote) {
		t.Errorf("not configured: got %v; want ErrRemote", err)
	}
}
