package chat

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// hostile templates and the limit that ends each.
var hostile = []struct{ name, source, limit string }{
	{"long range", `{{ range(10 ** 9) }}`, ""}, // ** is not supported: refused when parsed
	{"large range", `{% for i in range(1000000000) %}{% endfor %}`, "maxSteps"},
	{"range to the end of numbers", `{{ range(9223372036854775806, 9223372036854775807, 9223372036854775807) | length }}`, "none"},
	{"backward range", `{{ range(0, -9000000000000000000, -1) | length }}`, "maxSteps"},
	{"the longest range", `{{ range(-9223372036854775807 - 1, 9223372036854775807) }}`, "maxSteps"},
	{"the longest range, backwards", `{{ range(9223372036854775807, -9223372036854775807 - 1, -9223372036854775807 - 1) | length }}`, "none"},
	{"nested loops", `{% for a in range(999) %}{% for b in range(999) %}{% for c in range(999) %}{% endfor %}{% endfor %}{% endfor %}`, "maxSteps"},
	{"repeated text", `{{ 'a' * 1000000000 }}`, "maxBuiltBytes"},
	{"repeated text, long", `{{ ('abcdefgh' * 1000000) * 1000000000000 }}`, "maxBuiltBytes"},
	{"repeated nothing", `{{ '' * 9223372036854775807 }}`, "maxBuiltBytes"},
	{"repeated list", `{{ ([1] * 1000000000) | length }}`, "maxSteps"},
	{"repeated empty list", `{{ ([] * 9223372036854775807) | length }}`, "none"},
	{"doubled text", `{% set ns = namespace(t='abc') %}{% for i in range(99) %}{% set ns.t = ns.t + ns.t %}{% endfor %}`, "maxBuiltBytes"},
	{"doubled text by output", `{% set ns = namespace(t='abc') %}{% for i in range(99) %}{% set ns.t %}{{ ns.t }}{{ ns.t }}{% endset %}{% endfor %}`, "maxOutputBytes"},
	{"doubled by join", `{% set ns = namespace(t='abc') %}{% for i in range(99) %}{% set ns.t = [ns.t, ns.t] | join %}{% endfor %}`, "maxBuiltBytes"},
	{"doubled by replace", `{% set ns = namespace(t='aaa') %}{% for i in range(99) %}{% set ns.t = ns.t.replace('a', 'aa') %}{% endfor %}`, "max"},
	{"doubled by indent", `{% set ns = namespace(t='a\nb') %}{% for i in range(99) %}{% set ns.t = ns.t | indent(ns.t) %}{% endfor %}`, "max"},
	{"doubled by JSON", `{% set ns = namespace(t='"') %}{% for i in range(99) %}{% set ns.t = ns.t | tojson %}{% endfor %}`, "maxSteps"},
	{"doubled by escape", `{% set ns = namespace(t='&&') %}{% for i in range(99) %}{% set ns.t = (ns.t ~ ns.t) | escape %}{% endfor %}`, "maxBuiltBytes"},
	{"doubled list", `{% set ns = namespace(l=[1]) %}{% for i in range(99) %}{% set ns.l = ns.l + ns.l %}{% endfor %}`, "maxSteps"},
	{"list of lists twice as large at each level", `{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l | tojson }}`, "maxSteps"},
	{"equality of such lists", `{% set ns = namespace(a=[1], b=[1]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}{{ ns.a == ns.b }}`, "maxSteps"},
	{"order of such lists", `{% set ns = namespace(a=[1], b=[1]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}{{ ns.a < ns.b }}`, "maxSteps"},
	{"deep JSON", `{% set ns = namespace(l=[]) %}{% for i in range(9999) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l | tojson }}`, "maxValueDepth"},
	{"deep equality", `{% set ns = namespace(a=[], b=[]) %}{% for i in range(9999) %}{% set ns.a = [ns.a] %}{% set ns.b = [ns.b] %}{% endfor %}{{ ns.a == ns.b }}`, "maxValueDepth"},
	{"deep mapping", `{% set ns = namespace(l={}) %}{% for i in range(9999) %}{% set ns.l = {'a': ns.l} %}{% endfor %}{{ ns.l | tojson }}`, "maxValueDepth"},
	{"large output", `{% set x = 'a' * 1000000 %}{% for i in range(99) %}{{ x }}{% endfor %}`, "maxOutputBytes"},
	{"wide indent of JSON", `{{ [[[[1, 2], 3], 4], 5] | tojson(indent='a' * 99000000) }}`, "maxBuiltBytes"},
	{"wide separators of JSON", `{{ range(9999) | list | tojson(separators=('a' * 99000, ':')) }}`, "maxBuiltBytes"},
	{"many reads of a long text", `{% set x = 'a' * 8000000 %}{% for i in range(99999) %}{{ 'b' in x }}{% endfor %}`, "maxSteps"},
	{"many lengths of a long text", `{% set x = 'a' * 8000000 %}{% for i in range(99999) %}{{ x | length }}{% endfor %}`, "maxSteps"},
	{"many items of a long text", `{% set x = 'a' * 8000000 %}{% for i in range(99999) %}{{ x[-1] }}{% endfor %}`, "maxSteps"},
	{"many comparisons of long texts", `{% set x = 'a' * 8000000 %}{% set y = 'a' * 7999999 ~ 'b' %}{% for i in range(99999) %}{% if x == y or x < y %}{% endif %}{% endfor %}`, "maxSteps"},
	{"many counts", `{% set x = 'a' * 8000000 %}{% for i in range(99999) %}{{ x.count('b') }}{% endfor %}`, "maxSteps"},
	{"many strips", `{% set x = ' ' * 8000000 %}{% for i in range(99999) %}{{ x.strip() }}{% endfor %}`, "maxSteps"},
	{"many upper cases", `{% set x = 'a' * 8000000 %}{% for i in range(99999) %}{% set y = x | upper %}{% endfor %}`, "max"},
	{"split into characters", `{% set x = 'a ' * 200000 %}{{ x.split(' ') | length }}`, "maxSteps"},
	{"split at white space", `{% set x = 'a ' * 200000 %}{{ x.split() | length }}`, "maxSteps"},
	{"lines", `{% set x = 'a\n' * 8000000 %}{{ x.splitlines() | length }}`, "maxSteps"},
	{"characters", `{% for c in 'a' * 8000000 %}{% endfor %}`, "maxSteps"},
	{"list of characters", `{{ ('a' * 8000000) | list | length }}`, "maxSteps"},
	{"backwards", `{{ ('a' * 8000000)[::-1] }}`, "maxSteps"},
	{"sort", `{{ range(500000) | list | sort | first }}`, "maxSteps"},
	{"map to a filter", `{{ range(400000) | map('string') | map('list') | list | length }}`, "maxSteps"},
	{"select within select", `{{ range(3000) | select('in', range(3000) | list | reverse) | list | length }}`, "maxSteps"},
	{"a macro that calls itself", `{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}`, "macro f calls itself"},
	{"macros that call each other", `{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}{{ f() }}`, "macro f calls itself"},
	{"a macro that is handed itself", `{% macro f(g) %}{{ g(g) }}{% endmacro %}{{ f(f) }}`, "macro f calls itself"},
	{"a macro that finds itself in a namespace", `{% set ns = namespace() %}{% macro f() %}{{ ns.f() }}{% endmacro %}{% set ns.f = f %}{{ f() }}`, "macro f calls itself"},
	{"a macro that is its own default", `{% macro f(x=f()) %}{% endmacro %}{{ f() }}`, "macro f calls itself"},
	{"a macro that makes itself anew", `{% macro f() %}{% macro g(h) %}{{ f() }}{% endmacro %}{{ g(g) }}{% endmacro %}{{ f() }}`, "macro f calls itself"},
	{"a macro that filters call", `{% macro f(x) %}{{ [f] | map(attribute='x') | list | length }}{{ f(x) }}{% endmacro %}{{ f(1) }}`, "macro f calls itself"},
	{"a chain of macros", chain(maxCallDepth + 1), "maxCallDepth"},
	{"a chain of macros that is just not too long", chain(maxCallDepth), "none"},
	{"a macro in loops", `{% macro f(x) %}{% for c in range(999) %}{% endfor %}{% endmacro %}{% for a in range(999) %}{% for b in range(999) %}{{ f(a) }}{% endfor %}{% endfor %}`, "maxSteps"},
	{"macros each of which calls another twice", doubling(maxCallDepth), "max"},
	{"a macro with long output", `{% macro f() %}{% for a in range(99) %}{{ 'a' * 1000000 }}{% endfor %}{% endmacro %}{{ f() | length }}`, "max"},
	{"a filter tag with long output", `{% filter upper %}{% for a in range(99) %}{{ 'a' * 1000000 }}{% endfor %}{% endfilter %}`, "max"},
	{"long formats", `{{ strftime_now('%A' * 90000000) }}`, "maxBuiltBytes"},
}

