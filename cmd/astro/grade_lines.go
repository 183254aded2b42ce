package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"astro/training/reward"
)

// maxGradeLineBytes bounds one line: a response of the longest that is graded, with every byte escaped, and its gold.
const maxGradeLineBytes = 8 * reward.MaxResponseBytes

// gradeLines writes a line for each line of in. What cannot be graded comes out with its reason and an error.
func gradeLines(ctx context.Context, in io.Reader, out io.Writer, o reward.Options) error {
	r, w := bufio.NewReaderSize(in, 1<<16), bufio.NewWriterSize(out, 1<<16)
	for n := 1; ctx.Err() == nil; n++ {
		line, whole, err := readLine(r, maxGradeLineBytes)
		if errors.Is(err, io.EOF) {
			return w.Flush()
		}
		if err != nil {
			return errors.Join(fmt.Errorf("read line %d: %w", n, err), w.Flush())
		}
		w.Write(gradeLine(n, line, whole, o)) // the error stays until Flush
		if r.Buffered() == 0 {                // nothing more to read for now: whoever waits for the answers gets them
			if err := w.Flush(); err != nil {
				return fmt.Errorf("write the verdicts: %w", err)
			}
		}
	}
	return errors.Join(errors.New("stopped"), w.Flush())
}

// readLine returns the next line without its end. Of a line above the limit it drops the rest, and whole is false.
func readLine(r *bufio.Reader, limit int) (line []byte, whole bool, err error) {
	whole = true
	for read := false; ; read = true {
		part, err := r.ReadSlice('\n')
		if whole = whole && len(line)+len(part) <= limit; whole {
			line = append(line, part...)
		}
		switch {
		case err == nil:
			return bytes.TrimRight(line, "\r\n"), whole, nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && (read || len(part) > 0):
			return line, whole, nil
		default:
			return nil, false, err
		}
	}
}

// field is one member of a JSON object.
type field struct {
	name  string
	value json.RawMessage
}

// added are the names of what is added to a line; input of these names is replaced.
var added = map[string]bool{"correct": true, "extracted": true, "rule": true, "equality": true, "reason": true, "cost": true}

// gradeLine is the line that comes out for the n-th one that went in.
func gradeLine(n int, line []byte, whole bool, o reward.Options) []byte {
	if !whole {
		return joinLine([]field{lineNumber(n), message(fmt.Errorf("the line is longer than %d bytes", maxGradeLineBytes))}, grade{Reason: string(reward.ReasonTooLong)})
	}
	fields, err := readFields(line)
	if err != nil {
		return joinLine([]field{lineNumber(n), message(err)}, grade{Reason: string(reward.ReasonMalformed)})
	}
	g, err := gradeFields(fields, o)
	if err != nil {
		fields, g = append(fields, message(err)), grade{Reason: string(reward.ReasonMalformed)}
	}
	return joinLine(fields, g)
}

func lineNumber(n int) field { return field{"line", json.RawMessage(fmt.Sprint(n))} }

func message(err error) field { return field{"error", marshal(err.Error())} }

// gradeFields grades the bare answer of a line, or its response.
func gradeFields(fields []field, o reward.Options) (grade, error) {
	texts, has := map[string]string{}, map[string]bool{}
	for _, f := range fields {
		switch f.name {
		case "gold", "answer", "response":
			text, err := answerText(f.value)
			if err != nil {
				return grade{}, fmt.Errorf("%s is %w", f.name, err)
			}
			texts[f.name], has[f.name] = text, true
		}
	}
	switch {
	case !has["gold"]:
		return grade{}, errors.New("it has no gold")
	case has["answer"] == has["response"]:
		return grade{}, errors.New("want one of answer and response")
	case has["answer"]:
		return gradeAnswer(texts["gold"], texts["answer"], o), nil
	}
	return gradeResponse(texts["gold"], texts["response"], o), nil
}

// answerText reads a string, a number as it is written, or null as nothing.
func answerText(value json.RawMessage) (string, error) {
	var v any
	d := json.NewDecoder(bytes.NewReader(value))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return "", fmt.Errorf("no JSON: %w", err)
	}
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case json.Number:
		return v.String(), nil
	}
	return "", errors.New("no text and no number")
}

// readFields reads an object and keeps the order of its members.
func readFields(line []byte) ([]field, error) {
	if len(bytes.TrimSpace(line)) == 0 {
		return nil, errors.New("the line is empty")
	}
	if !json.Valid(line) {
		return nil, errors.New("the line is not JSON")
	}
	d := json.NewDecoder(bytes.NewReader(line))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, errors.New("the line is no JSON object")
	}
	var fields []field
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("the line is not JSON: %w", err)
		}
		f := field{name: name.(string)} // the key of a valid object
		if err := d.Decode(&f.value); err != nil {
			return nil, fmt.Errorf("the line is not JSON: %w", err)
		}
		if !added[f.name] {
			fields = append(fields, f)
		}
	}
	return fields, nil
}

// joinLine writes the members of a line and those that are added.
func joinLine(fields []field, g grade) []byte {
	b := []byte("{")
	for _, f := range fields {
		b = append(append(append(append(b, marshal(f.name)...), ": "...), f.value...), ", "...)
	}
	return append(append(b, marshal(g)[1:]...), '\n')
}

// marshal is JSON without HTML escaping.
func marshal(v any) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		panic("BUG: got a value without a JSON form (" + err.Error() + "); want plain texts and numbers")
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
