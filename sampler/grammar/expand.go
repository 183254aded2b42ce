package grammar

import (
	"slices"
	"strconv"
	"strings"
)

// A conjunction is a list of schemas that must all hold. expand follows $ref, allOf, anyOf and oneOf in it until only branches are
// left: lists of plain schemas, whose other keywords say everything. A value is valid if it is so against one branch.

type branch []*value // sorted by id, each once

func (b branch) key() string {
	var key []byte
	for _, v := range b {
		key = append(strconv.AppendInt(key, int64(v.id), 36), ' ')
	}
	return string(key)
}

// with is b with one more schema.
func (b branch) with(v *value) branch {
	i, found := slices.BinarySearchFunc(b, v, func(a, b *value) int { return a.id - b.id })
	if found {
		return b
	}
	return slices.Insert(slices.Clone(b), i, v)
}

// conjunction is a branch of schemas; those that allow everything are left out.
func conjunction(schemas ...*value) branch {
	var b branch
	for _, v := range schemas {
		if !v.isTrue() {
			b = b.with(v)
		}
	}
	return b
}

// choice is an anyOf or oneOf that is still open; from is the one in whose alternative it stands.
type choice struct {
	list      *value
	exclusive bool
	from      *choice
}

// expansion is a conjunction on its way to branches.
type expansion struct {
	plain   branch
	pending []choice
	made    []*value // lists of choices that have been made
	here    []*value // schemas that were flattened since the last choice
}

// expand gives the branches of a conjunction.
func (c *compiler) expand(schemas branch) ([]branch, error) {
	var x expansion
	for _, v := range schemas {
		if err := c.flatten(&x, v, nil, nil); err != nil {
			return nil, err
		}
	}
	return c.branches(x)
}

// flatten adds a schema to x. outer are the schemas in which it stands or which refer to it.
func (c *compiler) flatten(x *expansion, v *value, from *choice, outer []*value) error {
	if err := c.spend(10 + len(v.members) + len(x.plain) + (len(x.here)+len(outer))/4); err != nil {
		return err
	}
	if v.isTrue() || slices.Contains(x.here, v) {
		return nil
	}
	if !c.checked[v] {
		if err := check(v); err != nil {
			return err
		}
		c.checked[v] = true
	}
	x.plain, outer = x.plain.with(v), append(outer, v)
	if ref := v.get("$ref"); ref != nil {
		target, err := c.resolve(ref)
		if err != nil {
			return err
		}
		if slices.Contains(outer, target) {
			return fail(Invalid, ref.pointer(), "$ref leads back to itself without a value in between")
		}
		if err := c.flatten(x, target, from, outer); err != nil {
			return err
		}
	}
	if list := v.get("allOf"); list != nil {
		for _, item := range list.items {
			if err := c.flatten(x, item, from, outer); err != nil {
				return err
			}
		}
	}
	x.here = append(x.here, v)
	for _, name := range []string{"anyOf", "oneOf"} {
		if list := v.get(name); list != nil {
			if err := x.open(choice{list, name == "oneOf", from}); err != nil {
				return err
			}
		}
	}
	return nil
}

// open adds a choice unless it is there or has been made.
func (x *expansion) open(ch choice) error {
	for outer := ch.from; outer != nil; outer = outer.from {
		if outer.list == ch.list {
			return fail(Invalid, ch.list.pointer(), "an alternative leads back to this list without a value in between")
		}
	}
	if slices.Contains(x.made, ch.list) || slices.ContainsFunc(x.pending, func(p choice) bool { return p.list == ch.list }) {
		return nil
	}
	x.pending = append(x.pending, ch)
	return nil
}

// branches makes the open choices, one after the other.
func (c *compiler) branches(x expansion) ([]branch, error) {
	if len(x.pending) == 0 {
		return []branch{x.plain}, c.spend(5)
	}
	ch := x.pending[0]
	var all []branch
	var groups [][]branch
	for _, alternative := range ch.list.items {
		y := expansion{x.plain, slices.Clone(x.pending[1:]), append(slices.Clone(x.made), ch.list), nil}
		if err := c.flatten(&y, alternative, &ch, nil); err != nil {
			return nil, err
		}
		group, err := c.branches(y)
		if err != nil {
			return nil, err
		}
		all, groups = append(all, group...), append(groups, group)
	}
	if ch.exclusive {
		return all, c.exclude(ch.list, groups)
	}
	return all, nil
}

// exclude makes sure that no value is valid against two alternatives of a oneOf.
func (c *compiler) exclude(list *value, groups [][]branch) error {
	for i, a := range groups {
		for j, b := range groups[:i] {
			apart, err := c.apart(a, b, 3)
			if err != nil {
				return err
			}
			if !apart {
				return fail(Unsupported, list.pointer(), "oneOf: a value may match both alternative %d and %d; use anyOf, or make them differ in type or in a required property with const or enum", j, i)
			}
		}
	}
	return nil
}

// resolve finds the target of a $ref: a pointer into this schema.
func (c *compiler) resolve(ref *value) (*value, error) {
	path, local := strings.CutPrefix(ref.text, "#")
	if !local {
		return nil, fail(Unsupported, ref.pointer(), "$ref to %.100q: only pointers into the same schema are supported, such as #/$defs/name", ref.text)
	}
	path, ok := unescapePercent(path)
	if !ok || path != "" && path[0] != '/' {
		return nil, fail(Unsupported, ref.pointer(), "$ref to %.100q: only pointers into the same schema are supported, such as #/$defs/name", ref.text)
	}
	v := c.root
	for name := range strings.SplitSeq(path, "/") {
		if name == "" && v == c.root {
			continue
		}
		name = strings.NewReplacer("~1", "/", "~0", "~").Replace(name)
		if v = v.child(name); v == nil {
			return nil, fail(Invalid, ref.pointer(), "$ref to %.100q: the schema has nothing there", ref.text)
		}
		if err := c.spend(1); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// unescapePercent reads the %XX of the fragment of a URI.
func unescapePercent(s string) (string, bool) {
	var out []byte
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			out = append(out, s[i])
			continue
		}
		if i+3 > len(s) {
			return "", false
		}
		b, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", false
		}
		out, i = append(out, byte(b)), i+2
	}
	return string(out), true
}

func (v *value) child(name string) *value {
	if v.is == typeObject {
		return v.get(name)
	}
	if i, err := strconv.Atoi(name); err == nil && v.is == typeArray && i >= 0 && i < len(v.items) && strconv.Itoa(i) == name {
		return v.items[i]
	}
	return nil
}
