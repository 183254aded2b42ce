package chat

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

func intFilter(_ *machine, on value, a arguments) (value, error) {
	b := a.bind("default", "base")
	base := b.integer(1, 10)
	if b.err == nil && base != 0 && (base < 2 || base > 36) {
		b.fail(fmt.Errorf("base is %d; want 0 or 2 to 36", base))
	}
	var otherwise value = int64(0)
	if b.given(0) {
		otherwise = b.values[0]
	}
	switch v := on.(type) {
	case undefined:
		b.fail(fmt.Errorf("%s is no number", typeName(v)))
	case bool, int64:
		n, _ := whole(v)
		return n, b.err
	case float64:
		n, err := truncated(v, otherwise)
		b.fail(err)
		return n, b.err
	case text:
		if b.err == nil {
			return parseInt(v.s, int(base), otherwise)
		}
	}
	return otherwise, b.err
}

// truncated is f towards zero, or otherwise where f is no number or infinite.
func truncated(f float64, otherwise value) (value, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return otherwise, nil
	}
	if f = math.Trunc(f); f < -1<<63 || f >= 1<<63 {
		return nil, errOverflow
	}
	return int64(f), nil
}

func parseInt(s string, base int, otherwise value) (value, error) {
	s = strings.TrimFunc(s, isSpace)
	digits, sign := s, ""
	if strings.HasPrefix(s, "-") || strings.HasPrefix(s, "+") {
		digits, sign = s[1:], s[:1]
	}
	if prefix := map[int]string{2: "0b", 8: "0o", 16: "0x"}[base]; prefix != "" {
		digits = strings.TrimPrefix(strings.ToLower(digits), prefix)
	}
	n, err := strconv.ParseInt(sign+digits, base, 64)
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, strconv.ErrRange):
		return nil, errOverflow
	}
	if f, ok := parseFloat(s); ok {
		return truncated(f, otherwise)
	}
	return otherwise, nil
}

// parseFloat is Python's float(s): decimal only.
func parseFloat(s string) (float64, bool) {
	s = strings.TrimFunc(s, isSpace)
	if strings.ContainsAny(s, "xXpP") {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil || math.IsInf(f, 0)
}

func floatFilter(_ *machine, on value, a arguments) (value, error) {
	b := a.bind("default")
	if t, ok := on.(text); ok {
		if f, ok := parseFloat(t.s); ok {
			return f, b.err
		}
	}
	if isA[undefined](on) {
		b.fail(fmt.Errorf("%s is no number", typeName(on)))
	}
	if f, ok := number(on); ok {
		return f, b.err
	}
	if b.given(0) {
		return b.values[0], b.err
	}
	return 0.0, b.err
}

func absFilter(m *machine, on value, a arguments) (value, error) {
	if err := a.bind().err; err != nil {
		return nil, err
	}
	if f, ok := on.(float64); ok {
		return math.Abs(f), nil
	}
	n, ok := whole(on)
	switch {
	case !ok:
		return nil, fmt.Errorf("%s is no number", typeName(on))
	case n < 0:
		return wholes("-", 0, n)
	}
	return n, nil
}

// maxRoundDigits is where a float has no more digits.
const maxRoundDigits = 15

// roundFilter rounds halves to even, as Python does.
func roundFilter(_ *machine, on value, a arguments) (value, error) {
	b := a.bind("precision", "method")
	digits, method := b.integer(0, 0), b.textOr(1, literal("common")).s
	f, ok := number(on)
	switch {
	case b.err != nil:
		return nil, b.err
	case !ok:
		return nil, fmt.Errorf("%s is no number", typeName(on))
	case digits < 0 || digits > maxRoundDigits:
		return nil, fmt.Errorf("precision is %d; want 0 to %d", digits, maxRoundDigits)
	}
	scale := math.Pow10(int(digits))
	switch method {
	case "floor":
		return math.Floor(f*scale) / scale, nil
	case "ceil":
		return math.Ceil(f*scale) / scale, nil
	case "common":
		if n, ok := whole(on); ok {
			return n, nil
		}
		rounded, _ := parseFloat(strconv.FormatFloat(f, 'f', int(digits), 64))
		return rounded, nil
	}
	return nil, fmt.Errorf("method is %.30q; want common, ceil or floor", method)
}
