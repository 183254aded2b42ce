package grammar

// infinite is the measure of a node from which no end is reached.
const infinite = int32(1 << 20)

// measures are least solutions over the graph. With them the automaton never begins what it cannot finish.
type measures struct {
	depth []int32 // levels of nesting that reaching the end of the rule needs at least; infinite = it is not reached
	bytes []int32 // bytes that it needs at least, at most maxMeasuredBytes
}

const maxMeasuredBytes = int32(1 << 10)

func measure(g *graph) (measures, error) {
	users := usersOf(g)
	depth, err := solve(g, users, g.depthOf)
	if err != nil {
		return measures{}, err
	}
	bytes, err := solve(g, users, g.bytesOf)
	return measures{depth, bytes}, err
}

// users lists, for each node, the nodes whose measure depends on it: of[start[n]:start[n+1]].
type users struct{ start, of []int32 }

func usersOf(g *graph) users {
	u := users{start: make([]int32, len(g.nodes)+2)}
	each := func(visit func(user, used int32)) {
		for i, n := range g.nodes {
			for _, e := range n.edges {
				visit(int32(i), e.to)
			}
			for _, a := range n.alternatives {
				visit(int32(i), a)
			}
			if n.kind == kindCall || n.kind == kindRepeat {
				visit(int32(i), n.body)
				visit(int32(i), n.next)
			}
		}
	}
	each(func(_, used int32) { u.start[used+2]++ })
	for i := 2; i < len(u.start); i++ {
		u.start[i] += u.start[i-1]
	}
	u.of = make([]int32, u.start[len(u.start)-1])
	each(func(user, used int32) {
		u.of[u.start[used+1]] = user
		u.start[used+1]++
	})
	return u
}

// solve finds the least values that satisfy value[n] = of(n, value), from above.
func solve(g *graph, users users, of func(n *node, value []int32) int32) ([]int32, error) {
	value, queued := make([]int32, len(g.nodes)), make([]bool, len(g.nodes))
	for i := range value {
		value[i] = infinite
	}
	queue := []int32{end}
	for len(queue) > 0 {
		n := queue[0]
		queue, queued[n] = queue[1:], false
		if v := of(&g.nodes[n], value); v < value[n] {
			value[n] = v
			dependent := users.of[users.start[n]:users.start[n+1]]
			if err := g.spend(1 + len(dependent)); err != nil {
				return nil, err
			}
			for _, u := range dependent {
				if !queued[u] {
					queue, queued[u] = append(queue, u), true
				}
			}
		}
	}
	return value, nil
}

func (g *graph) depthOf(n *node, value []int32) int32 {
	switch n.kind {
	case kindBytes, kindSplit:
		return least(n, value)
	case kindCall:
		return min(infinite, max(value[n.body]+int32(g.nodes[n.body].deeper), value[n.next]))
	case kindRepeat:
		if n.min > 0 {
			return max(value[n.body], value[n.next])
		}
		return value[n.next]
	}
	return 0
}

func (g *graph) bytesOf(n *node, value []int32) int32 {
	switch n.kind {
	case kindBytes:
		return capped(1 + int64(least(n, value)))
	case kindSplit:
		return least(n, value)
	case kindCall:
		return capped(int64(value[n.body]) + int64(value[n.next]))
	case kindRepeat:
		return capped(int64(n.min)*int64(value[n.body]) + int64(value[n.next]))
	}
	return 0
}

// capped keeps what is past the maximum equal, so that long chains settle at once.
func capped(v int64) int32 { return int32(min(v, int64(maxMeasuredBytes))) }

func least(n *node, value []int32) int32 {
	v := infinite
	for _, e := range n.edges {
		v = min(v, value[e.to])
	}
	for _, a := range n.alternatives {
		v = min(v, value[a])
	}
	return v
}