// chain is n macros, each of which calls the one before it.
func chain(n int) string {
	var b strings.Builder
	for i := range n {
		inner := fmt.Sprintf("{{ f%d() }}", i-1)
		fmt.Fprintf(&b, "{%% macro f%d() %%}%s{%% endmacro %%}", i, inner[:len(inner)*min(i, 1)])
	}
	return fmt.Sprintf("%s{{ f%d() }}", b.String(), n-1)
}

// doubling is chain with texts twice as long at each level.
func doubling(n int) string {
	return strings.ReplaceAll(strings.Replace(chain(n), "() %}{%", "() %}{{ 'a' * 4000 }}{%", 1), "() }}{%", "() * 2 }}{%")
}

// TestSec_R16HostileTemplatesEnd: each ends at a limit that its error names. All but an eighth of what a render may spend is spent
// before, so that the test is quick.
func TestSec_R16HostileTemplatesEnd(t *testing.T) {
	for _, h := range hostile {
		t.Run(h.name, func(t *testing.T) {
			template, err := Parse(h.source)
			if err == nil {
				m := newMachine(template, Input{})
				m.steps, m.built = maxSteps/8*7, maxBuiltBytes/8*7
				err = m.execAll(template.body)
			}
			switch {
			case h.limit == "none" && err != nil:
				t.Errorf("got %v; want no error", err)
			case h.limit != "none" && (err == nil || !strings.Contains(err.Error(), h.limit)):
				t.Errorf("got %v; want an error that names %s", err, h.limit)
			}
		})
	}
}

