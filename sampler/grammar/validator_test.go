package grammar

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// validator is JSON Schema as its specification reads, written without a look at the compiler: the slow truth.
type validator struct{ root any }

func parseJSON(text string) (any, error) {
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if d.More() || !json.Valid([]byte(text)) {
		return nil, fmt.Errorf("more than one value")
	}
	return v, nil
}

// strictJSON refuses what encoding/json mends: invalid UTF-8 and unpaired surrogates.
func strictJSON(text string) error {
	if !utf8.ValidString(text) {
		return fmt.Errorf("invalid UTF-8")
	}
	rest := regexp.MustCompile(`\\\\`).ReplaceAllString(text, "")
	rest = regexp.MustCompile(`(?i)\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}`).ReplaceAllString(rest, "")
	if bad := regexp.MustCompile(`(?i)\\ud[89a-f][0-9a-f]{2}`).FindString(rest); bad != "" {
		return fmt.Errorf("unpaired surrogate %s", bad)
	}
	return nil
}

// valid says whether the text is JSON that the schema allows.
func valid(schema, text string) error {
	s, err := parseJSON(schema)
	if err != nil {
		return err
	}
	v, err := parseJSON(text)
	if err != nil {
		return err
	}
	if err := strictJSON(text); err != nil {
		return err
	}
	return (&validator{s}).check(s, v)
}

func rat(v any) *big.Rat {
	n, ok := v.(json.Number)
	if !ok {
		return nil
	}
	r, _ := new(big.Rat).SetString(n.String())
	return r
}

