//go:build fault

package main

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"astro/internal/fault"
	"astro/training/checkpoint"
)

// killsPerPoint of each named point.
const killsPerPoint = 3

// A server that dies at any of the points at which a commit, an update, a checkpoint or a swap is half done loses nothing that it
// acknowledged, and the next one finds its way.
func TestServerKilledAtEachPoint(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	kills, acknowledged, missing := 0, 0, 0
	for _, point := range fault.Points() {
		t.Run(point, func(t *testing.T) {
			l := newLearner(t)
			for range killsPerPoint {
				if point == fault.Migrate {
					l = newLearner(t) // only a new file passes it
				}
				l.dieAt(point, timesOf(point, r))
				kills++
			}
			l.audit()
			acknowledged, missing = acknowledged+l.votes(), missing+l.missing
			t.Logf("%d kills: %d feedbacks were acknowledged, %d are missing, %d are there twice; version %d", killsPerPoint, l.votes(), l.missing, l.twice, l.serving)
		})
	}
	t.Logf("%d kills at %d points: %d feedbacks were acknowledged, %d are missing", kills, len(fault.Points()), acknowledged, missing)
}

// timesOf is how often a point is passed before the kill: commits are many, updates few.
func timesOf(point string, r *rand.Rand) int {
	switch {
	case point == fault.Migrate:
		return 1
	case strings.HasPrefix(point, "store."):
		return 2 + r.IntN(60)
	}
	return 1 + r.IntN(3)
}

// dieAt has a server kill itself at a point, looks at what it left, and at what the next one makes of it.
func (l *learner) dieAt(point string, times int) {
	l.Helper()
	p := l.begin("ASTRO_FAULT=" + point + ":" + strconv.Itoa(times))
	var c *crowd
	if url := p.listening(); url != "" {
		c = l.crowded(p, url, 3)
	}
	select {
	case <-p.ended:
	case <-time.After(2 * time.Minute):
		l.Fatalf("the server does not pass %s: %s", point, p.log)
	}
	if p.wantKilled(l.T); !strings.Contains(p.log.String(), "killed at "+point) {
		l.Errorf("it was killed elsewhere than at %s: %s", point, p.log)
	}
	if c != nil {
		c.stop()
		c.work.Wait()
	}
	l.complaints()
	left := l.folders()
	p, url := l.up()
	l.wantFound(point, left, p)
	l.verify(p, url)
	p.kill(l.T)
}

// wantFound wants the log of the next server to name a checkpoint that has no policy.
func (l *learner) wantFound(point string, left []string, p *life) {
	l.Helper()
	const removed = "never published is removed"
	newest := ""
	if len(left) > 0 {
		newest = left[len(left)-1]
	}
	switch point {
	case fault.CheckpointPartial, fault.CheckpointWritten, fault.CheckpointSynced:
		if !strings.HasPrefix(strings.Join(left, " "), checkpoint.HalfPrefix) {
			l.Errorf("%s: the folders are %v; want one that was half written", point, left)
		}
		p.says(l.T, removed)
	case fault.CheckpointRenamed, fault.PublishBefore:
		p.says(l.T, removed)
		p.says(l.T, newest)
	case fault.PublishAfter, fault.SwapAfter:
		p.says(l.T, "policy version\"="+strconv.FormatInt(versionOf(newest), 10))
		if log := p.log.String(); strings.Contains(log, removed) {
			l.Errorf("%s: the folders are %v, the log is %s; want none to be removed", point, left, log)
		}
	}
}