// TestWholeLimits: what Render may spend is what the constants say.
func TestWholeLimits(t *testing.T) {
	for source, limit := range map[string]string{
		`{{ range(900000) | length }}`: "", `{{ range(1000001) | length }}`: "maxSteps", `{% set x = 'a' * 268000000 %}`: "", `{% set x = 'a' * 268435457 %}`: "maxBuiltBytes", `{{ 'a' * 8388608 }}`: "", `{{ 'a' * 8388609 }}`: "maxOutputBytes",
		"{{ [" + strings.Repeat("[", maxParseDepth/2-5) + strings.Repeat("]", maxParseDepth/2-5) + "] | tojson }}": "",
	} {
		template, err := Parse(source)
		if err == nil {
			_, err = template.Render(Input{})
		}
		if limit == "" && err != nil || limit != "" && (err == nil || !strings.Contains(err.Error(), limit)) {
			t.Errorf("%.60s: got %v; want an error only if a limit is passed: %q", source, err, limit)
		}
	}
}

// TestLongConversation: the limits stop what is hostile, not what is long. Every style renders thousands of turns.
func TestLongConversation(t *testing.T) {
	const turns = 4000
	var in Input
	for i := range turns {
		in.Messages = append(in.Messages, Message{Role: []string{"user", "assistant"}[i%2], Content: " a turn of some length, with words in it \n"})
	}
	for _, style := range []string{"chatml", "llama_tools", "mistral", "qwen"} {
		source, err := os.ReadFile(filepath.Join("testdata", style+".jinja"))
		if err != nil {
			t.Fatal(err)
		}
		template, err := Parse(string(source))
		if err != nil {
			t.Fatal(err)
		}
		segments, err := template.WithSpecial(map[string]string{"bos_token": "<s>", "eos_token": "</s>"}).Render(in)
		if n := strings.Count(Join(segments), "a turn of some length"); err != nil || n != turns {
			t.Errorf("%s: got %d turns, %v; want %d", style, n, err, turns)
		}
	}
}

