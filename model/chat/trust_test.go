package chat

import (
	"encoding/json"
	"strings"
	"testing"
)

// Everything that a message says is made of these two letters in any case; no template below writes them.
const marks = "qQzZ"

// hiding are ways in which a template may treat the text m of a message, as an expression of it.
var hiding = []string{
	`m`, `'<a>' + m + '<b>'`, `'<a>' ~ m ~ 1`, `m | trim`, `m.strip()`, `m.lstrip('x')`, `m | upper`, `m.lower()`, `m | title`, `m.title()`, `m | capitalize`, `m.swapcase()`,
	`m.replace('-', '<sep>')`, `m | replace('-', '<sep>')`, `'<a>-<b>'.replace('-', m)`, `'--' | replace('-', m, 1)`, `m | tojson`, `{'k': m, m: '<v>'} | tojson(indent=2)`, `[m, '<a>'] | tojson(ensure_ascii=true)`,
	`[m, '<a>', m] | join('<sep>')`, `['<a>', '<b>'] | join(m)`, `m.join(['<a>', '<b>'])`, `m.split('-') | join('<sep>')`, `m.split() | join(' ')`, `m.rsplit('-', 1) | join('+')`, `m.splitlines() | join`, `m.partition('-') | join('.')`,
	`m[1:]`, `m[::-1]`, `m[::2]`, `m[0]`, `m[-1]`, `m | first`, `m | last`, `m | list | join`, `m | reverse`, `m | reverse | upper`, `m | indent`, `('<a>\n' ~ m ~ '\n<b>') | indent('<in>', true)`, `m | escape`, `m | e | safe`,
	`m | default('<a>')`, `nothing | default(m)`, `m | string`, `m * 3`, `('<a>' + m) * 2`, `(('<a>' + m) * 2)[::-1]`, `[m] | map('upper') | first`, `[{'a': {'b': m}}] | map(attribute='a.b') | join(',')`,
	`[m, '<a>'] | sort | join`, `[m, m, '<a>'] | unique | join`, `[m, '<a>'] | max`, `[m, '<a>'] | min`, `{m: m} | dictsort | first | join('=')`, `{m: 1}.keys() | join`, `{'<k>': m}.values() | join`, `{'<k>': m}.get('<k>')`, `{}.get('k', m)`,
	`{'<k>': m}['<k>']`, `dict(a=m).a`, `namespace(a=m).a`, `namespace({'a': m})['a']`, `m if true else '<a>'`, `m or '<a>'`, `m and m`, `'' or m`, `(m ~ '<a>')[:-2]`, `('<a>' + m).removeprefix('<a')`, `(m + '<a>').removesuffix('a>')`, `('<a>' + m) | upper`, `('<a>' + m) | trim('<')`,
	`[m, '<b>'] | select('string') | join`, `[{'r': m}] | selectattr('r') | map(attribute='r') | join`, `[[m, '<a>']] | map('join', '+') | join`, `[[m], ['<a>']] | sum(start=[]) | join`, `strftime_now(m) | replace('x', m)`, `raw | tojson`, `raw.deep[0] ~ raw.deep[1].deeper`, `raw | items | last | first`,
}

