package algebra

import (
	"math/big"

	"astro/training/reward/latex"
	"astro/training/reward/precise"
)

// Proportional says whether a = k*b with one constant k, which is not zero, for all values of the variables. The sign is that
// of k, or 0 when k is not real.
func (j *Judge) Proportional(a, b *latex.Node) (sign int, ok bool) {
	v := &variables{names: map[string]bool{}, integer: map[string]bool{}}
	v.collect(a, nil)
	v.collect(b, nil)
	if v.bad || len(v.names) == 0 || len(v.names) > maxVariables {
		return 0, false
	}
	t := &trial{judge: j, a: a, b: b, vars: v, names: sortedKeys(v.names)}
	m := j.machine(coarseBits)
	defer j.settle(m)
	var first *precise.Number
	valid := 0
	for p := range 2 * len(points) {
		ratio, seen := t.ratio(m, t.point(p%len(points), p >= len(points)))
		if !seen {
			continue
		}
		if ratio.IsZero() || first != nil && !same(m, ratio, *first) {
			return 0, false
		}
		first = &ratio
		if valid++; valid == len(points) {
			break
		}
	}
	if valid < validPoints {
		return 0, false
	}
	if !first.IsReal() {
		return 0, true
	}
	return first.Sign(), true
}

// ratio is a/b at a point. Not seen: a or b has no value there. Zero stands for a ratio that is zero or infinite.
func (t *trial) ratio(m *precise.Machine, at map[string]precise.Number) (ratio precise.Number, seen bool) {
	e := &evaluator{machine: m, vars: at}
	x, err := e.value(t.a)
	if err != nil {
		return ratio, false
	}
	y, err := e.value(t.b)
	if err != nil || x.IsZero() && y.IsZero() {
		return ratio, false
	}
	if y.IsZero() {
		return precise.Int(0), true
	}
	if ratio, err = m.Div(x, y); err != nil {
		return ratio, false
	}
	return ratio, true
}

func same(m *precise.Machine, x, y precise.Number) bool {
	d, err := m.Sub(x, y)
	return err == nil && d.IsZero() && !x.Loose() && !y.Loose()
}

// Linear gives k and c when n = k*x + c in its only variable x, k not zero and real.
func (j *Judge) Linear(n *latex.Node, x string) (k, c precise.Number, ok bool) {
	m := j.machine(coarseBits)
	defer j.settle(m)
	at := func(r *big.Rat) precise.Number {
		v, err := (&evaluator{machine: m, vars: map[string]precise.Number{x: precise.Exact(r)}}).value(n)
		if err != nil {
			ok = false
		}
		return v
	}
	ok = true
	zero, one := at(new(big.Rat)), at(big.NewRat(1, 1))
	others := []*big.Rat{points[0], points[3], points[6]}
	var values []precise.Number
	for _, r := range others {
		values = append(values, at(r))
	}
	if !ok {
		return k, c, false
	}
	k, err := m.Sub(one, zero)
	if err != nil || k.IsZero() || !k.IsReal() || !zero.IsReal() {
		return k, c, false
	}
	for i, r := range others {
		line, err := m.Mul(k, precise.Exact(r))
		if err != nil {
			return k, c, false
		}
		if line, err = m.Add(line, zero); err != nil || !same(m, line, values[i]) {
			return k, c, false
		}
	}
	return k, zero, true
}

// Solve is the x for which k*x + c = 0.
func (j *Judge) Solve(k, c precise.Number) (precise.Number, error) {
	m := j.machine(coarseBits)
	defer j.settle(m)
	x, err := m.Div(c, k)
	if err != nil {
		return x, err
	}
	return m.Neg(x)
}
