package lint

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// maxTextBytes bounds the files that the text rules read; larger ones are data (weights, token tables).
const maxTextBytes = 1 << 20

// Tree is the repository as the rules see it.
type Tree struct {
	Files []*File           // every Go file outside testdata
	Texts map[string]string // path to content: every text file up to maxTextBytes, Go files included
}

// File is one parsed Go file.
type File struct {
	Path   string // relative to the root, with slashes
	Dir    string // of the package: "engine/kvcache"
	Test   bool   // its name ends in _test.go
	Syntax *ast.File
	Lines  int
	set    *token.FileSet
}

func (f *File) line(p token.Pos) int { return f.set.Position(p).Line }

// Imports returns the import paths, each with its place.
func (f *File) Imports() map[string]*ast.ImportSpec {
	paths := map[string]*ast.ImportSpec{}
	for _, spec := range f.Syntax.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			paths[p] = spec
		}
	}
	return paths
}

// Functions returns the declared functions and methods.
func (f *File) Functions() []*ast.FuncDecl {
	var all []*ast.FuncDecl
	for _, d := range f.Syntax.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			all = append(all, fn)
		}
	}
	return all
}

// Parse makes a Tree of files given as path to content.
func Parse(files map[string]string) (*Tree, error) {
	tree := &Tree{Texts: files}
	for name, text := range files {
		if !strings.HasSuffix(name, ".go") || strings.Contains("/"+name, "/testdata/") {
			continue
		}
		set := token.NewFileSet()
		syntax, err := parser.ParseFile(set, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("parse %s: %w", name, err)
		}
		tree.Files = append(tree.Files, &File{Path: name, Dir: path.Dir(name), Test: strings.HasSuffix(name, "_test.go"),
			Syntax: syntax, Lines: strings.Count(text, "\n"), set: set})
	}
	return tree, nil
}

// Load reads the repository at root. What git ignores (built and fetched files) is left out by name.
func Load(root string) (*Tree, error) {
	files := map[string]string{}
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		switch {
		case ignored(rel) && entry.IsDir():
			return filepath.SkipDir
		case ignored(rel) || entry.IsDir(): // .git is a file in a work tree, .cache may be a link
			return nil
		}
		return read(files, name, rel, entry)
	})
	if err != nil {
		return nil, fmt.Errorf("read the repository at %s: %w", root, err)
	}
	return Parse(files)
}

// ignored says that a directory, or a link to one, is not part of the source.
func ignored(rel string) bool {
	return rel == ".git" || rel == ".cache" || rel == "bin" || rel == "shared"
}

func read(files map[string]string, name, rel string, entry fs.DirEntry) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() > maxTextBytes {
		return nil
	}
	text, err := os.ReadFile(name)
	if err == nil && !bytes.ContainsRune(text, 0) {
		files[rel] = string(text)
	}
	return err
}

// Root walks up from the working directory to the folder that holds go.mod.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no go.mod above the working directory: run this inside the repository")
		}
		dir = filepath.Dir(dir)
	}
}
