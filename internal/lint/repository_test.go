package lint

import (
	"testing"
)

// TestRepositoryKeepsTheLaw runs every rule over this repository.
func TestRepositoryKeepsTheLaw(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	tree, err := Load(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.Files) < 10 {
		t.Fatalf("found %d Go files under %s; want the whole repository", len(tree.Files), root)
	}
	for _, rule := range Rules() {
		t.Run(rule.Name, func(t *testing.T) {
			for _, finding := range rule.Check(tree) {
				t.Error(finding)
			}
		})
	}
	long := LongFunctions(tree)
	t.Logf("%d Go files; %d functions above %d lines (rarely is the rule, %d the limit)", len(tree.Files), len(long), longFunctionLines, maxFunctionLines)
	for _, name := range long {
		t.Log(name)
	}
}
