package kvcache

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
)

// Key names the content of a full page: its tokens, all tokens before it, the Policy version that computed it and the
// tenant salt. It is a SHA-256, so equal keys mean equal content; tokens are not compared again on a match. A shorter or
// weaker hash would let somebody who can choose prompts build two that share pages.
type Key [sha256.Size]byte

// Space is what a Prefix belongs to besides its tokens: pages are shared only inside one Space.
type Space struct {
	Version int64  // Policy that computes the pages
	Salt    string // tenant
}

// Chain holds the keys of the full pages of one growing list of tokens: key i = SHA-256(key i-1, tokens of page i), and
// key -1 = HMAC-SHA-256(Secret, Version, Salt). It is kept as long as the list, so that no page is hashed twice.
type Chain struct {
	space      Space
	pageTokens int
	root       Key
	keys       []Key
	buf        []byte
}

// Chain starts the keys of a token list in space.
func (c *Cache) Chain(space Space) *Chain {
	ch := &Chain{space: space, pageTokens: c.cfg.PageTokens}
	mac := hmac.New(sha256.New, c.cfg.Secret)
	mac.Write(binary.LittleEndian.AppendUint64(nil, uint64(space.Version)))
	mac.Write([]byte(space.Salt))
	mac.Sum(ch.root[:0])
	return ch
}

// key returns the key of page i of tokens; earlier pages of tokens must be what they were in earlier calls.
func (ch *Chain) key(tokens []int32, i int) Key {
	for n := len(ch.keys); n <= i; n++ {
		parent := ch.root
		if n > 0 {
			parent = ch.keys[n-1]
		}
		ch.buf = append(ch.buf[:0], parent[:]...)
		for _, t := range tokens[n*ch.pageTokens : (n+1)*ch.pageTokens] {
			ch.buf = binary.LittleEndian.AppendUint32(ch.buf, uint32(t))
		}
		ch.keys = append(ch.keys, sha256.Sum256(ch.buf))
	}
	return ch.keys[i]
}

// fork returns a Chain for a list that begins with the same tokens and goes on by itself.
func (ch *Chain) fork(tokens int) *Chain {
	n := min(len(ch.keys), tokens/ch.pageTokens)
	return &Chain{space: ch.space, pageTokens: ch.pageTokens, root: ch.root, keys: ch.keys[:n:n]}
}

// Space is where the Chain's pages belong.
func (ch *Chain) Space() Space { return ch.space }
