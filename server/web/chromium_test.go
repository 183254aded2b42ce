//go:build browser

package web

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const answerTimeout = 30 * time.Second // for one answer of the browser, or one thing to appear in a page

// chromium is a headless browser that is spoken to over a pair of pipes, in its DevTools protocol: JSON texts that end in a zero byte.
type chromium struct {
	t       *testing.T
	in      io.Writer
	session string // of the one page

	mu      sync.Mutex
	last    int
	waiting map[int]chan message
	trouble []string // what the page's console complained about
}

// message is a call, its answer, or an event.
type message struct {
	ID      int             `json:"id,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  json.RawMessage `json:"params,omitempty"`
	Session string          `json:"sessionId,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

// findChromium names the browser of this machine.
func findChromium(t *testing.T) string {
	for _, name := range []string{os.Getenv("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); name != "" && err == nil {
			return found
		}
	}
	t.Fatal("no chromium is here: install the distribution's package chromium, or name one in CHROMIUM")
	return ""
}

// startChromium runs a browser with one empty page until the test ends.
func startChromium(t *testing.T) *chromium {
	t.Helper()
	inRead, inWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(findChromium(t), "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
		"--no-first-run", "--disable-background-networking", "--disable-component-update", "--lang=en-US", "--user-data-dir="+t.TempDir(), "about:blank")
	c.ExtraFiles = []*os.File{inRead, outWrite} // its descriptors 3 and 4
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	inRead.Close()
	outWrite.Close()
	b := &chromium{t: t, in: inWrite, waiting: map[int]chan message{}}
	go b.read(outRead)
	t.Cleanup(func() {
		b.call("Browser.close", nil)
		c.Wait()
	})
	b.attach()
	return b
}

// attach takes over the page and listens to its console.
func (b *chromium) attach() {
	var targets struct {
		TargetInfos []struct{ TargetID, Type string }
	}
	b.into(&targets, "Target.getTargets", nil)
	for _, one := range targets.TargetInfos {
		if one.Type == "page" {
			var attached struct{ SessionID string }
			b.into(&attached, "Target.attachToTarget", map[string]any{"targetId": one.TargetID, "flatten": true})
			b.session = attached.SessionID
		}
	}
	for _, domain := range []string{"Page", "Runtime", "Log"} {
		b.call(domain+".enable", nil)
	}
}

// read hands answers to who waits for them and collects complaints: exceptions, errors of the console, refusals by the policy.
func (b *chromium) read(out io.Reader) {
	for r := bufio.NewReader(out); ; {
		text, err := r.ReadBytes(0)
		if err != nil {
			return
		}
		var m message
		if json.Unmarshal(text[:len(text)-1], &m) != nil {
			continue
		}
		b.mu.Lock()
		if wait := b.waiting[m.ID]; wait != nil {
			delete(b.waiting, m.ID)
			wait <- m
		}
		if m.Method == "Runtime.exceptionThrown" || m.Method == "Log.entryAdded" && strings.Contains(string(m.Params), `"level":"error"`) && !strings.Contains(string(m.Params), `"source":"network"`) {
			b.trouble = append(b.trouble, string(m.Params))
		}
		b.mu.Unlock()
	}
}

// call sends a command and waits for its result.
func (b *chromium) call(method string, params any) json.RawMessage {
	b.t.Helper()
	encoded, err := json.Marshal(params)
	if err != nil {
		b.t.Fatal(err)
	}
	if params == nil {
		encoded = []byte("{}")
	}
	wait := make(chan message, 1)
	b.mu.Lock()
	b.last++
	m := message{ID: b.last, Method: method, Params: encoded, Session: b.session}
	if strings.HasPrefix(method, "Target.") || strings.HasPrefix(method, "Browser.") {
		m.Session = ""
	}
	b.waiting[m.ID] = wait
	text, _ := json.Marshal(m)
	_, err = b.in.Write(append(text, 0))
	b.mu.Unlock()
	if err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
	select {
	case answer := <-wait:
		if answer.Error != nil {
			b.t.Fatalf("%s: %s", method, answer.Error.Message)
		}
		return answer.Result
	case <-time.After(answerTimeout):
		b.t.Fatalf("%s: the browser does not answer", method)
		return nil
	}
}

func (b *chromium) into(result any, method string, params any) {
	b.t.Helper()
	if err := json.Unmarshal(b.call(method, params), result); err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
}

// eval is the value of an expression in the page, as text; promises are awaited.
func (b *chromium) eval(expression string) string {
	b.t.Helper()
	var answer struct {
		Result           struct{ Value any }
		ExceptionDetails *struct {
			Exception struct{ Description string }
		}
	}
	b.into(&answer, "Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true, "userGesture": true})
	if answer.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", expression, answer.ExceptionDetails.Exception.Description)
	}
	return fmt.Sprint(answer.Result.Value)
}

// until waits for an expression to be true.
func (b *chromium) until(expression string) {
	b.t.Helper()
	for end := time.Now().Add(answerTimeout); time.Now().Before(end); time.Sleep(30 * time.Millisecond) {
		if b.eval("Boolean("+expression+")") == "true" {
			return
		}
	}
	b.t.Fatalf("never true: %s\nthe page says: %s", expression, b.eval("document.querySelector('[role=tabpanel]:not([hidden])')?.innerText"))
}

// click presses what a selector and a text name, with the mouse, where it is on the screen.
func (b *chromium) click(selector, text string) {
	b.t.Helper()
	find := fmt.Sprintf("[...document.querySelectorAll(%q)].find(e => e.checkVisibility() && (e.innerText + (e.ariaLabel ?? '')).includes(%q))", selector, text)
	b.until(find)
	b.eval(find + ".scrollIntoView({block: 'center', behavior: 'instant'})")
	var at [2]float64
	if err := json.Unmarshal([]byte(b.eval("JSON.stringify((r => [r.x + r.width / 2, r.y + r.height / 2])("+find+".getBoundingClientRect()))")), &at); err != nil {
		b.t.Fatal(err)
	}
	for _, kind := range []string{"mouseMoved", "mousePressed", "mouseReleased"} {
		b.call("Input.dispatchMouseEvent", map[string]any{"type": kind, "x": at[0], "y": at[1], "button": "left", "clickCount": 1})
	}
}

// enter types text where the focus is.
func (b *chromium) enter(text string) { b.call("Input.insertText", map[string]any{"text": text}) }

// press presses keys, one after the other.
func (b *chromium) press(keys ...string) {
	codes := map[string]int{"Enter": 13, "Tab": 9, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Home": 36, "End": 35}
	for _, key := range keys {
		for _, kind := range []string{"keyDown", "keyUp"} {
			params := map[string]any{"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": codes[key]}
			if key == "Enter" && kind == "keyDown" {
				params["text"] = "\r"
			}
			b.call("Input.dispatchKeyEvent", params)
		}
	}
}

// look is how the page is looked at.
type look struct {
	name          string
	scheme        string
	width, height int
}

func (b *chromium) as(l look) {
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": l.width, "height": l.height, "deviceScaleFactor": 1, "mobile": false})
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": l.scheme}, {"name": "prefers-reduced-motion", "value": "reduce"}}})
}

// shoot writes a picture of the window. Nothing may stick out to the right.
func (b *chromium) shoot(folder, name string) {
	b.t.Helper()
	if wide := b.eval("document.documentElement.scrollWidth - innerWidth"); wide != "0" {
		b.t.Errorf("%s: the page is %s pixels wider than the window", name, wide)
	}
	var shot struct{ Data string }
	b.into(&shot, "Page.captureScreenshot", map[string]any{"format": "png"})
	picture, err := base64.StdEncoding.DecodeString(shot.Data)
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, name+".png"), picture, 0o644)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// noTrouble fails if the page's console complained.
func (b *chromium) noTrouble() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, what := range b.trouble {
		b.t.Error("the page complained: ", what)
	}
	b.trouble = nil
}
