package reward

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"astro/internal/strictjson"
)

// What ParseGrader refuses, besides what is wrong.
var (
	ErrGraderURL         = errors.New("a grader names no address: the operator configures services, and a grader of the type http names one")
	ErrUnsupportedGrader = errors.New("there is no such grader")
)

// Limits of a grader as JSON.
const (
	MaxSpecBytes      = 16 << 10
	maxMultiGraders   = 16
	maxTemplateBytes  = 4 << 10
	maxExpandedBytes  = 2 * MaxResponseBytes // of a template with its values
	defaultLargest    = 999                  // value of a Countdown step
	templateOfOutput  = "{{sample.output_text}}"
	templateOfAnswer  = "{{item.answer}}"
	typeOfNames       = "http"
	unsupportedPython = "python graders are not run: a request is data, never code"
)

// elsewhere are graders of OpenAI that need a model or an interpreter.
var elsewhere = map[string]string{"python": unsupportedPython, "text_similarity": "texts are not compared by likeness", "score_model": "no model judges here",
	"label_model": "no model judges here", "endpoint": "services are named with the type http"}

// ParseGrader makes a grader from JSON: {"type": "string_check" | "numeric" | "math" | "countdown" | "pattern" | "multi" | "http", ...},
// or the name of one, which is looked for in named first and then among the types that need no settings. A grader of the type http is
// one of named. ErrGraderURL, ErrUnsupportedGrader, or an error that says what is wrong.
//
// In its "input" and "reference" {{sample.output_text}} stands for the response, {{item.X}} for the field X of the item (WithFields);
// {{item.answer}} is the known answer where there is no such field. Both are put in as they are, once.
func ParseGrader(text []byte, named map[string]Grader) (Grader, error) {
	if len(text) > MaxSpecBytes {
		return nil, fmt.Errorf("a grader of %d bytes; want at most %d", len(text), MaxSpecBytes)
	}
	if err := strictjson.Check(text); err != nil {
		return nil, fmt.Errorf("a grader is no JSON: %w", err)
	}
	name := ""
	if json.Unmarshal(text, &name) == nil {
		return graderNamed(name, named)
	}
	s, err := readSpec(text, named)
	if err != nil {
		return nil, err
	}
	return s.grader(false)
}

// graderNamed finds one by its name.
func graderNamed(name string, named map[string]Grader) (Grader, error) {
	if g := named[name]; g != nil {
		return g, nil
	}
	if strings.Contains(name, "://") {
		return nil, ErrGraderURL
	}
	if name == "math" || name == "numeric" || name == "countdown" {
		return (&spec{kind: name, members: map[string]json.RawMessage{}, named: named}).grader(false)
	}
	if name == "string_check" {
		return templated{input: templateOfOutput, reference: templateOfAnswer, inner: stringCheck{"eq"}}, nil
	}
	return nil, fmt.Errorf("%w: %.64q is neither configured nor built in as math, numeric, countdown or string_check", ErrUnsupportedGrader, name)
}

// spec is a grader as JSON whose members are taken out one by one.
type spec struct {
	kind    string
	members map[string]json.RawMessage // not taken yet
	named   map[string]Grader
	err     error
}

func readSpec(text []byte, named map[string]Grader) (*spec, error) {
	s := &spec{named: named}
	if err := json.Unmarshal(text, &s.members); err != nil || s.members == nil {
		return nil, errors.New("a grader is an object or a name")
	}
	for member, value := range s.members {
		if isAddress(member) {
			return nil, ErrGraderURL
		}
		if string(value) == "null" {
			delete(s.members, member)
		}
	}
	s.kind = s.text("type", 64)
	if s.err == nil && s.kind == "" {
		s.err = errors.New("a grader needs a 'type'")
	}
	return s, s.err
}

// isAddress says that a member would hold an address.
func isAddress(member string) bool {
	switch strings.ToLower(member) {
	case "url", "uri", "endpoint", "host", "address":
		return true
	}
	return false
}

// take removes a member and reads it; absent leaves to as it is.
func (s *spec) take(member string, to any) (found bool) {
	value, found := s.members[member]
	delete(s.members, member)
	if found && s.err == nil {
		if err := json.Unmarshal(value, to); err != nil {
			s.err = fmt.Errorf("%s grader: '%s' is of the wrong type", s.kind, member)
		}
	}
	return found
}

