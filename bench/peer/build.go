package peer

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// module is the first line of this module's go.mod.
const module = "module github.com/tallycast/tallycast/bench\n"

// root returns the folder of this module: the working directory or one of its parents.
var root = sync.OnceValues(func() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for at := dir; ; at = filepath.Dir(at) {
		data, err := os.ReadFile(filepath.Join(at, "go.mod"))
		if err == nil && bytes.HasPrefix(data, []byte(module)) {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("%s is not inside the bench: run it with go run -C bench", dir)
		}
	}
})

// builder builds each program once.
type builder struct {
	mu    sync.Mutex
	built map[string]string // by name
}

var programs = builder{built: map[string]string{}}

// program builds peer/NAME and returns the path of the binary.
func program(name string) (string, error) {
	return programs.build(name, ".", "./peer/"+name)
}

// Binary builds tallycast as for a release and returns the path of the binary.
func Binary() (string, error) {
	return programs.build("tallycast", "..", "./cmd/tallycast")
}

func (b *builder) build(name, module, folder string) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if path, ok := b.built[name]; ok {
		return path, nil
	}
	bench, err := root()
	if err != nil {
		return "", err
	}
	path := filepath.Join(bench, ".bin", name)
	// All Go programs are built with the same flags.
	command := exec.Command("go", "build", "-buildvcs=false", "-tags", "nomsgpack", "-trimpath", "-ldflags", "-s -w", "-o", path, folder)
	command.Dir = filepath.Join(bench, module)
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		return "", errors.Join(fmt.Errorf("build %s: %w", name, err), errors.New(string(out)))
	}
	b.built[name] = path
	return path, nil
}