func equalJSON(a, b any) bool {
	if x, y := rat(a), rat(b); x != nil && y != nil {
		return x.Cmp(y) == 0
	}
	switch a := a.(type) {
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !equalJSON(a[i], b[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for k := range a {
			if w, ok := b[k]; !ok || !equalJSON(a[k], w) {
				return false
			}
		}
		return true
	case json.Number:
		return false
	}
	if _, ok := b.([]any); ok {
		return false
	}
	if _, ok := b.(map[string]any); ok {
		return false
	}
	return a == b
}

func (c *validator) check(schema, v any) error {
	s, ok := schema.(map[string]any)
	if !ok {
		if schema == false {
			return fmt.Errorf("false allows nothing")
		}
		return nil
	}
	for keyword, arg := range s {
		if err := c.keyword(s, keyword, arg, v); err != nil {
			return fmt.Errorf("%s: %w", keyword, err)
		}
	}
	return nil
}

func (c *validator) keyword(s map[string]any, keyword string, arg, v any) error {
	switch keyword {
	case "type":
		return checkType(arg, v, s["nullable"] == true)
	case "const":
		return must(equalJSON(arg, v), "differs")
	case "enum":
		for _, e := range arg.([]any) {
			if equalJSON(e, v) {
				return nil
			}
		}
		return fmt.Errorf("none is equal")
	case "$ref":
		at := c.root
		for _, name := range strings.Split(strings.TrimPrefix(arg.(string), "#"), "/")[1:] {
			switch x := at.(type) {
			case map[string]any:
				at = x[unescapeName(name)]
			case []any:
				var i int
				fmt.Sscan(name, &i)
				at = x[i]
			}
		}
		return c.check(at, v)
	case "allOf", "anyOf", "oneOf":
		n := 0
		for _, sub := range arg.([]any) {
			if c.check(sub, v) == nil {
				n++
			}
		}
		return must(map[string]bool{"allOf": n == len(arg.([]any)), "anyOf": n > 0, "oneOf": n == 1}[keyword], fmt.Sprint(n, " match"))
	}
	switch v := v.(type) {
	case json.Number:
		return checkNumber(keyword, arg, rat(v))
	case string:
		return checkText(keyword, arg, v)
	case []any:
		return c.checkArray(s, keyword, arg, v)
	case map[string]any:
		return c.checkObject(s, keyword, arg, v)
	}
	return nil
}

func must(ok bool, why string) error {
	if ok {
		return nil
	}
	return fmt.Errorf("%s", why)
}

func checkType(arg, v any, nullable bool) error {
	names, ok := arg.([]any)
	if !ok {
		names = []any{arg}
	}
	for _, name := range names {
		switch x := v.(type) {
		case nil:
			ok = name == "null" || nullable
		case bool:
			ok = name == "boolean"
		case string:
			ok = name == "string"
		case []any:
			ok = name == "array"
		case map[string]any:
			ok = name == "object"
		case json.Number:
			ok = name == "number" || name == "integer" && rat(x).IsInt()
		}
		if ok {
			return nil
		}
	}
	return fmt.Errorf("%v is not %v", v, arg)
}

func checkNumber(keyword string, arg any, n *big.Rat) error {
	limit := rat(arg)
	if limit == nil {
		return nil
	}
	cmp := n.Cmp(limit)
	switch keyword {
	case "minimum":
		return must(cmp >= 0, n.String())
	case "maximum":
		return must(cmp <= 0, n.String())
	case "exclusiveMinimum":
		return must(cmp > 0, n.String())
	case "exclusiveMaximum":
		return must(cmp < 0, n.String())
	case "multipleOf":
		return must(new(big.Rat).Quo(n, limit).IsInt(), n.String())
	}
	return nil
}

func checkText(keyword string, arg any, s string) error {
	n := utf8.RuneCountInString(s)
	switch keyword {
	case "minLength":
		return must(rat(arg).Cmp(big.NewRat(int64(n), 1)) <= 0, s)
	case "maxLength":
		return must(rat(arg).Cmp(big.NewRat(int64(n), 1)) >= 0, s)
	case "pattern":
		return must(regexp.MustCompile(arg.(string)).MatchString(s), s)
	case "format":
		return checkFormat(arg.(string), s)
	}
	return nil
}

var formatPatterns = map[string]string{
	"uuid":     `^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`,
	"email":    `^[^@\s]+@[^@\s.]+(\.[^@\s.]+)+$`,
	"hostname": `^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`,
	"duration": `^P(\d+W|(\d+Y)?(\d+M)?(\d+D)?(T(\d+H)?(\d+M)?(\d+S)?)?)$`,
}

func checkFormat(format, s string) error {
	var err error
	switch format {
	case "date":
		_, err = time.Parse(time.DateOnly, s)
	case "date-time":
		_, err = time.Parse(time.RFC3339Nano, s)
	case "time":
		_, err = time.Parse(time.RFC3339Nano, "2020-01-01T"+s)
	case "ipv4", "ipv6":
		var a netip.Addr
		if a, err = netip.ParseAddr(s); err == nil {
			err = must(a.Is4() == (format == "ipv4"), s)
		}
	case "uri":
		var u *url.URL
		if u, err = url.Parse(s); err == nil {
			err = must(u.IsAbs() && u.Host != "", s)
		}
	case "int32", "int64", "double":
	default:
		err = must(regexp.MustCompile(formatPatterns[format]).MatchString(s), s)
	}
	return err
}

func (c *validator) checkArray(s map[string]any, keyword string, arg any, v []any) error {
	prefix, _ := s["prefixItems"].([]any)
	n := big.NewRat(int64(len(v)), 1)
	switch keyword {
	case "minItems":
		return must(n.Cmp(rat(arg)) >= 0, n.String())
	case "maxItems":
		return must(n.Cmp(rat(arg)) <= 0, n.String())
	case "uniqueItems":
		for i := range v {
			for j := range i {
				if arg == true && equalJSON(v[i], v[j]) {
					return fmt.Errorf("items %d and %d are equal", j, i)
				}
			}
		}
	case "prefixItems":
		for i := range min(len(v), len(prefix)) {
			if err := c.check(prefix[i], v[i]); err != nil {
				return err
			}
		}
	case "items":
		for i := len(prefix); i < len(v); i++ {
			if err := c.check(arg, v[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *validator) checkObject(s map[string]any, keyword string, arg any, v map[string]any) error {
	properties, _ := s["properties"].(map[string]any)
	patterns, _ := s["patternProperties"].(map[string]any)
	n := big.NewRat(int64(len(v)), 1)
	switch keyword {
	case "minProperties":
		return must(n.Cmp(rat(arg)) >= 0, n.String())
	case "maxProperties":
		return must(n.Cmp(rat(arg)) <= 0, n.String())
	case "required":
		for _, name := range arg.([]any) {
			if _, ok := v[name.(string)]; !ok {
				return fmt.Errorf("%q is missing", name)
			}
		}
	}
	for name, value := range v {
		sub, declared := properties[name]
		matched := declared
		if declared && keyword == "properties" {
			if err := c.check(sub, value); err != nil {
				return fmt.Errorf("%q: %w", name, err)
			}
		}
		for pattern, sub := range patterns {
			if !regexp.MustCompile(pattern).MatchString(name) {
				continue
			}
			if matched = true; keyword == "patternProperties" {
				if err := c.check(sub, value); err != nil {
					return fmt.Errorf("%q: %w", name, err)
				}
			}
		}
		if keyword == "additionalProperties" && !matched {
			if err := c.check(arg, value); err != nil {
				return fmt.Errorf("%q: %w", name, err)
			}
		}
	}
	return nil
}

func unescapeName(name string) string {
	name, _ = url.PathUnescape(name)
	return strings.NewReplacer("~1", "/", "~0", "~").Replace(name)
}