// TestSec_R28ParseDepth: nesting of any kind is refused before it can exhaust the stack, here or when it runs.
func TestSec_R28ParseDepth(t *testing.T) {
	const n = 5000
	for name, source := range map[string]string{
		"brackets": "{{ " + strings.Repeat("(", n) + "1" + strings.Repeat(")", n) + " }}", "lists": "{{ " + strings.Repeat("[", n) + strings.Repeat("]", n) + " }}", "signs": "{{ " + strings.Repeat("-", n) + "1 }}",
		"sums": "{{ 1" + strings.Repeat("+1", n) + " }}", "or": "{{ 1" + strings.Repeat(" or 1", n) + " }}", "if": "{{ 1" + strings.Repeat(" if 1 else 1", n/2) + " }}", "attributes": "{{ a" + strings.Repeat(".a", n) + " }}", "indices": "{{ a" + strings.Repeat("[0]", n) + " }}",
		"filters": "{{ a" + strings.Repeat("|e", n) + " }}", "calls": "{{ a" + strings.Repeat("()", n) + " }}", "mappings": "{{ " + strings.Repeat("{'a':", n) + "1" + strings.Repeat("}", n) + " }}", "arguments": "{{ " + strings.Repeat("a(", n) + strings.Repeat(")", n) + " }}", "tests": "{{ a" + strings.Repeat(" is eq(1)", n) + " }}",
		"loops": strings.Repeat("{% for a in b %}", n/2), "ifs": strings.Repeat("{% if a %}", n), "sets": strings.Repeat("{% set a %}", n), "macros": strings.Repeat("{% macro f() %}", n/2), "filter tags": strings.Repeat("{% filter trim %}", n/2), "filters of a tag": "{% filter " + strings.Repeat("e|", n) + "e %}{% endfilter %}", "ternaries": "{{ " + strings.Repeat("1 if (", n) + "1" + strings.Repeat(")", n) + " }}",
	} {
		if _, err := Parse(source); err == nil || !strings.Contains(err.Error(), "maxParseDepth") {
			t.Errorf("%s: got %.200v; want an error that names maxParseDepth", name, err)
		}
	}
	if _, err := Parse(strings.Repeat("a", maxTemplateBytes+1)); err == nil || !strings.Contains(err.Error(), "maxTemplateBytes") {
		t.Errorf("a long template: got %v; want an error that names maxTemplateBytes", err)
	}
	// What is long without being deep is fine.
	long := "{% if a %}" + strings.Repeat("{% elif a %}", 5000) + "{% endif %}{{ not" + strings.Repeat(" not", 500) + " a < 1" + strings.Repeat(" < 1", 99) + " }}"
	if _, err := Parse(long); err != nil {
		t.Errorf("a long template that is not deep: %v", err)
	}
}

// TestSec_R16InputLimits: what the caller hands in is bounded like what a template makes.
func TestSec_R16InputLimits(t *testing.T) {
	var deep any = "x"
	for range 2 * maxValueDepth {
		deep = []any{deep}
	}
	nested := strings.Repeat(`{"a":[`, maxValueDepth) + strings.Repeat("]}", maxValueDepth)
	for name, c := range map[string]struct {
		in           Input
		source, want string
	}{
		"deep value":        {Input{Vars: map[string]any{"v": deep}}, "{{ v }}", "maxValueDepth"},
		"deep JSON":         {Input{Vars: map[string]any{"v": json.RawMessage(nested)}}, "{{ v }}", "maxValueDepth"},
		"deep tool":         {Input{Tools: []json.RawMessage{json.RawMessage(nested)}}, "{{ tools }}", "maxValueDepth"},
		"many messages":     {Input{Messages: make([]Message, maxSteps/4)}, "{{ messages }}", "maxSteps"},
		"long message":      {Input{Messages: []Message{{Content: strings.Repeat("a", maxOutputBytes+1)}}}, "{{ messages[0].content }}", "maxOutputBytes"},
		"large number":      {Input{Vars: map[string]any{"v": json.RawMessage("123456789012345678901")}}, "{{ v }}", "64 bits"},
		"unknown Go type":   {Input{Vars: map[string]any{"v": struct{}{}}}, "{{ v }}", "struct {}"},
		"bad JSON":          {Input{Vars: map[string]any{"v": json.RawMessage(`{"a" 1}`)}}, "{{ v }}", "read JSON"},
		"unfinished JSON":   {Input{Tools: []json.RawMessage{json.RawMessage(`[1,`)}}, "{{ tools }}", "tool 0"},
		"two JSON values":   {Input{Tools: []json.RawMessage{json.RawMessage(`1 2`)}}, "{{ tools }}", "more than one"},
		"nothing as JSON":   {Input{Tools: []json.RawMessage{nil}}, "{{ tools }}", "read JSON"},
		"bad JSON of extra": {Input{Messages: []Message{{Extra: map[string]any{"x": json.RawMessage(`[`)}}}}, "{{ messages }}", "message 0"},
	} {
		template, err := Parse(c.source)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := template.Render(c.in); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v; want an error with %q", name, err, c.want)
		}
	}
}
