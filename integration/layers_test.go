package integration

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/echofs/echofs/"

// mayImport is the architecture: for each package of ours, all others of ours
// that its code may import. "identity/..." stands for a folder and everything
// below it. A package that is not listed fails the test, so a change of the
// architecture is always a visible change of this table and of ARCHITECTURE.md.
var mayImport = map[string][]string{
	"cmd/echofs":   {"cmd/cli"},
	"cmd/cli":      {"cmd/localapi", "cmd/daemon", "crdt/signedlog"},
	"cmd/localapi": {},
	"cmd/daemon":   {"cmd/localapi", "fs/...", "crdt/...", "identity/...", "net/...", "kube/..."},

	"fs/fusefs": {"fs/vfs"},
	"fs/vfs":    {"crdt/space", "crdt/textdiff"},

	"crdt/space":      {"crdt/acceptance", "crdt/document", "crdt/tree", "crdt/feed", "crdt/blob", "crdt/store", "crdt/textdiff", "identity/..."},
	"crdt/document":   {"crdt/textdiff", "crdt/tree"},
	"crdt/tree":       {"identity/codec"},
	"crdt/acceptance": {"identity", "identity/credential", "identity/membership"},
	"crdt/feed":       {"identity/..."},
	"crdt/signedlog":  {"crdt/feed", "identity/credential"},
	"crdt/store":      {},
	"crdt/blob":       {"identity/codec"},
	"crdt/textdiff":   {},

	"identity":            {"identity/codec"},
	"identity/codec":      {},
	"identity/credential": {"identity", "identity/codec"},
	"identity/membership": {"identity", "identity/codec", "identity/credential"},
	"identity/phrase":     {"identity"},
	"identity/keystore":   {"identity", "identity/codec", "identity/phrase"},
	"identity/invitation": {"identity", "identity/codec", "identity/credential"},

	"net/wire":      {"identity/codec"},
	"net/rtc":       {},
	"net/signaling": {"identity/...", "net/wire"},
	"net/mesh":      {"net/rtc", "net/signaling", "net/wire", "identity/..."},
	"net/replicate": {"net/mesh", "net/wire", "crdt/space", "crdt/feed", "identity/..."},
	"net/recovery":  {"net/mesh", "net/wire", "identity/..."},
	"net/admission": {"net/mesh", "net/wire", "crdt/space", "crdt/feed", "identity/..."},

	"kube/web": {"crdt/space"},

	"integration": {},
}

// onlyImporter gives each core library its home.
var onlyImporter = map[string][]string{
	"github.com/hanwen/go-fuse/":           {"fs/fusefs"},
	"github.com/automerge/automerge-go":    {"crdt/document"},
	"github.com/sabhiram/go-gitignore":     {"fs/vfs"},
	"go.etcd.io/bbolt":                     {"crdt/store"},
	"github.com/pion/":                     {"net/rtc"},
	"github.com/urfave/cli/":               {"cmd/cli"},
	"rsc.io/qr":                            {"cmd/cli"},
	"github.com/fxamacker/cbor/":           {"identity/codec"},
	"github.com/coder/websocket":           {"net/signaling"},
	"github.com/restic/chunker":            {"crdt/blob"},
	"golang.org/x/crypto/chacha20poly1305": {"crdt/feed", "identity/keystore"},
	"github.com/zalando/go-keyring":        {"identity/keystore"},
}

// file is one Go file of the module: where it stands and what it imports.
type file struct {
	pkg, name string
	doc       bool // has a package comment
	imports   []string
}

func (f file) test() bool { return strings.HasSuffix(f.name, "_test.go") }

// sources parses the imports of every Go file of the module.
func sources(t *testing.T) []file {
	t.Helper()
	var files []file
	root := ".."
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != root || d.Name() == "testdata" || d.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		f := file{pkg: filepath.ToSlash(filepath.Dir(rel)), name: rel, doc: parsed.Doc != nil}
		for _, spec := range parsed.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			f.imports = append(f.imports, imp)
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("found no Go files")
	}
	return files
}

func allowed(list []string, pkg string) bool {
	return slices.ContainsFunc(list, func(a string) bool {
		if folder, ok := strings.CutSuffix(a, "/..."); ok {
			return pkg == folder || strings.HasPrefix(pkg, folder+"/")
		}
		return a == pkg
	})
}

func TestLayers(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range sources(t) {
		seen[f.pkg] = true
		may, listed := mayImport[f.pkg]
		if !listed {
			t.Errorf("package %s is not in the architecture: add it to mayImport and to ARCHITECTURE.md", f.pkg)
			continue
		}
		if f.test() {
			continue // tests may reach across layers
		}
		for _, imp := range f.imports {
			if ours, ok := strings.CutPrefix(imp, module); ok && !allowed(may, ours) {
				t.Errorf("%s: %s may not import %s", f.name, f.pkg, ours)
			}
			for lib, home := range onlyImporter {
				if strings.HasPrefix(imp, lib) && !slices.Contains(home, f.pkg) {
					t.Errorf("%s: only %v may import %s", f.name, home, imp)
				}
			}
		}
	}
	for _, pkg := range slices.Sorted(maps.Keys(mayImport)) {
		if !seen[pkg] {
			t.Errorf("mayImport lists %s, which does not exist", pkg)
		}
	}
}

func TestPackageComments(t *testing.T) {
	documented := map[string]bool{}
	for _, f := range sources(t) {
		if !f.test() {
			documented[f.pkg] = documented[f.pkg] || f.doc
		}
	}
	for _, pkg := range slices.Sorted(maps.Keys(documented)) {
		if !documented[pkg] {
			t.Errorf("package %s has no package comment", pkg)
		}
	}
}

// TestArchitectureNamesEveryPackage keeps the document as complete as the table.
func TestArchitectureNamesEveryPackage(t *testing.T) {
	text, err := os.ReadFile("../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, pkg := range slices.Sorted(maps.Keys(mayImport)) {
		if !strings.Contains(string(text), "`"+pkg+"`") {
			t.Errorf("ARCHITECTURE.md does not describe `%s`", pkg)
		}
	}
}
