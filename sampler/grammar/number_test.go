package grammar

import (
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

var spelledNumber = regexp.MustCompile(`^(0|-?[1-9][0-9]*|-?(0|[1-9][0-9]*)\.[0-9]+)$`)

// TestIntervals: of all short texts of digits, the automaton takes those that are numbers of the interval, by exact arithmetic.
func TestIntervals(t *testing.T) {
	r, v := rand.New(rand.NewPCG(3, 4)), byteVocab(t)
	number := func() string {
		return []string{fmt.Sprint(r.IntN(200) - 100), fmt.Sprintf("%.1f", r.Float64()*40-20), fmt.Sprintf("%.2f", r.Float64()*4-2), "0"}[r.IntN(4)]
	}
	for range 60 {
		kind, lo, hi := []string{"integer", "number"}[r.IntN(2)], number(), number()
		low, high := []string{"minimum", "exclusiveMinimum"}[r.IntN(2)], []string{"maximum", "exclusiveMaximum"}[r.IntN(2)]
		schema := fmt.Sprintf(`{"type":%q,%q:%s,%q:%s`, kind, low, lo, high, hi)
		digits := 100 // that are written after the point at most
		switch r.IntN(4) {
		case 0:
			schema = fmt.Sprintf(`{"type":%q,%q:%s`, kind, low, lo)
		case 1:
			step := []string{"3", "0.5", "0.25", "2", "10"}[r.IntN(5)]
			schema, digits = schema+`,"multipleOf":`+step, max(0, len(step)-2)
		}
		if kind == "integer" || digits == 0 {
			digits = -1 // no point
		}
		schema += "}"
		g, err := Compile(JSONSchema(schema), v, Limits{})
		parsed, _ := parseJSON(schema)
		slow := &validator{parsed}
		for _, text := range numberTexts {
			want := spelledNumber.MatchString(text) && slow.check(parsed, json.Number(text)) == nil && !negativeZero(text) && len(text)-1-strings.IndexByte(text+".", '.') <= digits
			if got := err == nil && matches(g, text); got != want {
				t.Fatalf("%s: the grammar takes %s: %v; want %v (%v)", schema, text, got, want, err)
			}
		}
	}
}

func negativeZero(text string) bool {
	n, _ := new(big.Rat).SetString(text)
	return n.Sign() == 0 && text[0] == '-'
}

var numberTexts = func() (all []string) {
	for i := range 130 {
		all = append(all, fmt.Sprint(i), fmt.Sprint(-i), fmt.Sprintf("%d.0", i), fmt.Sprintf("-%d.5", i))
	}
	for i := range 420 {
		all = append(all, fmt.Sprintf("%.2f", float64(i)/100), fmt.Sprintf("%.2f", -float64(i)/100), fmt.Sprintf("%.1f", float64(i)/10-21))
	}
	return append(all, "00", "01", "-01", "1.999", "-1.001", "0.0001", "-0.0001", "1000", "-1000", "99.999", "10.000", "-20.0000001")
}()

// TestNumbersAreFinite: unbounded numbers fit what parsers use for them.
func TestNumbersAreFinite(t *testing.T) {
	v := byteVocab(t)
	integer, number := compiled(t, JSONSchema(`{"type":"integer"}`), v), compiled(t, JSONSchema(`{"type":"number"}`), v)
	for seed := range uint64(300) {
		text := write(t, integer, seed, 100, nil)
		var i int64
		if _, err := fmt.Sscan(text.bytes, &i); err != nil || !text.ended {
			t.Fatalf("integer %q: %v", text.bytes, err)
		}
		text = write(t, number, seed, 100, nil)
		var f float64
		if _, err := fmt.Sscan(text.bytes, &f); err != nil || !text.ended {
			t.Fatalf("number %q: %v", text.bytes, err)
		}
	}
}

func TestDecimals(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0.", "-0": "0.", "-0.00": "0.", "1.50": "1.5", "-1e2": "-100.", "1.25e1": "12.5", "125e-2": "1.25", "5e-3": "0.005", "1E+2": "100.", "0.10e1": "1.",
	} {
		d, ok := parseDecimal(text)
		got := d.whole + "." + d.part
		if d.negative {
			got = "-" + got
		}
		if !ok || got != want {
			t.Errorf("%s is %s, %v; want %s", text, got, ok, want)
		}
	}
	if _, ok := parseDecimal("1e" + strings.Repeat("9", 30)); ok {
		t.Error("a huge exponent is spelled out")
	}
	list := []string{"-12.5", "-12", "-0.5", "0", "0.25", "0.3", "1", "1.5", "9", "10", "10.01"}
	for i, a := range list {
		for j, b := range list {
			x, _ := parseDecimal(a)
			y, _ := parseDecimal(b)
			if c := x.compare(y); c < 0 != (i < j) || c > 0 != (i > j) {
				t.Errorf("%s compared to %s is %d", a, b, c)
			}
		}
	}
}