func (s *spec) text(member string, maxBytes int) (text string) {
	s.take(member, &text)
	if len(text) > maxBytes && s.err == nil {
		s.err = fmt.Errorf("%s grader: '%s' has %d bytes; want at most %d", s.kind, member, len(text), maxBytes)
	}
	return text
}

// grader makes it; inside says that it is part of a multi.
func (s *spec) grader(inside bool) (Grader, error) {
	if why, known := elsewhere[s.kind]; known {
		return nil, fmt.Errorf("%w: %.64q: %s", ErrUnsupportedGrader, s.kind, why)
	}
	build, known := map[string]func(*spec) (Grader, error){"string_check": (*spec).stringCheck, "numeric": (*spec).numeric, "math": (*spec).math,
		"countdown": (*spec).countdown, "pattern": (*spec).pattern, "multi": (*spec).multi, typeOfNames: (*spec).service}[s.kind]
	if !known || inside && s.kind == "multi" {
		return nil, fmt.Errorf("%w: type %.64q; there are string_check, numeric, math, countdown, pattern, http, and multi of these", ErrUnsupportedGrader, s.kind)
	}
	input, reference := s.template("input", templateOfOutput), s.template("reference", templateOfAnswer)
	g, err := build(s)
	s.text("name", 64) // that its owner gave it
	switch {
	case s.err != nil:
		return nil, s.err
	case err != nil:
		return nil, err
	case len(s.members) > 0:
		return nil, fmt.Errorf("%s grader: '%.64s' is unknown", s.kind, slices.Sorted(maps.Keys(s.members))[0])
	case s.kind == "multi":
		return g, nil // its parts have templates
	}
	return templated{input: input, reference: reference, inner: g}, nil
}

// template reads one; its values are known later.
func (s *spec) template(member, otherwise string) string {
	text := otherwise
	if s.take(member, &text) && s.kind == "multi" && s.err == nil {
		s.err = fmt.Errorf("multi grader: '%s' belongs to its graders", member)
	}
	if s.err == nil {
		if s.err = checkTemplate(text); s.err != nil {
			s.err = fmt.Errorf("%s grader: '%s': %w", s.kind, member, s.err)
		}
	}
	return text
}

func (s *spec) stringCheck() (Grader, error) {
	operation := s.text("operation", 64)
	if !slices.Contains([]string{"eq", "ne", "like", "ilike"}, operation) && s.err == nil {
		return nil, fmt.Errorf("string_check grader: operation %.64q; want eq, ne, like or ilike", operation)
	}
	return stringCheck{operation}, nil
}

func (s *spec) numeric() (Grader, error) {
	var tolerance any = "0"
	s.take("tolerance", &tolerance)
	if number, ok := tolerance.(float64); ok {
		tolerance = strings.TrimRight(strings.TrimRight(fmt.Sprintf("%.12f", number), "0"), ".")
	}
	text, ok := tolerance.(string)
	if !ok {
		return nil, errors.New("numeric grader: 'tolerance' is of the wrong type; want a number from 0 to below 1")
	}
	return NewNumeric(text)
}

func (s *spec) math() (Grader, error) { return Math{}, nil }

// countdown is the configured one, if there is one and the spec says nothing else.
func (s *spec) countdown() (Grader, error) {
	largest := float64(defaultLargest) // 2.0 is whole, too: JSON has one kind of number
	if given := s.take("max_value", &largest); !given && s.named["countdown"] != nil {
		return problemInGold{s.named["countdown"]}, nil
	}
	if largest < 1 || largest > defaultLargest || largest != float64(int(largest)) {
		return nil, fmt.Errorf("countdown grader: max_value %v; want a whole number from 1 to %d", largest, defaultLargest)
	}
	return problemInGold{CountdownGrader{Countdown{MaxValue: int(largest)}}}, nil
}

func (s *spec) pattern() (Grader, error) { return NewPattern(s.text("expression", MaxPatternBytes)) }

func (s *spec) service() (Grader, error) {
	name := s.text("name", 64)
	if g := s.named[name]; g != nil {
		return g, nil
	}
	if strings.Contains(name, "://") {
		return nil, ErrGraderURL
	}
	return nil, fmt.Errorf("%w: no service %.64q is configured", ErrUnsupportedGrader, name)
}