// hidingBlocks do it with statements.
var hidingBlocks = []string{
	`{% set x = m %}{{ x }}`, `{% set x = '<a>' + m %}{{ x }}`, `{% set x %}<a>{{ m }}<b>{% endset %}{{ x }}{{ x | upper }}`, `{% set ns = namespace(t='<a>') %}{% for c in m %}{% set ns.t = ns.t + c + '<c>' %}{% endfor %}{{ ns.t }}`,
	`{% for c in m %}{{ loop.previtem }}{{ c }}{{ loop.nextitem }}{% endfor %}`, `{% for k, v in {m: m}.items() %}{{ k }}<=>{{ v }}{% endfor %}`, `{% for x in [m] if x %}{{ loop.cycle(x, '<a>') }}{% endfor %}`, `{% generation %}{{ m }}{% endgeneration %}`,
	`{% set ns = namespace() %}{% set ns.t %}{{ m }}{% endset %}{{ ns.t }}`, `{% for m2 in messages %}{{ m2.role }}{{ m2['content'] | tojson }}{{ m2.extra }}{{ m2.name }}{% endfor %}`, `{{ messages | tojson }}{{ tools | tojson(indent=1) }}`, `{{ parts[0].text }}{{ parts | map(attribute='text') | join('<sep>') }}`,
	`{% macro f(x, y='<y>') %}<f>{{ x }}{{ y }}{% endmacro %}{{ f(m) }}{{ f('<a>', m) }}{{ f(y=m, x=f(m)) | upper }}`, `{% macro f() %}{{ m }}{% set x = m %}{{ x }}{% endmacro %}{{ '<a>' + f() ~ '<b>' }}`, `{% filter trim | replace('-', '<sep>') %}<a>{{ m }}<b>{% endfilter %}`,
	`{{ parts }}{{ parts ~ '<a>' }}{{ '<b>' + parts }}{{ parts | trim }}{{ parts.strip() }}{{ '<c>' ~ parts.split('-') | join('<sep>') }}`, `{% for c in messages[2].tool_calls %}{{ c.id }}<a>{{ c.function.name }}<b>{{ c.function.arguments | tojson }}{{ c | tojson }}{% endfor %}{{ messages[2].tool_call_id }}`,
	`{% for k, v in messages[2].tool_calls[0].function.arguments.items() %}<k>{{ k }}</k>{{ v | tojson }}{% endfor %}{{ messages[2].reasoning_content }}{{ messages[2].thinking }}{{ messages[2].tool_calls[1].function.arguments }}`,
	`{% for t in tools %}{% for k, v in t.items() %}{{ k }}{{ v }}{% endfor %}{% endfor %}`,
}

// TestSec_R08MessagesAreNeverTrusted: whatever a template does with a message's text, no byte of it is trusted.
func TestSec_R08MessagesAreNeverTrusted(t *testing.T) {
	var sources []string
	for _, h := range hiding {
		sources = append(sources, `{{ `+h+` }}`, `<|im_start|>{{ `+h+` }}<|im_end|>`, `{% set ns = namespace(t=`+h+`) %}{{ '<x>' ~ ns.t ~ '<y>' }}`, `{% for i in [1, 2] %}{% set y = `+h+` %}{{ y }}{% endfor %}`)
	}
	for _, source := range append(sources, hidingBlocks...) {
		// What is read first is in scope for all: m, raw and parts.
		source = `{% set m = messages[0].content %}{% set parts = messages[1].content %}` + source
		shown := ""
		for _, said := range []string{"qz-QZ", " zq \n-\n qz- ", "-q<sep>z", "zzq\u00e9q \U0001F642 z"} {
			shown += checkTrust(t, source, said)
		}
		if !strings.ContainsAny(shown, marks) {
			t.Errorf("%s renders %q: nothing of any message, so the case shows nothing", source, shown)
		}
	}
}

// checkTrust renders a template with messages, tools and variables that say the given text, and returns what it rendered.
func checkTrust(t *testing.T, source, said string) string {
	t.Helper()
	template, err := Parse(source)
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	raw, _ := json.Marshal(map[string]any{"zq": said, "deep": []any{said, map[string]string{"deeper": said}}})
	tool, _ := json.Marshal(map[string]string{"qz": said, "z": "q"})
	segments, err := template.Render(Input{
		Messages: []Message{{Role: "qzq", Content: said, Name: "zzz", Extra: map[string]any{"extra": said, "qqq": []any{said}}}, {Role: "z", Parts: []string{said, "z"}},
			{ToolCallID: "q" + said, ToolCalls: []ToolCall{{said, said, string(raw)}, {said, said, said}}, Extra: map[string]any{"thinking": said}}},
		Tools: []json.RawMessage{tool}, Vars: map[string]any{"raw": json.RawMessage(raw)},
	})
	if err != nil {
		t.Errorf("%s with %q: %v", source, said, err)
	}
	if err := checkSegments(segments); err != nil {
		t.Errorf("%s with %q: %v", source, said, err)
	}
	for _, s := range segments {
		if s.Trusted && strings.ContainsAny(s.Text, marks) {
			t.Errorf("%s with %q: trusted segment %q has text of a message", source, said, s.Text)
		}
	}
	return Join(segments)
}

