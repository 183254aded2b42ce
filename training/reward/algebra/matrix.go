package algebra

import "astro/training/reward/latex"

// maxCells bounds the entries of a matrix that is computed with, maxCellNodes the formulas in them all: parts are shared, and a
// product of products would grow without bound.
const maxCells, maxCellNodes = 64, 2000

// Fold computes with matrices: sums, products, multiples and determinants become one matrix or one formula. Everything else
// is returned as it is.
func Fold(n *latex.Node) *latex.Node {
	if n.Walk(func(m *latex.Node) bool { return m.Kind != latex.Matrix }) {
		return n
	}
	switch n.Kind {
	case latex.Matrix:
		if n.Name == "det" && square(n) {
			return determinant(n)
		}
		return n
	case latex.Neg:
		return scaled(latex.Integer(-1), Fold(n.Args[0]), n)
	case latex.Add:
		return folded(n, added)
	case latex.Mul:
		return folded(n, multiplied)
	case latex.Div:
		inverse := &latex.Node{Kind: latex.Div, Args: []*latex.Node{latex.Integer(1), n.Args[1]}}
		return scaled(inverse, Fold(n.Args[0]), n)
	case latex.Func:
		if m := n.Args[0]; (n.Name == "det" || n.Name == "abs") && m.Kind == latex.Matrix && square(m) {
			return determinant(m)
		}
	}
	return n
}

func square(m *latex.Node) bool { return m.Cols <= 4 && len(m.Args) == m.Cols*m.Cols }

// folded applies op from left to right, or gives n back where op does not know what to do.
func folded(n *latex.Node, op func(a, b *latex.Node) *latex.Node) *latex.Node {
	result := Fold(n.Args[0])
	for _, a := range n.Args[1:] {
		if result = op(result, Fold(a)); result == nil {
			return n
		}
	}
	return result
}

// isMatrix says that n is a matrix that can be computed with.
func isMatrix(n *latex.Node) bool {
	nodes := 0
	return n.Kind == latex.Matrix && n.Name == "" && len(n.Args) <= maxCells &&
		n.Walk(func(*latex.Node) bool { nodes++; return nodes < maxCellNodes })
}

func make2(kind latex.Kind, a, b *latex.Node) *latex.Node {
	return &latex.Node{Kind: kind, Args: []*latex.Node{a, b}}
}

func added(a, b *latex.Node) *latex.Node {
	switch {
	case a.Kind != latex.Matrix && b.Kind != latex.Matrix:
		return make2(latex.Add, a, b)
	case !isMatrix(a) || !isMatrix(b) || a.Cols != b.Cols || len(a.Args) != len(b.Args):
		return nil
	}
	sum := &latex.Node{Kind: latex.Matrix, Cols: a.Cols}
	for i := range a.Args {
		sum.Args = append(sum.Args, make2(latex.Add, a.Args[i], b.Args[i]))
	}
	return sum
}

func multiplied(a, b *latex.Node) *latex.Node {
	switch {
	case a.Kind != latex.Matrix && b.Kind != latex.Matrix:
		return make2(latex.Mul, a, b)
	case !isMatrix(a):
		return scaled(a, b, nil)
	case !isMatrix(b):
		return scaled(b, a, nil)
	case len(b.Args) != a.Cols*b.Cols:
		return nil
	}
	rows := len(a.Args) / a.Cols
	if rows*b.Cols > maxCells {
		return nil
	}
	product := &latex.Node{Kind: latex.Matrix, Cols: b.Cols}
	for r := range rows {
		for c := range b.Cols {
			cell := &latex.Node{Kind: latex.Add}
			for k := range a.Cols {
				cell.Args = append(cell.Args, make2(latex.Mul, a.Args[r*a.Cols+k], b.Args[k*b.Cols+c]))
			}
			product.Args = append(product.Args, cell)
		}
	}
	return product
}

// scaled multiplies every entry by k; otherwise is the answer when m is no matrix or k is one.
func scaled(k, m, otherwise *latex.Node) *latex.Node {
	if !isMatrix(m) || k.Kind == latex.Matrix {
		return otherwise
	}
	result := &latex.Node{Kind: latex.Matrix, Cols: m.Cols}
	for _, a := range m.Args {
		result.Args = append(result.Args, make2(latex.Mul, k, a))
	}
	return result
}

// determinant by expansion along the first row; m has at most four.
func determinant(m *latex.Node) *latex.Node {
	if m.Cols == 1 {
		return m.Args[0]
	}
	sum := &latex.Node{Kind: latex.Add}
	for c := range m.Cols {
		minor := &latex.Node{Kind: latex.Matrix, Cols: m.Cols - 1}
		for i := m.Cols; i < len(m.Args); i++ {
			if i%m.Cols != c {
				minor.Args = append(minor.Args, m.Args[i])
			}
		}
		term := make2(latex.Mul, m.Args[c], determinant(minor))
		if c%2 == 1 {
			term = &latex.Node{Kind: latex.Neg, Args: []*latex.Node{term}}
		}
		sum.Args = append(sum.Args, term)
	}
	return sum
}
