package grpo

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// golden is what testdata/make_golden.py computed with numpy.
type golden struct {
	Now, Behaviour, Advantage, Reference []float32
	Objectives                           []struct {
		Objective Objective
		Terms     []float64
		Stats     map[string]float64
	}
	Groups     [][]float64
	Advantages []struct {
		Scale       Scale
		LeaveOneOut bool `json:"leave_one_out"`
		Advantages  [][]float64
	}
	Norms struct {
		Values        [][]float64
		Full, Longest int
		Means         map[Norm]float64
	}
}

func readGolden(t *testing.T) (g golden) {
	t.Helper()
	text, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

func near(got, want, tolerance float64) bool { return math.Abs(got-want) <= tolerance }

func TestGoldenAdvantages(t *testing.T) {
	g := readGolden(t)
	for _, c := range g.Advantages {
		got := Advantages{c.Scale, c.LeaveOneOut}.Of(g.Groups)
		for i, group := range c.Advantages {
			for j, want := range group {
				if !near(got[i][j], want, 1e-12) {
					t.Errorf("scale %s, leave one out %v: rollout %d of group %d got %g; want %g", c.Scale, c.LeaveOneOut, j, i, got[i][j], want)
				}
			}
		}
	}
}

// Of any group: advantages sum up to 0, keep the order of rewards, do not care about a constant added to all rewards, and are 0 without
// contrast.
func TestAdvantageProperties(t *testing.T) {
	groups := [][]float64{{1, -1, -1, 1, 1}, {3, 2, 2}, {.1, .1, .1}, {-1, 1}}
	for _, a := range []Advantages{{ScaleNone, false}, {ScaleNone, true}, {ScaleGroup, false}, {ScaleBatch, true}} {
		shifted := make([][]float64, len(groups))
		for i, g := range groups {
			for _, r := range g {
				shifted[i] = append(shifted[i], r+5)
			}
		}
		got, moved := a.Of(groups), a.Of(shifted)
		for i, g := range groups {
			sum := 0.0
			for j, x := range got[i] {
				sum += x
				if a.Scale != ScaleBatch && !near(x, moved[i][j], 1e-9) {
					t.Errorf("%+v: %g became %g when all rewards rose", a, x, moved[i][j])
				}
				for k := range g {
					if g[j] > g[k] && got[i][j] <= got[i][k] {
						t.Errorf("%+v: the better rollout %d of group %d has the advantage %g; the worse %g", a, j, i, got[i][j], got[i][k])
					}
				}
				if !Mixed(g) && x != 0 {
					t.Errorf("%+v: a group without contrast has the advantage %g; want exactly 0", a, x)
				}
			}
			if !near(sum, 0, 1e-9) {
				t.Errorf("%+v: the advantages of group %d sum up to %g", a, i, sum)
			}
		}
	}
}

// With rewards of +1 and -1 the advantage is twice that with 1 and 0, and the same when divided by the group's deviation.
func TestRewardScale(t *testing.T) {
	signs, bits := [][]float64{{1, -1, -1, -1}}, [][]float64{{1, 0, 0, 0}}
	for scale, factor := range map[Scale]float64{ScaleNone: 2, ScaleGroup: 1} {
		a := Advantages{Scale: scale}
		for i, x := range a.Of(signs)[0] {
			if want := factor * a.Of(bits)[0][i]; !near(x, want, 1e-5) {
				t.Errorf("scale %s: got %g; want %g", scale, x, want)
			}
		}
	}
}

func TestGoldenNorms(t *testing.T) {
	n := readGolden(t).Norms
	var lengths []int
	for _, v := range n.Values {
		lengths = append(lengths, len(v))
	}
	for _, norm := range []Norm{NormTokens, NormSequences, NormConstant} {
		weights, factor := norm.weigh(lengths, n.Full, n.Longest)
		sum := 0.0
		for i, sequence := range n.Values {
			for _, x := range sequence {
				sum += x * float64(weights[i])
			}
		}
		if got, want := sum*factor, n.Means[norm]; !near(got, want, 1e-7) {
			t.Errorf("%s: got %g; want %g", norm, got, want)
		}
	}
}
