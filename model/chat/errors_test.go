package chat

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestErrorsNameConstructAndLine: who reads the error can find the place in the template.
func TestErrorsNameConstructAndLine(t *testing.T) {
	for source, want := range map[string]string{
		// when parsed
		"a\n{% macro f() %}": "line 2: {% endmacro %} is missing", "{% include 'x' %}": "line 1: {% include %} is not supported", "\n{% import 'x' as y %}": "line 2: {% import %} is not supported", "{% from 'x' import y %}": "{% from %} is not supported", "{% extends 'x' %}": "{% extends %} is not supported",
		"{% block x %}": "{% block %} is not supported", "{% call f() %}": "{% call %} is not supported", "{% do f() %}": "{% do %} is not supported", "{% macro f(a=1, b) %}": "parameter b without a default", "{% macro 1() %}": "want the macro's name", "{% macro f(1) %}": "want a parameter's name", "{% macro f() %}{{ varargs }}{% endmacro %}": "varargs in a macro is not supported",
		"{% macro f() %}{{ caller() }}{% endmacro %}": "caller in a macro is not supported", "{% for a in b %}{% macro f() %}{% break %}{% endmacro %}{% endfor %}": "break outside a loop", "{% for a in b %}{% filter trim %}{% continue %}{% endfilter %}{% endfor %}": "continue outside a loop", "{% filter nofilter %}": "unknown filter nofilter",
		"{% if true %}{{ 1 | nofilter }}{% endif %}": "line 1: unknown filter nofilter", "{% if 1 is notest %}{% endif %}": "line 1: unknown test notest",
		"\n\n{% frobnicate %}": "line 3: unknown tag {% frobnicate %}",
		"\n{{ x | nofilter }}": "line 2: unknown filter nofilter", "{{ x is notest }}": "line 1: unknown test notest", "{% for a in b %}\n": "{% endfor %} is missing", "{% if a %}\n\n{{ 1 + }}": "line 3: unexpected }}", "{{ 'abc": "line 1: a string has no end '",
		"\n{{ @ }}": "line 2: unexpected character '@'", "{% for a in b recursive %}": "recursive", "{{ a[1:2:3:4] }}": "two colons", "{{ f(a=1, 2) }}": "an argument without a name", "{% continue %}": "continue outside a loop", "\n{# ": "line 2: a comment has no end", "{{ '\\xzz' }}": `bad escape \x`,
		"{% set a.b.c = 1 %}": "want =", "{{ 1 is odd is even }}": "a test of a test",
		// when rendered
		"{% macro f(a) %}{{ 1 / 0 }}{% endmacro %}\n\n{{ f() }}": "line 1: f(): operator /: division by zero", "{% macro f(a) %}{% endmacro %}\n{{ f(1, 2) }}": "line 2: f(): got 2 arguments; want at most 1", "{% macro f(a) %}{% endmacro %}{{ f(1, a=2) }}": "two values for argument a", "{% macro f(a) %}{% endmacro %}{{ f(b=2) }}": "there is no argument b",
		"{% macro f() %}{% if true %}\n{{ f() }}{% endif %}{% endmacro %}{{ f() }}": "line 2: f(): f(): macro f calls itself", "{{ f() }}{% macro f() %}{% endmacro %}": "undefined f is not a function",
		"{{ ''.__class__ }}": `the attribute "__class__" is refused`, "{{ ''['__class__'] }}": `"__class__" is refused`, "{{ messages | attr('__init__') }}": `"__init__" is refused`, "{{ [messages] | map(attribute='__doc__') | list }}": `"__doc__" is refused`, "{{ range.__globals__ }}": `"__globals__" is refused`, "{{ {}.__len__() }}": `"__len__" is refused`,
		"{% set ns = namespace(_x=1) %}": `a namespace cannot hold "_x"`, "{% set ns = namespace() %}{% set ns.__class__ = 1 %}": `a namespace cannot hold "__class__"`,
		"\n{{ nothing.x }}": "line 2: .x of undefined nothing", "{{ messages.nothing.x }}": `.x of undefined "nothing" of a list`, "{{ nothing() }}": "line 1: undefined nothing is not a function", "\n{% if true %}\n{{ 1 + 'a' }}\n{% endif %}": "line 3: a number + a string",
		"{{ messages }}": "line 1: a list cannot be printed; tojson or join", "{{ 'a' | round }}": "filter round: a string is no number", "{{ 'a' is divisibleby }}": "test divisibleby: argument num is missing", "{{ 'a'.strip(1) }}": "strip(): argument chars is a number; want a string",
		"{{ 'a'.split('') }}": "split(): the separator is empty", "{{ range('a') }}": "range(): argument stop is a string; want an integer", "{{ 'a' | join(sep='x') }}": "filter join: there is no argument sep", "{{ 'a' | default('b', default_value='c') }}": "two values for argument default_value",
		"{{ 'a'.replace('', 'b') }}": "the text to replace is empty", "\n\n{% for a, b in [1] %}{% endfor %}": "line 3: for: a number does not unpack into 2 names", "{% for a in 5 %}{% endfor %}": "a number cannot be looped over", "{% set d = {} %}{% set d.x = 1 %}": "only a namespace() can be changed",
		"{% set x %}\n\n{{ 1 / 0 }}{% endset %}": "line 3: operator /: division by zero", "{{ 9223372036854775807 + 1 }}": "beyond 64 bits", "{{ 99999999999999999999 }}": "the number 99999999999999999999 is too large", "{{ '99999999999999999999' | int }}": "filter int: the result is beyond 64 bits", "{{ ('1e30' | float) | int }}": "beyond 64 bits", "{{ {1: 2} }}": "only strings are supported", "{{ strftime_now('%U') }}": "strftime_now(): %U is not supported",
		"{{ strftime_now('%') }}": "lone %", "{{ nothing | tojson }}": "undefined nothing cannot be written as JSON", "{{ messages | map('nofilter') }}": "filter map: there is no such filter", "{{ messages | select('notest') }}": "filter select: there is no such test", "{{ 'a' is sameas 'a' }}": "use ==",
	} {
		template, err := Parse(source)
		if err == nil {
			_, err = template.Render(Input{})
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "line ") {
			t.Errorf("%q: got %v; want an error with %q and a line", source, err, want)
		}
	}
}

