package grammar

// Cache keeps Grammars by the key of their Spec and forgets those used longest ago. It has no lock: whoever shares it has one, and
// compiles outside of it (two that compile the same at once is no harm). A Grammar that it forgets stays good for who holds it.
type Cache struct {
	limitBytes int
	bytes      int
	used       int // counts uses, as a clock
	grammars   map[string]*cached
}

type cached struct {
	grammar *Grammar
	used    int
}

// NewCache keeps Grammars of that many bytes in all, counting each with full caches of its own (Grammar.Bytes).
func NewCache(limitBytes int) *Cache {
	return &Cache{limitBytes: limitBytes, grammars: map[string]*cached{}}
}

// Get is the Grammar that was put under the key, or nil.
func (c *Cache) Get(key string) *Grammar {
	found := c.grammars[key]
	if found == nil {
		return nil
	}
	c.used++
	found.used = c.used
	return found.grammar
}

// Put keeps a Grammar under the key of its Spec; one that is larger than the whole Cache is not kept.
func (c *Cache) Put(key string, g *Grammar) {
	c.drop(key)
	if g.Bytes() > c.limitBytes {
		return
	}
	for c.bytes+g.Bytes() > c.limitBytes {
		c.drop(c.oldest())
	}
	c.used++
	c.grammars[key] = &cached{g, c.used}
	c.bytes += g.Bytes()
}

// Bytes is what the kept Grammars hold at most.
func (c *Cache) Bytes() int { return c.bytes }

func (c *Cache) drop(key string) {
	if found := c.grammars[key]; found != nil {
		c.bytes -= found.grammar.Bytes()
		delete(c.grammars, key)
	}
}

func (c *Cache) oldest() string {
	key, used := "", c.used+1
	for k, g := range c.grammars {
		if g.used < used {
			key, used = k, g.used
		}
	}
	return key
}
