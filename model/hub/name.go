package hub

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// Name is a model on a hub.
type Name struct {
	Owner, Model string
	Revision     string // branch, tag or commit; "main" where none is said
}

const (
	mainBranch       = "main"
	maxRevisionBytes = 255
)

// The hub's own rules. What they allow is safe as part of a file's name and of a URL.
var (
	namePart     = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?$`)
	revisionForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$`)
	commitForm   = regexp.MustCompile(`^[0-9a-f]{40}$`)
	sha256Form   = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// ParseName reads OWNER/NAME or OWNER/NAME@REVISION.
func ParseName(text string) (Name, error) {
	repo, revision, pinned := strings.Cut(text, "@")
	if !pinned {
		revision = mainBranch
	}
	owner, model, ok := strings.Cut(repo, "/")
	if !ok || !validPart(owner) || !validPart(model) {
		return Name{}, fmt.Errorf("%q is no name of a model on a hub: want OWNER/NAME or OWNER/NAME@REVISION", clip(text))
	}
	if !validRevision(revision) {
		return Name{}, fmt.Errorf("%q has no usable revision: want a branch, a tag or a commit after the @", clip(text))
	}
	return Name{owner, model, revision}, nil
}

func validPart(s string) bool {
	return namePart.MatchString(s) && !strings.Contains(s, "..") && !strings.Contains(s, "--") && !strings.HasSuffix(s, ".git")
}

func validRevision(s string) bool {
	return len(s) <= maxRevisionBytes && revisionForm.MatchString(s) && !strings.Contains(s, "..")
}

// Repo is OWNER/NAME.
func (n Name) Repo() string { return n.Owner + "/" + n.Model }

// String is OWNER/NAME, with @REVISION where that is not the main branch.
func (n Name) String() string {
	if n.Revision == mainBranch {
		return n.Repo()
	}
	return n.Repo() + "@" + n.Revision
}

// Pinned says that the revision is a commit, which cannot change.
func (n Name) Pinned() bool { return commitForm.MatchString(n.Revision) }

// clip bounds text of others that is repeated in an error, and takes out what could move a terminal's cursor.
func clip(s string) string {
	const maxBytes = 200
	if len(s) > maxBytes {
		s = s[:maxBytes] + "..."
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}
