package chat

import (
	"fmt"
	"strings"
	"time"
)

// dateFormats are the parts of Python's strftime in the words of package time, in the C locale.
var dateFormats = map[string]string{
	"Y": "2006", "y": "06", "m": "01", "-m": "1", "B": "January", "b": "Jan", "h": "Jan", "d": "02", "-d": "2", "e": "_2", "j": "002",
	"A": "Monday", "a": "Mon", "H": "15", "I": "03", "-I": "3", "p": "PM", "M": "04", "-M": "4", "S": "05", "-S": "5",
	"Z": "MST", "z": "-0700", "F": "2006-01-02", "T": "15:04:05", "R": "15:04", "D": "01/02/06", "f": "000000",
	"c": "Mon Jan _2 15:04:05 2006", "x": "01/02/06", "X": "15:04:05",
}

// strftime is Python's, without what depends on a locale or on week numbers.
func strftime(m *machine, at time.Time, format string) (string, error) {
	var b strings.Builder
	for {
		literal, rest, found := strings.Cut(format, "%")
		b.WriteString(literal)
		const longestBytes = 24 // of what a % stands for
		if err := m.build(len(literal) + longestBytes); err != nil || !found {
			return b.String(), err
		}
		n := 1
		if strings.HasPrefix(rest, "-") {
			n = 2
		}
		if len(rest) < n {
			return "", fmt.Errorf("the format ends in a lone %%")
		}
		part, err := datePart(at, rest[:n])
		if err != nil {
			return "", err
		}
		b.WriteString(part)
		format = rest[n:]
	}
}

func datePart(at time.Time, key string) (string, error) {
	layout, known := dateFormats[key]
	switch {
	case key == "%" || key == "n" || key == "t":
		return map[string]string{"%": "%", "n": "\n", "t": "\t"}[key], nil
	case key == "f":
		return fmt.Sprintf("%06d", at.Nanosecond()/1000), nil
	case key == "-H":
		return fmt.Sprint(at.Hour()), nil
	case key == "-j":
		return fmt.Sprint(at.YearDay()), nil
	case !known:
		return "", fmt.Errorf("%%%s is not supported in a date's format", key)
	}
	return at.Format(layout), nil
}
