package server

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/valyala/fasthttp"

	"astro/feedback"
	"astro/openai"
)

// Grapher makes a graph of the steps of a reasoning text: one to send as JSON, and the same in the language DOT. An error says why the
// text has none.
type Grapher func(problem, text string) (graph any, dot string, err error)

// Trees are search trees to look at; a feedback.Store has some. Errors: feedback.ErrUnknown.
type Trees interface {
	Trees(ctx context.Context, limit int) ([]feedback.Tree, error)
	Tree(ctx context.Context, id string) (feedback.Tree, error)
}

// maxTrees bounds a list, since each tree is read to say what it is.
const maxTrees = 100

// graph is POST /reasoning/graph.
func (s *Server) graph(ctx *fasthttp.RequestCtx, _ string) *openai.Error {
	q, err := openai.DecodeGraphRequest(ctx.PostBody())
	if err != nil {
		return err
	}
	if s.Grapher == nil {
		return openai.Off("graph_off", "This server makes no graphs of reasoning.")
	}
	nodes, dot, bad := s.Grapher(q.Problem, q.Text)
	switch {
	case bad != nil:
		return openai.Invalid("text", "invalid_value", "Invalid 'text': there is no graph of it: %s.", clipReason(bad))
	case q.DOT:
		writeJSON(ctx, openai.Object{"dot": dot})
	default:
		writeJSON(ctx, nodes)
	}
	return nil
}

// treeJSON is what is read of a tree (docs/formats/tree.md).
type treeJSON struct {
	Problem string `json:"problem"`
	Nodes   []struct {
		Parent   int     `json:"parent"`
		Text     string  `json:"text"`
		Visits   int     `json:"visits"`
		Q        float64 `json:"q"`
		Terminal bool    `json:"terminal"`
		Correct  bool    `json:"correct"`
	} `json:"nodes"`
}

// treeNode is a node as it is shown.
type treeNode struct {
	ID       int     `json:"id"`
	Parent   int     `json:"parent"` // -1 for the root
	Text     string  `json:"text"`
	Visits   int     `json:"visits"`
	Value    float64 `json:"value"`
	Terminal bool    `json:"terminal"`
	Correct  bool    `json:"correct"`
}

// source is where trees come from; nil = nowhere.
func (s *Server) source() Trees {
	if s.Trees == nil && s.Store != nil {
		return s.Store
	}
	return s.Trees
}

func treesOff() *openai.Error {
	return openai.Off("trees_off", "This server has no search trees. Start it with --store.")
}

// treeList is GET /trees.
func (s *Server) treeList(ctx *fasthttp.RequestCtx, id string) *openai.Error {
	if s.source() == nil {
		return treesOff()
	}
	limit, err := queryNumber(ctx, "limit", maxTrees, 1, maxTrees)
	if err != nil {
		return err
	}
	deadline, cancel := storeDeadline()
	defer cancel()
	trees, bad := s.source().Trees(deadline, int(limit))
	if bad != nil {
		return s.storeError(id, bad)
	}
	list := openai.ObjectList{Object: "list", Data: []any{}}
	for i := range trees {
		if t, ok := s.readTree(id, &trees[i]); ok {
			solved := false
			for _, n := range t.Nodes {
				solved = solved || n.Correct
			}
			list.Data = append(list.Data, openai.Object{"id": trees[i].ID, "problem": t.Problem, "nodes": len(t.Nodes), "solved": solved})
		}
	}
	writeJSON(ctx, list)
	return nil
}

// tree is GET /trees/{id}.
func (s *Server) tree(ctx *fasthttp.RequestCtx, id string) *openai.Error {
	if s.source() == nil {
		return treesOff()
	}
	deadline, cancel := storeDeadline()
	defer cancel()
	stored, bad := s.source().Tree(deadline, unescaped(pathID(ctx)))
	switch {
	case errors.Is(bad, feedback.ErrUnknown):
		return openai.UnknownTree()
	case bad != nil:
		return s.storeError(id, bad)
	}
	t, ok := s.readTree(id, &stored)
	if !ok {
		return openai.UnknownTree()
	}
	nodes := []treeNode{}
	for i, n := range t.Nodes {
		nodes = append(nodes, treeNode{ID: i, Parent: n.Parent, Text: n.Text, Visits: n.Visits, Value: n.Q, Terminal: n.Terminal, Correct: n.Correct})
	}
	writeJSON(ctx, openai.Object{"id": stored.ID, "problem": t.Problem, "nodes": nodes})
	return nil
}

// readTree reads what is shown of a tree; one that is damaged is logged and left out.
func (s *Server) readTree(id string, stored *feedback.Tree) (t treeJSON, ok bool) {
	if err := json.Unmarshal(stored.Tree, &t); err != nil {
		s.reportTrouble("a search tree cannot be read", id, err)
		return t, false
	}
	return t, true
}
