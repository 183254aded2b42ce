// Package strictjson checks JSON files of strangers for what encoding/json lets pass in silence: a name that stands twice in one
// object, where readers differ in which of the two they take.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxDepth is how deep lists and objects may lie in each other. Files of models need five levels.
const maxDepth = 100

// Check refuses a text that is not one JSON value, nests deeper than a hundred levels, or has a name twice in one object.
func Check(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := checkValue(d, 0); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("there is more behind the JSON value")
	}
	return nil
}

func checkValue(d *json.Decoder, depth int) error {
	token, err := d.Token()
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	delim, nested := token.(json.Delim)
	if err != nil || !nested {
		return err
	}
	if depth == maxDepth {
		return fmt.Errorf("it nests more than %d levels", maxDepth)
	}
	names := map[string]bool{}
	for d.More() {
		if delim == '{' {
			if err := checkName(d, names); err != nil {
				return err
			}
		}
		if err := checkValue(d, depth+1); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

// checkName reads the next name of an object.
func checkName(d *json.Decoder, names map[string]bool) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	name, ok := token.(string)
	switch {
	case !ok:
		return fmt.Errorf("%v stands where a name belongs", token)
	case names[name]:
		return fmt.Errorf("the name %.80q is there twice", name)
	}
	names[name] = true
	return nil
}
