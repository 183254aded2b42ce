//go:build browser

package web

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// These tests drive a real browser through the page against a fake server: `make test-page`. They need the distribution's chromium and
// are no part of `make test`. Pictures go to the folder that ASTRO_PAGE_PICTURES names, or to one that is removed.

var (
	light  = look{"light", "light", 1200, 800}
	dark   = look{"dark", "dark", 1200, 800}
	narrow = look{"narrow", "light", 400, 800}
)

// pictures is the folder for them.
func pictures(t *testing.T) string {
	folder := os.Getenv("ASTRO_PAGE_PICTURES")
	if folder == "" {
		return t.TempDir()
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	return folder
}

// openPage starts both sides and shows the page.
func openPage(t *testing.T, prepare func(*fakeServer)) (*fakeServer, *chromium) {
	t.Helper()
	f, url := startFake(t)
	if prepare != nil {
		prepare(f)
	}
	b := startChromium(t)
	b.as(light)
	b.call("Page.navigate", map[string]any{"url": url + "/"})
	b.until(`document.querySelector("#panel-chat .talk")`)
	return f, b
}

// ask sends an example and waits for the whole reply.
func ask(b *chromium) {
	b.click(".example", "3 7 2 9")
	b.until(`document.querySelector(".reply[aria-busy=false] .vote")`)
}

func TestChatAndFeedback(t *testing.T) {
	f, b := openPage(t, nil)
	b.click("summary", "Settings") // closes
	b.click("summary", "Settings")
	b.click(".options input", "")
	b.enter("0.7")
	b.until(`document.querySelector(".example")`)
	f.hold = make(chan struct{})
	b.click(".example", "3 7 2 9")
	b.until(`document.querySelector(".reply .text").textContent.length > 100 && document.querySelector(".composer button:not([hidden]).primary") === null`)
	close(f.hold)
	b.until(`document.querySelector(".reply[aria-busy=false] .vote")`)
	if got := b.eval(`document.querySelector(".reply .text").textContent`); got != strings.TrimSpace(f.text) {
		t.Errorf("the page shows %q", got)
	}
	body := f.sent("/v1/chat/completions")[0]
	if fmt.Sprint(body["messages"]) != "[map[content:3 7 2 9 -> 27 role:user]]" || body["temperature"] != 0.7 || body["model"] != "astro-countdown" || body["max_tokens"] != nil {
		t.Errorf("the page sent %v", body)
	}
	b.click(".vote", "right")
	b.until(`document.querySelector(".actions .status").textContent.includes("right")`)
	b.click(".vote", "wrong")
	b.until(`document.querySelector(".vote[aria-label*=wrong]").getAttribute("aria-pressed") === "true"`)
	b.click(".actions summary", "Correct answer")
	b.click(".grading button", "Grade")
	b.until(`document.querySelectorAll(".vote[aria-pressed=true]").length === 0`)
	votes := f.sent("/v1/feedback")
	if len(votes) != 3 || votes[0]["verdict"] != "correct" || votes[0]["supersede"] != false || votes[1]["verdict"] != "incorrect" || votes[1]["supersede"] != true ||
		fmt.Sprint(votes[2]["grader"]) != "map[type:countdown]" || votes[2]["answer"] != "3 7 2 9 -> 27" || votes[0]["completion_id"] != "chatcmpl-1" || votes[0]["idempotency_key"] == votes[1]["idempotency_key"] {
		t.Errorf("the page sent %v", votes)
	}
	b.noTrouble()
}

// A reply that is stopped keeps its text and cannot be judged; the next turn carries it.
func TestStop(t *testing.T) {
	f, b := openPage(t, nil)
	f.hold = make(chan struct{})
	defer close(f.hold)
	b.click(".example", "3 7 2 9")
	b.until(`document.querySelector(".reply .text").textContent.length > 100`)
	b.click(".composer button", "Stop")
	b.until(`document.querySelector(".reply[aria-busy=false]").textContent.includes("stopped by you")`)
	if b.eval(`document.querySelectorAll(".vote").length`) != "0" {
		t.Error("a stopped reply has a vote")
	}
	b.eval(`document.querySelector(".composer textarea").focus()`)
	b.enter("and now")
	b.press("Enter")
	b.until(`document.querySelectorAll(".reply").length === 2`)
	b.click(".composer button", "Stop")
	if turns := f.sent("/v1/chat/completions")[1]["messages"].([]any); len(turns) != 3 {
		t.Errorf("the second turn carries %v", turns)
	}
	b.noTrouble()
}

// A model without a chat template is asked to continue the text.
func TestModelWithoutTemplate(t *testing.T) {
	f, b := openPage(t, nil)
	b.until(`document.querySelector("option[value=plain-text]")`)
	b.eval(`(s => { s.value = "plain-text"; s.dispatchEvent(new Event("change")); })(document.querySelector(".options select"))`)
	b.click(".example", "divisors")
	b.until(`document.querySelector(".reply[aria-busy=false] .vote")`)
	if sent := f.sent("/v1/completions"); len(sent) != 1 || sent[0]["prompt"] != "How many positive divisors does 360 have?" {
		t.Errorf("the page sent %v", sent)
	}
	b.noTrouble()
}

func TestReasoning(t *testing.T) {
	f, b := openPage(t, nil)
	ask(b)
	b.click(".actions button", "Reasoning")
	b.until(`document.querySelectorAll(".graph .node").length === 24`)
	if got := f.sent("/reasoning/graph")[0]; got["text"] != f.text || got["format"] != "json" {
		t.Errorf("the page sent %v", got)
	}
	if back := b.eval(`document.querySelectorAll(".graph .edge.back").length`); back != "5" {
		t.Errorf("%s edges go back", back)
	}
	b.eval(`document.querySelector(".graph .node").focus()`)
	b.press("ArrowDown", "ArrowDown", "ArrowDown", "ArrowDown")
	b.until(`document.querySelector(".detail").innerText.includes("But wait, are we solving the problem correctly so far?") && document.querySelector(".detail").innerText.includes("to 1")`)
	b.eval(`window.saved = []; URL.createObjectURL = (blob) => (blob.text().then((text) => saved.push(text)), "#graph")`)
	b.click("button", "DOT")
	b.click("button", "JSON")
	b.until(`saved.some((text) => text.startsWith("digraph reasoning")) && saved.some((text) => text.startsWith("{") && JSON.parse(text).nodes.length === 24)`)
	b.noTrouble()
}

func TestTrees(t *testing.T) {
	_, b := openPage(t, nil)
	b.click("[role=tab]", "Trees")
	b.until(`document.querySelector("[role=treeitem].right")`)
	b.eval(`document.querySelector("[role=treeitem]").focus()`)
	open := b.eval(`document.querySelectorAll("[role=treeitem]").length`)
	b.press("ArrowLeft")
	b.until(`document.querySelectorAll("[role=treeitem]").length === 1`)
	b.press("ArrowRight", "ArrowRight")
	b.until(`document.activeElement.getAttribute("aria-level") === "2"`)
	b.click("button", "Open all")
	b.until(`document.querySelectorAll("[role=treeitem]").length === 14 && 14 > ` + open)
	var node struct{ Root struct{ NodeID int } }
	b.into(&node, "DOM.getDocument", nil)
	var input struct{ NodeID int }
	b.into(&input, "DOM.querySelector", map[string]any{"nodeId": node.Root.NodeID, "selector": "input[type=file]"})
	file, err := filepath.Abs("testdata/trees.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	b.call("DOM.setFileInputFiles", map[string]any{"nodeId": input.NodeID, "files": []string{file}})
	b.until(`document.querySelector("#panel-trees").innerText.includes("trees.jsonl: 2 trees")`)
	b.click(".picker button", "<b>bold</b>") // a problem is text, whatever it holds
	b.until(`document.querySelectorAll("[role=treeitem]").length === 2 && !document.querySelector("#panel-trees b")`)
	b.noTrouble()
}

func TestCurves(t *testing.T) {
	_, b := openPage(t, nil)
	b.click("[role=tab]", "Learning")
	b.until(`document.querySelectorAll(".chart .line").length === 17 && document.querySelectorAll(".evaluation").length === 5`)
	if rejected := b.eval(`document.querySelector(".chart").querySelectorAll(".rejected").length`); rejected != "2" {
		t.Errorf("%s updates are marked as rejected", rejected)
	}
	b.eval(`document.querySelector(".chart").focus()`)
	b.press("Home")
	b.until(`[...document.querySelectorAll("figcaption output")].every((o) => o.textContent.includes("at v2"))`)
	b.click("button", "Pause")
	b.click("dialog button", "Pause")
	b.until(`document.querySelector(".facts .tag").textContent === "paused"`)
	b.click("button", "Resume")
	b.until(`document.querySelector(".facts .tag").textContent === "running"`)
	b.noTrouble()
}

func TestVersions(t *testing.T) {
	f, b := openPage(t, nil)
	b.click("[role=tab]", "Versions")
	b.click("tr:nth-child(4) button", "Roll back") // of v11: newest first
	b.press("Escape")
	b.until(`!document.querySelector("dialog")`)
	if len(f.sent("/v1/policies/11/rollback")) != 0 {
		t.Error("Escape rolled back")
	}
	b.click("tr:nth-child(4) button", "Roll back")
	b.click("dialog button.primary", "Roll back")
	b.until(`document.querySelector("tr.serving th").textContent.startsWith("v11") && document.querySelector("tbody").innerText.includes("rolled back by an operator")`)
	b.click("tr:nth-child(2) button", "Canary")
	b.click("dialog button.primary", "Start")
	b.until(`document.querySelector("tbody").innerText.includes("canary 10 %")`)
	b.click("tr:nth-child(2) button", "Promote")
	b.click("dialog button.primary", "Promote")
	b.until(`document.querySelector("tr.serving th").textContent.startsWith("v13")`)
	b.noTrouble()
}

// Candidates that wait are shown as such above and in the table; one is promoted, the other given up.
func TestCandidates(t *testing.T) {
	f, b := openPage(t, func(f *fakeServer) { f.serving, f.waiting = 11, []int{12, 13} })
	b.click("[role=tab]", "Versions")
	b.until(`document.querySelector(".facts").innerText.includes("waiting for promote v12, v13")`)
	waits := `[...document.querySelectorAll("tbody tr")].filter((row) => row.innerText.includes("waits for promote")).map((row) => row.querySelector("th").textContent.slice(0, 3)).join()`
	b.until(waits + ` === "v13,v12"`)
	b.click("tr:nth-child(3) button", "Promote")
	b.click("dialog button.primary", "Promote")
	b.until(`document.querySelector("tr.serving th").textContent.startsWith("v12") && ` + waits + ` === "v13"`)
	b.click("tr.serving button", "Give up candidates")
	b.click("dialog button.primary", "Give up")
	b.until(waits + ` === "" && document.querySelector("tr.serving").innerText.includes("serves now")`)
	if got := f.sent("/v1/policies/12/rollback"); len(got) != 1 {
		t.Errorf("rollbacks %v; want one to the served version", got)
	}
	b.noTrouble()
}

// A server that wants a key says so in the page; the key is kept in the tab, and everything works with it.
func TestKey(t *testing.T) {
	_, b := openPage(t, func(f *fakeServer) { f.key = "sk-page" })
	b.click(".notice button", "Enter a key")
	b.until(`document.activeElement.type === "password"`)
	b.enter("sk-page")
	b.press("Enter")
	b.until(`!document.querySelector("dialog") && document.querySelector(".example")`)
	if kept := b.eval(`sessionStorage.getItem("astro-key") + JSON.stringify(localStorage)`); kept != "sk-page{}" {
		t.Errorf("the browser keeps %s", kept)
	}
	b.noTrouble()
}

// A server that has only chat: every other panel says what is off and how to switch it on.
func TestServerWithChatOnly(t *testing.T) {
	_, b := openPage(t, func(f *fakeServer) {
		f.off = map[string]bool{"learning": true, "policies": true, "trees": true, "reasoning": true, "feedback": true}
	})
	ask(b)
	b.click(".vote", "right")
	b.until(`document.querySelector(".actions .status").textContent.includes("feedback store")`)
	b.click(".actions button", "Reasoning")
	b.until(`document.querySelector("#panel-graph .notice")?.innerText.includes("astro graph")`)
	for tab, hint := range map[string]string{"Trees": "astro search", "Learning": "astro serve --learn", "Versions": "Versions come with learning"} {
		b.click("[role=tab]", tab)
		b.until(fmt.Sprintf(`document.querySelector("[role=tabpanel]:not([hidden])").innerText.includes(%q)`, hint))
	}
	b.noTrouble()
}

// The tabs are one stop of the Tab key and go with the arrows; the theme's button overrules the system.
func TestKeyboardAndTheme(t *testing.T) {
	_, b := openPage(t, nil)
	b.press("Tab")
	b.until(`document.activeElement.className === "skip"`)
	b.press("Tab", "ArrowRight")
	b.until(`document.activeElement.id === "tab-graph" && document.activeElement.getAttribute("aria-selected") === "true"`)
	b.press("End")
	b.until(`document.activeElement.id === "tab-versions" && !document.querySelector("#panel-versions").hidden`)
	paper := func() string { return b.eval(`getComputedStyle(document.body).backgroundColor`) }
	day := paper()
	b.as(dark)
	if night := paper(); night == day {
		t.Errorf("dark is %s, as light", night)
	}
	b.press("Tab", "Enter") // automatic -> light
	b.until(`document.documentElement.dataset.theme === "light"`)
	if paper() != day {
		t.Errorf("light is %s on a dark system; want %s", paper(), day)
	}
	b.noTrouble()
}

// Pictures of every panel in light, dark and on a narrow screen, for people to look at.
func TestPictures(t *testing.T) {
	_, b := openPage(t, nil)
	folder := pictures(t)
	b.until(`document.querySelector(".example")`)
	each := func(name string) {
		for _, l := range []look{light, dark, narrow} {
			b.as(l)
			b.eval(fmt.Sprintf(`document.querySelector(".options").open = %t`, l != narrow)) // as it would have begun there
			b.until(`document.fonts.status === "loaded"`)
			b.eval(`new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))`)
			b.shoot(folder, name+"-"+l.name)
		}
		b.as(light)
	}
	each("empty")
	ask(b)
	b.click(".vote", "right")
	b.click(".actions summary", "Correct answer")
	each("chat")
	b.click(".actions button", "Reasoning")
	b.until(`document.querySelectorAll(".graph .node").length === 24`)
	b.eval(`document.querySelectorAll(".graph .node")[12].focus()`)
	each("reasoning")
	b.click("[role=tab]", "Trees")
	b.until(`document.querySelector("[role=treeitem].right")`)
	b.click("button", "Open all")
	each("trees")
	b.click("[role=tab]", "Learning")
	b.until(`document.querySelectorAll(".evaluation").length === 5`)
	each("learning")
	b.eval(`document.querySelectorAll(".chart")[1].focus()`)
	b.press("ArrowLeft")
	each("learning-marked")
	b.click("[role=tab]", "Versions")
	b.until(`document.querySelector("tbody tr")`)
	each("versions")
	b.click("tbody button", "Canary")
	each("dialog")
	b.noTrouble()
}

// The same page from a server that is running, whatever it can do: chat works, and each panel shows something or says why not.
func TestRunningServer(t *testing.T) {
	url := os.Getenv("ASTRO_PAGE_URL")
	if url == "" {
		t.Skip("ASTRO_PAGE_URL does not name a running server (`astro serve`)")
	}
	b := startChromium(t)
	b.as(light)
	b.call("Page.navigate", map[string]any{"url": url})
	b.click(".example", "")
	b.until(`document.querySelector(".reply[aria-busy=false]")`)
	if b.eval(`document.querySelector(".reply .text").textContent.length > 0 && !document.querySelector(".reply .failure")`) != "true" {
		t.Error(b.eval(`document.querySelector(".reply").innerText`))
	}
	b.shoot(pictures(t), "running-chat")
	for _, tab := range []string{"Reasoning", "Trees", "Learning", "Versions"} {
		b.click("[role=tab]", tab)
		b.until(`document.querySelector("[role=tabpanel]:not([hidden])").innerText.length > 20`)
		b.shoot(pictures(t), "running-"+strings.ToLower(tab))
	}
	b.noTrouble()
}
