// Package latex reads the short formulas that answers are made of, in LaTeX and in plain notation, into a tree. It never
// expands macros and evaluates nothing: an unknown command is an error, and every size is limited.
package latex

import (
	"errors"
	"math/big"
)

// Limits of what Parse reads. Past them it returns ErrOverLimit.
const (
	MaxBytes  = 4096
	MaxTokens = 4096
	MaxDepth  = 64
	MaxDigits = 2000 // of one number, exponent included
)

// ErrOverLimit is the error of a formula that is longer, deeper or has longer numbers than the limits allow.
var ErrOverLimit = errors.New("over the limit")

// Kind says what a Node is and which of its fields mean something.
type Kind uint8

// Kinds of nodes.
const (
	Num       Kind = iota // Rat; Digits and Places when it is written as a decimal
	Sym                   // Name: a variable, with its subscript
	Const                 // Name: pi, e, i, inf, or dots
	Add                   // Args
	Neg                   // Args[0]
	Mul                   // Args
	Div                   // Args[0] / Args[1]
	Pow                   // Args[0] ^ Args[1]
	Root                  // Args[1]-th root of Args[0]
	PlusMinus             // Args[0] +- Args[1], or +- Args[0]; Name "mp" turns the signs round
	Func                  // Name(Args); a logarithm's base is Args[1]
	Apply                 // Name(Args): an unknown function
	Big                   // Name sum or prod: Args are variable, first, last, body
	Percent               // Args[0] percent
	Degree                // Args[0] degrees
	Unit                  // Args[0] followed by the unit Name; Known says that it is in the list of units
	Tuple                 // Args in the brackets Open and Close
	Set                   // {Args}
	List                  // Args, separated by Name: "," ";" "and" "or"
	SetOp                 // Name cup, cap or setminus: Args
	NamedSet              // Name: R, Q, Z, N, C or empty
	Rel                   // a chain Args[0] Ops[0] Args[1] Ops[1] ...
	Matrix                // Args row by row, Cols to a row; Name "det" for a determinant
	BaseNum               // the digits Name in base Cols
	Ratio                 // Args[0] : Args[1] : ...
	Text                  // the words Name
	Opaque                // Name: a limit, an integral; has a value that is not computed
)

// Node is a formula. Nodes are never changed after Parse; trees may share them.
type Node struct {
	Kind        Kind
	Name        string
	Args        []*Node
	Ops         []string // = != < <= > >= ~ in
	Rat         *big.Rat
	Digits      int // significant digits of a decimal, without leading zeros
	Places      int // digits behind the point, less the exponent
	Decimal     bool
	Known       bool
	Open, Close byte
	Cols        int
}

// Is says that n is a constant or a symbol of that name.
func (n *Node) Is(kind Kind, name string) bool { return n.Kind == kind && n.Name == name }

// Walk calls f for n and all nodes below it, until f says to stop.
func (n *Node) Walk(f func(*Node) bool) bool {
	if !f(n) {
		return false
	}
	for _, a := range n.Args {
		if !a.Walk(f) {
			return false
		}
	}
	return true
}

func node(kind Kind, args ...*Node) *Node { return &Node{Kind: kind, Args: args} }

func named(kind Kind, name string, args ...*Node) *Node {
	return &Node{Kind: kind, Name: name, Args: args}
}

// Integer makes a number.
func Integer(n int64) *Node { return &Node{Kind: Num, Rat: big.NewRat(n, 1)} }
