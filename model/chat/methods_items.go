package chat

import "fmt"

// dictMethods are those that change nothing: templates see what others see too.
var dictMethods = map[string]func(m *machine, d *dict, a arguments) (value, error){
	"items":  dictItems,
	"keys":   dictKeys,
	"values": dictValues,
	"get":    dictGet,
}

func dictItems(m *machine, d *dict, a arguments) (value, error) {
	if err := a.bind().err; err != nil {
		return nil, err
	}
	return m.pairs(d)
}

// pairs are the entries as lists of a key and a value.
func (m *machine) pairs(d *dict) (value, error) {
	if err := m.spend(2 * len(d.keys)); err != nil {
		return nil, err
	}
	all := make([]value, len(d.keys))
	for i, key := range d.keys {
		all[i] = &list{items: []value{key, d.values[key.s]}}
	}
	return &list{items: all}, nil
}

func dictKeys(m *machine, d *dict, a arguments) (value, error) {
	if err := a.bind().err; err != nil {
		return nil, err
	}
	return &list{items: values(d.keys)}, m.spend(len(d.keys))
}

func dictValues(m *machine, d *dict, a arguments) (value, error) {
	if err := a.bind().err; err != nil {
		return nil, err
	}
	if err := m.spend(len(d.keys)); err != nil {
		return nil, err
	}
	all := make([]value, len(d.keys))
	for i, key := range d.keys {
		all[i] = d.values[key.s]
	}
	return &list{items: all}, nil
}

func dictGet(_ *machine, d *dict, a arguments) (value, error) {
	b := a.bind("key", "default")
	key, ok := b.value(0).(text)
	if v, known := d.values[key.s]; ok && known || b.err != nil {
		return v, b.err
	}
	if b.values[1] == (undefined{}) {
		return nil, nil
	}
	return b.values[1], nil
}

// listMethods are those that change nothing.
var listMethods = map[string]func(m *machine, l *list, a arguments) (value, error){
	"index": listIndex,
	"count": listCount,
}

func listIndex(m *machine, l *list, a arguments) (value, error) {
	b := a.bind("item")
	item := b.value(0)
	for i, other := range l.items {
		if same, err := equal(m, item, other, 0); same || err != nil {
			return int64(i), err
		}
	}
	b.fail(fmt.Errorf("%s is not in the list", typeName(item)))
	return nil, b.err
}

func listCount(m *machine, l *list, a arguments) (value, error) {
	b := a.bind("item")
	item, n := b.value(0), int64(0)
	for _, other := range l.items {
		same, err := equal(m, item, other, 0)
		if err != nil {
			return nil, err
		}
		if same {
			n++
		}
	}
	return n, b.err
}