func (s *spec) multi() (Grader, error) {
	var parts map[string]json.RawMessage
	s.take("graders", &parts)
	formula := s.text("calculate_output", MaxFormulaBytes)
	if len(parts) == 0 || len(parts) > maxMultiGraders {
		return nil, fmt.Errorf("multi grader: %d graders; want 1 to %d, each by its name", len(parts), maxMultiGraders)
	}
	graders := map[string]Grader{}
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		part, err := readSpec(parts[name], s.named)
		if err == nil {
			graders[name], err = part.grader(true)
		}
		if err != nil {
			return nil, fmt.Errorf("multi grader: %.64q: %w", name, err)
		}
	}
	return NewMulti(formula, graders)
}

// stringCheck compares the response with the known answer as OpenAI's string_check does.
type stringCheck struct{ operation string }

// Grade is 1 where the comparison holds.
func (c stringCheck) Grade(item Item) (Grade, error) {
	if len(item.Response) > MaxResponseBytes {
		return Grade{Reason: ReasonTooLong}, nil
	}
	input, reference := item.Response, item.Gold
	if strings.HasSuffix(c.operation, "like") && reference == "" {
		return Grade{}, errors.New("string_check grader: the reference is empty, which is in every text")
	}
	switch c.operation {
	case "ne":
		return right(input != reference, ""), nil
	case "like":
		return right(strings.Contains(input, reference), ""), nil
	case "ilike":
		return right(strings.Contains(strings.ToLower(input), strings.ToLower(reference)), ""), nil
	}
	return right(input == reference, ""), nil
}

// problemInGold lets the known answer be the problem, for graders whose problem says itself what is right.
type problemInGold struct{ inner Grader }

// Grade asks the inner grader.
func (p problemInGold) Grade(item Item) (Grade, error) {
	if _, err := ParseCountdown(item.Gold); err == nil {
		item.Problem = item.Gold
	}
	return p.inner.Grade(item)
}

// templated puts values into templates before its inner grader sees them.
type templated struct {
	input, reference string
	fields           map[string]string
	inner            Grader
}

// Grade expands both templates. A field that the item does not have is an error.
func (t templated) Grade(item Item) (Grade, error) {
	response, err := t.expand(t.input, item)
	if err != nil {
		return Grade{}, err
	}
	if item.Gold, err = t.expand(t.reference, item); err != nil {
		return Grade{}, err
	}
	item.Response = response
	return t.inner.Grade(item)
}

// WithFields gives a grader of ParseGrader the fields of an item, which {{item.X}} stands for; others know none.
func WithFields(g Grader, fields map[string]string) Grader {
	switch g := g.(type) {
	case templated:
		g.fields = fields
		return g
	case *Multi:
		bound := *g
		bound.graders = map[string]Grader{}
		for name, part := range g.graders {
			bound.graders[name] = WithFields(part, fields)
		}
		return &bound
	}
	return g
}

var placeholder = regexp.MustCompile(`\{\{ *(sample\.output_text|item\.[A-Za-z0-9_.-]{1,64}) *\}\}`)

// checkTemplate refuses placeholders that mean nothing: they would silently compare with their own text.
func checkTemplate(text string) error {
	switch rest := placeholder.ReplaceAllString(text, ""); {
	case len(text) > maxTemplateBytes:
		return fmt.Errorf("a template of %d bytes; want at most %d", len(text), maxTemplateBytes)
	case strings.Contains(rest, "{{"):
		return errors.New("a placeholder is neither {{sample.output_text}} nor {{item.X}}")
	}
	return nil
}

// expand puts the values in. What a value holds is not expanded again.
func (t templated) expand(template string, item Item) (string, error) {
	var err error
	size := len(template)
	text := placeholder.ReplaceAllStringFunc(template, func(found string) string {
		value, ok := t.value(strings.TrimSpace(strings.Trim(found, "{}")), item)
		if !ok && err == nil {
			err = fmt.Errorf("the item has no field for %.80s", found)
		}
		if size += len(value); size > maxExpandedBytes {
			return ""
		}
		return value
	})
	if err == nil && size > maxExpandedBytes {
		err = fmt.Errorf("a template with its values has %d bytes; want at most %d", size, maxExpandedBytes)
	}
	return text, err
}

func (t templated) value(name string, item Item) (string, bool) {
	if name == "sample.output_text" {
		return item.Response, true
	}
	field := strings.TrimPrefix(name, "item.")
	if value, ok := t.fields[field]; ok {
		return value, true
	}
	return item.Gold, field == "answer"
}
