package main

import (
	"fmt"
	"testing"
)

// candidates are the versions that GET /learning shows as waiting.
func candidates(url string) (all []int64) {
	list, _ := send("GET", url+"/learning", nil).body["candidates"].([]any)
	for _, v := range list {
		all = append(all, int64(v.(float64)))
	}
	return all
}

// answeredBy is the version that a chat request got; 0 = none answered.
func answeredBy(url, model string) int64 {
	a := askChat(url, map[string]any{"model": model, "return_weight_versions": true})
	choices, _ := a.body["choices"].([]any)
	if len(choices) != 1 {
		return 0
	}
	versions, _ := choices[0].(map[string]any)["weight_versions"].([]any)
	if len(versions) != 1 {
		return 0
	}
	return int64(versions[0].(map[string]any)["version"].(float64))
}

// With --learn-publish manual what was learned waits: it answers by name, is served after somebody promotes it, and only that survives a
// restart as the served one.
func TestManualPublish(t *testing.T) {
	l := newLearner(t, "--learn-publish", "manual")
	p, url := l.up()
	c := l.crowded(p, url, 2)
	eventuallyTrue(t, "two candidates", func() bool { return len(candidates(url)) >= 2 || p.dead() })
	if a := send("POST", url+"/learning/pause", nil); a.status != 200 || a.word("publish") != "manual" {
		t.Errorf("pause: %d %s", a.status, a.text)
	}
	c.stop()
	c.work.Wait()
	eventuallyTrue(t, "the pause", func() bool { return send("GET", url+"/learning", nil).word("phase") == "wait" })
	wait := candidates(url)
	if v := answeredBy(url, "m"); v != 1 || l.seen() != 1 {
		t.Errorf("version %d answers, %d was seen as served; want 1", v, l.seen())
	}
	newest := wait[len(wait)-1]
	if v := answeredBy(url, fmt.Sprintf("m@v%d", newest)); v != newest {
		t.Errorf("version %d answers for %d", v, newest)
	}
	policy := send("POST", fmt.Sprintf("%s/v1/policies/%d/promote", url, wait[0]), nil)
	if v := answeredBy(url, "m"); policy.status != 200 || policy.word("state") != "serving" || policy.body["waiting"] != false || v != wait[0] {
		t.Errorf("the promotion: %s; version %d answers; want %d", policy.text, v, wait[0])
	}
	p.stop(t)
	p, url = l.up()
	if v := answeredBy(url, "m"); v != wait[0] {
		t.Errorf("after a restart version %d answers; want the promoted %d", v, wait[0])
	}
	if got := candidates(url); len(got) < len(wait)-1 || got[0] != wait[1] {
		t.Errorf("after a restart %v wait; want %v", got, wait[1:])
	}
	if a := send("POST", fmt.Sprintf("%s/v1/policies/%d/rollback", url, wait[0]), nil); a.status != 200 {
		t.Errorf("giving up what waits: %d %s", a.status, a.text)
	}
	if got := candidates(url); len(got) > 0 && got[0] <= newest {
		t.Errorf("after giving up %v wait", got)
	}
	p.stop(t)
	l.complaints()
}

// A word that is none of the two is refused with both.
func TestLearnPublishIsChecked(t *testing.T) {
	l := newLearner(t, "--learn-publish", "never")
	p := l.begin()
	if url := p.listening(); url != "" {
		t.Fatal("it listens")
	}
	<-p.ended
	if !p.logs(`--learn-publish "never": want auto or manual`) {
		t.Errorf("the log: %s", p.log)
	}
}
