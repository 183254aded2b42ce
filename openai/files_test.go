package openai

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestReadSupervisedFile(t *testing.T) {
	file := `{"messages":[{"role":"user","content":"2+2?"},{"role":"assistant","content":"4"}]}` + "\r\n\n" + `{"prompt":"1+1=","completion":" 2","tools":null}`
	all, err := ReadTuneFile(strings.NewReader(file), TuneSupervised)
	if err != nil || len(all) != 2 || all[0].Messages[1].Content != "4" || all[0].Line != 1 || all[1].Line != 3 || all[1].Prompt != "1+1=" || all[1].Completion != " 2" || all[0].Item != nil {
		t.Errorf("got %+v, %v", all, err)
	}
}

// A line of reinforcement is an item: what is not the prompt is the grader's.
func TestReadReinforcementFile(t *testing.T) {
	const first = `{"messages":[{"role":"system","content":"add"},{"role":"user","content":"2+2?"}],"answer":"4","about":{"kind":"sum","size":2},"completion":7}`
	all, err := ReadTuneFile(strings.NewReader(first+"\n"+`{"prompt":"1+1=","answer":2}`+"\n"), TuneReinforcement)
	if err != nil || len(all) != 2 || string(all[0].Item) != first || len(all[0].Messages) != 2 || all[1].Prompt != "1+1=" {
		t.Fatalf("got %+v, %v", all, err)
	}
	fields := ItemFields(all[0].Item)
	for name, want := range map[string]string{"answer": "4", "about": `{"kind":"sum","size":2}`, "about.kind": "sum", "about.size": "2", "completion": "7"} {
		if fields[name] != want {
			t.Errorf("%s: got %q; want %q", name, fields[name], want)
		}
	}
	if got := ItemFields(all[1].Item); !reflect.DeepEqual(got, map[string]string{"prompt": "1+1=", "answer": "2"}) {
		t.Errorf("got %v", got)
	}
	if got := ItemFields(nil); len(got) != 0 {
		t.Errorf("no item has the fields %v", got)
	}
}

// Each refusal names the line and what is wrong with it.
func TestReadTuneFileRefuses(t *testing.T) {
	const good = `{"prompt":"a","completion":"b"}` + "\n"
	user, assistant := `{"role":"user","content":"a"}`, `{"role":"assistant","content":"b"}`
	for _, c := range []struct{ kind, line, says string }{
		{TuneSupervised, `{`, "is not JSON"}, {TuneSupervised, `[]`, "expected an object"}, {TuneSupervised, good[:len(good)-1] + "{}", "is not JSON: unexpected text"}, {TuneSupervised, "{\"a\":\"\xff\"}", "UTF-8"},
		{TuneSupervised, `{}`, "either 'messages'"}, {TuneSupervised, `{"prompt":"a"}`, "'completion'"}, {TuneSupervised, `{"completion":"a"}`, "either 'messages'"}, {TuneSupervised, `{"prompt":"a","completion":""}`, "not empty"},
		{TuneSupervised, `{"prompt":"a","prompt":"b"}`, "given twice"}, {TuneSupervised, `{"prompt":"a","completion":"b","messages":[` + assistant + `]}`, "either 'messages'"}, {TuneSupervised, `{"prompt":"a","completion":"b","answer":"c"}`, "'answer'"},
		{TuneSupervised, `{"messages":[` + user + `]}`, "must be the assistant's"}, {TuneSupervised, `{"messages":[]}`, "empty"}, {TuneSupervised, `{"messages":[` + user + `,{"role":"assistant","content":"b","weight":0}]}`, "messages[1].weight"},
		{TuneSupervised, `{"messages":[{"role":"root","content":"a"}]}`, "messages[0].role"}, {TuneSupervised, `{"prompt":"a","completion":"b","tools":[{"type":"function","function":{"name":"f"}}]}`, "need 'messages'"},
		{TuneReinforcement, `{"answer":"4"}`, "either 'messages' or"}, {TuneReinforcement, `{"prompt":""}`, "either 'messages' or"}, {TuneReinforcement, `{"messages":[` + user + `,` + assistant + `]}`, "nothing is left to answer"},
		{TuneReinforcement, `{"prompt":"a","messages":[` + user + `]}`, "either 'messages' or"}, {TuneReinforcement, `{"prompt":7}`, "expected a string"},
	} {
		first := good
		if c.kind == TuneReinforcement {
			first = `{"prompt":"a"}` + "\n"
		}
		all, err := ReadTuneFile(strings.NewReader(first+"\n"+c.line+"\n"), c.kind)
		if err == nil || all != nil || err.Code != "invalid_file" || !strings.Contains(err.Message, "line 3: ") || !strings.Contains(err.Message, c.says) {
			t.Errorf("%s: got %v; want line 3 and %q", c.line, err, c.says)
		}
	}
}

func TestTuneFileIsBounded(t *testing.T) {
	line := `{"prompt":"a","completion":"` + strings.Repeat("b", MaxTuneLineBytes) + `"}`
	for name, c := range map[string]struct{ file, says string }{
		"a long line": {"\n" + line, "line 2 is longer"}, "no lines": {" \n\n", "no lines"}, "nothing": {"", "no lines"}, "many lines": {strings.Repeat("{\"prompt\":\"a\",\"completion\":\"b\"}\n", MaxTuneLines+1), fmt.Sprint("more than ", MaxTuneLines)},
	} {
		if _, err := ReadTuneFile(strings.NewReader(c.file), TuneSupervised); err == nil || !strings.Contains(err.Message, c.says) {
			t.Errorf("%s: got %v; want %q", name, err, c.says)
		}
	}
	just := line[:len(line)-len(`{"prompt":"a","completion":""}`)-2] + `"}`
	if all, err := ReadTuneFile(strings.NewReader(just+"\n"+just), TuneSupervised); err != nil || len(all) != 2 {
		t.Errorf("lines of %d bytes: got %d, %v", len(just), len(all), err)
	}
}

func TestCheckUpload(t *testing.T) {
	if err := CheckUpload("a.jsonl", PurposeFineTune, []byte("{\"anything\":1}\n\n{}")); err != nil {
		t.Error(err)
	}
	if err := CheckUpload("a.bin", PurposeUserData, []byte("\xff\x00")); err != nil {
		t.Error(err)
	}
	for _, c := range []struct{ name, purpose, content, param, code, says string }{
		{"a", "", "{}", "purpose", "missing_required_parameter", ""}, {"a", "assistants", "{}", "purpose", "invalid_value", "fine-tune"}, {"", PurposeFineTune, "{}", "file", "invalid_value", "filename"},
		{"a\nb", PurposeFineTune, "{}", "file", "invalid_value", ""}, {strings.Repeat("a", 256), PurposeFineTune, "{}", "file", "invalid_value", ""}, {"a", PurposeEvals, "", "file", "invalid_file", "empty"},
		{"a", PurposeFineTune, "{}\n{}\n[1]", "file", "invalid_file", "line 3"}, {"a", PurposeFineTune, "{}\nhello", "file", "invalid_file", "line 2"}, {"a", PurposeFineTune, "PAR1\x00\xff", "file", "invalid_file", "line 1"},
	} {
		err := CheckUpload(c.name, c.purpose, []byte(c.content))
		if err == nil || err.Param != c.param || err.Code != c.code || !strings.Contains(err.Message, c.says) {
			t.Errorf("%q for %q: got %+v; want %s about %s", c.name, c.purpose, err, c.code, c.param)
		}
	}
}
