package grammar

// apart says that no value is valid against both a branch of a and one of b, as far as this can be seen from types, constants,
// bounds and, through some levels, properties. What cannot be seen counts as not apart.
func (c *compiler) apart(a, b []branch, levels int) (bool, error) {
	for _, x := range a {
		for _, y := range b {
			apart, err := c.branchesApart(x, y, levels)
			if err != nil || !apart {
				return false, err
			}
		}
	}
	return true, nil
}

func (c *compiler) branchesApart(a, b branch, levels int) (bool, error) {
	f, err := c.gather(a)
	if err != nil {
		return false, err
	}
	g, err := c.gather(b)
	if err != nil {
		return false, err
	}
	common := f.types & g.types
	switch {
	case f.impossible() || g.impossible() || common == noType:
		return true, nil
	case f.finite:
		return c.valuesApart(f, g)
	case g.finite:
		return c.valuesApart(g, f)
	case common&^numeric == noType:
		return intervalsApart(&f.numbers, &g.numbers), nil
	case common == typeObject && levels > 0:
		return c.objectsApart(f, g, levels)
	}
	return false, nil
}

// valuesApart is for a finite f.
func (c *compiler) valuesApart(f, g *facts) (bool, error) {
	known := map[string]bool{}
	for _, v := range g.values {
		known[v.identity()] = true
	}
	for _, v := range f.values {
		both := known[v.identity()]
		if !g.finite {
			if v.is&nested != 0 && v.is&g.types != 0 {
				return false, nil
			}
			ok, err := c.admits(g, v)
			if err != nil {
				return false, err
			}
			both = ok
		}
		if both {
			return false, nil
		}
	}
	return true, nil
}

func intervalsApart(a, b *interval) bool {
	below := func(a, b *interval) bool {
		if a.hi == nil || b.lo == nil {
			return false
		}
		c := a.hi.compare(b.lo.decimal)
		return c < 0 || c == 0 && (a.hi.open || b.lo.open)
	}
	return below(a, b) || below(b, a)
}

// objectsApart looks for a property that one of them requires and whose values are apart.
func (c *compiler) objectsApart(f, g *facts, levels int) (bool, error) {
	for _, name := range append(f.required(), g.required()...) {
		x, err := c.property(f.branch, name)
		if err != nil {
			return false, err
		}
		y, err := c.property(g.branch, name)
		if err != nil {
			return false, err
		}
		a, err := c.expand(x)
		if err != nil {
			return false, err
		}
		b, err := c.expand(y)
		if err != nil {
			return false, err
		}
		if apart, err := c.apart(a, b, levels-1); err != nil || apart {
			return apart, err
		}
	}
	return false, nil
}