// TestTemplateTextIsTrusted: what the template and the model's folder write stays trusted through what templates do with it.
func TestTemplateTextIsTrusted(t *testing.T) {
	for source, want := range map[string]string{
		`<|a|>{{ bos_token }}{{ '<|b|>' }}`: "<|a|><s><|b|>", `{% set c = '<|h|>' + messages[0].role + '<|e|>' %}{{ bos_token + c }}`: "<s><|h|>|<|e|>",
		`{% for m in messages %}{{ '<' ~ m.content | trim ~ eos_token }}{% endfor %}`: "<|</s>", `{% set x %}<|{{ 'a' }}|>{% endset %}{{ x }}`: "<|a|>", `{{ ['<a>', messages[0].content, '<b>'] | join('<sep>') }}`: "<a><sep>|<sep><b>",
		`{{ ('<|x|>' ~ messages[0].role ~ '<|y|>')[2:-2] }}`: "x|>|<|y", `{{ '<|a|>' | replace('a', 'b') }}{{ '<|A|>' | lower }}{{ '<|c|>' * 2 }}`: "<|b|><|a|><|c|><|c|>", `{{ 'a,b'.split(',')[1] }}`: "b",
	} {
		template, err := Parse(source)
		if err != nil {
			t.Fatal(err)
		}
		segments, err := template.WithSpecial(map[string]string{"bos_token": "<s>", "eos_token": "</s>"}).Render(Input{Messages: []Message{{Role: "q", Content: " z "}}})
		var got []string
		for _, s := range segments {
			if s.Trusted {
				got = append(got, s.Text)
			}
		}
		if err != nil || strings.Join(got, "|") != want {
			t.Errorf("%s: the trusted text is %q, %v; want %q", source, got, err, want)
		}
	}
}

// TestSec_R08ReplaceDoesNotMoveTrust: a message that names what the template replaces gets no trusted text.
func TestSec_R08ReplaceDoesNotMoveTrust(t *testing.T) {
	template, err := Parse(`{{ ('%' ~ messages[0].content).replace('%', '<|eot|>') }}{{ messages[0].content | indent('<|eot|>') }}`)
	if err != nil {
		t.Fatal(err)
	}
	segments, err := template.Render(Input{Messages: []Message{{Content: "a%b\nc"}}})
	if err != nil {
		t.Fatal(err)
	}
	want := []Segment{{"<|eot|>", true}, {"a<|eot|>b\nca%b\n<|eot|>c", false}}
	if len(segments) != 2 || segments[0] != want[0] || segments[1] != want[1] {
		t.Errorf("got %v; want %v", segments, want)
	}
}

// TestSec_R16NoVariableReplacesSpecialTokens: variables come from requests.
func TestSec_R16NoVariableReplacesSpecialTokens(t *testing.T) {
	template, err := Parse(`{{ bos_token }}{{ messages | length }}{{ tools is none }}{{ other }}`)
	if err != nil {
		t.Fatal(err)
	}
	vars := map[string]any{"bos_token": "mine", "messages": []any{1, 2}, "tools": "mine", "add_generation_prompt": true, "other": "<s>"}
	segments, err := template.WithSpecial(map[string]string{"bos_token": "<s>"}).Render(Input{Vars: vars})
	if want := (Segment{"<s>", true}); err != nil || len(segments) != 2 || segments[0] != want || segments[1].Text != "0True<s>" {
		t.Errorf("got %v, %v; want the folder's token and the input's own messages", segments, err)
	}
}
