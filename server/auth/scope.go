package auth

import (
	"fmt"
	"strings"
)

// Scope is a set of rights. A route needs one of them; none implies another.
type Scope uint8

const (
	Inference Scope = 1 << iota // completions, tokens, models
	Feedback                    // what a client says about a completion
	Admin                       // metrics, profiles, and whatever changes the server or goes before others
)

// AllScopes is every right that there is.
const AllScopes = Inference | Feedback | Admin

var scopeNames = []string{"inference", "feedback", "admin"} // by bit

// Has says whether all rights of want are in s. A set without any right is in none: a route that forgot its scope is closed.
func (s Scope) Has(want Scope) bool { return want != 0 && s&want == want }

// Names lists the rights in a fixed order.
func (s Scope) Names() []string {
	names := []string{}
	for bit, name := range scopeNames {
		if s>>bit&1 != 0 {
			names = append(names, name)
		}
	}
	return names
}

// String joins the names with commas.
func (s Scope) String() string { return strings.Join(s.Names(), ",") }

// ParseScopes reads names; at least one, none twice.
func ParseScopes(names []string) (Scope, error) {
	var all Scope
	for _, name := range names {
		s, known := scopeOf(name)
		switch {
		case !known:
			return 0, fmt.Errorf("scope %q is unknown; there are %s", name, AllScopes)
		case all&s != 0:
			return 0, fmt.Errorf("scope %q is there twice", name)
		}
		all |= s
	}
	if all == 0 {
		return 0, fmt.Errorf("a key needs at least one scope of %s", AllScopes)
	}
	return all, nil
}

func scopeOf(name string) (Scope, bool) {
	for bit, known := range scopeNames {
		if name == known {
			return 1 << bit, true
		}
	}
	return 0, false
}
