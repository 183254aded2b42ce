//go:build fault

package feedback_test

import (
	"bytes"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"astro/internal/fault"
)

// killsPerPoint of each point of the store.
const killsPerPoint = 4

// A process that dies at any of the points at which a commit is half done loses nothing that it acknowledged.
func TestKilledAtEachPoint(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, point := range fault.Points() {
		if !strings.HasPrefix(point, "store.") {
			continue
		}
		t.Run(point, func(t *testing.T) {
			v := newVerifier(t)
			acknowledged := 0
			for run := range killsPerPoint {
				times := 1 + r.IntN(100)
				if point == fault.Migrate {
					v, times = newVerifier(t), 1 // only a new file passes it
				}
				v.runAndDie(run, point+":"+strconv.Itoa(times))
				a, _ := v.verify()
				acknowledged += a
			}
			t.Logf("%d kills: %d operations were acknowledged, 0 are missing", killsPerPoint, acknowledged)
			if acknowledged == 0 && point != fault.Migrate {
				t.Error("nothing was acknowledged: the kills come before there is anything to lose")
			}
		})
	}
}

// runAndDie runs a child that kills itself at a point.
func (v *verifier) runAndDie(run int, point string) {
	v.Helper()
	c := v.task(run).command(v.T)
	c.Env = append(c.Env, "ASTRO_FAULT="+point)
	var log bytes.Buffer
	c.Stderr = &log
	if err := c.Start(); err != nil {
		v.Fatal(err)
	}
	timer := time.AfterFunc(time.Minute, func() {
		v.Errorf("the child does not pass %s", point)
		c.Process.Kill()
	})
	defer timer.Stop()
	v.wantKilled(c, &log)
}