// TestRefusal: a template's own refusal can be told from its mistakes, wherever it is raised.
func TestRefusal(t *testing.T) {
	for _, source := range []string{"{{ raise_exception('no ' ~ 1) }}", "{% for a in [1] %}{% set x %}{% if true %}{{ raise_exception('no 1') | upper }}{% endif %}{% endset %}{% endfor %}", "{{ [raise_exception('no 1')] }}"} {
		template, err := Parse("\n" + source)
		if err != nil {
			t.Fatal(err)
		}
		_, err = template.Render(Input{})
		var refused *RefusedError
		if !errors.As(err, &refused) || refused.Reason != "no 1" {
			t.Errorf("%s: got %v; want a RefusedError with the reason", source, err)
		} else if want := "render chat template: line 2: the template refuses the conversation: no 1"; err.Error() != want {
			t.Errorf("%s: got the message %q; want %q", source, err, want)
		}
	}
	template, _ := Parse("{{ nothing.x }}")
	if _, err := template.Render(Input{}); errors.As(err, new(*RefusedError)) {
		t.Errorf("a mistake in the template: got %v, a RefusedError", err)
	}
}

// TestLoad: where a model's folder may keep its template and its special tokens.
func TestLoad(t *testing.T) {
	const tokens = `"bos_token": "<s>", "eos_token": {"content": "</s>"}, "unk_token": null, "other": "x"`
	for name, c := range map[string]struct{ config, file, want, err string }{
		"in the config":       {`{"chat_template": "{{ bos_token }}a{{ eos_token }}{{ unk_token }}{{ other }}", ` + tokens + `}`, "", "<s>a</s>", ""},
		"named ones":          {`{"chat_template": [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]}`, "", "d", ""},
		"a file of its own":   {`{"chat_template": "config", ` + tokens + `}`, "file{{ eos_token }}", "file</s>", ""},
		"only the file":       {"", "file", "file", ""},
		"none":                {`{` + tokens + `}`, "", "", ErrNoTemplate.Error()},
		"null":                {`{"chat_template": null}`, "", "", ErrNoTemplate.Error()},
		"an empty folder":     {"", "", "", ErrNoTemplate.Error()},
		"no default":          {`{"chat_template": [{"name": "rag", "template": "r"}]}`, "", "", `["rag"] but none named default`},
		"not a template":      {`{"chat_template": 5}`, "", "", "neither a string nor a list"},
		"not JSON":            {`{"chat_template": `, "", "", "parse tokenizer_config.json"},
		"a faulty template":   {`{"chat_template": "{{ x"}`, "", "", "line 1"},
		"a template too long": {"", strings.Repeat("a", maxTemplateBytes+1), "", "more than 65536 bytes"},
		"a config too long":   {strings.Repeat(" ", maxConfigBytes+1), "", "", "more than 16777216 bytes"},
	} {
		dir := t.TempDir()
		for file, content := range map[string]string{"tokenizer_config.json": c.config, "chat_template.jinja": c.file} {
			if content != "" {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		got, err := renderFolder(dir)
		if c.err == "" && (err != nil || got != c.want) || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: got %q, %v; want %q, error %q", name, got, err, c.want, c.err)
		}
	}
}

func renderFolder(dir string) (string, error) {
	template, err := Load(dir)
	if err != nil {
		return "", err
	}
	segments, err := template.Render(Input{})
	return Join(segments), err
}

// TestSharedTemplate: goroutines render one template at a time of their own choosing, each with its own conversation.
func TestSharedTemplate(t *testing.T) {
	source, err := os.ReadFile("testdata/qwen.jinja")
	if err != nil {
		t.Fatal(err)
	}
	template, err := Parse(string(source))
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 8 {
		said := strings.Repeat("x", i)
		want := "<|im_start|>system\n" + said + "<|im_end|>\n<|im_start|>user\n" + said + "<|im_end|>\n<|im_start|>assistant\n"
		all.Go(func() {
			for range 50 {
				segments, err := template.Render(Input{Messages: []Message{{Role: "system", Content: said}, {Role: "user", Content: said}}, AddGenerationPrompt: true})
				if got := Join(segments); err != nil || got != want {
					t.Errorf("got %q, %v; want %q", got, err, want)
				}
			}
		})
	}
	all.Wait()
}

// TestInvalidUTF8 becomes U+FFFD, wherever it comes from.
func TestInvalidUTF8(t *testing.T) {
	template, err := Parse("\xff{{ messages[0].content }}{{ messages[0]['k\uFFFD'] }}{{ v }}{{ bos_token }}{{ '\\xff' }}")
	if err != nil {
		t.Fatal(err)
	}
	segments, err := template.WithSpecial(map[string]string{"bos_token": "s\xff"}).Render(Input{
		Messages: []Message{{Content: "c\xff", Extra: map[string]any{"k\xff": "e\xff"}}}, Vars: map[string]any{"v": "v\xff"}})
	if got, want := Join(segments), "\uFFFDc\uFFFDe\uFFFDv\uFFFDs\uFFFD\u00ff"; err != nil || got != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}
